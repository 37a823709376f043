"""Posteriors: smallest bulk ESS for each CPU-second and wall time, of rstanarm, pyimpl, its PyMC model, and bambi.

``python -m benchmarks.bayes PROGRAM FORMULA DATA SEED`` measures one program in a fresh process and prints JSON.
"""

import importlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.models import Model

__all__ = ["PROGRAMS", "measure"]

#: Programs in the order of the table.
PROGRAMS = ("rstanarm", "pyimpl", "pyimpl, PyMC model", "bambi")


def _smallest(draws: np.ndarray) -> float:
    """Smallest bulk ESS over columns, by one estimator (ArviZ) for all programs; ``draws``: chain x draw x column."""
    from arviz_stats.base import array_stats

    moving = [k for k in range(draws.shape[2]) if np.ptp(draws[:, :, k]) > 0]
    return float(min(array_stats.ess(draws[:, :, k], method="bulk", chain_axis=0, draw_axis=1) for k in moving))


def _of_matrix(fit: Any) -> float:
    draws = fit.as_matrix().to_numpy()
    return _smallest(draws.reshape(4, -1, draws.shape[1]))


def _of_tree(posterior: Any) -> float:
    arrays = [np.asarray(posterior[name]) for name in posterior.data_vars]
    return min(_smallest(array.reshape(*array.shape[:2], -1)) for array in arrays)


def _cpu() -> float:
    """CPU-seconds of this process and of its children that have ended."""
    mine, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime


def _rstanarm(formula: str, data: pd.DataFrame, seed: int) -> dict[str, float]:
    from bridge import rstanarm

    start = time.perf_counter()
    fit = rstanarm.stan_lmer(formula, data, seed=seed)
    return {"wall": time.perf_counter() - start, "cpu": fit.cpu_seconds, "ess": _of_matrix(fit)}


def _pyimpl(formula: str, data: pd.DataFrame, seed: int) -> dict[str, float]:
    from pyimpl import stan_lmer

    stan_lmer(formula, data, seed=seed)  # loads compiled code
    cpus, walls, sizes = [], [], []
    for turn in range(5):
        cpu, start = _cpu(), time.perf_counter()
        fit = stan_lmer(formula, data, seed=seed + turn)
        fit.as_matrix()
        walls.append(time.perf_counter() - start)
        cpus.append(_cpu() - cpu)
        sizes.append(_of_matrix(fit))
        if sum(walls) > 60:
            break
    return {"wall": statistics.median(walls), "cpu": statistics.median(cpus), "ess": statistics.median(sizes)}


def _pymc(formula: str, data: pd.DataFrame, seed: int) -> dict[str, float]:
    from pyimpl import stan_lmer

    cpu, start = _cpu(), time.perf_counter()
    fit = stan_lmer(formula, data, seed=seed, sampler="nuts")
    wall, cpu = time.perf_counter() - start, _cpu() - cpu
    return {"wall": wall, "cpu": cpu, "ess": _of_matrix(fit)}


def _bambi(formula: str, data: pd.DataFrame, seed: int) -> dict[str, float]:
    bambi = importlib.import_module("bambi")
    cpu, start = _cpu(), time.perf_counter()
    model = bambi.Model(formula, data, dropna=True)
    found = model.fit(draws=1000, tune=1000, chains=4, cores=1, random_seed=seed, progressbar=False)
    wall, cpu = time.perf_counter() - start, _cpu() - cpu
    return {"wall": wall, "cpu": cpu, "ess": _of_tree(found["posterior"].to_dataset())}


_RUN: dict[str, Callable[[str, pd.DataFrame, int], dict[str, float]]] = dict(
    zip(PROGRAMS, (_rstanarm, _pyimpl, _pymc, _bambi), strict=True)
)


def measure(
    models: list[Model],
    programs: list[str] | None = None,
    seed: int = 349,
    time_limit: float = 900.0,
    say: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Measure 4 chains of 1000 kept draws of every model by every program, each in a fresh process.

    rstanarm's CPU-seconds are Stan's own clock (warm-up and sampling of all chains, no start of R); pyimpl's are
    those of the whole call, from data frame to the matrix of all draws, after one call that loads compiled code; those
    of its PyMC model and of bambi are of the whole call, compilation included. The ESS is the smallest over all
    parameters, random effects too.

    Returns
    -------
    DataFrame
        Index (model, program); columns ``wall``, ``cpu``, ``ess``, ``ess/cpu``, ``ratio`` (of ESS for each
        CPU-second, to rstanarm's), ``note``.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data.pickle"
            model.load().to_pickle(path)
            for program in programs or PROGRAMS:
                say(f"{model.name}: {program}")
                command = [sys.executable, "-m", "benchmarks.bayes", program, model.formula, str(path), str(seed)]
                try:
                    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=time_limit)
                except subprocess.TimeoutExpired:
                    rows[model.name, program] = {"note": f"> {time_limit:g} s"}
                    continue
                if done.returncode:
                    rows[model.name, program] = {"note": (done.stderr.strip().splitlines() or ["failed"])[-1][:160]}
                    continue
                row = json.loads(done.stdout.splitlines()[-1])
                rows[model.name, program] = row | {"ess/cpu": row["ess"] / row["cpu"]}
    frame = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=["wall", "cpu", "ess", "ess/cpu", "note"])
    frame.index = pd.MultiIndex.from_tuples(frame.index, names=["model", "program"])
    if "rstanarm" in frame.index.get_level_values("program"):
        reference = frame["ess/cpu"].xs("rstanarm", level="program")
        frame.insert(4, "ratio", frame["ess/cpu"] / reference.reindex(frame.index.get_level_values("model")).to_numpy())
    return frame


def main(arguments: list[str]) -> None:
    """Measure what the arguments say, and print it as JSON."""
    program, formula, path, seed = arguments
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        print(json.dumps(_RUN[program](formula, pd.read_pickle(path), int(seed))))


if __name__ == "__main__":
    main(sys.argv[1:])
