"""What a fresh interpreter pays: imports, the first fit and the first posterior, each in processes of their own."""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.models import Model, select
from benchmarks.programs import Program

__all__ = ["cold", "measure"]

_IMPORT = "import time; t = time.perf_counter(); import pyimpl; print(time.perf_counter() - t)"
_DOOR = "import time; t = time.perf_counter(); from pyimpl import lmer; print(time.perf_counter() - t)"
_FIT = (
    "import time; t = time.perf_counter(); import pandas as pd; from pyimpl import {verb}; "
    "d = pd.read_pickle({data!r}); s = time.perf_counter(); {verb}({formula!r}, d{more}); "
    "print(time.perf_counter() - s)"
)
#: With the data in memory, and so pandas loaded: all that the program itself needs, and the fit.
_COLD = (
    "import time, warnings, pandas as pd; from benchmarks.programs import find; warnings.simplefilter('ignore'); "
    "d, program = pd.read_pickle({data!r}), find({program!r}); "
    "t = time.perf_counter(); program.load()({formula!r}, d); print(time.perf_counter() - t)"
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


def cold(models: list[Model], programs: list[Program], repeat: int = 5) -> pd.DataFrame:
    """Measure what a user waits for: in a fresh interpreter with the data in memory, the imports and one fit.

    For lme4 that is from Python: R's start in its worker process, and what goes there and back.

    Parameters
    ----------
    models, programs : list
    repeat : int
        Processes of each program and model, after one that fills the caches on disk.

    Returns
    -------
    DataFrame
        Median seconds: a row for each model, a column for each program; missing where it failed.
    """
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "data.pickle")
        for model in models:
            model.load().to_pickle(path)
            table[model.name] = {
                program.name: _or_missing(_COLD.format(data=path, program=program.name, formula=model.formula), repeat)
                for program in programs
            }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("model")


def _or_missing(program: str, repeat: int) -> float:
    try:
        return _median(program, repeat)
    except subprocess.CalledProcessError:
        return float("nan")
