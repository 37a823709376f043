"""What the commands share: arguments, where words go, R started ahead, comparisons shown; and ``cases`` and ``sbc``."""

import contextlib
import contextvars
import datetime as dt
import importlib
import json
import os
import platform
import shlex
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Table
from rich.text import Text
from typer.models import ArgumentInfo

from pyimpl.extras import has
from r_scripts.installing import install_command
from validation.console import VisibleConsole
from validation.errors import InputError
from validation.files import make_folder, write_or_print
from validation.verdict import OK, Verdict, exit_code

if TYPE_CHECKING:
    from validation.campaign import Work
    from validation.cases import Case
    from validation.comparison import Comparison
    from validation.references.choose import Source

#: The arguments of the command that runs, for the report: it says how to repeat it.
GIVEN: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("arguments", default=())

#: What a comparison needs in the end: imported while R starts.
_NEEDED_LATER = ("pyimpl.models.lmer_fit", "validation.judge.tiers", "validation.report.html",
                 "matplotlib.backends.backend_svg")  # fmt: skip

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


def results(json_file: Path | None = None) -> VisibleConsole:
    """Where results go: standard output, which is for the JSON alone where that is printed."""
    return VisibleConsole(quiet=str(json_file) == "-")


def errors() -> VisibleConsole:
    """Where errors and progress go."""
    return VisibleConsole(stderr=True)


def write_json(json_file: Path | None, content: object) -> None:
    """Write what a command found, where it is asked for."""
    from validation.plain import plain

    if json_file is not None:
        write_or_print(json_file, json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False))


def start_r(against: str, bayes: bool) -> None:
    """Let R start and load its packages while Python imports its own, where live R may be asked."""
    if {"auto", "live"} & set(against.split("+")):
        from bridge.session import default

        default().start_ahead(["lme4", *(["rstanarm"] if bayes else [])])


def import_ahead() -> None:
    """Import what is needed later in a thread: what follows waits for R. What fails there fails again where needed."""

    def load() -> None:
        for name in _NEEDED_LATER:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)

    with contextlib.suppress(RuntimeError):  # no more threads for us
        threading.Thread(target=load, name="mlmparity-imports", daemon=True).start()


@dataclass(frozen=True)
class Shown:
    """What a command prints of its comparisons, and where their report goes; imports begin while R starts.

    A folder that cannot be written is refused before minutes of work, not after.
    """

    output: Path  # folder of the report
    all_rows: bool  # every row of the tables
    verbose: bool  # a comparison that agrees is more than a line
    quiet: bool  # the verdict only, and no progress
    json_file: Path | None  # where everything goes as JSON; ``-``: to standard output, with nothing else

    def __post_init__(self) -> None:
        named = f"--output {str(self.output)!r}"
        if self.output.is_file():
            raise InputError(f"{named} is a file; name a folder")
        make_folder(self.output)
        if not os.access(self.output, os.W_OK | os.X_OK):
            raise InputError(f"{named} cannot be written to; name another folder")
        import_ahead()

    def run(
        self,
        works: "Sequence[Case | Work]",
        reference: "Source",
        seed: int | None,
        reported: type[Exception] = Exception,
    ) -> int:
        """Compare with progress, print each comparison as it comes, write the report, give the exit code.

        Errors of the type ``reported`` are; others are raised.
        """
        from validation.campaign import pictures, run
        from validation.progress import tracker
        from validation.report.html import render_page, write_report
        from validation.report.json import dumps
        from validation.report.text import one_line, renderable
        from validation.report.wording import headline, source_line

        out = results(self.json_file)
        brief = not (self.verbose or self.all_rows)
        reason, against = reference.reason, reference.against
        began = time.monotonic()

        def show(comparison: "Comparison") -> None:
            if not self.quiet:
                told = renderable(comparison, all_rows=self.all_rows, brief=brief, width=out.width)
                out.print(told, soft_wrap=brief and comparison.agrees)

        if against == "recorded" and not self.quiet:  # they stand for live R
            errors().say(f"Comparing against recorded references, because {reason}.")
        with tracker(len(works), quiet=self.quiet) as track:
            comparisons = run(works, reference, seed=seed, track=track, finished=show, reported=reported)
        seconds = time.monotonic() - began
        now = dt.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
        page = render_page(
            comparisons,
            reason=reason,
            generated=f"{now}, in {seconds:.0f} s on {platform.system()} {platform.machine()}",
            extra_plots=pictures(comparisons, against),
            command=shlex.join(["mlmparity", *GIVEN.get()]),  # for a shell
        )
        data = dumps(comparisons, reason=reason)
        html, json_beside = write_report(self.output, page, data)
        if self.json_file is not None:
            write_or_print(self.json_file, data)
        if not self.quiet:
            if len(comparisons) > 1 and not brief:
                for comparison in comparisons:
                    out.say(one_line(comparison))
            out.say(source_line(comparisons, reason))
            if not has("matplotlib", "plotnine"):
                out.say(f"The report has no pictures; they need: {install_command('mlmparity[report]')}")
            out.say(f"Report: {html}\nData:   {json_beside}")
        out.say(f"{headline(comparisons)} ({seconds:.0f} s).", "bold")
        return exit_code(Verdict.of(comparison.verdict for comparison in comparisons))


def list_cases(
    names: Annotated[list[str] | None, case_names("Names of cases, or parts of names; all when none is given.")] = None,
    json_file: JsonFile = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the names only, one a line.")] = False,
    debug: Debug = False,
) -> int:
    """List the cases that compare, conformance and validate know."""
    from validation.campaign import described

    found = described(names or ())
    write_json(json_file, found)
    if quiet:
        results(json_file).say("\n".join(one["name"] for one in found))
    elif json_file is None:
        _show(found)
    return OK


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
    results().print(table)
    results().say(
        "\nA case is a model and a fit, as sleepstudy-reml; a model's name alone is all of its fits. *: its certified "
        "values are there, too."
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
    from validation.cases import by_name
    from validation.progress import tracker

    chosen = by_name(models, {model.name: model for model in MODELS})
    out, pictures = results(json_file), has("matplotlib")
    if not (pictures or quiet):
        out.say(f"Without pictures of the ranks: they need {install_command('mlmparity[plots]')}")
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
            table = result.table()
            figures.append(
                {
                    "name": model.name,
                    "formula": model.formula,
                    "verdict": result.verdict,
                    "data sets": len(result.ranks),
                    "smallest p": result.smallest_p,
                    "fits with a warning": result.warned,
                    "quantities": table.reset_index().to_dict("records"),
                }
            )
            verdicts.append(result.verdict)
            out.say(
                f"{model.name} ({model.formula}): {result.verdict.value}; {len(result.ranks)} data sets, "
                f"{int(table['inside'].sum())} of {len(table)} quantities inside their own 95% band, smallest p "
                f"{result.smallest_p:.3f} corrected for their number; {result.warned} fits with a warning."
            )
            if not quiet and not table["inside"].all():
                out.say(table[~table["inside"]].to_string(float_format="{:.4f}".format))
    worst = Verdict.of(verdicts)
    write_json(json_file, {"verdict": worst, "models": figures})
    out.say(f"Calibration: {worst.value}.", "bold")
    return exit_code(worst)
