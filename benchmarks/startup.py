"""What a fresh Python pays: the import, the first fit, the first posterior, each in processes of their own."""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.models import select

__all__ = ["measure"]

_IMPORT = "import time; t = time.perf_counter(); import pyimpl; print(time.perf_counter() - t)"
_DOOR = "import time; t = time.perf_counter(); from pyimpl import lmer; print(time.perf_counter() - t)"
_FIT = (
    "import time; t = time.perf_counter(); import pandas as pd; from pyimpl import {verb}; "
    "d = pd.read_pickle({data!r}); s = time.perf_counter(); {verb}({formula!r}, d{more}); "
    "print(time.perf_counter() - s)"
)


def _median(program: str, repeat: int) -> float:
    def once() -> float:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])

    once()  # fills the caches on disk
    return statistics.median(once() for _ in range(repeat))


def measure(repeat: int = 7) -> pd.Series:
    """Median seconds of the imports, and of M3's first fit and posterior in a fresh process (caches on disk)."""
    (model,) = select(["M3"])
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "data.pickle")
        model.load().to_pickle(path)
        return pd.Series(
            {
                "import pyimpl": _median(_IMPORT, repeat),
                "from pyimpl import lmer": _median(_DOOR, repeat),
                "first lmer (M3)": _median(
                    _FIT.format(verb="lmer", data=path, formula=model.formula, more=", REML=False"), repeat
                ),
                "first stan_lmer (M3)": _median(
                    _FIT.format(verb="stan_lmer", data=path, formula=model.formula, more=", seed=1"), repeat
                ),
            },
            name="seconds",
        )
