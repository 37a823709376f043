"""The bootstrap of a fitted model (``bootMer``), and intervals from it (``confint.bootMer``, ``boot::boot.ci``)."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypedDict, TypeVar

import numpy as np
import pandas as pd

from pyimpl.arguments import Count, Jobs, Seeds, Share
from pyimpl.errors import DataError, PyimplWarning
from pyimpl.inference.profile import percent_labels
from pyimpl.linalg.forecast import Forecast, foretold
from pyimpl.progress import with_bar
from r_scripts.caller import warn

__all__ = ["Draw", "IntervalArguments", "RefitArguments", "Refitted", "Statistic", "boot_intervals", "bootstrap"]

#: What a statistic of a fit may be: numbers, always as many, by name or not.
Statistic = float | Sequence[float] | np.ndarray | pd.Series | Mapping[str, float]


class RefitArguments(TypedDict, total=False):
    """Arguments of ``LmerFit.bootMer`` that say how it refits."""

    seed: Seeds | None
    type: str
    n_jobs: Jobs
    progress: bool


class IntervalArguments(TypedDict, total=False):
    """Arguments of ``LmerFit.confint`` for ``method="boot"``."""

    nsim: Count
    boot_type: str
    FUN: Callable[[Any], Statistic] | None
    seed: Seeds | None
    n_jobs: Jobs


class Refitted(Protocol):
    """What a replicate is: a fit that says how it went."""

    @property
    def messages(self) -> tuple[str, ...]:
        """Texts of the fit's messages."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Texts of the fit's warnings."""


Model = TypeVar("Model", bound=Refitted)

#: One replicate: what ``draw`` gives for its random numbers is the refitted model.
Draw = Callable[[np.random.SeedSequence], Model]


def _statistic(value: object) -> tuple[list[str] | None, np.ndarray]:
    """Return the names, where there are any, and the numbers of a statistic."""
    names: list[str] | None = None
    if isinstance(value, pd.Series):
        names = [str(name) for name in value.index]
    elif isinstance(value, Mapping):
        names, value = [str(name) for name in value], list(value.values())
    try:
        numbers = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise DataError(
            f"bootMer needs a FUN that returns numbers (a number, array, Series or dict of them), not {value!r:.80}"
        ) from None
    return names, numbers.ravel()


def _replicates(
    draw: Draw[Model], statistic: Callable[[Model], Statistic], seeds: Sequence[np.random.SeedSequence], size: int
) -> list[tuple[np.ndarray, tuple[str, ...], str | None]]:
    """Return the statistic, the refit's messages and the error, if any, of each seed."""
    out: list[tuple[np.ndarray, tuple[str, ...], str | None]] = []
    for seed in seeds:
        texts: tuple[str, ...] = ()
        error: str | None = None
        numbers = np.full(size, np.nan)
        try:
            fit = draw(seed)
            texts = (*fit.messages, *fit.warnings)
            numbers = _statistic(statistic(fit))[1]
            if numbers.size != size:
                error = f"FUN returned {numbers.size} numbers instead of {size}"
                numbers = np.full(size, np.nan)
        except Exception as failure:  # as in R, a replicate that fails is counted, and the rest goes on
            error = f"{type(failure).__name__}: {failure}"
        out.append((numbers, texts, error))
    return out


def bootstrap(
    fit: Model,
    draw: Draw[Model],
    statistic: Callable[[Model], Statistic],
    nsim: Count,
    seed: Seeds | None,
    n_jobs: Jobs,
    progress: bool,
) -> pd.DataFrame:
    """Compute a statistic of refits to new responses.

    Each replicate has random numbers of its own, ``SeedSequence(seed).spawn(nsim)``: the result depends neither on
    `n_jobs` nor on joblib's backend.

    Parameters
    ----------
    fit : object
        The statistic's first argument for the observed value.
    draw : callable
        Seed -> the model refitted to a response drawn with it.
    statistic : callable
    nsim, seed, n_jobs, progress
        See ``LmerFit.bootMer``.

    Returns
    -------
    DataFrame
        See ``LmerFit.bootMer``.
    """
    names, observed = _statistic(statistic(fit))
    if names is not None and len(set(names)) < len(names):
        raise DataError(f"FUN's names are not distinct: {', '.join(names)}")
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    # a fresh root: spawning from the caller's would make the second call's numbers others
    root = np.random.SeedSequence(root.entropy, spawn_key=root.spawn_key, pool_size=root.pool_size)
    children = root.spawn(nsim)
    if n_jobs == 1:
        sizes = [1] * nsim
        batches: Iterable[Any] = (_replicates(draw, statistic, [child], observed.size) for child in children)
    else:
        from joblib import Parallel, delayed, effective_n_jobs

        # the fit travels to the worker with each batch: few of them, but enough to even out and to show progress
        count = min(nsim, 8 * effective_n_jobs(n_jobs))
        parts = [[children[i] for i in part] for part in np.array_split(np.arange(nsim), count)]
        sizes = [len(part) for part in parts]
        batches = Parallel(n_jobs=n_jobs, return_as="generator")(
            delayed(_replicates)(draw, statistic, part, observed.size) for part in parts
        )
    forecast = Forecast("bootMer", nsim, "refits", "Take a smaller nsim, or n_jobs=-1")
    results = [
        result
        for batch in foretold(with_bar("bootstrap", batches, sizes, shown=progress), sizes, forecast)
        for result in batch
    ]
    columns = names if names is not None else [f"t{i + 1}" for i in range(observed.size)]
    table = pd.DataFrame(np.array([numbers for numbers, _, _ in results]), columns=columns)
    errors = Counter(error for _, _, error in results if error is not None)
    table.attrs["observed"] = dict(zip(columns, observed.tolist(), strict=True))
    table.attrs["messages"] = dict(Counter(text for _, texts, _ in results for text in texts).most_common())
    table.attrs["errors"] = dict(errors.most_common())
    table.attrs["seed"] = root.entropy
    if errors:
        text, _ = errors.most_common(1)[0]
        warn(f"some bootstrap runs failed ({errors.total()}/{nsim}), the most often with {text}", PyimplWarning)
    return table


def _order_statistic(values: np.ndarray, alpha: float) -> float:
    """Return a quantile, interpolated on the normal scale (``boot:::norm.inter``; Davison & Hinkley 1997, eq. 5.8)."""
    from scipy.special import ndtri

    ordered = np.sort(values)
    R = ordered.size
    rank = (R + 1) * alpha
    k = math.floor(rank + 1e-9)  # a rank that is whole but for rounding
    if k < 1 or k >= R:
        return float(ordered[0 if k < 1 else R - 1])
    if abs(rank - k) < 1e-9:
        return float(ordered[k - 1])
    low, high = ndtri(k / (R + 1)), ndtri((k + 1) / (R + 1))
    share = float((ndtri(alpha) - low) / (high - low))
    return float(ordered[k - 1] + share * (ordered[k] - ordered[k - 1]))


def boot_intervals(table: pd.DataFrame, level: Share = 0.95, boot_type: str = "perc") -> pd.DataFrame:
    """``confint(bootMer(...), level, type)``: intervals of each statistic.

    Parameters
    ----------
    table : DataFrame
        Of :func:`bootstrap`; replicates with missing values are left out, for each statistic by itself.
    level : float
    boot_type : {"perc", "basic", "norm"}
        Percentiles, the same reflected at the observed value, or normal with the bootstrap's bias and standard error.

    Returns
    -------
    DataFrame
        Statistic x ``2.5 %``, ``97.5 %``.

    Raises
    ------
    DataError
        Another type, or a statistic that is missing in all replicates.

    Warns
    -----
    PyimplWarning
        There are too few replicates for the level.
    """
    from scipy.special import ndtri

    if boot_type not in ("perc", "basic", "norm"):
        raise DataError(f"boot_type must be 'perc', 'basic' or 'norm', not {boot_type!r}")
    tails = (0.5 * (1 - level), 0.5 * (1 + level))
    rows = []
    few = False
    for name in table.columns:
        values = table[name].to_numpy()
        values = values[np.isfinite(values)]
        if values.size == 0:
            raise DataError(f"{name} is missing in all bootstrap replicates")
        observed = table.attrs["observed"][name]
        if boot_type == "norm":
            half = float(ndtri(tails[1])) * float(np.std(values, ddof=1)) if values.size > 1 else math.nan
            center = 2 * observed - float(values.mean())
            rows.append((center - half, center + half))
            continue
        few |= not (values.size + 1) * tails[0] > 1 or not (values.size + 1) * tails[1] < values.size
        ends = [_order_statistic(values, tail) for tail in tails]
        rows.append((ends[0], ends[1]) if boot_type == "perc" else (2 * observed - ends[1], 2 * observed - ends[0]))
    if few:
        warn("extreme order statistics used as endpoints", PyimplWarning)
    return pd.DataFrame(rows, index=list(table.columns), columns=percent_labels(tails), dtype=float)
