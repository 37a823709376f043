"""``python -m benchmarks``: everything, or ``likelihood``, ``bayes``, ``startup`` alone."""

import platform
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks import bayes, likelihood, startup
from benchmarks.models import select

PARTS = ("startup", "likelihood", "bayes")


def main(
    parts: Annotated[
        list[str] | None, typer.Argument(help=f"Any of {', '.join(PARTS)}; all where none is given.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only this model (may be given again).")] = None,
    repeat: Annotated[int, typer.Option(min=1, help="Warm calls of each side.")] = 15,
    output: Annotated[Path | None, typer.Option(help="A Markdown file for the tables.")] = None,
) -> None:
    """Measure mlmparity beside live R, in one run."""
    unknown = set(parts or ()) - set(PARTS)
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    chosen = parts or list(PARTS)
    models = select(model)
    sections = [f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}"]
    if "startup" in chosen:
        sections.append("## Start (seconds, median)\n\n" + _text(startup.measure().to_frame()))
    if "likelihood" in chosen:
        sections.append("## lmer, ML, warm (seconds, median)\n\n" + _text(likelihood.measure(models, repeat)))
    if "bayes" in chosen:
        sections.append("## stan_lmer, smallest bulk ESS per CPU-second\n\n" + _text(bayes.measure(models)))
    text = "\n\n".join(sections) + "\n"
    typer.echo(text)
    if output is not None:
        output.write_text(text, encoding="utf-8")


def _text(table: pd.DataFrame) -> str:
    return "\n".join("    " + line for line in table.to_string(float_format=lambda x: f"{x:.4g}").splitlines())


typer.run(main)
