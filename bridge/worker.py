"""The process that embeds R: the only module that imports rpy2.

Started by :mod:`bridge.session` with one end of a private socket pair. The main thread runs R, one call after the
other; a second thread reads requests, so that an interrupt reaches R in the middle of a call, and so that the
process ends at once when its parent does. R's console output is collected and never touches the pipe. As soon as R
runs, and before there is a second thread, the process gives up starting programs and writing outside its scratch
folder (:mod:`bridge.sandbox`).

Messages in: ``("call", id, function, args, freed)``, ``("interrupt", id)``. Messages out: ``("ready", info)`` or
``("failed", kind, text)``, then ``("result", id, reply)`` and ``("output", id, text)``.
"""

import contextlib
import ctypes
import importlib.resources
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from bridge import sandbox
from r_scripts import grammar
from r_scripts.escapes import visible

__all__ = ["keep_none", "main"]

#: The R files that make up the bridge, in the order in which they are read.
R_FILES = (
    "conditions.R",
    "handles.R",
    "packages.R",
    "formula.R",
    "frames.R",
    "datasets.R",
    "stats.R",
    "lme4.R",
    "rstanarm.R",
    "selftest.R",
)

#: Loaded first, where they are there: packages of ours that start a program when they are loaded (RcppParallel asks
#: Debian for the name of its processor).
_BEFORE_THE_SANDBOX = (
    "for (p in 'RcppParallel') if (nzchar(system.file(package = p))) "
    "try(suppressMessages(loadNamespace(p)), silent = TRUE)"
)

_FRONT_END = ("R_SHARE_DIR", "R_INCLUDE_DIR", "R_DOC_DIR", "R_ARCH", "LD_LIBRARY_PATH")

_INT_MAX = 2**31 - 1
_NA_INT = -(2**31)


class _CutTextError(ValueError):
    """A text that R would have the beginning of."""


def _whole_text(text: str) -> str:
    """The text, if R can hold all of it: its strings end at the first NUL, and what is left may be another's name."""
    if "\0" in text:
        raise _CutTextError(f"R cannot hold the NUL character in {text!r}; leave it out")
    return text


class _Converter:
    """Plain Python and numpy data to R vectors and back. ``scalar`` is an R attribute set by our R code."""

    def __init__(self, ri: Any, rlib: Any) -> None:
        self.ri = ri
        self.set_dim = ri.baseenv["dim<-"]
        self.get_dim = ri.baseenv["dim"]
        self.rlib = rlib
        # rpy2's own get_attrib() looks attributes up by a string where R wants a symbol, and finds none.
        self.scalar_symbol = rlib.Rf_install(b"scalar")

    def to_r(self, value: Any) -> Any:
        ri = self.ri
        if value is None:
            return ri.NULL
        if isinstance(value, (bool, np.bool_)):
            return ri.BoolSexpVector([bool(value)])
        if isinstance(value, (int, np.integer)):
            number = int(value)
            return ri.IntSexpVector([number]) if abs(number) <= _INT_MAX else ri.FloatSexpVector([float(number)])
        if isinstance(value, (float, np.floating)):
            return ri.FloatSexpVector([float(value)])
        if isinstance(value, str):
            return ri.StrSexpVector([_whole_text(value)])
        if isinstance(value, np.ndarray):
            return self._array_to_r(value)
        if isinstance(value, dict):
            result = ri.ListSexpVector([self.to_r(item) for item in value.values()])
            result.names = ri.StrSexpVector([str(key) for key in value])
            return result
        if isinstance(value, (list, tuple)):
            if value and all(item is None or isinstance(item, str) for item in value):
                return ri.StrSexpVector([ri.NA_Character if item is None else _whole_text(item) for item in value])
            return ri.ListSexpVector([self.to_r(item) for item in value])
        raise TypeError(f"cannot send a {type(value).__name__} to R")

    def _array_to_r(self, array: np.ndarray) -> Any:
        ri = self.ri
        flat = array.ravel(order="F")
        if array.dtype.kind == "b":
            vector_type, flat = ri.BoolSexpVector, np.ascontiguousarray(flat, dtype=np.int32)
        elif array.dtype.kind in "iu" and (not flat.size or (flat.max() <= _INT_MAX and flat.min() >= _NA_INT)):
            vector_type, flat = ri.IntSexpVector, np.ascontiguousarray(flat, dtype=np.int32)
        elif array.dtype.kind in "iuf":
            vector_type, flat = ri.FloatSexpVector, np.ascontiguousarray(flat, dtype=np.float64)
        else:
            raise TypeError(f"cannot send an array of dtype {array.dtype} to R")
        vector = vector_type.from_memoryview(memoryview(flat)) if flat.size else vector_type([])
        if array.ndim > 1:
            vector = self.set_dim(vector, ri.IntSexpVector(array.shape))
        return vector

    def to_python(self, value: Any) -> Any:
        ri = self.ri
        kind = value.typeof
        if kind == ri.RTYPES.NILSXP:
            return None
        if kind == ri.RTYPES.VECSXP:
            items = [self.to_python(item) for item in value]
            names = value.names
            if names.typeof == ri.RTYPES.STRSXP:
                keys = [str(name) for name in names]
                if len(set(keys)) != len(keys):
                    raise TypeError("R returned a list with duplicated names")
                return dict(zip(keys, items, strict=True))
            return items
        if kind == ri.RTYPES.STRSXP:
            strings = [None if item is ri.NA_Character else str(item) for item in value]
            return strings[0] if self._is_scalar(value) else strings
        if kind in (ri.RTYPES.REALSXP, ri.RTYPES.INTSXP, ri.RTYPES.LGLSXP):
            array = np.array(value.memoryview(), copy=True) if len(value) else np.empty(0)
            array = array.astype(np.float64 if kind == ri.RTYPES.REALSXP else np.int32, copy=False)
            if self._is_scalar(value):
                if kind == ri.RTYPES.REALSXP:
                    return float(array[0])
                if array[0] == _NA_INT:
                    return None
                return bool(array[0]) if kind == ri.RTYPES.LGLSXP else int(array[0])
            if kind == ri.RTYPES.LGLSXP and not (array == _NA_INT).any():
                array = array.astype(np.bool_)
            dim = self.get_dim(value)
            if dim.typeof != ri.RTYPES.NILSXP:
                array = array.reshape(tuple(int(extent) for extent in dim), order="F")
            return array
        raise TypeError(f"R returned a {kind.name}, which is not plain data")

    def _is_scalar(self, value: Any) -> bool:
        return self.rlib.Rf_getAttrib(value.__sexp__._cdata, self.scalar_symbol) != self.rlib.R_NilValue


class _Worker:
    def __init__(self, connection: Connection, options: Mapping[str, Any]) -> None:
        self.connection = connection
        self.options = options
        self.requests: queue.SimpleQueue[tuple] = queue.SimpleQueue()
        self.current: int | None = None
        self.state = threading.Lock()
        self.output: list[str] = []
        self.rlib: Any = None

    def read(self) -> None:
        """Take requests off the pipe; runs in its own thread while R works in the main one."""
        while True:
            try:
                message = self.connection.recv()
            except (EOFError, OSError):
                _vanish()  # the parent is gone: R's work has no reader
            if message[0] == "interrupt":
                with self.state:
                    if self.current == message[1] and self.rlib is not None:
                        self.rlib.R_interrupts_pending = 1
                        # Where R waits for its forked chains it looks at no flag, but lets this signal end the wait;
                        # everywhere else the signal is ignored.
                        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            else:
                self.requests.put(message)

    def start_r(self) -> Any:
        from rpy2 import situation

        front_end = _front_end(os.environ["R_HOME"])
        if front_end is not None:  # rpy2 would start two whole R's to ask, each as long as this one
            situation.r_ld_library_path_from_subprocess = lambda r_home: front_end["LD_LIBRARY_PATH"]
        import rpy2.rinterface as ri
        from rpy2.rinterface_lib import callbacks, embedded, openrlib

        if front_end is not None:
            ri._getrenvvars = lambda *_: tuple(front_end.items())
        ffi = openrlib.ffi
        embedded.set_initoptions(
            ("mlmparity", "--quiet", "--no-save", "--no-restore", "--no-site-file", "--no-init-file")
        )
        callbacks.consolewrite_print = self._write
        callbacks.consolewrite_warnerror = self._write
        callbacks.showmessage = self._write
        callbacks.consoleread = lambda prompt: "\n"
        # Not interactive, as Rscript is not: nothing may ask the user or open a browser.
        ri.initr(interactive=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # rpy2 has just taken it
        # R runs it at each check for interrupts, in forked chains too, where no Python code may run.
        openrlib.rlib.ptr_R_ProcessEvents = ffi.NULL
        self.rlib = openrlib.rlib
        return ri

    def _write(self, text: str) -> None:
        text = visible(grammar.restored(text))
        self.output.append(text)
        with self.state:
            current = self.current
        if current is not None:
            self.connection.send(("output", current, text))

    def serve(self) -> None:
        try:
            ri = self.start_r()
        except BaseException as error:
            self.connection.send(("failed", type(error).__name__, str(error)))
            return
        convert = _Converter(ri, self.rlib)
        try:
            held = sandbox.Status(False, False, 0, "switched off")
            if self.options["sandbox"]:
                ri.evalr(_BEFORE_THE_SANDBOX)
                held = sandbox.restrict(self.options["scratch"])
            threading.Thread(target=self.read, name="bridge-requests", daemon=True).start()
            home = ri.baseenv["new.env"](parent=ri.baseenv["asNamespace"](ri.StrSexpVector(["stats"])))
            source = ri.evalr(
                "function(text, name, env) {"
                " for (e in parse(text = text, keep.source = FALSE, encoding = 'UTF-8')) eval(e, env); NULL }"
            )
            home["process_token"] = ri.StrSexpVector([self.options["token"]])
            home["grammar"] = convert.to_r(grammar.as_data())
            folder = importlib.resources.files("r_scripts")
            texts = {name: folder.joinpath(name).read_text(encoding="utf-8") for name in R_FILES}
            texts.update((name, Path(name).read_text(encoding="utf-8")) for name in self.options["scripts"])
            for name, text in texts.items():
                source(ri.StrSexpVector([text]), ri.StrSexpVector([name]), home)
            dispatch = home["dispatch"]
            info = {**convert.to_python(home["r_information"]()), "sandbox": asdict(held)}
        except BaseException as error:
            self.connection.send(("failed", type(error).__name__, "".join(self.output) + str(error)))
            return
        self.connection.send(("ready", info))
        while True:
            _, identity, function, args, freed = self.requests.get()
            self.output.clear()
            try:
                arguments = convert.to_r(args)
                freed_ids = convert.to_r(list(freed))
                with self.state:
                    self.rlib.R_interrupts_pending = 0
                    self.current = identity
                try:
                    reply = dispatch(ri.StrSexpVector([function]), arguments, freed_ids)
                finally:
                    with self.state:
                        self.current = None
                        self.rlib.R_interrupts_pending = 0
                answer = convert.to_python(reply)
                del reply, arguments
            except BaseException as error:
                cut = isinstance(error, _CutTextError)
                answer = {
                    "ok": False,
                    "message": str(error) if cut else f"{type(error).__name__}: {error}",
                    "call": None,
                    "classes": ["bridge_data_error" if cut else "bridge"],
                }
            answer["output"] = "".join(self.output)
            with contextlib.suppress(OSError):
                self.connection.send(("result", identity, answer))


def _front_end(r_home: str) -> dict[str, str] | None:
    """The variables that R's start script sets and R does not (the rest R reads itself, from ``etc/Renviron``).

    None where the script does not tell.
    """
    command = [f"{r_home}/bin/R", "CMD", "env", "-0"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    variables = dict(line.split("=", 1) for line in told.stdout.split("\0") if "=" in line)
    return {name: variables[name] for name in _FRONT_END} if variables.keys() >= set(_FRONT_END) else None


def _vanish() -> None:
    """End this process and the chains that it forked; :func:`_leave_a_janitor` sees to the files."""
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _leave_a_janitor(folder: str) -> None:
    """Fork a process that removes the scratch folder when this one and its chains have ended, however they end.

    The parent does so as well, where it lives; this process itself may not delete in the folder above.
    """
    waits, holds = os.pipe()
    middle = os.fork()
    if middle:
        os.close(waits)
        os.waitpid(middle, 0)
        return
    if os.fork():
        os._exit(0)  # so that the janitor is no child of R's
    try:
        os.setsid()  # not of the group that is killed with R
        os.chdir("/")
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nothing, standard)
        os.closerange(3, waits)
        os.closerange(waits + 1, max(holds, 1024) + 1)  # few are open this early
        os.read(waits, 1)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os._exit(0)


def keep_none() -> None:
    """Take so many references to None that none are missed, as if it could not be deallocated (Python 3.12 has it so).

    rpy2 3.6.5 gives back references that it did not take, of which Python 3.11 ends in time ("deallocating None").
    """
    if sys.version_info < (3, 12):
        references = ctypes.c_ssize_t.from_address(id(None))  # ob_refcnt is an object's first field
        references.value += 1 << 40


def main(descriptor: int, options: Mapping[str, Any]) -> None:
    """Serve R on the socket ``descriptor`` until the other end closes.

    Parameters
    ----------
    descriptor : int
        File descriptor of our end of the socket pair.
    options : mapping
        ``token`` (str: stands in the handles), ``scratch`` (str: the folder to write in), ``sandbox`` (bool) and
        ``scripts`` (list of str: further R files).
    """
    # Ctrl-C is the parent's to handle; it asks us by message, so that one key press arrives once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGCHLD"):  # inherited: where it is ignored, no child's end can be waited for
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    keep_none()
    _leave_a_janitor(options["scratch"])
    worker = _Worker(Connection(descriptor), options)
    worker.serve()
    sys.stdout.flush()
    os._exit(0)
