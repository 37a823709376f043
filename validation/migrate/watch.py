"""The script, run in an R of its own, with everything watched that ``instrument`` marked.

This is the one place of the project that runs code of the user's: the command says so and asks first. The script runs
with a copy of its folder as far as it only reads: its working directory is a scratch folder into which the files beside
the script are linked, so that what it writes by relative names stays there.
"""

import itertools
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.errors import RNotFoundError
from bridge.rhome import UNREAD
from r_scripts.programs import find_program, search_path
from validation.files import make_folder
from validation.migrate.instrument import instrument, sites
from validation.migrate.rcode import Node
from validation.migrate.sources import Source

__all__ = ["Watched", "confined", "watch"]

#: Bytes beside the script that are copied for it.
_MOST_COPIED = 512 * 1024 * 1024
SCRIPT = Path(__file__).resolve().parents[2] / "r_scripts" / "watch.R"


@dataclass
class Watched:
    """What was seen.

    Attributes
    ----------
    events : list of dict
        In the order in which they happened (``r_scripts/watch.R`` says what each holds).
    frames : dict
        Number -> the data frame as R wrote it.
    error : str or None
        What ended the script before its end.
    printed : str
        What it wrote to its output and its error output.
    seconds : float
    packages : tuple of str
        "lme4 1.1-31", ...
    r : str
        R's version.
    ended : bool
        Whether R came to an end of its own: the script's, an error, ``quit()``.
    quit : bool
        Whether ``quit()`` ended the script.
    not_copied : tuple of str
        What lies beside the script and was too large to be copied for it.
    """

    events: list[dict[str, Any]] = field(default_factory=list)
    frames: dict[int, dict[str, Any]] = field(default_factory=dict)
    error: str | None = None
    printed: str = ""
    seconds: float = 0.0
    packages: tuple[str, ...] = ()
    contrasts: tuple[str, ...] = ("contr.treatment", "contr.poly")
    r: str = ""
    quit: bool = False
    ended: bool = True
    not_copied: tuple[str, ...] = ()


def watch(
    source: Source,
    statements: list[Node],
    scratch: Path,
    *,
    timeout: float = 3600.0,
    write_anywhere: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Watched:
    """Run the script in R and return what was seen.

    Parameters
    ----------
    source : Source
    statements : list of Node
    scratch : Path
        An empty folder: the script's working directory is made in it, and R's temporary files go there.
    timeout : float
        Seconds; a script that takes longer is stopped, and what was seen so far is kept.
    write_anywhere : bool
        Let the script write outside ``scratch``, too; otherwise it cannot, where the system has Landlock (Linux).
    progress : callable, optional
        Called with a word about where the script is, about once a second.

    Raises
    ------
    RNotFoundError
        No ``Rscript`` is found.
    """
    program = find_program("Rscript")
    if program is None:
        raise RNotFoundError(
            "no Rscript found: install R (https://www.r-project.org), or translate the text alone with --no-run"
        )
    work, temporary = scratch / "work", scratch / "tmp"
    seen = scratch / f"seen-{secrets.token_hex(8)}"  # no script writes into it by accident
    for folder in (work, seen, temporary):
        make_folder(folder)
    too_large = _copy_beside(source.path, work)
    code = scratch / "script.R"
    code.write_text(instrument(source.code, statements, sites(statements)), encoding="utf-8")
    output = scratch / "output.txt"
    began, stopped = time.monotonic(), ""
    environment = {
        **{name: value for name, value in os.environ.items() if name not in UNREAD},
        "PATH": search_path(),
        "TMPDIR": str(temporary),
        "R_DEFAULT_DEVICE": "pdf",
        "R_PROFILE_USER": "",
        "LC_ALL": "C.UTF-8",
    }
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [*confined(scratch, write_anywhere), program, "--vanilla", str(SCRIPT), str(code), str(seen)],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                if time.monotonic() - began > timeout:
                    stopped = f"stopped after {timeout:.0f} seconds (--timeout)"
                    break
                if progress is not None:
                    progress(_where(seen / "events.jsonl", statements))
                time.sleep(0.1)
        except KeyboardInterrupt:
            stopped = "interrupted"
        finally:
            if process.poll() is None:
                _stop(process)
    result = _read(seen)
    result.printed = output.read_text(encoding="utf-8", errors="replace")
    result.seconds = time.monotonic() - began
    result.not_copied = tuple(too_large)
    if stopped:
        result.error = stopped
    elif process.returncode and result.error is None:
        last = (result.printed.strip().splitlines() or [""])[-1].strip()
        ended = f"R ended with code {process.returncode}"
        result.error = _last_error(result.printed) or (f"{ended}: {last}" if last else ended)
    return result


#: Runs a program that can write in one folder only, as far as the system offers that.
_CONFINED = (
    "import os, sys; sys.path[:0] = [sys.argv[1]]; from bridge.sandbox import keep_writing_inside; "
    "keep_writing_inside(sys.argv[2]); os.execv(sys.argv[3], sys.argv[3:])"
)


def confined(scratch: Path, write_anywhere: bool) -> list[str]:
    """What stands before a command so that it can write in one folder only.

    Parameters
    ----------
    scratch : Path
    write_anywhere : bool
        Empty then.
    """
    if write_anywhere:
        return []
    home = str(Path(__file__).resolve().parents[2])
    return [sys.executable, "-P", "-c", _CONFINED, home, str(scratch)]


def _copy_beside(path: Path, work: Path) -> list[str]:
    """Copies of what lies beside the script, the smallest first, so that it finds its data and leaves it as it is.

    Returns the names of what is too large to be copied.
    """
    sizes = {
        one: _size(one)
        for one in path.resolve().parent.iterdir()
        if not one.name.startswith(".") and one.name != path.name
    }
    left, budget = [], _MOST_COPIED
    for one, size in sorted(sizes.items(), key=lambda item: (item[1], item[0].name)):
        if size > budget:
            left.append(one.name)
            continue
        budget -= size
        try:
            if one.is_dir():
                hidden = shutil.ignore_patterns(".*")
                shutil.copytree(one, work / one.name, symlinks=True, dirs_exist_ok=True, ignore=hidden)
            elif one.is_file():
                shutil.copy2(one, work / one.name)
        except OSError:
            left.append(one.name)
    return left


def _size(path: Path) -> int:
    """Bytes of a file, or of all in a folder (no more than are too many)."""
    if not path.is_dir():
        return path.stat().st_size if path.is_file() else 0
    total = 0
    for place, folders, files in os.walk(path):
        folders[:] = [one for one in folders if not one.startswith(".")]
        total += 4096 * len(folders) + sum(os.lstat(os.path.join(place, name)).st_size for name in files)
        if total > _MOST_COPIED:
            break
    return total


def _stop(process: "subprocess.Popen[bytes]") -> None:
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        try:
            process.wait(3)
            return
        except subprocess.TimeoutExpired:
            continue


def _lines(path: Path) -> list[dict[str, Any]]:
    found = []
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:  # a line that was being written when R was stopped
                continue
    return found


def _where(log: Path, statements: list[Node]) -> str:
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 20000))
            lines = stream.read().splitlines()
    except OSError:
        return "starting R"
    for line in reversed(lines):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if "statement" in event and int(event["statement"]) < len(statements):
            return f"line {statements[int(event['statement'])].line}"
    return "starting R"


def _in_order_of_tasks(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What forked processes did (``mclapply``), in the order of the tasks and not in that of the clock.

    ``mclapply`` deals the tasks out: the k-th process gets the k-th, and again the k-th after all have one.
    """
    ordered: list[dict[str, Any]] = []
    for forked, several in itertools.groupby(events, key=lambda event: "process" in event):
        block = list(several)
        if not forked:
            ordered += block
            continue
        processes = sorted({int(event["process"]) for event in block})
        for key in dict.fromkeys((event["event"], event.get("site")) for event in block):
            own = [
                [e for e in block if (e["event"], e.get("site")) == key and int(e["process"]) == p] for p in processes
            ]
            ordered += [one for turn in itertools.zip_longest(*own) for one in turn if one is not None]
    return ordered


def _read(seen: Path) -> Watched:
    found = Watched(events=_in_order_of_tasks(_lines(seen / "events.jsonl")), ended=False)
    for path in seen.glob("frame-*.json"):
        try:
            found.frames[int(path.stem.split("-")[1])] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
    for event in found.events:
        if event["event"] == "start":
            found.r = event["R"]
        if event["event"] == "end":
            found.ended = True
            found.error = event.get("error")
            found.quit = bool(event.get("quit"))
            found.packages = tuple(event.get("packages", ()))
            found.contrasts = tuple(event.get("contrasts", found.contrasts))
    return found


def _last_error(printed: str) -> str:
    lines = printed.splitlines()
    for k in reversed(range(len(lines))):
        if lines[k].startswith("Error"):  # R breaks a long one after "Error in f() :"
            more = lines[k + 1].strip() if lines[k].rstrip().endswith(":") and k + 1 < len(lines) else ""
            return f"{lines[k].rstrip()} {more}".rstrip()
    return ""
