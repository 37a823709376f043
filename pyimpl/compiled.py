"""Kernels: functions of plain numbers and arrays that run as machine code.

numba compiles them. ``python -m pyimpl.precompile`` does so ahead of time, into extension modules that need no numba: a
process that loads them is spared its start and its memory. Where there are none, or the sources have changed since,
numba compiles a kernel when it is first called, and keeps the result on disk.

A kernel that Python calls states its signature, a word for each argument: ``f`` a float, ``i`` an integer, ``b`` a
bool; with a number behind it, a C-contiguous array of so many dimensions, of float64, int64 and bool, or ``w`` of
int32; in parentheses, a tuple. Machine code takes its arguments on trust, so each call is compared with the signature.
One that differs (an array in Fortran's order, say) goes to numba, which compiles for what it is given. Kernels that
only kernels call need no signature.
"""

import contextlib
import functools
import hashlib
import importlib.machinery
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, overload

import numpy as np

from pyimpl.errors import PyimplWarning

__all__ = [
    "GROUPS",
    "Kernel",
    "Signature",
    "extension_files",
    "extension_name",
    "extension_stem",
    "find_extension",
    "finished_name",
    "folders",
    "intact",
    "kernel",
    "load_extension",
    "modules_inside",
    "sources",
]

#: Modules that have kernels. Each group becomes one extension module; those that take longest to compile come first.
GROUPS = {
    "fits": (
        "pyimpl.likelihood.objective",
        "pyimpl.likelihood.merging",
        "pyimpl.likelihood.nested",
        "pyimpl.likelihood.one_factor",
        "pyimpl.likelihood.scanning",
        "pyimpl.likelihood.several_factors",
        "pyimpl.likelihood.trust_region",
        "pyimpl.likelihood.grid_starts",
        "pyimpl.likelihood.reduce",
        "pyimpl.design.checks",
        "pyimpl.design.design",
        "pyimpl.linalg.dqrdc2",
        "pyimpl.linalg.dense",
    ),
    "refits": (
        "pyimpl.likelihood.refit",
        "pyimpl.likelihood.strata",
        "pyimpl.likelihood.responses",
    ),
    "sparse": (
        "pyimpl.likelihood.sparse_factors",
        "pyimpl.linalg.minimum_degree",
        "pyimpl.linalg.sparse_cholesky",
    ),
}

#: Groups whose kernels have another group's inside.
_INSIDE = {"refits": ("fits",), "sparse": ("fits",)}

_DTYPES: dict[str, np.dtype[Any]] = {
    "f": np.dtype(np.float64),
    "i": np.dtype(np.int64),
    "w": np.dtype(np.int32),
    "b": np.dtype(np.bool_),
}
_NUMBERS: dict[str, tuple[type, ...]] = {
    "f": (float, np.float64),
    "i": (int, np.int64),
    "b": (bool, np.bool_),
}


class Signature:
    """What a kernel takes.

    Parameters
    ----------
    text : str
        See the module.

    Attributes
    ----------
    arguments : list of str or list
        A word for each argument, a list for a tuple.

    Raises
    ------
    ValueError
        A word that is none.
    """

    def __init__(self, text: str) -> None:
        words = text.replace("(", " ( ").replace(")", " ) ").split()
        self.text = text
        self.arguments: list[Any] = _nested(words)
        self._arrays, self._numbers, self._tuples = _places(self.arguments)

    def admits(self, values: Sequence[Any]) -> bool:
        """Whether these arguments are what machine code may be given: as many, the types, aligned, C-contiguous."""
        if len(values) != len(self.arguments):
            return False
        for place, dtype, ndim in self._arrays:
            value = values[place]
            if type(value) is not np.ndarray or value.dtype != dtype or value.ndim != ndim:
                return False
            flags = value.flags
            if not (flags.carray or (flags.c_contiguous and flags.aligned)):  # a carray is writable, too
                return False
        for place, types in self._numbers:
            if type(values[place]) not in types:
                return False
        for place, inner in self._tuples:
            if type(values[place]) is not tuple or not inner.admits(values[place]):
                return False
        return True


def _nested(words: list[str]) -> list[Any]:
    """Words with those between parentheses as lists."""
    stack: list[list[Any]] = [[]]
    for word in words:
        if word == "(":
            stack.append([])
        elif word == ")" and len(stack) > 1:
            inner = stack.pop()
            stack[-1].append(inner)
        elif word in _NUMBERS or (len(word) == 2 and word[0] in _DTYPES and word[1] in "12345"):
            stack[-1].append(word)
        else:
            raise ValueError(f"{word!r} is no kind of argument; there are f, i, b, f1, i2, w1, ... and tuples (...)")
    if len(stack) != 1:
        raise ValueError("a parenthesis is not closed")
    return stack[0]


def _places(
    arguments: list[Any],
) -> tuple[list[tuple[int, np.dtype[Any], int]], list[tuple[int, tuple[type, ...]]], list[tuple[int, Signature]]]:
    arrays: list[tuple[int, np.dtype[Any], int]] = []
    numbers, tuples = [], []
    for place, word in enumerate(arguments):
        if isinstance(word, list):
            tuples.append((place, Signature(_text(word))))
        elif len(word) == 1:
            numbers.append((place, _NUMBERS[word]))
        else:
            arrays.append((place, _DTYPES[word[0]], int(word[1])))
    return arrays, numbers, tuples


def _text(arguments: list[Any]) -> str:
    return " ".join(f"({_text(word)})" if isinstance(word, list) else word for word in arguments)


class Kernel:
    """A function that runs as machine code; other kernels may call it.

    Attributes
    ----------
    function : callable
        As written.
    signature : Signature or None
        None: only kernels call it.
    """

    def __init__(self, function: Callable[..., Any], signature: str | None) -> None:
        functools.update_wrapper(self, function)
        self.__name__: str
        self.__module__: str
        self.function = function
        self.signature = None if signature is None else Signature(signature)

    @property
    def exported_name(self) -> str:
        """Its name in the extension module."""
        return f"{self.__module__}.{self.__name__}".replace(".", "_")

    @functools.cached_property
    def jit(self) -> Any:
        """The same, compiled by numba when it is first called."""
        import numba

        try:
            return numba.njit(cache=True, error_model="numpy")(self.function)
        except RuntimeError:  # no folder that could be written to
            return numba.njit(error_model="numpy")(self.function)

    @property
    def _numba_type_(self) -> Any:
        # numba asks for this where a kernel calls another
        from numba import types

        return types.Dispatcher(self.jit)

    @functools.cached_property
    def _machine_code(self) -> Callable[..., Any] | None:
        group = next((group for group, modules in GROUPS.items() if self.__module__ in modules), None)
        return None if group is None else getattr(_extension(group), self.exported_name, None)

    def __call__(self, *arguments: Any) -> Any:
        """Call the machine code, or what numba makes of the function for these arguments."""
        signature = self.signature
        if signature is not None and signature.admits(arguments):
            machine_code = self._machine_code
            if machine_code is not None:
                return machine_code(*arguments)
        elif _STRICT:
            raise TypeError(f"{self!r}: the arguments {_describe(arguments)} are not {signature and signature.text}")
        return self.jit(*arguments)

    def __reduce__(self) -> str:
        return self.__name__

    def __repr__(self) -> str:
        return f"<kernel {self.__module__}.{self.__name__}>"


#: The tests set this: a call that would need numba though there is machine code is an error then.
_STRICT = bool(os.environ.get("MLMPARITY_STRICT_KERNELS"))


def _describe(values: Sequence[Any]) -> str:
    """Words for arguments, as in a signature; what has none by its type."""

    def word(value: Any) -> str:
        if isinstance(value, tuple):
            return f"({_describe(value)})"
        if isinstance(value, np.ndarray):
            letter = next((letter for letter, dtype in _DTYPES.items() if dtype == value.dtype), str(value.dtype))
            return f"{letter}{value.ndim}" + ("" if value.flags.c_contiguous else "[not contiguous]")
        return next((letter for letter, types in _NUMBERS.items() if type(value) in types), type(value).__name__)

    return " ".join(map(word, values))


@overload
def kernel(function: Callable[..., Any]) -> Kernel: ...
@overload
def kernel(function: str) -> Callable[[Callable[..., Any]], Kernel]: ...
def kernel(function: Callable[..., Any] | str) -> Kernel | Callable[[Callable[..., Any]], Kernel]:
    """Make a function a kernel: ``@kernel("f1 i")``, or ``@kernel`` where only kernels call it.

    Parameters
    ----------
    function : callable or str
        The function, or the signature of the one that is decorated.

    Returns
    -------
    Kernel, or a decorator that gives one

    Raises
    ------
    ValueError
        A signature that cannot be read.
    """
    if isinstance(function, str):
        return functools.partial(Kernel, signature=function)
    return Kernel(function, None)


# -- the extension modules ---------------------------------------------------------------------------------------------


def extension_name(group: str) -> str:
    """Name of a group's extension module."""
    return f"pyimpl_{group}_kernels"


def modules_inside(group: str) -> tuple[str, ...]:
    """Names of the modules of which a group's machine code is made: its own, and those of the kernels they call."""
    return tuple(module for one in (group, *_INSIDE.get(group, ())) for module in GROUPS[one])


def sources(group: str) -> list[Path]:
    """Files of the modules of which a group's machine code is made."""
    package = Path(__file__).parent
    return [package.joinpath(*module.split(".")[1:]).with_suffix(".py") for module in modules_inside(group)]


def folders() -> list[Path]:
    """Where the extension modules may be: beside the package, else in the user's cache."""
    import platformdirs

    return [_BESIDE, Path(platformdirs.user_cache_dir("mlmparity", appauthor=False))]


_BESIDE = Path(__file__).parent / "__pycache__"
_SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]
_DIGITS = 16  # hexadecimal, of a digest in a file's name


def extension_stem(group: str) -> str:
    """First part of the name of a group's extension module: it differs with the sources, numpy and the processor."""
    # machine code for more than the processor can do would end the process; numpy knows what it can
    facts: list[Any] = [np.__version__, np.show_config(mode="dicts")["SIMD Extensions"]]
    facts += [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in sources(group)]
    return f"{extension_name(group)}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:_DIGITS]}"


def finished_name(group: str, code: bytes) -> str:
    """Name of the file that holds this machine code: it says how long the file is, and its digest.

    So the file and what it must be are there at once, or not at all, also where two processes write at a time.
    """
    return f"{extension_stem(group)}-{hashlib.sha256(code).hexdigest()[:_DIGITS]}-{len(code)}{_SUFFIX}"


def extension_files(group: str, folder: Path) -> list[Path]:
    """Files in a folder that are named as this group's extension module for the present sources."""
    try:
        return sorted(folder.glob(f"{extension_stem(group)}-*-*{_SUFFIX}"))
    except OSError:
        return []


def intact(path: Path) -> bool:
    """Whether an extension module is as it was written: loading part of one would end the process.

    Its length is compared with that in its name. Its content is read only if its time of change is not the one that
    follows from the name and was set when it was found to be right.
    """
    digest, size = path.name.removesuffix(_SUFFIX).split("-")[-2:]
    try:
        about = path.stat()
        if not path.is_file() or str(about.st_size) != size:
            return False
        stamp = (1_000_000_000 + int(digest[:7], 16)) * 1_000_000_000
        if about.st_mtime_ns == stamp:
            return True
        if hashlib.sha256(path.read_bytes()).hexdigest()[:_DIGITS] != digest:
            return False
        with contextlib.suppress(OSError):  # a folder of someone else's: it is read again next time
            os.utime(path, ns=(stamp, stamp))
    except (OSError, ValueError):
        return False
    return True


def find_extension(group: str) -> tuple[Path | None, list[Path]]:
    """Where a group's extension module is, if anywhere, and files in its place that are damaged."""
    damaged: list[Path] = []
    for folder in folders():
        for path in extension_files(group, folder):
            if intact(path):
                return path, damaged
            damaged.append(path)
    return None, damaged


def load_extension(group: str, path: Path) -> ModuleType:
    """Load an extension module.

    Raises
    ------
    ImportError
        It is not one for this Python, or this system.
    """
    spec = importlib.util.spec_from_file_location(extension_name(group), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def _extension(group: str) -> ModuleType | None:
    """Load an extension module; None where there is none for the present sources, or ``MLMPARITY_JIT`` is set."""
    if os.environ.get("MLMPARITY_JIT"):
        return None
    try:
        path, damaged = find_extension(group)
        if path is not None and not path.exists():  # another process has just replaced it
            path, damaged = find_extension(group)
    except OSError:  # an archive has no files that could be looked at
        return None
    reason = "it is not what was written"
    if path is not None:
        try:
            return load_extension(group, path)
        except ImportError as error:
            damaged, reason = [path], str(error)
    if damaged:
        warnings.warn(
            f"the compiled kernels in {damaged[0]} are damaged ({reason}): the first fits take minutes, as numba "
            f"compiles what they call. To mend them: {sys.executable} -m pyimpl.precompile",
            PyimplWarning,
            stacklevel=3,
        )
    return None
