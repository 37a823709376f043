"""Files that are written whole or not at all, and only where they are meant to be; and read with the same care.

What cannot be done is a :class:`FileError`.
"""

import contextlib
import errno
import json
import os
import re
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Bytes of the longest file that is read whole.
_MOST_BYTES = 1 << 30

#: Longest file name that every common file system takes, the ending and ``.part`` included.
_LONGEST = 200

#: Folders in which nothing is a file of a user's: ``/dev/stdout`` leads there, wherever it is redirected to.
_SYSTEMS = ("/dev", "/proc", "/sys")

#: Names that Windows keeps for devices, with any ending.
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$")


class FileError(ValueError):
    """A file cannot be written or read, or its name cannot be one; the text says what to do."""


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """All of a file, which has at most so many bytes, 2³⁰ where that is not said.

    A folder, a device, or a pipe whose writer would be waited for is none. What is not there is a FileNotFoundError.
    """
    most = _MOST_BYTES if most is None else most
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise FileError(f"{str(path)!r} is a folder, a device or a pipe; a file is needed")
        if found.st_size > most:
            raise FileError(f"{str(path)!r} has more than {most} bytes, which no such file has")
        return path.read_bytes()
    except (FileNotFoundError, FileError):
        raise
    except (OSError, ValueError) as error:
        raise FileError(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def read_json(path: Path) -> object:
    """What a file of JSON says.

    One that is nested without end, has a key twice or a number that JSON has no word for, or is not in UTF-8, is none.
    """
    content = read_bytes(path)
    try:
        text = content.decode("utf-8")
        return json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{str(path)!r} is not readable JSON: {error}") from None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice!r} stands twice")
    return found


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON's")


def plain_name(name: str) -> str:
    """A name that is one of a file in a folder, wherever the folder is."""
    why = ""
    if not isinstance(name, str) or not name.strip():
        why = "it is empty"
    elif len(name.encode("utf-8", "replace")) > _LONGEST:
        why = f"it has more than {_LONGEST} bytes"
    elif bad := sorted({c for c in name if c in '/\\:*?"<>|' or not c.isprintable()}):
        why = f"it has {', '.join(map(repr, bad))}"
    elif name in (".", "..") or name[-1] in ". ":
        why = "it ends in a dot or a space"
    elif _RESERVED.match(name):
        why = "Windows keeps it for a device"
    if why:
        shown = repr(name) if len(str(name)) <= 60 else repr(f"{name[:60]}...")
        raise FileError(f"{shown} cannot be the name of a file: {why}; give it another name")
    return name


def write_atomically(path: Path, text: str) -> None:
    """Write a UTF-8 file that is the old one or the whole new one, whatever interrupts; its folder is made.

    The file is written beside its place and moved there in one step. A link in its place is replaced, not followed; a
    device or a pipe (``/dev/stdout``, ``/dev/null``) is written to as it is: in its place, root would leave a file.
    """
    temporary = None
    try:
        if _is_device(path):
            with open(path, "w", encoding="utf-8", newline="\n", errors="surrogatepass", opener=at_once) as file:
                file.write(text)
            return
        if path.is_dir() and not path.is_symlink():
            raise IsADirectoryError(errno.EISDIR, "a folder")  # in place of ".", the system would call it busy
        make_folder(path.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n", errors="surrogatepass") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.umask(mask := os.umask(0))
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if isinstance(error, OSError | ValueError) and not isinstance(error, FileError):
            raise FileError(f"{str(path)!r} cannot be written: {_why(error)}; the file is as it was") from error
        raise


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it is in; nothing, where it is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise FileError(f"the folder {str(folder)!r} cannot be made: {_why(error)}") from error


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Say why a file cannot be written, where another library writes it."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{str(path)!r} cannot be written: {_why(error)}") from error


def _is_device(path: Path) -> bool:
    """Whether a path is no file's: a device, a pipe, a socket, or whatever the system keeps in its own folders."""
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            return True
    place = Path(os.path.abspath(path)).parent.resolve()
    return any(place.is_relative_to(kept) for kept in _SYSTEMS) and not place.is_relative_to("/dev/shm")


def at_once(path: str, flags: int) -> int:
    """Open a device or a pipe, as an opener of ``open``, where Python would wait for its other end for ever.

    A pipe that nobody reads is an error, one to which nobody writes is empty.
    """
    handle = os.open(path, flags & ~os.O_CREAT | getattr(os, "O_NONBLOCK", 0))
    if hasattr(os, "set_blocking"):
        os.set_blocking(handle, True)
    return handle


def _why(error: OSError | ValueError) -> str:
    if not isinstance(error, OSError):
        return str(error)  # a NUL in the name
    known = {
        errno.ENOSPC: "the disk is full",
        errno.EROFS: "the file system is read-only",
        errno.EACCES: "its folder may not be written to",
        errno.EPERM: "its folder may not be written to",
        errno.EISDIR: "a folder is in its place",
        errno.ENOTEMPTY: "a folder is in its place",
        errno.ENOTDIR: "a part of its path is a file",
        errno.EEXIST: "a part of its path is a file",
        errno.ENXIO: "nobody reads from the pipe or the device",
        errno.ELOOP: "its path is a circle of links",
    }
    return known.get(error.errno or 0, error.strerror or type(error).__name__)


def write_or_print(target: Path, text: str) -> None:
    """Write text, adding the last line break, to a file and make its folder; print it where the target is ``-``."""
    if str(target) == "-":
        print(text)
        return
    write_atomically(target, text + "\n")
