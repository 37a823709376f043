"""What ``import pyimpl`` offers, and what it costs."""

import os
import subprocess
import sys

import pytest

from pyimpl.precompile import drop_stale_kernels


def _python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light():
    heavy = "('pymc', 'arviz', 'xarray', 'matplotlib', 'numba', 'rpy2', 'bridge', 'validation')"
    assert _python(f"import sys, pyimpl; print([m for m in {heavy} if m in sys.modules])") == "[]"
    heavy = "('pymc', 'arviz', 'xarray', 'matplotlib', 'scipy.stats', 'rpy2', 'bridge', 'validation')"
    assert _python(f"import sys; from pyimpl import lmer; print([m for m in {heavy} if m in sys.modules])") == "[]"


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


def test_cached_kernels_older_than_a_source_with_kernels_are_dropped(tmp_path):
    cache = tmp_path / "likelihood" / "__pycache__"
    cache.mkdir(parents=True)
    names = {"old.nbi": 10, "old.1.nbc": 10, "new.nbi": 30, "module.pyc": 10}
    for name, when in names.items():
        (cache / name).touch()
        os.utime(cache / name, (when, when))
    for name, text, when in (("kernels.py", "@kernel", 20), ("plain.py", "x = 1", 40)):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (when, when))
    assert drop_stale_kernels(tmp_path) == 2
    assert sorted(path.name for path in cache.iterdir()) == ["module.pyc", "new.nbi"]
    assert drop_stale_kernels(tmp_path) == 0
