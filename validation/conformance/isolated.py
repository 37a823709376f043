"""A candidate in a process of its own, as the judge sees it: a :class:`Candidate` whose functions are called there.

A candidate that leaves (``sys.exit``, ``os._exit``), crashes, hangs, changes the folder or the locale, closes its
output or patches modules does so to its own process; the judge notices, says so, and goes on with a new one.
"""

import contextlib
import itertools
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from r_scripts.programs import named_places
from validation.conformance.candidate import Candidate, CandidateError, Found, Function, Words, claiming
from validation.conformance.wire import Unreadable, WireError, decode, framed, loads, receive
from validation.plain import Json

if TYPE_CHECKING:
    import pandas as pd

_E = TypeVar("_E", bound=Exception)

#: Seconds that one fit (or one evaluation of its objective) may take.
TIME_LIMIT = 1800.0

#: Seconds between two looks at whether the process is still there (its line may be held open by what it started).
_LOOK = 1.0

_START = (
    "import sys, json; path = json.loads(sys.argv[1]); sys.path[:] = path; "
    "from validation.conformance.child import main; sys.path[:0] = json.loads(sys.argv[2]); main()"
)


class CandidateEndedError(RuntimeError):
    """The candidate's process ended, or closed its line to the judge, before it had answered."""


class CandidateTimeoutError(CandidateEndedError):
    """The candidate took longer than it may; its process was ended."""


class CandidateRaisedError(RuntimeError):
    """What the candidate raised; the class has the name of the candidate's own."""


class CandidateProcess:
    """The process, started when it is needed and again after its end.

    The candidate finds modules in the folders besides the interpreter's path, and has ``limit`` seconds for an answer.
    """

    def __init__(self, target: str, folders: list[str], limit: float) -> None:
        self.target, self.folders, self.limit = target, folders, limit
        self.running: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[[subprocess.Popen[bytes]], CandidateProcess] | None = None
        self._log: deque[bytes] = deque(maxlen=64)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def load(self) -> Json:
        """Start the process and import the candidate there; what it says of itself."""
        return self._ask("load", target=self.target)

    def ask(self, do: str, **more: object) -> Json:
        """Have something done, in a process that has the candidate."""
        if self.running is None:
            self.load()
        return self._ask(do, **more)

    def _ask(self, do: str, **more: object) -> Json:
        with self._lock:
            process = self.running or self._start()
            try:
                reply, said = self._answer(process, next(self._numbers), do, more)
            except BaseException:  # Ctrl-C among them: nothing of the candidate goes on
                self.stop()
                raise
        for kind, text in said:
            warnings.warn(text, _named(kind, Warning), stacklevel=3)
        if "raised" in reply:
            kind, text = str(reply["raised"]), str(reply.get("text", ""))
            raise CandidateError(text) if reply.get("ours") is True else _named(kind, CandidateRaisedError)(text)
        return reply.get("value")

    def _start(self) -> "subprocess.Popen[bytes]":
        self._log = deque(maxlen=64)
        command = [sys.executable, "-P", "-c", _START, json.dumps(sys.path), json.dumps(self.folders)]
        self.running = process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # of PYTHONPATH what is named outright: our own modules are imported before the candidate's
            env={**os.environ, "PYTHONPATH": os.pathsep.join(named_places())},
            start_new_session=True,  # Ctrl-C is ours to hear
        )
        threading.Thread(target=_read_log, args=(process, self._log), daemon=True).start()
        # ended with the last that knows of it, or with the interpreter
        self._finalizer = weakref.finalize(self, _end, process)
        return process

    def _answer(
        self, process: "subprocess.Popen[bytes]", number: int, do: str, arguments: dict[str, object]
    ) -> tuple[dict[str, Json], list[tuple[str, str]]]:
        """The answer to a request, and the warnings with it: their classes and texts."""
        request = framed(pickle.dumps((number, do, arguments)))
        answers: queue.Queue[bytes | WireError | None] = queue.Queue()
        # one that does not read, or writes half of an answer, must not stop us
        threading.Thread(target=_exchange, args=(process, request, answers), daemon=True).start()
        data = self._wait(process, answers)
        if data is None:
            raise CandidateEndedError(self._last_words(process))
        try:
            if isinstance(data, WireError):
                raise data
            reply = loads(data)
            if reply.get("id") != number:
                raise WireError("an answer to nothing that was asked")
            return reply, _warnings_of(reply)
        except WireError as error:
            raise CandidateEndedError(f"the candidate's process wrote among its answers ({error})") from None

    def _wait(
        self, process: "subprocess.Popen[bytes]", answers: "queue.Queue[bytes | WireError | None]"
    ) -> bytes | WireError | None:
        """The answer; None where the process has ended, whoever still holds its line open."""
        deadline, gone = time.monotonic() + self.limit, False
        while (left := deadline - time.monotonic()) > 0.0:
            try:
                return answers.get(timeout=min(left, _LOOK))
            except queue.Empty:
                if gone:
                    return None
                gone = process.poll() is not None  # once more: its last answer may be on the way
        raise CandidateTimeoutError(f"the candidate gave no answer within {self.limit:g} s; its process was ended")

    def _last_words(self, process: "subprocess.Popen[bytes]") -> str:
        try:
            code: int | None = process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            code = None
        if code is None:
            how = "closed its line to the judge"
        elif code < 0:
            how = f"was ended by signal {signal.Signals(-code).name if -code in set(signal.Signals) else -code}"
        else:
            how = f"ended by itself with exit code {code}"
        log = b"".join(self._log).decode("utf-8", "replace").strip()
        tail = f": {log[-600:]}" if log else ""
        return f"the candidate's process {how} before it had answered{tail}"

    def stop(self) -> None:
        """End the process, and what it started in its own session."""
        self.running = None
        if self._finalizer is not None:
            self._finalizer()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a candidate's process, and what it started in its own session."""
    with contextlib.suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5.0)
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _exchange(
    process: "subprocess.Popen[bytes]", request: bytes, answers: "queue.Queue[bytes | WireError | None]"
) -> None:
    """Send a request, and hand over what comes back: an answer, what is wrong with it, or None where the line ended."""
    channel, line = process.stdin, process.stdout
    assert channel is not None
    assert line is not None
    with contextlib.suppress(OSError, ValueError):  # its end is noticed where the answer is awaited
        channel.write(request)
        channel.flush()
    try:
        answers.put(receive(line.read))
    except WireError as error:
        answers.put(error)
    except (OSError, ValueError):
        answers.put(None)


def _read_log(process: "subprocess.Popen[bytes]", log: deque[bytes]) -> None:
    """Take what the candidate prints, however much; its end is kept."""
    channel = process.stderr
    assert channel is not None
    with contextlib.suppress(OSError, ValueError):
        while chunk := os.read(channel.fileno(), 4096):
            log.append(chunk)


def _warnings_of(reply: dict[str, Json]) -> list[tuple[str, str]]:
    said = reply.get("warnings", [])
    if not isinstance(said, list):
        raise WireError("warnings that are no list")
    pairs = [tuple(map(str, one)) for one in said[:200] if isinstance(one, list)]
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]


def _named(name: str, base: type[_E]) -> type[_E]:
    """A class of the candidate's own name, for the report."""
    return type(name if name.isidentifier() and len(name) < 80 else base.__name__, (base,), {})


class _Kept:
    """A value that stays in the candidate's process, and is there as long as that process; a function is called."""

    def __init__(self, process: CandidateProcess, handle: int) -> None:
        self.process, self.handle, self.home = process, handle, process.running

    def ask(self, do: str, **more: object) -> object:
        """Have something done with it; the answer as plain data."""
        if self.home is None or self.process.running is not self.home:
            raise CandidateEndedError("the candidate's process has ended since this fit was made")
        return _received(self.process, self.process.ask(do, handle=self.handle, **more))

    def __call__(self, *args: object, **more: object) -> object:
        return self.ask("call", name="", args=args, more=more)


class RemoteFit:
    """A fit that stays in the candidate's process: its verbs are called there, and their answers are plain data."""

    def __init__(self, kept: _Kept, verbs: dict[str, bool], kind: str) -> None:
        self._kept, self._verbs, self._kind = kept, verbs, kind

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._verbs]

    def __getattr__(self, name: str) -> object:
        verbs = self.__dict__.get("_verbs", {})
        if name not in verbs:
            raise AttributeError(f"the candidate's {self.__dict__.get('_kind')} has no {name!r}")
        if verbs[name]:
            return lambda *args, **more: self._kept.ask("call", name=name, args=args, more=more)
        return self._kept.ask("get", name=name)


def _received(process: CandidateProcess, value: Json) -> object:
    """An answer as plain data, its functions as calls to the process."""
    return decode(value, lambda handle: _Kept(process, handle))


def _function(process: CandidateProcess, kind: str) -> Function:
    def fit(formula: str, data: "pd.DataFrame", **options: object) -> object:
        value = process.ask("fit", kind=kind, formula=formula, data=data, options=options)
        if isinstance(value, dict) and value.get("$") == "fit":
            verbs, handle = value.get("verbs"), value.get("handle")
            if not isinstance(verbs, dict) or not isinstance(handle, int):
                return Unreadable("fit")
            verbs = {str(name): bool(method) for name, method in verbs.items()}
            return RemoteFit(_Kept(process, handle), verbs, str(value.get("kind")))
        return _received(process, value)

    fit.__qualname__ = kind
    return fit


def isolated_candidate(
    target: str,
    can: Words = None,
    missing: Words = None,
    *,
    folders: Iterable[str | Path] = (),
    limit: float = TIME_LIMIT,
) -> Candidate:
    """Import a candidate in a process of its own, where its functions are called: one fit is judged before the next.

    ``target``, ``can`` and ``missing`` are those of :func:`validation.conformance.candidate.load_candidate`. Its
    modules may lie in the folders besides the interpreter's path; they come first, in its process only. ``limit`` is in
    seconds, of one fit or one evaluation of its objective.
    """
    process = CandidateProcess(target, [str(folder) for folder in folders], limit)
    try:
        found = decode(process.load())
    except (CandidateEndedError, CandidateRaisedError) as error:
        kind = type(error).__name__
        raise CandidateError(f"the candidate {target!r} cannot be imported: {kind}: {error}") from error
    if not isinstance(found, dict):
        raise CandidateError(f"the candidate {target!r} says nothing of itself that can be read")
    versions = found.get("versions")
    versions = {str(k): str(v) for k, v in versions.items()} if isinstance(versions, dict) else {}
    fit, sample = (_function(process, kind) if found.get(kind) is True else None for kind in ("fit", "sample"))
    own, gaps = (said if isinstance(said := found.get(key), list) else None for key in ("can", "missing"))
    return claiming(target, Found(fit, sample, own, gaps, versions), can, missing)
