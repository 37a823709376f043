"""What was compiled from what: shared by ``setup.py``, which writes it down, and :mod:`pyimpl.extensions`.

No imports of the package: ``setup.py`` reads this file where nothing is installed.
"""

import hashlib
import importlib.machinery
from pathlib import Path

__all__ = ["MEMORYVIEWS", "VARIANT_FLAGS", "compiled_modules", "declarations", "digest", "record_name", "source_digest"]

#: Machine code for some processors only, and the compiler's flags for it. Those that can run it are told by
#: :func:`pyimpl.processor.variant`, which asks for the same features.
VARIANT_FLAGS = {"avx2": ["-mavx2", "-mfma", "-mbmi", "-mbmi2"]}

#: What Cython's typed memoryviews need: a module of its own, generated, in place of a part of every module.
MEMORYVIEWS = "pyimpl._memoryviews"

_SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]


def digest(content: bytes) -> str:
    """Digest of a file's content."""
    return hashlib.sha256(content).hexdigest()[:32]


def record_name() -> str:
    """Name of the file that says what was compiled for this Python, in the folder of the package."""
    return f"compiled{Path(_SUFFIX).with_suffix('') if _SUFFIX.count('.') > 1 else ''}.json"


def declarations(package: Path) -> list[Path]:
    """Cython's declarations (``.pxd``), one beside each compiled module."""
    return sorted(package.rglob("*.pxd"))


def compiled_modules(package: Path) -> list[str]:
    """Names of the compiled modules."""
    parts = [path.relative_to(package.parent).with_suffix("").parts for path in declarations(package)]
    return [".".join(part) for part in parts]


def source_digest(package: Path, module: str) -> str:
    """Digest of what a module is compiled from: its source (a generated one has none), and all declarations.

    Raises
    ------
    OSError
        A source is not there.
    """
    path = package.joinpath(*module.split(".")[1:]).with_suffix(".py")
    contents = [path.read_bytes() for path in (*([] if module == MEMORYVIEWS else [path]), *declarations(package))]
    return digest(b"\0".join(contents).replace(b"\r\n", b"\n"))  # line ends do not count
