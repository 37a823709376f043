"""Ask live R (one process for a whole batch of cases) what it makes of formulas and data."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SCRIPT = Path(__file__).with_name("model_oracle.R")


def column_spec(series: pd.Series) -> dict[str, Any]:
    """Describe a pandas column to R, type by type."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        values = [None if code < 0 else str(dtype.categories[code]) for code in series.cat.codes]
        kind = "ordered" if dtype.ordered else "factor"
        return {"type": kind, "values": values, "levels": [str(level) for level in dtype.categories]}
    missing = series.isna().tolist()
    values = series.tolist()
    if pd.api.types.is_bool_dtype(dtype):
        kind, convert = "logical", bool
    elif pd.api.types.is_integer_dtype(dtype):
        kind, convert = "integer", int
    elif pd.api.types.is_float_dtype(dtype):
        kind, convert = "double", lambda value: float(value) if np.isfinite(value) else str(float(value)).capitalize()
    elif all(gap or hasattr(value, "isoformat") for gap, value in zip(missing, values, strict=True)):
        kind, convert = "date", lambda value: value.isoformat()[:10]
    else:
        kind, convert = "string", str
    return {"type": kind, "values": [None if gap else convert(v) for gap, v in zip(missing, values, strict=True)]}


class Numbers:
    """The matrices R wrote."""

    def __init__(self, path: Path):
        self.values = np.fromfile(path, dtype=np.float64)

    def __call__(self, place: dict[str, int]) -> np.ndarray:
        count = place["nrow"] * place["ncol"]
        flat = self.values[place["at"] : place["at"] + count]
        return flat.reshape(place["nrow"], place["ncol"], order="F")


class RCrashError(RuntimeError):
    """R itself crashed; ``case`` is the position of the case that did it."""

    def __init__(self, case: int):
        super().__init__(f"R crashed in case {case}")
        self.case = case


def ask_r(frames: list[pd.DataFrame], cases: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], Numbers]:
    """R's answers to a batch of cases; ``case["frame"]`` is a position in ``frames``."""
    described = [
        {
            "names": [str(name) for name in frame.columns],
            "columns": [column_spec(frame[name]) for name in frame.columns],
        }
        for frame in frames
    ]
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder)
        (inside / "cases.json").write_text(json.dumps({"frames": described, "cases": cases}, default=_plain))
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            ["Rscript", "--vanilla", str(SCRIPT), "cases.json", "answers.json", "numbers.bin"],
            cwd=inside,
            env=environment,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        if done.returncode != 0:
            begun = [line for line in done.stderr.splitlines() if line.startswith("@case")]
            if begun and "irrecoverable" in done.stderr:
                raise RCrashError(int(begun[-1].split()[1]) - 1)
            raise RuntimeError(f"R failed:\n{done.stderr[-3000:]}")
        answers = json.loads((inside / "answers.json").read_text())["answers"]
        return answers, Numbers(inside / "numbers.bin")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(type(value).__name__)


def same(ours: np.ndarray, theirs: np.ndarray, rtol: float = 0.0) -> bool:
    """Equal shapes and values (missing equals missing); ``rtol`` is relative to the column's largest value, or 0.1."""
    if ours.shape != theirs.shape:
        return False
    if rtol == 0.0:
        return bool(np.array_equal(ours, theirs, equal_nan=True))
    if not np.array_equal(np.isnan(ours), np.isnan(theirs)):
        return False
    size = np.nanmax(np.abs(theirs), axis=0, initial=0.0)
    return bool(np.all(np.nan_to_num(np.abs(ours - theirs)) <= rtol * np.maximum(size, 0.1)))
