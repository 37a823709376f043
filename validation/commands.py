"""The arguments that several commands share, and the commands ``mlmparity cases`` and ``mlmparity sbc``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.models import ArgumentInfo

from pyimpl.extras import has
from r_scripts.installing import install_command
from validation.console import VisibleConsole
from validation.errors import InputError
from validation.files import write_or_print
from validation.verdict import Verdict, exit_code

#: The endings of a case's name, which say how it is fitted, in the order of the table.
_ENDINGS = ("ml", "reml", "bayes")

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


def list_cases(
    names: Annotated[list[str] | None, case_names("Names of cases, or parts of names; all when none is given.")] = None,
    json_file: JsonFile = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the names only, one a line.")] = False,
    debug: Debug = False,
) -> int:
    """List the cases that compare, conformance and validate know."""
    from validation.campaign import described

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


def calibrate(
    models: Annotated[
        list[str] | None, typer.Argument(help="intercepts, slopes, three, crossed; all when none is given.")
    ] = None,
    simulations: Annotated[int, typer.Option("--simulations", "-n", min=1, help="Data sets a model.")] = 300,
    draws: Annotated[int, typer.Option(min=10, help="Draws that each true value is ranked among.")] = 100,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Processes; -1 for all cores.")] = 1,
    seed: Annotated[int, typer.Option(min=0)] = 1,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of ranks and plots; a campaign goes on there.")
    ] = Path("mlmparity-sbc"),
    json_file: JsonFile = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Calibrate the sampler by simulation: are true values ranked uniformly among its draws."""
    from validation.calibration import MODELS, sbc
    from validation.plain import plain
    from validation.progress import tracker

    known = {model.name: model for model in MODELS}
    unknown = [name for name in models or () if name not in known]
    if unknown:
        raise InputError(f"no model called {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [known[name] for name in models] if models else list(MODELS)
    console = VisibleConsole()
    only_json = str(json_file) == "-"
    pictures = has("matplotlib")
    if not (pictures or quiet or only_json):
        console.print(f"Without pictures of the ranks: they need {install_command('mlmparity[plots]')}", markup=False)
    results = []
    with tracker(len(chosen), quiet=quiet) as follow:
        for model in chosen:
            follow.start(model.title)
            result = sbc(
                model.formula, model.data(), name=model.name, simulations=simulations, draws=draws, seed=seed,
                jobs=jobs, folder=output, progress=follow,
            )  # fmt: skip
            if pictures:
                result.plot().savefig(output / f"sbc-{model.name}.png", dpi=110)
            follow.finish()
            results.append((model, result))
            if not only_json:
                _print(console, model, result, quiet)
    worst = Verdict.of(result.verdict for _, result in results)
    if json_file is not None:
        figures = [
            {
                "name": model.name,
                "formula": model.formula,
                "verdict": result.verdict,
                "data sets": len(result.ranks),
                "smallest p": result.smallest_p,
                "fits with a warning": result.warned,
                "quantities": result.table().reset_index().to_dict("records"),
            }
            for model, result in results
        ]
        content = json.dumps(plain({"verdict": worst, "models": figures}), ensure_ascii=False, indent=1)
        write_or_print(json_file, content)
    if not only_json:
        console.print(f"Calibration: {worst.value}.", style="bold")
    return exit_code(worst)


def _print(console: Console, model: Any, result: Any, quiet: bool) -> None:
    table = result.table()
    console.print(
        f"{model.name} ({model.formula}): {result.verdict.value}; {len(result.ranks)} data sets, "
        f"{int(table['inside'].sum())} of {len(table)} quantities inside their own 95% band, smallest p "
        f"{result.smallest_p:.3f} corrected for their number; {result.warned} fits with a warning.",
        soft_wrap=True,
        markup=False,
    )
    if not quiet and not table["inside"].all():
        console.print(table[~table["inside"]].to_string(float_format="{:.4f}".format), markup=False)
