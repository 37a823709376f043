"""The command ``mlmparity sbc``: calibrate the sampler of ``pyimpl.stan_lmer`` on simulated data."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from validation.arguments import Debug, JsonFile, Quiet
from validation.console import VisibleConsole


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
    from pyimpl.extras import has
    from r_scripts.installing import install_command
    from validation.calibration import MODELS, sbc
    from validation.errors import InputError
    from validation.files import write_or_print
    from validation.progress import tracker
    from validation.verdict import Verdict, exit_code

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
    verdicts, figures = [], []
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
            verdicts.append(result.verdict)
            figures.append(_figures(model, result))
            if not only_json:
                _print(console, model, result, quiet)
    worst = Verdict.of(verdicts)
    if json_file is not None:
        write_or_print(json_file, json.dumps({"verdict": worst.value, "models": figures}, ensure_ascii=False, indent=1))
    if not only_json:
        console.print(f"Calibration: {worst.value}.", style="bold")
    return exit_code(worst)


def _figures(model: Any, result: Any) -> dict[str, Any]:
    """What is printed of a model's calibration, and the table of all quantities, for programs."""
    from validation.plain import plain

    return {
        "name": model.name,
        "formula": model.formula,
        "verdict": result.verdict.value,
        "data sets": len(result.ranks),
        "smallest p": plain(result.smallest_p),
        "fits with a warning": plain(result.warned),
        "quantities": plain(result.table().reset_index().to_dict("records")),
    }


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
