"""How R writes numbers and tables: ``format``, ``print``, ``formatC``, ``signif``, ``round``, ``printCoefmat``.

R's printed output follows from a few rules: a vector gets the fewest significant digits (at most ``digits``) that show
every element to ``digits`` significant digits; fixed notation is used unless it is wider than scientific; a matrix is
formatted column by column; lines wrap at ``width`` characters. Each function here has the name of its R counterpart,
and is tested against live R.
"""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pyimpl.text.values import quote_string
from r_scripts.escapes import encode_string

__all__ = [
    "CoefmatColumns",
    "as_character",
    "display_width",
    "formatC",
    "format_cells",
    "format_chr",
    "format_num",
    "format_pval",
    "print_coefmat",
    "print_data_frame",
    "print_matrix",
    "print_vector",
    "quantile7",
    "r_round",
    "r_signif",
    "symnum_pvalue",
    "zapsmall",
]

_DBL_DIG = 15  # <float.h>: decimal digits that a double always carries
_MAX_10_EXP = 308  # <float.h>: largest power of ten that a double has
_KP_MAX = 22  # R's KP_MAX: largest power of ten that a long double (and a double) holds exactly


def display_width(text: str) -> int:
    """``nchar(text, "width")``: columns on a screen; East Asian wide characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def _ljust(text: str, width: int) -> str:
    return text + " " * (width - display_width(text))


def _rjust(text: str, width: int) -> str:
    return " " * (width - display_width(text)) + text


def _scientific(x: float, digits: int) -> tuple[int, int, bool]:
    """Exponent, number of significant digits needed (at most `digits`), and whether fixed notation is narrower.

    R's ``scientific()`` (src/main/format.c): |x| = alpha * 10^kpower with 1 <= alpha < 10, alpha rounded to `digits`
    significant digits in extended precision and then stripped of trailing zeros. The last value is R's
    ``roundingwidens``: rounding carried alpha to the next power of ten, which fixed notation would not do.
    """
    if x == 0.0:
        return 0, 1, False
    r = abs(x)
    if digits > _DBL_DIG:
        mantissa, exponent = f"{r:.{digits - 1}e}".split("e")
        return int(exponent), max(1, len(mantissa.replace(".", "").rstrip("0"))), False
    kp = math.floor(math.log10(r)) - digits + 1
    if abs(kp) <= _KP_MAX:
        scale = np.longdouble(10.0 ** abs(kp))
        alpha = np.longdouble(r) / scale if kp > 0 else np.longdouble(r) * scale
    else:
        # 10^303 keeps the power within range for denormal numbers
        alpha = (
            np.longdouble(r) / np.longdouble(10) ** kp
            if kp > -300
            else (np.longdouble(r) * np.longdouble(10) ** 303) / np.longdouble(10) ** (kp + 303)
        )
    if alpha < np.longdouble(10.0 ** (digits - 1)):
        alpha *= 10
        kp -= 1
    whole = int(np.rint(alpha))
    nsig = digits
    while nsig > 0 and whole % 10 == 0:
        whole //= 10
        nsig -= 1
    if nsig == 0:
        nsig = 1
        kp += 1
    kpower = kp + digits - 1
    rgt = min(max(digits - kpower, 0), _KP_MAX)
    fuzz = 0.5 / 10.0**rgt
    widens = 0 < kpower <= _KP_MAX and r < 10.0**kpower - fuzz
    return kpower, nsig, widens


def _layout(x: Sequence[float], digits: int, nsmall: int = 0, scipen: int = 0) -> tuple[int, int, int]:
    """Find the common width, decimals and exponent digits (0: fixed notation) of numbers; R's ``formatReal()``."""
    neg = False
    mxsl = rgt = -(10**9)
    mxe, mne, mxns = -(10**9), 10**9, -(10**9)
    special = 0
    for value in x:
        if not math.isfinite(value):
            special = max(special, 2 if math.isnan(value) else 3 if value > 0 else 4)
            continue
        kpower, nsig, widens = _scientific(value, digits)
        left = kpower + 1 - widens
        negative = value < 0
        neg = neg or negative
        mxsl = max(mxsl, negative + max(left, 1))
        rgt = max(rgt, nsig - kpower - 1)
        mxe, mne, mxns = max(mxe, kpower), min(mne, kpower), max(mxns, nsig)
    width = decimals = exponent = 0
    if mxns > 0:
        rgt = max(rgt, 0)
        fixed = mxsl + rgt + (rgt != 0)
        exponent = 2 if mxe >= 100 or mne <= -100 else 1
        decimals = mxns - 1
        width = neg + (decimals > 0) + decimals + 4 + exponent
        if fixed <= width + scipen:
            exponent = 0
            rgt = max(rgt, nsmall)
            decimals = rgt
            width = mxsl + rgt + (rgt != 0)
    return max(width, special), decimals, exponent


def _encode(value: float, width: int, decimals: int, exponent: int, na: str = "NA") -> str:
    """One number in a layout; R's ``formatReal``/``encodeReal``."""
    if math.isnan(value):
        text = na
    elif math.isinf(value):
        text = "Inf" if value > 0 else "-Inf"
    elif exponent:
        text = f"{value:.{decimals}e}"
    else:
        if value == 0.0:
            value = 0.0  # R writes no negative zero
        text = f"{value:.{decimals}f}"
    return text.rjust(width)


def format_num(
    x: Sequence[float] | np.ndarray | pd.Series | float,
    digits: int = 7,
    nsmall: int = 0,
    width: int = 0,
    scipen: int = 0,
    na: str = "NA",
) -> list[str]:
    """``format(x, digits, nsmall, width)`` of a numeric vector: strings of one common width.

    Parameters
    ----------
    x : array-like of float
        Missing values are written as `na`.
    digits : int
        Significant digits, as many as are needed to show every element to at least this many.
    nsmall : int
        At least this many decimals in fixed notation.
    width : int
        Least width.
    scipen : int
        Penalty of scientific notation (R's ``options(scipen=)``).
    na : str
        How a missing value is written.

    Returns
    -------
    list of str
    """
    values = np.asarray(x)
    if values.dtype.kind in "iub":
        texts = [str(int(v)) for v in values.ravel()]
        width = max([width, *map(len, texts)])
        return [text.rjust(width) for text in texts]
    numbers = [float(v) for v in np.asarray(x, dtype=float).ravel()]
    common, decimals, exponent = _layout(numbers, digits, nsmall, scipen)
    if any(math.isnan(v) for v in numbers):
        common = max(common, len(na))
    common = max(common, width)
    return [_encode(v, common, decimals, exponent, na) for v in numbers]


def as_character(value: float, digits: int = 15) -> str:
    """``as.character(value)`` (15 significant digits), or what ``cat(value)`` writes (``digits=7``)."""
    return format_num([value], digits=digits)[0].strip()


def format_chr(x: Sequence[str], justify: str = "left", width: int = 0) -> list[str]:
    """``format(x, justify, width)`` of a character vector (``justify="none"`` leaves it alone)."""
    if justify == "none":
        return list(x)
    common = max([width, *map(display_width, x)], default=0)
    if justify == "centre":
        return [_centre(text, common) for text in x]
    return [_rjust(text, common) if justify == "right" else _ljust(text, common) for text in x]


def _centre(text: str, width: int) -> str:
    blanks = max(width - display_width(text), 0)
    return " " * (blanks // 2) + text + " " * (blanks - blanks // 2)


def formatC(
    x: Sequence[float] | np.ndarray | pd.Series,
    digits: int | None = None,
    width: int | None = None,
    format: str = "g",  # noqa: A002
    flag: str = "",
) -> list[str]:
    """``formatC(x, digits, width, format, flag)``: each element by itself, as C's ``printf`` writes it.

    `format` is ``"d"``, ``"f"``, ``"e"``, ``"g"`` (``"E"``, ``"G"``); `flag` any of ``"0+- #"``. R's default width
    is one more than `digits`; without `digits` it shows 4 significant digits.
    """
    if width is None and digits is None:
        width = 1
    digits = 4 if digits is None else 6 if digits < 0 else digits
    width = digits + 1 if width is None else width or digits
    left = "-" in flag or width < 0
    width = abs(width)
    out = []
    for value in np.asarray(x, dtype=float).ravel():
        number = float(value)
        if math.isfinite(number):
            if format == "d":
                text = f"%{flag}{width}d" % int(r_round([number])[0])
            else:
                text = f"%{flag}{width}.{digits}{format}" % number
        else:
            text = "NA" if math.isnan(number) else "Inf" if number > 0 else "-Inf"
            text = text.ljust(width) if left else text.rjust(width)
        out.append(text.ljust(width) if left else text)
    return out


def _pow_di(x: float, n: int) -> float:
    """Raise x to the integer power n by repeated squaring, with the rounding of R's ``R_pow_di``."""
    result, exponent = 1.0, abs(n)
    while exponent:
        if exponent & 1:
            result *= x
        exponent >>= 1
        if exponent:
            x *= x
    return 1.0 / result if n < 0 else result


def r_signif(x: Sequence[float] | np.ndarray | float, digits: int = 6) -> np.ndarray:
    """``signif(x, digits)``, float64, shape of `x`; R's ``fprec()``."""
    values = np.asarray(x, dtype=float)
    digits = max(1, digits)

    def one(value: float) -> float:
        if value == 0 or not math.isfinite(value) or digits > 22:
            return value
        magnitude = abs(value)
        e10 = digits - 1 - math.floor(math.log10(magnitude))
        p10 = 1.0
        if e10 > 308:
            p10, e10 = _pow_di(10.0, e10 - 308), 308
        if e10 > 0:
            scale = _pow_di(10.0, e10)
            result = float(np.rint(magnitude * scale * p10)) / scale / p10
        else:
            scale = _pow_di(10.0, -e10)
            result = float(np.rint(magnitude / scale)) * scale
        return math.copysign(result, value)

    return np.array([one(float(v)) for v in values.ravel()]).reshape(values.shape)


def r_round(x: Sequence[float] | np.ndarray | float, digits: float = 0) -> np.ndarray:
    """``round(x, digits)`` as R has it since 4.0.0: the closer of the two neighbouring decimals, ties to even.

    Differs from ``numpy.round``, which multiplies, rounds and divides. float64, shape of `x`.
    """
    values = np.asarray(x, dtype=float)
    places = math.floor(digits + 0.5)
    if places == 0:
        return np.rint(values)
    if places < -_MAX_10_EXP:
        return np.where(np.isfinite(values), 0.0, values)
    out = values.copy()
    # elsewhere more digits are asked for than a double has (R's rule, from the binary exponent)
    digits_wanted = places + (np.frexp(values)[1] - 0.5) * math.log10(2.0)
    some = np.isfinite(values) & (values != 0) & (digits_wanted <= _DBL_DIG) & (places <= _MAX_10_EXP + _DBL_DIG)
    magnitude = np.abs(values[some])
    p10 = _pow_di(10.0, min(places, _MAX_10_EXP))  # of negative places a rounded 1/10^n, as R has it
    p11 = _pow_di(10.0, max(places - _MAX_10_EXP, 0))
    scaled = magnitude * p10 * p11
    low, high = np.floor(scaled), np.ceil(scaled)
    down, up = low / p10 / p11, high / p10 / p11
    gap_down, gap_up = magnitude - down, up - magnitude
    nearer_down = (gap_down < gap_up) | ((gap_down == gap_up) & (np.mod(low, 2) == 0))
    out[some] = np.copysign(np.where(nearer_down, down, up), values[some])
    return out


def zapsmall(x: Sequence[float] | np.ndarray, digits: int = 7) -> np.ndarray:
    """``zapsmall(x, digits)``: round to `digits` significant digits of the largest element."""
    values = np.asarray(x, dtype=float)
    present = values[~np.isnan(values)]
    if present.size == 0:
        return values.copy()
    largest = float(np.max(np.abs(present)))
    if math.isinf(largest):
        return r_round(values, 0)
    return r_round(values, max(0.0, digits - math.log10(largest)) if largest > 0 else digits)


def quantile7(
    x: Sequence[float] | np.ndarray, probs: Sequence[float] | np.ndarray = (0, 0.25, 0.5, 0.75, 1)
) -> np.ndarray:
    """``quantile(x, probs)``, R's default type 7; every element must be present."""
    values = np.sort(np.asarray(x, dtype=float))
    position = 1 + max(values.size - 1, 0) * np.clip(np.asarray(probs, dtype=float), 0.0, 1.0)
    low, high = np.floor(position).astype(int), np.ceil(position).astype(int)
    out = values[low - 1]
    upper = values[high - 1]
    between = (position > low) & (upper != out)
    h = (position - low)[between]
    out[between] = (1 - h) * out[between] + h * upper[between]
    return out


def format_pval(p: Sequence[float] | np.ndarray, digits: int = 5, eps: float = 2.220446049250313e-16) -> list[str]:
    """``format.pval(p, digits, eps)``: p-values, tiny ones as ``< 2e-16``."""
    values = np.asarray(p, dtype=float)
    missing = np.isnan(values)
    out = np.array(["NA"] * values.size, dtype=object)
    present = values[~missing]
    tiny = present < eps
    texts = np.array([""] * present.size, dtype=object)
    shown: list[str] = []
    if (~tiny).any():
        rest = present[~tiny]
        expo = np.floor(np.log10(np.where(rest > 0, rest, 1e-50)))
        fixed = (expo >= -3) | ((expo == -4) & (digits > 1))
        block = np.array([""] * rest.size, dtype=object)
        for mask in (fixed, ~fixed):
            if mask.any():
                block[mask] = format_num(rest[mask], digits=digits)
        texts[~tiny] = block
        shown = list(block)
    if tiny.any():
        short = max(1, digits - 2)
        separator = "" if short == 1 else " "
        if shown:
            widest = max(map(len, shown))
            if short > 1 and short + 6 > widest:
                short = max(1, widest - 7)
            separator = "" if short == 1 and widest <= 6 else " "
        texts[tiny] = "<" + separator + format_num([eps], digits=short)[0]
    out[~missing] = texts
    return list(out)


def symnum_pvalue(p: Sequence[float] | np.ndarray) -> list[str]:
    """Significance stars of p-values: ``symnum()`` with the cut-points that ``printCoefmat`` uses."""
    marks = []
    for value in np.asarray(p, dtype=float):
        if math.isnan(value):
            marks.append("")
        else:
            cuts = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))
            marks.append(next((mark for cut, mark in cuts if value <= cut), " "))
    return marks


def print_vector(
    x: Sequence[float] | Sequence[str] | np.ndarray | pd.Series,
    digits: int = 7,
    names: Sequence[str] | None = None,
    width: int = 80,
    quote: bool = False,
    gap: int = 1,
) -> str:
    """``print(x)`` of a vector: with names a row of names above each row of values, else ``[1]`` indices.

    `gap` is the number of blanks after each element of a named vector (R's ``print.gap``).
    """
    if len(x) == 0:
        return "numeric(0)"
    values = np.asarray(x)
    textual = values.dtype.kind in "OUST"
    if textual:
        cells = [quote_string(str(v)) if quote else encode_string(str(v)) for v in values]
    else:
        cells = format_num(values, digits)
    if names is not None:
        names = [encode_string(name) for name in names]
        common = max(max(map(display_width, cells)), max(map(display_width, names)))
        per_line = max(1, width // (common + gap))
        lines = []
        for start in range(0, len(cells), per_line):
            stop = start + per_line
            lines.append("".join(_rjust(name, common) + " " * gap for name in names[start:stop]))
            lines.append("".join(_rjust(cell, common) + " " * gap for cell in cells[start:stop]))
        return "\n".join(lines)
    label = len(str(len(cells))) + 2
    common = max(map(display_width, cells))
    per_line = max(1, (width - label) // (common + 1))
    lines = []
    for start in range(0, len(cells), per_line):
        row = cells[start : start + per_line]
        row = [_ljust(cell, common) if textual else _rjust(cell, common) for cell in row]
        lines.append(f"[{start + 1}]".rjust(label) + " " + " ".join(row))
    return "\n".join(lines)


def print_matrix(
    cells: Sequence[Sequence[object]] | np.ndarray,
    row_names: Sequence[str],
    col_names: Sequence[str],
    digits: int = 7,
    right: bool = True,
    na: str = "NA",
    width: int = 80,
    left_labels: bool = True,
) -> str:
    """``print`` of a matrix with dimnames, ``quote = FALSE``: columns aligned, wrapped at `width` characters.

    Parameters
    ----------
    cells : 2-D
        Numbers are formatted column by column to `digits` significant digits; strings are shown as they are.
    row_names, col_names : sequence of str
    right : bool
        Whether strings (and their column names) are right-justified; numbers always are.
    na : str
        How a missing number is written.
    left_labels : bool
        Whether row names are left-justified (R's way).

    Returns
    -------
    str
        Lines joined by newlines, without a final one.
    """
    matrix = np.asarray(cells)
    if matrix.dtype.kind in "fiub":
        body = [format_num(matrix[:, j], digits, na=na) for j in range(matrix.shape[1])]
        right = True
    else:
        body = [[encode_string(str(v)) for v in matrix[:, j]] for j in range(len(col_names))]
    row_names, col_names = [[encode_string(name) for name in names] for names in (row_names, col_names)]
    label_width = max(map(display_width, row_names), default=4)  # without rows R leaves room for an index
    pad = _rjust if right else _ljust
    columns = []
    for name, column in zip(col_names, body, strict=True):
        common = max(map(display_width, (name, *column)))
        columns.append((common, pad(name, common), [pad(text, common) for text in column]))
    labels = [_ljust(name, label_width) if left_labels else _rjust(name, label_width) for name in row_names]
    lines: list[str] = []
    start = 0
    while start < len(columns):
        used, stop = label_width, start
        while stop < len(columns) and (stop == start or used + 1 + columns[stop][0] < width):
            used += 1 + columns[stop][0]
            stop += 1
        block = columns[start:stop]
        lines.append(" ".join([" " * label_width, *(head for _, head, _ in block)]))
        lines += [" ".join([label, *(column[i] for _, _, column in block)]) for i, label in enumerate(labels)]
        start = stop
    return "\n".join(lines)


def format_cells(frame: pd.DataFrame, digits: int = 7, na: str = "NA") -> list[list[str]]:
    """``format(data.frame)``: a list of rows of strings, each column formatted by itself.

    Numbers as ``format()`` writes them, strings and categories as they are (missing: ``<NA>``), booleans as R's.
    """
    columns: list[list[str]] = []
    for j in range(frame.shape[1]):
        column = frame.iloc[:, j]
        if pd.api.types.is_bool_dtype(column.dtype):
            columns.append(["NA" if pd.isna(v) else "TRUE" if v else "FALSE" for v in column])
        elif pd.api.types.is_integer_dtype(column.dtype):
            columns.append(format_chr(["NA" if pd.isna(v) else str(int(v)) for v in column], "right"))
        elif pd.api.types.is_numeric_dtype(column.dtype):
            columns.append(format_num(column.to_numpy(dtype=float, na_value=np.nan), digits, na=na))
        else:
            columns.append(["<NA>" if pd.isna(v) else str(v) for v in column])
    return [list(row) for row in zip(*columns, strict=True)]


def print_data_frame(frame: pd.DataFrame, digits: int = 7, row_names: bool = True, width: int = 80) -> str:
    """``print(data.frame)``: the index as row names, every column right-justified."""
    if frame.shape[1] == 0:
        return f"data frame with 0 columns and {len(frame)} rows"
    if len(frame) == 0:
        names = print_vector([str(c) for c in frame.columns], width=width)
        return f"{names}\n<0 rows> (or 0-length row.names)"
    cells = np.array(format_cells(frame, digits), dtype=object).reshape(len(frame), frame.shape[1])
    labels = [str(v) for v in frame.index] if row_names else [""] * len(frame)
    return print_matrix(cells, labels, [str(c) for c in frame.columns], width=width)


@dataclass(frozen=True)
class CoefmatColumns:
    """Which columns of a table are what, from 0 (``cs.ind``, ``tst.ind``, ``zap.ind``, ``has.Pvalue``).

    Attributes
    ----------
    cs, tst, zap : sequence of int, optional
        Coefficients and standard errors; test statistics; those to ``zapsmall``. Defaults: all columns but the test
        statistic (and the p-value); the one after them; none.
    has_pvalue : bool, optional
        Whether the last column holds p-values; default by its name.
    """

    cs: Sequence[int] | None = None
    tst: Sequence[int] | None = None
    zap: Sequence[int] = ()
    has_pvalue: bool | None = None


def print_coefmat(
    table: np.ndarray,
    row_names: Sequence[str],
    col_names: Sequence[str],
    digits: int = 5,
    columns: CoefmatColumns = CoefmatColumns(),
    *,
    na: str = "NA",
    absent: np.ndarray | None = None,
) -> str:
    """``stats::printCoefmat``: coefficients and standard errors to common digits, test statistics to fewer, p-values.

    Parameters
    ----------
    table : ndarray, shape (rows, columns)
    row_names, col_names : sequence of str
    digits : int
        Significant digits of the smallest coefficient or standard error.
    columns : CoefmatColumns
    na : str
        How a missing value is written.
    absent : ndarray of bool, shape (rows, columns), optional
        Where a missing value is R's NA; elsewhere it is NaN, and written so. Default everywhere.

    Returns
    -------
    str
    """
    xm = np.array(table, dtype=float, copy=True)
    rows, nc = xm.shape
    has_pvalue = columns.has_pvalue
    if has_pvalue is None:
        has_pvalue = nc >= 4 and col_names[-1][:3] in ("Pr(", "p-v")
    k = nc - has_pvalue - (1 if columns.tst is None else len(columns.tst))
    cs_ind = list(range(k)) if columns.cs is None else list(columns.cs)
    tst_ind = [k] if columns.tst is None else list(columns.tst)
    dig_tst = max(1, min(5, digits - 1))  # decimals of the test statistics
    missing = np.isnan(xm)
    cells = np.full(xm.shape, "", dtype=object)
    for j in columns.zap:
        xm[:, j] = zapsmall(xm[:, j], digits)
    if cs_ind:
        coef_se = xm[:, cs_ind]
        sizes = np.abs(coef_se[np.isfinite(coef_se)])
        if sizes.size:
            sizes = sizes[sizes != 0]
            digmin = 1 + np.floor(np.log10([sizes.min(), sizes.max()])) if sizes.size else np.ones(2)
            places = max(1.0, float(np.max(digits - digmin)))
            texts = format_num(r_round(coef_se, places).ravel(order="F"), digits=digits)
            cells[:, cs_ind] = np.array(texts, dtype=object).reshape(coef_se.shape, order="F")
    if tst_ind:
        texts = format_num(r_round(xm[:, tst_ind], dig_tst).ravel(order="F"), digits=digits)
        cells[:, tst_ind] = np.array(texts, dtype=object).reshape((rows, len(tst_ind)), order="F")
    for j in range(nc - has_pvalue):
        if j not in cs_ind and j not in tst_ind:
            cells[:, j] = format_num(xm[:, j], digits=digits)
    # a number that rounding made zero is shown after all, with a digit less
    lost = [
        (i, j)
        for j in range(nc - has_pvalue)
        if j not in tst_ind
        for i in range(rows)
        if not missing[i, j] and (xm[i, j] == 0) != (float(cells[i, j]) == 0)
    ]
    if lost:
        texts = format_num([xm[cell] for cell in lost], digits=max(1, digits - 1))
        for cell, text in zip(lost, texts, strict=True):
            cells[cell] = text
    cells[missing] = na
    if absent is not None:
        cells[missing & ~absent] = "NaN"
    legend = ""
    heads = list(col_names)
    if has_pvalue:
        p = xm[:, -1]
        known = ~missing[:, -1]
        if known.any():
            cells[known, -1] = format_pval(p[known], digits=dig_tst)
            if bool((p[known] < 0.1).any()):
                stars = np.array(format_chr(symnum_pvalue(p), "left"), dtype=object).reshape(-1, 1)
                cells = np.hstack([cells, stars])
                heads.append("")
                legend = "\n---\nSignif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1"
    return print_matrix(cells, row_names, heads) + legend
