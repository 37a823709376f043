"""Gate 6: what a posterior fit reports is judged against its own draws, by rstanarm's rules."""

import warnings

import numpy as np
import pandas as pd
import pytest

from validation import Verdict, compare_fits
from validation.judge.diagnosis.posterior import reported_numbers
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.judge.scores import RULES, by_rules, covariance_of, reported, summaries


def reports(fit, **rules):
    """Give a fit the verbs of rstanarm, by R's rules or by others."""
    names, draws = fit.names, fit.values
    at = dict(zip(names, draws, strict=True))

    def value(quantity, *vectors):
        return by_rules((quantity, None, None, None, None), vectors, rules.get(quantity, "R"))

    coefficients = ["(Intercept)", "x"]
    fit.fixef = lambda: pd.Series({name: value("fixef", at.get(name)) for name in coefficients})
    fit.se = lambda: pd.Series({name: value("se", at.get(name)) for name in coefficients})
    fit.sigma = lambda: value("sigma", at.get("sigma"))

    def varcorr():
        a, b = (covariance_of(at, "g", effect, effect) for effect in coefficients)
        c = covariance_of(at, "g", *coefficients)
        return pd.DataFrame(
            [
                ("g", "(Intercept)", None, value("reported-variance", a), value("reported-sd", a)),
                ("g", "x", None, value("reported-variance", b), value("reported-sd", b)),
                ("g", "(Intercept)", "x", value("reported-covariance", c, a, b),
                 value("reported-correlation", c, a, b)),
                ("Residual", None, None, *(value(f"residual-{what}", at.get("sigma")) for what in ("variance", "sd"))),
            ],
            columns=["grp", "var1", "var2", "vcov", "sdcor"],
        )  # fmt: skip

    fit.VarCorr = varcorr
    level = "b[x g:10]"
    fit.ranef = lambda: {"g": pd.DataFrame({"x": {"10": value("ranef", at.get(level))}})}
    return fit


def gate(comparison):
    return next(check.verdict for check in comparison.checks if check.id == "gate-6")


def test_r_rules_agree(make_posterior):
    comparison = compare_fits(reports(make_posterior(1)), reports(make_posterior(2)))
    assert comparison.agrees
    rows = comparison.table[comparison.table["check"] == "gate-6"]
    assert len(rows) == 2 * (2 + 2 + 1 + 8 + 1)


@pytest.mark.parametrize(
    ("quantity", "rule"), [(quantity, rule) for quantity, rules in RULES.items() for rule in rules if rule != "R"]
)
def test_another_summary_is_caught_and_named(make_posterior, quantity, rule):
    evidence = PosteriorEvidence(make_posterior(1), reports(make_posterior(2), **{quantity: rule}))
    rows, _ = summaries(evidence)
    assert Verdict.of(row.verdict for row in rows) is Verdict.DISAGREES
    stem = quantity.removeprefix("reported-")
    assert {row.quantity for row in rows if row.verdict.failed} == {f"reported-{stem}"}
    cause = reported_numbers(evidence)
    assert cause.fault == 2
    # The same but for rounding: the median of sds and the root of the median variance.
    twins = [{"median-sd", "median-variance", "median"}]
    alike = next((twin for twin in twins if rule in twin), {rule})
    assert cause.name in {f"summary-{stem}-{other}" for other in alike}


@pytest.mark.parametrize(
    ("quantity", "rule"),
    [("reported-correlation", "mean"), ("reported-sd", "median-sd"), ("residual-variance", "mean-variance")],
)
@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_another_summary_is_caught_whatever_the_unit_of_the_response(make_posterior, quantity, rule, unit):
    right, wrong = make_posterior(1), make_posterior(2)
    for fit in (right, wrong):
        powers = [2 if name.startswith("Sigma[") else 1 for name in fit.names]
        fit.values *= unit ** np.array(powers).reshape(-1, *[1] * (fit.values.ndim - 1))
    rows, _ = summaries(PosteriorEvidence(right, reports(wrong, **{quantity: rule})))
    assert Verdict.of(row.verdict for row in rows) is Verdict.DISAGREES
    assert {row.quantity for row in rows if row.verdict.failed} == {f"reported-{quantity.split('reported-')[-1]}"}


def test_what_is_reported_otherwise_is_unknown(make_posterior):
    right = reports(make_posterior(2))
    right.se = lambda: pd.Series({"(Intercept)": 1.0, "x": 2.0})
    comparison = compare_fits(make_posterior(1), right)
    assert gate(comparison) is Verdict.DISAGREES
    assert comparison.causes[0].name == "unknown"


def test_draws_alone_report_nothing(make_posterior):
    comparison = compare_fits(make_posterior(1), make_posterior(2))
    assert "gate-6" not in {check.id for check in comparison.checks}
    assert reported(make_posterior(1), {"x": np.ones((1, 5))}) == {}


@pytest.mark.r
def test_live_rstanarm_follows_the_rules(make_posterior):
    from bridge import datasets, rstanarm

    data = datasets.load("sleepstudy", package="lme4")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # too few draws for anything else
        live = rstanarm.stan_lmer("Reaction ~ Days + (Days | Subject)", data, chains=1, iter=200, seed=1)
    rows, _ = summaries(PosteriorEvidence(live, make_posterior(1)))
    assert Verdict.of(row.verdict for row in rows) is Verdict.AGREES
    assert len(rows) == 2 + (2 + 36) + 1 + 8 + 36  # fixef, se of both kinds, sigma, VarCorr, ranef
