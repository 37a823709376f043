"""Compiled modules: found, and refused with a sentence where they are missing, older than their sources, or damaged.

``setup.py`` compiles some modules of this package (typed Python, by Cython) and writes a record of them. A finder that
is asked before Python's own answers for those modules: it compares source and file with the record before a file is
loaded (loading part of a library ends the process with SIGBUS), and takes the variant that is the fastest on this
processor; ``MLMPARITY_VARIANT=every`` asks for the one that every processor can run.
"""

import functools
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TypedDict

from pyimpl.build_record import compiled_modules, content, digest, record_name, source_digest

__all__ = ["CompiledModulesError", "install", "problems"]

_PACKAGE = Path(__file__).parent
_VARIANT = "MLMPARITY_VARIANT"


class CompiledModulesError(ImportError):
    """A compiled module is missing, older than its source, or damaged; the message says how to mend it."""


class _File(TypedDict):
    size: int
    digest: str


class _Entry(TypedDict):
    sources: str
    declarations: list[str]
    files: dict[str, _File]


def _mending(package: Path) -> str:
    root = package.parent
    if not (root / "setup.py").is_file():
        return f"install it again: {sys.executable} -m pip install --force-reinstall --no-deps mlmparity"
    if Path(sys.prefix) == root / ".venv":
        return f"build it: make -C {root} setup"
    return f"build it: {sys.executable} -m pip install --no-deps --editable {root}"


def _error(package: Path, problem: str) -> CompiledModulesError:
    return CompiledModulesError(f"pyimpl's compiled modules: {problem}. To mend it, {_mending(package)}")


def _whole(entry: _Entry) -> bool:
    """Whether an entry has what is asked of it below: texts, at least one file, sizes that are whole numbers."""
    files, names = entry["files"], [entry["sources"], *entry["declarations"], *entry["files"]]
    return (
        isinstance(entry["declarations"], list)
        and bool(files)
        and all(isinstance(name, str) and name.isprintable() for name in names)
        and all(type(file["size"]) is int and isinstance(file["digest"], str) for file in files.values())
    )


@functools.cache
def _record(package: Path) -> dict[str, _Entry]:
    path = package / record_name()
    try:
        record: dict[str, _Entry] = json.loads(content(path).decode("utf-8"))
        if not all(map(_whole, record.values())):
            raise ValueError("an entry lacks a part")
    except FileNotFoundError:
        python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
        raise _error(package, f"they were not built for this {python} ({path} is not there)") from None
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise _error(package, f"{path} cannot be read ({type(error).__name__})") from None
    return record


def _checked(package: Path, module: str, entry: _Entry, file: str) -> Path:
    """Path of a module's file, which is what was built from the source that is there."""
    try:
        present = source_digest(package, module, entry["declarations"])
    except OSError as error:
        raise _error(package, f"the source of {module} cannot be read ({error})") from None
    if present != entry["sources"]:
        raise _error(package, f"{module} was compiled from another source than the one that is there now")
    path = package.parent / file
    facts = entry["files"][file]
    try:
        if path.stat().st_size == facts["size"] and digest(content(path)) == facts["digest"]:
            return path
    except FileNotFoundError:
        raise _error(package, f"{path} is not there") from None
    except OSError as error:
        raise _error(package, f"{path} cannot be read ({error})") from None
    raise _error(package, f"{path} is damaged (it is not what was built)")


class _Finder:
    """Finds compiled modules by the record; a finder of ``sys.meta_path``."""

    def __init__(self, package: Path) -> None:
        self.package = package

    @functools.cached_property
    def variant(self) -> str | None:
        if os.environ.get(_VARIANT) == "every":
            return None
        from pyimpl.processor import variant

        return variant()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of a compiled module, None for any other."""
        if not name.startswith("pyimpl."):
            return None
        entry = _record(self.package).get(name)
        if entry is None:
            if self.package.joinpath(*name.split(".")[1:]).with_suffix(".pxd").exists():
                raise _error(self.package, f"{name} was never built")
            return None
        files = list(entry["files"])
        file = next((file for file in files if "/variants/" not in file), files[0])
        if len(files) > 1 and self.variant is not None:
            file = next((one for one in files if f"/variants/{self.variant}/" in one), file)
        found = _checked(self.package, name, entry, file)
        loader = importlib.machinery.ExtensionFileLoader(name, str(found))
        return importlib.util.spec_from_file_location(name, found, loader=loader)

    def invalidate_caches(self) -> None:
        """Forget what was read of the record."""
        _record.cache_clear()


def install() -> None:
    """Answer for the compiled modules from now on.

    Raises
    ------
    CompiledModulesError
        They were not built.
    """
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(_PACKAGE))
    _record(_PACKAGE)


def problems(package: Path = _PACKAGE) -> list[str]:
    """Sentences on every compiled file that is missing, damaged, or older than its source.

    Parameters
    ----------
    package : Path, optional
        Folder of the package.

    Returns
    -------
    list of str
        Empty where all is well.
    """
    _record.cache_clear()
    try:
        record = _record(package)
    except CompiledModulesError as error:
        return [str(error)]
    never = sorted(set(compiled_modules(package)) - set(record))
    found = [str(_error(package, f"{module} was never built")) for module in never]
    for module, entry in record.items():
        for file in entry["files"]:
            try:
                _checked(package, module, entry, file)
            except CompiledModulesError as error:
                found.append(str(error))
    return found
