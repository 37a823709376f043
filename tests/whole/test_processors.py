"""The part of the suite that rounding decides, on other processors than this one.

OpenBLAS chooses its code by the processor, and so does numpy; both can be told to take that of another
(``OPENBLAS_CORETYPE``, ``NPY_DISABLE_CPU_FEATURES``). A test that passes by luck of rounding fails under one of them,
or with one thread, or two.
"""

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]

#: What OpenBLAS may be told, and the instructions that its code for it takes.
CORES = {
    "Prescott": "sse3",
    "Nehalem": "sse4_2",
    "Sandybridge": "avx",
    "Haswell": "avx2",
    "Zen": "avx2",
    "SkylakeX": "avx512f",
}
#: Cores whose processors have no AVX2: numpy takes its oldest code there, and so do pyimpl's compiled modules.
NARROW = ("Prescott", "Nehalem", "Sandybridge")
#: Each core, and each number of threads with more than one of them (that no number of threads changes a number is a
#: test of its own). Zen's code is Haswell's.
RUNS = (
    ("Prescott", 1), ("Nehalem", 2), ("Sandybridge", 1), ("Haswell", 2), ("Haswell", 1), ("SkylakeX", 1),
    ("SkylakeX", 2),
)  # fmt: skip
#: What factorisations, searches and samplers decide; all of it that needs no R.
SENSITIVE = "tests/pyimpl"
_WHICH = """
import json, numpy, scipy.linalg
from threadpoolctl import threadpool_info
found = [one for one in threadpool_info() if one["user_api"] == "blas"]
print(json.dumps([[one.get("architecture"), one["num_threads"]] for one in found]))
"""
#: Fits, refits and draws, to the last bit.
_NUMBERS = """
import json, sys, warnings
import numpy as np, pandas as pd
from pyimpl import lmer, stan_lmer
warnings.simplefilter("ignore")
rng = np.random.default_rng(3)
n = 900
d = pd.DataFrame({"x": rng.normal(size=n), "z": rng.normal(size=n), "g": rng.integers(0, 40, n).astype(str),
                  "h": rng.integers(0, 25, n).astype(str)})
d["y"] = d.x + rng.normal(size=40)[d.g.astype(int)] + rng.normal(size=25)[d.h.astype(int)] * d.x + rng.normal(size=n)
out = []
for formula in ("y ~ x + (1 | g)", "y ~ x + z + (x | g)", "y ~ x + (1 | g) + (x + z | h)", "y ~ x * z + (1 | g / h)"):
    fit = lmer(formula, d)
    again = fit.refit(d["y"].to_numpy()[::-1].copy())
    for one in (fit, again):
        out += [one.REMLcrit(), *one.getME("theta"), *one.fixef(), *one.ranef()[next(iter(one.ranef()))].iloc[:, 0]]
for formula in ("y ~ x + (1 | g)", "y ~ x + (x | g) + (1 | h)"):
    out += np.asarray(stan_lmer(formula, d, seed=5, chains=2, iter=200).as_matrix(), dtype=float).ravel().tolist()
print(json.dumps([float(value).hex() for value in out]))
"""


def _can(instruction: str) -> bool:
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return False
    flags = next((line.split() for line in told.splitlines() if line.startswith("flags")), [])
    return {"sse3": "pni"}.get(instruction, instruction) in flags


def _beyond(narrow: bool) -> str:
    """The names of what this numpy would use here beyond AVX2; or, narrow, beyond what it always uses."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return " ".join(name for name in found if narrow or name.startswith(("AVX512", "X86_V4")))


def _environment(core: str | None, threads: int, *, wide: bool = True) -> dict[str, str]:
    ours = ("PYTEST_ADDOPTS", "OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "MLMPARITY_VARIANT")
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    told = {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    if core is not None:
        told["OPENBLAS_CORETYPE"] = core
    if core in NARROW:
        told["MLMPARITY_VARIANT"] = "every"
    if core in NARROW or not wide:
        told["NPY_DISABLE_CPU_FEATURES"] = _beyond(core in NARROW)
    return kept | told


def _python(*arguments: str, **of: object) -> subprocess.CompletedProcess[str]:
    environment = _environment(**of)  # type: ignore[arg-type]
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@cache
def _code_taken(core: str, threads: int) -> list[list[object]]:
    """The code that each BLAS takes when told this core, and its threads."""
    done = _python("-c", _WHICH, core=core, threads=threads)
    assert done.returncode == 0, done.stderr
    found: list[list[object]] = json.loads(done.stdout)
    return found


@cache
def _multiplies(core: str, threads: int) -> bool:
    """Whether the BLAS lives through a product when told this core.

    OpenBLAS 0.3.34 (numpy 2.5.2 to 2.5.5) on a Zen 4 takes the block sizes of that processor for the code of any core
    that it is told, and dgemm of Haswell's and Zen's then writes beyond its stack: OpenMathLib/OpenBLAS#6021. Genuine
    processors of those cores are not affected. numpy 2.5.1 runs them here.
    """
    product = "import numpy as np; a = np.ones((900, 900)); b = a @ a; np.linalg.solve(a + np.eye(900), b)"
    return _python("-c", product, core=core, threads=threads).returncode == 0


def _need(core: str, threads: int = 1) -> None:
    if not _can(CORES[core]):
        pytest.skip(f"this processor has no {CORES[core]}, which OpenBLAS's code for {core} takes")
    if not _multiplies(core, threads):
        pytest.skip(f"numpy's OpenBLAS can't be told {core} on this processor: it dies in a product of two matrices")


@pytest.mark.slow
def test_at_least_four_kinds_of_code_are_met() -> None:
    usable = [core for core in CORES if _can(CORES[core]) and _multiplies(core, 1)]
    met = {architecture for core in usable for architecture, _ in _code_taken(core, 1)}
    assert len(met) >= 4, met


def _passes(**of: object) -> None:
    done = _python("-m", "pytest", "-q", "-p", "no:xdist", "-m", "not slow and not r", SENSITIVE, **of)
    assert done.returncode == 0, done.stdout[-6000:]
    passed = re.search(r"(\d+) passed", done.stdout.splitlines()[-1])
    assert passed is not None, done.stdout[-600:]
    assert int(passed[1]) > 2000  # that many there are: it did not run a part


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("core", "threads"), RUNS)
def test_the_sensitive_part_passes(core: str, threads: int) -> None:
    _need(core, threads)
    assert all(count == threads for _, count in _code_taken(core, threads))
    _passes(core=core, threads=threads)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_sensitive_part_passes_without_avx512_in_numpy() -> None:
    if not _beyond(narrow=False):
        pytest.skip("numpy uses no AVX512 on this processor")
    _passes(core=None, threads=2, wide=False)


@pytest.mark.slow
def test_numpy_can_be_told_to_use_less() -> None:
    """Else the tests above try nothing."""
    found = "import numpy as np; print(*np.show_config(mode='dicts')['SIMD Extensions'].get('found', []))"
    told_less: tuple[dict[str, object], ...] = ({"core": None, "wide": False}, {"core": "Nehalem"})
    for of in told_less:
        told = _python("-c", found, threads=2, **of)
        assert told.returncode == 0, told.stderr
        left_out = set(_beyond(narrow=of["core"] is not None).split())
        assert not left_out & set(told.stdout.split()), (of, told.stdout)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("core", CORES)
def test_numbers_are_equal_to_the_bit_whatever_the_number_of_threads(core: str) -> None:
    for threads in (1, 2):
        _need(core, threads)
    found = []
    for threads in (1, 2):
        done = _python("-c", _NUMBERS, core=core, threads=threads)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert len(found[0]) > 10_000
    different = [i for i, (one, other) in enumerate(zip(*found, strict=True)) if one != other]
    assert not different, f"{len(different)} of {len(found[0])} numbers, the first at {different[0]}"
