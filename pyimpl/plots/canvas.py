"""What the plots share: colours, labels that cannot break a picture, and panels of intervals."""

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
    "new_figure",
    "tidy",
    "titled",
]

# Okabe and Ito's blue and vermillion: told apart with any colour vision, and by their lightness in grey
BLUE, ACCENT, DARK, GREY, PALE = "#0072B2", "#C8500A", "#12233a", "#70757e", "#b9d3e6"

_LABELLED = 80  # more levels than this are not named: the names would be too small to read
_LONGEST = 38


def label(value: object, longest: int = _LONGEST) -> str:
    """A label as plain text: one line, its middle left out where it is too long, dollar signs no formulas."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    if len(text) > longest:
        text = f"{text[: longest - longest // 3]}…{text[len(text) - longest // 3 + 1 :]}"
    return text.replace("$", r"\$")


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
