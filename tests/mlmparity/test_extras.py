"""What the base install leaves out is named with the extra that brings it, and is in pyproject.toml under that name."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from mlmparity import lmer, load_dataset, stan_lmer
from pyimpl.errors import DataError
from pyimpl.extras import MissingExtraError, has, need
from r_scripts.installing import install_command

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def packages(extra: str) -> set[str]:
    """The distributions of an extra, with those of the extras that it names."""
    found: set[str] = set()
    for text in PROJECT["optional-dependencies"][extra]:
        name, inner = re.match(r"([\w-]+)(?:\[([\w,]+)\])?", text).groups()  # type: ignore[union-attr]
        found |= set().union(*(packages(one) for one in inner.split(","))) if inner else {name.replace("-", "_")}
    return found


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Any:
    def hide(*names: str) -> None:
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


def test_what_is_named_is_what_the_extra_brings() -> None:
    asked = set()
    for folder in ("pyimpl", "validation", "bridge"):
        for path in (ROOT / folder).rglob("*.py"):
            for extra, names in re.findall(r'\bneed\(\s*"(\w+)",[^,]+,((?:\s*"\w+",?)+)\s*\)', path.read_text("utf-8")):
                asked |= {(extra, name) for name in re.findall(r'"(\w+)"', names)}
    assert len(asked) > 4
    bring = {name: {one.replace("-", "_") for one in found} for name, found in packages_distributions().items()}
    assert {(extra, name) for extra, name in asked if not {name, *bring.get(name, ())} & packages(extra)} == set()


def test_all_is_everything_a_user_may_want() -> None:
    extras = set(PROJECT["optional-dependencies"]) - {"all", "test", "lint", "docs", "dev"}
    assert packages("all") == set().union(*map(packages, extras))


def test_the_base_install_is_small() -> None:
    base = {re.match(r"[\w-]+", text).group() for text in PROJECT["dependencies"]}  # type: ignore[union-attr]
    assert not base & {
        "pymc",
        "pytensor",
        "arviz",
        "arviz-plots",
        "nutpie",
        "pyarrow",
        "matplotlib",
        "plotnine",
        "rpy2",
    }


def test_a_plot_names_its_extra(without: Any) -> None:
    fit = lmer("Yield ~ 1 + (1 | Batch)", load_dataset("Dyestuff"))
    without("matplotlib")
    with pytest.raises(MissingExtraError, match=r"matplotlib.*pip install 'mlmparity\[plots\]'"):
        fit.plot_ranef()


def test_nuts_names_its_extra_and_the_own_sampler_needs_none(without: Any) -> None:
    data = load_dataset("Dyestuff")
    without("pymc", "nutpie", "arviz_plots", "matplotlib", "pytensor")
    fit = stan_lmer("Yield ~ 1 + (1 | Batch)", data, seed=1, iter=400)
    assert "sigma" in str(fit.summary())
    with pytest.raises(MissingExtraError, match=r"mlmparity\[bayes\]"):
        fit.pymc_model()
    with pytest.raises(MissingExtraError, match=r"mlmparity\[bayes\]"):
        stan_lmer("Yield ~ 1 + (1 | Batch)", data, seed=1, sampler="nuts")


class Frame:
    """A frame of a library that hands its columns over through Arrow."""

    columns = ("y", "g")


def test_frames_of_other_libraries_name_their_extra(without: Any) -> None:
    without("pyarrow")
    with pytest.raises(MissingExtraError, match=r"mlmparity\[files\]"):
        lmer("y ~ 1 + (1 | g)", Frame())
    with pytest.raises(DataError, match="must be a data frame"):
        lmer("y ~ 1 + (1 | g)", {"y": [1.0], "g": ["a"]})


def test_a_package_that_is_there_is_no_error(without: Any) -> None:
    need("plots", "a plot", "numpy")
    assert has("numpy")
    without("numpy_of_nobody")
    assert not has("numpy", "numpy_of_nobody")


def test_an_environment_of_uvs_is_told_uvs_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r_scripts.installing.find_spec", lambda name: None)
    monkeypatch.setattr("r_scripts.installing.find_program", lambda name: f"/bin/{name}")
    assert install_command("a>=1", "b[c]") == f"uv pip install --python {sys.executable} 'a>=1' 'b[c]'"
    monkeypatch.setattr("r_scripts.installing.find_program", lambda name: None)
    assert install_command("b[c]") == "python -m pip install 'b[c]'"
