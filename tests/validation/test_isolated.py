"""A candidate in a process of its own: whatever it does there, the judge says so and goes on."""

import gc
import json
import os
import textwrap
import time

import numpy as np
import pandas as pd
import psutil
import pytest
import scipy.sparse as sp

from validation.conformance.candidate import CandidateError
from validation.conformance.isolated import isolated_candidate
from validation.conformance.run import Status, judge_case, overall_status, run
from validation.conformance.wire import Unreadable, decode, encode
from validation.suite import all_cases
from validation.verdict import Verdict

CASES = {case.name: case for case in all_cases()}

SOURCE = """
import os, sys, time
MISSING = "design objective condsd"

def right(formula, data, REML=True, **options):
    from pyimpl import lmer
    return lmer(formula, data, REML=REML, **options)

def leaves(*args, **more): sys.exit(0)
def vanishes(*args, **more): os._exit(0)
def dies(*args, **more): os.kill(os.getpid(), 9)
def hangs(*args, **more):
    while True: time.sleep(0.01)
def interrupts(*args, **more): raise KeyboardInterrupt
def recurses(*args, **more): return recurses()
def recurses_in_a_thread(*args, **more):
    import threading
    thread = threading.Thread(target=recurses); thread.start(); thread.join()
class Mute(Exception):
    def __str__(self): raise RuntimeError("no text")
def mute(*args, **more): raise Mute
def leaves_mute(*args, **more): sys.exit(Mute())
def endless_text(*args, **more): raise ValueError("x" * 10**8)
def closes(*args, **more): os.closerange(0, 64); time.sleep(60)
def talks(*args, **more):
    for fd in range(1, 64):
        try: os.write(fd, b"\\0" * 7 + b"\\5hello")
        except OSError: pass
    return {}
def floods(junk):
    def candidate(*args, **more):
        while True:
            for fd in range(1, 64):
                try: os.write(fd, junk)
                except OSError: pass
    return candidate
def frame(text):
    from validation.conformance.wire import HEADER, MARK
    return HEADER.pack(MARK, len(text)) + text
def blocks(*args, **more):
    return floods(b"\\0\\0\\0\\0\\x20\\0\\0\\0")(*args)
def whispers(*args, **more):
    for fd in range(1, 64):
        try: os.write(fd, b"\\0\\0\\0\\0\\x20\\0\\0\\0")
        except OSError: pass
    return right(*args, **more)
def forges(*args, **more):
    return floods(frame(b'{"id": 0}'))(*args)
def misreports(*args, **more):
    for fd in range(3, 64):
        try: os.write(fd, frame(b'{"id": 2, "value": null, "warnings": 3}'))
        except OSError: pass
    time.sleep(30)
def shouts(*args, **more):
    return floods(b"\\xff" * 65536)(*args)
def leaves_a_child(*args, **more):
    if os.fork() == 0:
        os.setsid(); time.sleep(30)
    os._exit(0)
def patches(*args, **more):
    import numpy, validation.wellformed, validation.judge.rows
    numpy.allclose = lambda *a, **k: True
    validation.judge.rows.judge_number = validation.wellformed.number = lambda *a, **k: 1.0
    os.chdir("/"); os.umask(0o777); print("x" * 5_000_000)
    return {"nobs": 30}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("candidates")
    (made / "strange.py").write_text(textwrap.dedent(SOURCE))
    return made


def judged(folder, name, limit=120.0):
    candidate = isolated_candidate(f"strange:{name}", folders=[folder], limit=limit)
    return judge_case(candidate, CASES["Dyestuff-reml"], "recorded")


def test_a_fit_and_its_objective_stay_in_the_other_process(folder):
    result = judged(folder, "right")
    assert result.status is Status.AGREES, result.error or result.reason
    assert (result.comparison.table["quantity"] == "objective").sum() > 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("leaves", "SystemExit: it called sys.exit(0)"),
        ("vanishes", "ended by itself with exit code 0"),
        ("dies", "ended by signal SIGKILL"),
        ("interrupts", "KeyboardInterrupt"),
        ("recurses", "RecursionError"),
        ("recurses_in_a_thread", ""),
        ("mute", "Mute: (its text cannot be had: RuntimeError)"),
        ("leaves_mute", "sys.exit((its text cannot be had: RuntimeError))"),
        ("endless_text", "ValueError: xxx"),
    ],
)
def test_an_end_is_a_failure_that_is_named(folder, name, said):
    result = judged(folder, name)
    assert result.status is Status.RAISED
    assert said in result.error
    assert len(result.error) < 3000
    assert overall_status([result]) is Verdict.DISAGREES


def test_a_candidate_that_hangs_is_ended(folder):
    candidate = isolated_candidate("strange:hangs", folders=[folder], limit=60.0)
    process = next(cell.cell_contents for cell in candidate.fit.__closure__ if hasattr(cell.cell_contents, "limit"))
    process.limit = 1.0
    result = judge_case(candidate, CASES["Dyestuff-reml"], "recorded")
    assert result.status is Status.RAISED
    assert "gave no answer within 1 s" in result.error


def test_our_own_modules_come_from_no_unnamed_folder(folder, tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", ".", os.environ.get("PYTHONPATH", "")]))
    assert isolated_candidate("strange:right", folders=[folder]).fit is not None


def test_what_it_does_to_its_process_stays_there(folder):
    before = os.getcwd()
    result = judged(folder, "patches")
    assert result.status.failed
    assert os.getcwd() == before
    assert not np.allclose(1.0, 2.0)


def test_junk_among_its_answers_is_noticed(folder):
    assert judged(folder, "talks", limit=30.0).status.failed


@pytest.mark.parametrize("name", ["blocks", "whispers", "forges", "misreports", "shouts"])
def test_a_flood_on_every_descriptor_neither_stops_the_judge_nor_fills_its_memory(folder, name):
    began = time.monotonic()
    result = judged(folder, name, limit=600.0)
    assert result.status is Status.RAISED
    assert "wrote among its answers" in result.error
    assert time.monotonic() - began < 30.0


def test_a_process_that_leaves_another_holding_its_line_has_ended(folder):
    began = time.monotonic()
    result = judged(folder, "leaves_a_child", limit=600.0)
    assert "ended by itself with exit code 0" in result.error
    assert time.monotonic() - began < 25.0


def test_one_that_fails_alike_is_not_asked_again(folder):
    candidate = isolated_candidate("strange:leaves", folders=[folder])
    names = ["Dyestuff-ml", "Dyestuff-reml", "Pastes-ml", "Pastes-reml", "sleepstudy-ml"]
    results = run(candidate, [CASES[name] for name in names], "recorded")
    assert [result.status for result in results] == [Status.RAISED] * 3 + [Status.NOT_RUN] * 2
    assert overall_status(results) is Verdict.INCONCLUSIVE


def test_an_import_that_leaves_is_an_error_of_ours(folder):
    (folder / "gone.py").write_text("import sys; sys.exit(0)")
    with pytest.raises(CandidateError, match=r"sys\.exit\(0\)"):
        isolated_candidate("gone:fit", folders=[folder])
    with pytest.raises(CandidateError, match="did you mean leaves"):
        isolated_candidate("strange:leavs", folders=[folder])


class Endless(dict):
    def items(self):
        while True:
            yield "x", 1.0


def there_and_back(value):
    return decode(json.loads(json.dumps(encode(value, lambda item: {"$": "kept"}))))


def test_values_arrive_as_they_are():
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": [1 + 2j, 0], "c": ["x", None]}, index=["r", "s"])
    back = there_and_back(frame)
    assert back.dtypes.tolist()[:2] == [np.dtype(float), np.dtype(complex)]
    assert back["c"].tolist()[0] == "x"
    assert back.index.tolist() == ["r", "s"]
    factor = pd.Series(pd.Categorical(["u", "v", "u"], categories=["v", "u"]))
    assert there_and_back(factor).cat.categories.tolist() == ["v", "u"]
    matrix = sp.csc_array(np.eye(3) * 2)
    assert abs(there_and_back(matrix) - matrix).max() == 0.0
    assert there_and_back({"g": {"x": 1}, "n": [True, None, 2.5]}) == {"g": {"x": 1}, "n": [True, None, 2.5]}
    assert there_and_back(1j).dtype == complex
    np.testing.assert_array_equal(there_and_back(np.ma.array([1, 2], mask=[False, True])), [1.0, np.nan])
    assert np.isnan(there_and_back(pd.NA))  # not None, which is "not offered": it would be worked out from others
    assert isinstance(there_and_back(object()), Unreadable)
    assert isinstance(there_and_back(10**30), Unreadable)
    assert isinstance(there_and_back(Endless()), Unreadable)


@pytest.mark.parametrize(
    "message",
    [
        {"$": "array", "dtype": "|O", "shape": [1], "data": "AAAAAAAAAAA="},
        {"$": "array", "dtype": "<f8", "shape": [9], "data": ""},
        {"$": "sparse", "shape": [2, 2], "data": 1, "indices": 2, "indptr": 3},
        {"$": "frame", "index": [1], "columns": [], "values": 3},
        {"$": "nothing"},
        {"$": ["a"]},
        {"$": "map", "items": [["a", 1], ["a", 2]]},
        {"$": "series", "index": [[1]], "values": {"$": "unreadable", "kind": "x"}},
        [1],
    ],
)
def test_messages_that_contradict_themselves_are_unreadable(message):
    assert isinstance(decode(message), Unreadable)


def test_a_process_ends_with_the_last_that_knows_of_it(folder):
    def children() -> set[int]:
        return {child.pid for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE}

    before = children()
    candidate = isolated_candidate("strange:right", folders=[folder])
    assert len(children() - before) == 1
    del candidate
    gc.collect()
    assert children() <= before
