"""Where the reference's optimum is the worse one, or its digits are lost, the judge's own algebra decides."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from validation import compare_fits
from validation.algebra import pieces_of, solve
from validation.faults import FAULTS, at_theta
from validation.faults.bases import likelihood_base
from validation.faults.thin import answer_of, compare_answers
from validation.judge.estimates import degrees_of_freedom
from validation.references.recorded import RecordedLmerFit
from validation.suite import choose
from validation.verdict import Verdict


@pytest.mark.parametrize("name", ["sleepstudy-reml", "sleepstudy-independent-ml", "cake-reml", "weights-reml"])
def test_degrees_of_freedom_by_two_programs(name):
    model = choose([name])[0]
    fit = lmer(model.formula, model.load("recorded"), REML=model.REML, **model.options)
    own = degrees_of_freedom(solve(pieces_of(fit), fit.getME("theta").to_numpy(), model.REML), model.REML)
    assert np.abs(own / fit.satterthwaite()["df"].to_numpy() - 1.0).max() < 3e-5


@pytest.fixture(scope="module")
def sleep():
    return choose(["sleepstudy-reml"])[0].load("recorded")


@pytest.fixture(scope="module")
def stopped(sleep):
    """A reference whose optimizer stopped early, with the tests of where it stopped; and the optimum."""
    right = lmer("Reaction ~ Days + (Days | Subject)", sleep)
    live = RecordedLmerFit.of(right, live=True)
    theta = right.getME("theta").to_numpy() * np.array([1.05, 1.0, 0.97])
    at = at_theta(live, theta)
    df = degrees_of_freedom(solve(pieces_of(at), theta, True), True)
    t = at.coefficients["t value"].to_numpy()
    from scipy.stats import t as student

    tests = right.satterthwaite().assign(**{"t value": t, "df": df, "Pr(>|t|)": 2.0 * student.sf(np.abs(t), df)})
    return replace(at, tests=tests), live


def verdicts(comparison, *quantities):
    return set(comparison.table.loc[comparison.table["quantity"].isin(quantities), "verdict"])


def test_tests_that_follow_from_a_better_optimum_are_better(stopped):
    reference, right = stopped
    comparison = compare_fits(reference, right)
    assert comparison.agrees, comparison
    assert Verdict.BETTER in verdicts(comparison, "df")


def residual_tests(fit):
    """p values of t with N - p degrees of freedom."""
    fault = next(fault for fault in FAULTS["likelihood"] if fault.expected == "p-values-residual-df")
    return fault.plant(replace(likelihood_base("slopes"), fit=fit))


def test_tests_that_do_not_follow_still_disagree(stopped):
    reference, right = stopped
    comparison = compare_fits(reference, residual_tests(right))
    assert comparison.verdict is Verdict.DISAGREES
    assert verdicts(comparison, "df") == {Verdict.DISAGREES}


def test_degrees_of_freedom_of_an_unknown_kind_are_inconclusive(stopped):
    reference, right = stopped
    comparison = compare_fits(residual_tests(reference), right)
    assert verdicts(comparison, "df") == {Verdict.INCONCLUSIVE}
    assert comparison.verdict is Verdict.INCONCLUSIVE


@pytest.fixture(scope="module")
def far():
    """A model whose criterion falls as σ runs to 0: one observation of each effect."""
    rng = np.random.default_rng(471129)
    P, T = 40, 4
    L = np.linalg.cholesky(0.5 ** np.abs(np.subtract.outer(range(T), range(T))))
    y = 130 + (rng.normal(size=(P, T)) @ L.T * np.array([6, 7, 9, 8])).ravel() + rng.normal(0, 4, P * T)
    visit = pd.Categorical([f"v{i}" for i in np.tile(np.arange(T), P)])
    patient = pd.Categorical([f"p{i}" for i in np.repeat(np.arange(P), T)])
    data = pd.DataFrame({"bp": y.round(1), "visit": visit, "pat": patient})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RecordedLmerFit.of(lmer("bp ~ 1 + ar1(0 + visit | pat)", data, REML=False), live=True)


class Rounded:
    """A fit whose objective has few digits far out, as lme4 2.1-0's."""

    def __init__(self, fit, error, beyond=1e3):
        self._fit, self._error, self._beyond = fit, error, beyond

    def __getattr__(self, name):
        return getattr(self._fit, name)

    def devfun(self, theta):
        theta = np.asarray(theta, dtype=float)
        noise = np.random.default_rng(int.from_bytes(theta.tobytes(), "little")).normal()
        return self._fit.devfun(theta) + (self._error * noise if theta[0] > self._beyond else 0.0)


def near(far):
    """The same at a θ where every program has its digits."""
    theta = far.par.to_numpy()
    assert theta[0] > 1e3  # else this tests nothing
    return at_theta(far, np.array([80.0, theta[1]]))


def test_where_the_reference_loses_its_digits_the_judge_keeps_them(far):
    reference = near(far)
    assert compare_fits(reference, far).agrees
    comparison = compare_fits(Rounded(reference, 1e-3), far)
    assert comparison.agrees, comparison
    assert verdicts(comparison, "logLik", "sigma") == {Verdict.BETTER}
    assert comparison.table["reason"].str.contains("has lost its digits there").any()


def test_a_wrong_objective_far_out_is_no_rounding(far):
    reference = near(far)
    assert compare_fits(reference, Rounded(far, 1e-3)).verdict is Verdict.DISAGREES
    wrong = replace(far, scalars={**far.scalars, "sigma": 1.01 * far.scalars["sigma"]})
    assert compare_fits(Rounded(reference, 1e-3), wrong).verdict is Verdict.DISAGREES


def without(fit, term):
    """VarCorr without a number, as lme4 2.1-0's where a correlation is not identified."""
    components = fit.components.copy()
    components.loc[components["var1"] == term, ["vcov", "sdcor"]] = math.nan
    return replace(fit, components=components)


def test_a_number_that_the_reference_lacks_is_judged_by_own_algebra(sleep):
    right = RecordedLmerFit.of(lmer("Reaction ~ Days + (Days || Subject)", sleep), live=True)
    comparison = compare_fits(without(right, "Days"), right)
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert any("no value (NaN)" in note for note in comparison.notes)
    wrong = right.components.copy()
    wrong.loc[wrong["var1"] == "Days", ["vcov", "sdcor"]] *= 1.01
    assert compare_fits(without(right, "Days"), replace(right, components=wrong)).verdict is Verdict.DISAGREES
    assert compare_fits(right, without(right, "Days")).verdict is Verdict.DISAGREES


@pytest.mark.parametrize("wrong", [np.square, np.log, lambda theta: 8.0 * theta], ids=["squared", "log", "times sigma"])
@pytest.mark.parametrize("name", ["slopes", "crossed", "singular"])
def test_a_wrong_theta_is_seen_of_who_offers_no_objective(name, wrong):
    base = likelihood_base(name)
    given = answer_of(base.fit, ("fixef", "se", "sigma", "VarCorr", "theta", "nobs"))
    assert compare_answers(base, given).agrees
    theta = given["theta"] if name != "singular" else given["theta"] + 0.2
    with np.errstate(divide="ignore", invalid="ignore"):
        assert not compare_answers(base, {**given, "theta": wrong(theta)}).agrees


def test_on_the_boundary_theta_and_correlations_belong_to_the_covariance_matrix():
    base = likelihood_base("slopes")
    right = at_theta(base.fit, base.fit.theta.to_numpy() * [1.0, 1.0, 0.0])
    assert compare_fits(right, right).agrees
    off = base.fit.theta.to_numpy() * [1.0, -1.0, 0.0]
    assert compare_fits(right, replace(right, theta=pd.Series(off, right.theta.index))).verdict is Verdict.DISAGREES
    components = right.components.copy()
    components.loc[components["var2"].notna(), "sdcor"] *= -1.0
    comparison = compare_fits(right, replace(right, components=components))
    assert verdicts(comparison, "cor") == {Verdict.DISAGREES}
    assert verdicts(comparison, "covariance", "variance") == {Verdict.AGREES}
