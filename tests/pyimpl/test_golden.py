"""The golden net (see golden.py): a sample in the quick tests, all of it in the slow ones."""

import copy

import pytest

from tests.pyimpl.golden import POSTERIORS, density_differences, differences, load
from tests.pyimpl.golden_designs import SEEDS

#: Of every kind, 29 being coprime with the wheel of kinds; and those whose θ had 1e-103 where it is 0.
QUICK = (*range(0, SEEDS, 29), 216, 747, 1396)


@pytest.fixture(scope="module")
def kept():
    return load()


def _all_differences(kept, seeds):
    found = {seed: differences(seed, kept[str(seed)], dialect="debian-12") for seed in seeds}
    return {seed: what for seed, what in found.items() if what}


def test_lmer_answers_as_recorded(kept):
    assert _all_differences(kept, QUICK) == {}


def test_posteriors_have_the_recorded_density(kept):
    found = {seed: density_differences(seed, kept["densities"][str(seed)]) for seed in POSTERIORS[::6]}
    assert not any(found.values()), found


@pytest.mark.slow
def test_lmer_answers_as_recorded_everywhere(kept):
    assert _all_differences(kept, range(SEEDS)) == {}


@pytest.mark.slow
def test_posteriors_have_the_recorded_density_everywhere(kept):
    found = {seed: density_differences(seed, kept["densities"][str(seed)]) for seed in POSTERIORS}
    assert not any(found.values()), found


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("objective", lambda x: [*x[:-1], x[-1] * (1 + 1e-9)], "objective at given theta"),
        ("value", lambda x: x - 1e-5, "the minimum"),
        ("theta", lambda x: [x[0] * (1 + 1e-3), *x[1:]], "theta"),
        ("refits", lambda x: [[x[0][0] - 1e-4, x[0][1]], *x[1:]], "a refit"),
        ("text", lambda x: x.replace("Residual", "residual"), "text"),
        ("warnings", lambda x: [*x, ["ConvergenceWarning", "none"]], "warnings"),
    ],
)
def test_the_net_catches(kept, name, change, said):
    seed = next(s for s in range(SEEDS) if kept[str(s)].get("se", [-1])[0] > 0)
    changed = copy.deepcopy(kept[str(seed)])
    changed[name] = change(changed[name])
    assert any(text.startswith(said) for text in differences(seed, changed, dialect="debian-12"))
    changed = {"refused": "ModelError", "said": ""}
    assert differences(seed, changed, dialect="debian-12") == ["ModelError became fitted"]


def test_exact_fits_must_still_be_called_so(kept):
    exact = [seed for seed in range(SEEDS) if "is rounding error of" in str(kept[str(seed)].get("warnings"))]
    assert len(exact) > 3
    assert differences(exact[0], kept[str(exact[0])], dialect="debian-12") == []
    other = {**kept["1"], "warnings": kept[str(exact[0])]["warnings"]}
    assert differences(1, other, dialect="debian-12") == ["is no longer said to be fitted exactly"]
