"""Figures as inline SVG: what matplotlib writes, in the page's colours and type, without what a page does not need."""

import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def inline_svg(figure: "Figure", salt: str) -> str:
    """Return a figure as one ``<svg>`` element for a page: no prolog, no metadata, the page's colours and type.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn under :func:`validation.report.plots.style`; what has the colour :data:`INK` or :data:`RULE` follows the
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
