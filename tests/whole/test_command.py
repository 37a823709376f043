"""The command as a user runs it: in a process of its own, on real data, with live R and with R hidden."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples.tutorial.sections_1_2 import load_gcsemv
from r_scripts.dialect import changes_between
from validation.comparison import Side
from validation.references.provenance import dialect_of
from validation.verdict import Verdict

ROOT = Path(__file__).parents[2]


def mlmparity(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "examples.tutorial" if "tutorial" in arguments else "mlmparity", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.r
def test_validate_with_live_r(tmp_path):
    done = mlmparity("validate", "M2-ml", "tutorial", "--against", "live", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "R and Python agree" in done.stdout.splitlines()[-1]
    assert "[2/2]" in done.stderr
    report = json.loads((tmp_path / "mlmparity-report" / "report.json").read_text(encoding="utf-8"))
    assert report["source"].startswith("Compared against live R: lme4 ")
    assert [case["verdict"] for case in report["comparisons"]] == ["agrees", "agrees"]
    model, sections = report["comparisons"]
    rows = [dict(zip(model["table"]["columns"], row, strict=True)) for row in model["table"]["rows"]]
    female = next(row for row in rows if row["quantity"] == "fixef" and row["term"] == "femaleF")
    assert round(female["reference"], 3) == round(female["candidate"], 3) == 6.739
    assert len(sections["table"]["rows"]) > 2000
    page = (tmp_path / "mlmparity-report" / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 6
    assert page.count('<table class="digits">') >= 1  # a table since it says more than a picture of it
    assert "Character for character the same." in page


OWN = ("compare", "--data", "sleep.csv", "--factor", "Subject", "--formula")


@pytest.fixture
def sleep_csv(tmp_path):
    from bridge import datasets

    datasets.load("sleepstudy", package="lme4").to_csv(tmp_path / "sleep.csv", index=False)
    return tmp_path


@pytest.mark.r
def test_own_data(sleep_csv):
    done = mlmparity(*OWN, "Reaction ~ Days + (Days | Subject)", "--ml", "--quiet", cwd=sleep_csv)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.r
@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ('Reaction ~ Days + system("touch hacked") + (1 | Subject)', "'system' is not allowed"),
        # each takes the seconds of a start; test_owndata and test_formula ask the same inside the process
        pytest.param("Reaction ~ Dayz + (Days | Subject)", "did you mean 'Days'", marks=pytest.mark.slow),
        pytest.param("Reaction ~ Days + (1 | Subject", "Reaction ~ Days + (1 | Subject", marks=pytest.mark.slow),
        pytest.param("Reaction ~ Days", "random effects", marks=pytest.mark.slow),
    ],
)
def test_a_formula_that_is_refused_ends_in_exit_code_2(sleep_csv, formula, words):
    done = mlmparity(*OWN, formula, cwd=sleep_csv)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (sleep_csv / "hacked").exists()


def test_live_r_asked_for_and_hidden(tmp_path):
    done = mlmparity("validate", "--against", "live", cwd=tmp_path, R_HOME=str(tmp_path / "none"))
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert mlmparity("doctor", cwd=tmp_path, R_HOME=str(tmp_path / "none")).returncode == 4


def test_recorded_references_serve_where_r_is_hidden(tmp_path):
    done = mlmparity("validate", "M2-ml", "tutorial", cwd=tmp_path, R_HOME=str(tmp_path / "none"))
    assert done.returncode == 0, done.stdout + done.stderr
    first = done.stderr.splitlines()[0]
    assert first.startswith("Comparing against recorded references, because live R cannot be used here (R: ")
    report = json.loads((tmp_path / "mlmparity-report" / "report.json").read_text(encoding="utf-8"))
    assert report["source"].startswith("Compared against recorded references, not live R, because live R cannot be")
    assert report["comparisons"][0]["reference"]["kind"] == "recorded-r"


@pytest.mark.r
def test_recorded_tutorial_is_what_live_r_gives():
    from examples.tutorial import sections_1_2 as tutorial

    recorded, side = tutorial.recorded_reference()
    live, live_side = tutorial.live_reference()
    comparison = tutorial.judge(live, recorded, live_side, side)
    verdicts = {check.id: check.verdict for check in comparison.checks}
    assert verdicts["numbers"] is verdicts["page"] is Verdict.AGREES, str(comparison)
    then, now = dialect_of(side.provenance), dialect_of(live_side.provenance)
    if not changes_between(then, now):
        assert comparison.agrees, str(comparison)
        return
    # R's words have changed since: each text is to the letter what Python writes in that R's dialect
    for reference, of, spoken in ((recorded, side, then), (live, live_side, now)):
        mine = tutorial.sections_1_2(load_gcsemv("live"), spoken)
        in_words = tutorial.judge(reference, mine, of, Side("mlmparity", "python", {}))
        assert in_words.agrees, str(in_words)
