"""Plots of ``stan_lmer`` fits: intervals, densities, convergence, predictive checks, prior against posterior.

Traces, ranks, autocorrelations and pairs are ArviZ's; the others are drawn here, with bayesplot's names.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Count, Seed, Share
from pyimpl.errors import DataError, ModelError
from pyimpl.extras import need
from pyimpl.plots.canvas import (
    ACCENT,
    BLUE,
    DARK,
    GREY,
    PALE,
    grid_of,
    interval_height,
    interval_panel,
    label,
    new_figure,
    titled,
)
from pyimpl.plots.results import ResultPlots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pyimpl.models.stan_fit import StanLmerFit

__all__ = [
    "PLOTS",
    "PP_CHECKS",
    "StanLmerPlots",
    "difference",
    "ess_plot",
    "intervals",
    "posterior_vs_prior_plot",
    "predictive_check",
    "ranef_plot",
    "rhat_plot",
    "trace",
]

_MOST_PANELS = 12


# -- parameters ----------------------------------------------------------------------------------------------------


def _default_pars(fit: "StanLmerFit", pars: Any, regex_pars: Any) -> pd.DataFrame:
    """The draws asked for; by default all but the random effects, which may be thousands."""
    if pars is None and regex_pars is None:
        every = fit.as_matrix()
        return every[[name for name in every.columns if not name.startswith("b[")]]
    return fit.as_matrix(pars, regex_pars)


def intervals(draws: pd.DataFrame, prob: Share = 0.5, prob_outer: Share = 0.9) -> "Figure":
    """Medians with inner and outer central intervals (``bayesplot::mcmc_intervals``).

    Parameters
    ----------
    draws : DataFrame
        Draws x parameter, as ``as_matrix()``.
    prob, prob_outer : float
    """
    if not 0 < prob <= prob_outer < 1:
        raise DataError(f"intervals needs 0 < prob <= prob_outer < 1, not {prob} and {prob_outer}")
    values = draws.to_numpy()[:, ::-1]
    names = list(draws.columns)[::-1]
    probs = [0.5 - prob_outer / 2, 0.5 - prob / 2, 0.5, 0.5 + prob / 2, 0.5 + prob_outer / 2]
    low2, low, middle, high, high2 = np.quantile(values, probs, axis=0)
    figure, (ax,) = new_figure(1, 1, 6.4, interval_height([len(names)]))
    interval_panel(ax, pd.DataFrame({"middle": middle, "low": low2, "high": high2}, index=names), centre=None)
    ax.hlines(np.arange(len(names)), low, high, color=BLUE, linewidth=max(0.6, min(4.5, 300 / len(names))))
    if low2.min() < 0 < high2.max():
        ax.axvline(0, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
    ax.set_xlabel("value of the parameter")
    titled(ax, f"Posterior medians, {100 * prob:g}% and {100 * prob_outer:g}% intervals")
    return figure


def _panels(draws: pd.DataFrame, width: float = 2.9, height: float = 2.3) -> "tuple[Figure, list[Axes]]":
    count = draws.shape[1]
    if not count:
        raise DataError("there is no parameter to plot")
    if count > _MOST_PANELS:
        raise DataError(f"{count} parameters are too many panels: choose up to {_MOST_PANELS} by pars or regex_pars")
    rows, columns = grid_of(count)
    figure, axes = new_figure(rows, columns, max(width * columns, 4.2), height * rows + 0.3)
    for ax in axes[count:]:
        ax.set_visible(False)
    for ax, name in zip(axes, draws.columns, strict=False):
        titled(ax, label(name, 32), 9)
    return figure, axes


def _hist(draws: pd.DataFrame, chains: int) -> "Figure":
    figure, axes = _panels(draws)
    for ax, name in zip(axes, draws.columns, strict=False):
        ax.hist(draws[name], bins=40, color=PALE, edgecolor=BLUE, linewidth=0.3)
        ax.set_yticks([])
    figure.suptitle("Posterior draws", fontsize=11)
    return figure


def _density(ax: "Axes", values: np.ndarray, **style: Any) -> None:
    from pyimpl.posterior.pp_check import density

    if np.ptp(values) == 0:
        ax.axvline(values[0], **style)
        return
    at = np.linspace(values.min(), values.max(), 256)
    ax.plot(at, density(values, at), **style)


def _dens(draws: pd.DataFrame, chains: int) -> "Figure":
    figure, axes = _panels(draws)
    for ax, name in zip(axes, draws.columns, strict=False):
        _density(ax, draws[name].to_numpy(), color=BLUE, linewidth=1.8)
        ax.set_yticks([])
        ax.set_ylim(bottom=0)
    figure.suptitle("Posterior densities", fontsize=11)
    return figure


def _dens_overlay(draws: pd.DataFrame, chains: int) -> "Figure":
    figure, axes = _panels(draws)
    for ax, name in zip(axes, draws.columns, strict=False):
        for k, part in enumerate(np.split(draws[name].to_numpy(), chains)):
            _density(ax, part, color=BLUE, alpha=0.75, linewidth=1, linestyle=("-", "--", "-.", ":")[k % 4])
        ax.set_yticks([])
        ax.set_ylim(bottom=0)
    figure.suptitle(f"Posterior densities of the {chains} chains", fontsize=11)
    return figure


def _areas(draws: pd.DataFrame, chains: int) -> "Figure":
    from pyimpl.posterior.pp_check import density

    names = list(draws.columns)[::-1]
    figure, (ax,) = new_figure(1, 1, 6.4, 1.2 + 0.42 * max(len(names), 3))
    for i, name in enumerate(names):
        values = draws[name].to_numpy()
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        if np.ptp(values) > 0:
            at = np.linspace(np.quantile(values, 0.002), np.quantile(values, 0.998), 200)
            curve = density(values, at)
            curve = 0.85 * curve / curve.max()
            inside = (at >= low) & (at <= high)
            ax.fill_between(at, i, i + curve, color="#eef4f9", linewidth=0)
            ax.fill_between(at[inside], i, i + curve[inside], color=PALE, linewidth=0)
            ax.plot(at, i + curve, color=BLUE, linewidth=1)
        ax.vlines(middle, i, i + 0.85, color=DARK, linewidth=1.4)
    ax.set_yticks(np.arange(len(names)), [label(name) for name in names])
    ax.set_xlabel("value of the parameter")
    titled(ax, "Posterior densities with medians and 50% intervals")
    return figure


def _arviz(kind: str, draws: pd.DataFrame, chains: int, title: str, **options: Any) -> "Figure":
    """Draw with ArviZ, and hand over the figure without leaving it to pyplot."""
    need("plots", "a plot of draws", "matplotlib", "arviz_plots")
    import arviz_plots
    import xarray as xr
    from arviz_base.labels import NoVarLabeller

    from pyimpl.figures import ShownFigure

    if draws.shape[1] > _MOST_PANELS:
        raise DataError(
            f"{draws.shape[1]} parameters are too many panels: choose up to {_MOST_PANELS} by pars or regex_pars"
        )
    values = draws.to_numpy().reshape(chains, -1, draws.shape[1])
    names = [label(name, 30) for name in draws.columns]
    data = xr.Dataset(
        {"x": (("chain", "draw", "parameter"), values)},
        coords={"chain": np.arange(chains), "draw": np.arange(values.shape[1]), "parameter": names},
    )
    tree = xr.DataTree.from_dict({"posterior": data})
    rows, columns = grid_of(len(names))
    size = {
        "FigureClass": ShownFigure,
        "figsize": (3.4 * columns + 0.6, 2.4 * rows + 0.5),
        "layout": "constrained",
    }
    collection = getattr(arviz_plots, kind)(
        tree, labeller=NoVarLabeller(), backend="matplotlib", figure_kwargs=size, col_wrap=3, **options
    )
    found = collection.viz["figure"]
    figure = found.item() if hasattr(found, "item") else found
    from matplotlib import pyplot

    pyplot.close(figure)
    figure.suptitle(title, fontsize=11)
    for ax in figure.axes:
        ax.title.set_fontsize(9.5)
        ax.xaxis.label.set_fontsize(8.5)
        ax.tick_params(labelsize=8)
    return figure


def trace(draws: pd.DataFrame, chains: Count) -> "Figure":
    """The draws of each chain in their order (``mcmc_trace``), by ArviZ.

    Parameters
    ----------
    draws : DataFrame
        Draws (chain after chain) x parameter.
    chains : int
    """
    return _arviz(
        "plot_trace", draws, chains, f"Draws of the {chains} chains", visuals={"trace": {"alpha": 0.6, "width": 0.6}}
    )


def _rank(draws: pd.DataFrame, chains: int) -> "Figure":
    return _arviz("plot_rank", draws, chains, "Ranks of the chains: level where they mix well")


def _acf(draws: pd.DataFrame, chains: int) -> "Figure":
    return _arviz("plot_autocorr", draws.iloc[:, :_MOST_PANELS], chains, "Autocorrelation of the draws")


def _pairs(draws: pd.DataFrame, chains: int) -> "Figure":
    names = list(draws.columns)
    if not 2 <= len(names) <= 8:
        raise DataError(f"pairs needs 2 to 8 parameters, not {len(names)}: choose them by pars or regex_pars")
    figure, axes = new_figure(len(names), len(names), 1.9 * len(names), 1.8 * len(names))
    step = max(1, len(draws) // 2000)
    for i, row in enumerate(names):
        for j, column in enumerate(names):
            ax = axes[i * len(names) + j]
            if i == j:
                ax.hist(draws[row], bins=30, color=PALE, edgecolor=BLUE, linewidth=0.3)
                titled(ax, label(row, 22), 9)
                ax.set_yticks([])
            elif i > j:
                ax.plot(draws[column][::step], draws[row][::step], ".", color=BLUE, markersize=1.5, alpha=0.3)
            else:
                text = f"{np.corrcoef(draws[column], draws[row])[0, 1]:.2f}"
                ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, fontsize=11, color=DARK)
                ax.set_axis_off()
            ax.tick_params(labelsize=6)
            if i > j:
                ax.set_xlabel(label(column, 22), fontsize=7)
                ax.set_ylabel(label(row, 22), fontsize=7)
    figure.suptitle("Draws of pairs of parameters, with their correlations", fontsize=11)
    return figure


# -- convergence ---------------------------------------------------------------------------------------------------


def _by_value(values: pd.Series, bounds: Sequence[float], good_below: bool, xlabel: str, title: str) -> "Figure":
    values = values.dropna().sort_values(ascending=good_below)
    if values.empty:
        raise DataError("there is no parameter whose draws vary")
    figure, (ax,) = new_figure(1, 1, 6.4, interval_height([len(values)]))
    at = np.arange(len(values))
    numbers = values.to_numpy()
    worst = numbers > bounds[-1] if good_below else numbers < bounds[-1]
    middle = (numbers > bounds[0] if good_below else numbers < bounds[0]) & ~worst
    size = max(4.0, min(26.0, 2500 / len(values)))
    start = 1.0 if good_below else 0.0
    if len(values) <= 40:
        ax.hlines(at, start, numbers, color=GREY, linewidth=0.8, alpha=0.5)
    sign = "<=" if good_below else ">="
    marks = (
        (~worst & ~middle, "o", BLUE, f"{sign} {bounds[0]:g}"),
        (middle, "s", ACCENT, f"{bounds[0]:g} to {bounds[-1]:g}"),
        (worst, "X", DARK, f"{'>' if good_below else '<'} {bounds[-1]:g}"),
    )
    for which, marker, colour, text in marks:
        ax.scatter(numbers[which], at[which], s=size, marker=marker, color=colour, label=f"{text} ({which.sum()})")
    for bound in bounds:
        ax.axvline(bound, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
    if len(values) <= 40:
        ax.set_yticks(at, [label(name) for name in values.index])
    else:
        ax.set_yticks([])
        ax.set_ylabel(f"{len(values)} parameters, by value")
    ax.set_xlabel(xlabel)
    titled(ax, title)
    ax.legend(fontsize=8, frameon=False, loc="lower right" if good_below else "lower left")
    return figure


def rhat_plot(rhat: pd.Series) -> "Figure":
    """R-hat of each parameter, largest on top (``mcmc_rhat``): 1.01 and 1.05 are marked.

    Parameters
    ----------
    rhat : Series
        By parameter, such as ``summary().table["Rhat"]``.
    """
    figure = _by_value(rhat, (1.01, 1.05), True, r"$\hat{R}$", "Potential scale reduction")
    ax = figure.axes[0]
    ax.set_xlim(min(ax.get_xlim()[0], 0.999), max(ax.get_xlim()[1], 1.055))
    return figure


def ess_plot(n_eff: pd.Series, draws: Count) -> "Figure":
    """Effective sample size of each parameter over the number of draws (``mcmc_neff``): 0.5 and 0.1 are marked.

    Parameters
    ----------
    n_eff : Series
        By parameter, such as ``summary().table["n_eff"]``.
    draws : int
    """
    title = f"Effective sample size of {draws} draws"
    figure = _by_value(n_eff / draws, (0.5, 0.1), False, "effective draws / draws", title)
    figure.axes[0].set_xlim(left=0)
    return figure


# -- groups --------------------------------------------------------------------------------------------------------


def level_draws(fit: "StanLmerFit", group: str | None, effect: str, total: bool) -> tuple[str, pd.DataFrame]:
    """The group's name, and draws of one effect of its levels (with the coefficient added if `total`)."""
    groups = list(fit.ranef())
    group = groups[0] if group is None else group
    if group not in groups:
        raise DataError(f"the model has no random effects for {group!r}; it has them for {', '.join(groups)}")
    effects = list(fit.ranef()[group].columns)
    if effect not in effects:
        raise DataError(f"{group} has no effect {effect!r}; it has {', '.join(map(str, effects))}")
    at = 0
    for term in fit.design.terms:
        width = term.p * (term.J + 1)
        if term.group == group and effect in term.effects:
            b = fit.draws.b[:, at : at + width].reshape(-1, term.J + 1, term.p)
            values = b[:, :-1, term.effects.index(effect)]
            names = list(fit.design.coef_names)
            if total and effect in names:
                values = values + fit.draws.coef[:, [names.index(effect)]]
            return group, pd.DataFrame(values, columns=list(term.levels))
        at += width
    raise AssertionError("every effect belongs to a term")


def ranef_plot(
    fit: "StanLmerFit", group: str | None = None, effect: str = "(Intercept)", prob: Share = 0.95, total: bool = False
) -> "Figure":
    """Posterior medians and intervals of every level's effect, by rank.

    Parameters
    ----------
    fit : StanLmerFit
    group : str, optional
        Grouping factor; default the first.
    effect : str
    prob : float
        Of the central intervals.
    total : bool
        The level's coefficient (fixed effect plus its own) instead of its deviation.
    """
    if not 0 < prob < 1:
        raise DataError(f"prob must be between 0 and 1, not {prob}")
    group, draws = level_draws(fit, group, effect, total)
    low, middle, high = np.quantile(draws.to_numpy(), [0.5 - prob / 2, 0.5, 0.5 + prob / 2], axis=0)
    table = pd.DataFrame({"middle": middle, "low": low, "high": high}, index=draws.columns)
    figure, (ax,) = new_figure(1, 1, 5.8, interval_height([len(table)]))
    centre = float(np.median(fit.draws.coef, axis=0)[fit.design.coef_names.index(effect)]) if total else 0.0
    interval_panel(ax, table.iloc[np.argsort(middle, kind="stable")], centre=centre)
    what = "coefficient" if total else "deviation"
    unit = label(fit.design.response, 30) + ("" if effect == "(Intercept)" else f" per unit of {label(effect, 20)}")
    ax.set_xlabel(f"{label(effect)}: {what} (in {unit})")
    titled(ax, f"{label(group, 40)}: posterior medians and {100 * prob:g}% intervals")
    return figure


def difference(draws: pd.Series, first: str, second: str, bins: Count = 50, unit: str = "") -> "Figure":
    """Histogram of a difference's draws, with its mean, its 95% interval and the probability that it is positive.

    Parameters
    ----------
    draws : Series
        Of `first` minus `second`.
    first, second : str
        What is compared.
    bins : int
    unit : str
        Of the x axis.
    """
    values = draws.to_numpy(float)
    low, high = np.quantile(values, [0.025, 0.975])
    figure, (ax,) = new_figure(1, 1, 6.2, 3.8)
    edges = ax.hist(values, bins=bins, color=PALE, edgecolor="white", linewidth=0.3)[1]
    for patch, left in zip(list(ax.patches), edges[:-1], strict=True):
        if left >= 0:
            patch.set_facecolor("#5d97c2")
    ax.set_ylim(0, 1.25 * ax.get_ylim()[1])
    ax.axvline(values.mean(), color=DARK, linewidth=1.6, label=f"mean {values.mean():.3g}")
    ax.axvline(low, color=ACCENT, linewidth=1.2, linestyle="--", label=f"95% interval {low:.3g} to {high:.3g}")
    ax.axvline(high, color=ACCENT, linewidth=1.2, linestyle="--")
    ax.axvline(0, color=GREY, linewidth=0.8)
    titled(ax, f"{label(first)} minus {label(second)}: P({label(first)} > {label(second)}) = {(values > 0).mean():.3f}")
    ax.set_xlabel("difference" + (f" (in {unit})" if unit else ""))
    ax.set_ylabel("draws")
    ax.legend(fontsize=8, frameon=False)
    return figure


# -- prior and posterior -------------------------------------------------------------------------------------------


def posterior_vs_prior_plot(table: pd.DataFrame, group_by_parameter: bool = False) -> "Figure":
    """Medians and intervals of the prior beside those of the posterior.

    Parameters
    ----------
    table : DataFrame
        Of ``StanLmerFit.posterior_vs_prior``: model, parameter, estimate, lb, ub.
    group_by_parameter : bool
        A panel for each parameter, with its own scale, instead of one for prior and one for posterior.
    """
    names = list(dict.fromkeys(table["parameter"]))
    models = list(dict.fromkeys(table["model"]))
    if not group_by_parameter:
        figure, axes = new_figure(1, len(models), 1.4 + 3.3 * len(models), interval_height([len(names)]))
        for i, (model, ax) in enumerate(zip(models, axes, strict=True)):
            part = table[table["model"] == model].set_index("parameter").loc[names[::-1]]
            part = part.rename(columns={"estimate": "middle", "lb": "low", "ub": "high"})
            interval_panel(ax, part, centre=None, names=i == 0)
            if i:
                ax.set_ylabel("")
            titled(ax, model)
            ax.set_xlabel("median and interval")
        return figure
    if len(names) > 40:
        raise DataError(f"{len(names)} parameters are too many panels: choose them by pars or regex_pars")
    rows, columns = grid_of(len(names), 4)
    figure, axes = new_figure(rows, columns, 2.4 * columns + 0.4, 2.3 * rows)
    for name, ax in zip(names, axes, strict=False):
        part = table[table["parameter"] == name].set_index("model")
        for i, model in enumerate(models):
            row, colour = part.loc[model], (GREY, BLUE)[i % 2]
            ax.vlines(i, row["lb"], row["ub"], color=colour, linewidth=1.6)
            ax.plot(i, row["estimate"], "so"[i % 2], color=colour, markersize=5)
        ax.set_xticks(range(len(models)), models)
        ax.set_xlim(-0.6, len(models) - 0.4)
        titled(ax, label(name, 26), 9)
    for ax in axes[len(names) :]:
        ax.set_visible(False)
    return figure


# -- predictive checks ---------------------------------------------------------------------------------------------

_STATISTICS: dict[str, Callable[[np.ndarray], float]] = {
    "mean": lambda x: float(np.mean(x)),
    "median": lambda x: float(np.median(x)),
    "sd": lambda x: float(np.std(x, ddof=1)),
    "var": lambda x: float(np.var(x, ddof=1)),
    "min": lambda x: float(np.min(x)),
    "max": lambda x: float(np.max(x)),
    "mad": lambda x: float(1.4826 * np.median(np.abs(x - np.median(x)))),
}

Stat = str | Callable[[np.ndarray], float]


def _statistic(stat: Stat) -> tuple[str, Callable[[np.ndarray], float]]:
    if callable(stat):
        return getattr(stat, "__name__", "statistic"), stat
    if stat not in _STATISTICS:
        raise DataError(f"pp_check: stat must be a function or one of {', '.join(_STATISTICS)}, not {stat!r}")
    return stat, _STATISTICS[stat]


def _check_dens(y: np.ndarray, yrep: np.ndarray, name: str, stats: Sequence[Stat]) -> "Figure":
    from pyimpl.posterior.pp_check import density_overlay

    return density_overlay(y, yrep, name=name)


def _check_ecdf(y: np.ndarray, yrep: np.ndarray, name: str, stats: Sequence[Stat]) -> "Figure":
    figure, (ax,) = new_figure(1, 1, 6.4, 3.8)
    for i, row in enumerate(yrep):
        ax.ecdf(row, color="#7da7cc", linewidth=0.6, alpha=0.6, label="predicted" if i == 0 else None)
    ax.ecdf(y, color=DARK, linewidth=1.8, label="observed")
    ax.set_xlabel(label(name, 40))
    ax.set_ylabel("cumulative share")
    titled(ax, "Empirical distribution of the data and of predicted data")
    ax.legend(fontsize=8, frameon=False)
    return figure


def _check_hist(y: np.ndarray, yrep: np.ndarray, name: str, stats: Sequence[Stat]) -> "Figure":
    rows, columns = grid_of(len(yrep) + 1)
    figure, axes = new_figure(rows, columns, 2.6 * columns, 1.8 * rows + 0.4)
    bins = np.linspace(min(y.min(), yrep.min()), max(y.max(), yrep.max()), 31).tolist()
    for ax, values, dark in zip(axes, [y, *yrep], [True, *[False] * len(yrep)], strict=False):
        ax.hist(values, bins=bins, color=DARK if dark else "#7da7cc")
        ax.set_yticks([])
        titled(ax, "observed" if dark else "predicted")
        ax.set_xlabel(label(name, 30))
    for ax in axes[len(yrep) + 1 :]:
        ax.set_visible(False)
    return figure


def _check_box(y: np.ndarray, yrep: np.ndarray, name: str, stats: Sequence[Stat]) -> "Figure":
    figure, (ax,) = new_figure(1, 1, 6.4, 3.8)
    boxes = ax.boxplot([y, *yrep], widths=0.7, patch_artist=True, flierprops={"markersize": 2})
    for i, box in enumerate(boxes["boxes"]):
        box.set_facecolor(GREY if i == 0 else PALE)
    ax.set_xticks(
        range(1, len(yrep) + 2), ["observed", *[f"$y_{{rep}}$ {i + 1}" for i in range(len(yrep))]], rotation=45
    )
    ax.set_ylabel(label(name, 40))
    titled(ax, "The data and predicted data")
    return figure


def _check_stat(y: np.ndarray, yrep: np.ndarray, name: str, stats: Sequence[Stat]) -> "Figure":
    what, function = _statistic(stats[0])
    values, observed = np.array([function(row) for row in yrep]), function(y)
    figure, (ax,) = new_figure(1, 1, 6.2, 3.6)
    ax.hist(values, bins=40, color=PALE, edgecolor=BLUE, linewidth=0.3, label="predicted")
    share = f"{(values >= observed).mean():.2f} of the predicted are as large"
    ax.axvline(observed, color=DARK, linewidth=2, label=f"observed {observed:.4g}; {share}")
    ax.set_ylim(0, 1.25 * ax.get_ylim()[1])
    ax.set_xlabel(f"{label(what)} of {label(name, 30)}")
    ax.set_ylabel("predicted data sets")
    titled(ax, "A statistic of the data and of predicted data")
    ax.legend(fontsize=8, frameon=False)
    return figure


def _check_stat_2d(y: np.ndarray, yrep: np.ndarray, name: str, stats: Sequence[Stat]) -> "Figure":
    first, second = (list(stats) if len(stats) > 1 else ["mean", "sd"])[:2]
    (name1, f1), (name2, f2) = _statistic(first), _statistic(second)
    figure, (ax,) = new_figure(1, 1, 5.6, 4.4)
    points = np.array([(f1(row), f2(row)) for row in yrep])
    ax.plot(*points.T, ".", color="#7da7cc", markersize=3, alpha=0.6, label="predicted")
    ax.plot(f1(y), f2(y), "D", color=DARK, markersize=8, label="observed")
    ax.set_xlabel(f"{label(name1)} of {label(name, 30)}")
    ax.set_ylabel(f"{label(name2)} of {label(name, 30)}")
    titled(ax, "Two statistics of the data and of predicted data")
    ax.legend(fontsize=8, frameon=False)
    return figure


def _check_scatter(y: np.ndarray, yrep: np.ndarray, name: str, stats: Sequence[Stat]) -> "Figure":
    figure, (ax,) = new_figure(1, 1, 5.4, 4.6)
    mean = yrep.mean(axis=0)
    ax.scatter(mean, y, s=8, color=BLUE, alpha=max(0.05, min(0.6, 1500 / y.size)), linewidths=0)
    ends = [min(mean.min(), y.min()), max(mean.max(), y.max())]
    ax.plot(ends, ends, color=GREY, linewidth=1, linestyle="--", label="equal")
    ax.set_xlabel(f"average predicted {label(name, 30)}")
    ax.set_ylabel(f"observed {label(name, 30)}")
    titled(ax, "Observed against average predicted values")
    ax.legend(fontsize=8, frameon=False)
    return figure


def _check_error(y: np.ndarray, yrep: np.ndarray, name: str, stats: Sequence[Stat]) -> "Figure":
    figure, (ax,) = new_figure(1, 1, 5.8, 4.2)
    ax.scatter(y - yrep.mean(axis=0), y, s=8, color=BLUE, alpha=max(0.05, min(0.6, 1500 / y.size)), linewidths=0)
    ax.axvline(0, color=GREY, linewidth=1, linestyle="--")
    ax.set_xlabel(f"average predictive error (in {label(name, 30)})")
    ax.set_ylabel(f"observed {label(name, 30)}")
    titled(ax, "Observed values against their average predictive errors")
    return figure


def _check_intervals(y: np.ndarray, yrep: np.ndarray, name: str, stats: Sequence[Stat]) -> "Figure":
    order = np.argsort(np.median(yrep, axis=0), kind="stable")
    low2, low, middle, high, high2 = np.quantile(yrep[:, order], [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    figure, (ax,) = new_figure(1, 1, 7.0, 4.0)
    x = np.arange(y.size)
    ax.fill_between(x, low2, high2, color="#dfeaf3", linewidth=0, step="mid", label="90% interval")
    ax.fill_between(x, low, high, color=PALE, linewidth=0, step="mid", label="50% interval")
    ax.plot(x, middle, color=BLUE, linewidth=1, label="median")
    ax.plot(x, y[order], ".", color=DARK, markersize=max(1.0, min(5.0, 1500 / y.size)), label="observed", alpha=0.7)
    share = ((y[order] >= low2) & (y[order] <= high2)).mean()
    titled(ax, f"Predictive intervals: {100 * share:.1f}% of the observations are in their 90% intervals")
    ax.set_xlabel("observations, by predicted median")
    ax.set_ylabel(label(name, 40))
    ax.legend(fontsize=8, frameon=False, ncols=4)
    return figure


_Check = Callable[[np.ndarray, np.ndarray, str, Sequence[Stat]], "Figure"]

#: Name (bayesplot's, without ``ppc_``) -> the function and how many predicted data sets it takes (None: all).
PP_CHECKS: dict[str, tuple[_Check, int | None]] = {
    "dens_overlay": (_check_dens, 50),
    "ecdf_overlay": (_check_ecdf, 50),
    "hist": (_check_hist, 8),
    "boxplot": (_check_box, 8),
    "stat": (_check_stat, None),
    "stat_2d": (_check_stat_2d, None),
    "scatter_avg": (_check_scatter, None),
    "error_scatter_avg": (_check_error, None),
    "intervals": (_check_intervals, None),
}


def predictive_check(
    fit: "StanLmerFit",
    plotfun: str = "dens_overlay",
    nreps: Count | None = None,
    seed: Seed | None = None,
    stat: Stat | list[Stat] | tuple[Stat, Stat] = "mean",
) -> "Figure":
    """``pp_check(m, plotfun, nreps, seed)``: the data beside data predicted by the model.

    Parameters
    ----------
    fit : StanLmerFit
    plotfun : str
        One of :data:`PP_CHECKS`; ``ppc_`` in front is allowed.
    nreps : int, optional
        Predicted data sets.
    seed : int, optional
    stat : str, callable or pair of them
        For ``"stat"`` and ``"stat_2d"``.
    """
    name = plotfun.removeprefix("ppc_")
    if name not in PP_CHECKS:
        raise DataError(f"pp_check: there is no plotfun {plotfun!r}; there are {', '.join(PP_CHECKS)}")
    function, usual = PP_CHECKS[name]
    wanted = usual if nreps is None else nreps
    predicted = fit.posterior_predict(draws=None if wanted is None else min(wanted, fit.draws.n), seed=seed).to_numpy()
    stats: list[Stat] = list(stat) if isinstance(stat, list | tuple) else [stat]
    return function(fit.design.y, predicted, fit.design.response, stats)


_Plot = Callable[[pd.DataFrame, int], "Figure"]

#: What ``StanLmerFit.plot`` draws, by rstanarm's (bayesplot's) names without ``mcmc_``.
PLOTS: dict[str, _Plot] = {
    "areas": _areas,
    "hist": _hist,
    "dens": _dens,
    "dens_overlay": _dens_overlay,
    "trace": trace,
    "rank": _rank,
    "acf": _acf,
    "pairs": _pairs,
}


@SIGNATURES.verbs
class StanLmerPlots(ResultPlots):
    """Plots of a posterior (a base class of ``StanLmerFit``)."""

    def plot(
        self,
        plotfun: str = "intervals",
        pars: Sequence[str] | None = None,
        regex_pars: Sequence[str] | str | None = None,
        prob: Share = 0.5,
        prob_outer: Share = 0.9,
    ) -> "Figure":
        """``plot(m, plotfun, pars, regex_pars)``.

        Parameters
        ----------
        plotfun : str
            ``"intervals"``, ``"areas"``, ``"hist"``, ``"dens"``, ``"dens_overlay"``, ``"trace"``, ``"rank"``,
            ``"acf"``, ``"pairs"``; ``"rhat"`` and ``"ess"`` (``"neff"``): convergence of all
            parameters, or of those chosen.
        pars, regex_pars
            As in ``as_matrix()``; default all parameters but the random effects.
        prob, prob_outer : float
            Of ``"intervals"``.

        Returns
        -------
        matplotlib.figure.Figure
        """
        name = plotfun.removeprefix("mcmc_")
        fit = cast("StanLmerFit", self)
        if name in ("rhat", "ess", "neff"):
            table = fit.summary(pars=pars, regex_pars=regex_pars).table
            return rhat_plot(table["Rhat"]) if name == "rhat" else ess_plot(table["n_eff"], fit.draws.n)
        draws = _default_pars(fit, pars, regex_pars)
        if name == "intervals":
            return intervals(draws, prob, prob_outer)
        if name not in PLOTS:
            known = ", ".join(["intervals", *PLOTS, "rhat", "ess"])
            raise DataError(f"plot: there is no plotfun {plotfun!r}; there are {known}")
        return PLOTS[name](draws, fit.draws.chains)

    def pairs(self, pars: Sequence[str] | None = None, regex_pars: Sequence[str] | str | None = None) -> "Figure":
        """``pairs(m, pars, regex_pars)``: draws of up to 8 parameters, two by two."""
        return self.plot("pairs", pars, regex_pars)

    def plot_ranef(
        self,
        group: str | None = None,
        effect: str = "(Intercept)",
        prob: Share = 0.95,
        total: bool = False,
    ) -> "Figure":
        """Every level's effect by rank, with posterior intervals; `total` adds the coefficient (the tutorial's α_j)."""
        return ranef_plot(cast("StanLmerFit", self), group, effect, prob, total)

    def plot_difference(
        self,
        first: str,
        second: str,
        group: str | None = None,
        effect: str = "(Intercept)",
        bins: Count = 50,
    ) -> "Figure":
        """Histogram of the difference of two levels' effects, `first` minus `second`, with P(first > second)."""
        fit = cast("StanLmerFit", self)
        name, draws = level_draws(fit, group, effect, False)
        for level in (first, second):
            if level not in draws.columns:
                shown = ", ".join(map(str, draws.columns[:8]))
                raise DataError(f"{name} has no level {level!r}; its levels are {shown}, ...")
        unit = label(fit.design.response, 30)
        return difference(draws[first] - draws[second], str(first), str(second), bins, unit)

    def pp_check(
        self,
        plotfun: str = "dens_overlay",
        nreps: Count | None = None,
        seed: Seed | None = None,
        stat: Stat | list[Stat] | tuple[Stat, Stat] = "mean",
    ) -> "Figure":
        """``pp_check(m, plotfun, nreps, seed)``: the data beside data predicted by the model.

        Parameters
        ----------
        plotfun : str
            ``"dens_overlay"``, ``"ecdf_overlay"``, ``"hist"``, ``"boxplot"``, ``"stat"``, ``"stat_2d"``,
            ``"scatter_avg"``, ``"error_scatter_avg"``, ``"intervals"``.
        nreps : int, optional
            Predicted data sets; default 50 for overlays, 8 for histograms and boxes, else all draws.
        seed : int, optional
        stat : str, callable, or pair of them
            Of ``"stat"`` and ``"stat_2d"``: ``"mean"``, ``"median"``, ``"sd"``, ``"var"``, ``"min"``, ``"max"``,
            ``"mad"``, or a function of an array.

        Returns
        -------
        matplotlib.figure.Figure
            Made without pyplot; ``figure.savefig(...)`` writes it.
        """
        if not isinstance(plotfun, str):
            raise ModelError(f"pp_check: plotfun must be a name such as 'dens_overlay', not {plotfun!r}")
        return predictive_check(cast("StanLmerFit", self), plotfun, nreps, seed, stat)
