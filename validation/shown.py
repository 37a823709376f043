"""What the commands share: R started ahead, comparisons made and shown as they come, the report written."""

import contextlib
import contextvars
import dataclasses
import datetime as dt
import importlib
import os
import platform
import shlex
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from pyimpl.extras import has
from r_scripts.installing import install_command
from validation.console import VisibleConsole
from validation.errors import InputError
from validation.verdict import Verdict, exit_code

if TYPE_CHECKING:
    from validation.campaign import Work
    from validation.cases import Case
    from validation.comparison import Comparison
    from validation.references.choose import Source

#: The arguments of the command that runs, for the report: it says how to repeat it.
GIVEN: contextvars.ContextVar[tuple[str, ...]] = contextvars.ContextVar("arguments", default=())


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a command prints of its comparisons, and where their report goes."""

    output: Path  # folder of the report
    all_rows: bool  # every row of the tables
    brief: bool  # a comparison that agrees is a line
    quiet: bool  # the verdict only, and no progress
    json_file: Path | None  # where everything goes as JSON; ``-``: to standard output, with nothing else


#: What a comparison needs in the end: imported while R starts.
_NEEDED_LATER = ("pyimpl.models.lmer_fit", "validation.judge.tiers", "validation.report.html",
                 "matplotlib.backends.backend_svg")  # fmt: skip


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


def prepared(output: Path, all_rows: bool, verbose: bool, quiet: bool, json_file: Path | None) -> Shown:
    """What will be shown; imports begin while R starts.

    A folder that cannot be written is refused before minutes of work, not after.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        writable = os.access(output, os.W_OK | os.X_OK)
    except FileExistsError:
        raise InputError(f"--output {str(output)!r} is a file; name a folder") from None
    except OSError as error:
        raise InputError(f"--output {str(output)!r} cannot be made: {error.strerror}") from None
    if not writable:
        raise InputError(f"--output {str(output)!r} cannot be written to; name another folder")
    import_ahead()
    return Shown(output, all_rows, not (verbose or all_rows), quiet, json_file)


def run_and_show(
    works: "Sequence[Case | Work]",
    reference: "Source",
    seed: int | None,
    shown: Shown,
    reported: type[Exception] = Exception,
) -> int:
    """Compare with progress, print each comparison as it comes, write the report, give the exit code.

    Errors of the type ``reported`` are; others are raised.
    """
    from validation.campaign import pictures, run
    from validation.files import write_or_print
    from validation.progress import tracker
    from validation.report.html import write_report
    from validation.report.json import dumps
    from validation.report.text import one_line, renderable
    from validation.report.wording import headline, source_line

    out = output_console()
    reason, against = reference.reason, reference.against
    only_json = str(shown.json_file) == "-"
    silent = shown.quiet or only_json
    began = time.monotonic()

    def show(comparison: "Comparison") -> None:
        if not silent:
            told = renderable(comparison, all_rows=shown.all_rows, brief=shown.brief, width=out.width)
            out.print(told, soft_wrap=shown.brief and comparison.agrees)

    if against == "recorded" and not shown.quiet:  # they stand for live R
        said = f"Comparing against recorded references, because {reason}."
        error_console().print(Text(said), soft_wrap=True)
    with tracker(len(works), quiet=shown.quiet, console=error_console()) as track:
        comparisons = run(works, reference, seed=seed, track=track, finished=show, reported=reported)
    seconds = time.monotonic() - began
    now = dt.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    generated = f"{now}, in {seconds:.0f} s on {platform.system()} {platform.machine()}"
    page, data = write_report(
        shown.output,
        comparisons,
        reason=reason,
        generated=generated,
        extra_plots=pictures(comparisons, against),
        command=shlex.join(["mlmparity", *GIVEN.get()]),  # for a shell
    )
    if shown.json_file is not None:
        write_or_print(shown.json_file, dumps(comparisons, reason=reason))
    if not silent:
        if len(comparisons) > 1 and not shown.brief:
            for comparison in comparisons:
                out.print(one_line(comparison), soft_wrap=True)
        out.print(Text(source_line(comparisons, reason)), soft_wrap=True)
        if not has("matplotlib", "plotnine"):
            needed = install_command("mlmparity[report]")
            out.print(f"The report has no pictures; they need: {needed}", markup=False, soft_wrap=True)
        out.print(f"Report: {page}\nData:   {data}", markup=False, soft_wrap=True)
    if not only_json:
        out.print(Text(f"{headline(comparisons)} ({seconds:.0f} s)."), style="bold", soft_wrap=True)
    return exit_code(Verdict.of(comparison.verdict for comparison in comparisons))


def output_console() -> Console:
    """Where results go."""
    return _console(sys.stdout)


def error_console() -> Console:
    """Where errors and progress go."""
    return _console(sys.stderr)


def _console(file: Any) -> Console:
    """Return a console; where nobody's terminal says how wide it is (a log, a pipe), 100 columns."""
    known = file.isatty() or os.environ.get("COLUMNS")
    return VisibleConsole(file=file, width=None if known else 100)
