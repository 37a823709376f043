"""What takes long can be stopped, says so before it starts, and gives the same numbers however often it returns."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from pyimpl.errors import ModelError, PyimplWarning
from pyimpl.likelihood import optimum
from pyimpl.likelihood.trust_region import EXACT, minimise

pytestmark = pytest.mark.filterwarnings("ignore::pyimpl.errors.SingularFitWarning")


class _Stop(BaseException):
    pass


def _raise(*_):
    raise _Stop


def wide(effects, rows=600):
    """A factor of so many levels as random effects of three groups: effects·(effects + 1)/2 parameters."""
    rng = np.random.default_rng(1)
    z = pd.Categorical(rng.integers(0, effects, rows).astype(str))
    return pd.DataFrame({"y": rng.normal(size=rows), "g": rng.integers(0, 3, rows).astype(str), "z": z})


def many_rows():
    """Data whose evaluations take more than a search that is one compiled call may."""
    rng = np.random.default_rng(3)
    n = 2000
    g, h, k, x = rng.integers(0, 300, n), rng.integers(0, 40, n), np.arange(n) // 2, rng.normal(size=n)
    y = x + rng.normal(size=300)[g] * x + rng.normal(size=40)[h] + rng.normal(size=n)
    codes = {"g": g, "h": h, "k": k}
    return pd.DataFrame({"y": y, "x": x, **{name: pd.Categorical(code.astype(str)) for name, code in codes.items()}})


FORMULAS = (
    "y ~ x + (1 | g)", "y ~ x + (x | g)", "y ~ x + (x | g) + (1 | h)", "y ~ x + (1 | g) + (1 | h)", "y ~ 1 + (x | g)",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore::pyimpl.errors.PyimplWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
@pytest.mark.parametrize("formula", ["y ~ 0 + (0 + z | g)", "y ~ z + (z | g)"])
def test_a_search_over_hundreds_of_parameters_hears_a_signal(formula):
    # by the processor's clock: what else the machine does is no part of it
    before = signal.signal(signal.SIGPROF, _raise)
    signal.setitimer(signal.ITIMER_PROF, 2.0)
    begun = time.process_time()
    try:
        with pytest.raises(_Stop):
            lmer(formula, wide(30))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
    assert time.process_time() - begun < 2.0 + 4.0  # within a second, on a machine four times as slow; it was 40


def test_many_coordinates_with_a_saddle_at_the_start():
    n = 80
    weights = np.linspace(0.5, 3.0, n)

    def function(x):
        return (
            float(np.sum(weights * (x**2 - 1) ** 2)),
            4 * weights * x * (x**2 - 1),
            np.diag(4 * weights * (3 * x**2 - 1)),
        )

    start = np.full(n, 0.01)
    x, value, code = minimise(function, start, 2000, EXACT)
    assert code == 0
    np.testing.assert_allclose(np.abs(x), 1.0, rtol=1e-8)
    assert value < 1e-12


def test_what_will_take_minutes_or_too_much_memory_says_so_before_it_starts(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(optimum, "_SPEED", 1e4)
        with pytest.warns(PyimplWarning, match=r"about \d+ minutes: the random-effects terms have 66 variances"):
            lmer("y ~ z + (0 + z | g)", wide(11))
    with monkeypatch.context() as patch:
        patch.setattr(optimum, "memory", lambda: 1e5)
        with pytest.raises(ModelError, match=r"66 variances and correlations; .* need .* of memory, .*\(x \|\| g\)"):
            lmer("y ~ z + (0 + z | g)", wide(11))


_FITS = """
import json, sys, warnings
warnings.simplefilter("ignore")
from tests.pyimpl.test_stopping import FORMULAS, many_rows, wide
from pyimpl import lmer
out = []
for formula in FORMULAS:
    fit = lmer(formula, many_rows())
    again = fit.refit(many_rows()["y"].to_numpy()[::-1].copy())
    for one in (fit, again):
        out += [one.REMLcrit(), *one.getME("theta"), *one.fixef(), *one.ranef()["g"].iloc[:, 0]]
print(json.dumps([float(x).hex() for x in out]))
"""


def test_fits_of_few_rows_are_equal_to_the_bit_whatever_the_number_of_blas_threads():
    found = []
    for threads in ("1", "2", "4"):
        done = subprocess.run(
            [sys.executable, "-c", _FITS],
            capture_output=True,
            text=True,
            timeout=280,
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert len(found[0]) > 1000
    assert found[1] == found[0]
    assert found[2] == found[0]
