"""Sessions: one R process each, called like a function.

R is started in a process of its own on the first call. A session is thread-safe (calls take turns; one that comes in
the middle of another of its thread, from a signal's handler or a finalizer, is an error), survives the death of its R
(the call that met it raises :class:`~bridge.errors.RCrashError`; the next starts a fresh R), and belongs to the process
that made it: after ``os.fork`` the child starts its own R.
"""

import atexit
import contextlib
import json
import os
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from bridge import sandbox as sandboxes
from bridge.errors import (
    BridgeError,
    DataError,
    FormulaError,
    HandleError,
    RCrashError,
    RError,
    RPackageError,
    Rpy2Error,
    RTimeoutError,
)
from bridge.rhome import find_r_home, install_hint, safe_path, worker_environment
from r_scripts.programs import new_scratch_folder

__all__ = ["Handle", "Reply", "Session", "close_default", "default", "use"]

#: Seconds that R has to stop its work after an interrupt before its process is ended.
_GRACE = 5.0

_IN_THE_MIDDLE = (
    "R was called in the middle of another call (by a signal's handler, a finalizer or a progress callback), which "
    "goes on. Call R when it has ended, or in a session of its own"
)

_BOOTSTRAP = (
    "import json, sys; options = json.loads(sys.argv[1]); sys.path[:] = options['path'];"
    "from bridge.worker import main; main(int(sys.argv[2]), options)"
)


@dataclass(frozen=True)
class Reply:
    """What a call to R gave.

    Attributes
    ----------
    value : object
        Plain data: None, bool, int, float, str, lists, dicts and numpy arrays.
    warnings, messages : tuple of str
        R's, in the order in which they came.
    output : str
        What R printed.
    """

    value: Any
    warnings: tuple[str, ...]
    messages: tuple[str, ...]
    output: str


class Handle:
    """An R object that stays in the R process; freed with this Python object.

    Attributes
    ----------
    session : Session
    """

    __slots__ = ("__weakref__", "_identity", "session")

    def __init__(self, session: "Session", identity: str) -> None:
        self.session = session
        self._identity = identity
        weakref.finalize(self, session._free, identity).atexit = False

    @property
    def alive(self) -> bool:
        """Whether the R process that holds the object still runs."""
        return self.session._owns(self._identity)

    @property
    def identity(self) -> str:
        """The key under which R keeps the object: the R process that made it, and a number that is used once.

        Raises
        ------
        HandleError
            Where the R process that held it has ended.
        """
        if not self.alive:
            raise HandleError(
                "The R process that held this object has ended (it crashed, was closed or timed out, or this is a "
                "forked process). What was already read from it stays available; for more, fit the model again."
            )
        return self._identity

    def __reduce__(self) -> Any:
        raise TypeError("an R object's handle cannot be pickled or copied: it belongs to one R process")


class _Process:
    """One R process, its pipe, and the thread that reads from it."""

    def __init__(self, threads: int, startup_timeout: float, sandbox: bool, scripts: Sequence[str]) -> None:
        env = worker_environment(find_r_home(), threads)
        #: Of this process alone, anywhere and ever: it stands in the handles of its objects.
        self.token = secrets.token_hex(8)
        self.popen: subprocess.Popen | None = None
        self.connection: Connection | None = None
        self.reader: threading.Thread | None = None
        self.inbox: queue.Queue[tuple] = queue.Queue()
        self.folder = ""
        try:
            # R's temporary files, and its current folder: ours to remove, however R ends.
            self.folder = new_scratch_folder("bridge-r-")
            self.log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise BridgeError(
                f"R's temporary files cannot be written: {error}. Make room, or set TMPDIR to a folder that can be "
                "written to"
            ) from error
        try:
            self._start({**env, "TMPDIR": self.folder}, sandbox, scripts)
            first = self.inbox.get(timeout=startup_timeout)
        except queue.Empty:
            self.kill()
            raise RTimeoutError(f"R did not start within {startup_timeout:g} s") from None
        except OSError as error:
            self.kill()
            raise RCrashError(f"R's process could not be started: {error}") from error
        except BaseException:
            self.kill()
            raise
        if first[0] != "ready":
            tail = self.log_tail()
            self.kill()
            raise _startup_error(first, tail)
        self.information: dict[str, Any] = first[1]

    def _start(self, env: dict[str, str], sandbox: bool, scripts: Sequence[str]) -> None:
        ours, theirs = Pipe()
        self.connection = ours
        _processes.add(self)
        options = {
            "path": safe_path(),
            "token": self.token,
            "scratch": self.folder,
            "sandbox": sandbox,
            "scripts": list(scripts),
        }
        with theirs:
            self.popen = subprocess.Popen(
                # -P: nothing is imported from the current folder
                [sys.executable, "-P", "-c", _BOOTSTRAP, json.dumps(options), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
                env=env,
                cwd=self.folder,
                # A session of its own: Ctrl-C in the terminal reaches us alone, and R's own children end with it.
                start_new_session=True,
            )
        self.reader = threading.Thread(target=self._read, args=(ours,), name="bridge-replies", daemon=True)
        self.reader.start()

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self.popen is None or self.popen.poll() is not None

    def send(self, message: tuple) -> None:
        """Send a message to the worker.

        Raises
        ------
        OSError
            The process is gone.
        """
        if self.connection is None:
            raise OSError("the pipe is closed")
        self.connection.send(message)

    def _read(self, connection: Connection) -> None:
        _local.reads = True
        while True:
            try:
                self.inbox.put(connection.recv())
            except (EOFError, OSError):
                self.inbox.put(("gone",))
                return

    def new_file(self) -> str:
        """Make an empty file that goes when the process does."""
        descriptor, path = tempfile.mkstemp(dir=self.folder, suffix=".txt")
        os.close(descriptor)
        return path

    def log_tail(self) -> str:
        with contextlib.suppress(OSError, ValueError):
            self.log.seek(0)
            return self.log.read()[-2000:].decode("utf-8", "replace").strip()
        return ""

    def kill(self) -> int | None:
        """End the process and its children; return its exit status."""
        if self.popen is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.popen.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(timeout=10)
        # The reader first: it would read on from whatever gets the pipe's number next.
        if self.reader is not None and self.reader is not threading.current_thread():
            _join(self.reader)
        if self.connection is not None and (self.reader is None or not self.reader.is_alive()):
            self.connection.close()
            self.connection = None
        _processes.discard(self)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return None if self.popen is None else self.popen.returncode

    def forget(self) -> None:
        """Let go of a process that belongs to our parent (after a fork): close our copy of the pipe only."""
        with contextlib.suppress(OSError):
            if self.connection is not None:
                self.connection.close()
        self.log.close()
        if self.popen is not None:
            self.popen.returncode = 0  # not our child: Popen must not wait for it


def _join(thread: threading.Thread) -> None:
    """Wait for the end of a thread, also of one that Ctrl-C met as it was started, which Python will not wait for."""
    until = time.monotonic() + 1.0
    while True:
        try:
            return thread.join(timeout=10)
        except RuntimeError:
            if time.monotonic() > until:
                return None
            time.sleep(0.01)


def _startup_error(first: tuple, log: str) -> BridgeError:
    kind, text = (first[1], first[2]) if first[0] == "failed" else ("exit", log or "the process ended at once")
    if "rpy2" in text and kind in ("ModuleNotFoundError", "ImportError"):
        if kind == "ModuleNotFoundError":
            return Rpy2Error(
                f"rpy2 is not installed for {sys.executable} ({text}). "
                "Run: pip install 'rpy2-rinterface==3.6.5' 'rpy2-robjects==3.6.4' (newer releases need R >= 4.5)"
            )
        return Rpy2Error(f"rpy2 could not be loaded: {text}. `mlmparity doctor` says what does not fit.")
    if "R_getVar" in text or "undefined symbol" in text or "cannot load library" in text:
        return Rpy2Error(
            f"the installed rpy2 does not fit the R that is there: {text}. For R before 4.5 run: "
            "pip install 'rpy2-rinterface==3.6.5' 'rpy2-robjects==3.6.4'"
        )
    return RCrashError(f"R could not be started ({kind}: {text}). {log}".strip())


def _error_of(answer: dict[str, Any]) -> BridgeError:
    """Turn R's condition into ours; our own R code signals its errors with our classes."""
    classes = answer.get("classes") or []
    message, call = answer["message"], answer.get("call")
    if "bridge_package_error" in classes:
        data = answer["data"]
        command = install_hint() if data["command"] is None else data["command"]
        return RPackageError(data["package"], data["found"], data["needed"], command)
    if "bridge_formula_error" in classes:
        return FormulaError(message)
    if "bridge_data_error" in classes:
        return DataError(message)
    if "bridge_handle_error" in classes:
        return HandleError(message)
    return RError(message, call, classes)


class Session:
    """One R process, started at the first call.

    Parameters
    ----------
    threads : int
        Threads for R's BLAS and OpenMP.
    startup_timeout : float
        Seconds that R has to start.
    sandbox : bool, optional
        Whether R may neither start programs nor write outside its scratch folder, where the system offers that (see
        :mod:`bridge.sandbox`; ``information["sandbox"]`` says what holds). By default it is so, unless the environment
        variable ``MLMPARITY_SANDBOX`` is ``off``.
    scripts : sequence of path
        Further R files, of one's own, whose functions :meth:`call` then knows as well; read when R starts.

    Examples
    --------
    >>> with Session() as r:
    ...     r.call("r_information").value["R"]
    '4.2.2'
    """

    def __init__(
        self,
        *,
        threads: int = 1,
        startup_timeout: float = 120.0,
        sandbox: bool | None = None,
        scripts: Sequence[str | os.PathLike[str]] = (),
    ) -> None:
        self._threads = threads
        self._startup_timeout = startup_timeout
        self._sandbox = sandboxes.wanted() if sandbox is None else bool(sandbox)
        self._scripts = tuple(os.path.abspath(script) for script in scripts)
        self._process: _Process | None = None
        self._pid = os.getpid()
        # One that its own thread can take again, to be told that it may not: a signal's handler, a finalizer or a
        # progress callback comes in the middle of a call, and would wait for itself.
        self._turn = threading.RLock()
        self._busy = False
        self._freed: deque[str] = deque()
        self._calls = 0
        self._closed = False
        _sessions.add(self)

    # -- life --------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of R, or None where none runs."""
        process = self._process
        if process is None or process.popen is None or self._pid != os.getpid():
            return None
        return process.popen.pid

    @property
    def information(self) -> dict[str, object]:
        """R's version, platform, BLAS and locale (starts R)."""
        self._refuse_if_reading()
        with self._turn:
            self._refuse_if_busy()
            try:
                self._busy = True
                return dict(self._running().information)
            finally:
                self._busy = False

    def start_ahead(self, packages: Sequence[str] = ()) -> None:
        """Start R and load packages while Python does something else; what goes wrong, the first call says.

        Parameters
        ----------
        packages : sequence of str
            Loaded where they are there.
        """

        def start() -> None:
            with contextlib.suppress(BridgeError, OSError):
                self.call("load_ahead", packages=list(packages))

        with contextlib.suppress(RuntimeError):  # no more threads for us
            threading.Thread(target=start, name="bridge-start", daemon=True).start()

    def close(self) -> None:
        """End R. Handles to its objects become unusable; a later call is an error."""
        self._closed = True
        self._stop()

    def restart(self) -> None:
        """End R and let the next call start a fresh one."""
        self._stop()

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and self._pid == os.getpid():
            process.kill()

    def _after_fork(self) -> None:
        # The pipe belongs to the parent; a lock may be held by a thread that does not exist here.
        self._turn = threading.RLock()
        self._busy = False
        self._process = None
        self._freed = deque()
        self._pid = os.getpid()

    def _owns(self, identity: str) -> bool:
        process = self._process
        return process is not None and self._pid == os.getpid() and identity.startswith(f"{process.token}:")

    def _free(self, identity: str) -> None:
        # Runs from the garbage collector, perhaps in the middle of a call: only note it.
        self._freed.append(identity)

    def _running(self) -> _Process:
        """The R process, started where none runs; the caller holds the lock."""
        self._refuse_if_closed()
        process = self._process
        if process is not None and process.ended:
            self._stop()
            process = None
        if process is None:
            process = _Process(self._threads, self._startup_timeout, self._sandbox, self._scripts)
            self._process = process
            try:
                self._refuse_if_closed()  # by another thread, while R started
            except BridgeError:
                self._stop()
                raise
        return process

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise BridgeError("this R session is closed; make a new bridge.session.Session()")

    def _refuse_if_busy(self) -> None:
        if self._busy:
            raise BridgeError(_IN_THE_MIDDLE)

    def _refuse_if_reading(self) -> None:
        # a finalizer may run in any thread: the one that reads an R's answers would wait for an answer
        if getattr(_local, "reads", False):
            raise BridgeError(_IN_THE_MIDDLE)

    def __reduce__(self) -> Any:
        raise TypeError("an R session cannot be pickled or copied: it belongs to one process, as its R does")

    # -- calls -------------------------------------------------------------------------------------------------

    def call(
        self,
        function: str,
        /,
        *,
        timeout: float | None = None,
        progress: Callable[[str], object] | None = None,
        follow: bool = False,
        **args: object,
    ) -> Reply:
        """Call a function that ``r_scripts/*.R`` defines.

        Parameters
        ----------
        function : str
            Its name.
        timeout : float, optional
            Seconds; afterwards the work is interrupted.
        progress : callable, optional
            Called with each line that R prints while it works.
        follow : bool
            Whether the R function writes its progress to a file, which it gets as the argument ``progress_file``;
            its lines are passed to ``progress`` too.
        **args
            Plain data (None, bool, int, float, str, list, dict, numpy array) and :class:`Handle`.

        Returns
        -------
        Reply

        Raises
        ------
        RError
            R stopped with an error (or one of our own, e.g. FormulaError, DataError, RPackageError).
        RTimeoutError
            Not finished in time.
        RCrashError
            R's process ended; the next call starts a fresh one.
        KeyboardInterrupt
            Ctrl-C: R's work is stopped, and the next call works.
        """
        if self._pid != os.getpid():
            self._after_fork()
        self._refuse_if_reading()
        with self._turn:
            self._refuse_if_busy()
            try:
                self._busy = True
                answer = self._answer(function, args, timeout, progress, follow)
            finally:
                self._busy = False
        if not answer["ok"]:
            error = _error_of(answer)
            error.warnings = tuple(answer.get("warnings") or ())  # type: ignore[attr-defined]
            raise error
        return Reply(
            answer["value"], tuple(answer["warnings"] or ()), tuple(answer["messages"] or ()), answer.get("output", "")
        )

    def _answer(
        self,
        function: str,
        args: dict[str, object],
        timeout: float | None,
        progress: Callable[[str], object] | None,
        follow: bool,
    ) -> dict[str, Any]:
        """R's answer to a call; the caller holds the lock."""
        # Handles are resolved here, where no other R can take this one's place; first, lest R be started in vain.
        if self._process is not None and self._process.ended:
            self._stop()
        plain = _plain(args, self)
        process = self._running()
        self._calls += 1
        identity = self._calls
        freed = self._take_freed()
        sent = False
        finished = False
        progress_file = None
        if follow and progress is not None:
            plain["progress_file"] = progress_file = process.new_file()
        try:
            try:
                process.send(("call", identity, function, plain, freed))
            except OSError:
                raise self._crashed(process) from None
            sent = True
            answer = self._wait(process, identity, timeout, progress, progress_file)
            finished = True
        except RCrashError:
            finished = True
            raise
        finally:
            if not finished:
                # A time-out, Ctrl-C, or an error in the progress callback: stop R's work, keep R if it obeys.
                self._interrupt(process, identity if sent else None)
        return answer

    def keep(self, identity: str) -> Handle:
        """Wrap the key of an R object that our R code keeps into a handle."""
        return Handle(self, identity)

    def live_handles(self) -> int:
        """Count the R objects kept in the R process."""
        return int(self.call("count_handles").value)

    def _take_freed(self) -> list[str]:
        freed = []
        while self._freed:
            identity = self._freed.popleft()
            if self._owns(identity):
                freed.append(identity)
        return freed

    def _wait(
        self,
        process: _Process,
        identity: int,
        timeout: float | None,
        progress: Callable[[str], object] | None,
        progress_file: str | None,
    ) -> dict[str, Any]:
        deadline = None if timeout is None else time.monotonic() + timeout
        lines = _Lines(progress)
        with contextlib.ExitStack() as stack:
            tail = None
            if progress_file is not None:
                tail = stack.enter_context(open(progress_file, encoding="utf-8", errors="replace"))
            while True:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise RTimeoutError(f"R did not finish within {timeout:g} s; its work was stopped")
                wait = min(0.1 if tail else 1.0, 1.0 if left is None else left)
                try:
                    message = process.inbox.get(timeout=wait)
                except queue.Empty:
                    # Forked chains hold the pipe open, so its end alone does not tell that R is gone.
                    message = ("gone",) if process.ended else ("nothing",)
                if tail is not None:
                    lines.feed(tail.read())
                if message[0] == "result" and message[1] == identity:
                    return message[2]
                if message[0] == "output" and message[1] == identity:
                    lines.feed(message[2])
                if message[0] == "gone":
                    raise self._crashed(process)

    def _crashed(self, process: _Process) -> RCrashError:
        log = process.log_tail()
        if self._process is process:
            self._process = None
        status = process.kill()
        how = f"exit status {status}"
        if status is not None and status < 0:
            with contextlib.suppress(ValueError):
                how = f"killed by {signal.Signals(-status).name}"
        return RCrashError(
            f"The R process ended in the middle of its work ({how}); R objects that it held are lost. "
            "The next call starts a fresh R." + (f" It last said: {log}" if log else "")
        )

    def _interrupt(self, process: _Process, identity: int | None) -> None:
        """Stop R's work: politely, by R's own interrupt; after a while, or at a second Ctrl-C, by ending R."""
        obeyed = False
        try:
            if identity is not None:
                process.send(("interrupt", identity))
                deadline = time.monotonic() + _GRACE
                while not obeyed and (left := deadline - time.monotonic()) > 0:
                    message = process.inbox.get(timeout=left)
                    if message[0] == "gone":
                        break
                    obeyed = message[0] == "result" and message[1] == identity
                    if obeyed and message[2]["ok"] and isinstance(message[2]["value"], dict):
                        # It finished all the same: nobody will want the object that it kept.
                        kept = message[2]["value"].get("handle")
                        if isinstance(kept, str):
                            self._free(kept)
        except (queue.Empty, OSError):
            pass
        finally:
            if not obeyed and self._process is process:
                self._stop()


class _Lines:
    """Cuts R's output into lines for a progress callback."""

    def __init__(self, callback: Callable[[str], object] | None) -> None:
        self._callback = callback
        self._rest = ""

    def feed(self, text: str) -> None:
        if self._callback is None or not text:
            return
        *lines, self._rest = (self._rest + text).replace("\r", "\n").split("\n")
        for line in lines:
            if line.strip():
                self._callback(line)


def _plain(value: Any, session: Session) -> Any:
    if isinstance(value, Handle):
        if value.session is not session:
            raise HandleError("this R object belongs to another R session")
        return {"handle": value.identity}
    if isinstance(value, dict):
        return {key: _plain(item, session) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, session) for item in value]
    return value


_sessions: "weakref.WeakSet[Session]" = weakref.WeakSet()
#: All R processes of this process, those that are starting too.
_processes: set[_Process] = set()
_default: Session | None = None
_default_lock = threading.RLock()
_local = threading.local()


def default() -> Session:
    """Return the session that the doors use: that of the innermost :func:`use`, or one started on the first call."""
    chosen = getattr(_local, "session", None)
    if chosen is not None:
        return chosen
    global _default
    with _default_lock:
        if _default is None or _default._closed:
            _default = Session()
        return _default


def close_default() -> None:
    """End the default session's R (a later call starts a new one)."""
    global _default
    with _default_lock:
        session, _default = _default, None
    if session is not None:
        session.close()


@contextlib.contextmanager
def use(session: Session) -> Iterator[Session]:
    """Let the doors (``bridge.lme4`` and the others) use ``session`` inside the ``with`` block, in this thread.

    Parameters
    ----------
    session : Session
    """
    before = getattr(_local, "session", None)
    _local.session = session
    try:
        yield session
    finally:
        _local.session = before


def _close_all() -> None:
    for session in list(_sessions):
        session.close()


def _after_fork_in_child() -> None:
    global _default_lock
    _default_lock = threading.RLock()
    for session in list(_sessions):
        session._after_fork()
    # Their pipes too: a parent's R would not see it end while a child holds one.
    for process in list(_processes):
        process.forget()
    _processes.clear()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
