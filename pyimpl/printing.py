"""The text that R prints for a fitted model: ``print(m)``, ``print(summary(m))``, ``VarCorr``, ``anova``.

Each function follows the R function it names, down to blanks at line ends. One line is R's by decision: after a
warning or a singular fit lme4 names its optimizer and its code, ``optimizer (nloptwrap) convergence code: 0 (OK)``.
The same words are written here, so that the texts are equal; which optimizer really ran, and how it ended, is in
``fit.optinfo``.
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES
from pyimpl.errors import DataError
from pyimpl.formula.parse import deparse_lines, parse
from pyimpl.text.numbers import (
    CoefmatColumns,
    format_num,
    print_coefmat,
    print_matrix,
    print_vector,
    quantile7,
    r_round,
    zapsmall,
)
from r_scripts.dialect import Dialect
from r_scripts.escapes import visible
from r_scripts.printed import printed_html

__all__ = [
    "AnovaTable",
    "LmerSummary",
    "VarCorrTable",
    "abbreviate",
    "cat_fill",
    "format_varcorr",
    "print_fit",
]

_OPTIMIZER_LINE = "optimizer (nloptwrap) convergence code: 0 (OK)"
_WIDTH = 80  # getOption("width")
_COR_MAX = 12  # getOption("lme4.summary.cor.max")
_COMPONENTS = ("Variance", "Std.Dev.")
_MOST_EFFECTS = 10  # reformulas::formatVC's maxdim


# -- R's text tools ----------------------------------------------------------------------------------------------


def _abbreviate_one(text: str, minlength: int) -> str:
    """R's internal ``stripchars``: drop lower-case vowels, then lower-case letters, then anything, from the end."""
    chars = list(text)
    blanks = sum(c.isspace() for c in chars[1:])

    def done() -> bool:
        return len(chars) - blanks <= minlength

    def first(i: int) -> bool:
        return chars[i - 1].isspace()

    def last(i: int) -> bool:
        return not chars[i - 1].isspace() and (i + 1 >= len(chars) or chars[i + 1].isspace())

    def strip() -> None:
        for droppable in ("aeiou", None):
            for at_end in (True, False):
                for i in range(len(chars) - 1, 0, -1):
                    fits = chars[i] in droppable if droppable else chars[i].islower()
                    if fits and (last(i) if at_end else not first(i)):
                        del chars[i]
                    if done():
                        return
        for i in range(len(chars) - 1, 0, -1):
            if not first(i) and not chars[i].isspace():
                del chars[i]
            if done():
                return

    if len(chars) >= minlength and not done():
        strip()
    if len(chars) > minlength:
        chars = chars[:1] + [c for c in chars[1:] if not c.isspace()]
    return "".join(chars)


def abbreviate(names: Sequence[str], minlength: int = 4) -> list[str]:
    """``abbreviate(names, minlength)``: shortened names that stay distinct."""
    trimmed = [name.strip(" ") for name in names]
    unique = list(dict.fromkeys(trimmed))
    short = dict.fromkeys(unique, "")
    todo = unique
    length = minlength
    while todo:
        for name in todo:
            short[name] = _abbreviate_one(name, length)
        seen: set[str] = set()
        repeated: set[str] = set()
        for name in unique:
            if short[name] in seen:
                repeated.add(short[name])
            seen.add(short[name])
        todo = [name for name in unique if short[name] in repeated]
        length += 1
    return [short[name] for name in trimmed]


def cat_fill(parts: Sequence[str], width: int = 80) -> str:
    """``cat(..., fill = TRUE)``: parts joined by blanks, a new line before a part that would reach beyond `width`.

    R counts bytes here, not characters.
    """
    out, used = "", 0
    for i, part in enumerate(parts):
        size = len(part.encode()) + 1
        if used and used + size > width:
            out += "\n"
            used = 0
        out += part
        used += size
        if i < len(parts) - 1:
            out += " "
    return out + "\n"


# -- pieces of lme4's output --------------------------------------------------------------------------------------


def format_varcorr(
    groups: Sequence[str],
    effects: Sequence[Sequence[str]],
    covariances: Sequence[np.ndarray],
    sigma: float,
    digits: int = 5,
    comp: str | Sequence[str] = ("Std.Dev.",),
    dialect: Dialect | None = None,
    shown: Sequence[tuple[int, str]] | None = None,
) -> str:
    """``formatVC`` printed: variances, standard deviations and correlations of all terms and of the residual.

    lme4's own until 1.1-38, since 2.0-1 that of reformulas: it gives at most ten effects of a term.

    Parameters
    ----------
    groups : sequence of str
        A name for each term.
    effects : sequence of sequence of str
        Effects of each term.
    covariances : sequence of ndarray, shape (p, p)
    sigma : float
    digits : int
    comp : str or sequence of str
        ``"Variance"`` and ``"Std.Dev."``: the columns, in this order (since lme4 2.0-1 variances first).
    dialect : Dialect, optional
        Whose text; the newest where not given.
    shown : sequence of (int, str), optional
        Of structured covariances: rows of each term, and ``"matrix"`` of its correlations, ``"none"`` or the
        structure's name beside the one that it has.

    Returns
    -------
    str

    Raises
    ------
    DataError
        Another component.
    """
    dialect = Dialect.of(None) if dialect is None else dialect
    wanted = [comp] if isinstance(comp, str) else list(comp)
    if not wanted or any(one not in _COMPONENTS for one in wanted):
        raise DataError(f"comp has {' and '.join(map(repr, _COMPONENTS))}, or one of them, not {comp!r}")
    newer = dialect.has("format_vc")
    lines = [(len(names), "matrix") for names in effects] if shown is None else shown
    sds = np.concatenate([*(np.sqrt(np.diag(c))[:n] for c, (n, _) in zip(covariances, lines, strict=True)), [sigma]])
    numbers = {"Variance": format_num(sds**2, digits), "Std.Dev.": format_num(sds, digits)}
    columns = [one for one in _COMPONENTS if one in wanted] if newer else wanted
    head = "Cov" if not newer and dialect.has("cov_for_variances") and "Std.Dev." not in wanted else "Corr"
    places = max(2, digits - 2)
    most = _MOST_EFFECTS if newer else max((len(e) for e in effects), default=1)
    rows: list[list[str]] = []
    matrices: list[np.ndarray] = []
    start = 0
    for group, names, covariance, (count, kind) in zip(groups, effects, covariances, lines, strict=True):
        p = min(count, most)
        rows += [[group if i == 0 else "", names[i], *(numbers[one][start + i] for one in columns)] for i in range(p)]
        matrix = _correlation_cells(covariance, kind, p, head, places)
        if count > most:
            rows.append(["", "...", *("..." for _ in columns)])
            if kind == "matrix":
                matrix = np.vstack([matrix, np.full((1, p), "...", dtype=object)])
        matrices.append(matrix)
        start += count
    rows.append(["Residual", "", *(numbers[one][-1] for one in columns)])
    heads = ["Groups", "Name", *columns]
    widest = max((matrix.shape[1] for matrix in matrices), default=1)
    if widest > 1 or any(matrix.size and matrix[0, 0] for matrix in matrices):
        # reformulas keeps the last column of each matrix, which is empty, and so a blank at the end of each line
        width = widest if newer else widest - 1
        beside = np.full((len(rows), width), "", dtype=object)
        row = 0
        for matrix, (count, _) in zip(matrices, lines, strict=True):
            kept = min(width, matrix.shape[1])
            beside[row : row + matrix.shape[0], :kept] = matrix[:, :kept]
            row += min(count, most) + (count > most)
        heads += [head, *[""] * (width - 1)]
        rows = [[*cells, *more] for cells, more in zip(rows, beside.tolist(), strict=True)]
    return print_matrix(np.array(rows, dtype=object), [""] * len(rows), heads, right=False)


def _correlation_cells(covariance: np.ndarray, kind: str, p: int, head: str, places: int) -> np.ndarray:
    """Correlations beside the first p effects of a term: below the diagonal, none, or the one that there is."""
    if kind == "none":
        return np.full((1, 1), "", dtype=object)
    if kind == "matrix":
        return _lower_cells((covariance if head == "Cov" else _correlation(covariance))[:p, :p], places)
    correlation = _correlation(covariance)
    value = correlation[min(1, len(correlation) - 1), 0]
    text = format_num(r_round(np.array([value]), places), nsmall=places, na="NA")[0]
    return np.full((1, 1), f"{text} ({kind})", dtype=object)


def _lower_cells(matrix: np.ndarray, places: int) -> np.ndarray:
    """Format a matrix below its diagonal, the rest empty."""
    p = matrix.shape[0]
    cells = np.array(
        format_num(r_round(matrix, places).ravel(order="F"), nsmall=places, na="NaN"), dtype=object
    ).reshape(p, p, order="F")
    cells[np.triu_indices(p)] = ""
    return cells


def _correlation(covariance: np.ndarray) -> np.ndarray:
    """Correlations as ``mkVarCorr`` computes them (0/0 gives NaN), ones on the diagonal."""
    sd = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = ((covariance / sd[:, None]).T / sd[:, None]).T
    np.fill_diagonal(correlation, 1.0)
    return correlation


def _groups_line(nobs: int, ngrps: pd.Series) -> str:
    # R's cat() sends control characters to the terminal as they are; here they are written out
    levels = visible("; ".join(f"{name}, {count}" for name, count in ngrps.items()))
    return cat_fill([f"Number of obs: {nobs}, groups: ", levels])


def _aic_table(aictab: pd.Series, places: int) -> str:
    """lme4's ``.prt.aictab``."""
    values = r_round(aictab.to_numpy(dtype=float), places)
    if list(aictab.index) == ["REML"]:
        return cat_fill(["REML criterion at convergence:", format_num(values)[0]])
    cells = format_num(values)
    cells[-1] = format_num(values[-1:])[0]
    return print_vector(cells, names=[str(name) for name in aictab.index]) + "\n"


@dataclass(frozen=True)
class CallText:
    """What lme4's ``.prt.call`` shows: the arguments of the call, as text, None for those not given; and whose words.

    Attributes
    ----------
    formula : str
    data, weights, offset, subset : str, optional
    dialect : Dialect
        The versions of R and its packages whose words the fit has.
    """

    formula: str
    data: str | None = None
    weights: str | None = None
    offset: str | None = None
    subset: str | None = None
    dialect: Dialect = field(default_factory=Dialect)

    def __str__(self) -> str:
        out = cat_fill(["Formula:", *deparse_lines(parse(self.formula))])
        for head, text in (
            ("   Data:", self.data),
            ("Weights:", self.weights),
            (" Offset:", self.offset),
            (" Subset:", self.subset),
        ):
            if text is not None:
                out += cat_fill([head, text])
        return out


@SIGNATURES.verbs
@dataclass(frozen=True)
class LmerSummary:
    """``summary(m)`` of a linear mixed model; ``str()`` is exactly the text that R prints.

    Attributes
    ----------
    REML : bool
    call : CallText
    aictab : Series
        AIC, BIC, logLik, -2*log(L) (until lme4 1.1-36: deviance), df.resid; for REML the criterion alone.
    residuals : ndarray
        Scaled Pearson residuals.
    varcorr : VarCorrTable
        The random effects' covariances and the residual variance.
    ngrps : Series
    nobs : int
    coefficients : DataFrame
        Estimate, Std. Error, t value.
    vcov : DataFrame
    fit_messages : tuple of str
        About dropped columns.
    convergence_messages : tuple of str
        About singular fits and convergence.
    ddf : str or None
        Method of the degrees of freedom, where the summary is lmerTest's.
    """

    REML: bool
    call: CallText
    aictab: pd.Series
    residuals: np.ndarray
    varcorr: "VarCorrTable"
    ngrps: pd.Series
    nobs: int
    coefficients: pd.DataFrame
    vcov: pd.DataFrame
    fit_messages: tuple[str, ...] = ()
    convergence_messages: tuple[str, ...] = ()
    digits: int = 4
    correlation: bool | None = None
    ddf: str | None = None
    _text: list[str] = field(default_factory=list, repr=False, compare=False)

    @property
    def sigma(self) -> float:
        """Residual standard deviation, ``summary(m)$sigma``."""
        return float(self.varcorr["sdcor"].iloc[-1])

    def to_text(self) -> str:
        """Write what R's ``print(summary(m))`` does, the last newline left out."""
        digits = self.digits
        out = f"{_headline(self.REML, self.ddf)}\n{self.call}\n{_aic_table(self.aictab, 1)}\n"
        quantiles = zapsmall(quantile7(self.residuals), digits + 1)
        names = ["Min", "1Q", "Median", "3Q", "Max"]
        out += f"Scaled residuals: \n{print_vector(quantiles, digits, names=names)}\n\n"
        table = self.varcorr.to_text(_COMPONENTS, digits)
        out += f"Random effects:\n{table}\n{_groups_line(self.nobs, self.ngrps)}"
        names = [str(name) for name in self.coefficients.index]
        p = len(names)
        if p:
            values = self.coefficients.to_numpy(dtype=float)
            heads = [str(name) for name in self.coefficients.columns]
            out += f"\nFixed effects:\n{print_coefmat(values, names, heads, digits)}\n"
            shown = p <= _COR_MAX if self.correlation is None else self.correlation
            if shown and p > 1:
                out += f"\nCorrelation of Fixed Effects:\n{self._correlations(names)}\n"
        if self.fit_messages:
            out += "fit warnings:\n" + "".join(f"{text}\n" for text in self.fit_messages)
        if self.convergence_messages:
            out += "\n".join([_OPTIMIZER_LINE, *self.convergence_messages]) + "\n\n"
        return out[:-1]

    def _correlations(self, names: list[str]) -> str:
        p = len(names)
        correlation = _correlation(self.vcov.to_numpy(dtype=float))
        cells = np.array(
            format_num(r_round(correlation, 3).ravel(order="F"), nsmall=3, na="NaN"), dtype=object
        ).reshape(p, p, order="F")
        cells[np.triu_indices(p)] = ""
        rows, heads = abbreviate(names, 11), abbreviate(names, 6)
        return print_matrix(cells[1:, :-1], rows[1:], heads[:-1], right=False)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return printed_html(str(self))


def _title(REML: bool) -> str:
    return f"Linear mixed model fit by {'REML' if REML else 'maximum likelihood '}"


def _headline(REML: bool, ddf: str | None) -> str:
    """lme4's ``.prt.methTit``: the title and the class, wrapped where they are too long."""
    title, kind = _title(REML), "lmerMod" if ddf is None else "lmerModLmerTest"
    if ddf is not None:
        title += f". t-tests use {ddf}'s method"
    if len(title) + len(kind) + 5 <= _WIDTH:
        return f"{title} ['{kind}']"
    lines = textwrap.wrap(title, _WIDTH - 3, subsequent_indent="  ")  # strwrap's lines are shorter than its width
    # cat(..., sep = "", fill = TRUE): a piece that would reach beyond the line starts a new one
    out, used = "", 0
    for piece in (*lines, " [", kind, "]"):
        if used and used + len(piece) > _WIDTH:
            out, used = out + "\n", 0
        out += piece
        used += len(piece)
    return out


def print_fit(summary: LmerSummary) -> str:
    """``print(m)``: the short form, last newline left out."""
    digits = summary.digits
    out = f"{_title(summary.REML)} ['lmerMod']\n{summary.call}{_aic_table(summary.aictab, 4)}"
    table = summary.varcorr.to_text(digits=digits)
    out += f"Random effects:\n{table}\n{_groups_line(summary.nobs, summary.ngrps)}"
    beta = summary.coefficients["Estimate"]
    if len(beta):
        names = [str(name) for name in beta.index]
        cells = format_num(beta.to_numpy(dtype=float), digits)
        out += f"Fixed Effects:\n{print_vector(cells, names=names, gap=2)}\n"
    else:
        out += "No fixed effect coefficients\n"
    if summary.fit_messages:
        out += "fit warnings:\n" + "".join(f"{text}\n" for text in summary.fit_messages)
    if summary.convergence_messages:
        count = len(summary.convergence_messages)
        out += f"{_OPTIMIZER_LINE} ; 0 optimizer warnings; {count} lme4 warnings \n"
    return out[:-1]


_VARCORR = ("grp", "var1", "var2", "vcov", "sdcor")


@SIGNATURES.verbs
class VarCorrTable(pd.DataFrame):
    """``as.data.frame(VarCorr(m))``; ``str()`` is what R prints for ``VarCorr(m)``, ``to_string()`` shows the frame."""

    _metadata = ["_pieces"]  # noqa: RUF012 - pandas' own protocol
    _pieces: tuple[
        Sequence[str], Sequence[Sequence[str]], Sequence[np.ndarray], float, Dialect, Sequence[tuple[int, str]] | None
    ]

    @classmethod
    def of(
        cls,
        groups: Sequence[str],
        effects: Sequence[Sequence[str]],
        covariances: Sequence[np.ndarray],
        sigma: float,
        dialect: Dialect,
        shown: Sequence[tuple[int, str]] | None = None,
    ) -> "VarCorrTable":
        """Variances, then covariances by columns of the lower triangle, term by term; the residual variance last.

        Parameters as of :func:`format_varcorr`.
        """
        rows: list[tuple[str, str | None, str | None, float, float]] = []
        for number, (group, names, covariance) in enumerate(zip(groups, effects, covariances, strict=True)):
            # of diag() they are 0, as R's are, also with a variance of 0
            independent = shown is not None and shown[number][1] == "none"
            sd = np.sqrt(np.diag(covariance))
            rows += [(group, name, None, float(covariance[i, i]), float(sd[i])) for i, name in enumerate(names)]
            with np.errstate(invalid="ignore", divide="ignore"):
                for j in range(len(names)):
                    for i in range(j + 1, len(names)):
                        value = float(covariance[i, j])
                        cor = 0.0 if independent else float(np.float64(value) / sd[i] / sd[j])
                        rows.append((group, names[j], names[i], value, cor))
        rows.append(("Residual", None, None, sigma**2, sigma))
        table = cls(rows, columns=list(_VARCORR))
        table._pieces = (groups, effects, covariances, sigma, dialect, shown)
        return table

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def __getitem__(self, key: object) -> Any:
        """A column; or, by the name of a grouping factor, what R's ``VarCorr(m)[["g"]]`` is: its covariance matrix.

        R's attributes ``stddev`` and ``correlation`` are :meth:`stddev` and :meth:`correlation`.
        """
        if isinstance(key, str) and key not in self.columns and key in self._pieces[0]:
            return self._matrix(key, np.asarray)
        return super().__getitem__(key)

    def _matrix(self, group: str, change: Callable[[np.ndarray], np.ndarray]) -> pd.DataFrame:
        groups, effects, covariances = self._pieces[:3]
        if group not in groups:
            raise DataError(f"VarCorr has no {group!r}; its grouping factors are {', '.join(groups)}")
        place = list(groups).index(group)
        names = list(effects[place])
        return pd.DataFrame(change(np.array(covariances[place])), index=names, columns=names)

    def correlation(self, group: str) -> pd.DataFrame:
        """``attr(VarCorr(m)[[group]], "correlation")``: effect x effect; 0/0 is missing."""
        return self._matrix(group, _correlation)

    def stddev(self, group: str) -> pd.Series:
        """``attr(VarCorr(m)[[group]], "stddev")``, by effect."""
        matrix = self._matrix(group, np.asarray)
        return pd.Series(np.sqrt(np.diag(matrix)), index=matrix.index)

    def to_text(self, comp: str | Sequence[str] = ("Std.Dev.",), digits: int = 5) -> str:
        """Write what R's ``print(VarCorr(m), comp, digits)`` does, the last newline left out."""
        groups, effects, covariances, sigma, dialect, shown = self._pieces
        return format_varcorr(groups, effects, covariances, sigma, digits, comp, dialect, shown)

    def __str__(self) -> str:
        # with a column of the user's own it is a table like any other
        return self.to_text() if tuple(self.columns) == _VARCORR else self.to_string()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return printed_html(str(self))


class AnovaTable(pd.DataFrame):
    """An ``anova`` or ``drop1`` table; ``str()`` is what R prints. The heading is in ``heading``.

    ``absent``, where it is given, says which missing numbers are R's NA and not printed; the others are NaN.
    """

    _metadata = ["heading", "absent"]  # noqa: RUF012 - pandas' own protocol
    heading: tuple[str, ...]
    absent: np.ndarray

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    def to_text(self) -> str:
        """Write what R's ``print.anova`` does, the last newline left out."""
        heads = [str(name) for name in self.columns]
        has_p = heads[-1].startswith(("P(", "Pr("))
        tests = [i for i, head in enumerate(heads) if head[1:7] == " value" or head in ("F", "Cp", "Chisq")]
        zap = [i for i in range(len(heads) - has_p) if i not in tests and not heads[i].endswith("Df")]
        heading = "".join(f"{line}\n" for line in getattr(self, "heading", ()))
        return heading + print_coefmat(
            self.to_numpy(dtype=float),
            [str(name) for name in self.index],
            heads,
            5,
            CoefmatColumns(cs=(), tst=tests, zap=zap, has_pvalue=has_p),
            na="",
            absent=getattr(self, "absent", None),
        )

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return printed_html(self.to_text())
