"""The candidate's own process: it imports the candidate, calls it, and answers in plain data.

Whatever the candidate does here (leaves, crashes, hangs, changes the folder, closes its output, patches our modules)
happens to this process alone. ``validation.conformance.isolated`` starts it.
"""

import contextlib
import inspect
import os
import pickle
import sys
import threading
import time
import warnings
from itertools import islice
from pathlib import Path
from traceback import walk_stack
from typing import TYPE_CHECKING, cast

from validation.conformance.candidate import CandidateError, find_candidate
from validation.conformance.wire import MOST_BYTES, dumps, encode, framed, receive
from validation.contract import BayesianFit, StructuredFit
from validation.errors import text_of
from validation.plain import Json

if TYPE_CHECKING:
    import pandas as pd

    from validation.conformance.candidate import Found, Function

#: What the judge may ask of a fit: the contract's verbs, and some besides.
_VERBS = {name for contract in (StructuredFit, BayesianFit) for name in dir(contract) if name[0] != "_"}
_VERBS |= {"predict", "satterthwaite", "label", "provenance", "divergences", "diagnostics"}

#: Verbs of which only the printed text is wanted.
_PRINTED = ("summary", "prior_summary")


#: Seconds between two looks at how deep the candidate's calls are.
_LOOK = 0.25

#: Times Python's own limit on them.
_MUCH_DEEPER = 10

#: No candidate has reason to go deeper.
_DEEPEST = 1_000_000


class _Server:
    def __init__(self) -> None:
        self.kept: list[object] = []
        self.candidate: Found | None = None

    def keep(self, value: object) -> int:
        self.kept.append(value)
        return len(self.kept) - 1

    def answer(self, do: str, arguments: dict[str, object]) -> dict[str, Json]:
        """Do what is asked for, a method without its ``do_``; whatever the candidate raises is the answer."""
        try:
            with warnings.catch_warnings(record=True, action="always") as caught:
                value = getattr(self, f"do_{do}")(**arguments)
            said = [[w.category.__name__, text_of(cast("Warning", w.message))] for w in caught[:200]]
            return {"value": value, "warnings": said}
        except SystemExit as error:
            return {"raised": "SystemExit", "text": f"it called sys.exit({text_of(error)})"}
        except BaseException as error:
            kind = "CandidateError" if isinstance(error, CandidateError) else type(error).__name__
            return {"raised": kind, "text": text_of(error), "ours": isinstance(error, CandidateError)}

    def do_load(self, target: str) -> Json:
        self.candidate = found = find_candidate(target)
        parts = {"fit": found.fit is not None, "sample": found.sample is not None}
        own = {"can": found.can, "missing": found.missing, "versions": dict(found.versions)}
        return encode({**parts, **own}, self.keep)

    def do_fit(self, kind: str, formula: str, data: "pd.DataFrame", options: dict[str, object]) -> Json:
        self.kept = []  # one fit at a time is judged
        answer = getattr(self.candidate, kind)(formula, data, **options)
        shown = encode(answer, self.keep)
        if isinstance(shown, dict) and shown.get("$") in ("unreadable", "call"):
            verbs = {name: offered for name in _VERBS if (offered := _offers(answer, name)) is not None}
            if verbs:
                return {"$": "fit", "handle": self.keep(answer), "verbs": verbs, "kind": type(answer).__name__}
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
        found = inspect.getattr_static(answer, name)
    except AttributeError:
        if not hasattr(type(answer), "__getattr__"):
            return None
        try:
            return callable(getattr(answer, name))
        except Exception:
            return None
    if isinstance(found, property) or (hasattr(found, "__get__") and not callable(found)):
        return False
    return callable(found) or isinstance(found, staticmethod | classmethod)


def _watch_depth() -> None:
    """End this process where calls of a thread go far deeper than Python lets them.

    Python 3.13 and later do not look at their own limit in some calls (of a function of ``*args``, for one): what calls
    itself there takes all the memory that there is, and whatever else needs some ends with it.
    """
    while True:
        time.sleep(_LOOK)
        most = min(_MUCH_DEEPER * sys.getrecursionlimit(), _DEEPEST)  # a candidate may put the limit anywhere
        if any(sum(1 for _ in islice(walk_stack(frame), most)) == most for frame in sys._current_frames().values()):
            os.write(2, f"RecursionError: {most} calls, one in another, and no end".encode())
            os._exit(1)


def main() -> None:
    """Answer requests from standard input on standard output, until the judge closes it."""
    with contextlib.suppress(OSError):  # Linux: where memory runs out, this process is the one to go, not the judge's
        Path("/proc/self/oom_score_adj").write_text("1000")
    if sys.version_info >= (3, 13):
        threading.Thread(target=_watch_depth, daemon=True).start()
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # what the candidate prints goes to the log, never among the answers
    own = os.getpid()
    server = _Server()
    while (asked := receive(requests.read, most=sys.maxsize)) is not None:
        number, do, arguments = pickle.loads(asked)  # from the judge, which is trusted here
        reply = {"id": number, **server.answer(do, arguments)}
        if os.getpid() != own:  # a fork of the candidate's came back here: one of us is enough
            os._exit(0)
        data = dumps(reply)
        if len(data) > MOST_BYTES:
            data = dumps({"id": number, "raised": "MemoryError", "text": f"its answer has {len(data)} bytes"})
        replies.write(framed(data))
        replies.flush()
    sys.stderr.flush()
    os._exit(0)
