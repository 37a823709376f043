"""The pictures of the report, as inline SVG that follows the page's colours and type, light or dark.

Figures are made with matplotlib's object interface (no pyplot, hence no global state). Text stays text, so it can be
searched, read out and printed sharply. Labels that come from data are never read as mathematics or mark-up.
"""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from pyimpl.extras import has
from validation.comparison import Comparison
from validation.judge.rows import rows_of
from validation.report.wording import cell, checked_table, format_number, label_parts, main_rows, shorten, side_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Stand-ins for the page's colours: drawn with these, then replaced by CSS variables in the SVG.
INK, RULE, REFERENCE, CANDIDATE = "#1b1e24", "#d5d8de", "#2b6cb0", "#c05a12"
_CSS = {
    INK: "var(--ink)",
    RULE: "var(--rule)",
    REFERENCE: "var(--reference)",
    CANDIDATE: "var(--candidate)",
    # The tutorial's three kinds of pooling.
    "#0072b2": "var(--reference)",
    "#c03a1e": "var(--candidate)",
    "#6a3d9a": "var(--third)",
}

#: The picture's size is the page's to say; so is what all of it has alike: line joins and the type.
_OPENING = (
    '<svg xmlns="http://www.w3.org/2000/svg" font-family="var(--plot-font, sans-serif)" stroke-linejoin="round" '
    'viewBox="{}">'
)
_HEAD = re.compile(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", re.S)
# neither texts nor attributes have an angle bracket in them: matplotlib writes &lt; and &gt;
_TAG = re.compile(r"<[^>]*>")
# a turn by nothing, the type, and the names of groups (figure_1, line2d_7), to which nothing refers
_NEEDLESS = re.compile(r' transform="rotate\(-0 [^"]*"|font-family: [^;"]*;? ?|(?<=^<g) id="[^"]*"')
_STROKE = re.compile(r" ?stroke[-a-z]*: [^;\"]*;?")
_LINES = re.compile(r' d="[^"CQ]*"')  # what follows a move is lines, unless curves are between
_FINE = re.compile(r"-?\d+\.\d{2,}")
_RASTER_DPI = 144  # of what is drawn as points of an embedded picture

_INTERVAL_QUANTITIES = ("fixef", "se", "post-mean", "post-q2.5", "post-q97.5")
_MOST_PARAMETERS, _MOST_PANELS = 12, 6
_DASHES: tuple[Any, Any] = ("-", (0, (4, 2)))  # of the reference and of the candidate, for whoever sees no colours
_EQUAL: dict[str, Any] = {"color": INK, "linewidth": 0.8, "linestyle": (0, (5, 3))}  # where both sides are equal
_RASTER_ABOVE = 400  # so many points are drawn as an embedded picture: thousands of SVG nodes make a page slow


@dataclass(frozen=True)
class Plot:
    """One picture."""

    name: str  # short and stable: ``"estimates"``, ``"blups"``, ``"posterior"``, ``"ecdf"``, ``"scores"``
    title: str  # caption
    alt: str  # what the picture shows, for someone who does not see it: with figures
    svg: str  # the ``<svg>`` element


def plots(comparison: Comparison) -> list[Plot]:
    """Every picture that the comparison has data for, in the order of the report; none where matplotlib is missing."""
    if not has("matplotlib"):
        return []
    table = checked_table(comparison)
    makers = (_estimates_plot, _blups_plot, _posterior_plot, _ecdf_plot, _scores_plot)
    return [plot for maker in makers if (plot := maker(comparison, table)) is not None]


@contextmanager
def _panels(
    labels: Sequence[str], height: float, *, columns: int = 2, share: bool = False
) -> "Iterator[tuple[Figure, list[Axes]]]":
    """A figure in the page's style, a panel for each label, each so high (inches), in up to so many columns."""
    columns = min(len(labels), columns)
    rows = -(-len(labels) // columns)
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.9, height * rows + 0.4), layout="constrained", facecolor="none")
        panels = list(figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share).ravel())
        for panel, label in zip(panels, labels, strict=False):
            panel.set_title(shorten(label, 70 if columns == 1 else 30))
        for spare in panels[len(labels) :]:
            spare.set_visible(False)
        yield figure, panels[: len(labels)]


def _plot(comparison: Comparison, figure: "Figure", name: str, title: str, described: Sequence[str]) -> Plot:
    picture = inline_svg(figure, f"{comparison.title}/{comparison.kind}/{name}")
    return Plot(name, title, f"{title}. {'; '.join(described)}.", picture)


def _estimates_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """Estimates with intervals, both sides of each parameter one above the other, each parameter on its own scale."""
    intervals = _intervals(table)
    if not intervals:
        return None
    rows, left_out = intervals[:_MOST_PARAMETERS], len(intervals[_MOST_PARAMETERS:])
    names = side_names(comparison)
    what = "posterior means with central 95% intervals" if comparison.kind == "bayes" else "estimates ± 1.96 SE"
    more = f" ({left_out} more parameters are in the table)" if left_out else ""
    described = []
    with _panels([label for label, _ in rows], 0.62, columns=1) as (figure, panels):
        for ax, (label, sides) in zip(panels, rows, strict=True):
            words = []
            for y, name, colour, marker, line, (middle, low, high) in zip(
                (1, 0), names, (REFERENCE, CANDIDATE), ("o", "s"), _DASHES, sides, strict=True
            ):
                ax.plot([low, high], [y, y], color=colour, linestyle=line, linewidth=1.6, solid_capstyle="butt")
                ax.plot([middle], [y], marker=marker, color=colour, markersize=5)
                words.append(f"{name} {_number(middle)} ({_number(low)} to {_number(high)})")
            ax.set_ylim(-0.7, 1.7)
            ax.set_yticks([1, 0], names)
            ax.tick_params(axis="y", length=0)
            ax.tick_params(axis="x", pad=2)
            ax.locator_params(axis="x", nbins=6)
            ax.spines["left"].set_visible(False)
            described.append(f"{label}: {', '.join(words)}")
        return _plot(comparison, figure, "estimates", f"Estimates side by side: {what}{more}", described)


def _blups_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """Random effects, candidate against reference, one panel for each effect."""
    quantity = "ranef" if (table["quantity"] == "ranef").any() else "post-mean"
    rows = table[(table["quantity"] == quantity) & (table["level"] != "")]
    rows = rows.drop_duplicates(["group", "term", "level"])  # several checks may judge one number
    rows = rows[np.isfinite(rows["reference"]) & np.isfinite(rows["candidate"])]
    if not len(rows):
        return None
    grouped = list(rows.groupby(["group", "term"], sort=False))[:_MOST_PANELS]
    effects = {label_parts(group, term, "", ""): panel for (group, term), panel in grouped}
    names = side_names(comparison)
    described = []
    with _panels(list(effects), 3.0) as (figure, panels):
        for ax, (label, panel) in zip(panels, effects.items(), strict=True):
            values = panel[["reference", "candidate"]].to_numpy()
            margin = 0.05 * np.ptp(values) or 1.0
            limits = (values.min() - margin, values.max() + margin)
            ax.plot(limits, limits, **_EQUAL)
            ax.plot(*values.T, **_points(len(panel)), markersize=4, markeredgewidth=0.9)
            ax.set(xlim=limits, ylim=limits, box_aspect=1, xlabel=names[0], ylabel=names[1])
            ax.locator_params(nbins=5)
            worst = panel.loc[(panel["candidate"] - panel["reference"]).abs().idxmax()]
            words = f"largest difference {format_number(abs(float(worst['candidate'] - worst['reference'])), 2)}"
            ax.annotate(words, (0.03, 0.97), xycoords="axes fraction", va="top", fontsize=7.5, color=INK)
            described.append(f"{label}: {len(panel):,} levels, {words} at level {worst['level']}")
        what = "Conditional modes (BLUPs)" if quantity == "ranef" else "Posterior means of the random effects"
        title = f"{what}, {names[1]} against {names[0]}: on the dashed line they are equal"
        return _plot(comparison, figure, "blups", title, described)


def _posterior_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """Posterior draws of the main parameters, both sides as histograms over one another."""
    pairs = _draw_pairs(comparison)
    if not pairs:
        return None
    names = side_names(comparison)
    described = []
    with _panels([label for label, *_ in pairs], 1.75) as (figure, panels):
        for ax, (label, *draws) in zip(panels, pairs, strict=True):
            low, high = np.quantile(np.concatenate(draws), [0.001, 0.999])
            edges = np.linspace(low, high if high > low else low + 1.0, 41)
            words = []
            for name, side, colour, line in zip(names, draws, (REFERENCE, CANDIDATE), _DASHES, strict=True):
                height, _ = np.histogram(side, edges, density=True)
                if colour == REFERENCE:
                    ax.stairs(height, edges, fill=True, facecolor=colour, alpha=0.18, edgecolor="none")
                ax.stairs(height, edges, color=colour, linestyle=line, linewidth=1.3, label=name)
                words.append(f"{name} mean {_number(side.mean())}, sd {format_number(side.std(ddof=1), 3)}")
            ax.set_yticks([])
            ax.spines["left"].set_visible(False)
            ax.locator_params(axis="x", nbins=5)
            described.append(f"{label}: {'; '.join(words)}")
        panels[0].legend(loc="upper right")
        title = f"Posterior draws: {names[0]} filled with a solid line, {names[1]} dashed"
        return _plot(comparison, figure, "posterior", title, described)


def _ecdf_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """ECDF differences with their simultaneous 95% bands, one panel for each parameter (Säilynoja et al. 2022)."""
    from validation.judge.ecdf import band, ecdf_difference

    pairs = _draw_pairs(comparison)
    if not pairs:
        return None
    names = side_names(comparison)
    described = []
    with _panels([label for label, *_ in pairs], 1.55, share=True) as (figure, panels):
        for ax, (label, a, b) in zip(panels, pairs, strict=True):
            found = ecdf_difference(b, a)
            position, lower, upper = band(b.size, a.size)
            ax.fill_between(position, lower, upper, color=REFERENCE, alpha=0.16, linewidth=0, step="mid")
            ax.axhline(0.0, **_EQUAL)
            ax.plot(found.position, found.difference, color=CANDIDATE, linewidth=1.3)
            outside = int(((found.difference < lower - 1e-12) | (found.difference > upper + 1e-12)).sum())
            largest = format_number(float(np.abs(found.difference).max()), 2)
            where = f"outside the band at {outside} of {position.size} points" if outside else "inside the band"
            described.append(f"{label}: largest difference {largest}, {where}")
        panels[0].set_xlim(0, 1)
        figure.supxlabel("rank among all draws", fontsize=8)
        figure.supylabel(f"ECDF, {names[1]} - {names[0]}", fontsize=8)
        title = (
            "Differences of the empirical distribution functions, with simultaneous 95% bands for equal distributions"
        )
        return _plot(comparison, figure, "ecdf", title, described)


def _scores_plot(comparison: Comparison, table: pd.DataFrame) -> Plot | None:
    """All z-scores of a posterior comparison, sorted, against the half-normal quantiles that chance would give."""
    from scipy.special import ndtri

    rows = [row for row in rows_of(table) if row.check == "gate-3" and np.isfinite(row.scaled)]
    if not rows:
        return None
    z = np.sort(np.abs([row.scaled for row in rows]))
    expected = ndtri(0.5 + 0.5 * (np.arange(z.size) + 0.5) / z.size)
    limit = max(row.tolerance for row in rows)
    with _panels([""], 2.5) as (figure, (ax,)):
        top = 1.08 * max(limit, float(z.max()), float(expected.max()))
        ax.plot([0, top], [0, top], **_EQUAL)
        ax.axhline(limit, color=CANDIDATE, linewidth=1.2)
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "bottom", "fontsize": 8, "color": INK}
        ax.annotate(f"limit {limit:.2f}", (0.01, limit), **place)
        ax.plot(expected, z, **_points(z.size), markersize=3.5)
        ax.set(xlim=(0, 1.05 * expected.max()), ylim=(0, top), xlabel="|z| expected by chance", ylabel="|z| found")
        mean_square = float((z**2).mean()) ** 0.5
        words = f"{z.size:,} scores, largest {z.max():.2f}, limit {limit:.2f}, root mean square {mean_square:.2f}"
        title = "z-scores of all posterior summaries: on the dashed line they are what chance gives"
        return _plot(comparison, figure, "scores", title, [words])


def _points(count: int) -> dict[str, Any]:
    """Open circles without a line."""
    return {
        "linestyle": "none", "marker": "o", "markerfacecolor": "none", "markeredgecolor": REFERENCE,
        "rasterized": count > _RASTER_ABOVE,
    }  # fmt: skip


def _intervals(table: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    """Label, and for both sides (middle, low, high) in rows, of each parameter that has all of these."""
    rows = main_rows(table[table["quantity"].isin(_INTERVAL_QUANTITIES)])
    keys = ["group", "term", "term2"]
    wide = {
        quantity: part.drop_duplicates(keys).set_index(keys)[["reference", "candidate"]]
        for quantity, part in rows.groupby("quantity", sort=False)
    }
    if "fixef" in wide and "se" in wide:
        middle, half = wide["fixef"], 1.959964 * wide["se"].reindex(wide["fixef"].index)
        bounds = (middle, middle - half, middle + half)
    elif {"post-mean", "post-q2.5", "post-q97.5"} <= wide.keys():
        middle = wide["post-mean"]
        bounds = (middle, wide["post-q2.5"].reindex(middle.index), wide["post-q97.5"].reindex(middle.index))
    else:
        return []
    sides = np.stack([part[["reference", "candidate"]].to_numpy(dtype=float) for part in bounds], axis=2)
    return [
        (label_parts(group, term, term2, ""), both)
        for (group, term, term2), both in zip(middle.index, sides, strict=True)
        if np.isfinite(both).all()
    ]


def _number(value: float) -> str:
    return format_number(float(value), 5)


def _draw_pairs(comparison: Comparison) -> list[tuple[str, np.ndarray, np.ndarray]]:
    if not {"reference", "candidate"} <= comparison.draws.keys():
        return []
    a, b = comparison.draws["reference"], comparison.draws["candidate"]
    pairs = []
    for name in a.columns.intersection(b.columns, sort=False):
        left, right = (side[np.isfinite(side)] for side in (frame[name].to_numpy(dtype=float) for frame in (a, b)))
        if left.size > 1 and right.size > 1:
            pairs.append((cell(name), left, right))
    return pairs[:_MOST_PANELS]


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
        "axes.labelsize": 8,
        "axes.titlelocation": "left",
        "axes.titlesize": 8.5,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.unicode_minus": False,
        "axes.formatter.useoffset": False,
        "legend.fontsize": 7.5,
        "legend.frameon": False,
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


def inline_svg(figure: "Figure", salt: str) -> str:
    """Return a figure as one ``<svg>`` element for a page: no prolog, no metadata, the page's colours and type.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn under :func:`style`; what has the colour :data:`INK` or :data:`RULE` follows the
        page, light or dark.
    salt : str
        Makes the ids of the file reproducible.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    for background in (figure.patch, *(ax.patch for ax in figure.axes)):
        background.set_visible(False)
    figure.set_dpi(_RASTER_DPI)
    buffer = io.StringIO()
    # savefig would draw it twice: once only to lay it out, which drawing does anyway
    written = salt.encode("utf-8", "backslashreplace").decode()  # names of files may hold half a character
    with mpl.rc_context({"svg.hashsalt": written}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    opening, _, body = buffer.getvalue().partition("<svg ")[2].partition(">")
    view_box = opening.partition('viewBox="')[2].partition('"')[0]
    body = re.sub(r">\s+<", "><", _TAG.sub(_shorter, _HEAD.sub("", body)).lstrip())
    svg = _OPENING.format(view_box) + body
    for colour, css in _CSS.items():
        svg = svg.replace(colour, css)
    return svg


def _shorter(tag: re.Match[str]) -> str:
    """A tag in one line, its numbers as sharp as they can be seen, without what shows nothing."""
    kept = _NEEDLESS.sub("", tag[0]).replace("xlink:href", "href")
    if kept.startswith("<use"):  # a marker's shape has its stroke
        kept = _STROKE.sub("", kept)
    kept = _LINES.sub(lambda path: path[0].replace(" L ", " "), " ".join(kept.split()))
    return _FINE.sub(_rounded, kept)


def _rounded(number: re.Match[str]) -> str:
    """A tenth of a point; scales, opacities and the corners of markers are small, and keep their digits."""
    value = float(number[0])
    return f"{value:.1f}" if abs(value) > 10 else f"{value:.3g}"
