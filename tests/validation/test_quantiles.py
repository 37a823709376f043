"""Quantiles scored by shares of draws."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from scipy.stats import t as student_t

from validation.judge.scores import Quantile, quantile_side, quantile_z
from validation.quantities import posterior_summary
from validation.tolerances import MCSE_DEGREES_OF_FREEDOM


def chains(rng, parameters, rho, draws=1000):
    noise = rng.normal(size=(parameters, 4, draws + 50)) * np.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise, axis=2)[:, :, 50:]


def side(draws, probability):
    names = [str(i) for i in range(len(draws))]
    return quantile_side(posterior_summary(names, draws), probability, dict(zip(names, draws, strict=True)))


@pytest.mark.parametrize("probability", [0.025, 0.5])
def test_right_samplers_have_z_of_one(probability):
    rng = np.random.default_rng(4)
    left, right = side(chains(rng, 300, 0.5), probability), side(chains(rng, 300, 0.0), probability)
    z = np.array([quantile_z(probability, left[name], right[name]) for name in left])
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1.03, abs=0.12)


def test_a_shift_is_seen_and_has_its_sign():
    rng = np.random.default_rng(4)
    left, right = side(chains(rng, 1, 0.0), 0.5), side(chains(rng, 1, 0.0) + 0.3, 0.5)
    assert quantile_z(0.5, left["0"], right["0"]) > 6  # fewer of the right side's draws are below
    assert quantile_z(0.5, right["0"], left["0"]) < -6


def test_against_an_exact_quantile():
    rng = np.random.default_rng(4)
    own = side(chains(rng, 1, 0.0), 0.975)
    truth = pd.DataFrame({"q97.5": [1.959964], "mcse_q97.5": [0.0]}, index=["0"])
    exact = quantile_side(truth, 0.975)
    assert math.isinf(exact["0"].ess)
    assert abs(quantile_z(0.975, exact["0"], own["0"])) < 3
    wrong = quantile_side(truth.assign(**{"q97.5": 2.36}), 0.975)
    assert abs(quantile_z(0.975, wrong["0"], own["0"])) > 4


def test_without_draws_on_either_side_there_is_no_score():
    truth = quantile_side(pd.DataFrame({"q50": [0.0], "mcse_q50": [0.0]}, index=["0"]), 0.5)
    assert quantile_z(0.5, truth["0"], truth["0"]) is None
    assert quantile_z(0.5, Quantile(), truth["0"]) is None


@pytest.mark.slow
def test_the_tails_of_z_are_those_of_the_t_that_the_limit_uses():
    rng = np.random.default_rng(7)
    left, right = chains(rng, 4000, 0.7), chains(rng, 4000, 0.0)
    names = [str(i) for i in range(4000)]
    a, b = posterior_summary(names, left), posterior_summary(names, right)
    scores = {s: (a[s] - b[s]) / np.hypot(a[f"mcse_{s}"], b[f"mcse_{s}"]) for s in ("mean", "sd")}
    for probability in (0.025, 0.5, 0.975):
        sides = [
            quantile_side(summary, probability, dict(zip(names, draws, strict=True)))
            for summary, draws in ((a, left), (b, right))
        ]
        scores[probability] = np.array([quantile_z(probability, sides[0][name], sides[1][name]) for name in names])
    everything = np.abs(np.concatenate([np.asarray(z) for z in scores.values()]))
    expected = 2 * student_t.sf(3.0, MCSE_DEGREES_OF_FREEDOM)
    assert np.mean(everything > 3.0) < 1.35 * expected
