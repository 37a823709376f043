"""Whether a planted fault changes anything: otherwise there is nothing to catch, and its base model is no place for it.

A variance put to 0 where it was estimated as 0 is no fault. Whether it is one is told from the two fits alone, not by
the judge, who must not excuse what escapes him.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from validation.faults.bases import BaseFit, PlantedPosterior
from validation.judge.likelihood_ratio import table_of_fits
from validation.quantities import prediction_quantities, quietly
from validation.references.recorded import RecordedLmerFit
from validation.tolerances import Match

#: What a fit says of itself beside its numbers.
_WORDS = frozenset({"formula", "printed", "optimizer", "provenance", "warnings", "messages", "origin"})


def changes(base: BaseFit, planted: object) -> bool:
    """Whether a planted fit has other numbers than the right one, beyond rounding; another type is a change, too."""
    return not _same(_numbers(_right(base), base), _numbers(planted, base))


def _right(base: BaseFit) -> object:
    """What is planted, without the fault: a table of the same tests, draws of the same seed."""
    if isinstance(base.fit, PlantedPosterior):
        return base.again()
    if isinstance(base.fit, tuple):  # there is no table of models of different rows
        return quietly(lambda: table_of_fits([fit.refitML() for fit in base.fit]), None)
    return base.fit


def _numbers(fit: object, base: BaseFit) -> object:
    """A fit's own numbers; of functions their values, for one function may be written in two ways."""
    if not is_dataclass(fit):
        return fit
    parts = {part.name: getattr(fit, part.name) for part in fields(fit) if part.name not in _WORDS}
    if isinstance(fit, RecordedLmerFit):
        theta = fit.theta.to_numpy()
        parts["objective"] = [fit.devfun(point) for point in (theta, theta + 0.1)]
        parts["predictor"] = prediction_quantities(fit, base.data).table
    if isinstance(fit, PlantedPosterior):
        points = base.fit.at(20, base.seed)
        parts["at"], parts["log_prob"] = fit.at(20, base.seed), [fit.log_prob(point) for point in points]
    return parts


def _same(left: Any, right: Any) -> bool:
    if left is right:
        return True
    if isinstance(left, pd.DataFrame) and isinstance(right, pd.DataFrame):  # VarCorr's is a table of its own
        return _same(dict(left.items()), dict(right.items()))
    if type(left) is not type(right):
        return False
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, pd.Series):
        return left.index.equals(right.index) and _same(left.to_numpy(), right.to_numpy())
    if sp.issparse(left):
        return _same(left.toarray(), right.toarray())
    first, second = np.asarray(left), np.asarray(right)
    if first.shape != second.shape:
        return False
    if first.dtype.kind not in "fiub" or second.dtype.kind not in "fiub":
        return list(map(str, first.ravel())) == list(map(str, second.ravel()))  # of labels some are missing
    size = float(np.nanmax(np.abs(first), initial=0.0))
    return bool(np.allclose(first, second, rtol=0.0, atol=Match.CHAINED * size, equal_nan=True))
