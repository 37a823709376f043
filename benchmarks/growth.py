"""How time and memory of a fit grow with the number of rows, of levels, and of levels of two crossed factors."""

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["POSTERIOR", "SERIES", "measure", "measure_posterior", "plot", "simulated"]

#: Name of a series -> formula, and (rows, levels) of each point.
SERIES: dict[str, tuple[str, tuple[tuple[int, int], ...]]] = {
    "rows (1000 levels, slope)": (
        "y ~ x + (x | g)",
        ((10_000, 1_000), (100_000, 1_000), (1_000_000, 1_000), (10_000_000, 1_000)),
    ),
    "levels (10 rows each)": (
        "y ~ x + (1 | g)",
        ((1_000, 100), (10_000, 1_000), (100_000, 10_000), (1_000_000, 100_000)),
    ),
    "two crossed factors, levels meet their neighbours": (
        "y ~ x + (1 | g) + (1 | h)",
        ((1_000, 100), (10_000, 1_000), (100_000, 10_000), (1_000_000, 100_000)),
    ),
    "two crossed factors, levels meet at random": (
        "y ~ x + (1 | g) + (1 | h)",
        ((1_000, 100), (10_000, 1_000), (50_000, 5_000), (100_000, 10_000), (1_000_000, 100_000)),
    ),
}

#: The same for posteriors.
POSTERIOR: tuple[str, tuple[tuple[int, int], ...]] = (
    "y ~ x + (1 | g)",
    ((10_000, 100), (100_000, 100), (1_000_000, 100), (10_000_000, 100)),
)

#: Okabe and Ito's, which colour-blind readers tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def simulated(rows: int, levels: int, crossed: str = "", seed: int = 20181) -> pd.DataFrame:
    """Simulate a response with a predictor and one grouping factor or two.

    Parameters
    ----------
    rows, levels : int
        Each factor has so many levels.
    crossed : {"", "neighbours", "random"}
        How the second factor's levels meet the first's: each with its ten neighbours (as schools meet the teachers of
        their region), or at random, which no ordering of the levels makes sparse.
    seed : int

    Returns
    -------
    DataFrame
        ``y``, ``x``, ``g`` (categorical) and, if crossed, ``h``.
    """
    rng = np.random.default_rng(seed)
    labels = [f"g{i}" for i in range(levels)]
    g = np.arange(rows) % levels
    x = rng.standard_normal(rows)
    y = 1 + x + rng.standard_normal(levels)[g] + 0.5 * rng.standard_normal(levels)[g] * x + rng.standard_normal(rows)
    data = {"x": x, "g": pd.Categorical.from_codes(g, labels)}
    if crossed:
        h = rng.permutation(g) if crossed == "random" else (g + rng.integers(0, 10, rows)) % levels
        y += 0.7 * rng.standard_normal(levels)[h]
        data["h"] = pd.Categorical.from_codes(h, labels)
    return pd.DataFrame({"y": y, **data})


def _crossed(series: str) -> str:
    return "random" if "random" in series else "neighbours" if "neighbours" in series else ""


def measure(
    time_limit: float = 60.0, limit_rows: int = 10_000_000, say: Callable[[str], None] = lambda text: None
) -> pd.DataFrame:
    """Measure every point of every series in a fresh process (one call loads compiled code first).

    Returns
    -------
    DataFrame
        Columns ``series``, ``rows``, ``levels``, ``seconds``, ``cpu``, ``peak_mb`` (growth over the loaded data),
        ``data_mb``, ``note``.
    """
    rows = []
    for series, (formula, points) in SERIES.items():
        stopped = ""
        for n, levels in points:
            if n > limit_rows:
                continue
            row: dict[str, Any] = {"series": series, "rows": n, "levels": levels, "note": stopped}
            if not stopped:
                say(f"{series}: {n} rows, {levels} levels")
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "data.pickle"
                    data = simulated(n, levels, _crossed(series))
                    row["data_mb"] = float(data.memory_usage(deep=False).sum()) / 2**20
                    data.to_pickle(path)
                    del data
                    command = [sys.executable, "-m", "benchmarks.growth", formula, str(path)]
                    try:
                        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=time_limit)
                    except subprocess.TimeoutExpired:
                        row["note"] = stopped = f"over {time_limit:g} s"
                    else:
                        if done.returncode:
                            row["note"] = (done.stderr.strip().splitlines() or ["failed"])[-1][:160]
                        else:
                            row |= json.loads(done.stdout.splitlines()[-1])
            rows.append(row)
    return pd.DataFrame(rows).reindex(
        columns=["series", "rows", "levels", "seconds", "cpu", "data_mb", "peak_mb", "note"]
    )


def measure_posterior(limit_rows: int = 10_000_000, say: Callable[[str], None] = lambda text: None) -> pd.DataFrame:
    """Measure 4 x 1000 draws of a posterior as the rows grow: the whole call, and of it the sampling.

    Returns
    -------
    DataFrame
        Columns ``rows``, ``levels``, ``seconds`` (of the whole call), ``sampling`` (seconds from the reduced data to
        the draws), ``evaluations`` (of the density), ``ess`` (smallest bulk ESS).
    """
    formula, points = POSTERIOR
    rows = []
    for n, levels in points:
        if n > limit_rows:
            continue
        say(f"posterior: {n} rows, {levels} levels")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data.pickle"
            simulated(n, levels).to_pickle(path)
            command = [sys.executable, "-m", "benchmarks.growth", formula, str(path), "posterior"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append({"rows": n, "levels": levels, **json.loads(done.stdout.splitlines()[-1])})
    return pd.DataFrame(rows, columns=["rows", "levels", "seconds", "sampling", "evaluations", "ess"])


def plot(table: pd.DataFrame, path: Path) -> None:
    """Draw time and memory against size, on logarithmic axes, with a line of slope 1 to compare with."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, column, label in ((axes[0], "seconds", "seconds"), (axes[1], "peak_mb", "memory beyond the data (MB)")):
        for (series, group), marker, colour in zip(
            table.dropna(subset=[column]).groupby("series", sort=False), "osD^", _COLOURS, strict=False
        ):
            axis.loglog(group["rows"], group[column].clip(lower=1e-3), marker=marker, color=colour, label=series)
        positive = table[column].dropna()
        positive = positive[positive > 0]
        if len(positive):
            low, high = table["rows"].min(), table["rows"].max()
            start = 10 ** math.floor(math.log10(positive.min()))
            axis.loglog([low, high], [start, start * high / low], ":", color="grey", label="proportional to rows")
        axis.set_xlabel("rows")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.savefig(path, dpi=80)


def _fit(formula: str, path: str) -> dict[str, float]:
    """Fit once, after a fit of a few rows that loads compiled code."""
    from benchmarks.once import memory_mb, reset_peak
    from pyimpl import lmer

    data = pd.read_pickle(path)  # written by ourselves a moment ago
    lmer(formula, simulated(300, 30, "random" if "h)" in formula else ""))
    reset_peak("self")
    before = memory_mb("self", "VmRSS")
    cpu, start = time.process_time(), time.perf_counter()
    lmer(formula, data)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {"seconds": seconds, "cpu": cpu, "peak_mb": memory_mb("self", "VmHWM") - before}


def _sample(formula: str, path: str) -> dict[str, float]:
    """Sample once, after a posterior of a few rows that loads compiled code."""
    from pyimpl import stan_lmer

    data = pd.read_pickle(path)  # written by ourselves a moment ago
    stan_lmer(formula, simulated(300, 30), seed=1)
    start = time.perf_counter()
    fit = stan_lmer(formula, data, seed=1)
    seconds = time.perf_counter() - start
    found = fit.diagnostics
    return {
        "seconds": seconds,
        "sampling": found["seconds"],
        "evaluations": found["evaluations"],
        "ess": found["min_ess_bulk"],
    }


if __name__ == "__main__":
    formula, path, *what = sys.argv[1:]
    print(json.dumps(_sample(formula, path) if what == ["posterior"] else _fit(formula, path)))
