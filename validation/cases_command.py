"""The command ``mlmparity cases``: which cases there are."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from validation.arguments import Debug, JsonFile, case_names
from validation.console import VisibleConsole

#: What a model's endings say, in the order of the table.
_ENDINGS = {"ml": "ML", "reml": "REML", "bayes": "Bayes"}


def list_cases(
    names: Annotated[list[str] | None, case_names("Names of cases, or parts of names; all when none is given.")] = None,
    json_file: JsonFile = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the names only, one a line.")] = False,
    debug: Debug = False,
) -> int:
    """List the cases that compare, conformance and validate know."""
    from validation.campaign import described
    from validation.files import write_or_print

    found = described(names or ())
    if json_file is not None:
        write_or_print(json_file, json.dumps(found, ensure_ascii=False, indent=1))
    if quiet:
        if str(json_file) != "-":
            print("\n".join(one["name"] for one in found))
    elif json_file is None:
        _show(found)
    return 0


def _show(found: Sequence[dict[str, Any]]) -> None:
    """Print a row for each model, with the criteria by which it is fitted."""
    stems: dict[str, dict[str, dict[str, Any]]] = {}
    for one in found:
        stem, _, ending = one["name"].rpartition("-")
        key, ending = (stem, ending) if ending in _ENDINGS else (one["name"], "")
        stems.setdefault(key, {})[ending] = one
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    table.add_column("model", no_wrap=True)
    table.add_column("fits", no_wrap=True)
    table.add_column("what it is, and its formula", overflow="fold")
    for stem, fits in stems.items():
        ending, first = next(iter(fits.items()))
        title = first["title"].rpartition(", ")[0] if ending else first["title"]  # how it is fitted has its own column
        marked = [ending + "*" * ("certified" in fits[ending]["references"]) for ending in _ENDINGS if ending in fits]
        what = Text.assemble(title, "\n", (first["formula"], "dim"))
        table.add_row(Text(stem), Text(" ".join(marked)), what)
    console = VisibleConsole()
    console.print(table)
    console.print(
        "\nA case is a model and a fit, as sleepstudy-reml; a model's name alone is all of its fits. *: its certified "
        "values are there, too.",
        soft_wrap=True,
    )
