"""Pictures of the report, drawn straight as SVG: text, lines and dots on panels with axes, in the page's own colours.

A page of eighty comparisons has some two hundred pictures, each of which would take matplotlib a tenth of a second.
What is drawn here are dots, lines and words on two axes.
Text stays text (searched, read out, printed sharply) and nothing in it is read as mark-up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from validation.report.wording import shorten

__all__ = ["CANDIDATE", "INK", "REFERENCE", "WIDTH", "Canvas", "Panel", "nice_ticks", "text_width"]

#: Colours of the page, light or dark, with what stands for them outside of it.
INK = "var(--ink, #1b1e24)"
REFERENCE = "var(--reference, #2b6cb0)"
CANDIDATE = "var(--candidate, #c05a12)"

#: Width of a picture, in points of its own; the page scales it.
WIDTH = 353.0

_FONT = "var(--plot-font, sans-serif)"
_DIGIT = 0.56  # mean width of a letter of a sans-serif type, in its size
_SMALL = 7.5  # size of the words at an axis
_MANY = 400  # dots, from which on those at one place (to a point of the picture) are drawn once


def _number(value: float) -> str:
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def text_width(text: str, size: float = _SMALL) -> float:
    """How wide a text is, about: nothing that is drawn depends on it but room at the margins."""
    return len(text) * size * _DIGIT


class Canvas:
    """One picture, from its upper left corner.

    Parameters
    ----------
    height : float
        In points; the width is :data:`WIDTH`.
    """

    def __init__(self, height: float) -> None:
        self.height = height
        self._parts: list[str] = []

    def text(
        self, x: float, y: float, text: str, *, size: float = _SMALL, anchor: str = "start", bold: bool = False,
        upright: bool = False,
    ) -> None:  # fmt: skip
        """Write a line of text; `y` is its base line. `upright`: turned by a quarter, to be read from the right."""
        more = "" if anchor == "start" else f' text-anchor="{anchor}"'
        more += ' font-weight="bold"' if bold else ""
        place = f'x="{_number(x)}" y="{_number(y)}"'
        if upright:
            place = f'transform="translate({_number(x)} {_number(y)}) rotate(-90)"'
        self._parts.append(f'<text {place} font-size="{size:g}"{more}>{escape(text, quote=False)}</text>')

    def path(
        self, corners: np.ndarray, colour: str, *, width: float = 1.3, dash: str = "", fill: float | None = None
    ) -> None:
        """Draw a line through corners (n, 2); with `fill`, an area of that opacity and no line."""
        data = "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in corners)
        if fill is not None:
            self._parts.append(f'<path d="{data}z" fill="{colour}" fill-opacity="{fill:g}"/>')
            return
        more = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(f'<path d="{data}" fill="none" stroke="{colour}" stroke-width="{width:g}"{more}/>')

    def dots(self, places: np.ndarray, colour: str, size: float = 4.4) -> None:
        """Draw a dot at each place (n, 2)."""
        if len(places) > _MANY:
            places = np.unique(np.round(places), axis=0)
        data = "".join(f"M{_number(x)} {_number(y)}h0" for x, y in places)  # lines of no length, with round ends
        look = f'stroke="{colour}" stroke-width="{size:g}" stroke-opacity="0.65" stroke-linecap="round"'
        self._parts.append(f'<path d="{data}" fill="none" {look}/>')

    def mark(self, x: float, y: float, colour: str, shape: str = "circle") -> None:
        """Draw one filled mark: a ``circle`` or a ``square``."""
        if shape == "circle":
            self._parts.append(f'<circle cx="{_number(x)}" cy="{_number(y)}" r="2.6" fill="{colour}"/>')
        else:
            self.box(x - 2.4, y - 2.4, 4.8, 4.8, colour)

    def box(self, x: float, y: float, width: float, height: float, colour: str, opacity: float = 1.0) -> None:
        """Draw a filled rectangle."""
        more = "" if opacity == 1.0 else f' fill-opacity="{opacity:.2f}"'
        place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
        self._parts.append(f'<rect {place} fill="{colour}"{more}/>')

    def svg(self) -> str:
        """Return the picture as one ``<svg>`` element."""
        box = f'viewBox="0 0 {_number(WIDTH)} {_number(self.height)}"'
        opening = f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="{_FONT}" fill="{INK}">'
        return opening + "".join(self._parts) + "</svg>"


@dataclass(frozen=True)
class Panel:
    """A rectangle of a canvas with two axes.

    Attributes
    ----------
    canvas : Canvas
    left, top, width, height : float
        In points of the picture.
    x, y : tuple of float
        What stands at the left and right edge, and at the lower and upper one.
    """

    canvas: Canvas
    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: "float | np.ndarray", y: "float | np.ndarray") -> np.ndarray:
        """Places on the canvas, shape (n, 2)."""
        across = self.left + self.width * (np.asarray(x, dtype=float) - self.x[0]) / (self.x[1] - self.x[0])
        down = self.top + self.height * (self.y[1] - np.asarray(y, dtype=float)) / (self.y[1] - self.y[0])
        return np.column_stack(np.broadcast_arrays(np.atleast_1d(across), np.atleast_1d(down)))

    def line(self, x: "Sequence[float] | np.ndarray", y: "Sequence[float] | np.ndarray", colour: str = INK,
             *, width: float = 1.3, dash: str = "") -> None:  # fmt: skip
        """Draw a line through points of the data."""
        self.canvas.path(self.at(np.asarray(x, float), np.asarray(y, float)), colour, width=width, dash=dash)

    def dots(self, x: np.ndarray, y: np.ndarray, colour: str = REFERENCE) -> None:
        """Draw a dot at each point of the data."""
        self.canvas.dots(self.at(x, y), colour)

    def steps(self, heights: np.ndarray, edges: np.ndarray, colour: str, *, dash: str = "", fill: float = 0.0) -> None:
        """Draw a histogram's outline, its area filled with an opacity where `fill` is given."""
        x = np.repeat(edges, 2)
        y = np.r_[0.0, np.repeat(heights, 2), 0.0]
        if fill:
            self.canvas.path(self.at(x, y), colour, fill=fill)
        self.line(x, y, colour, dash=dash)

    def title(self, text: str) -> None:
        """Write the heading above, shortened to what has room."""
        self.canvas.text(self.left, self.top - 5.0, shorten(text, int(self.width / (8.5 * _DIGIT))), size=8.5)

    def x_axis(self, label: str = "", *, most: int = 6) -> None:
        """Draw the lower axis with its numbers, and its name below them."""
        foot = self.top + self.height
        self.canvas.path(np.array([[self.left, foot], [self.left + self.width, foot]]), INK, width=0.7)
        for value, text in _labelled_ticks(*self.x, most):
            place = float(self.at(value, self.y[0])[0, 0])
            self.canvas.path(np.array([[place, foot], [place, foot + 3.0]]), INK, width=0.7)
            self.canvas.text(place, foot + 11.0, text, anchor="middle")
        if label:
            self.canvas.text(self.left + self.width / 2, foot + 23.0, label, size=8, anchor="middle")

    def y_axis(self, label: str = "", *, most: int = 6) -> None:
        """Draw the left axis with its numbers, and its name beside them."""
        self.canvas.path(np.array([[self.left, self.top], [self.left, self.top + self.height]]), INK, width=0.7)
        ticks = _labelled_ticks(*self.y, most)
        for value, text in ticks:
            place = float(self.at(self.x[0], value)[0, 1])
            self.canvas.path(np.array([[self.left - 3.0, place], [self.left, place]]), INK, width=0.7)
            self.canvas.text(self.left - 5.0, place + 2.6, text, anchor="end")
        if label:
            aside = self.left - 9.0 - max((text_width(text) for _, text in ticks), default=0.0)
            self.canvas.text(aside, self.top + self.height / 2, label, size=8, anchor="middle", upright=True)


def nice_ticks(low: float, high: float, most: int) -> tuple[np.ndarray, float]:
    """Round numbers in an interval: multiples of 1, 2, 2.5 or 5 times a power of ten, at most so many.

    Returns
    -------
    tuple of (ndarray, float)
        The numbers, and the step between them.
    """
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return np.array([low]), 1.0
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power * factor for factor in (1.0, 2.0, 2.5, 5.0, 10.0, 20.0)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return np.arange(first, last + 1) * step, step


def _labelled_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """The ticks with their numbers, all to as many decimals as tell them apart."""
    ticks, step = nice_ticks(low, high, most)
    largest = max(map(abs, ticks.tolist()), default=0.0)
    decimals = next((k for k in range(18) if abs(round(step, k) - step) < 1e-6 * step), 17)
    if largest >= 1e6 or decimals > 5:
        digits = max(1, math.ceil(math.log10(max(largest, step) / step)) + 2)
        return [(float(tick), f"{tick:.{digits}g}") for tick in ticks]
    return [(float(tick), f"{tick + 0.0:.{decimals}f}") for tick in ticks]
