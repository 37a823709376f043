"""The commands ``mlmparity migrate`` and ``mlmparity translate``."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from validation.console import VisibleConsole
from validation.errors import InputError

__all__ = ["register"]


def register(app: typer.Typer, guarded: Callable[[Callable[..., int]], Callable[..., None]]) -> None:
    """Add the commands to an app; ``guarded`` turns what one returns or raises into an exit code."""
    app.command(name="migrate")(guarded(_migrate))
    app.command(name="translate")(guarded(_translate))


def _migrate(
    script: Annotated[Path, typer.Argument(help="An R script: .R, .Rmd or .qmd.", metavar="SCRIPT")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder to write to; SCRIPT-python when not given."),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run/--no-run", help="Run the script in R, or translate its text alone (proves nothing).")
    ] = True,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Run the script's code without asking.")] = False,
    timeout: Annotated[
        float, typer.Option(min=1.0, metavar="SECONDS", help="How long the script may take in R.")
    ] = 3600.0,
    write_anywhere: Annotated[
        bool, typer.Option("--write-anywhere", help="Let the script write outside its scratch folder, too.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the report only; no progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Translate an R script into Python, and prove it: R's values beside Python's, and what was left out."""
    from validation.migrate.run import migrate
    from validation.migrate.sources import read_source

    console = VisibleConsole()
    read_source(script)
    if run and not yes and not _agreed(script):
        console.print("Nothing was run. --no-run translates the text alone.")
        return 2
    status = None if quiet or not console.is_terminal else console.status("")
    last = ""

    def say(text: str) -> None:
        nonlocal last
        if status is not None:
            status.update(text)
        elif not quiet and text != last and not text.startswith("R:"):
            print(f"{text} ...", file=sys.stderr, flush=True)
        last = text

    if status is not None:
        status.start()
    try:
        done = migrate(script, output, run=run, timeout=timeout, write_anywhere=write_anywhere, progress=say)
    finally:
        if status is not None:
            status.stop()
    console.print(str(done), soft_wrap=True, markup=False)
    return done.exit_code


def _agreed(script: Path) -> bool:
    """Whether the user wants the script's code to run; asked once, where somebody can answer."""
    if not sys.stdin.isatty():
        raise InputError(
            f"this runs all the code of {script} in R, and nobody is there to be asked; add --yes if you trust the "
            "script, or --no-run to translate its text alone"
        )
    print(f"This runs all the code of {script} in R, as Rscript would: its models, and whatever else it does.")
    print("Its working directory is a scratch folder with a copy of the files beside it,")
    print("on Linux the only place where it can write; --write-anywhere lifts that.")
    return typer.confirm("Run it?")


def _translate(
    code: Annotated[str, typer.Argument(help="R code, e.g. 'lmer(y ~ x + (1 | g), data = d)'.", metavar="CODE")],
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Print the Python of a call of R; nothing is run."""
    from validation.migrate.run import translate

    print(translate(code))
    return 0
