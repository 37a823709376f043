"""Ctrl-C is heard during long calls of linear algebra, and what takes minutes or too much memory says so before."""

import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer, stan_lmer
from pyimpl.errors import ModelError, PyimplWarning
from pyimpl.linalg import forecast, heard, memory, quadratic_forms
from pyimpl.linalg.forecast import Forecast, foretold, in_time, refuse_too_large


class _Stop(BaseException):
    pass


def _raise(*_):
    raise _Stop


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
def test_a_signal_is_heard_and_what_runs_on_changes_nothing(monkeypatch):
    kept = []

    def long(values):
        time.sleep(1.5)
        kept.append(values)

    before = signal.signal(signal.SIGALRM, _raise)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    begun = time.monotonic()
    try:
        with pytest.raises(_Stop):
            heard.heard(long, 1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begun < 1.2
    assert not kept


def test_what_a_long_call_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        heard.heard(lambda: 1 // 0)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(heard.heard(lambda: threading.current_thread())))
    thread.start()
    thread.join()
    assert answers == [thread]  # another thread hears no signals: no thread is made for it


def test_long_calls_listen_and_give_the_same_numbers(monkeypatch):
    d = data()
    posterior = stan_lmer("y ~ x + (1 | g)", d, seed=1, chains=2, iter=200)

    def numbers():
        fit = lmer("y ~ x + (1 | g)", d)
        yield fit.kenward_roger().to_numpy(float)
        yield fit.hatvalues().to_numpy()
        yield posterior.posterior_linpred().to_numpy()
        yield posterior.posterior_predict(seed=3).to_numpy()
        yield posterior.log_lik().to_numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PyimplWarning)
            yield posterior.loo(r_eff=True).pointwise.to_numpy()
            yield posterior.waic().pointwise.to_numpy()

    plain, listening = list(numbers()), heard.heard
    calls = []

    def counted(function, *args, **kwargs):
        calls.append(function)
        return listening(function, *args, **kwargs)

    monkeypatch.setattr(heard, "heard", counted)
    monkeypatch.setattr(heard, "LONG", 0.0)
    for expected, found in zip(plain, numbers(), strict=True):
        assert calls  # this one would listen, if it were long
        calls.clear()
        np.testing.assert_array_equal(found, expected)


# -- what takes long -----------------------------------------------------------------------------------------------


def data(rows=60):
    rng = np.random.default_rng(2)
    g = np.arange(rows) % 10
    return pd.DataFrame(
        {"y": rng.normal(size=rows) + rng.normal(size=10)[g], "x": rng.normal(size=rows), "g": pd.Categorical(g)}
    )


def test_a_forecast_is_said_once_and_only_if_it_is_long(monkeypatch):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        monkeypatch.setattr(forecast, "KNOWN", 0.0)
        quick = Forecast("quick", 10, "pieces")
        assert list(foretold(range(10), [1] * 10, quick)) == list(range(10))
        assert not told
        slow = Forecast("slow", 10**9, "pieces", "Take fewer")
        for _ in range(5):
            time.sleep(0.001)
            slow.done()
        Forecast("known", 100, "fits", each=7.0)
    texts = [str(one.message) for one in told]
    assert len(texts) == 2
    assert texts[0].startswith("slow may take about")
    assert texts[0].endswith("Take fewer")
    assert texts[1] == "known may take about 12 minutes: 100 fits of 7 s"


@pytest.mark.parametrize(
    ("seconds", "words"), [(61, "1 minutes"), (600, "10 minutes"), (7200, "2 hours"), (10**6, "12 days")]
)
def test_a_time_in_words(seconds, words):
    assert in_time(seconds) == words


@pytest.mark.parametrize("verb", ["profile", "bootMer", "influence", "confint", "allFit"])
def test_repeated_work_says_how_long_it_will_take(verb, monkeypatch):
    monkeypatch.setattr(forecast, "KNOWN", 0.0)
    monkeypatch.setattr(forecast, "LONG", 1e-4)
    fit = lmer("y ~ x + (1 | g)", data(), REML=False)
    call = {
        "profile": fit.profile,
        "confint": fit.confint,
        "allFit": fit.allFit,
        "bootMer": lambda: fit.bootMer(nsim=5, seed=1),
        "influence": lambda: fit.influence("g"),
    }[verb]
    with pytest.warns(PyimplWarning, match=rf"{verb} may take about .* more: \d+ (fits|refits|steps|optimizers) of"):
        call()


def test_a_posterior_says_how_long_it_will_take(monkeypatch):
    frame = data()
    fit = stan_lmer("y ~ x + (1 | g)", frame, iter=100, chains=2, seed=1)
    monkeypatch.setattr(forecast, "LONG", 1e-6)
    with pytest.warns(PyimplWarning, match="sampling may take about .* evaluations of the log density"):
        stan_lmer("y ~ x + (1 | g)", frame, iter=100, chains=2, seed=1)
    with pytest.warns(PyimplWarning, match="kfold may take about .*: 2 fits of"):
        fit.kfold(K=2, seed=1)


def test_combinations_that_memory_cannot_hold_are_refused():
    codes = np.arange(30_000) % 10_000
    frame = pd.DataFrame({"y": np.sin(codes), "a": codes, "b": codes, "c": codes, "g": codes % 7})
    with pytest.raises(ModelError, match=r"the 1000000000000 levels of interaction\(a, b, c\) need .*write a:b"):
        lmer("y ~ 1 + (1 | interaction(a, b, c))", frame)


TAKEN = """
import os
from pathlib import Path
from pyimpl.linalg import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

before = resident()
made = memory.zeros(10_000_001)  # NumPy's own would take nothing yet
print((resident() - before) / made.nbytes, made.shape, made.any())
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_is_taken_piece_by_piece_before_it_is_used():
    # in a process of its own: one that has freed as much gives that, and takes nothing
    done = subprocess.run([sys.executable, "-c", TAKEN], capture_output=True, text=True, timeout=60, check=True)
    share, rest = done.stdout.split(maxsplit=1)
    assert 0.9 < float(share) < 1.2
    assert rest == "(10000001,) False\n"


def test_the_limits_of_a_container_and_of_a_process_are_the_memory_that_there_is(tmp_path, monkeypatch):
    (tmp_path / "own").write_text("12:memory:/job/part\n4:cpu:/job\n0::/box\n")
    for name, text in {
        "memory/job/memory.limit_in_bytes": "5000000000",
        "memory/job/part/memory.limit_in_bytes": "9223372036854771712",
        "box/memory.max": "max",
        "memory.max": "4000000000",
        "../memory.max": "1",
    }.items():
        file = tmp_path / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "_MOUNTED", tmp_path / "groups")
    memory.memory.cache_clear()
    try:
        assert memory.memory() == int(0.8 * 4e9)
        with pytest.raises(ModelError, match=r"need 8 GB of memory, and the machine has 2.98 GB for it"):
            refuse_too_large(2**30, "some numbers", "")
    finally:
        memory.memory.cache_clear()


def test_what_memory_cannot_hold_is_refused_before_it_is_made(monkeypatch):
    refuse_too_large(1e3, "some numbers", "")
    with pytest.raises(ModelError, match=r"draws of 11 random effects need .* GB of memory"):
        stan_lmer("y ~ x + (1 | g)", data(), iter=2 * 10**9, warmup=1, seed=1)
    rng = np.random.default_rng(3)
    labels = pd.DataFrame({name: rng.integers(0, 60000, 200_000).astype(str) for name in "ab"})
    labels["y"], labels["g"] = rng.normal(size=len(labels)), rng.integers(0, 9, len(labels)).astype(str)
    with pytest.raises(ModelError, match=r"contrasts of a, which has 5\d+ levels, need .*\(1 \| a\)"):
        lmer("y ~ a + (1 | g)", labels)
    some = labels[labels["a"].str.len() < 4].assign(b=lambda d: d["b"].str[:4])
    monkeypatch.setattr(forecast, "memory", lambda: 2e8)
    with pytest.raises(ModelError, match=r"the names of \d+ columns need|columns of the model matrix need"):
        lmer("y ~ a:b + (1 | g)", some)


def test_marginal_means_say_how_long_their_tests_take_and_refuse_what_memory_cannot_hold(monkeypatch):
    fit = lmer("y ~ x + (1 | g)", data())
    few = fit.emmeans("x", at={"x": [0, 1, 2, 3]}, ddf=12.0)
    kept = {adjust: few.pairs(adjust=adjust).frame["p.value"] for adjust in ("tukey", "mvt")}
    monkeypatch.setattr(forecast, "KNOWN", 0.0)
    monkeypatch.setattr(forecast, "LONG", 1e-9)
    for adjust, words in (("tukey", "Tukey's adjustment may take about .* P values of"), ("mvt", 'adjust="mvt" may')):
        with pytest.warns(PyimplWarning, match=words):
            told = few.pairs(adjust=adjust).frame["p.value"]
        pd.testing.assert_series_equal(told, kept[adjust])
    monkeypatch.setattr(forecast, "memory", lambda: 100)
    with pytest.raises(ModelError, match=r"6 pairwise differences of 4 estimates need .* GB of memory"):
        few.pairs()
    with pytest.raises(ModelError, match=r'4 tests with adjust="mvt" need'):
        few.summary(infer=True, adjust="mvt")


@pytest.mark.parametrize(
    ("term", "words"),
    [
        ("I(x + 1:1e12)", r"the numbers of 1:1e\+12 need"),
        ("cut(x, 1e11)", r"the intervals of cut\(x, 1e\+11\) need"),
        ("cut(x, 1:1e12)", r"the numbers of 1:1e\+12 need"),
        ("bs(x, df = 1e7)", r"bases of 9999997 splines need"),
        ("ns(x, 1e7)", r"bases of 9999999 splines need"),
        ("bs(x, degree = 1e7)", r"bases of \d+ splines need"),
    ],
)
def test_what_a_formula_counts_is_refused_where_memory_cannot_hold_it(term, words):
    with pytest.raises(ModelError, match=words):
        lmer(f"y ~ {term} + (1 | g)", data())
    with pytest.raises(ModelError, match=r"the numbers of 1:1e\+12 need"):
        lmer("y ~ x + (1 | g)", data(), subset="x < 1:1e12")


def test_quadratic_forms_are_those_of_each_row_however_many_at_a_time(monkeypatch):
    rng = np.random.default_rng(5)
    X, root = rng.normal(size=(23, 4)), rng.normal(size=(4, 4))
    expected = [x @ (root @ root.T) @ x for x in X]
    np.testing.assert_allclose(quadratic_forms.quadratic_forms(X, root @ root.T), expected, rtol=1e-12)
    monkeypatch.setattr(quadratic_forms, "_WORK", 80)  # five rows
    np.testing.assert_allclose(quadratic_forms.quadratic_forms(X, root @ root.T), expected, rtol=1e-12)
    assert quadratic_forms.quadratic_forms(X[:, :0], np.zeros((0, 0))).tolist() == [0.0] * 23


def test_the_standard_errors_of_many_predictions_say_how_long_they_take(monkeypatch):
    frame = data()
    fit = lmer("y ~ x + (1 | g)", frame)
    plain = fit.predict(frame, se_fit=True)
    monkeypatch.setattr(forecast, "KNOWN", 0.0)
    monkeypatch.setattr(forecast, "LONG", 1e-5)
    monkeypatch.setattr("pyimpl.inference.joint_covariance._CHUNK", 30)
    monkeypatch.setattr("pyimpl.inference.joint_covariance.MAX_CONNECTED", 0)  # as where too many hang together
    with pytest.warns(PyimplWarning, match=r"the standard errors may take about .* more: \d+ rows of"):
        in_pieces = fit.predict(frame, se_fit=True)
    np.testing.assert_allclose(in_pieces, plain, rtol=1e-12)
