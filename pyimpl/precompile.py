"""``python -m pyimpl.precompile``: compile the kernels once, ahead of the first fit.

numba keeps what it compiled beside the package (or in its own cache folder where that is not writable), so that later
processes only load it. Without this the first fit ever made takes some seconds longer.
"""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

__all__ = ["drop_stale_kernels", "precompile"]

_KERNEL = re.compile(r"^@(?:numba\.)?njit\b", re.MULTILINE)


def drop_stale_kernels(package: Path | None = None) -> int:
    """Delete cached kernels that are older than the newest source with kernels.

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
    sources = [path for path in folder.rglob("*.py") if _KERNEL.search(path.read_text(encoding="utf-8"))]
    newest = max((path.stat().st_mtime for path in sources), default=0.0)
    stale = [path for path in folder.rglob("__pycache__/*.nb[ic]") if path.stat().st_mtime < newest]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def precompile() -> None:
    """Fit one model of each kind: one term, several effects, crossed terms (few to very many levels), posteriors."""
    from pyimpl import lmer, stan_lmer

    drop_stale_kernels()
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
        for levels in (150, 4500):  # a matrix for LAPACK, and a sparse one
            rows = np.arange(4 * levels)
            first, second = rows % levels, (rows + rows // levels) % levels // 2
            y = rng.normal(size=levels)[first] + rng.normal(size=levels)[second] + rng.normal(size=rows.size)
            crossed = {"g": pd.Categorical(first.astype(str)), "h": pd.Categorical(second.astype(str))}
            lmer("y ~ 1 + (1 | g) + (1 | h)", pd.DataFrame({"y": y, **crossed})).ranef()


if __name__ == "__main__":
    precompile()
