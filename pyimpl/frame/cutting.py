"""Breaks and labels of R's ``cut``, and its ``seq.int``."""

import math
from itertools import pairwise

import numpy as np

from pyimpl.errors import FormulaError
from pyimpl.formula.parse import Node, deparse
from pyimpl.linalg.forecast import refuse_too_large

__all__ = ["cut_labels", "equal_breaks", "sequence"]

_A_LABEL = 40.0  # numbers' worth of memory that an interval takes, with its label


def equal_breaks(x: np.ndarray, count: float, node: Node) -> np.ndarray:
    """Ends of `count` intervals of equal width (``cut(x, count)``), shape (count + 1,).

    Raises
    ------
    FormulaError
        Fewer than two intervals; no values, or infinite ones.
    """
    if math.isnan(count) or count < 2:
        raise FormulaError(f"{deparse(node)}: invalid number of intervals.")
    refuse_too_large(_A_LABEL * count, f"the intervals of {deparse(node)}", "Take fewer.")
    points = int(count + 1)
    known = x[~np.isnan(x)]
    if not known.size or not np.isfinite(known).all():
        raise FormulaError(
            f"{deparse(node)}: {'infinite' if known.size else 'no'} values cannot be cut into intervals."
        )
    low, high = float(known.min()), float(known.max())
    width = high - low
    if width == 0:
        width = abs(low) if low != 0 else 1.0
        return sequence(low - width / 1000, high + width / 1000, points)
    breaks = sequence(low, high, points)
    breaks[0], breaks[-1] = low - width / 1000, high + width / 1000
    return breaks


def sequence(start: float, end: float, points: int) -> np.ndarray:
    """``seq.int(start, end, length.out = points)``."""
    out = start + np.arange(points) * ((end - start) / (points - 1))
    out[-1] = end
    return out


def cut_labels(breaks: np.ndarray, right: bool, lowest: bool, digits: int) -> list[str]:
    """Labels of the intervals between these breaks: with more digits where two would be written alike."""
    count = len(breaks) - 1
    texts: list[str] = []
    for precision in range(digits, max(12, digits) + 1):
        texts = [f"{0 + value:.{precision}g}" for value in breaks]
        if all(a != b for a, b in zip(texts[1:], texts[:-1], strict=True)):
            break
    else:
        return [f"Range_{i + 1}" for i in range(count)]
    opening, closing = ("(", "]") if right else ("[", ")")
    labels = [f"{opening}{a},{b}{closing}" for a, b in pairwise(texts)]
    if lowest and right:
        labels[0] = "[" + labels[0][1:]
    elif lowest:
        labels[-1] = labels[-1][:-1] + "]"
    return labels
