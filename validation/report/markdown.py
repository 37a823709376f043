"""Tables in Markdown, for the pages of the documentation."""

from collections.abc import Iterable, Sequence

__all__ = ["table"]


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table; what would break a cell is written out."""

    def line(cells: Sequence[object]) -> str:
        return f"| {' | '.join(str(cell).replace('|', '&#124;').replace(chr(10), ' ') for cell in cells)} |"

    return [line(head), "|---" * len(head) + "|", *(line(row) for row in rows)]
