"""Write the generated parts of the pages in this folder anew: ``python docs/generate.py`` (``--check`` only compares).

A generated part stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.
"""

import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

from validation.judge import tolerances

HERE = Path(__file__).resolve().parent


def tolerance_table() -> str:
    """Every tolerance of the judge, with its unit and its reason, as a Markdown table."""
    rows = ["| check | what | limit | reason |", "|---|---|---|---|"]
    for value in vars(tolerances).values():
        if isinstance(value, tolerances.Tolerance):
            limit = "by the number of tests" if math.isnan(value.limit) else f"{value.limit:.3g}"
            unit = "" if value.unit == "exact" else " " + value.unit.replace("|", "&#124;")
            title = tolerances.TITLES[value.check]
            rows.append(f"| {value.check} | {title} | {limit}{unit} | {value.reason.replace('|', '&#124;')} |")
    return "\n".join(rows)


def conformance_table() -> str:
    """Who agrees with R on what, from the runs kept in ``docs/conformance``."""
    from validation.conformance.table import markdown, read_runs

    return markdown(read_runs(sorted((HERE / "conformance").glob("*.json"))))


PARTS: dict[str, Callable[[], str]] = {"tolerances": tolerance_table, "conformance": conformance_table}


def renewed(text: str) -> str:
    """The page with its generated parts made anew."""
    for name, make in PARTS.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        text = re.sub(pattern, lambda match, make=make: f"{match[1]}{make()}\n{match[2]}", text, flags=re.DOTALL)
    return text


def stale(pages: list[Path] | None = None) -> list[Path]:
    """Pages whose generated parts are not what the code gives today."""
    pages = sorted(HERE.glob("*.md")) if pages is None else pages
    return [page for page in pages if renewed(page.read_text("utf-8")) != page.read_text("utf-8")]


if __name__ == "__main__":
    outdated = stale()
    if "--check" in sys.argv:
        sys.exit("\n".join(f"{page.name} is stale: run python docs/generate.py" for page in outdated) or 0)
    for page in outdated:
        page.write_text(renewed(page.read_text("utf-8")), encoding="utf-8")
        print(f"wrote {page.name}")
