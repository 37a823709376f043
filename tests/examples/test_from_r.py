"""The six R scripts of ``examples/from_r`` and their Python counterparts say the same: numbers, and texts exactly.

``from_r/pairs.json`` has what is asked of each, in both languages; what R answered is in ``from_r/recorded.json``,
which ``from_r/record.R`` makes. Posteriors are compared in units of their Monte Carlo errors.
"""

import contextlib
import io
import json
import runpy
import subprocess
import warnings
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from scipy import stats

HERE = Path(__file__).parent / "from_r"
SCRIPTS = Path(__file__).resolve().parents[2] / "examples" / "from_r"
PAIRS = json.loads((HERE / "pairs.json").read_text())
RECORDED = json.loads((HERE / "recorded.json").read_text())
TOLERANCE = 2e-5  # R's θ comes of a search that ends about 1e-7 from the minimum
ERRORS = 5.0  # joint Monte Carlo errors: some 250 numbers, of which none is then beyond by chance


@cache
def _run(name: str) -> MappingProxyType[str, Any]:
    """What the Python script leaves, and what it printed (``printed``)."""
    mpl.use("Agg")
    printed = io.StringIO()
    with contextlib.chdir(SCRIPTS), contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = runpy.run_path(f"{name}.py")
    return MappingProxyType({**names, "printed": printed.getvalue(), "np": np, "stats": stats, "print_of": str})


def _plain(value: Any) -> np.ndarray:
    """The numbers of an answer, column by column as R keeps them."""
    if isinstance(value, pd.DataFrame):
        value = value.select_dtypes("number").to_numpy(float)
    numbers = np.asarray(value, dtype=float)
    return numbers.ravel(order="F")


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def differences(name: str, values: list[dict[str, Any]], told: MappingProxyType[str, Any]) -> list[str]:
    """Every pair of answers that differ, as text."""
    out = []
    for pair, theirs in zip(PAIRS[name], values, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours = eval(pair["py"], dict(told))
        if pair.get("text"):
            if _lines(ours) != _lines(theirs["text"]):
                out.append(f"{pair['py']}:\n{ours}\nR:\n{theirs['text']}")
            continue
        expected = np.array([np.nan if v in (None, "NA") else v for v in np.atleast_1d(theirs["numbers"])], dtype=float)
        found = _plain(ours)
        if "error" in pair:
            allowed = ERRORS * np.sqrt(2) * np.asarray(theirs["error"], dtype=float)
        else:
            limit = pair.get("tolerance", TOLERANCE)
            allowed = limit * np.maximum(np.abs(expected), 1.0)
        same = found.shape == expected.shape
        with np.errstate(invalid="ignore"):
            close = same and ((np.abs(found - expected) <= allowed) | (found == expected) | np.isnan(expected)).all()
        if not close:
            out.append(f"{pair['py']}: {found[:8]}, R {expected[:8]}")
    return out


QUICK = "repeated_measures"


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n == QUICK else pytest.mark.slow) for n in sorted(PAIRS)])
def test_a_script_and_its_counterpart_say_the_same(name: str) -> None:
    told = _run(name)
    assert differences(name, RECORDED[name]["values"], told) == []
    assert len(told["printed"]) > 500


def test_a_difference_would_be_seen() -> None:
    name = QUICK
    values = json.loads(json.dumps(RECORDED[name]["values"]))
    values[0]["numbers"][1] *= 1.001
    text = next(i for i, pair in enumerate(PAIRS[name]) if pair.get("text"))
    values[text]["text"] = values[text]["text"].replace("3.9566", "3.9567")
    assert len(differences(name, values, _run(name))) == 2


def test_the_data_are_what_make_data_makes(tmp_path: Path) -> None:
    made = runpy.run_path(str(SCRIPTS / "make_data.py"))
    for name in ("pupils", "reading", "recall", "tasting"):
        made[name]().to_csv(tmp_path / f"{name}.csv", index=False)
        assert (tmp_path / f"{name}.csv").read_text() == (SCRIPTS / f"{name}.csv").read_text()


@pytest.mark.slow
@pytest.mark.r
@pytest.mark.r_packages("lmerTest", "emmeans", "performance", "broom.mixed", "merTools", "ggeffects")
@pytest.mark.parametrize("name", [name for name in sorted(PAIRS) if name != "rstanarm_questions"])
def test_r_still_says_what_is_recorded(name: str, r_versions: dict[str, str]) -> None:
    recorded = RECORDED[name]["versions"]
    if any(r_versions.get(package) != version for package, version in recorded.items()):
        pytest.skip("other releases of R's packages than those of the record")
    made = subprocess.run(
        ["Rscript", HERE / "record.R", SCRIPTS, HERE / "pairs.json", name], capture_output=True, text=True, check=True
    )
    assert json.loads(made.stdout)["values"] == RECORDED[name]["values"]
