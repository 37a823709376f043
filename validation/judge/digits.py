"""Digits of agreement: the log relative error of McCullough (1998), as NIST's StRD counts them."""

import math

import numpy as np

#: Significant decimal digits that a double carries faithfully (``DBL_DIG`` of C): the most that any reference held in
#: a float can have.
DOUBLE_DIGITS = 15.0


def digits(value: float, reference: float) -> float:
    """Log relative error of ``value``: about the number of significant digits that agree with ``reference``.

    ``-log10(|x - c| / |c|)``, or ``-log10|x|`` where ``c`` is 0 (McCullough, B. D. 1998, Am. Stat. 52, 358-366):
    between 0 and :data:`DOUBLE_DIGITS`; NaN where either number is missing, 0 where one is infinite and the other is
    something else.
    """
    if math.isnan(value) or math.isnan(reference):
        return math.nan
    if value == reference:
        return DOUBLE_DIGITS
    if math.isinf(value) or math.isinf(reference):
        return 0.0
    # Dividing first would overflow for a subnormal reference: the logarithms are subtracted instead.
    error = abs(value - reference) if reference != 0.0 else abs(value)
    with np.errstate(all="ignore"):
        lre = -np.log10(error) + (np.log10(abs(reference)) if reference != 0.0 else 0.0)
    return float(min(max(lre, 0.0), DOUBLE_DIGITS))
