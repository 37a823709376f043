"""What ``import pyimpl`` offers, and what it costs."""

import importlib.util
import subprocess
import sys

import pytest


def _python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light():
    heavy = "('pymc', 'arviz', 'xarray', 'matplotlib', 'numba', 'rpy2', 'bridge', 'validation')"
    assert _python(f"import sys, pyimpl; print([m for m in {heavy} if m in sys.modules])") == "[]"
    heavy = "('pymc', 'arviz', 'xarray', 'matplotlib', 'scipy.stats', 'rpy2', 'bridge', 'validation')"
    assert _python(f"import sys; from pyimpl import lmer; print([m for m in {heavy} if m in sys.modules])") == "[]"


@pytest.mark.parametrize("first", ["import pyimpl.lmer", "from pyimpl.lmer import LmerFit", "import pyimpl"])
def test_lmer_is_the_function_however_it_is_imported(first):
    assert _python(f"{first}\nfrom pyimpl import lmer\nimport pyimpl\nprint(lmer.__name__, callable(pyimpl.lmer))") == (
        "lmer True"
    )


def test_every_exported_name_is_there():
    import pyimpl

    assert set(pyimpl.__all__) <= set(dir(pyimpl))
    for name in pyimpl.__all__:
        if (
            pyimpl._MODULES.get(name)
            or name.endswith(("Error", "Warning"))
            or importlib.util.find_spec("pyimpl.stan_lmer")
        ):
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
