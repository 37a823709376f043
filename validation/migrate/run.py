"""The whole road: read, watch, write, replay, judge, report."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from r_scripts.programs import named_places, new_scratch_folder
from validation.files import FileError, explained, make_folder, write_atomically
from validation.migrate.compared import Compared
from validation.migrate.instrument import own_sites
from validation.migrate.judged import judge, other_shape, thetas_of, unproved
from validation.migrate.layout import without_marks
from validation.migrate.rcode import Node, RSyntaxError, parse
from validation.migrate.repeats import Limits
from validation.migrate.replay import Replayed, read_repeated, read_replayed
from validation.migrate.report import html_report, text_report
from validation.migrate.script import Script
from validation.migrate.script_writer import write_script
from validation.migrate.sources import Source, read_source, with_sourced
from validation.migrate.statements import SHOWN
from validation.migrate.tests_file import write_tests
from validation.migrate.values import Labelled
from validation.migrate.watch import Watched, confined, watch

__all__ = ["Migration", "migrate", "translate"]

#: How often the script is written anew where a statement's Python did not do what R did.
_ROUNDS = 6


@dataclass
class Migration:
    """What came of a script.

    Attributes
    ----------
    source : Path
    folder : Path
        Where the Python script, its data, its tests and the report lie.
    script : str
        The Python script.
    compared : list of Compared
        R's values beside Python's.
    missing : list of (int, str, str)
        Line, R's text and reason of each statement that was not carried over, wholly or in part.
    error : str or None
        What ended the script of R before its end.
    unproved : list of (int, str, str)
        Line, name and reason of what was carried over and could not be compared.
    failed : str or None
        What ended the Python script.
    """

    source: Path
    folder: Path
    script: str
    compared: list[Compared] = field(default_factory=list)
    missing: list[tuple[int, str, str]] = field(default_factory=list)
    error: str | None = None
    watched: Watched | None = None
    unproved: list[tuple[int, str, str]] = field(default_factory=list)
    failed: str | None = None

    @property
    def report(self) -> Path:
        """The report's page."""
        return self.folder / "report.html"

    @property
    def disagreements(self) -> list[Compared]:
        """Values that differ."""
        return [one for one in self.compared if one.verdict == "disagrees"]

    @property
    def exit_code(self) -> int:
        """0: all carried over and agrees. 1: something disagrees. 3: something was left out."""
        if self.disagreements:
            return 1
        return 3 if self.missing or self.unproved or self.error or self.watched is None else 0

    def __str__(self) -> str:
        return text_report(self)


def migrate(
    path: str | Path,
    output: str | Path | None = None,
    *,
    run: bool = True,
    timeout: float = 3600.0,
    write_anywhere: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Migration:
    """Translate a script of R into Python, and prove the translation.

    **This runs the script's code in R**, in a process and a scratch folder of its own: what it writes by relative names
    does not reach the script's folder. A script that you would not run in R should not be migrated.

    Parameters
    ----------
    path : path
        ``.R``, ``.Rmd`` or ``.qmd``.
    output : path, optional
        Folder to write to; ``<script>-python`` in the current folder when not given.
    run : bool
        False translates the text alone: nothing is run, nothing is proved.
    timeout : float
        Seconds that the script may take in R.
    write_anywhere : bool
        Let the script write outside its scratch folder, too.
    progress : callable, optional
        Called with a few words about what is being done.

    Returns
    -------
    Migration

    Raises
    ------
    ValueError
        The file is no R code (``RSyntaxError`` names the line).
    OSError
        It can't be read, or the folder can't be written.
    RNotFoundError
        There is no R and ``run`` is true.
    """
    say = progress or (lambda text: None)
    source = with_sourced(read_source(path))
    statements = source.statements()
    folder = Path(output) if output is not None else Path(f"{source.path.stem}-python")
    _can_write(folder)
    watched: Watched | None = None
    if run:
        say(f"running {source.path.name} in R")
        with _scratch() as scratch:
            watched = watch(
                source,
                statements,
                scratch,
                timeout=timeout,
                write_anywhere=write_anywhere,
                progress=lambda where: say(f"R: {where}"),
            )
    script, replayed = _written(source, statements, watched, folder, say, timeout, write_anywhere)
    compared = judge(script, watched, replayed) if watched is not None and replayed is not None else []
    migration = Migration(
        source.path,
        folder,
        script.text,
        compared,
        _missing(source, script),
        watched.error if watched else None,
        watched,
        unproved(script, watched, compared) if watched is not None else [],
        replayed.error if replayed is not None else None,
    )
    if watched is not None:
        write_tests(folder, source.path, compared, script)
    write_atomically(migration.report, html_report(migration, script))
    return migration


def _written(
    source: Source,
    statements: list[Node],
    watched: Watched | None,
    folder: Path,
    say: Callable[[str], None],
    timeout: float,
    write_anywhere: bool,
) -> tuple[Script, Replayed | None]:
    """The script, written until it runs: a statement whose Python fails is written as R was seen to do it, or left."""
    unrolled: dict[int, str] = {}
    left: dict[int, str] = {}
    while True:
        say("writing the Python script")
        script = write_script(source, statements, watched, unrolled=unrolled, left=left)
        _save(script, source, folder, watched)
        if watched is None:
            return script, None
        say("running the Python script")
        replayed = _replayed(folder, source, timeout, write_anywhere)
        failing = _failing(script, watched, replayed)
        if failing is None or len(unrolled) + len(left) >= _ROUNDS * 4 or failing[0] in left:
            break
        statement, why = failing
        (left if statement in unrolled else unrolled)[statement] = why
    if script.drawn and replayed.error is None:
        say("computing what is random with other seeds")
        replayed.again = _repeated(folder, source, timeout, write_anywhere)
    return script, replayed


def _failing(script: Script, watched: Watched, replayed: Replayed) -> tuple[int, str] | None:
    """The first statement whose Python failed, or gave other numbers of values than R."""
    if replayed.error is not None:
        before = [(line, k) for k, line in script.first_lines.items() if line <= replayed.line]
        if before:
            return max(before)[1], f"its Python failed: {replayed.error}"
        return None
    for span in sorted({span.site for span in script.spans if span.site < SHOWN}):
        statement = script.sites[span].statement
        theirs = sum(1 for e in watched.events if e["event"] == "value" and int(e["site"]) == span)
        if theirs != len(replayed.seen.get(span, [])) and watched.error is None:
            return statement, f"its Python ran {len(replayed.seen.get(span, []))} times, R {theirs} times"
    return other_shape(script, watched, replayed)


def _save(script: Script, source: Source, folder: Path, watched: Watched | None) -> None:
    name = _script_name(source)
    write_atomically(folder / name, script.text)
    migration = {
        "source": source.path.name,
        "script": name,
        "spans": [asdict(span) for span in script.spans],
        "kept": [asdict(one) for one in script.kept],
        "drawing": {str(one.number): own_sites(one, script.sites) for one in script.sites if one.draws},
        "drawn": script.drawn,
        "thetas": thetas_of(watched) if watched is not None else {},
    }
    write_atomically(folder / "migration.json", json.dumps(migration, indent=1) + "\n")
    if script.frames:
        data = folder / "data"
        make_folder(data)
        for name, frame in script.frames.items():
            part = data / f".{name}.part"
            try:
                with explained(data / f"{name}.parquet"):
                    frame.to_parquet(part)
                    part.replace(data / f"{name}.parquet")
            finally:
                part.unlink(missing_ok=True)


def _script_name(source: Source) -> str:
    from validation.migrate.code import python_name

    return python_name(source.path.stem) + ".py"


def _replayed(folder: Path, source: Source, timeout: float, write_anywhere: bool) -> Replayed:
    """Run the written script in a process of its own, as it will be run."""
    with _scratch() as scratch:
        out = scratch / "values.json"
        said = _run_apart(folder, source, out, timeout, write_anywhere)
        return read_replayed(out) if out.exists() else Replayed(error=said)


def _repeated(folder: Path, source: Source, timeout: float, write_anywhere: bool) -> list[dict[int, list[Labelled]]]:
    """Run the random part of the written script, with other seeds, in a process of its own."""
    with _scratch() as scratch:
        out = scratch / "values.json"
        _run_apart(
            folder, source, out, max(timeout, 2.0 * Limits().patience * Limits().seconds), write_anywhere, "again"
        )
        return read_repeated(out) if out.exists() else []


def _run_apart(folder: Path, source: Source, out: Path, seconds: float, write_anywhere: bool, *more: str) -> str:
    """Run the script in the folder of its output, the only one in which it can write: it writes what R's wrote."""
    scratch = out.parent
    command = [*confined(scratch, write_anywhere), sys.executable, "-P", "-m", "validation.migrate.replay"]
    command += [str((folder / name).resolve()) for name in (_script_name(source), "migration.json")]
    home = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([home, *named_places()])
    seconds = max(seconds, 60.0)
    try:
        done = subprocess.run(
            [*command, str(out), *more],
            cwd=scratch,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, "TMPDIR": str(scratch)},
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return f"stopped after {seconds:.0f} seconds (--timeout)"
    return (done.stderr.strip().splitlines() or ["the script ended without a word"])[-1]


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    try:
        folder = Path(new_scratch_folder("mlmparity-migrate-"))  # R removes its temporary folder in a shell, unquoted
    except OSError as error:
        raise FileError(f"no folder for temporary files can be made: {error}; set TMPDIR to another one") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _can_write(folder: Path) -> None:
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise FileError(f"{folder} is a file; name a folder with -o")
    make_folder(folder)
    if any(folder.iterdir()) and not (folder / "migration.json").exists():
        raise FileError(f"{folder} holds other files; name an empty or a new folder with -o")


def _missing(source: Source, script: Script) -> list[tuple[int, str, str]]:
    omitted = [(line, source.lines[line - 1].strip(), why) for line, why in source.omitted]
    left = [
        (piece.line, f"{piece.file}: {piece.text}" if piece.file else piece.text, piece.why)
        for piece in script.pieces
        if piece.status == "left" or (piece.status == "carried" and piece.why)
    ]
    return sorted([*omitted, *left], key=lambda one: one[0]) if omitted else left


def translate(code: str) -> str:
    """One call, or a few, of R as Python; nothing is run.

    Parameters
    ----------
    code : str
        ``"lmer(course ~ 1 + (1 | school), data = GCSE, REML = FALSE)"``.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        It is no R code, or has no counterpart in Python; the text says why.
    """
    source = Source(Path("translate.R"), code, tuple(code.split("\n")))
    statements = parse(code)
    script = write_script(source, statements, None)
    lines = []
    for piece in script.pieces:
        if piece.status == "left":
            raise RSyntaxError(piece.why, piece.line)
    for piece in script.pieces:
        lines += [without_marks(line)[0] for line in piece.code]
    return "\n".join(line[6:-1] if line.startswith("print(") and line.endswith(")") else line for line in lines)
