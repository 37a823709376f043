"""``python -m pyimpl.precompile``: compile the kernels once, ahead of the first fit.

They become extension modules beside the package, or in the user's cache folder where that is not writable
(:mod:`pyimpl.compiled`). That takes two or three minutes and a C compiler. Where there is none, numba compiles them by
fitting a model of each kind, and keeps what it compiled on disk: then the first fit of a process has only to load it.
"""

import importlib
import multiprocessing
import os
import re
import sys
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from pyimpl.compiled import (
    GROUPS,
    Kernel,
    extension_files,
    extension_name,
    find_extension,
    finished_name,
    folders,
    intact,
    load_extension,
)

__all__ = ["build", "drop_stale_kernels", "fit_each_kind", "missing", "precompile"]

_KERNEL = re.compile(r"^@kernel\b", re.MULTILINE)
_NUMBA = {"f": "f8", "i": "i8", "w": "i4", "b": "b1"}


def drop_stale_kernels(package: Path | None = None) -> int:
    """Delete kernels in numba's cache that are older than the newest source with kernels.

    numba looks only at the file of a kernel itself, and so goes on using one that has an older version of another
    file's kernel inside it.

    Parameters
    ----------
    package : Path, optional
        Folder of the sources; default this package's.

    Returns
    -------
    int
        Files deleted.
    """
    folder = package or Path(__file__).parent
    files = [path for path in folder.rglob("*.py") if _KERNEL.search(path.read_text(encoding="utf-8"))]
    newest = max((path.stat().st_mtime for path in files), default=0.0)
    stale = [path for path in folder.rglob("__pycache__/*.nb[ic]") if path.stat().st_mtime < newest]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def _numba_type(word: Any) -> str:
    """A signature's word as numba writes it."""
    if isinstance(word, list):
        return f"Tuple(({', '.join(map(_numba_type, word))},))"
    kind = _NUMBA[word[0]]
    return kind if len(word) == 1 else f"{kind}[{':,' * (int(word[1]) - 1)}::1]"


def _caller(kernel: Kernel, arguments: int) -> Any:
    """Return a function of so many arguments that calls the kernel, which keeps its own error model."""
    names = ", ".join(f"a{i}" for i in range(arguments))
    scope: dict[str, Any] = {"kernel": kernel}
    exec(f"def call({names}):\n    return kernel({names})", scope)
    return scope["call"]


def build(group: str, folder: Path) -> Path:
    """Compile all kernels of a group that Python calls into an extension module.

    Parameters
    ----------
    group : str
        One of :data:`pyimpl.compiled.GROUPS`.
    folder : Path
        Where it is put; made if it is not there. Beside the package, older ones for this Python are deleted.

    Returns
    -------
    Path
        The file, which is there whole or not at all.

    Raises
    ------
    Exception
        What numba, setuptools or the C compiler raise.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba's ahead-of-time compiler is to be replaced one day; it has no other
        from numba.pycc import CC
    name = extension_name(group)
    compiler = CC(name)
    compiler.target_cpu = "host"
    for module in GROUPS[group]:
        for kernel in vars(importlib.import_module(module)).values():
            if isinstance(kernel, Kernel) and kernel.__module__ == module and kernel.signature is not None:
                words = kernel.signature.arguments
                types = f"({', '.join(map(_numba_type, words))},)"
                compiler.export(kernel.exported_name, types)(_caller(kernel, len(words)))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        compiler.output_dir = scratch
        with redirect_stdout(sys.stderr):  # the C compiler's remarks
            compiler.compile()
        (made,) = Path(scratch).glob(f"{name}.*")
        load_extension(group, made)  # what cannot be loaded is not kept
        code = made.read_bytes()
        path = folder / finished_name(group, code)
        made.replace(path)
    if not intact(path):
        path.unlink(missing_ok=True)
        raise OSError(f"{path} was not written whole; is the disk full?")
    for damaged in extension_files(group, folder):
        if not intact(damaged):
            with suppress(OSError):  # a folder in its place, say
                damaged.unlink(missing_ok=True)
    if folder == folders()[0]:  # the other one may serve another environment
        ending = path.name.partition(".")[2]
        others = set(extension_files(group, folder))
        for old in folder.glob(f"{name}-*.{ending}"):
            if old not in others:
                old.unlink(missing_ok=True)
    return path


def fit_each_kind() -> None:
    """Fit one model of each kind: one term, several effects, crossed terms (few to very many levels), posteriors."""
    import numpy as np
    import pandas as pd

    from pyimpl import lmer, stan_lmer

    rng = np.random.default_rng(1)
    group, item = np.repeat(np.arange(12), 10), np.tile(np.arange(10), 12)
    x = rng.normal(size=120)
    data = pd.DataFrame(
        {
            "y": rng.normal(size=12)[group] + rng.normal(size=10)[item] + x + rng.normal(size=120),
            "x": x,
            "g": pd.Categorical(group.astype(str)),
            "h": pd.Categorical(item.astype(str)),
        }
    )
    formulas = ("y ~ 1 + (1 | g)", "y ~ x + (x | g)", "y ~ x + (x | g) + (1 | h)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a singular fit of made-up data is no news
        for formula in formulas:
            fit = lmer(formula, data)
            fit.refit(fit.getME("y"))
            stan_lmer(formula, data, seed=1, chains=2, iter=200)
        # refits have kernels of their own where a design is balanced, and where factors are nested
        balanced = data.assign(k=pd.Categorical((group * 10 + item // 2).astype(str)))
        for formula, part in (("y ~ 1 + (1 | g) + (1 | h)", balanced), ("y ~ 1 + (1 | g) + (1 | k)", balanced[:-1])):
            fit = lmer(formula, part)
            fit.refit(fit.getME("y"))
        for levels in (450, 4500):  # a matrix for LAPACK, and a sparse one
            rows = np.arange(4 * levels)
            first, second = rows % levels, (rows + rows // levels) % levels // 2
            y = rng.normal(size=levels)[first] + rng.normal(size=levels)[second] + rng.normal(size=rows.size)
            crossed = {"g": pd.Categorical(first.astype(str)), "h": pd.Categorical(second.astype(str))}
            lmer("y ~ 1 + (1 | g) + (1 | h)", pd.DataFrame({"y": y, **crossed})).ranef()


def missing() -> list[str]:
    """Groups of kernels of which there is no undamaged machine code for the present sources and processor."""
    return [group for group in GROUPS if find_extension(group)[0] is None]


def precompile() -> str:
    """Compile the kernels unless they are compiled already.

    Returns
    -------
    str
        What was done, for people.
    """
    groups = missing()
    if not groups:
        return "the kernels are compiled already"
    print("compiling pyimpl's kernels: two or three minutes, once", file=sys.stderr, flush=True)
    drop_stale_kernels()
    reasons = []
    for folder in folders():
        try:
            # numba compiles in one thread
            with ProcessPoolExecutor(
                min(len(groups), os.cpu_count() or 1), multiprocessing.get_context("spawn")
            ) as pool:
                made = []
                for path in pool.map(build, groups, [folder] * len(groups)):
                    made.append(path)
                    print(f"compiled {len(made)} of {len(groups)} groups of kernels", file=sys.stderr, flush=True)
            return f"compiled the kernels: {', '.join(map(str, made))}"
        except Exception as error:  # a folder that is not writable, no compiler: numba's own way is left
            reasons.append(f"{type(error).__name__}: {error}")
    fit_each_kind()
    return (
        "compiled the kernels as they are called: the first fit of a process will take some tenths of a second longer. "
        f"For more a C compiler and setuptools are needed ({'; '.join(dict.fromkeys(reasons))})"
    )


if __name__ == "__main__":
    print(precompile())
