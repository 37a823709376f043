"""The command ``mlmparity``: validate, compare, conformance, doctor, record, certify, selftest, sbc, cases.

Exit codes: 0 agrees; 1 disagrees (or a number is missing); 2 bad input or usage; 3 inconclusive; 4 R was asked for and
is not there; 130 interrupted.
"""

import contextlib
import errno
import functools
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from r_scripts.dialect import Dialect
from validation.commands import (
    GIVEN,
    Debug,
    JsonFile,
    Quiet,
    Shown,
    calibrate,
    case_names,
    errors,
    list_cases,
    results,
    start_r,
    write_json,
)
from validation.errors import InputError, NoReferenceError, NoRError, SideError
from validation.migrate.command import register as register_migrate
from validation.options import Against
from validation.verdict import BAD_INPUT, DISAGREES, INCONCLUSIVE, INTERRUPTED, NO_R, OK, exit_code

app = typer.Typer(
    name="mlmparity",
    help="Multilevel models that agree with R's lme4 and rstanarm, and the proof of it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


Cases = Annotated[list[str] | None, case_names("Names of cases (see `mlmparity cases`); all when none is given.")]
AgainstArg = Annotated[
    Against,
    typer.Option(
        help="Live R, recorded references, or live R where there is one (auto); or the certified values, which have no "
        "error (of likelihood fits of the suite)."
    ),
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Seed of the samplers; each case has its own when none is given.")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for report.html and report.json.", metavar="DIR")]
Directory = Annotated[
    Path | None, typer.Option(help="Where to write; the package's own references when not given.", metavar="DIR")
]
AllRows = Annotated[bool, typer.Option("--all", help="Print every row of the tables.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Open up what agrees, too: checks, notes, parameters.")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (``sys.argv`` when no arguments are given) and exit with its code."""
    _open_streams()
    _make_output_safe()
    # the page's pictures need no backend, and one that is not there stops matplotlib
    os.environ.pop("MPLBACKEND", None)
    given = list(sys.argv[1:] if arguments is None else arguments)
    GIVEN.set(tuple(given))
    try:
        os.getcwd()
    except OSError:
        errors().say("Error: the current folder is gone; change to one that is there.")
        sys.exit(BAD_INPUT)
    _start_r_ahead(given)
    try:
        app(args=given, prog_name="mlmparity")
    except KeyboardInterrupt:
        sys.exit(_interrupted())
    except BrokenPipeError:
        # Whoever read our output (`mlmparity cases | head`) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(OK)


def _start_r_ahead(given: Sequence[str]) -> None:
    """Let R start before the arguments are parsed, where the command will ask live R: nothing takes as long."""
    words = {word.removeprefix("--against=") for word in given}
    if given[:1] in (["compare"], ["validate"]) and not {"recorded", "certified", "-h", "--help"} & words:
        bayes = "--bayes" in given if given[0] == "compare" else "--no-bayes" not in given
        start_r("live", bayes)


def _guarded(function: Callable[..., int]) -> Callable[..., None]:
    """Turn what a command returns or raises into an exit code, and errors into one clean message."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> None:
        debug = bool(kwargs.get("debug"))
        try:
            code = function(*args, **kwargs)
        except KeyboardInterrupt:
            code = _interrupted()
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except Exception as error:
            if debug:
                errors().print_exception(show_locals=False)
            code = _explain(error, debug, kwargs.get("against") or kwargs.get("reference"))
        raise typer.Exit(code)

    return command


def _command(function: Callable[..., int]) -> Callable[..., int]:
    """Make a command of a function: its name is the function's, its help the docstring."""
    app.command()(_guarded(function))
    return function


@_command
def validate(
    cases: Cases = None,
    against: AgainstArg = "auto",
    bayes: Annotated[bool, typer.Option("--bayes/--no-bayes", help="Also the Bayesian cases (rstanarm).")] = True,
    seed: Seed = None,
    output: Output = Path("mlmparity-report"),
    verbose: Verbose = False,
    all_rows: AllRows = False,
    json_file: JsonFile = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Fit the cases with R and in Python, diff them, and write the report."""
    from validation.campaign import choose
    from validation.references.choose import choose_source

    chosen = choose(list(cases or []))
    chosen = [case for case in chosen if bayes or case.kind != "bayes"]
    if not chosen:
        raise InputError(
            "every case named is Bayesian, and --no-bayes leaves them out; name another, or drop --no-bayes"
        )
    return Shown(output, all_rows, verbose, quiet, json_file).run(chosen, choose_source(against), seed)


@_command
def compare(
    cases: Annotated[
        list[str] | None, case_names("Names of cases of the suite, in place of your own data and formula.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "-d",
            help="A .csv, .tsv, .dta, .sav, .xlsx, .feather, .parquet or .rds file; '-': standard input.",
            metavar="FILE",
        ),
    ] = None,
    formula: Annotated[
        list[str] | None,
        typer.Option(
            "--formula",
            "-f",
            help="As lmer takes it: 'y ~ x + (x | g)'. Several: also their likelihood-ratio tests (anova).",
        ),
    ] = None,
    reml: Annotated[bool, typer.Option("--reml/--ml", help="Criterion of the likelihood fit.")] = True,
    bayes: Annotated[bool, typer.Option("--bayes/--no-bayes", help="stan_lmer instead of lmer.")] = False,
    factor: Annotated[
        list[str] | None,
        typer.Option(
            help="A column to take as factor: COL, or COL=lev1,lev2 with its levels in order.", metavar="COL[=LEVELS]"
        ),
    ] = None,
    strings_as_factors: Annotated[
        bool, typer.Option("--strings-as-factors", help="Take every column of text as factor.")
    ] = False,
    encoding: Annotated[
        str | None, typer.Option(help="Of the file's text, as latin-1; UTF-8 when not given.", metavar="NAME")
    ] = None,
    separator: Annotated[
        str | None, typer.Option("--sep", help="What separates cells; found out when not given.", metavar="CHAR")
    ] = None,
    decimal: Annotated[
        str | None,
        typer.Option("--dec", help="The decimal mark, '.' or ','; found out when not given.", metavar="CHAR"),
    ] = None,
    na: Annotated[
        list[str] | None,
        typer.Option(help="What stands for a missing value, in place of NA and a lone '.'.", metavar="TEXT"),
    ] = None,
    sheet: Annotated[
        str | None, typer.Option(help="Of an .xlsx file; the first when not given.", metavar="NAME")
    ] = None,
    dialect: Annotated[
        str | None,
        typer.Option(
            help="Whose words Python prints in: a version of lme4 ('1.1-37'), or packages with theirs ('lme4 2.1-0, "
            "R 4.6.2'); those of the R that is compared with when not given.",
            metavar="VERSION",
        ),
    ] = None,
    against: AgainstArg = "auto",
    seed: Seed = None,
    output: Output = Path("mlmparity-report"),
    verbose: Verbose = False,
    all_rows: AllRows = False,
    json_file: JsonFile = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Compare R (or certified values) and Python on your own data, or on cases of the suite."""
    formulas = list(formula or [])
    if cases and (data is not None or formulas):
        raise InputError("name cases of the suite, or give --data and --formula of your own; not both")
    if cases and (bayes or not reml or factor or strings_as_factors or dialect):
        raise InputError(
            "a case of the suite has its own criterion and data (`mlmparity cases` lists them): --ml, --bayes, "
            "--factor, --strings-as-factors and --dialect go with --data and --formula"
        )
    lacking = [*(["--data"] if data is None else []), *([] if formulas else ["--formula"])]
    if not cases and lacking:
        raise InputError(
            f"{' and '.join(lacking)} is missing: give --data and --formula, or the names of cases (`mlmparity cases`)"
        )
    from validation.campaign import own_works
    from validation.cases import with_reference
    from validation.reading.files import read_file
    from validation.reading.text import TextOptions
    from validation.references.choose import choose_source

    if cases:
        shown = Shown(output, all_rows, verbose, quiet, json_file)
        reference = choose_source(against)
        return shown.run(with_reference(reference, cases), reference, seed)
    assert data is not None
    try:
        spoken = None if dialect is None else Dialect.of(dialect)
    except ValueError as error:
        raise InputError(f"--{error}") from None
    reading = read_file(
        "-" if str(data) == "-" else data,
        text=TextOptions(encoding, "\t" if separator in ("tab", "\\t") else separator, decimal, na),
        sheet=sheet,
        factors=list(factor or []),
        strings_as_factors=strings_as_factors,
    )
    if not quiet:
        from validation.report.wording import cell

        named = "standard input" if str(data) == "-" else str(data)
        errors().say(f"Read {cell(named)}: {cell(str(reading))}")
    shown = Shown(output, all_rows, verbose, quiet, json_file)
    own = own_works(formulas, reading.data, reml, bayes, spoken)
    return shown.run(own, choose_source(against), seed, reported=SideError)


@_command
def conformance(
    cases: Annotated[list[str] | None, case_names("Names of cases; all that it claims when none is given.")] = None,
    candidate: Annotated[
        str,
        typer.Option("--candidate", "-c", help="package.module:function, or an adapter that ships.", metavar="NAME"),
    ] = "",
    reference: Annotated[
        str,
        typer.Option(help="certified, recorded, live, several as in certified+live, or the best for each case (auto)."),
    ] = "auto",
    can: Annotated[str | None, typer.Option(help="What it can do: reml,slopes,... (--features lists all).")] = None,
    missing: Annotated[str | None, typer.Option(help="Quantities that it does not offer: condsd,design,...")] = None,
    deviations: Annotated[Path | None, typer.Option(help="TOML file of known deviations.", metavar="FILE")] = None,
    json_file: JsonFile = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of the report.", metavar="DIR")] = None,
    features: Annotated[bool, typer.Option("--features", help="List features, quantities and adapters.")] = False,
    table: Annotated[
        list[Path] | None, typer.Option(help="Print the table of these JSON files (Markdown).", metavar="FILE")
    ] = None,
    time_limit: Annotated[
        float | None, typer.Option(min=1.0, help="Seconds that one fit may take (1800).", metavar="SECONDS")
    ] = None,
    seed: Seed = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Judge any implementation: fit the standard cases with it, and compare with R or certified values."""
    if candidate:
        start_r(reference, bayes=False)
    from validation.conformance import output as command

    if features or table:
        results().say(command.features() if features else command.markdown(command.read_runs(table or [])))
        return OK
    return exit_code(
        command.judge(
            command.candidate_named(candidate, can, missing, time_limit),
            reference,
            cases or [],
            deviations=deviations,
            data=json_file,
            report=output,
            seed=seed,
            quiet=quiet,
        )
    )


@_command
def doctor(json_file: JsonFile = None, quiet: Quiet = False, debug: Debug = False) -> int:
    """Show R, its packages and versions, what does not fit, and the command that mends it."""
    from bridge.doctor import examine
    from pyimpl.extensions import problems

    with contextlib.nullcontext() if quiet else errors().status("Looking at R ...", spinner="line"):
        diagnosis = examine()
    damage = problems()
    found = {
        "R can be used": diagnosis.ok,
        "versions": diagnosis.versions,
        "findings": [vars(finding) for finding in diagnosis.findings],
        "python": damage,
    }
    write_json(json_file, found)
    said = "R can be used." if diagnosis.ok else "R cannot be used: see mlmparity doctor."
    for sentence in (said if quiet else str(diagnosis), *damage):
        results(json_file).say(sentence)
    if not (damage or quiet):
        results(json_file).say("pyimpl's compiled modules are whole.")
    if damage:
        return BAD_INPUT
    return OK if diagnosis.ok else NO_R


@_command
def record(
    cases: Cases = None,
    directory: Directory = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Write down what live R gives, with its provenance, for machines without R."""
    from validation.campaign import record_works
    from validation.progress import tracker

    with tracker(1, quiet=quiet) as track:
        track.start("Recording")
        written = record_works(cases or (), directory=directory, progress=track)
    if not quiet:
        for path in written:
            results().say(str(path))
    return OK


@_command
def certify(
    cases: Annotated[
        list[str] | None, case_names("Names of cases of the suite; all but the largest when none is given.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Recompute the stored values by another program.")] = False,
    digits: Annotated[
        bool, typer.Option("--digits", help="Score live lme4 and ours by the stored values: digits that are right.")
    ] = False,
    bayes: Annotated[
        bool, typer.Option("--bayes/--no-bayes", help="Also the posteriors of few dimensions, by quadrature.")
    ] = True,
    anew: Annotated[bool, typer.Option("--anew", help="Write finished cases anew too.")] = False,
    directory: Directory = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Prove the suite's optima in ball arithmetic, and write their values to 20 digits."""
    from validation.certify.command import CertifyCommand, chosen

    command = CertifyCommand(chosen(list(cases or [])), bayes, directory, quiet)
    return command.score() if digits else command.check() if check else command.write(anew)


@_command
def selftest(
    quick: Annotated[bool, typer.Option("--quick", help="One fault of each row, few clean comparisons.")] = False,
    clean: Annotated[
        int | None, typer.Option(min=0, help="Number of clean comparisons (200; with --quick 10).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated data and of the samplers.")] = 1,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, help="Processes; one a core when not given.")
    ] = None,
    json_file: JsonFile = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Plant every known fault and see that each is caught and named; count false alarms (no R needed)."""
    from validation.progress import tracker
    from validation.selftest import run

    # Starting processes takes longer than the quick suite itself.
    processes = jobs if jobs is not None else 1 if quick else os.cpu_count() or 1
    with tracker(1, quiet=quiet) as track:
        track.start("Self-test")
        found = run(seed, quick=quick, clean=clean, jobs=processes, progress=track)
    write_json(json_file, found.to_json())
    if not quiet:
        results(json_file).print(found.table())
    results(json_file).say(f"{found.summary()} ({found.seconds:.0f} s)")
    return OK if found.ok else DISAGREES


def _show_version(wanted: bool) -> None:
    if wanted:
        from validation.report.json import package_version

        typer.echo(f"mlmparity {package_version()} (Python {platform.python_version()})")
        raise typer.Exit(OK)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def _explain(error: Exception, debug: bool, against: str | None = None) -> int:
    """Print an error as one clean message; the exit code that it means."""
    from bridge.errors import RCrashError, RNotFoundError, RPackageError, Rpy2Error, RTimeoutError

    ours = type(error).__module__.partition(".")[0] in ("bridge", "pyimpl", "validation")
    message = str(error).strip() or type(error).__name__
    if lacking := _lacking(error):
        message = f"the system gives this process no more {lacking}: {message}"
    elif not ours:
        message = f"{type(error).__name__}: {message}"
        if not debug:
            message += "\nThis is a fault of mlmparity; run again with --debug to see where, and please report it."
    errors().say(Text.assemble(("Error: ", "bold red"), message))
    if isinstance(error, (NoRError, RNotFoundError, Rpy2Error, RPackageError)):
        return NO_R
    if isinstance(error, NoReferenceError):
        return BAD_INPUT if against in ("recorded", "certified") else NO_R
    if isinstance(error, (RCrashError, RTimeoutError)) or not ours:
        return INCONCLUSIVE
    return BAD_INPUT


def _lacking(error: Exception) -> str | None:
    """What the system refused, where an error says that it has no more of something."""
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":
        return "threads"
    number = error.errno if isinstance(error, OSError) else None
    return {
        errno.EAGAIN: "processes",
        errno.ENOMEM: "memory",
        errno.EMFILE: "open files",
        errno.ENFILE: "open files",
        errno.ENOSPC: "room on the disk",
        errno.EDQUOT: "room on the disk",
    }.get(number or 0)


def _interrupted() -> int:
    errors().say("Interrupted; nothing was left half-written.")
    return INTERRUPTED


def _open_streams() -> None:
    """See that the standard streams are open: the next file that is opened would get the number of one that is closed.

    What a library prints would go into that file then. A command whose results nobody can have is refused.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, this one
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        print("Error: standard output is closed; send it to a file, or to /dev/null.", file=sys.stderr)
        sys.exit(BAD_INPUT)


def _make_output_safe() -> None:
    """Where the terminal's encoding lacks a letter, spell it instead of failing."""
    import codecs

    def spell(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        from validation.report.wording import ascii_fallback  # not before R was started

        return ascii_fallback(error.object[error.start : error.end]), error.end

    codecs.register_error("mlmparity-spell", spell)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="mlmparity-spell")  # type: ignore[union-attr]


app.command(name="cases")(_guarded(list_cases))
app.command(name="sbc")(_guarded(calibrate))
register_migrate(app, _guarded)
