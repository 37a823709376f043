"""What was compiled from what: shared by ``setup.py``, which writes it down, and :mod:`pyimpl.extensions`.

No imports of the package: ``setup.py`` reads this file where nothing is installed.
"""

import errno
import hashlib
import importlib.machinery
import re
import stat
from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "MEMORYVIEWS",
    "VARIANT_FLAGS",
    "compiled_modules",
    "content",
    "declarations",
    "digest",
    "record_name",
    "source_digest",
]

#: Machine code for some processors only, and the compiler's flags for it. Those that can run it are told by
#: :func:`pyimpl.processor.variant`, which asks for the same features.
VARIANT_FLAGS = {"avx2": ["-mavx2", "-mfma", "-mbmi", "-mbmi2"]}

#: What Cython's typed memoryviews need: a module of its own, generated, in place of a part of every module.
MEMORYVIEWS = "pyimpl._memoryviews"

#: What a source takes from other compiled modules: their declarations are compiled into it.
_CIMPORT = re.compile(
    r"^[^\S\n]*(?:from\s+(?:cython\.cimports\.(pyimpl[\w.]*)\s+import|(pyimpl[\w.]*)\s+cimport)\b\s*(\([^)]*\)|[^\n]*)"
    r"|cimport\s+(pyimpl[\w.]*))",
    re.MULTILINE,
)

_SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]


def digest(content: bytes) -> str:
    """Digest of a file's content."""
    return hashlib.sha256(content).hexdigest()[:32]


def content(path: Path) -> bytes:
    """Content of a file: opening a pipe waits for its writer, and a device may have no end.

    Raises
    ------
    OSError
        It is not there, cannot be read, or is no regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return path.read_bytes()


def record_name() -> str:
    """Name of the file that says what was compiled for this Python, in the folder of the package."""
    return f"compiled{Path(_SUFFIX).with_suffix('') if _SUFFIX.count('.') > 1 else ''}.json"


def compiled_modules(package: Path) -> list[str]:
    """Names of the compiled modules: those with declarations (``.pxd``) beside them."""
    parts = [path.relative_to(package.parent).with_suffix("").parts for path in sorted(package.rglob("*.pxd"))]
    return [".".join(part) for part in parts]


def _path(package: Path, module: str, suffix: str) -> Path:
    return package.joinpath(*module.split(".")[1:]).with_suffix(suffix)


def declarations(package: Path, module: str) -> list[str]:
    """Names of the modules whose declarations go into a module: its own, and those that it cimports, and so on.

    Raises
    ------
    OSError
        A source is not there.
    """
    if module == MEMORYVIEWS:
        return []
    found = [module]
    files = [_path(package, module, ".py"), _path(package, module, ".pxd")]
    for path in files:  # grows
        for first, second, names, third in _CIMPORT.findall(path.read_text(encoding="utf-8")):
            taken = first or second or third
            for other in (taken, *(f"{taken}.{name}" for name in re.findall(r"\w+", names))):
                if other not in found and _path(package, other, ".pxd").is_file():
                    found.append(other)
                    files.append(_path(package, other, ".pxd"))
    return sorted(found)


def source_digest(package: Path, module: str, declared: Sequence[str]) -> str:
    """Digest of what a module is compiled from: its source (a generated one has none), and these modules' declarations.

    Raises
    ------
    OSError
        A source is not there.
    """
    paths = [] if module == MEMORYVIEWS else [_path(package, module, ".py")]
    contents = [content(path) for path in (*paths, *(_path(package, other, ".pxd") for other in declared))]
    return digest(b"\0".join(contents).replace(b"\r\n", b"\n"))  # line ends do not count
