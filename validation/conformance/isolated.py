"""A candidate in a process of its own, as the judge sees it: a :class:`Candidate` whose functions are called there.

A candidate that leaves (``sys.exit``, ``os._exit``), crashes, hangs, changes the folder or the locale, closes its
output or patches modules does so to its own process; the judge notices, says so, and goes on with a new one. There it
is imported and called (:func:`main`), and its answers are turned into plain data.
"""

import contextlib
import inspect
import itertools
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from traceback import walk_stack
from typing import TYPE_CHECKING, TypedDict, TypeVar, cast

from r_scripts.programs import named_places
from validation.conformance.candidate import Candidate, CandidateError, Function, Words, claiming, find_candidate
from validation.conformance.wire import HEADER, MARK, MOST_BYTES, decode, encode
from validation.contract import BayesianFit, StructuredFit
from validation.errors import text_of
from validation.plain import Json, misfit

if TYPE_CHECKING:
    import pandas as pd

_E = TypeVar("_E", bound=Exception)
_A = TypeVar("_A")
_T = TypeVar("_T")

#: Seconds that one fit (or one evaluation of its objective) may take.
TIME_LIMIT = 1800.0

#: Seconds between two looks at whether the process is still there (its line may be held open by what it started).
_LOOK = 1.0

_START = (
    "import sys, json; path = json.loads(sys.argv[1]); sys.path[:] = path; "
    "from validation.conformance.isolated import main; sys.path[:0] = json.loads(sys.argv[2]); main()"
)


class CandidateEndedError(RuntimeError):
    """The candidate's process ended, or closed its line to the judge, before it had answered."""


class CandidateTimeoutError(CandidateEndedError):
    """The candidate took longer than it may; its process was ended."""


class CandidateRaisedError(RuntimeError):
    """What the candidate raised; the class has the name of the candidate's own."""


class _Said(TypedDict):
    """What a candidate says of itself."""

    offers: list[str]
    can: list[str]
    missing: list[str]
    versions: dict[str, str]


class CandidateProcess:
    """The process, started when it is needed and again after its end.

    The candidate finds modules in the folders besides the interpreter's path, and has ``limit`` seconds for an answer.
    """

    def __init__(self, target: str, folders: list[str], limit: float) -> None:
        self.target, self.folders, self.limit = target, folders, limit
        self.running: subprocess.Popen[bytes] | None = None
        self._finalizer: weakref.finalize[..., CandidateProcess] | None = None
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def ask(self, do: str, **more: object) -> Json:
        """Have something done in the process; before anything else the candidate is imported there (``load``)."""
        if self.running is None and do != "load":
            self.ask("load", target=self.target)
        with self._lock:
            try:
                reply, said = self._reply(self.running or self._start(), next(self._numbers), do, more)
            except BaseException:  # Ctrl-C among them: nothing of the candidate goes on
                self.stop()
                raise
        for kind, text in said:
            warnings.warn(text, _named(kind, Warning), stacklevel=3)
        if "raised" in reply:
            kind, text = str(reply["raised"]), str(reply.get("text", ""))
            raise CandidateError(text) if kind == CandidateError.__name__ else _named(kind, CandidateRaisedError)(text)
        return reply.get("value")

    def _start(self) -> "subprocess.Popen[bytes]":
        self._log: deque[bytes] = deque(maxlen=64)
        self._line, theirs = socket.socketpair()
        with theirs:
            self.running = process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, json.dumps(sys.path), json.dumps(self.folders)],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # of PYTHONPATH what is named outright: our own modules are imported before the candidate's
                env={**os.environ, "PYTHONPATH": os.pathsep.join(named_places())},
                start_new_session=True,  # Ctrl-C is ours to hear
            )
        threading.Thread(target=_read_log, args=(process, self._log), daemon=True).start()
        # ended with the last that knows of it, or with the interpreter
        self._finalizer = weakref.finalize(self, _end, process, self._line)
        return process

    def _reply(
        self, process: "subprocess.Popen[bytes]", number: int, do: str, arguments: dict[str, object]
    ) -> tuple[dict[str, Json], list[list[str]]]:
        """The answer to a request, and the warnings with it: their classes and texts."""
        try:
            reply = json.loads(self._exchange(process, pickle.dumps((number, do, arguments))))
            said = reply.get("warnings", []) if isinstance(reply, dict) else None
            if said is None or reply.get("id") != number:
                raise ValueError("an answer to nothing that was asked")
            if misfit(said, list[list[str]]) or any(len(pair) != 2 for pair in said):
                raise ValueError("warnings that are none")
        except (EOFError, OSError):
            raise CandidateEndedError(self._last_words(process)) from None
        except (ValueError, RecursionError) as error:
            raise CandidateEndedError(f"the candidate's process wrote among its answers ({error})") from None
        return reply, said

    def _exchange(self, process: "subprocess.Popen[bytes]", request: bytes) -> bytes:
        """Send a request and receive the answer; an EOFError where the process has ended, or closed its line."""
        line, deadline, gone = self._line, time.monotonic() + self.limit, False

        def patiently(step: Callable[[_A], _T], given: _A) -> _T:
            nonlocal gone
            while (left := deadline - time.monotonic()) > 0.0:
                line.settimeout(min(left, _LOOK))
                with contextlib.suppress(TimeoutError):
                    return step(given)
                if gone:  # whoever still holds its line open
                    raise EOFError
                gone = process.poll() is not None  # once more: its last answer may be on the way
            raise CandidateTimeoutError(f"the candidate gave no answer within {self.limit:g} s; its process was ended")

        def read(size: int) -> bytes:
            data = bytearray()
            while len(data) < size:
                chunk = patiently(line.recv, min(size - len(data), 1 << 20))
                if not chunk:
                    raise EOFError
                data += chunk
            return bytes(data)

        rest = memoryview(request)
        while rest:
            rest = rest[patiently(line.send, rest) :]
        mark, length = HEADER.unpack(read(HEADER.size))
        if mark != MARK or length > MOST_BYTES:
            raise ValueError("no message of ours begins like this")
        return read(length)

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


def _end(process: "subprocess.Popen[bytes]", line: socket.socket) -> None:
    """End a candidate's process, and what it started in its own session."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5.0)
    line.close()


def _read_log(process: "subprocess.Popen[bytes]", log: deque[bytes]) -> None:
    """Take what the candidate prints, however much; its end is kept."""
    channel = process.stdout
    assert channel is not None
    with contextlib.suppress(OSError, ValueError):
        while chunk := os.read(channel.fileno(), 4096):
            log.append(chunk)


def _named(name: str, base: type[_E]) -> type[_E]:
    """A class of the candidate's own name, for the report."""
    return type(name if name.isidentifier() and len(name) < 80 else base.__name__, (base,), {})


class Remote:
    """What stays in the candidate's process, and is there as long as that process: its answers are plain data.

    A function is called there; a fit's verbs are, where they are methods, and are looked up where they are not.
    """

    def __init__(self, process: CandidateProcess, handle: int, verbs: dict[str, bool], kind: str) -> None:
        self._process, self._handle, self._home = process, handle, process.running
        self._verbs, self._kind = verbs, kind

    def _ask(self, do: str, **more: object) -> object:
        if self._home is None or self._process.running is not self._home:
            raise CandidateEndedError("the candidate's process has ended since this fit was made")
        return _asked(self._process, do, handle=self._handle, **more)

    def __call__(self, *args: object, **more: object) -> object:
        """What the function gives."""
        return self._ask("call", name="", args=args, more=more)

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *self._verbs]

    def __getattr__(self, name: str) -> object:
        verbs = self.__dict__.get("_verbs", {})
        if name not in verbs:
            raise AttributeError(f"the candidate's {self.__dict__.get('_kind')} has no {name!r}")
        if verbs[name]:
            return lambda *args, **more: self._ask("call", name=name, args=args, more=more)
        return self._ask("get", name=name)


def _asked(process: CandidateProcess, do: str, **more: object) -> object:
    """An answer as plain data; what stays in the process is called there."""
    return decode(process.ask(do, **more), partial(Remote, process))


def _function(process: CandidateProcess, kind: str) -> Function:
    def fit(formula: str, data: "pd.DataFrame", **options: object) -> object:
        return _asked(process, "fit", kind=kind, formula=formula, data=data, options=options)

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

    ``target`` is as for :func:`validation.conformance.candidate.find_candidate`; ``can`` and ``missing`` as for
    :func:`validation.conformance.candidate.claiming`. Its modules may lie in the folders besides the interpreter's
    path; they come first, in its process only. ``limit`` is in seconds, of one fit or one evaluation of its objective.
    """
    process = CandidateProcess(target, [str(folder) for folder in folders], limit)
    try:
        found = process.ask("load", target=target)
    except (CandidateEndedError, CandidateRaisedError) as error:
        kind = type(error).__name__
        raise CandidateError(f"the candidate {target!r} cannot be imported: {kind}: {error}") from error
    if why := misfit(found, _Said):
        raise CandidateError(f"the candidate {target!r} says nothing of itself that can be read: {why}")
    said = cast("_Said", found)
    fit, sample = (_function(process, kind) if kind in said["offers"] else None for kind in ("fit", "sample"))
    own, gaps = frozenset(said["can"]), frozenset(said["missing"])
    return claiming(Candidate(target, fit, sample, own, gaps, said["versions"]), can, missing)


# ---------------------------------------------------------------------------------------------------- in the process


#: What the judge may ask of a fit: the contract's verbs, and some besides.
_VERBS = {name for contract in (StructuredFit, BayesianFit) for name in dir(contract) if name[0] != "_"}
_VERBS |= {"predict", "satterthwaite", "label", "provenance", "divergences", "diagnostics"}

#: Verbs of which only the printed text is wanted.
_PRINTED = ("summary", "prior_summary")

#: Seconds between two looks at how deep the candidate's calls are; so many times Python's own limit is too deep, and no
#: candidate has reason to go deeper than the last.
_LOOK_DEEP, _MUCH_DEEPER, _DEEPEST = 0.25, 10, 1_000_000


class _Server:
    """What the candidate's process does for the judge."""

    def __init__(self) -> None:
        self.kept: list[object] = []
        self.candidate: Candidate | None = None

    def keep(self, value: object, verbs: dict[str, bool] | None = None) -> Json:
        self.kept.append(value)
        return {"$": "kept", "handle": len(self.kept) - 1, "verbs": verbs or {}, "kind": type(value).__name__}

    def answer(self, do: str, arguments: dict[str, object]) -> dict[str, Json]:
        """Do what is asked for, a method without its ``do_``; whatever the candidate raises is the answer."""
        try:
            with warnings.catch_warnings(record=True, action="always") as caught:
                value = getattr(self, f"do_{do}")(**arguments)
            said = [[w.category.__name__, text_of(cast("Warning", w.message))] for w in caught[:200]]
            return {"value": value, "warnings": said}
        except BaseException as error:
            text = text_of(error)
            text = f"it called sys.exit({text})" if isinstance(error, SystemExit) else text
            return {"raised": type(error).__name__, "text": text}

    def do_load(self, target: str) -> Json:
        self.candidate = found = find_candidate(target)
        offers = [kind for kind in ("fit", "sample") if getattr(found, kind) is not None]
        return {"offers": offers, "can": [*found.can], "missing": [*found.missing], "versions": dict(found.versions)}

    def do_fit(self, kind: str, formula: str, data: "pd.DataFrame", options: dict[str, object]) -> Json:
        self.kept = []  # one fit at a time is judged
        answer = getattr(self.candidate, kind)(formula, data, **options)
        shown = encode(answer, self.keep)
        if isinstance(shown, dict) and shown.get("$") in ("unreadable", "kept"):
            verbs = {name: offered for name in _VERBS if (offered := _offers(answer, name)) is not None}
            return self.keep(answer, verbs) if verbs else shown
        return shown

    def do_call(self, handle: int, name: str, args: tuple[object, ...], more: dict[str, object]) -> Json:
        kept = self.kept[handle]
        value = cast("Function", getattr(kept, name) if name else kept)(*args, **more)
        return encode(str(value) if name in _PRINTED else value, self.keep)

    def do_get(self, handle: int, name: str) -> Json:
        return encode(getattr(self.kept[handle], name), self.keep)


def _offers(answer: object, name: str) -> bool | None:
    """Whether a verb is a method (True) or an attribute (False); None where there is none. Nothing is computed."""
    try:
        return callable(inspect.getattr_static(answer, name))
    except AttributeError:
        if not hasattr(type(answer), "__getattr__"):
            return None
        try:
            return callable(getattr(answer, name))
        except Exception:
            return None


def _watch_depth() -> None:
    """End this process where calls of a thread go far deeper than Python lets them.

    Python 3.13 and later do not look at their own limit in some calls (of a function of ``*args``, for one): what calls
    itself there takes all the memory that there is, and whatever else needs some ends with it.
    """
    while True:
        time.sleep(_LOOK_DEEP)
        most = min(_MUCH_DEEPER * sys.getrecursionlimit(), _DEEPEST)  # a candidate may put the limit anywhere
        if any(sum(1 for _ in islice(walk_stack(frame), most)) == most for frame in sys._current_frames().values()):
            os.write(2, f"RecursionError: {most} calls, one in another, and no end".encode())
            os._exit(1)


def main() -> None:
    """Answer requests on the line that standard input is, until the judge closes it."""
    with contextlib.suppress(OSError):  # Linux: where memory runs out, this process is the one to go, not the judge's
        Path("/proc/self/oom_score_adj").write_text("1000")
    if sys.version_info >= (3, 13):
        threading.Thread(target=_watch_depth, daemon=True).start()
    line = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:  # what the candidate reads and prints is never on the line
        os.dup2(nothing.fileno(), 0)
    own, requests = os.getpid(), line.makefile("rb")
    server = _Server()
    with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError):  # the judge is done, or gone
        while True:
            number, do, arguments = pickle.load(requests)  # from the judge, which is trusted here
            reply = {"id": number, **server.answer(do, arguments)}
            if os.getpid() != own:  # a fork of the candidate's came back here: one of us is enough
                os._exit(0)
            data = json.dumps(reply).encode("ascii")
            if len(data) > MOST_BYTES:
                reply = {"id": number, "raised": "MemoryError", "text": f"its answer has {len(data)} bytes"}
                data = json.dumps(reply).encode("ascii")
            line.sendall(HEADER.pack(MARK, len(data)) + data)
    os._exit(0)
