"""The figures that plots return: matplotlib's, made without pyplot, that show themselves in a notebook."""

import io
from typing import Any

from matplotlib.figure import Figure

__all__ = ["ShownFigure"]

_WIDEST = 800  # pixels: a notebook's cell
_SHARP = 2  # pixels of the picture for one of the page: screens are sharp nowadays


class ShownFigure(Figure):
    """A ``matplotlib.figure.Figure`` that a notebook shows where it is a cell's last line.

    pyplot knows nothing of it: nothing is shown that was not asked for, and nothing has to be closed.
    """

    def _repr_png_(self) -> tuple[bytes, dict[str, Any]]:
        """Picture and its size on the page, as IPython asks for them."""
        width, height = self.get_size_inches() * 100
        shrink = min(1.0, _WIDEST / width)
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100 * shrink * _SHARP, facecolor="white")
        return buffer.getvalue(), {"width": round(width * shrink), "height": round(height * shrink)}
