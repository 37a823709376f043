"""One program, one model, one fresh process: ``python -m benchmarks.once PROGRAM FORMULA DATA SECONDS`` prints JSON.

Seconds are those of whole calls, from data frame to fit; lme4's are taken inside R. Memory is by how much the process
(for lme4, R's) grew at its peak over what it held before the first call, with the data loaded.
"""

import json
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.programs import Program, installed

#: Calls after the first: at most, and at least where a call takes less than so many seconds.
MOST_CALLS, LEAST_CALLS, SHORT = 30, 2, 5.0


def memory_mb(pid: int | str, field: str) -> float:
    """Megabytes of a process by a field of Linux's /proc (``VmRSS``, ``VmHWM``); missing elsewhere."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return float("nan")
    for line in text.splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return float("nan")


def reset_peak(pid: int | str) -> None:
    """Start ``VmHWM``, the peak of a process's memory, anew."""
    try:
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def measure(program: Program, formula: str, data: pd.DataFrame, seconds: float) -> dict[str, Any]:
    """Fit again and again for at most so many seconds (once at least; three times where a call is short).

    Returns
    -------
    dict
        ``first``, ``warm`` (median; missing where there was time for one call only), ``calls``, ``deviance``,
        ``peak_mb``.
    """
    pid: int | str = "self"
    if program.name == "lme4":
        from bridge import session

        program.load()("y ~ 1 + (1 | g)", pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0], "g": list("aabb")}))
        pid = session.default().pid or "self"
    fit = program.load()
    reset_peak(pid)
    before = memory_mb(pid, "VmRSS")
    times: list[float] = []
    began = time.perf_counter()
    result: Any = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while (
            not times
            or (len(times) <= LEAST_CALLS and times[-1] < SHORT)
            or (time.perf_counter() - began + times[-1] < seconds and len(times) <= MOST_CALLS)
        ):
            start = time.perf_counter()
            result = fit(formula, data)
            elapsed = time.perf_counter() - start
            times.append(result.seconds["elapsed"] if program.name == "lme4" else elapsed)
            if len(times) == 1:
                peak = memory_mb(pid, "VmHWM") - before
        deviance = program.deviance(result)
    return {
        "first": times[0],
        "warm": statistics.median(times[1:]) if len(times) > 1 else None,
        "calls": len(times),
        "deviance": deviance,
        "peak_mb": peak,
    }


def main(arguments: list[str]) -> None:
    """Measure what the arguments say, and print it as JSON."""
    name, formula, path, seconds = arguments
    (program,) = installed([name])
    data = pd.read_pickle(path)  # written by ourselves a moment ago
    print(json.dumps(measure(program, formula, data, float(seconds))))


if __name__ == "__main__":
    main(sys.argv[1:])
