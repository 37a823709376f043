"""`lmer`: whole calls from data frame to fit, live lme4, pyimpl and other libraries taking turns in fresh processes."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.models import Model
from benchmarks.programs import Program

__all__ = ["measure", "run_once"]


def run_once(program: Program, formula: str, path: Path, seconds: float, time_limit: float) -> dict[str, Any]:
    """Run :mod:`benchmarks.once` in a fresh process; ``{"error": ...}`` where it failed or took too long."""
    command = [sys.executable, "-m", "benchmarks.once", program.name, formula, str(path), str(seconds)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=time_limit)
    except subprocess.TimeoutExpired:
        return {"error": f"> {time_limit:g} s"}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["failed"])[-1]
        return {"error": last[:200]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def measure(
    models: list[Model],
    programs: list[Program],
    rounds: int = 3,
    seconds: float = 2.0,
    time_limit: float = 120.0,
    say: Callable[[str], None] = lambda text: None,
) -> pd.DataFrame:
    """Measure maximum likelihood fits of every model by every program.

    Programs take turns within a round, so that whatever else the machine does hits all alike.

    Parameters
    ----------
    models, programs : list
    rounds : int
    seconds : float
        For the repeated calls of one program in one round.
    time_limit : float
        For one program in one round, start included; one that misses it is not run again.

    Returns
    -------
    DataFrame
        Index (model, program); columns ``first`` and ``warm`` (seconds, medians over rounds), ``lme4/it`` (how many
        times faster than lme4, warm), ``peak_mb``, ``excess`` (deviance above the lowest found), ``note``.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for model in models:
        found: dict[str, list[dict[str, Any]]] = {program.name: [] for program in programs}
        failed: dict[str, str] = {}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data.pickle"
            model.load().to_pickle(path)
            for turn in range(rounds):
                for program in programs:
                    if program.name in failed:
                        continue
                    say(f"{model.name}: {program.name} ({turn + 1} of {rounds})")
                    result = run_once(program, model.formula, path, seconds, time_limit)
                    if "error" in result:
                        failed[program.name] = result["error"]
                    else:
                        found[program.name].append(result)
        done = {name: results for name, results in found.items() if results}
        lowest = min((results[0]["deviance"] for results in done.values()), default=float("nan"))
        summary = {name: _summary(results) for name, results in done.items()}
        for program in programs:
            if program.name not in summary:
                rows[model.name, program.name] = {"note": failed.get(program.name, "")}
                continue
            row = summary[program.name]
            reference = summary.get("lme4", {}).get("warm", float("nan"))
            rows[model.name, program.name] = {
                "first": row["first"],
                "warm": row["warm"],
                "lme4/it": reference / row["warm"],
                "peak_mb": row["peak_mb"],
                "excess": row["deviance"] - lowest,
                "note": failed.get(program.name, ""),
            }
    columns = ["first", "warm", "lme4/it", "peak_mb", "excess", "note"]
    frame = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns)
    frame.index = pd.MultiIndex.from_tuples(frame.index, names=["model", "program"])
    return frame


def _summary(results: list[dict[str, Any]]) -> dict[str, float]:
    def middle(key: str) -> float:
        values = [result[key] if result[key] is not None else result["first"] for result in results]
        return float(statistics.median(values))

    return {key: middle(key) for key in ("first", "warm", "deviance", "peak_mb")}
