"""The command ``mlmparity cases``, and the completion of cases' names in a shell."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from validation.console import VisibleConsole

__all__ = ["complete_case", "register"]

#: What a model's endings say, in the order of the table.
_ENDINGS = {"ml": "ML", "reml": "REML", "bayes": "Bayes"}


def register(app: typer.Typer, guarded: Callable[[Callable[..., int]], Callable[..., None]]) -> None:
    """Add the command to an app; ``guarded`` turns what it returns or raises into an exit code."""
    app.command(name="cases")(guarded(_cases))


def complete_case(incomplete: str) -> list[tuple[str, str]]:
    """Names of cases that begin as what was typed, with their titles: what a shell offers."""
    start = incomplete.casefold()
    return [(one["name"], one["title"]) for one in _described() if one["name"].casefold().startswith(start)]


def _described() -> list[dict[str, str]]:
    """Name, title, formula, kind and references of every case."""
    from validation.campaign import added
    from validation.conformance.cases import all_cases, available
    from validation.references.choose import Source

    there = {kind: available(Source((kind,))) for kind in ("certified", "recorded")}
    found = [
        {
            "name": case.name,
            "title": case.title,
            "formula": case.formula,
            "kind": case.kind,
            "references": " ".join(kind for kind, names in there.items() if case.name in names),
        }
        for case in all_cases()
    ]
    own = [{"name": work.name, "title": work.title, "formula": work.formula, "kind": work.kind} for work in added()]
    return [*found, *({**one, "references": "recorded"} for one in own)]


def _cases(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names of cases, or parts of names; all when none is given.", autocompletion=complete_case),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the list to this file ('-': print it).", metavar="FILE")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the names only, one a line.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """List the cases that compare, conformance and validate know."""
    from validation.files import write_or_print

    found = _described()
    if names:
        chosen = _chosen(names)
        found = [one for one in found if one["name"] in chosen]
    if json_file is not None:
        rows = [{**one, "references": one["references"].split()} for one in found]
        write_or_print(json_file, json.dumps(rows, ensure_ascii=False, indent=1))
    if quiet:
        if str(json_file) != "-":
            print("\n".join(one["name"] for one in found))
    elif json_file is None:
        _show(found)
    return 0


def _chosen(names: Sequence[str]) -> set[str]:
    from validation.campaign import added
    from validation.conformance.cases import choose

    own = {work.name for work in added()} & {name.casefold() for name in names}
    rest = [name for name in names if name.casefold() not in own]
    return own | {case.name for case in choose(rest)} if rest else own


def _show(found: Sequence[dict[str, str]]) -> None:
    """Print a row for each model, with the criteria by which it is fitted."""
    stems: dict[str, dict[str, dict[str, str]]] = {}
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
