"""A fit as one long table of labelled numbers, and two such tables joined by label.

Keys are (quantity, group, term, term2, level); a number is never identified by its position. Whatever one side lacks
stays in the joined table as a row with a missing value, for the judge to fail.
"""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd

from r_scripts.variances import ConditionalVariances
from validation.contract import BayesianFit, Draws, LinearMixedFit
from validation.covariances import structures_of
from validation.errors import RAISED, error_in_words
from validation.wellformed import MalformedError, numbers, variances_of

#: What identifies a number.
KEYS = ("quantity", "group", "term", "term2", "level")
Key = tuple[str, str | None, str | None, str | None, str | None]

T = TypeVar("T")
D = TypeVar("D")

#: Posterior quantiles that are compared, by the column of a :func:`posterior_summary`.
QUANTILES = {"q2.5": 0.025, "q50": 0.5, "q97.5": 0.975}

#: Columns of rstanarm's draws that are not parameters of the model proper.
MAIN_EXCLUDED = ("mean_PPD", "log-posterior")


@dataclass(frozen=True)
class Extraction:
    """What could be read off a fit, and why it did not give a quantity (a method that is not there, or that raised).

    The table has :data:`KEYS`, ``value`` and ``error``: the Monte Carlo standard error of a posterior summary.
    """

    table: pd.DataFrame
    problems: Mapping[str, str] = field(default_factory=dict)


#: Key, value and error of a number.
_Row = tuple[object, ...]
#: The quantities of a part of a fit, and what reads them.
_Part = tuple[tuple[str, ...], Callable[[Any], Iterable[_Row]]]


def named(
    quantity: str, group: str | None = None, term: str | None = None, term2: str | None = None, level: str | None = None
) -> Key:
    """The key of a number."""
    return quantity, group, term, term2, level


def _row(key: Key, value: Any, error: Any = np.nan) -> _Row:
    return (*key, *(float("nan") if number is None or number is pd.NA else float(number) for number in (value, error)))


def _extracted(fit: object, parts: Iterable[_Part]) -> Extraction:
    """What some parts of a fit say; one that cannot be read is noted, and the others go on."""
    rows: list[_Row] = []
    problems: dict[str, str] = {}
    for quantities, read in parts:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # deviance() of a REML fit warns, as R does
                rows += list(read(fit))
        except RAISED as error:  # a candidate may raise anything: it is reported, and nothing else is lost
            problems |= dict.fromkeys(quantities, error_in_words(error))
    return Extraction(_table(rows), problems)


def frame_of(rows: Iterable[_Row], columns: Sequence[str], numbers: Collection[str]) -> pd.DataFrame:
    """A frame of rows, whose columns but those of numbers are of objects."""
    cells = list(zip(*rows, strict=True)) or [()] * len(columns)
    # Series one by one: pandas would make plain strings of verdicts, and NaN, which equals nothing, of None.
    return pd.DataFrame(
        {
            name: pd.Series(list(values), dtype=float if name in numbers else object)
            for name, values in zip(columns, cells, strict=True)
        }
    )


def _table(rows: Iterable[_Row]) -> pd.DataFrame:
    return frame_of(rows, (*KEYS, "value", "error"), ("value", "error"))


def _label(value: Any) -> str | None:
    return None if value is None or (not isinstance(value, str) and pd.isna(value)) else str(value)


def _scalar(name: str) -> _Part:
    return (name,), lambda fit: [_row(named(name), getattr(fit, name)())]


def _by_term(quantity: str, values: pd.Series) -> Iterator[_Row]:
    return (_row(named(quantity, term=str(term)), value) for term, value in values.items())


def _by_row(quantity: str, values: pd.Series) -> Iterator[_Row]:
    pairs = zip(values.index, values.to_numpy(dtype=float), strict=True)
    return (_row(named(quantity, level=str(label)), value) for label, value in pairs)


def _tests(fit: LinearMixedFit) -> Iterator[_Row]:
    table = fit.coef_table()
    for term in table.index:
        for quantity, column in (("se", "Std. Error"), ("t", "t value")):
            yield _row(named(quantity, term=str(term)), table.loc[term, column])


def _vcov(fit: LinearMixedFit) -> Iterator[_Row]:
    matrix = fit.vcov()
    names, columns = ([str(name) for name in axis] for axis in (matrix.index, matrix.columns))
    values = matrix.to_numpy(dtype=float)
    for i, first in enumerate(names):
        for j, second in enumerate(columns):
            if j <= i or second not in names:
                yield _row(named("vcov", None, first, second), values[i, j])


def _varcorr(fit: LinearMixedFit) -> Iterator[_Row]:
    for row in fit.VarCorr().itertuples(index=False):
        group, first, second = _label(row.grp), _label(row.var1), _label(row.var2)
        names = ("variance", "sd") if second is None else ("covariance", "cor")
        for quantity, value in zip(names, (row.vcov, row.sdcor), strict=True):
            yield _row(named(quantity, group, first, second), value)


def _ranef(fit: LinearMixedFit) -> Iterator[_Row]:
    for group, frame in fit.ranef().items():
        values = frame.to_numpy(dtype=float)
        for j, effect in enumerate(numbered(map(str, frame.columns))):
            for i, level in enumerate(map(str, frame.index)):
                yield _row(named("ranef", str(group), effect, level=level), values[i, j])


def _condsd(fit: LinearMixedFit) -> Iterator[_Row]:
    for (group, effect, level), sd in _conditional_sds(variances_of(fit.ranef_condVar())).items():
        yield _row(named("condsd", group, effect, level=level), sd)


def _by_level(quantity: str, frames: Mapping[str, pd.DataFrame]) -> Iterator[_Row]:
    for group, frame in frames.items():
        for effect in frame.columns:
            for level, value in frame[effect].items():
                yield _row(named(quantity, str(group), str(effect), level=str(level)), value)


_LIKELIHOOD: tuple[_Part, ...] = (
    _scalar("nobs"),
    (("npar",), lambda fit: [_row(named("npar"), fit.npar() if callable(fit.npar) else fit.npar)]),
    _scalar("df_residual"),
    (("criterion",), lambda fit: [_row(named("criterion", term="REML"), fit.isREML())]),
    (("singular",), lambda fit: [_row(named("singular"), fit.isSingular())]),
    *map(_scalar, ("logLik", "deviance", "AIC", "BIC", "sigma")),
    (("ngrps",), lambda fit: (_row(named("ngrps", str(g)), count) for g, count in fit.ngrps().items())),
    (("fixef",), lambda fit: _by_term("fixef", fit.fixef())),
    (("se", "t"), _tests),
    (("vcov",), _vcov),
    (("theta",), lambda fit: _by_term("theta", fit.getME("theta"))),
    (("variance", "covariance", "sd", "cor"), _varcorr),
    (("ranef",), _ranef),
    (("condsd",), _condsd),
    (("coef",), lambda fit: _by_level("coef", fit.coef())),
    (("fitted",), lambda fit: _by_row("fitted", fit.fitted())),
    (("residuals",), lambda fit: _by_row("residuals", fit.residuals())),
    (("scaled_residuals",), lambda fit: _by_row("scaled_residuals", fit.residuals(scaled=True))),
)


def likelihood_quantities(fit: LinearMixedFit, reml: bool | None = None) -> Extraction:
    """Every number of a likelihood fit that R users read, by label; of a fit that gives less, what it gives.

    ``REMLcrit`` where the REML criterion was asked for (``fit.isREML()`` where that is not said), and ``par`` where a
    term's covariances are structured, besides :data:`_LIKELIHOOD`.
    """
    parts = list(_LIKELIHOOD)
    if bool(reml) if reml is not None else quietly(lambda: bool(fit.isREML()), False):
        parts.append(_scalar("REMLcrit"))
    if any(not structure.free for structure in quietly(lambda: structures_of(fit), None) or ()):
        parts.append((("par",), lambda fit: _by_term("par", fit.getME("par"))))
    return _extracted(fit, parts)


def inference_quantities(fit: LinearMixedFit) -> Extraction:
    """Degrees of freedom and p-values of the coefficients, where a fit gives them.

    From columns ``df`` and ``Pr(>|t|)`` (or ``Pr(>|z|)``, ``p``) of ``coef_table()``, as lmerTest prints them, or from
    ``satterthwaite()``. lme4 itself gives none, so nothing here is asked of a fit that has none.
    """

    def read(fit: LinearMixedFit) -> Iterator[_Row]:
        table, tests = fit.coef_table(), getattr(fit, "satterthwaite", None)
        if not any(_is_p(name) for name in table.columns) and callable(tests):
            table = tests()
        for column in table.columns:
            quantity = "p" if _is_p(column) else "df" if str(column).casefold() in ("df", "dof", "ddf") else None
            if quantity is not None:
                yield from _by_term(quantity, table[column])

    return _extracted(fit, [(("df", "p"), read)])


def reported_quantities(fit: BayesianFit) -> pd.DataFrame:
    """What a posterior fit reports of its draws; a verb that it does not have, or that raises, is left out."""
    parts: tuple[_Part, ...] = (
        (("fixef",), lambda fit: _by_term("fixef", fit.fixef())),
        (("se",), lambda fit: _by_term("se", fit.se())),
        _scalar("sigma"),
        (("variance", "covariance", "sd", "cor"), _varcorr),
        (("ranef",), lambda fit: _by_level("ranef", fit.ranef())),
    )
    return _extracted(fit, parts).table


def _is_p(column: Any) -> bool:
    name = str(column).casefold().replace(" ", "")
    return name.startswith("pr(") or name in ("p", "p>|t|", "p>|z|", "p_value", "pvalue", "p.value", "p-value")


#: A level that no data have, for predictions at unseen levels.
UNSEEN = "mlmparity-unseen-level"

#: Rows predicted with unseen levels.
_MOST_NEW_ROWS = 25


def prediction_quantities(fit: LinearMixedFit, data: pd.DataFrame | None = None) -> Extraction:
    """Predictions: of the fixed effects alone, and for levels that the data do not have (rows of ``data`` with such).

    ``predict-marginal`` (``re_form="~0"``) and ``predict-new`` (``allow_new_levels=True``), by row.
    """
    predict = getattr(fit, "predict", None)
    if not callable(predict):
        return _extracted(fit, [])
    parts: list[_Part] = [(("predict-marginal",), lambda _: _by_row("predict-marginal", predict(None, re_form="~0")))]
    newdata = quietly(lambda: _unseen_levels(fit, data), None)
    if newdata is not None:
        parts.append((("predict-new",), lambda _: _by_row("predict-new", predict(newdata, allow_new_levels=True))))
    return _extracted(fit, parts)


def _unseen_levels(fit: LinearMixedFit, data: pd.DataFrame | None) -> pd.DataFrame | None:
    """Some complete rows of the data, each grouping factor at a level that no row has."""
    if data is None or not data.index.is_unique or not data.columns.is_unique:
        return None
    columns = columns_of(str(fit.formula), data)
    newdata = data[columns].dropna().iloc[:_MOST_NEW_ROWS].copy()
    groups = {part for name in fit.getME("flist").columns for part in str(name).split(":")}
    if newdata.empty or not groups <= {str(column) for column in columns}:
        return None
    for group in groups:
        column = data[group]
        number = pd.api.types.is_numeric_dtype(column.dtype)
        newdata[group] = column.max() + 1 if number else pd.Categorical([UNSEEN] * len(newdata))
    return newdata


def columns_of(formula: str, data: pd.DataFrame) -> list[Hashable]:
    """The columns of the data that a formula names, in backquotes or without."""
    words = {first or second for first, second in re.findall(r"`([^`]+)`|([^\W\d][\w.]*)", formula)}
    return [column for column in data.columns if str(column) in words]


def quietly(function: Callable[[], T], default: D) -> T | D:
    """What a function gives, or the default where it raises: what a side lacks is told where it is compared."""
    try:
        return function()
    except RAISED:
        return default


def numbered(effects: Iterable[str]) -> list[str]:
    """Tell an effect that several terms of one group have (``(1 | g) + (x | g)``) by which time it is."""
    seen: Counter[str] = Counter()
    names = []
    for effect in effects:
        seen[effect] += 1
        names.append(effect if seen[effect] == 1 else f"{effect} ({seen[effect]})")
    return names


def _conditional_sds(variances: ConditionalVariances) -> dict[tuple[str, str, str], float]:
    sds: dict[tuple[str, str, str], float] = {}
    for group, block in variances.blocks.items():
        for i, level in enumerate(block.levels):
            for j, effect in enumerate(numbered(block.effects)):
                # A variance of zero comes out of a Cholesky as ± rounding; a truly negative one must stay visible.
                variance = block.variances[i, j, j]
                sds[(group, effect, level)] = float(np.sign(variance) * np.sqrt(abs(variance)))
    return sds


def groups_of(names: Iterable[str]) -> tuple[str, ...]:
    """Grouping factors that rstanarm's column names tell of, the longest name first.

    A variance is ``Sigma[group:effect,effect]``: one effect twice, which names with spaces, colons or commas of their
    own cannot hide.
    """
    found: dict[str, None] = {}
    for name in names:
        inside = name[6:-1] if name.startswith("Sigma[") and name.endswith("]") else ""
        colons = (i for i, character in enumerate(inside) if character == ":" and _twice(inside[i + 1 :]))
        found |= {inside[:colon]: None for colon in islice(colons, 1)}
    return tuple(sorted(found, key=len, reverse=True))


def _twice(pair: str) -> str:
    """The effect of which ``effect,effect`` is made: it may have a comma itself, as ``poly(x, 2)1``; or nothing."""
    half = len(pair) // 2
    return pair[:half] if len(pair) % 2 and pair[half:] == f",{pair[:half]}" else ""


def split_parameter(name: str, groups: Iterable[str] = ()) -> tuple[str | None, str, str | None, str | None]:
    """Take one of rstanarm's column names apart: (group, term, term2, level).

    ``b[(Intercept) school:20920]`` -> ``("school", "(Intercept)", None, "20920")``;
    ``Sigma[school:femaleF,(Intercept)]`` -> ``("school", "femaleF", "(Intercept)", None)``; anything else is a term.
    The grouping factors (:func:`groups_of` all names) decide where names have spaces or colons of their own.
    """
    if name.startswith("b[") and name.endswith("]") and " " in name and ":" in name:
        inside = name[2:-1]
        for group in groups:
            effect, there, level = inside.partition(f" {group}:")
            if there and effect:
                return group, effect, None, level
        effect, _, rest = inside.rpartition(" ")  # rstanarm writes spaces in levels as "_"
        # An interaction group (batch:cask) has colons itself, and so have its levels: the last half is the level.
        parts = rest.split(":")
        half = len(parts) // 2
        group, level = (":".join(parts[:half]), ":".join(parts[half:])) if half else (rest, "")
        return group, effect, None, level
    if name.startswith("Sigma[") and name.endswith("]") and ":" in name:
        inside = name[6:-1]
        known = next((group for group in groups if inside.startswith(f"{group}:")), None)
        # "g:x:f,(Intercept)" is ambiguous by itself; the first colon decides where the groups are not known.
        group, pair = (known, inside[len(known) + 1 :]) if known is not None else inside.split(":", 1)
        first, _, second = pair.partition(",")
        same = _twice(pair)
        return group, same or first, same or second, None
    return None, name, None, None


class DrawsAlone:
    """Draws alone, as a fit."""

    def __init__(self, draws: Draws) -> None:
        import xarray as xr

        if isinstance(draws, Mapping | pd.DataFrame) and not hasattr(draws, "children"):
            variables = {}
            for name in draws:
                values = np.asarray(draws[name], dtype=float)
                if values.ndim == 1:
                    values = values[None]
                if values.ndim != 2:
                    raise ValueError(
                        f"draws of {name!r} have shape {values.shape}; expected (draws,) or (chains, draws)"
                    )
                variables[str(name)] = (("chain", "draw"), values)
            lengths = {name: array[1].shape for name, array in variables.items()}
            if len(set(lengths.values())) > 1:
                raise ValueError(f"parameters differ in their numbers of chains and draws: {lengths}")
            draws = xr.Dataset(variables)
        self.posterior = draws


def draws_of(fit: BayesianFit) -> tuple[list[str], np.ndarray]:
    """R's column names, and draws (parameters by chains by draws), of every parameter of ``fit.posterior``."""
    posterior = fit.posterior
    dataset = posterior["posterior"].dataset if hasattr(posterior, "children") else posterior
    names: list[str] = []
    blocks: list[np.ndarray] = []
    for variable in dataset.data_vars:
        array = dataset[str(variable)]
        rest = [dim for dim in array.dims if dim not in ("chain", "draw")]
        ordered = array.transpose("chain", "draw", *rest).to_numpy()
        values = numbers(ordered, f"draws of {str(variable)!r}", ndim=ordered.ndim)
        if not rest:
            names.append(str(variable))
            blocks.append(values[None])
        elif len(rest) == 1 and rest[0] in array.coords:
            names.extend(str(label) for label in array.coords[rest[0]].to_numpy())
            blocks.append(np.moveaxis(values, -1, 0))
        else:
            raise ValueError(
                f"variable {str(variable)!r} of the posterior has dimensions {array.dims}; expected (chain, draw), "
                "or one more dimension with R's parameter names as its coordinate"
            )
    if not blocks:
        raise ValueError("the posterior holds no variables")
    draws = np.concatenate(blocks)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedError(f"the posterior has the parameter {twice!r} more than once")
    if draws.size == 0:
        raise ValueError(f"the posterior holds no draws: {draws.shape[1]} chains of {draws.shape[2]}")
    return names, draws


def _mcse_sd(draws: np.ndarray) -> np.ndarray:
    """Monte Carlo error of each standard deviation, by the ESS of the squared deviations, as R's posterior has it.

    ArviZ took the ESS of the draws themselves until arviz-stats 1.3.2, which Python 3.11 cannot have: of anticorrelated
    draws that is a third of the error.
    """
    from arviz_stats.base import array_stats

    squares = (draws - draws.mean(axis=(1, 2), keepdims=True)) ** 2
    variance = squares.mean(axis=(1, 2))
    of_variance = ((squares**2).mean(axis=(1, 2)) - variance**2) / array_stats.ess(squares, method="mean")
    return np.sqrt(of_variance / variance / 4)


def posterior_summary(names: list[str], draws: np.ndarray) -> pd.DataFrame:
    """Mean, sd and quantiles of each parameter with their Monte Carlo standard errors, ESS and R-hat, in rows.

    Columns ``mean sd q2.5 q50 q97.5``, each with ``mcse_`` before it, and ``ess_bulk ess_tail rhat`` (Vehtari et al.
    2021, by ArviZ).
    """
    from arviz_stats.base import array_stats

    columns: dict[str, np.ndarray] = {}
    with np.errstate(all="ignore"):
        columns["mean"] = draws.mean(axis=(1, 2))
        columns["mcse_mean"] = array_stats.mcse(draws, method="mean")
        columns["sd"] = draws.std(axis=(1, 2), ddof=1)
        columns["mcse_sd"] = _mcse_sd(draws)
        for name, probability in QUANTILES.items():
            columns[name] = np.quantile(draws, probability, axis=(1, 2))
            columns[f"mcse_{name}"] = array_stats.mcse(draws, method="quantile", prob=probability)
        columns["ess_bulk"] = array_stats.ess(draws, method="bulk")
        columns["ess_tail"] = array_stats.ess(draws, method="tail", prob=(0.05, 0.95))
        # One chain is split into two: its halves must agree with each other, as split R-hat asks.
        half = draws.shape[2] // 2
        halves = np.concatenate([draws[:, :, :half], draws[:, :, half : 2 * half]], axis=1)
        columns["rhat"] = array_stats.rhat(draws if draws.shape[1] > 1 else halves)
    frame = pd.DataFrame({key: np.atleast_1d(np.asarray(value, dtype=float)) for key, value in columns.items()})
    frame.index = pd.Index(names, name="parameter")
    return frame


def truth_table(found: object) -> pd.DataFrame | None:
    """Quadrature's answer as a ``posterior_summary``: statistics, with numerical in place of Monte Carlo errors.

    ``found`` has ``table`` (and, where it gives them, ``error`` of the same shape and ``ranef``): index parameter,
    columns ``mean``, ``sd``, ``2.5%``, ``50%``, ``97.5%`` as far as they are known.
    """
    values = found if isinstance(found, pd.DataFrame) else getattr(found, "table", None)
    if not isinstance(values, pd.DataFrame) or values.empty:
        return None
    errors = getattr(found, "error", None)
    errors = errors if isinstance(errors, pd.DataFrame) else values * 0.0
    ranef = getattr(found, "ranef", None)
    if isinstance(ranef, pd.DataFrame) and len(ranef):
        values, errors = pd.concat([values, ranef]), pd.concat([errors, ranef * 0.0])
    names = {f"{100 * probability:g}%": name for name, probability in QUANTILES.items()}
    values, errors = values.rename(columns=names), errors.rename(columns=names).abs()
    known = [name for name in ("mean", "sd", *QUANTILES) if name in values.columns]
    table = pd.concat([values[known], errors[known].add_prefix("mcse_")], axis=1).astype(float)
    return table.set_axis(pd.Index(map(str, values.index), name="parameter")) if known else None


def summary_quantities(summary: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """The long table of a :func:`posterior_summary` (``post-mean``, ``post-sd``, ``post-q2.5``, ...).

    Groups are as of :func:`split_parameter`.
    """
    return _table(
        _row((f"post-{name}", *split_parameter(str(parameter), groups)), row[name], row[f"mcse_{name}"])
        for parameter, row in summary.iterrows()
        for name in ("mean", "sd", *QUANTILES)
        if name in summary.columns
    )


def join(reference: pd.DataFrame, candidate: pd.DataFrame) -> pd.DataFrame:
    """Two long tables (``Extraction.table``) joined by label, rows of either side kept.

    :data:`KEYS`, ``reference``, ``candidate``, ``error_reference``, ``error_candidate``, and ``has_reference``,
    ``has_candidate``: whether the side has the row at all (its value may be missing all the same).
    """
    sides = {"reference": _keyed(reference), "candidate": _keyed(candidate)}
    keys = list(dict.fromkeys([*sides["reference"], *sides["candidate"]]))  # what only the candidate has comes last
    joined = pd.DataFrame({name: pd.Series([key[i] for key in keys], dtype=object) for i, name in enumerate(KEYS)})
    for side, known in sides.items():
        pairs = np.array([known.get(key, (np.nan, np.nan)) for key in keys], dtype=float).reshape(-1, 2)
        joined[side], joined[f"error_{side}"] = pairs.T
        joined[f"has_{side}"] = np.array([key in known for key in keys], dtype=bool)
    return joined


def _keyed(table: pd.DataFrame) -> dict[tuple[object, ...], tuple[float, float]]:
    """Values and errors by key; a label that occurs twice is numbered, so that no row is lost or multiplied."""
    seen: Counter[tuple[object, ...]] = Counter()
    found = {}
    for *labels, value, error in zip(*(table[name] for name in (*KEYS, "value", "error")), strict=True):
        key = tuple(labels)
        found[*key, seen[key]] = value, error
        seen[key] += 1
    return found


def key_of(record: Mapping[str, object]) -> Key:
    """Which number a row of a comparison's table holds."""
    return cast("Key", tuple(record[name] for name in KEYS))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries by column name."""
    return [{str(key): value for key, value in record.items()} for record in frame.to_dict("records")]
