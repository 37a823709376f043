"""Figures as inline SVG: what matplotlib writes, in the page's colours and type, without what a page does not need."""

import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CANDIDATE", "INK", "REFERENCE", "RULE", "inline_svg"]

# Stand-ins for the page's colours: drawn with these, then replaced by CSS variables in the SVG.
INK, RULE, REFERENCE, CANDIDATE = "#1b1e24", "#d5d8de", "#2b6cb0", "#c05a12"
_CSS = {
    INK: "var(--ink, #1b1e24)",
    RULE: "var(--rule, #d5d8de)",
    REFERENCE: "var(--reference, #2b6cb0)",
    CANDIDATE: "var(--candidate, #c05a12)",
    # The tutorial's three kinds of pooling.
    "#0072b2": "var(--reference, #0072b2)",
    "#c03a1e": "var(--candidate, #c03a1e)",
    "#6a3d9a": "var(--third, #6a3d9a)",
}

#: The picture's size is the page's to say; so is what all of it has alike: line joins and the type.
_OPENING = (
    '<svg xmlns="http://www.w3.org/2000/svg" font-family="var(--plot-font, sans-serif)" stroke-linejoin="round" '
    'viewBox="{}">'
)
_WHOLE = re.compile(r'<svg [^>]*viewBox="([^"]*)"[^>]*>.*?</metadata>\s*<defs>\s*<style.*?</style>\s*</defs>(.*)', re.S)
_TAG = re.compile(
    r"<[^>]*>"
)  # no text and no attribute has an angle bracket in it: matplotlib writes them as &lt; &gt;
# a turn by nothing, the type, and the names of groups (figure_1, line2d_7), to which nothing refers
_NEEDLESS = re.compile(r' transform="rotate\(-0 [^"]*"|font-family: [^;"]*;? ?|(?<=^<g) id="[^"]*"')
_FINE = re.compile(r"-?\d+\.\d{3,}")
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

    figure.set_facecolor("none")
    for ax in figure.axes:
        ax.set_facecolor("none")
    figure.set_dpi(_RASTER_DPI)
    buffer = io.StringIO()
    # savefig would draw it twice: once only to lay it out, which drawing does anyway
    written = salt.encode("utf-8", "backslashreplace").decode()  # names of files may hold half a character
    with mpl.rc_context({"svg.hashsalt": written}):
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    found = _WHOLE.search(buffer.getvalue())
    if found is None:
        raise RuntimeError("matplotlib wrote an SVG file without its head")
    svg = _OPENING.format(found[1]) + re.sub(r">\s+<", "><", _TAG.sub(_shorter, found[2]))
    for colour, css in _CSS.items():
        svg = svg.replace(colour, css)
    return svg


def _shorter(tag: re.Match[str]) -> str:
    """A tag in one line, its numbers to a hundredth of a point, without what shows nothing."""
    kept = _NEEDLESS.sub("", tag[0]).replace("xlink:href", "href")
    return _FINE.sub(lambda number: f"{float(number[0]):.2f}", " ".join(kept.split()))
