"""Build the compiled modules: typed Python that Cython turns into C. They are those with declarations, a ``.pxd``.

``pip install`` and ``make setup`` run this; after a change, with Cython in the environment (``.[dev]``),
``python setup.py build_ext --inplace`` compiles what changed. A module is built for every processor of its platform
and, on x86-64, once more for those with AVX2 (:mod:`pyimpl.extensions` chooses when it is imported).
"""

import json
import os
import platform
import shutil
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).parent))
try:
    import r_scripts  # noqa: F401 - which says where Python is too old
except ImportError as error:
    sys.exit(str(error))

sys.path.insert(0, str(Path(__file__).parent / "pyimpl"))
from build_record import (
    MEMORYVIEWS,
    VARIANT_FLAGS,
    compiled_modules,
    declarations,
    digest,
    record_name,
    source_digest,
)

# sqrt sets no errno, so it is one instruction; no sum is contracted to a fused one, so every processor gives the same
# numbers
FLAGS = [
    "-O3",
    "-g0",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-Wno-psabi",
]
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "nonecheck": False,
    "embedsignature": True,
}
ROOT = Path(__file__).parent.resolve()
MODULES = [*compiled_modules(ROOT / "pyimpl"), MEMORYVIEWS]
#: Where no loop is worth a second variant: lists of integers, sums that memory bounds, calls of the BLAS (measured).
PLAIN = (
    "pyimpl.linalg.blas",
    "pyimpl.linalg.columns",
    "pyimpl.linalg.minimum_degree",
    "pyimpl.linalg.pattern",
    "pyimpl.processor",
    MEMORYVIEWS,
)
GENERATED = Path("build") / "cython"


def variants() -> dict[str, list[str]]:
    """Flags of each variant that this machine's compiler builds besides the one for every processor."""
    if platform.machine().lower() not in ("x86_64", "amd64") or sys.platform == "win32":
        return {}
    return VARIANT_FLAGS


def extension(module: str, variant: str | None, c_file: Path) -> Extension:
    """One module's extension; a variant stands in a folder of its own under its package's name."""
    package, _, rest = module.partition(".")
    name = module if variant is None else f"{package}.variants.{variant}.{rest}"
    if sys.platform == "win32":
        return Extension(name, [str(c_file)], extra_compile_args=["/O2"])
    flags = [*FLAGS, *([] if variant is None else variants()[variant])]
    return Extension(name, [str(c_file)], extra_compile_args=flags, libraries=["m"])


def all_extensions() -> list[Extension]:
    """Every extension, one after the other, for setuptools' own lists."""
    return [
        extension(module, variant, (GENERATED / (variant or "every") / Path(*module.split("."))).with_suffix(".c"))
        for module in MODULES
        for variant in (None, *(() if module in PLAIN else variants()))
    ]


class BuildPython(build_py):
    """Copy Python's files; those of an earlier build that are no more do not get into the wheel."""

    def run(self) -> None:
        """Forget what an earlier build copied, but for machine code, which is known by its digest."""
        kept = (".so", ".pyd", record_name())
        for path in Path(self.build_lib).rglob("*"):
            if path.is_file() and not path.name.endswith(kept):
                path.unlink()
        super().run()


class BuildModules(build_ext):
    """Translate and compile what is not built from the present sources, and record what was built.

    What is up to date is decided by digests, not by times of change, which checkouts and copies do not keep.
    """

    def finalize_options(self) -> None:
        """Compile in parallel unless told otherwise."""
        super().finalize_options()
        if self.parallel is None:
            self.parallel = os.cpu_count() or 1

    def run(self) -> None:
        """Build, then write the record: last, so that what is half built is known to be."""
        from Cython import __version__ as cython_version

        recipe = f"{cython_version} {sys.version} {FLAGS} {VARIANT_FLAGS} {sorted(DIRECTIVES.items())}"
        kept = Path(self.build_lib) / "pyimpl" / record_name()
        made = {module: self._described(module, recipe) for module in MODULES}
        stale = [module for module in MODULES if made[module] != self._recorded(kept).get(module)]
        for name in (name for module in stale for name in self._names(module)):
            self._built(name).unlink(missing_ok=True)
        self._translate(stale)
        # the longest first, so that no core waits for the last one
        self.extensions.sort(key=lambda extension: -_size(extension.sources[0]))
        kept.unlink(missing_ok=True)
        if self.inplace:
            for name in (name for module in MODULES for name in self._names(module)):
                (ROOT / self.get_ext_filename(name)).parent.mkdir(parents=True, exist_ok=True)
        super().run()
        record = {}
        for module in MODULES:
            record[module] = self._described(module, recipe)
        text = json.dumps(record, indent=1, sort_keys=True)
        folders = [Path(self.build_lib)]
        if self.inplace:
            folders.append(ROOT)
        for folder in folders:
            _drop_others(folder, {name for entry in record.values() for name in entry["files"]})
            for entry in record.values():
                for name, facts in entry["files"].items():
                    if digest((folder / name).read_bytes()) != facts["digest"]:
                        raise OSError(f"{folder / name} was not written whole; is the disk full?")
            path = folder / "pyimpl" / record_name()
            scratch = path.with_suffix(f".{os.getpid()}")
            scratch.write_text(text, encoding="utf-8")
            scratch.replace(path)

    def get_outputs(self) -> list[str]:
        """Name the record too, so that it is in the wheel."""
        return [*super().get_outputs(), str(Path(self.build_lib) / "pyimpl" / record_name())]

    def _names(self, module: str) -> list[str]:
        return [e.name for e in self.extensions if _module_of(e.name) == module]

    def _built(self, name: str) -> Path:
        return Path(self.build_lib) / self.get_ext_filename(name)

    def _described(self, module: str, recipe: str) -> dict[str, object]:
        """What the record says of a module: the digest of what it is made from, and its files."""
        files = {}
        for name in self._names(module):
            path = self._built(name)
            if path.is_file():
                code = path.read_bytes()
                files[Path(self.get_ext_filename(name)).as_posix()] = {"size": len(code), "digest": digest(code)}
            else:
                files[Path(self.get_ext_filename(name)).as_posix()] = None
        declared = declarations(ROOT / "pyimpl", module)
        return {
            "sources": source_digest(ROOT / "pyimpl", module, declared),
            "declarations": declared,
            "recipe": digest(recipe.encode()),
            "files": files,
        }

    @staticmethod
    def _recorded(path: Path) -> dict[str, object]:
        try:
            recorded = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return recorded if isinstance(recorded, dict) else {}

    def _translate(self, modules: list[str]) -> None:
        """Cython's C of these modules, in a folder for each variant: compilers name objects after their sources."""
        from Cython.Build import cythonize

        if not modules:
            return
        every = GENERATED / "every"
        (every / "pyimpl").mkdir(parents=True, exist_ok=True)
        cythonize(
            [
                Extension(module, [module.replace(".", "/") + (".c" if module == MEMORYVIEWS else ".py")])
                for module in {MEMORYVIEWS: None, **dict.fromkeys(modules)}
            ],
            shared_utility_qualified_name=MEMORYVIEWS,
            build_dir=str(every),
            compiler_directives=DIRECTIVES,
            nthreads=min(len(modules), self.parallel if isinstance(self.parallel, int) else 1),
            force=True,
        )
        for module in (module for module in modules if module not in PLAIN):
            c_file = Path(*module.split(".")).with_suffix(".c")
            for variant in variants():
                (GENERATED / variant / c_file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(every / c_file, GENERATED / variant / c_file)


def _size(path: str) -> int:
    return Path(path).stat().st_size if Path(path).is_file() else 0


def _drop_others(folder: Path, names: set[str]) -> None:
    """Delete what an earlier build made for this Python, and this one does not."""
    for path in (folder / "pyimpl").rglob(f"*{EXTENSION_SUFFIXES[0]}"):
        if path.relative_to(folder).as_posix() not in names:
            path.unlink()


def _module_of(name: str) -> str:
    package, *rest = name.split(".")
    return ".".join([package, *(rest[2:] if rest[0] == "variants" else rest)])


if __name__ == "__main__":  # Cython's processes may import this file again
    os.chdir(ROOT)
    setup(ext_modules=all_extensions(), cmdclass={"build_ext": BuildModules, "build_py": BuildPython})
