"""The pictures of the report, as inline SVG that follows the page's colours, light or dark.

Figures are made with matplotlib's object interface (no pyplot, hence no global state). Text stays text, so it can be
searched, read out and printed sharply. Labels that come from data are never read as mathematics or mark-up.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from pyimpl.extras import has
from validation.comparison import Comparison
from validation.judge.rows import rows_of
from validation.report import svg
from validation.report.wording import (
    cell,
    checked_table,
    format_number,
    label_parts,
    main_rows,
    shorten,
    side_names,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["INK", "RULE", "Plot", "inline_svg", "plots", "style"]

# Stand-ins for the page's colours: drawn with these, then replaced by CSS variables in the SVG.
INK, RULE, _REFERENCE, _CANDIDATE = "#1b1e24", "#d5d8de", "#2b6cb0", "#c05a12"
_CSS = {
    INK: "var(--ink, #1b1e24)",
    RULE: "var(--rule, #d5d8de)",
    _REFERENCE: "var(--reference, #2b6cb0)",
    _CANDIDATE: "var(--candidate, #c05a12)",
    # The tutorial's three kinds of pooling.
    "#0072b2": "var(--reference, #0072b2)",
    "#c03a1e": "var(--candidate, #c03a1e)",
    "#6a3d9a": "var(--third, #6a3d9a)",
}

_INTERVAL_QUANTITIES = ("fixef", "se", "post-mean", "post-q2.5", "post-q97.5")
_MOST_PARAMETERS = 12
_RASTER_ABOVE = 400  # so many points are drawn as an embedded picture: thousands of SVG nodes make a page slow


@dataclass(frozen=True)
class Plot:
    """One picture.

    Attributes
    ----------
    name : str
        Short and stable: ``"estimates"``, ``"blups"``, ``"posterior"``, ``"ecdf"``, ``"scores"``.
    title : str
        Caption.
    alt : str
        What the picture shows, for someone who does not see it: with figures.
    svg : str
        The ``<svg>`` element.
    """

    name: str
    title: str
    alt: str
    svg: str


def plots(comparison: Comparison) -> list[Plot]:
    """Every picture that the comparison has data for, in the order of the report; none where matplotlib is missing."""
    if not has("matplotlib"):
        return []
    table = checked_table(comparison)
    makers: Sequence[Callable[[Comparison, pd.DataFrame], Plot | None]] = (
        estimates_plot,
        blups_plot,
        posterior_plot,
        ecdf_plot,
        scores_plot,
    )
    found = (maker(comparison, table) for maker in makers)
    return [plot for plot in found if plot is not None]


def estimates_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """Estimates with intervals, both sides of each parameter one above the other, each parameter on its own scale."""
    rows = _intervals(table)
    if not rows:
        return None
    rows, left_out = rows[:_MOST_PARAMETERS], rows[_MOST_PARAMETERS:]
    names = side_names(comparison)
    with style():
        figure = _figure(height=0.55 + 0.62 * len(rows))
        axes = np.atleast_1d(figure.subplots(len(rows), 1))
        for ax, (label, sides) in zip(axes, rows, strict=True):
            for y, colour, marker, line, (middle, low, high) in zip(
                (1, 0), (_REFERENCE, _CANDIDATE), ("o", "s"), ("-", (0, (4, 2))), sides, strict=True
            ):
                ax.plot([low, high], [y, y], color=colour, linestyle=line, linewidth=1.6, solid_capstyle="butt")
                ax.plot([middle], [y], marker=marker, color=colour, markersize=5)
            ax.set_ylim(-0.7, 1.7)
            ax.set_yticks([1, 0], [names[0], names[1]], fontsize=7.5)
            ax.tick_params(axis="y", length=0)
            ax.tick_params(axis="x", labelsize=7.5, pad=2)
            ax.locator_params(axis="x", nbins=6)
            ax.set_title(shorten(label, 70), loc="left", fontsize=8.5, pad=3)
            ax.spines["left"].set_visible(False)
        picture = _svg(figure, comparison, "estimates")
    what = "posterior means with central 95% intervals" if comparison.kind == "bayes" else "estimates ± 1.96 SE"
    described = "; ".join(
        f"{label}: {names[0]} {_interval_words(sides[0])}, {names[1]} {_interval_words(sides[1])}"
        for label, sides in rows
    )
    more = f" ({len(left_out)} more parameters are in the table)" if left_out else ""
    title = f"Estimates side by side: {what}{more}"
    return Plot("estimates", title, f"{title}. {described}.", picture)


def blups_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """Random effects, candidate against reference, one panel for each effect."""
    quantity = "ranef" if (table["quantity"] == "ranef").any() else "post-mean"
    rows = table[(table["quantity"] == quantity) & (table["level"] != "")]
    rows = rows.drop_duplicates(["group", "term", "level"])  # several checks may judge one number
    rows = rows[np.isfinite(rows["reference"]) & np.isfinite(rows["candidate"])]
    if not len(rows):
        return None
    panels = list(rows.groupby(["group", "term"], sort=False))[:6]
    names = side_names(comparison)
    columns = min(len(panels), 2)
    with style():
        figure = _figure(height=3.1 * -(-len(panels) // columns))
        axes = figure.subplots(-(-len(panels) // columns), columns, squeeze=False).ravel()
        described = []
        for ax, ((group, term), panel) in zip(axes, panels, strict=False):
            low = float(panel[["reference", "candidate"]].min().min())
            high = float(panel[["reference", "candidate"]].max().max())
            margin = 0.05 * (high - low) or 1.0
            limits = (low - margin, high + margin)
            ax.plot(limits, limits, color=INK, linewidth=0.8, linestyle=(0, (5, 3)))
            ax.plot(
                panel["reference"],
                panel["candidate"],
                linestyle="none",
                marker="o",
                markersize=4,
                markerfacecolor="none",
                markeredgecolor=_REFERENCE,
                markeredgewidth=0.9,
                rasterized=len(panel) > _RASTER_ABOVE,
            )
            ax.set_xlim(limits)
            ax.set_ylim(limits)
            ax.set_box_aspect(1)
            ax.locator_params(nbins=5)
            label = label_parts(group, term, "", "")
            ax.set_title(shorten(label, 30), loc="left", fontsize=8.5)
            ax.set_xlabel(names[0], fontsize=8)
            ax.set_ylabel(names[1], fontsize=8)
            worst = panel.loc[(panel["candidate"] - panel["reference"]).abs().idxmax()]
            gap = abs(float(worst["candidate"] - worst["reference"]))
            ax.annotate(
                f"largest difference {format_number(gap, 2)}",
                (0.03, 0.97),
                xycoords="axes fraction",
                va="top",
                fontsize=7.5,
                color=INK,
            )
            described.append(
                f"{label}: {len(panel):,} levels, largest difference {format_number(gap, 2)} at level {worst['level']}"
            )
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
        picture = _svg(figure, comparison, "blups")
    what = "Conditional modes (BLUPs)" if quantity == "ranef" else "Posterior means of the random effects"
    title = f"{what}, {names[1]} against {names[0]}: on the dashed line they are equal"
    return Plot("blups", title, f"{title}. {'; '.join(described)}.", picture)


def posterior_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """Posterior draws of the main parameters, both sides as histograms over one another."""
    names = side_names(comparison)
    pairs = _draw_pairs(comparison)[:6]
    if not pairs:
        return None
    columns = min(len(pairs), 2)
    with style():
        figure = _figure(height=0.3 + 1.75 * -(-len(pairs) // columns))
        axes = figure.subplots(-(-len(pairs) // columns), columns, squeeze=False).ravel()
        described = []
        for ax, (label, a, b) in zip(axes, pairs, strict=False):
            low, high = np.quantile(np.concatenate([a, b]), [0.001, 0.999])
            edges = np.linspace(low, high if high > low else low + 1.0, 41)
            _step(ax, a, edges, _REFERENCE, "-", names[0], fill=True)
            _step(ax, b, edges, _CANDIDATE, (0, (4, 2)), names[1], fill=False)
            ax.set_title(shorten(label, 30), loc="left", fontsize=8.5)
            ax.set_yticks([])
            ax.spines["left"].set_visible(False)
            ax.locator_params(axis="x", nbins=5)
            described.append(
                f"{label}: {names[0]} mean {format_number(a.mean(), 5)}, sd {format_number(a.std(ddof=1), 3)}; "
                f"{names[1]} mean {format_number(b.mean(), 5)}, sd {format_number(b.std(ddof=1), 3)}"
            )
        for ax in axes[len(pairs) :]:
            ax.set_visible(False)
        axes[0].legend(fontsize=7.5, frameon=False, loc="upper right")
        picture = _svg(figure, comparison, "posterior")
    title = f"Posterior draws: {names[0]} filled with a solid line, {names[1]} dashed"
    return Plot("posterior", title, f"{title}. {'; '.join(described)}.", picture)


def ecdf_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """ECDF differences with their simultaneous 95% bands, one panel for each parameter (Säilynoja et al. 2022)."""
    from validation.judge.ecdf import band, ecdf_difference

    names = side_names(comparison)
    pairs = _draw_pairs(comparison)[:6]
    if not pairs:
        return None
    columns = min(len(pairs), 2)
    lines = -(-len(pairs) // columns)
    with style():
        figure = _figure(height=0.45 + 1.55 * lines)
        axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
        described = []
        for ax, (label, a, b) in zip(axes, pairs, strict=False):
            found = ecdf_difference(b, a)
            position, lower, upper = band(b.size, a.size)
            ax.fill_between(position, lower, upper, color=_REFERENCE, alpha=0.16, linewidth=0, step="mid")
            ax.axhline(0.0, color=INK, linewidth=0.7, linestyle=(0, (5, 3)))
            ax.plot(found.position, found.difference, color=_CANDIDATE, linewidth=1.3)
            ax.set_title(shorten(label, 30), loc="left", fontsize=8.5)
            outside = int(((found.difference < lower - 1e-12) | (found.difference > upper + 1e-12)).sum())
            largest = format_number(float(np.abs(found.difference).max()), 2)
            described.append(
                f"{label}: largest difference {largest}, "
                + (f"outside the band at {outside} of {position.size} points" if outside else "inside the band")
            )
        for ax in axes[len(pairs) :]:
            ax.set_visible(False)
        axes[0].set_xlim(0, 1)
        figure.supxlabel("rank among all draws", fontsize=8)
        figure.supylabel(f"ECDF, {names[1]} - {names[0]}", fontsize=8)
        picture = _svg(figure, comparison, "ecdf")
    title = "Differences of the empirical distribution functions, with simultaneous 95% bands for equal distributions"
    return Plot("ecdf", title, f"{title}. {'; '.join(described)}.", picture)


def scores_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """All z-scores of a posterior comparison, sorted, against the half-normal quantiles that chance would give."""
    from scipy.special import ndtri

    rows = [row for row in rows_of(table) if row.check == "gate-3" and np.isfinite(row.scaled)]
    if not rows:
        return None
    z = np.sort([abs(row.scaled) for row in rows])
    expected = ndtri(0.5 + 0.5 * (np.arange(z.size) + 0.5) / z.size)
    limit = max(row.tolerance for row in rows)
    with style():
        figure = _figure(height=2.9)
        ax = figure.subplots()
        top = 1.08 * max(limit, float(z.max()), float(expected.max()))
        ax.plot([0, top], [0, top], color=INK, linewidth=0.8, linestyle=(0, (5, 3)))
        ax.axhline(limit, color=_CANDIDATE, linewidth=1.2)
        ax.annotate(
            f"limit {limit:.2f}", (0.01, limit), xycoords=("axes fraction", "data"), va="bottom", fontsize=8, color=INK
        )
        ax.plot(
            expected,
            z,
            linestyle="none",
            marker="o",
            markersize=3.5,
            markerfacecolor="none",
            markeredgecolor=_REFERENCE,
            rasterized=z.size > _RASTER_ABOVE,
        )
        ax.set_xlim(0, 1.05 * float(expected.max()))
        ax.set_ylim(0, top)
        ax.set_xlabel("|z| expected by chance", fontsize=8)
        ax.set_ylabel("|z| found", fontsize=8)
        picture = _svg(figure, comparison, "scores")
    title = "z-scores of all posterior summaries: on the dashed line they are what chance gives"
    mean_square = float((z**2).mean()) ** 0.5
    alt = f"{title}. {z.size:,} scores, largest {z.max():.2f}, limit {limit:.2f}, root mean square {mean_square:.2f}."
    return Plot("scores", title, alt, picture)


def _intervals(table: pd.DataFrame) -> list[tuple[str, list[tuple[float, float, float]]]]:
    """Label, and for both sides (middle, low, high), of each parameter that has all of these."""
    rows = main_rows(table[table["quantity"].isin(_INTERVAL_QUANTITIES)])
    keys = ["group", "term", "term2"]
    wide = {
        quantity: part.drop_duplicates(keys).set_index(keys)[["reference", "candidate"]]
        for quantity, part in rows.groupby("quantity", sort=False)
    }
    found: list[tuple[str, list[tuple[float, float, float]]]] = []
    if "fixef" in wide and "se" in wide:
        middle, half = wide["fixef"], 1.959964 * wide["se"].reindex(wide["fixef"].index)
        bounds = (middle, middle - half, middle + half)
    elif {"post-mean", "post-q2.5", "post-q97.5"} <= wide.keys():
        middle = wide["post-mean"]
        bounds = (middle, wide["post-q2.5"].reindex(middle.index), wide["post-q97.5"].reindex(middle.index))
    else:
        return []
    sides = [
        np.column_stack([part[side].to_numpy(dtype=float) for part in bounds]) for side in ("reference", "candidate")
    ]
    for number, (group, term, term2) in enumerate(middle.index.tolist()):
        both = [(float(a), float(b), float(c)) for a, b, c in (side[number] for side in sides)]
        if np.isfinite(both).all():
            found.append((label_parts(group, term, term2, ""), both))
    return found


def _interval_words(side: tuple[float, float, float]) -> str:
    return f"{format_number(side[0], 5)} ({format_number(side[1], 5)} to {format_number(side[2], 5)})"


def _draw_pairs(comparison: Comparison) -> list[tuple[str, np.ndarray, np.ndarray]]:
    if not {"reference", "candidate"} <= comparison.draws.keys():
        return []
    a, b = comparison.draws["reference"], comparison.draws["candidate"]
    pairs = []
    for name in a.columns:
        if name not in b.columns:
            continue
        left, right = (np.asarray(frame[name], dtype=float) for frame in (a, b))
        left, right = left[np.isfinite(left)], right[np.isfinite(right)]
        if left.size > 1 and right.size > 1:
            pairs.append((cell(name), left, right))
    return pairs


def _step(ax: "Axes", draws: np.ndarray, edges: np.ndarray, colour: str, line: Any, label: str, *, fill: bool) -> None:
    height, _ = np.histogram(draws, edges, density=True)
    if fill:
        ax.stairs(height, edges, fill=True, facecolor=colour, alpha=0.18, edgecolor="none")
    ax.stairs(height, edges, color=colour, linestyle=line, linewidth=1.3, label=label)


@contextmanager
def style() -> "Iterator[None]":
    """Set how a figure is drawn for the page; matplotlib's own are restored afterwards."""
    import matplotlib as mpl

    settings: dict[str, Any] = {
        "svg.fonttype": "none",
        "text.parse_math": False,  # a level named "$x$" is a label, not a formula
        "text.usetex": False,
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 8.5,
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": False,
        "axes.formatter.useoffset": False,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 7.5,
        "path.simplify": True,
    }
    with mpl.rc_context(cast(Any, settings)), warnings.catch_warnings():
        # Only the layout uses matplotlib's font; the browser draws the glyphs.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def _figure(height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(4.9, height), layout="constrained", facecolor="none")


def _svg(figure: "Figure", comparison: Comparison, name: str) -> str:
    return inline_svg(figure, f"{comparison.title}/{comparison.kind}/{name}")


def inline_svg(figure: "Figure", salt: str) -> str:
    """Return the figure as one ``<svg>`` element for a page: see :func:`validation.report.svg.inline_svg`.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn under :func:`style`; what has the colour :data:`INK` or :data:`RULE` follows the page, light or dark.
    salt : str
        Makes the ids of the file reproducible.
    """
    return svg.inline_svg(figure, salt, _CSS)
