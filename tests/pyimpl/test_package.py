"""What ``import pyimpl`` offers, and what it costs."""

import subprocess
import sys

import pytest


def _python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


HEAVY = ("arviz", "arviz_base", "bridge", "llvmlite", "matplotlib", "numba", "pymc", "pytensor", "rpy2", "scipy.stats",
         "validation", "xarray")  # fmt: skip
FITS = """
import numpy as np, pandas as pd
from pyimpl import lmer
g, h = np.divmod(np.arange(72), 8)
rng = np.random.default_rng(5)
data = pd.DataFrame({"y": rng.normal(size=72), "x": rng.normal(size=72), "g": g, "h": h, "k": h // 2}
).astype({"g": str, "h": str, "k": str})
for formula in ("y ~ x + (1 | g)", "y ~ x + (x | g)", "y ~ x + (1 | g) + (1 | h)", "y ~ x + (1 | g:k) + (1 | g)"):
    fit = lmer(formula, data)
    str(fit.summary()), fit.ranef(), fit.refit(data["y"] + data["x"]), fit.predict(data)
"""


@pytest.mark.parametrize("program", ["import pyimpl", "from pyimpl import lmer", FITS])
def test_importing_and_fitting_load_nothing_heavy(program):
    assert _python(f"{program}\nimport sys; print([m for m in {HEAVY} if m in sys.modules])") == "[]"


def test_a_fit_of_few_effects_and_its_summary_need_no_scipy():
    program = FITS.replace(", fit.predict(data)", "")
    assert "predict" not in program
    assert _python(f"{program}\nimport sys; print([m for m in sys.modules if m.partition('.')[0] == 'scipy'])") == "[]"


def test_what_is_heavy_would_be_seen():
    assert (
        _python(f"import scipy.stats\nimport sys; print([m for m in {HEAVY} if m in sys.modules])") == "['scipy.stats']"
    )


@pytest.mark.parametrize(
    "first", ["import pyimpl.models.lmer", "from pyimpl.models.lmer import LmerFit", "import pyimpl"]
)
def test_lmer_is_the_function_however_it_is_imported(first):
    assert _python(f"{first}\nfrom pyimpl import lmer\nimport pyimpl\nprint(lmer.__name__, callable(pyimpl.lmer))") == (
        "lmer True"
    )


def test_every_exported_name_is_there():
    import pyimpl

    assert set(pyimpl.__all__) <= set(dir(pyimpl))
    for name in pyimpl.__all__:
        assert getattr(pyimpl, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pyimpl.nothing  # noqa: B018


def test_a_fit_meets_the_contract(r_frames):
    from pyimpl import lmer
    from validation.contract import LinearMixedFit

    fit = lmer("Reaction ~ Days + (Days | Subject)", r_frames["sleepstudy"])
    assert isinstance(fit, LinearMixedFit)
    assert {"optimizer", "feval", "conv", "message", "gradient"} <= set(fit.optinfo)
    for name in ("theta", "beta", "X", "Z", "y", "cnms", "flist", "Lambda", "lower", "u", "b"):
        assert fit.getME(name) is not None
    assert list(fit.VarCorr().columns) == ["grp", "var1", "var2", "vcov", "sdcor"]
    assert fit.ranef_condVar()["Subject"].dims == ("level", "effect", "effect2")
    assert fit.formula == "Reaction ~ Days + (Days | Subject)"
    assert fit.ngrps().to_dict() == {"Subject": 18}
