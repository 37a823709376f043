"""The arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer
from typer.models import ArgumentInfo

JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json", help="Write everything as JSON to this file ('-': print it, and nothing else).", metavar="FILE"
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the verdict only; no progress.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def case_names(text: str) -> ArgumentInfo:
    """The argument that names cases, completed by the shell; ``text`` says which there are when none is given."""
    made: ArgumentInfo = typer.Argument(help=text, autocompletion=complete_case)
    return made


def complete_case(incomplete: str) -> list[tuple[str, str]]:
    """Names of cases that begin as what was typed, with their titles: what a shell offers."""
    from validation.campaign import described

    start = incomplete.casefold()
    return [(one["name"], one["title"]) for one in described() if one["name"].casefold().startswith(start)]
