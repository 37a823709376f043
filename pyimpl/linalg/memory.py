"""How much memory there is, to refuse what would not fit before it starts; and how much of it is taken at a time."""

import os
from functools import cache
from pathlib import Path

import numpy as np

__all__ = ["in_words", "memory", "zeros"]

_PAGE = 512  # numbers of eight bytes in the system's smallest page
_PIECE = 2**13 * _PAGE  # numbers that are taken between two steps of Python: 32 MB, some hundredths of a second
_UNKNOWN = 16 * 2**30  # where the system does not say
_UNLIMITED = 2**62
_GROUPS, _MOUNTED = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_SHARE = 0.8  # of it may be used by one fit


@cache
def memory() -> int:
    """Bytes that a fit may use: most of the machine's memory, or of what the process or its container may have."""
    return int(_SHARE * min(_of_the_machine(), *_allowed()))


def _of_the_machine() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return _UNKNOWN


def _allowed() -> list[int]:
    """Limits of the process (``ulimit -v``) and of its control groups on Linux (containers, jobs of a cluster)."""
    found = []
    try:
        import resource
    except ImportError:  # Windows
        return [_UNLIMITED]
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        found.append(limit)
    for file in _group_files(_GROUPS, _MOUNTED):
        try:
            found.append(int(file.read_text()))  # "max" where there is none
        except (OSError, ValueError):
            continue
    return [*found, _UNLIMITED]


def _group_files(groups: Path, mounted: Path) -> list[Path]:
    """Where the limits of this process's control groups, and of those that they are in, stand."""
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return []
    files = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            folder, name = mounted, "memory.max"
        elif controllers == "memory":
            folder, name = mounted / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = folder / path.lstrip("/")
        files += [parent / name for parent in (own, *own.parents) if parent.is_relative_to(folder)]
    return files


def in_words(size: float) -> str:
    """Bytes as gigabytes, for a message."""
    return f"{size / 2**30:.3g} GB"


def zeros(size: int) -> np.ndarray:
    """Zeros in memory that is taken now, piece by piece, so that Ctrl-C is heard meanwhile.

    NumPy's zeros are given by the system page by page where they are first used: in the compiled loop or the call of
    BLAS that does it, which is deaf for a second or more a gigabyte.

    Parameters
    ----------
    size : int

    Returns
    -------
    ndarray, shape (size,)
    """
    out = np.zeros(size)
    for begin in range(0, size if size > _PIECE else 0, _PIECE):
        out[begin : begin + _PIECE : _PAGE] = 0.0
    return out
