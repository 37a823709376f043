"""Plots of results: predictions, estimated marginal means, trajectories by group, coefficients of several models."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Seed, Share
from pyimpl.errors import DataError
from pyimpl.inference.emm_text import At, Over
from pyimpl.plots.canvas import (
    ACCENT,
    BLUE,
    DARK,
    GREY,
    grid_of,
    label,
    legend_beside,
    new_figure,
    note,
    space_ticks,
    titled,
    wrapped,
)
from r_scripts.caller import warn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pyimpl.design.random_term import RandomTerm
    from pyimpl.design.re_form import ReForm
    from pyimpl.inference.contract import Fit
    from pyimpl.inference.emm_grid import EmmGrid
    from pyimpl.inference.emm_text import Level
    from pyimpl.inference.emmeans import MeansArguments
    from pyimpl.inference.reference_grid import Predictors
    from pyimpl.inference.tidying import TidyArguments

    class PredictedArguments(TypedDict, total=False):
        """The rarer arguments of :func:`~pyimpl.inference.prediction_grid.predictions`."""

        ddf: str | float | None
        re_form: ReForm
        seed: Seed | None

    class PlotPredictionsArguments(PredictedArguments, total=False):
        """Arguments of :func:`plot_predictions` after `at`."""

        interval: str
        level: Share
        data: bool

    class PlotMeansArguments(MeansArguments, total=False):
        """Arguments of a fit's ``plot_emmeans`` after `comparisons`."""

        alpha: float

    class TrajectoriesArguments(TypedDict, total=False):
        """Arguments of :func:`plot_trajectories` after `group`."""

        levels: Sequence[Level] | None
        kind: str | None
        data: bool

    class CoefficientsArguments(TidyArguments, total=False):
        """Arguments of :func:`~pyimpl.inference.tidying.tidy` that :func:`plot_coefficients` hands on."""

        conf_method: str | None

    class PlotCoefficientsArguments(CoefficientsArguments, total=False):
        """Arguments of :func:`plot_coefficients` after `coefficients`."""

        level: Share
        intercept: bool
        labels: Mapping[str, str] | None


__all__ = ["ResultPlots", "plot_coefficients", "plot_emmeans", "plot_predictions", "plot_trajectories"]

#: Okabe and Ito's colours, blue first: told apart with any colour vision.
_COLOURS = (BLUE, ACCENT, "#009E73", "#AA4499", "#E69F00", "#56B4E9", DARK)
_STYLES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_SMOOTH = 80  # points of a curve
_FEW = 5  # values of a covariate up to which each has its colour or panel
_PANELS = 24  # levels that have a panel each
_FAINT = 400  # rows up to which points are drawn at their full strength


@SIGNATURES.checked
def plot_predictions(
    fit: "Fit",
    over: "Over",
    at: "At | None" = None,
    *,
    interval: str = "confidence",
    level: Share = 0.95,
    data: bool = True,
    **options: "Unpack[PredictedArguments]",
) -> "Figure":
    """Predictions over one to three predictors with their intervals (``plot(ggpredict(m, terms))``).

    Parameters
    ----------
    fit : LmerFit or StanLmerFit
    over : str, sequence of str, or mapping
        The predictor of the horizontal axis; of the colours; of the panels. A mapping has their values. A covariate
        is a curve on the axis; elsewhere it has its values, or, of more than five, its mean and a standard deviation
        below and above.
    at, interval, level
        As of :func:`~pyimpl.inference.prediction_grid.predictions`.
    data : bool
        Whether the observations are drawn behind.
    **options
        ``ddf``, ``re_form``, ``seed``, as of ``predictions``.

    Raises
    ------
    DataError
        No predictor, or more than three; see ``predictions``.
    """
    from pyimpl.inference.prediction_grid import predictions
    from pyimpl.inference.reference_grid import predictors_of

    names = [over] if isinstance(over, str) else list(over)
    if not 1 <= len(names) <= 3:
        raise DataError(f"plot_predictions shows one to three predictors (axis, colours, panels), not {len(names)}")
    known = predictors_of(fit).data
    wanted = dict(over) if isinstance(over, Mapping) else dict.fromkeys(names)
    for i, name in enumerate(names):
        if wanted[name] is None and name in known and _is_covariate(known[name]):
            wanted[name] = _curve(known[name]) if i == 0 else _three(known[name])
    table = predictions(fit, wanted, at, interval=interval, level=level, **options)
    panels = _groups(table, names[2]) if len(names) == 3 else [("", table)]
    rows, columns = grid_of(len(panels), 2 if len(panels) in (2, 4) else 3)
    figure, axes = new_figure(rows, columns, 1.8 + 3.6 * columns, 0.9 + 3.2 * rows)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    curve = _is_covariate(table[names[0]]) and len(pd.unique(table[names[0]])) > 2
    for k, ((title, part), ax) in enumerate(zip(panels, axes, strict=False)):
        lines = _groups(part, names[1]) if len(names) > 1 else [("", part)]
        if data:
            titles = [one for one, _ in panels]
            _observations(ax, fit, known, names, [name for name, _ in lines], titles, title)
        for i, (own, rows_) in enumerate(lines):
            (_band if curve else _dots)(ax, rows_, names[0], i, len(lines), own)
        if title:
            titled(ax, wrapped(f"{names[2]} = {title}", 40))
        ax.set_xlabel(label(names[0]))
        if k % columns == 0:
            ax.set_ylabel(label(fit.design.response))
    _share(axes[: len(panels)])
    if len(names) > 1:
        legend_beside(figure, axes[0], wrapped(names[1], 24))
    what = "confidence intervals of the mean" if interval == "confidence" else "intervals of a new observation"
    held = [
        f"{label(name, 24)}\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{label(_written(table[name].iloc[0]), 40)}"
        for name in table.columns[:-4]
        if name not in names
    ]
    note(
        figure,
        f"{100 * level:g}% {what}" + (f"; {', '.join(held[:8])}{', …' if len(held) > 8 else ''}" if held else ""),
    )
    space_ticks(figure)
    return figure


def _written(value: object) -> str:
    """A value in full: what two levels have in common is not all that they are."""
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)


def _is_covariate(values: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(values)) and not pd.api.types.is_bool_dtype(values)


def _curve(values: pd.Series) -> list[float]:
    distinct = np.unique(values.dropna().to_numpy(float))
    points = distinct if len(distinct) <= 2 else np.linspace(distinct[0], distinct[-1], _SMOOTH)
    return [float(point) for point in points]


def _three(values: pd.Series) -> list[float]:
    distinct = np.unique(values.dropna().to_numpy(float))
    if len(distinct) <= _FEW:
        return [float(value) for value in distinct]
    middle, spread = float(values.mean()), float(values.std())
    return [float(f"{value:.3g}") for value in (middle - spread, middle, middle + spread)]


def _groups(table: pd.DataFrame, name: str) -> list[tuple[str, pd.DataFrame]]:
    return [(_written(value), table[table[name] == value]) for value in pd.unique(table[name])]


def _band(ax: "Axes", table: pd.DataFrame, x: str, i: int, count: int, name: str) -> None:
    colour = _COLOURS[i % len(_COLOURS)]
    ax.fill_between(table[x], table["conf.low"], table["conf.high"], color=colour, alpha=0.16, linewidth=0, zorder=2)
    style = _STYLES[i // len(_COLOURS) % len(_STYLES)]
    ax.plot(table[x], table["predicted"], style, color=colour, linewidth=2, zorder=3, label=wrapped(name, 24))


def _dots(ax: "Axes", table: pd.DataFrame, x: str, i: int, count: int, name: str) -> None:
    levels = [_written(value) for value in pd.unique(table[x])]
    at = np.array([levels.index(_written(value)) for value in table[x]]) + _dodge(i, count)
    colour = _COLOURS[i % len(_COLOURS)]
    ax.vlines(at, table["conf.low"], table["conf.high"], color=colour, linewidth=2.4, zorder=3)
    ax.plot(
        at,
        table["predicted"],
        _MARKERS[i % len(_MARKERS)],
        color=colour,
        markersize=4.5,
        zorder=4,
        label=wrapped(name, 24),
    )
    ax.set_xticks(range(len(levels)), [wrapped(level, 16) for level in levels])
    ax.set_xlim(-0.6, len(levels) - 0.4)


def _dodge(i: int, count: int) -> float:
    return (i - (count - 1) / 2) * min(0.18, 0.6 / count)


def _observations(
    ax: "Axes",
    fit: "Fit",
    known: pd.DataFrame,
    names: Sequence[str],
    shown: Sequence[str],
    panels: Sequence[str],
    panel: str,
) -> None:
    """The data behind the predictions, in the colours and panels that they belong to."""
    if names[0] not in known:
        return
    values = known[names[0]]
    numeric = _is_covariate(values)
    kept = np.ones(len(known), dtype=bool)
    if len(names) == 3 and names[2] in known:
        kept = _belongs(known[names[2]], panels) == panels.index(panel)
    colours = np.full(len(known), GREY, dtype=object)
    shift = np.zeros(len(known))
    if len(names) > 1 and names[1] in known:
        group = _belongs(known[names[1]], shown)
        colours = np.array([GREY, *_COLOURS], dtype=object)[np.where(group < 0, 0, group % len(_COLOURS) + 1)]
        shift = np.array([_dodge(i, len(shown)) for i in range(len(shown))])[group]
    if numeric:
        x = values.to_numpy(float)
    else:
        levels = list(dict.fromkeys(values.cat.categories if hasattr(values, "cat") else sorted(values.unique())))
        place = {_written(level): i for i, level in enumerate(levels)}
        x = values.map(lambda value: place[_written(value)]).to_numpy(float) + shift
        x = x + np.random.default_rng(0).uniform(-0.05, 0.05, len(x))
    ax.scatter(
        x[kept],
        fit.design.y[kept],
        s=9,
        c=list(colours[kept]),
        alpha=float(np.clip(0.45 * _FAINT / max(len(x), _FAINT), 0.08, 0.45)),
        linewidths=0,
        zorder=1,
        rasterized=len(x) > 5000,
    )


def _belongs(values: pd.Series, shown: Sequence[str]) -> np.ndarray:
    """Place among the values shown of each row's own: the same, or of a covariate the nearest; -1 for none."""
    if _is_covariate(values):
        numbers = np.array([float(one) for one in shown])
        return np.abs(values.to_numpy(float)[:, None] - numbers).argmin(axis=1)
    place = {one: i for i, one in enumerate(shown)}
    return np.array([place.get(_written(value), -1) for value in values], dtype=np.intp)


def _share(axes: "Sequence[Axes]") -> None:
    """Give the panels the same limits."""
    if len(axes) < 2:
        return
    low, high = min(ax.get_ylim()[0] for ax in axes), max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(low, high)


@SIGNATURES.checked
def plot_emmeans(
    means: "EmmGrid", comparisons: bool = False, alpha: float = 0.05, adjust: str = "tukey", level: Share | None = None
) -> "Figure":
    """Estimated marginal means with intervals, and comparison arrows (``plot(e, comparisons = TRUE)``).

    Parameters
    ----------
    means : EmmGrid
        A panel for each combination of its `by` variables.
    comparisons : bool
        Whether arrows are drawn: two means whose arrows do not overlap differ, at the level `alpha`.
    alpha, adjust
        Of the comparisons.
    level : float, optional
        Of the intervals; default the means' own.

    Raises
    ------
    DataError
        Comparisons of a posterior; arrows that would have negative length.

    Warns
    -----
    PyimplWarning
        Arrows of some pairs say something else than their test.
    """
    summary = means.summary(infer=(True, False), level=level)
    table = summary.frame
    low, high = next(
        (table[a].to_numpy(float), table[b].to_numpy(float))
        for a, b in (("lower.CL", "upper.CL"), ("asymp.LCL", "asymp.UCL"), ("lower.HPD", "upper.HPD"))
        if a in table
    )
    middle = table[summary.estimate].to_numpy(float)
    arrows = None
    if comparisons:
        from pyimpl.inference.comparison_arrows import comparison_arrows

        arrows = comparison_arrows(means, alpha, adjust)
        if arrows.discrepancies:
            from pyimpl.errors import PyimplWarning

            text = f"comparison arrows say something else than the tests of {', '.join(arrows.discrepancies)}"
            warn(text, PyimplWarning)
    names = [name for name in means.grid.columns if name not in means.by]
    groups = means.rows_of(means.by)
    rows, columns = grid_of(len(groups), 2 if len(groups) in (2, 4) else 3)
    most = max(len(part) for part in groups)
    figure, axes = new_figure(rows, columns, 1.6 + 3.6 * columns, 1.1 + rows * (0.7 + 0.34 * max(most, 2)))
    for ax in axes[len(groups) :]:
        ax.set_visible(False)
    for part, ax in zip(groups, axes, strict=False):
        at = np.arange(len(part))[::-1]
        ax.hlines(at, low[part], high[part], color=BLUE, linewidth=7, alpha=0.28, zorder=1)
        ax.plot(middle[part], at, "o", color=DARK, markersize=5, linestyle="none", zorder=4)
        if arrows is not None:
            for ends in (arrows.left[part], arrows.right[part]):
                _draw_arrows(ax, middle[part], ends, at)
        ax.set_yticks(
            at, [wrapped(" ".join(map(_written, row)), 30, 2) for row in means.grid.iloc[part][names].to_numpy()]
        )
        ax.set_ylim(-0.6, len(part) - 0.4)
        ax.set_xlabel(label(summary.estimate))
        if means.by:
            first = means.grid.iloc[part[0]]
            titled(ax, wrapped(", ".join(f"{name} = {_written(first[name])}" for name in means.by), 40))
    limits = [ax.get_xlim() for ax in axes[: len(groups)]]
    for ax in axes[: len(groups)]:
        ax.set_xlim(min(a for a, _ in limits), max(b for _, b in limits))
    text = f"bars: {100 * (means.level if level is None else level):g}% intervals"
    if arrows is not None:
        text += f"; means whose arrows do not overlap differ (α = {alpha:g}, {adjust})"
    note(figure, text)
    space_ticks(figure)
    return figure


def _draw_arrows(ax: "Axes", start: np.ndarray, ends: np.ndarray, at: np.ndarray) -> None:
    for a, b, y in zip(start, ends, at, strict=True):
        if np.isfinite(b) and a != b:
            ax.annotate(
                "",
                xy=(b, y),
                xytext=(a, y),
                arrowprops={"arrowstyle": "-|>", "color": ACCENT, "linewidth": 1.6, "shrinkA": 0, "shrinkB": 0},
                zorder=3,
            )


@SIGNATURES.checked
def _wanted_levels(
    fit: "Fit", group: str | None, levels: "Sequence[Level] | None", kind: str | None
) -> tuple[list["RandomTerm"], list[str], bool]:
    """The terms of the grouping factor, its levels that are shown, and whether each has a panel."""
    groups = list(dict.fromkeys(term.group for term in fit.design.terms))
    group = groups[0] if group is None else group
    if group not in groups:
        raise DataError(f"the model has no random effects for {group!r}; it has them for {', '.join(groups)}")
    terms = [term for term in fit.design.terms if term.group == group]
    every = list(terms[0].levels)
    wanted = every if levels is None else [str(one) for one in levels]
    unknown = [one for one in wanted if one not in every]
    if unknown:
        raise DataError(f"{unknown[0]!r} is no level of {group}")
    panels = kind == "panels" or (kind is None and len(wanted) <= _PANELS)
    if panels and len(wanted) > _PANELS:
        means = pd.Series(fit.design.y).groupby(np.asarray(terms[0].codes)).mean()
        ranked = sorted(wanted, key=lambda one: float(means.get(every.index(one), 0.0)))
        wanted = [ranked[int(i)] for i in np.linspace(0, len(ranked) - 1, _PANELS)]
    return terms, wanted, panels


def plot_trajectories(
    fit: "Fit",
    x: str,
    group: str | None = None,
    levels: "Sequence[Level] | None" = None,
    kind: str | None = None,
    data: bool = True,
) -> "Figure":
    """Fitted trajectories of the levels of a grouping factor, with the one of the fixed effects.

    Parameters
    ----------
    fit : LmerFit or StanLmerFit
    x : str
        The covariate of the horizontal axis.
    group : str, optional
        The grouping factor; default the first. Random effects of others are 0.
    levels : sequence, optional
        Levels to show; default all (in panels: at most 24, spread over the range of their mean responses).
    kind : {"panels", "together"}, optional
        A panel for each level, or all lines in one; default panels for up to 24 levels.
    data : bool
        Whether the observations are drawn.

    Notes
    -----
    Other covariates have the mean of the level's rows, factors the level that is most frequent in them; a panel's
    dashed line is the fixed effects' part for these, so that what lies between the lines are the random effects.

    Raises
    ------
    DataError
        `x` is no covariate of the model, or there is no such group or level.
    """
    from pyimpl.inference.reference_grid import predictors_of
    from pyimpl.inference.tidying import used_positions

    known = predictors_of(fit)
    if x not in known.names or not _is_covariate(known.data[x]):
        raise DataError(f"plot_trajectories: {x!r} is no covariate of the model; there are {', '.join(known.names)}")
    if kind not in (None, "panels", "together"):
        raise DataError(f"kind is 'panels' or 'together', not {kind!r}")
    terms, wanted, panels = _wanted_levels(fit, group, levels, kind)
    every, codes, y = list(terms[0].levels), terms[0].codes, fit.design.y
    frame = fit.getData()
    used = frame.iloc[used_positions(frame.index, fit)]
    form = "~ " + " + ".join(f"({term.label})" for term in terms)
    values = known.data[x].to_numpy(float)
    span = (float(np.nanmin(values)), float(np.nanmax(values)))
    rows, columns = grid_of(len(wanted), 6 if len(wanted) > 8 else 4) if panels else (1, 1)
    width, height = (1.0 + 1.75 * columns, 1.0 + 1.55 * rows) if panels else (6.4, 4.6)
    figure, axes = new_figure(rows, columns, width, height)
    for ax in axes[len(wanted) if panels else 1 :]:
        ax.set_visible(False)
    color, size, alpha = (DARK, 4, 0.7) if panels else (GREY, 2, 0.3)
    thick, opaque = (1.8, 1.0) if panels else (0.8, max(0.2, 0.9 - len(wanted) / 200))
    for i, one in enumerate(wanted):
        ax = axes[i] if panels else axes[0]
        own = codes == every.index(one)
        if data:
            ax.plot(values[own], y[own], ".", color=color, markersize=size, alpha=alpha)
        if panels:
            ax.plot(*_trajectory(fit, known, used, x, own, "~0", span), "--", color=GREY, linewidth=1.2)
            titled(ax, wrapped(one, 18, 2), 8)
            ax.tick_params(labelsize=7)
            if i % columns:
                ax.tick_params(labelleft=False)
            if i + columns < len(wanted):
                ax.tick_params(labelbottom=False)
        ax.plot(*_trajectory(fit, known, used, x, own, form), "-", color=BLUE, linewidth=thick, alpha=opaque)
    if not panels:
        everywhere = _trajectory(fit, known, used, x, np.ones(len(used), dtype=bool), "~0")
        axes[0].plot(*everywhere, "-", color=ACCENT, linewidth=2.6, label="fixed effects")
        axes[0].plot([], [], "-", color=BLUE, label=f"{label(terms[0].group, 20)} ({len(wanted)})")
        axes[0].legend(frameon=False, fontsize=8)
    shown = axes[: len(wanted)] if panels else axes[:1]
    _share(shown)
    margin = 0.04 * (span[1] - span[0])
    for ax in shown:
        ax.set_xlim(span[0] - margin, span[1] + margin)
    figure.supxlabel(label(x), fontsize=9)
    figure.supylabel(label(fit.design.response), fontsize=9)
    if panels:
        title = f"{label(terms[0].group, 30)}: fitted (blue) and fixed effects alone (dashed)"
        figure.suptitle(title, fontsize=10, x=0.02, ha="left")
    return figure


def _trajectory(
    fit: "Fit",
    known: "Predictors",
    used: pd.DataFrame,
    x: str,
    rows: np.ndarray,
    form: str,
    span: tuple[float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """A line over the range of x in some rows, or over `span`: the other predictors as they typically are there."""
    own = used[rows]
    values = known.data[x].to_numpy(float)[rows]
    low, high = (float(np.nanmin(values)), float(np.nanmax(values))) if span is None else span
    points = np.linspace(low, high, _SMOOTH)
    columns: dict[str, Any] = {}
    for name in used.columns:
        column = own[name]
        if _is_covariate(column) and name not in known.coerced_factors:
            columns[str(name)] = np.full(len(points), float(column.mean()))
        else:
            typical = column.mode(dropna=True).iloc[0] if column.notna().any() else column.iloc[0]
            columns[str(name)] = pd.Series([typical] * len(points), dtype=column.dtype)
    groups = {name for term in fit.design.terms for name in term.group.split(":")}
    for name in groups & set(columns):
        columns[name] = pd.Series([own[name].iloc[0]] * len(points), dtype=own[name].dtype)
    columns[x] = points
    newdata = pd.DataFrame(columns)
    predict = getattr(fit, "posterior_epred", None)
    if predict is not None:
        return points, np.asarray(predict(newdata, re_form=form)).mean(axis=0)
    return points, fit.predict(newdata, re_form=form).to_numpy()  # type: ignore[attr-defined]


@SIGNATURES.checked
def plot_coefficients(
    models: "Fit | Sequence[Fit] | Mapping[str, Fit]",
    coefficients: Sequence[str] | None = None,
    *,
    level: Share = 0.95,
    intercept: bool = False,
    labels: Mapping[str, str] | None = None,
    **options: "Unpack[CoefficientsArguments]",
) -> "Figure":
    """Coefficients of one or several models with their intervals, side by side.

    Parameters
    ----------
    models : fit, sequence of fits, or mapping of name to fit
        Of ``lmer`` and of ``stan_lmer``.
    coefficients : sequence of str, optional
        Which, in this order; default all.
    level : float
    intercept : bool
        Whether the intercept is shown, too.
    labels : mapping, optional
        Coefficient -> what is written for it.
    **options
        Of :func:`~pyimpl.inference.tidying.tidy`: ``ddf="Satterthwaite"``, ``conf_method="profile"``.

    Raises
    ------
    DataError
        There is no model, or no coefficient to show.
    """
    if isinstance(models, Mapping):
        fits = {str(name): fit for name, fit in models.items()}
    elif isinstance(models, (list, tuple)):
        fits = {f"Model {i + 1}": fit for i, fit in enumerate(models)}
    else:
        fits = {"": models}  # type: ignore[dict-item]
    if not fits:
        raise DataError("plot_coefficients: there are no models")
    tables = {
        name: fit.tidy(effects=["fixed"], conf_int=True, conf_level=level, **options).set_index("term")
        for name, fit in fits.items()
    }
    every = list(dict.fromkeys(str(term) for table in tables.values() for term in table.index))
    shown = (
        [term for term in every if intercept or term != "(Intercept)"] if coefficients is None else list(coefficients)
    )
    unknown = [term for term in shown if term not in every]
    if unknown or not shown:
        raise DataError(
            f"plot_coefficients: no model has {unknown[0]!r}; they have {', '.join(every)}"
            if unknown
            else "plot_coefficients: there is nothing but the intercept: intercept=True shows it"
        )
    count = len(fits)
    figure, axes = new_figure(1, 1, 6.4, 1.2 + len(shown) * (0.2 + 0.12 * count))
    ax = axes[0]
    ax.axvline(0, color=GREY, linewidth=0.9, linestyle="--", zorder=0)
    for i in range(0, len(shown), 2):
        ax.axhspan(len(shown) - 1 - i - 0.5, len(shown) - 1 - i + 0.5, color="#f3f5f8", zorder=-1, linewidth=0)
    step = 0.7 / max(count, 2)
    for i, (name, table) in enumerate(tables.items()):
        there = [term for term in shown if term in table.index]
        at = np.array([len(shown) - 1 - shown.index(term) for term in there]) - (i - (count - 1) / 2) * step
        part = table.loc[there]
        colour = _COLOURS[i % len(_COLOURS)]
        ax.hlines(at, part["conf.low"], part["conf.high"], color=colour, linewidth=2, zorder=2)
        ax.plot(
            part["estimate"], at, _MARKERS[i % len(_MARKERS)], color=colour, markersize=5.5, linestyle="none", zorder=3,
            label=wrapped(name, 24),
        )  # fmt: skip
    ax.set_yticks(range(len(shown))[::-1], [wrapped((labels or {}).get(term, term), 34, 2) for term in shown])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.6, len(shown) - 0.4)
    ax.set_xlabel(f"estimate, {100 * level:g}% interval")
    if count > 1:
        legend_beside(figure, ax)
    space_ticks(figure)
    return figure


@SIGNATURES.verbs
class ResultPlots:
    """Plots of what a fit says (a base class of both fits)."""

    def plot_predictions(
        self: "Fit", over: "Over", at: "At | None" = None, **options: "Unpack[PlotPredictionsArguments]"
    ) -> "Figure":
        """Predictions over up to three predictors; see :func:`pyimpl.plots.plot_predictions`."""
        return plot_predictions(self, over, at, **options)

    def plot_emmeans(
        self: "Fit", specs: str | Sequence[str], comparisons: bool = False, **options: "Unpack[PlotMeansArguments]"
    ) -> "Figure":
        """``plot(emmeans(m, specs), comparisons)``; see :func:`pyimpl.plots.plot_emmeans`.

        Parameters
        ----------
        specs : str or sequence of str
            As of :func:`~pyimpl.inference.emmeans.emmeans`, without contrasts.
        comparisons : bool
        **options
            ``alpha``, ``adjust`` and ``level`` of the plot; others are those of ``emmeans``.
        """
        from pyimpl.inference.emm_grid import EmmGrid, EmmPair
        from pyimpl.inference.emmeans import emmeans

        rest: dict[str, Any] = dict(options)
        own = {name: rest.pop(name) for name in ("alpha", "adjust", "level") if name in rest}
        found = emmeans(self, specs, **rest)
        means = found.emmeans if isinstance(found, EmmPair) else found
        if not isinstance(means, EmmGrid):
            raise DataError(f"plot_emmeans draws the means of one specification, not of {len(means)}")
        return plot_emmeans(means, comparisons, **own)

    def plot_trajectories(
        self: "Fit", x: str, group: str | None = None, **options: "Unpack[TrajectoriesArguments]"
    ) -> "Figure":
        """Fitted lines of each level of a grouping factor; see :func:`pyimpl.plots.plot_trajectories`."""
        return plot_trajectories(self, x, group, **options)

    def plot_coefficients(
        self: "Fit", coefficients: Sequence[str] | None = None, **options: "Unpack[PlotCoefficientsArguments]"
    ) -> "Figure":
        """Coefficients with intervals; see :func:`pyimpl.plots.plot_coefficients`, also for several models."""
        return plot_coefficients(self, coefficients, **options)
