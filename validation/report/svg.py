"""Figures as small inline SVG: what matplotlib writes, without what a page does not need.

A figure of a report takes a third of the size that matplotlib gives it: coordinates to a tenth of a point, no empty
groups, no invisible backgrounds, each style once.
"""

import hashlib
import io
import re
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CANDIDATE", "INK", "REFERENCE", "RULE", "compact", "inline_svg"]

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


_SVG, _XLINK = "http://www.w3.org/2000/svg", "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_ROUND = 0.02  # points by which what is called a circle may differ from one
_COORDINATES = ("d", "transform", "points", "x", "y", "width", "height", "cx", "cy")
_REFERENCE = re.compile(r"(?:^#|url\(#)([^)]+)")
_SHAPE = 100  # words of path data, up to which it is a marker's shape
_FEW = 4  # copies of a shape, from which on they are the markers of a path
_RASTER_DPI = 144  # of what is drawn as points of an embedded picture
_FONT = "var(--plot-font, sans-serif)"


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
    svg = buffer.getvalue()
    svg = compact(svg[svg.index("<svg") :])
    for colour, css in _CSS.items():
        svg = svg.replace(colour, css)
    return svg


def compact(svg: str) -> str:
    """Return the same picture in less text.

    Parameters
    ----------
    svg : str
        An ``<svg>`` element as matplotlib writes it.
    """
    ET.register_namespace("", _SVG)
    root = ET.fromstring(svg)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"font-family": _FONT, "stroke-linejoin": "round"}
    _tidy(root, used=_referenced(root), defined={one.get("id", ""): one for one in root.iter()})
    _number_ids(root)
    _share_styles(root)
    return ET.tostring(root, encoding="unicode")


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _referenced(root: ET.Element) -> set[str]:
    """Ids that something in the picture refers to."""
    values = (value for element in root.iter() for value in element.attrib.values())
    return {found for value in values for found in _REFERENCE.findall(value)}


def _tidy(parent: ET.Element, *, used: set[str], defined: dict[str, ET.Element], defines: bool = False) -> None:
    """Shorten a group's attributes and drop what shows nothing, from the leaves on."""
    kept: list[ET.Element] = []
    for child in list(parent):
        if _local(child) in ("metadata", "style"):  # the style is the root's line join
            continue
        inside = defines or _local(child) in ("defs", "clipPath")
        _tidy(child, used=used, defined=defined, defines=inside)
        _shorten(child, used, exact=inside)
        if _local(child) == "g" and not child.attrib:
            kept += list(child)
        elif not (_local(child) in ("g", "defs") and not len(child)) and (inside or not _invisible(child)):
            kept.append(child)
    parent[:] = _dots(kept, defined)
    if _local(parent) != "text":
        parent.text = None
        for child in parent:
            child.tail = None


def _invisible(element: ET.Element) -> bool:
    """Whether it is an area without a colour, as matplotlib draws backgrounds, or a line without a length."""
    if _local(element) == "path" and re.fullmatch(r"M[-\d. ]*", element.get("d", "")):
        return True
    return _local(element) in ("path", "rect") and element.get("style", "") == "fill:none"


def _as_circle(path: ET.Element) -> None:
    """Write a circle as one: matplotlib draws it in eight curves from its lowest point on."""
    words = path.get("d", "").split()
    if [word for word in words if word.isalpha()] != ["M", *["C"] * 8, "z"]:
        return
    numbers = [float(word) for word in words if not word.isalpha()]
    x, y = numbers[0::2], numbers[1::2]
    width, height = max(x) - min(x), max(y) - min(y)
    centre = ((max(x) + min(x)) / 2, (max(y) + min(y)) / 2)
    round_enough = abs(width - height) < _ROUND and abs(centre[0] - x[0]) < _ROUND
    if round_enough:
        del path.attrib["d"]
        path.tag = f"{{{_SVG}}}circle"
        path.attrib |= {"cx": f"{centre[0]:.4g}", "cy": f"{centre[1]:.4g}", "r": f"{(width + height) / 4:.3g}"}


def _shorten(element: ET.Element, used: set[str], *, exact: bool) -> None:
    attributes = element.attrib
    if attributes.get("id") not in used:
        attributes.pop("id", None)
    if _XLINK in attributes:
        attributes["href"] = attributes.pop(_XLINK)
    if _local(element) == "path" and not exact:
        _as_circle(element)
    for name in _COORDINATES:
        if name in attributes:
            attributes[name] = _NUMBER.sub(_rounded, attributes[name])
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]
    if "d" in attributes:
        attributes["d"] = _path(attributes["d"], exact=exact)
    if "style" in attributes:
        parts = (part.partition(":") for part in attributes["style"].split(";") if part.strip())
        pairs = [(name.strip(), value.strip()) for name, _, value in parts]
        attributes["style"] = ";".join(f"{name}:{value}" for name, value in pairs if name != "font-family")


def _rounded(number: "re.Match[str]") -> str:
    """A tenth of a point, as sharp as it can be seen; scales and rotations are below one, and keep their digits."""
    value = float(number[0])
    return f"{value:.4g}" if abs(value) < 1 else f"{value:.1f}".removesuffix(".0")


def _path(path: str, *, exact: bool) -> str:
    """Path data in few letters: lines as steps from point to point in tenths, which do not add up to an error.

    A small shape that is only used elsewhere (a marker) keeps its exact coordinates.
    """
    words = path.split()
    if (exact and len(words) < _SHAPE) or not {word for word in words if word.isalpha()} <= {"M", "L", "z"}:
        return re.sub(r" ?([A-Za-z]) ?", r"\1", " ".join(words))
    made: list[str] = []
    at, command, last = 0, "", ""
    here = start = (0, 0)
    while at < len(words):
        if words[at] == "z":
            made.append("z")
            here, last = start, "z"
            at += 1
            continue
        if words[at].isalpha():
            command = words[at]
            at += 1
        point = (round(10 * float(words[at])), round(10 * float(words[at + 1])))
        at += 2
        step = (point[0] - here[0], point[1] - here[1])
        if step == (0, 0) and command == "L":
            continue
        letter, values = _step(step) if command == "L" else ("m", step)
        made.append(_joined(letter if letter != last or letter == "m" else "", values))
        here, last = point, letter
        start = point if command == "M" else start
    return "M" + "".join(made)[1:]


def _step(step: tuple[int, int]) -> tuple[str, tuple[int, ...]]:
    """A step along an axis has one coordinate."""
    if step[1] == 0:
        return "h", step[:1]
    return ("v", step[1:]) if step[0] == 0 else ("l", step)


def _joined(letter: str, tenths: tuple[int, ...]) -> str:
    """A command and its numbers; a minus separates, and so does the letter."""
    text = letter
    for value in tenths:
        number = f"{value / 10:g}".replace("0.", ".") if abs(value) < 10 and value else f"{value / 10:g}"
        text += number if (text and text[-1].isalpha()) or number.startswith("-") else f" {number}"
    return text


def _dots(children: list[ET.Element], defined: dict[str, ET.Element]) -> list[ET.Element]:
    """One path with a marker at each of its points in place of many copies of one shape."""
    made: list[ET.Element] = []
    for _, run in groupby(children, lambda one: _shape(one) if _local(one) == "use" else id(one)):
        same = list(run)
        shape = defined.get(same[0].get("href", "")[1:])
        if len(same) < _FEW or shape is None:
            made += same
            continue
        marker = ET.Element(
            f"{{{_SVG}}}marker", {"id": f"{same[0].get('href', '')[1:]}-{len(made)}", "overflow": "visible"}
        )
        marker.attrib["markerUnits"] = "userSpaceOnUse"
        drawn = ET.SubElement(marker, f"{{{_SVG}}}path", {"d": shape.get("d", "")})
        drawn.attrib["style"] = ";".join(filter(None, (shape.get("style"), same[0].get("style"))))
        points = " L ".join(f"{one.get('x', '0')} {one.get('y', '0')}" for one in same)
        path = ET.Element(f"{{{_SVG}}}path", {"d": _path(f"M {points}", exact=False), "style": "fill:none"})
        for name in ("start", "mid", "end"):
            path.attrib[f"marker-{name}"] = f"url(#{marker.get('id')})"
        made += [marker, path]
    return made


def _shape(use: ET.Element) -> str:
    return f"{use.get('href')} {use.get('style')} {use.get('clip-path')}"


def _number_ids(root: ET.Element) -> None:
    """Give ids of one or two letters in place of hashes."""
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    short = {old: f"i{number}" for number, old in enumerate(dict.fromkeys(ids))}
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == "id":
                element.attrib[name] = short[value]
            elif found := _REFERENCE.search(value):
                element.attrib[name] = value.replace(found[1], short.get(found[1], found[1]))


def _share_styles(root: ET.Element) -> None:
    """Write a style that several elements have once, as a class whose name follows from it."""
    counts = Counter(element.get("style") for element in root.iter())
    shared = {style: _class(style) for style, count in counts.items() if style and count > 1}
    for element in root.iter():
        style = element.get("style")
        if style in shared:
            del element.attrib["style"]
            element.attrib["class"] = shared[style]
        elif style == "":
            del element.attrib["style"]
    if shared:
        sheet = ET.Element(f"{{{_SVG}}}style")
        sheet.text = "".join(f".{name}{{{style}}}" for style, name in shared.items())
        root.insert(0, sheet)


def _class(style: str) -> str:
    """The name follows from the style, for the style sheets of a page's pictures are the whole page's."""
    return "s" + hashlib.sha256(style.encode("utf-8")).hexdigest()[:6]
