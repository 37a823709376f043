"""What the plots share: colours, labels that cannot break a picture, and panels of intervals."""

import itertools
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pyimpl.errors import DataError
from pyimpl.extras import need

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "ACCENT",
    "BLUE",
    "DARK",
    "GREY",
    "PALE",
    "grid_of",
    "interval_height",
    "interval_panel",
    "label",
    "legend_beside",
    "new_figure",
    "note",
    "space_ticks",
    "tidy",
    "titled",
    "wrapped",
]

# Okabe and Ito's blue and vermillion: told apart with any colour vision, and by their lightness in grey
BLUE, ACCENT, DARK, GREY, PALE = "#0072B2", "#C8500A", "#12233a", "#70757e", "#b9d3e6"

_LABELLED = 80  # more levels than this are not named: the names would be too small to read
_LONGEST = 38
_GAP = 6  # pixels between two labels of an axis
_LETTER, _LINE = 0.065, 0.17  # inches that a letter of 8 points is wide on average, and a line of a legend is high


def label(value: object, longest: int = _LONGEST) -> str:
    """A label as plain text: one line, its middle left out where it is too long, dollar signs no formulas."""
    return _shortened(value, longest).replace("$", r"\$")


def wrapped(value: object, width: int, lines: int = 3) -> str:
    """A label in lines of so many letters; what that many lines do not hold loses its middle."""
    parts = textwrap.wrap(_shortened(value, lines * width), width)
    return "\n".join(parts).replace("$", r"\$")


def _shortened(value: object, longest: int) -> str:
    text = "".join(c if c.isprintable() else " " for c in str(value))
    if len(text) > longest:
        text = f"{text[: longest - longest // 3]}…{text[len(text) - longest // 3 + 1 :]}"
    return text


def new_figure(rows: int, columns: int, width: float, height: float) -> "tuple[Figure, list[Axes]]":
    """Make a figure with a grid of panels, without pyplot; sizes in inches."""
    need("plots", "a plot", "matplotlib")
    from pyimpl.figures import ShownFigure

    figure = ShownFigure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for one in axes:
        tidy(one)
    return figure, axes


def grid_of(count: int, most: int = 3) -> tuple[int, int]:
    """Rows and columns for so many panels; one at least."""
    if count < 1:
        raise DataError("nothing was chosen to draw")
    columns = min(count, most)
    return -(-count // columns), columns


def tidy(axes: "Axes") -> None:
    """Thin axes, no box."""
    axes.spines[["right", "top"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_fontsize(9)
    axes.yaxis.label.set_fontsize(9)


def titled(axes: "Axes", text: str, size: float = 10) -> None:
    """Set the title."""
    axes.set_title(text, fontsize=size)


def note(figure: "Figure", text: str) -> None:
    """Write what a picture shows below it, in as many lines as its width asks for."""
    width = int(figure.get_figwidth() / _LETTER)
    figure.supxlabel("\n".join(textwrap.wrap(text, width)), fontsize=8, color=GREY, x=0.01, ha="left")


def legend_beside(figure: "Figure", axes: "Axes", title: str | None = None) -> None:
    """The panel's legend on the right of the picture; of many entries in columns, for which the picture grows wider."""
    handles, names = axes.get_legend_handles_labels()
    height = _LINE * sum(name.count("\n") + 1 for name in names) + 0.5
    columns = math.ceil(height / figure.get_figheight())
    if columns > 1:
        widest = max(len(line) for name in names for line in name.splitlines() or [""])
        figure.set_figwidth(figure.get_figwidth() + (columns - 1) * (_LETTER * widest + 0.6))
    figure.legend(
        handles, names, title=title, loc="outside right upper", frameon=False, fontsize=8, title_fontsize=9,
        ncols=columns,
    )  # fmt: skip


def space_ticks(figure: "Figure") -> None:
    """See that no two labels of a horizontal axis overlap: fewer of a scale's, those of categories aslant."""
    from matplotlib.ticker import MaxNLocator

    figure.draw_without_rendering()
    for axes in figure.axes:
        locator = axes.xaxis.get_major_locator()
        if isinstance(locator, MaxNLocator):
            for count in (5, 4, 3, 2):
                if not _overlap(axes):
                    break
                locator.set_params(nbins=count)
                figure.draw_without_rendering()
        elif _overlap(axes):
            for text in axes.get_xticklabels():
                text.set(rotation=40, ha="right", rotation_mode="anchor")


def _overlap(axes: "Axes") -> bool:
    """Whether labels of the horizontal axis touch each other."""
    low, high = sorted(axes.get_xlim())
    places = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    shown = [text for place, text in places if low <= place <= high and text.get_text() and text.get_visible()]
    boxes = sorted((text.get_window_extent() for text in shown), key=lambda box: box.x0)
    return any(right.x0 < left.x1 + _GAP for left, right in itertools.pairwise(boxes))


def interval_panel(
    axes: "Axes",
    table: pd.DataFrame,
    *,
    centre: float | None = 0.0,
    names: bool = True,
) -> None:
    """Dots with intervals, the first row at the bottom.

    Parameters
    ----------
    axes : Axes
    table : DataFrame
        Index: labels; columns ``middle``, ``low``, ``high`` (missing ones give a dot alone).
    centre : float, optional
        Where a vertical line is drawn.
    names : bool
        Whether the labels are shown (they are not where there are too many).
    """
    at = np.arange(len(table))
    if not len(table):
        raise DataError("there is nothing to plot")
    many = len(table) > _LABELLED
    if centre is not None:
        axes.axvline(centre, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
    ends = table[["low", "high"]].to_numpy(float)
    axes.hlines(at, ends[:, 0], ends[:, 1], color=BLUE, linewidth=max(0.25, min(1.4, 120 / len(table))), alpha=0.75)
    axes.plot(table["middle"], at, "o", color=DARK, markersize=max(0.7, min(4.0, 300 / len(table))), linestyle="none")
    axes.set_ylim(-1, len(table))
    if many or not names:
        axes.set_yticks([])
        if many:
            axes.set_ylabel(f"{len(table)} levels, by rank")
    else:
        axes.set_yticks(at, [label(name) for name in table.index])
        axes.tick_params(axis="y", length=0, labelsize=8 if len(table) <= 40 else 6)


def interval_height(counts: Sequence[int]) -> float:
    """Height in inches of panels of so many intervals each."""
    most = max(counts)
    return 5.2 if most > _LABELLED else 1.3 + (0.19 if most <= 40 else 0.13) * max(most, 3)
