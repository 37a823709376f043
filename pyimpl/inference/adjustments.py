"""P values and critical values of families of tests: Tukey, Sidak, Scheffé, Dunnett, Holm and their kin, mvt.

The rules, and the words that say which was taken, are those of R's emmeans (``summary.emmGrid``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import fdtrc, fdtri, ndtr, ndtri, stdtr, stdtrit
from scipy.stats import qmc, studentized_range

from pyimpl.errors import DataError, PyimplWarning
from pyimpl.linalg.forecast import Forecast, refuse_too_large
from pyimpl.linalg.heard import heard_if_long
from pyimpl.text.numbers import as_character
from r_scripts.caller import warn

__all__ = [
    "Adjusted",
    "Family",
    "adjusted_critical_values",
    "adjusted_p_values",
    "checked_method",
    "cross_method",
    "p_adjust",
]

_P_ADJUST = ("holm", "hochberg", "hommel", "bonferroni", "BH", "BY", "fdr", "none")
_METHODS = ("sidak", "tukey", "scheffe", "dunnettx", "mvt", *_P_ADJUST)
_FOR_INTERVALS = ("sidak", "tukey", "scheffe", "dunnettx", "mvt", "bonferroni", "none")
_POWER = 14  # 2^15 directions of the quasi-Monte Carlo integration of mvt: an error below 1e-4
_SEED = 20_120_211
_SPEED = 2e10  # operations of an eigendecomposition in a second, about
_QUICK = 'Take adjust="sidak" or "holm", which take no time, or fewer contrasts'


@dataclass(frozen=True)
class Family:
    """What is tested together.

    Attributes
    ----------
    groups : list of ndarray of intp
        Rows of each group of the ``by`` variables.
    size : float or None
        Number of estimates that are compared; None where the groups differ.
    tests : float or None
        Number of tests in a group; None where the groups differ.
    pairs : bool
        Whether these are all pairwise differences of one family.
    ranks : list of int
        Rank of the linear functions of each group (Scheffé).
    correlation : ndarray, shape (rows, rows), or None
        Of the estimates (mvt).
    """

    groups: list[np.ndarray]
    size: float | None
    tests: float | None
    pairs: bool
    ranks: list[int]
    correlation: np.ndarray | None = None

    @property
    def scheffe_rank(self) -> str:
        """Rank that Scheffé's method is reported with."""
        return "(varies)" if self.size is None else str(self.ranks[0])


@dataclass(frozen=True)
class Adjusted:
    """Adjusted numbers, the line that says how they were, and the method's name."""

    numbers: np.ndarray
    message: str | None
    method: str


def p_adjust(p: np.ndarray, method: str, n: int | None = None) -> np.ndarray:
    """``p.adjust(p, method, n)``; missing values stay missing.

    Parameters
    ----------
    p : ndarray, shape (k,)
    method : {"holm", "hochberg", "hommel", "bonferroni", "BH", "BY", "fdr", "none"}
    n : int, optional
        Number of tests, at least k; default the number that are not missing.
    """
    out = np.array(p, dtype=float)
    present = ~np.isnan(out)
    values = out[present]
    k = values.size
    n = k if n is None else n
    if n <= 1 or k == 0 or method == "none":
        return out
    rank = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    ascending = np.sort(values)
    i = np.arange(1, k + 1)
    adjusted: np.ndarray
    if method == "bonferroni":
        adjusted = n * ascending
    elif method == "holm":
        adjusted = np.maximum.accumulate((n + 1 - i) * ascending)
    elif method in ("hochberg", "BH", "BY", "fdr") or (method == "hommel" and n == 2):
        factor: np.ndarray = (n + 1.0 - i) if method in ("hochberg", "hommel") else n / i
        factor = factor * (np.sum(1.0 / np.arange(1, n + 1)) if method == "BY" else 1.0)
        adjusted = np.minimum.accumulate((factor * ascending)[::-1])[::-1]
    elif method == "hommel":
        adjusted = _hommel(np.concatenate([ascending, np.ones(n - k)]))[:k]
    else:
        raise DataError(f"p_adjust: method is one of {', '.join(_P_ADJUST)}, not {method!r}")
    out[present] = np.minimum(1.0, adjusted)[rank]
    return out


def _hommel(p: np.ndarray) -> np.ndarray:
    """Hommel's (1988) procedure on ascending p values, by Wright's (1992) algorithm."""
    n = p.size
    i = np.arange(1, n + 1)
    q = np.full(n, (n * p / i).min())
    best = q.copy()
    for m in range(n - 1, 1, -1):
        upper = slice(n - m + 1, n)
        smallest = (m * p[upper] / np.arange(2, m + 1)).min()
        lower = slice(0, n - m + 1)
        q[lower] = np.minimum(m * p[lower], smallest)
        q[upper] = q[n - m]
        best = np.maximum(best, q)
    return np.maximum(best, p)


def _method(adjust: str, known: Sequence[str]) -> str | None:
    """R's ``pmatch``: exact, or a unique beginning (``"bonf"``)."""
    name = adjust.upper() if adjust.lower() in ("bh", "by") else adjust.lower()
    if name in known:
        return name
    fits = [one for one in known if one.startswith(name)]
    return fits[0] if len(fits) == 1 else None


def checked_method(method: str) -> str:
    """A method of adjustment as it was given, exact or its beginning.

    Raises
    ------
    DataError
        The method is unknown.
    """
    if _method(method, _METHODS) is None:
        raise DataError(f"adjust is one of {', '.join(_METHODS)}, not {method!r}")
    return method


def cross_method(method: str) -> str:
    """Name of a method of adjustment across groups, from its beginning (``cross.adjust``).

    Raises
    ------
    DataError
        The method is unknown.
    """
    name = _method(method, ("sidak", *_P_ADJUST))
    if name is None:
        raise DataError(f"cross_adjust is one of sidak, {', '.join(_P_ADJUST)}, not {method!r}")
    return name


def _changed(old: str, reason: str) -> str:
    warn(f'Note: adjust = "{old}" was changed to "sidak" because "{old}" is {reason}', PyimplWarning)
    return "sidak"


def _checked(adjust: str, family: Family, side: int) -> str:
    if side != 0 and adjust in ("tukey", "scheffe", "dunnettx"):
        adjust = _changed(adjust, "not appropriate for one-sided inferences")
    if adjust == "tukey" and not family.pairs:
        adjust = _changed(adjust, "only appropriate for one set of pairwise comparisons")
    return adjust


def _compared(tests: float) -> float:
    """Number of estimates that have so many pairwise differences."""
    return (1 + np.sqrt(1 + 8 * tests)) / 2


def _is_said(adjust: str, family: Family) -> bool:
    size = family.size
    if size is None:
        size = _compared(max(map(len, family.groups)))
    return adjust not in ("none",) and not (size < 3 and adjust in ("tukey", "scheffe"))


def _words(adjust: str, of: str, size: float | None, family: Family, tests: float | None) -> str:
    if adjust == "tukey":
        return f"for comparing a family of {'(varies)' if size is None else as_character(size, 15)} estimates"
    if adjust == "scheffe":
        return f"with rank {family.scheffe_rank}"
    return f"for {'(varies)' if tests is None else as_character(tests, 15)} {of}"


def adjusted_p_values(t: np.ndarray, df: np.ndarray, adjust: str, family: Family, side: int = 0) -> Adjusted:
    """P values of t statistics, adjusted.

    Parameters
    ----------
    t, df : ndarray, shape (rows,)
        Infinite `df` are those of normal statistics.
    adjust : str
        ``"tukey"``, ``"sidak"``, ``"scheffe"``, ``"dunnettx"``, ``"mvt"``, or a method of :func:`p_adjust`.
    family : Family
    side : {0, -1, 1}
        Two-sided, left- or right-tailed.

    Raises
    ------
    DataError
        The method is unknown.
    """
    scheffe = _method(checked_method(adjust), _METHODS) == "scheffe"
    method = _checked(
        _method("none" if family.tests == 1 and not scheffe else adjust, _METHODS) or "none", family, side
    )
    ragged = family.size is None or method == "mvt" or method in _P_ADJUST
    df = np.where(np.isnan(df), np.inf, df)
    plain = 2 * _t_tail(np.abs(t), df) if side == 0 else _t_tail(side * t, df)
    p = np.full(t.shape, np.nan)
    size, tests = family.size, family.tests
    for g, rows in enumerate(family.groups if ragged else [np.arange(t.size)]):
        if ragged:
            tests = float(len(rows))
            size = _compared(tests)
        assert tests is not None
        assert size is not None
        if method in _P_ADJUST:
            p[rows] = p_adjust(plain[rows], method, len(rows))
        elif method == "sidak":
            p[rows] = 1 - (1 - plain[rows]) ** tests
        elif method == "tukey":
            p[rows] = _tukey_tail(np.abs(t[rows]), size, df[rows])
        elif method == "scheffe":
            p[rows] = _f_tail(t[rows] ** 2 / family.ranks[g], family.ranks[g], df[rows])
        elif method == "dunnettx":
            p[rows] = 1 - _dunnett(np.abs(t[rows]), tests, df[rows])
        else:
            assert family.correlation is not None
            p[rows] = 1 - _mvt(t[rows], _whole_df(df[rows]), family.correlation[np.ix_(rows, rows)], side)
    message = None
    if _is_said(method, family):
        message = f"P value adjustment: {method} method {_words(method, 'tests', size, family, tests)}"
    return Adjusted(p, message, method)


def adjusted_critical_values(level: float, df: np.ndarray, adjust: str, family: Family, side: int = 0) -> Adjusted:
    """Critical values of simultaneous confidence intervals, shape (rows,); parameters as :func:`adjusted_p_values`.

    Methods that have no intervals (Holm's and its kin) are replaced by Bonferroni's, as in R.
    """
    scheffe = _method(checked_method(adjust), _METHODS) == "scheffe"
    method = _method("none" if family.tests == 1 and not scheffe else adjust, _FOR_INTERVALS) or "bonferroni"
    method = _checked(method, family, side)
    message = None
    if _is_said(method, family):
        message = (
            f"Conf-level adjustment: {method} method {_words(method, 'estimates', family.size, family, family.tests)}"
        )
    df = np.where(np.isnan(df), np.inf, df)
    tails = 2 if side == 0 else 1
    whole = family.size is not None and method != "mvt" and len(set(df.tolist())) == 1
    out = np.full(df.shape, np.nan)
    for g, rows in enumerate([np.arange(df.size)] if whole else family.groups):
        own = df[rows]
        tests = float(len(rows)) if family.tests is None else family.tests
        size = _compared(len(rows)) if family.size is None else family.size
        if method == "none":
            out[rows] = -_t_quantile((1 - level) / tails, own)
        elif method == "sidak":
            out[rows] = -_t_quantile((1 - level ** (1 / tests)) / tails, own)
        elif method == "bonferroni":
            out[rows] = -_t_quantile((1 - level) / tests / tails, own)
        elif method == "tukey":
            out[rows] = _each(lambda d, k=size: studentized_range.ppf(level, k, d) / np.sqrt(2), own)
        elif method == "scheffe":
            rank = family.ranks[g]
            out[rows] = [np.sqrt(rank * _f_quantile(level, rank, d)) for d in own]
        elif method == "dunnettx":
            out[rows] = _each(lambda d, k=tests: _dunnett_quantile(level, k, d), own)
        else:
            assert family.correlation is not None
            out[rows] = _mvt_quantile(level, _whole_df(own), family.correlation[np.ix_(rows, rows)], side)
    return Adjusted(out, message, method)


# -- distributions -----------------------------------------------------------------------------------------------------


def _each(function: object, df: np.ndarray) -> np.ndarray:
    """Call a slow function once for each distinct number of degrees of freedom."""
    known = {d: float(function(d)) for d in set(df.tolist())}  # type: ignore[operator]
    return np.array([known[d] for d in df.tolist()])


def _t_tail(t: np.ndarray, df: np.ndarray) -> np.ndarray:
    return np.where(np.isinf(df), ndtr(-t), stdtr(np.where(np.isinf(df), 1.0, df), -t))


def _t_quantile(p: float, df: np.ndarray) -> np.ndarray:
    return np.where(np.isinf(df), ndtri(p), stdtrit(np.where(np.isinf(df), 1.0, df), p))


def _f_tail(F: np.ndarray, ndf: int, df: np.ndarray) -> np.ndarray:
    from scipy.special import chdtrc

    finite = np.where(np.isinf(df), 1.0, df)
    F = np.maximum(F, 0.0)
    return np.where(np.isinf(df), chdtrc(ndf, F * ndf), fdtrc(ndf, finite, F))


def _f_quantile(p: float, ndf: int, df: float) -> float:
    from scipy.special import chdtri

    return float(chdtri(ndf, 1 - p) / ndf if np.isinf(df) else fdtri(ndf, df, p))


def _tukey_tail(t: np.ndarray, size: float, df: np.ndarray) -> np.ndarray:
    out = np.full(t.shape, np.nan)
    forecast = Forecast("Tukey's adjustment", t.size, "P values", _QUICK)
    for i, (x, d) in enumerate(zip(t.tolist(), df.tolist(), strict=True)):
        if not np.isnan(x):
            out[i] = min(1.0, max(0.0, float(studentized_range.sf(np.sqrt(2) * x, size, d))))
        forecast.done()
    return out


def _dunnett(t: np.ndarray, k: float, df: np.ndarray) -> np.ndarray:
    """Approximate Dunnett's distribution as emmeans does: between Tukey's and Sidak's."""
    share = (k - 1) / k
    size = _compared(k)
    tukey = 1 - _tukey_tail(t, size, df) if size > 1 else np.ones_like(t)
    return share * tukey + (1 - share) * (1 - _f_tail(t**2, 1, df)) ** k


def _dunnett_quantile(p: float, k: float, df: float) -> float:
    d = np.array([df])
    if k < 1.005:
        return float(_t_quantile(1 - 0.5 * (1 - p), d)[0])
    tukey = float(studentized_range.ppf(p, _compared(k), df)) / np.sqrt(2)
    sidak = float(np.sqrt(_f_quantile(p ** (1 / k), 1, df)))
    if abs(tukey - sidak) < 5e-4:
        return tukey
    low, high = sorted((tukey, sidak))
    root: float = brentq(lambda x: float(_dunnett(np.array([x]), k, d)[0]) - p, low, high, xtol=1e-8)
    return root


def _whole_df(df: np.ndarray) -> np.ndarray:
    """Degrees of freedom as whole numbers, 0 for infinitely many (emmeans' ``.fix.df``)."""
    whole = np.floor(np.maximum(np.where(np.isinf(df), 1.0, df), 1.0) + 0.25)
    return np.where(np.isinf(df) | (df > 9999), 0.0, whole)


def _directions(correlation: np.ndarray) -> tuple[np.ndarray, int]:
    """Statistics of estimates that lie in directions spread evenly over the sphere, shape (points, k); their rank."""
    k = len(correlation)
    work = 10.0 * k**3
    Forecast('adjust="mvt"', 1, "eigendecompositions", _QUICK, each=work / _SPEED)
    values, vectors = heard_if_long(work, np.linalg.eigh, correlation)
    kept = values > 1e-9 * values[-1]
    root = vectors[:, kept] * np.sqrt(values[kept])
    rank = root.shape[1]
    if rank == 1:
        return np.vstack([root.T, -root.T]), rank
    uniform = qmc.Sobol(rank, rng=np.random.default_rng(_SEED)).random_base2(_POWER)
    normal = ndtri(np.clip(uniform, 1e-12, 1 - 1e-12))
    normal = np.vstack([normal, -normal])
    even = normal / np.linalg.norm(normal, axis=1)[:, None]
    at: np.ndarray = heard_if_long(2.0 * even.size * k, np.matmul, even, root.T)
    return at, rank


def _mvt_probability(x: float, df: float, furthest: np.ndarray, rank: int) -> float:
    """Probability that the largest statistic is below x.

    In a direction the statistics are multiples of one radius, whose square over the rank has an F distribution: what is
    left to average over is the directions (Genz & Bretz 2009, section 4.1), a smooth function.

    Parameters
    ----------
    x : float
    df : float
        0: infinitely many.
    furthest : ndarray, shape (points,)
        Largest statistic at radius 1 in each direction.
    rank : int
    """
    with np.errstate(divide="ignore"):
        radius = np.where(furthest == 0, np.inf, x / furthest)
    below = 1 - _f_tail(radius**2 / rank, rank, np.full(radius.shape, np.inf if df == 0 else df))
    inside = np.where(furthest > 0, below, 1.0) if x >= 0 else np.where(furthest < 0, 1 - below, 0.0)
    return float(inside.mean())


def _furthest(correlation: np.ndarray, side: int) -> tuple[np.ndarray, int]:
    refuse_too_large(
        2.0 ** (_POWER + 2) * len(correlation), f'{len(correlation)} tests with adjust="mvt"', f"{_QUICK}."
    )
    at, rank = _directions(correlation)
    return (np.abs(at).max(axis=1) if side == 0 else at.max(axis=1)), rank


def _mvt(t: np.ndarray, df: np.ndarray, correlation: np.ndarray, side: int) -> np.ndarray:
    """Probability that no statistic is beyond each of these."""
    known = ~np.isnan(np.diag(correlation))
    out = np.full(t.shape, np.nan)
    if not known.any():
        return out
    furthest, rank = _furthest(correlation[np.ix_(known, known)], side)
    rows = np.flatnonzero(known & ~np.isnan(t))
    forecast = Forecast('adjust="mvt"', len(rows), "P values", _QUICK)
    for i in rows:
        x = float(abs(t[i]) if side == 0 else side * t[i])
        out[i] = _mvt_probability(x, float(df[i]), furthest, rank)
        forecast.done()
    return out


def _mvt_quantile(level: float, df: np.ndarray, correlation: np.ndarray, side: int) -> np.ndarray:
    known = ~np.isnan(np.diag(correlation))
    if not known.any():
        return np.full(df.shape, np.nan)
    furthest, rank = _furthest(correlation[np.ix_(known, known)], side)
    k = int(known.sum())

    def quantile(d: float) -> float:
        own = np.array([np.inf if d == 0 else d])
        high = float(-_t_quantile((1 - level) / 2 / k, own)[0]) + 1.0
        root: float = brentq(lambda x: _mvt_probability(x, d, furthest, rank) - level, 0.0, high, xtol=1e-9)
        return root

    return _each(quantile, df)
