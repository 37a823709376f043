"""The pictures of the report, as inline SVG that follows the page's colours and type, light or dark.

Figures are made with matplotlib's object interface (no pyplot, hence no global state). Text stays text, so it can be
searched, read out and printed sharply. Labels that come from data are never read as mathematics or mark-up.
"""

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import pandas as pd

from pyimpl.extras import has
from validation.comparison import Comparison
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
_FINE = re.compile(r"-?\d+\.\d{2,}")
_RASTER_DPI = 144  # of what is drawn as points of an embedded picture

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
    table, names = checked_table(comparison), side_names(comparison)
    makers = {"estimates": _estimates, "blups": _blups, "posterior": _posterior, "ecdf": _ecdf, "scores": _scores}
    made = {name: make(comparison, table, names) for name, make in makers.items()}
    return [_drawn(comparison, name, picture) for name, picture in made.items() if picture.panels]


class _Picture(NamedTuple):
    """A picture to be drawn: what it shows, and how a panel of it is drawn."""

    title: str
    panels: Sequence[tuple[str, Any]]  # label, and what it shows
    draw: "Callable[[Axes, Any], str]"  # draws a panel, and says with figures what it shows
    height: float  # of a panel, in inches
    columns: int = 2  # at most
    share: bool = False  # all panels have the same axes


def _drawn(comparison: Comparison, name: str, picture: _Picture) -> Plot:
    """Draw a picture in the page's style, and describe it."""
    columns = min(len(picture.panels), picture.columns)
    rows = -(-len(picture.panels) // columns)
    described = []
    with style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.9, picture.height * rows + 0.4), layout="constrained", facecolor="none")
        axes = figure.subplots(rows, columns, squeeze=False, sharex=picture.share, sharey=picture.share).ravel()
        for ax, (label, shown) in zip(axes, picture.panels, strict=False):
            ax.set_title(shorten(label, 70 if columns == 1 else 30))
            words = picture.draw(ax, shown)
            described.append(f"{label}: {words}" if label else words)
        for spare in axes[len(picture.panels) :]:
            spare.set_visible(False)
        svg = inline_svg(figure, f"{comparison.title}/{comparison.kind}/{name}")
    return Plot(name, picture.title, f"{picture.title}. {'; '.join(described)}.", svg)


def _estimates(comparison: Comparison, table: pd.DataFrame, names: tuple[str, str]) -> _Picture:
    """Estimates with intervals, both sides of each parameter one above the other, each parameter on its own scale."""

    def draw(ax: "Axes", sides: np.ndarray) -> str:
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
        return ", ".join(words)

    bayes = comparison.kind == "bayes"
    intervals = _intervals(table, bayes)
    left_out = len(intervals[_MOST_PARAMETERS:])
    what = "posterior means with central 95% intervals" if bayes else "estimates ± 1.96 SE"
    more = f" ({left_out} more parameters are in the table)" if left_out else ""
    return _Picture(f"Estimates side by side: {what}{more}", intervals[:_MOST_PARAMETERS], draw, 0.62, columns=1)


def _blups(comparison: Comparison, table: pd.DataFrame, names: tuple[str, str]) -> _Picture:
    """Random effects, candidate against reference, one panel for each effect."""

    def draw(ax: "Axes", rows: pd.DataFrame) -> str:
        values = rows[["reference", "candidate"]].to_numpy()
        margin = 0.05 * np.ptp(values) or 1.0
        limits = (values.min() - margin, values.max() + margin)
        ax.plot(limits, limits, **_EQUAL)
        ax.plot(*values.T, **_points(len(rows)), markersize=4, markeredgewidth=0.9)
        ax.set(xlim=limits, ylim=limits, box_aspect=1, xlabel=names[0], ylabel=names[1])
        ax.locator_params(nbins=5)
        difference = (rows["candidate"] - rows["reference"]).abs()
        words = f"largest difference {format_number(difference.max(), 2)}"
        ax.annotate(words, (0.03, 0.97), xycoords="axes fraction", va="top", fontsize=7.5, color=INK)
        return f"{len(rows):,} levels, {words} at level {rows['level'].iloc[int(difference.argmax())]}"

    quantity = "ranef" if (table["quantity"] == "ranef").any() else "post-mean"
    rows = table[(table["quantity"] == quantity) & (table["level"] != "")]
    rows = rows.drop_duplicates(["group", "term", "level"])  # several checks may judge one number
    rows = rows[np.isfinite(rows["reference"]) & np.isfinite(rows["candidate"])]
    grouped = list(rows.groupby(["group", "term"], sort=False))[:_MOST_PANELS]
    effects = [(label_parts(group, term, "", ""), own) for (group, term), own in grouped]
    what = "Conditional modes (BLUPs)" if quantity == "ranef" else "Posterior means of the random effects"
    title = f"{what}, {names[1]} against {names[0]}: on the dashed line they are equal"
    return _Picture(title, effects, draw, 3.0)


def _posterior(comparison: Comparison, table: pd.DataFrame, names: tuple[str, str]) -> _Picture:
    """Posterior draws of the main parameters, both sides as histograms over one another."""

    def draw(ax: "Axes", draws: tuple[np.ndarray, np.ndarray]) -> str:
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
        if ax is ax.figure.axes[0]:
            ax.legend(loc="upper right")
        return "; ".join(words)

    title = f"Posterior draws: {names[0]} filled with a solid line, {names[1]} dashed"
    return _Picture(title, _draw_pairs(comparison), draw, 1.75)


def _ecdf(comparison: Comparison, table: pd.DataFrame, names: tuple[str, str]) -> _Picture:
    """ECDF differences with their simultaneous 95% bands, one panel for each parameter (Säilynoja et al. 2022)."""
    from validation.judge.ecdf import band, ecdf_difference

    def draw(ax: "Axes", draws: tuple[np.ndarray, np.ndarray]) -> str:
        reference, candidate = draws
        found = ecdf_difference(candidate, reference)
        position, lower, upper = band(candidate.size, reference.size)
        ax.fill_between(position, lower, upper, color=REFERENCE, alpha=0.16, linewidth=0, step="mid")
        ax.axhline(0.0, **_EQUAL)
        ax.plot(found.position, found.difference, color=CANDIDATE, linewidth=1.3)
        ax.set_xlim(0, 1)
        ax.figure.supxlabel("rank among all draws", fontsize=8)
        ax.figure.supylabel(f"ECDF, {names[1]} - {names[0]}", fontsize=8)
        outside = int(((found.difference < lower - 1e-12) | (found.difference > upper + 1e-12)).sum())
        where = f"outside the band at {outside} of {position.size} points" if outside else "inside the band"
        return f"largest difference {format_number(float(np.abs(found.difference).max()), 2)}, {where}"

    title = "Differences of the empirical distribution functions, with simultaneous 95% bands for equal distributions"
    return _Picture(title, _draw_pairs(comparison), draw, 1.55, share=True)


def _scores(comparison: Comparison, table: pd.DataFrame, names: tuple[str, str]) -> _Picture:
    """All z-scores of a posterior comparison, sorted, against the half-normal quantiles that chance would give."""

    def draw(ax: "Axes", rows: pd.DataFrame) -> str:
        from scipy.special import ndtri

        z = np.sort(rows["scaled"].abs())
        expected = ndtri(0.5 + 0.5 * (np.arange(z.size) + 0.5) / z.size)
        limit = rows["tolerance"].max()
        top = 1.08 * max(limit, z.max(), expected.max())
        ax.plot([0, top], [0, top], **_EQUAL)
        ax.axhline(limit, color=CANDIDATE, linewidth=1.2)
        place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "bottom", "fontsize": 8, "color": INK}
        ax.annotate(f"limit {limit:.2f}", (0.01, limit), **place)
        ax.plot(expected, z, **_points(z.size), markersize=3.5)
        ax.set(xlim=(0, 1.05 * expected.max()), ylim=(0, top), xlabel="|z| expected by chance", ylabel="|z| found")
        mean_square = (z**2).mean() ** 0.5
        return f"{z.size:,} scores, largest {z.max():.2f}, limit {limit:.2f}, root mean square {mean_square:.2f}"

    rows = table[(table["check"] == "gate-3") & np.isfinite(table["scaled"])]
    title = "z-scores of all posterior summaries: on the dashed line they are what chance gives"
    return _Picture(title, [("", rows)] if len(rows) else [], draw, 2.5)


def _points(count: int) -> dict[str, Any]:
    """Open circles without a line."""
    return {
        "linestyle": "none", "marker": "o", "markerfacecolor": "none", "markeredgecolor": REFERENCE,
        "rasterized": count > _RASTER_ABOVE,
    }  # fmt: skip


def _intervals(table: pd.DataFrame, bayes: bool) -> list[tuple[str, np.ndarray]]:
    """Label, and for both sides (middle, low, high) in rows, of each parameter that has all of these."""
    rows, label = main_rows(table), ["group", "term", "term2"]

    def of(quantity: str) -> pd.DataFrame:
        return rows[rows["quantity"] == quantity].drop_duplicates(label).set_index(label)[["reference", "candidate"]]

    if bayes:
        bounds = [of("post-mean"), of("post-q2.5"), of("post-q97.5")]
    else:
        middle, half = of("fixef"), 1.959964 * of("se")
        bounds = [middle, middle - half, middle + half]
    parameters = bounds[0].index
    sides = np.stack([part.reindex(parameters).to_numpy(dtype=float) for part in bounds], axis=2)
    return [
        (label_parts(group, term, term2, ""), both)
        for (group, term, term2), both in zip(parameters, sides, strict=True)
        if np.isfinite(both).all()
    ]


def _number(value: float) -> str:
    return format_number(float(value), 5)


def _draw_pairs(comparison: Comparison) -> list[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """Both sides' draws of each of the first parameters."""
    if not {"reference", "candidate"} <= comparison.draws.keys():
        return []
    a, b = comparison.draws["reference"], comparison.draws["candidate"]
    pairs = []
    for name in a.columns.intersection(b.columns, sort=False):
        left, right = (side[np.isfinite(side)] for side in (frame[name].to_numpy(dtype=float) for frame in (a, b)))
        if left.size > 1 and right.size > 1:
            pairs.append((cell(name), (left, right)))
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
    return _FINE.sub(_rounded, " ".join(kept.split()))


def _rounded(number: re.Match[str]) -> str:
    """A tenth of a point; scales, opacities and the corners of markers are small, and keep their digits."""
    value = float(number[0])
    return f"{value:.1f}" if abs(value) > 10 else f"{value:.3g}"
