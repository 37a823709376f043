"""The comparison as an HTML fragment for a notebook's cell: no script, styles confined to the fragment."""

from validation.comparison import Comparison
from validation.report.html import environment, view

__all__ = ["render_fragment"]


def render_fragment(comparison: Comparison) -> str:
    """Verdict, checks, causes, notes, the first rows and the plots of one comparison."""
    return environment().get_template("fragment.html.j2").render(view=view(comparison))
