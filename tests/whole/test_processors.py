"""The part of the suite that rounding decides, on other processors than this one.

OpenBLAS chooses its code by the processor, and so does numpy; both can be told to take that of another
(``OPENBLAS_CORETYPE``, ``NPY_DISABLE_CPU_FEATURES``). A test that passes by luck of rounding fails under one of them,
or with one thread, or two.
"""

import json
import os
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
#: Files whose numbers hang on factorisations, searches and samplers.
SENSITIVE = (
    "test_deviance",
    "test_design",
    "test_gradient",
    "test_hmc",
    "test_hostile_posteriors",
    "test_merging",
    "test_optimum",
    "test_profile",
    "test_quadrature",
    "test_refits",
    "test_sampler",
    "test_small_matrices",
    "test_small_sample",
    "test_sparse_cholesky",
    "test_trust_region",
)
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


def _wide_instructions() -> str:
    """The names by which this numpy knows AVX512, of those that it would use here."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return " ".join(name for name in found if name.startswith(("AVX512", "X86_V4")))


def _environment(core: str | None, threads: int, *, wide: bool = True) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "OPENBLAS_CORETYPE")}
    told = {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    if core is not None:
        told["OPENBLAS_CORETYPE"] = core
    if not wide:
        told["NPY_DISABLE_CPU_FEATURES"] = _wide_instructions()
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


@pytest.fixture(params=CORES)
def core(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if not _can(CORES[name]):
        pytest.skip(f"this processor has no {CORES[name]}, which OpenBLAS's code for {name} takes")
    return name


@pytest.mark.slow
def test_at_least_four_kinds_of_code_are_met() -> None:
    met = {architecture for core in CORES if _can(CORES[core]) for architecture, _ in _code_taken(core, 1)}
    assert len(met) >= 4, met


def _passes(**of: object) -> None:
    files = [f"tests/pyimpl/{name}.py" for name in SENSITIVE]
    done = _python("-m", "pytest", "-q", "-p", "no:xdist", "-m", "not slow and not r", *files, **of)
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_sensitive_part_passes(core: str, threads: int) -> None:
    assert all(count == threads for _, count in _code_taken(core, threads))
    _passes(core=core, threads=threads)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_sensitive_part_passes_without_avx512_in_numpy() -> None:
    if not _wide_instructions():
        pytest.skip("numpy uses no AVX512 on this processor")
    narrow = "import numpy as np; print(np.show_config(mode='dicts')['SIMD Extensions']['found'])"
    told = _python("-c", narrow, core=None, threads=2, wide=False)
    assert not set(_wide_instructions().split()) & set(json.loads(told.stdout.replace("'", '"')))
    _passes(core=None, threads=2, wide=False)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_numbers_are_equal_to_the_bit_whatever_the_number_of_threads(core: str) -> None:
    found = []
    for threads in (1, 2):
        done = _python("-c", _NUMBERS, core=core, threads=threads)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert len(found[0]) > 10_000
    different = [i for i, (one, other) in enumerate(zip(*found, strict=True)) if one != other]
    assert not different, f"{len(different)} of {len(found[0])} numbers, the first at {different[0]}"
