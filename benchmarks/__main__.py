"""``python -m benchmarks``: everything, or some of its parts alone."""

import platform
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console

from benchmarks import bayes, growth, likelihood, refit, startup, turns
from benchmarks.models import select
from benchmarks.programs import PROGRAMS, installed

#: Programs that are measured call by call in turns, ours first: those whose calls are short.
TURNS = ("pyimpl", "glmm", "mixedlm")
#: Programs that take minutes on the shapes of real work: measured there only if they are asked for.
SLOW = ("statsmodels",)
PARTS = ("startup", "likelihood", "shapes", "refit", "growth", "bayes")


def main(
    parts: Annotated[
        list[str] | None, typer.Argument(help=f"Any of {', '.join(PARTS)}; all where none is given.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only this model (may be given again).")] = None,
    program: Annotated[list[str] | None, typer.Option(help="Only this program (may be given again).")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each program.")] = 3,
    rows: Annotated[int, typer.Option(min=1000, help="Largest number of rows of the growth part.")] = 10_000_000,
    output: Annotated[Path | None, typer.Option(help="A Markdown file for the tables.")] = None,
    figure: Annotated[Path | None, typer.Option(help="A PNG file for the plot of growth.")] = None,
) -> None:
    """Measure mlmparity beside live R and other libraries, in one run."""
    unknown = set(parts or ()) - set(PARTS)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    chosen = parts or list(PARTS)
    known = {*(one.name for one in PROGRAMS), *bayes.PROGRAMS}
    if strange := set(program or ()) - known:
        raise typer.BadParameter(
            f"no program called {', '.join(sorted(strange))}; there are {', '.join(sorted(known))}"
        )
    try:
        likelihood_models, bayes_models = select(model, "likelihood"), select(model, "bayes")
        shapes = select(model, "shapes")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    small = [one for one in likelihood_models if "bayes" in one.kinds]
    posterior_programs = [name for name in bayes.PROGRAMS if not program or name in program]
    programs = [one for one in installed() if not program or one.name in program]
    versions = ", ".join(f"{one.name} {one.version}".strip() for one in programs)
    sections = [f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}; {versions}"]
    console = Console(stderr=True)
    with console.status("Measuring ...") as status:

        def say(text: str) -> None:
            status.update(f"Measuring {text} ...")

        if "startup" in chosen:
            sections.append("## Start (seconds, median)\n\n" + _text(startup.measure().to_frame()))
            if small:
                say("fresh interpreters")
                sections.append("## From nothing to a fit (seconds, median)\n\n" + _text(startup.cold(small, programs)))
        if "likelihood" in chosen and likelihood_models:
            table = likelihood.measure(likelihood_models, programs, rounds, say=say)
            sections.append("## lmer, ML, whole calls (seconds, medians)\n\n" + _text(table))
            here = sorted((one for one in programs if one.name in TURNS), key=lambda one: TURNS.index(one.name))
            if small and len(here) > 1:
                say("calls in turns")
                sections.append("## The same, warm, call by call in turns\n\n" + _text(turns.measure(small, here)))
        if "shapes" in chosen and shapes:
            fast = [one for one in programs if program or one.name not in SLOW]
            table = likelihood.measure(shapes, fast, rounds, say=say)
            sections.append("## lmer, ML, shapes of real work (seconds, medians)\n\n" + _text(table))
        if "refit" in chosen and small:
            sections.append("## refit in a loop (seconds a call)\n\n" + _text(refit.measure(small)))
        if "growth" in chosen:
            table = growth.measure(limit_rows=rows, say=say)
            sections.append("## Growth (seconds, MB)\n\n" + _text(table))
            if figure is not None:
                growth.plot(table, figure)
            table = growth.measure_posterior(rows, say)
            sections.append("## Growth of a posterior, 4 x 1000 draws (seconds)\n\n" + _text(table))
        if "bayes" in chosen and bayes_models:
            table = bayes.measure(bayes_models, posterior_programs, say=say)
            sections.append("## stan_lmer, 4 x 1000 draws\n\n" + _text(table))
    text = "\n\n".join(sections) + "\n"
    typer.echo(text)
    if output is not None:
        output.write_text(text, encoding="utf-8")


def _text(table: pd.DataFrame) -> str:
    shown = table.to_string(float_format=lambda x: f"{x:.4g}", na_rep="")
    return "\n".join("    " + line.rstrip() for line in shown.splitlines())


typer.run(main)
