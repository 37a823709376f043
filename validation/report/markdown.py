"""Tables in Markdown, for the pages of the documentation."""

from collections.abc import Iterable, Sequence


def escaped(text: object) -> str:
    """Text that breaks neither a cell nor a line of a table."""
    return str(text).replace("|", "&#124;").replace("\n", " ")


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table; what would break a cell is written out."""

    def line(cells: Sequence[object]) -> str:
        return f"| {' | '.join(map(escaped, cells))} |"

    return [line(head), "|---" * len(head) + "|", *(line(row) for row in rows)]
