"""Plots of ``lmer`` fits: conditional modes, shrinkage, residuals, quantiles, profiles."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES, Share
from pyimpl.errors import DataError
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
from pyimpl.plots.smooth import lowess

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from pyimpl.inference.contract import LikelihoodFit

__all__ = [
    "LmerPlots",
    "caterpillar",
    "no_pooling",
    "profile_density",
    "profile_zeta",
    "qq",
    "residuals_fitted",
    "scale_location",
    "shrinkage",
]


def _one_group(fit: "LikelihoodFit", group: str | None) -> str:
    names = list(fit.ranef())
    if group is None:
        return names[0]
    if group not in names:
        raise DataError(f"the model has no random effects for {group!r}; it has them for {', '.join(names)}")
    return group


@SIGNATURES.checked
def caterpillar(
    fit: "LikelihoodFit",
    group: str | None = None,
    level: Share = 0.95,
    order: str | None = None,
    effects: str | Sequence[str] | None = None,
) -> "Figure":
    """Conditional modes with intervals from their conditional variances, as ``lattice::dotplot(ranef(m))``.

    Parameters
    ----------
    fit : LmerFit
    group : str, optional
        Grouping factor; default the first.
    level : float
        Of the intervals: mode ± normal quantile times conditional standard deviation.
    order : str, optional
        Effect that orders the levels; default the first, as in R. ``"level"``: the data's order.
    effects : sequence of str, optional
        Which effects; default all, a panel each.
    """
    group = _one_group(fit, group)
    modes, variances = fit.ranef()[group], fit.ranef_condVar()[group].to_numpy()
    names = list(modes.columns) if effects is None else [effects] if isinstance(effects, str) else list(effects)
    if not names:
        raise DataError("effects is empty: nothing was chosen to draw")
    unknown = [name for name in [*names, order] if name not in [*modes.columns, None, "level"]]
    if unknown:
        raise DataError(f"{group} has no effect {unknown[0]!r}; it has {', '.join(map(str, modes.columns))}")
    first = modes.columns[0] if order is None else order
    rows = np.arange(len(modes))[::-1] if first == "level" else np.argsort(modes[first].to_numpy(), kind="stable")
    half = _normal_quantile(0.5 + level / 2) * np.sqrt(np.diagonal(variances, axis1=1, axis2=2))
    figure, axes = new_figure(1, len(names), 1.2 + 3.4 * len(names), interval_height([len(modes)]))
    for i, (name, ax) in enumerate(zip(names, axes, strict=True)):
        k = list(modes.columns).index(name)
        middle = modes[name].to_numpy()
        table = pd.DataFrame({"middle": middle, "low": middle - half[:, k], "high": middle + half[:, k]}, modes.index)
        interval_panel(ax, table.iloc[rows], names=i == 0)
        if i:
            ax.set_ylabel("")
        titled(ax, label(name, 40))
        ax.set_xlabel(f"conditional mode\n({_unit(fit, name)})")
    figure.suptitle(f"{label(group, 40)}: conditional modes with {100 * level:g}% intervals", fontsize=11)
    return figure


def _normal_quantile(share: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(share))


def _unit(fit: "LikelihoodFit", effect: str) -> str:
    response = label(fit.design.response, 24)
    return f"in {response}" if effect == "(Intercept)" else f"in {response} per unit of {label(effect, 16)}"


def no_pooling(fit: "LikelihoodFit", group: str | None = None) -> pd.DataFrame:
    """Least-squares estimates of each level by itself, in the units of ``coef(m)``.

    What the other parts of the model explain (fixed effects that do not vary over the group, other random-effects
    terms, the offset) is taken as estimated; where all fixed effects vary these are R's ``lmList`` estimates.

    Parameters
    ----------
    fit : LmerFit
    group : str, optional

    Returns
    -------
    DataFrame
        Level x effect, missing where a level's rows do not determine an effect.
    """
    group = _one_group(fit, group)
    design = fit.design
    members = [i for i, term in enumerate(design.terms) if term.group == group]
    modes, fixed = fit.ranef(), fit.fixef()
    own = np.hstack([design.terms[i].columns for i in members])
    codes, effects = design.terms[members[0]].codes, list(modes[group].columns)
    y = design.y - (design.X @ fixed.to_numpy() + (0.0 if design.offset is None else design.offset))
    used: dict[str, int] = {}
    for term in design.terms:
        start = used.get(term.group, 0)
        used[term.group] = start + term.p
        if term.group != group:
            b = modes[term.group].to_numpy()[:, start : start + term.p]
            y = y - np.einsum("ij,ij->i", term.columns, b[term.codes])
    root = np.ones(design.N) if design.weights is None else np.sqrt(design.weights)
    own, y = own * root[:, None], y * root
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(modes[group]) + 1))
    out = np.full((len(modes[group]), len(effects)), np.nan)
    for j in range(len(out)):
        rows = order[bounds[j] : bounds[j + 1]]
        if rows.size >= len(effects):
            solution, _, rank, _ = np.linalg.lstsq(own[rows], y[rows], rcond=1e-9)
            if rank == len(effects):
                out[j] = solution
    add = np.array([fixed.get(name, 0.0) for name in effects])
    return pd.DataFrame(out + add, index=modes[group].index, columns=effects)


def shrinkage(fit: "LikelihoodFit", group: str | None = None, effects: str | Sequence[str] | None = None) -> "Figure":
    """How the model pulls each level's own estimate towards the average: an arrow for each level.

    With two effects in their plane; with one, against the number of rows of each level. See :func:`no_pooling`.

    Parameters
    ----------
    fit : LmerFit
    group : str, optional
        Grouping factor; default the first.
    effects : sequence of str, optional
        One or two effects; default the first two.
    """
    group = _one_group(fit, group)
    own = no_pooling(fit, group)
    names = list(own.columns[:2]) if effects is None else [effects] if isinstance(effects, str) else list(effects)
    if not 1 <= len(names) <= 2 or not set(names) <= set(own.columns):
        raise DataError(f"shrinkage shows one or two effects of {group}: {', '.join(map(str, own.columns))}")
    pooled = fit.coef()[group][names]
    average = [float(fit.fixef().get(name, 0.0)) for name in names]
    term = next(term for term in fit.design.terms if term.group == group)
    if len(names) == 2:
        start, end = own[names].to_numpy(), pooled.to_numpy()
        centre: tuple[float, float] | None = (average[0], average[1])
    else:
        counts = np.bincount(term.codes, minlength=term.J).astype(float)
        start = np.column_stack([counts, own[names[0]]])
        end = np.column_stack([counts, pooled[names[0]]])
        centre = None
    known = np.isfinite(start).all(axis=1)
    figure, (ax,) = new_figure(1, 1, 6.2, 4.8)
    move = end[known] - start[known]
    many = known.sum() > 300
    ax.quiver(
        *start[known].T, *move.T, angles="xy", scale_units="xy", scale=1, width=0.0015 if many else 0.0025,
        color=GREY, alpha=0.35 if many else 0.7, headwidth=4, zorder=1,
    )  # fmt: skip
    size, alpha = (3, 0.5) if many else (18, 1.0)
    ring: dict[str, Any] = {"facecolors": "none", "edgecolors": ACCENT, "linewidths": 0.8, "alpha": alpha}
    ax.scatter(start[known, 0], start[known, 1], s=size, label="each level alone", zorder=2, **ring)
    ax.scatter(end[known, 0], end[known, 1], s=size, color=BLUE, alpha=alpha, label="conditional estimate", zorder=3)
    if (~known).any():
        text = f"conditional estimate; too few rows alone ({(~known).sum()})"
        ax.scatter(end[~known, 0], end[~known, 1], s=size, marker="x", color=BLUE, linewidths=0.9, label=text, zorder=3)
    if centre is None:
        ax.axhline(average[0], color=DARK, linewidth=1, linestyle="--", label="fixed effect")
        ax.set_xscale("log")
        ax.set_xlabel(f"rows of each level of {label(group)}")
        from matplotlib.ticker import LogFormatter, NullFormatter

        ax.xaxis.set_major_formatter(LogFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_ylabel(f"{label(names[0])} ({_unit(fit, names[0])})")
    else:
        ax.plot(
            *centre, marker="+", markersize=14, markeredgewidth=2, color=DARK, linestyle="none", label="fixed effects"
        )
        ax.set_xlabel(f"{label(names[0])} ({_unit(fit, names[0])})")
        ax.set_ylabel(f"{label(names[1])} ({_unit(fit, names[1])})")
    titled(ax, f"{label(group, 40)}: shrinkage of {known.sum()} levels")
    ax.legend(fontsize=7.5, frameon=False, loc="best")
    return figure


def _used(values: pd.Series) -> np.ndarray:
    """Values of the rows used: what ``na.exclude`` padded is left out again."""
    return values.dropna().to_numpy()


def _against_fitted(fit: "LikelihoodFit", values: np.ndarray, title: str, ylabel: str, zero: bool) -> "Figure":
    fitted = _used(fit.fitted())
    figure, (ax,) = new_figure(1, 1, 6.2, 4.2)
    many = values.size > 3000
    ax.scatter(
        fitted, values, s=3 if many else 10, color=BLUE, alpha=max(0.05, min(0.6, 1500 / values.size)), linewidths=0,
        rasterized=many,
    )  # fmt: skip
    curve = lowess(fitted, values)
    ax.plot(*curve.T, color=ACCENT, linewidth=2, label="lowess")
    if zero:
        ax.axhline(0, color=GREY, linewidth=0.8, linestyle="--")
    ax.set_xlabel(f"fitted {label(fit.design.response, 40)}")
    ax.set_ylabel(ylabel)
    titled(ax, title)
    ax.legend(fontsize=8, frameon=False)
    return figure


def residuals_fitted(fit: "LikelihoodFit", type: str = "pearson", scaled: bool = False) -> "Figure":  # noqa: A002
    """Residuals against fitted values with a smoother, as ``plot(m)`` (R adds none).

    Parameters
    ----------
    fit : LmerFit
    type : {"pearson", "response", "working", "deviance"}
    scaled : bool
        Divide by sigma.
    """
    kind = f"{type} residuals" + (" / sigma" if scaled else f" (in {label(fit.design.response, 30)})")
    return _against_fitted(fit, _used(fit.residuals(type, scaled)), "Residuals against fitted values", kind, True)


def scale_location(fit: "LikelihoodFit") -> "Figure":
    """Root of the absolute scaled Pearson residuals against fitted values, to see whether their spread changes."""
    values = np.sqrt(np.abs(_used(fit.residuals("pearson", scaled=True))))
    return _against_fitted(fit, values, "Scale-location", r"$\sqrt{|}$scaled residual$|$", False)


def _qq_panel(ax: "Axes", values: np.ndarray, title: str) -> None:
    from scipy.special import betaincinv, ndtri

    values = np.sort(values)
    n = values.size
    a = 3 / 8 if n <= 10 else 0.5  # R's ppoints
    expected = ndtri((np.arange(1, n + 1) - a) / (n + 1 - 2 * a))
    # R's qqline: through the quartiles
    y, x = np.quantile(values, [0.25, 0.75]), ndtri([0.25, 0.75])
    slope = (y[1] - y[0]) / (x[1] - x[0])
    middle = y[0] - slope * x[0]
    rank = np.arange(1, n + 1)
    low, high = (ndtri(betaincinv(rank, n + 1 - rank, tail)) for tail in (0.025, 0.975))
    ax.fill_between(expected, middle + slope * low, middle + slope * high, color=PALE, alpha=0.6, linewidth=0)
    ax.plot(expected, middle + slope * expected, color=ACCENT, linewidth=1.2)
    ax.plot(expected, values, "o", color=DARK, markersize=max(1.0, min(3.5, 400 / n)), linestyle="none")
    titled(ax, title)
    ax.set_xlabel("standard normal quantile")


def qq(fit: "LikelihoodFit") -> "Figure":
    """Normal quantiles of the scaled residuals and of the conditional modes of every effect, a panel each.

    The line goes through the quartiles (R's ``qqline``), the band holds 95% of each order statistic.
    """
    panels = [(_used(fit.residuals("pearson", scaled=True)), "scaled residuals", "residual / sigma")]
    for group, modes in fit.ranef().items():
        panels += [
            (modes[name].to_numpy(), f"{label(group)}: {label(name)}", f"mode ({_unit(fit, name)})")
            for name in modes.columns
        ]
    rows, columns = grid_of(len(panels))
    figure, axes = new_figure(rows, columns, 3.4 * columns, 3.2 * rows)
    for (values, title, ylabel), ax in zip(panels, axes, strict=False):
        _qq_panel(ax, values, title)
        ax.set_ylabel(ylabel)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    return figure


def _curves(profile: pd.DataFrame) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Each profiled parameter with its values and ζ, ascending in both."""
    if not {".zeta", ".par", ".focal"} <= set(profile.columns):
        raise DataError("a profile is needed, as fit.profile() returns it: columns .zeta, .par and .focal")
    out = []
    for name in dict.fromkeys(profile[".par"].astype(str)):
        part = profile[profile[".par"].astype(str) == name].dropna(subset=[".zeta", ".focal"])
        part = part.sort_values(".focal").drop_duplicates(".focal")
        out.append((name, part[".focal"].to_numpy(float), part[".zeta"].to_numpy(float)))
    return out


def profile_zeta(
    profile: pd.DataFrame, levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95, 0.99), absolute: bool = False
) -> "Figure":
    """The signed root deviance ζ against each parameter, as lme4's ``xyplot(profile(m))``.

    A straight line means that the parameter's likelihood is normal. Vertical lines end the confidence intervals.

    Parameters
    ----------
    profile : DataFrame
        Of ``LmerFit.profile``.
    levels : sequence of float
        Of the intervals.
    absolute : bool
        |ζ| instead.
    """
    curves = _curves(profile)
    rows, columns = grid_of(len(curves))
    figure, axes = new_figure(rows, columns, 3.2 * columns, 2.9 * rows)
    ends = [_normal_quantile(0.5 + level / 2) for level in levels]
    for (name, x, zeta), ax in zip(curves, axes, strict=False):
        value, at = _interpolators(x, zeta)
        fine = np.linspace(x[0], x[-1], 300)
        curve = value(fine)
        ax.plot(fine, np.abs(curve) if absolute else curve, color=BLUE, linewidth=1.8)
        marks = [0.0, *ends, *(-end for end in ends)]
        for mark in marks:
            place = at(mark)
            if np.isfinite(place):
                ax.vlines(place, 0, abs(mark) if absolute else mark, color=GREY, linewidth=0.8)
        if absolute:
            for end in ends:
                sides = [at(-end), at(end)]
                if np.isfinite(sides).all():
                    ax.hlines(end, *sides, color=GREY, linewidth=0.8)
        else:
            ax.axhline(0, color=GREY, linewidth=0.8)
        titled(ax, label(name, 34))
        ax.set_ylabel("|ζ|" if absolute else "ζ")
    for ax in axes[len(curves) :]:
        ax.set_visible(False)
    shown = ", ".join(f"{100 * level:g}" for level in levels)
    figure.suptitle(f"Profiles, with the ends of the {shown}% intervals", fontsize=11)
    return figure


def _interpolators(x: np.ndarray, zeta: np.ndarray) -> tuple[Any, Any]:
    """ζ of a value, and the value of a ζ (missing beyond the profile), through the profile's points."""
    from scipy.interpolate import CubicSpline, PchipInterpolator

    if x.size < 3:
        raise DataError("a profile needs three points at least")
    # R's interpSpline is the natural cubic spline; a profile that is not monotonic must not make it swing
    monotone = bool((np.diff(zeta) > 0).all())
    if monotone:
        value = CubicSpline(x, zeta, bc_type="natural", extrapolate=False)
        return value, _scalar(CubicSpline(zeta, x, bc_type="natural", extrapolate=False))
    value = PchipInterpolator(x, zeta, extrapolate=False)
    rising = np.concatenate([[True], np.diff(np.maximum.accumulate(zeta)) > 0])
    if rising.sum() < 2:
        return value, lambda mark: np.nan
    return value, _scalar(PchipInterpolator(zeta[rising], x[rising], extrapolate=False))


def _scalar(function: Any) -> Any:
    return lambda mark: float(function(mark))


def profile_density(profile: pd.DataFrame, upper: float = 0.999) -> "Figure":
    """The densities φ(ζ) dζ/dθ that the profiles imply, as lme4's ``densityplot(profile(m))``.

    Parameters
    ----------
    profile : DataFrame
        Of ``LmerFit.profile``.
    upper : float
        Shown between this quantile and its counterpart.
    """
    curves = _curves(profile)
    rows, columns = grid_of(len(curves))
    figure, axes = new_figure(rows, columns, 3.2 * columns, 2.6 * rows)
    end = _normal_quantile(upper)
    for (name, x, zeta), ax in zip(curves, axes, strict=False):
        value, at = _interpolators(x, zeta)
        low, high = at(-end), at(end)
        low, high = x[0] if np.isnan(low) else low, x[-1] if np.isnan(high) else high
        fine = np.linspace(low, high, 300)
        density = np.exp(-0.5 * value(fine) ** 2) / np.sqrt(2 * np.pi) * value.derivative()(fine)
        ax.fill_between(fine, density, color=PALE, linewidth=0)
        ax.plot(fine, density, color=BLUE, linewidth=1.5)
        ax.set_ylim(bottom=0)
        titled(ax, label(name, 34))
        ax.set_ylabel("density")
    for ax in axes[len(curves) :]:
        ax.set_visible(False)
    return figure


@SIGNATURES.verbs
class LmerPlots(ResultPlots):
    """Plots of a fit (a base class of ``LmerFit``)."""

    def plot(self: "LikelihoodFit", type: str = "pearson", scaled: bool = False) -> "Figure":  # noqa: A002
        """``plot(m)``: residuals against fitted values; see :func:`pyimpl.plots.residuals_fitted`."""
        return residuals_fitted(self, type, scaled)

    def plot_ranef(
        self: "LikelihoodFit",
        group: str | None = None,
        level: Share = 0.95,
        order: str | None = None,
        effects: str | Sequence[str] | None = None,
    ) -> "Figure":
        """``lattice::dotplot(ranef(m))``: conditional modes with intervals; see :func:`pyimpl.plots.caterpillar`."""
        return caterpillar(self, group, level, order, effects)

    def plot_shrinkage(
        self: "LikelihoodFit", group: str | None = None, effects: str | Sequence[str] | None = None
    ) -> "Figure":
        """Each level's own estimate and the conditional one; see :func:`pyimpl.plots.shrinkage`."""
        return shrinkage(self, group, effects)

    def plot_qq(self: "LikelihoodFit") -> "Figure":
        """Normal quantiles of residuals and random effects; see :func:`pyimpl.plots.qq`."""
        return qq(self)

    def plot_scale_location(self: "LikelihoodFit") -> "Figure":
        """Spread of the residuals against fitted values; see :func:`pyimpl.plots.scale_location`."""
        return scale_location(self)

    def plot_profile(
        self,
        which: str | Sequence[str] | None = None,
        kind: str = "zeta",
        profile: pd.DataFrame | None = None,
        progress: bool = False,
    ) -> "Figure":
        """``xyplot(profile(m))`` and its relatives.

        Parameters
        ----------
        which : str or sequence of str, optional
            Parameters, as in ``profile()``.
        kind : {"zeta", "abs", "density"}
        profile : DataFrame, optional
            What ``profile()`` returned, so that it is not computed again.
        progress : bool
            Show a bar.
        """
        if kind not in ("zeta", "abs", "density"):
            raise DataError(f"plot_profile: kind must be 'zeta', 'abs' or 'density', not {kind!r}")
        table: pd.DataFrame = self.profile(which, progress=progress) if profile is None else profile  # type: ignore[attr-defined]
        return profile_density(table) if kind == "density" else profile_zeta(table, absolute=kind == "abs")
