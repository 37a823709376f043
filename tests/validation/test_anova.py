"""Likelihood-ratio tests: right ones agree, planted faults are caught and named, a better optimum is no fault."""

import math

import pandas as pd
import pytest
from scipy.stats import chi2

import pyimpl
from r_scripts.dialect import STACKS
from validation import compare_anova, compare_anova_fits
from validation.faults import FAULTS
from validation.faults.bases import ANOVA_BASES, anova_base
from validation.judge.likelihood_ratio import COLUMNS, AnovaEvidence, table_of_fits, tidy_table
from validation.verdict import Verdict

CASES = [(fault, name) for fault in FAULTS["anova"] for name, base in ANOVA_BASES.items() if fault.applies(base.tags)]


@pytest.mark.parametrize(("fault", "name"), CASES, ids=lambda part: getattr(part, "name", part))
def test_caught_and_named(fault, name):
    base = anova_base(name)
    comparison = compare_anova_fits(base.fit, fault.plant(base), data=base.data)
    assert comparison.verdict is Verdict.DISAGREES
    assert (comparison.causes[0].fault, comparison.causes[0].name) == (fault.number, fault.expected)
    assert any(character.isdigit() for character in comparison.causes[0].evidence)
    assert len(comparison.causes[0].remedy) > 30


@pytest.mark.parametrize("name", ANOVA_BASES)
def test_right_tests_agree_in_any_order_of_models(name):
    base = anova_base(name)
    again = [fit.update(data=base.data) for fit in base.fit]
    assert compare_anova_fits(base.fit, again).agrees
    assert compare_anova_fits(base.fit[::-1], again[::-1]).agrees


class CountsOtherwise:
    """A fit whose number of parameters falls where R's rises."""

    def __init__(self, fit):
        self._fit = fit

    def __getattr__(self, name):
        return getattr(self._fit, name)

    @property
    def npar(self):
        return -self._fit.npar

    def refitML(self):
        return CountsOtherwise(self._fit.refitML())


def test_fits_are_paired_by_model_however_parameters_are_counted():
    fits = anova_base("random slope").fit
    evidence = AnovaEvidence({}, {}, fits, tuple(map(CountsOtherwise, fits)))
    assert [pair.reference.formula for pair in evidence.pairs] == [pair.candidate.formula for pair in evidence.pairs]


def test_the_definition_gives_the_table_of_anova():
    base = anova_base("three models")
    ours = table_of_fits([fit.refitML() for fit in base.fit])
    own = tidy_table(base.fit[0].anova(*base.fit[1:]))
    pd.testing.assert_frame_equal(ours, own[list(COLUMNS)], rtol=1e-12)


@pytest.mark.parametrize("stack", STACKS)
def test_the_table_of_every_version_is_read(stack):
    base = anova_base("three models")
    fits = [fit.update(data=base.data, dialect=stack) for fit in base.fit]
    table = fits[0].anova(*fits[1:])
    assert ("deviance" in table) == (stack == "debian-12")
    pd.testing.assert_frame_equal(tidy_table(table), tidy_table(base.fit[0].anova(*base.fit[1:])))
    assert compare_anova_fits(base.fit, fits).agrees
    assert compare_anova_fits(fits, base.fit).agrees
    # a wrong number is seen under either name
    wrong = pd.DataFrame(table)
    wrong[wrong.columns[4]] += 1.0
    assert not compare_anova_fits(base.fit, wrong).agrees


def test_one_test_alone_under_other_names():
    base = anova_base("random slope")
    row = table_of_fits([fit.refitML() for fit in base.fit]).iloc[1]
    one = {"chi2_stat": row["Chisq"], "df_diff": row["Df"], "p_value": row["Pr(>Chisq)"]}
    assert compare_anova_fits(base.fit, one).agrees
    assert not compare_anova_fits(base.fit, {**one, "df_diff": row["Df"] - 1}).agrees
    assert "missing-numbers" in [cause.name for cause in compare_anova_fits(base.fit, {"lrt": row["Chisq"]}).causes]


def test_a_worse_optimum_fails_and_a_better_one_does_not():
    base = anova_base("fixed effects")
    fits = [fit.refitML() for fit in base.fit]

    def worse(table):
        shift = 1e-3
        moved = table.assign(
            logLik=table["logLik"] - [0, shift], deviance=table["deviance"] + [0, 2 * shift],
            AIC=table["AIC"] + [0, 2 * shift], BIC=table["BIC"] + [0, 2 * shift],
            Chisq=table["Chisq"] - [0, 2 * shift],
        )  # fmt: skip
        return moved.assign(**{"Pr(>Chisq)": chi2.sf(moved["Chisq"], moved["Df"])})

    found = compare_anova_fits(fits, worse(table_of_fits(fits)))
    assert {check.id for check in found.checks if check.verdict.failed} == {"anova-fits", "anova-tests"}

    class Early:
        """A reference whose larger fit stopped early."""

        def __init__(self, fit, theta):
            self._fit, self._theta = fit, theta

        def __getattr__(self, name):
            return getattr(self._fit, name)

        def anova(self, *others, refit=True):
            return worse(table_of_fits(fits))

        def logLik(self):
            return -self._fit.devfun(self._theta) / 2

        def getME(self, name):
            value = self._fit.getME(name)
            return value * 0 + self._theta if name == "theta" else value

    theta = fits[1].getME("theta")
    low, high = 0.0, 1.0
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if fits[1].devfun(theta + middle) < fits[1].deviance() + 2e-3 else (low, middle)
    early = [Early(fits[0], fits[0].getME("theta")), Early(fits[1], theta + low)]
    better = compare_anova_fits(early, fits)
    assert better.agrees
    assert Verdict.BETTER in set(better.table["verdict"])


def test_both_refuse_models_of_different_rows():
    base = anova_base("missing values")
    comparison = compare_anova_fits(base.fit, [fit.update(data=base.data) for fit in base.fit])
    assert comparison.agrees
    assert "same size of dataset" in comparison.checks[0].summary
    refused = compare_anova_fits(anova_base("random slope").fit, base.fit)
    assert refused.verdict is Verdict.DISAGREES


def test_against_certified_values():
    from validation.suite import SUITE

    data = next(case for case in SUITE if case.name == "sleepstudy-ml").load("recorded")
    models = ["Reaction ~ Days + (Days || Subject)", "Reaction ~ Days + (Days | Subject)"]
    assert compare_anova(models, data, against="certified").agrees

    def without_refit(first, other):
        return first.anova(other, refit=False)

    wrong = compare_anova(models, data, against="certified", anova=without_refit)
    assert wrong.causes[0].name == "lrt-reml"


@pytest.mark.r
def test_against_live_r():
    from bridge import datasets

    data = datasets.load("Pastes", package="lme4")
    models = ["strength ~ 1 + (1 | batch)", "strength ~ 1 + (1 | cask:batch)", "strength ~ 1 + (1 | batch/cask)"]
    for options in ({}, {"refit": False}, {"REML": False}):
        comparison = compare_anova(models, data, **options)
        assert comparison.agrees, comparison
    df = comparison.table.loc[comparison.table["quantity"] == "df", "reference"]
    assert sorted(df) == [0.0, 1.0]  # two of the models have as many parameters


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("y ~ x + (1 | g)", pd.DataFrame()), {}, "needs two models"),
        ((["y ~ x + (1 | g)"], pd.DataFrame()), {}, "needs two models"),
    ],
)
def test_bad_input(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        compare_anova(*arguments, **options)


def test_bad_tables():
    fits = anova_base("random slope").fit
    with pytest.raises(ValueError, match="no statistic"):
        compare_anova_fits(fits, pd.DataFrame({"AIC": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="both mean"):
        compare_anova_fits(fits, pd.DataFrame({"LR": [1.0, 2.0], "chisq": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="R's table has"):
        compare_anova_fits(fits, fits, columns=("chi2",))
    with pytest.raises(ValueError, match="2 models and the candidate 1"):
        compare_anova_fits(fits, fits[:1])


def test_the_report_shows_it():
    base = anova_base("random slope")
    fault = next(fault for fault in FAULTS["anova"] if fault.expected == "lrt-df")
    comparison = compare_anova_fits(base.fit, fault.plant(base), data=base.data)
    assert "Likelihood-ratio tests" in comparison.to_html()
    assert "degrees of freedom" in str(comparison)
    assert '"anova"' in comparison.to_json()


def test_a_candidate_that_fits_another_model_is_named_by_its_fit():
    base = anova_base("random slope")

    def candidate(formula, data, REML):
        return pyimpl.lmer(formula, data, REML=True)

    ml = [pyimpl.lmer(fit.formula, base.data, REML=False) for fit in base.fit]
    silently = [candidate(fit.formula, base.data, REML=False) for fit in base.fit]
    assert compare_anova_fits(ml, silently).agrees  # anova refits
    assert compare_anova_fits(ml, silently, refit=False).causes[0].name == "lrt-reml"


class SaysLess:
    """A fit that reports a lower log-likelihood than its own, and a larger σ."""

    def __init__(self, fit, larger=1.0):
        self._fit, self._larger = fit, larger

    def __getattr__(self, name):
        return getattr(self._fit, name)

    def logLik(self):
        return self._fit.logLik() - 1.0

    def deviance(self):
        return -2.0 * self.logLik()

    def AIC(self):
        return self._fit.AIC() + 2.0

    def BIC(self):
        return self._fit.BIC() + 2.0

    def sigma(self):
        return self._larger * self._fit.sigma()

    def refitML(self):
        return SaysLess(self._fit.refitML(), self._larger)


@pytest.mark.parametrize(("larger", "name"), [(1.01, "lrt-fit"), (1.0, "another-log-likelihood")])
def test_a_fit_that_differs_is_named_with_its_numbers(larger, name):
    base = anova_base("random slope")
    fits = [fit.update(data=base.data) for fit in base.fit]
    comparison = compare_anova_fits(base.fit, [fits[0], SaysLess(fits[1], larger)], data=base.data)
    assert comparison.verdict is Verdict.DISAGREES
    cause = comparison.causes[0]
    right = base.fit[1].refitML().logLik()
    assert cause.name == name
    assert base.fit[1].formula in cause.title
    if name == "another-log-likelihood":  # nothing else that follows from its θ differs
        assert "differs by 2.000" in cause.evidence
        return
    assert f"{right:.6f}" in cause.evidence
    assert f"{right - 1.0:.6f}" in cause.evidence


def test_tests_of_other_pairs_are_told_by_both_numbers():
    base = anova_base("three models")
    table = base.fit[0].anova(*base.fit[1:])
    first = table.iloc[0]
    against_first = table.assign(Chisq=2 * (table["logLik"] - first["logLik"]), Df=table["npar"] - first["npar"])
    against_first["Pr(>Chisq)"] = chi2.sf(against_first["Chisq"], against_first["Df"])
    against_first.loc[table.index[0], ["Chisq", "Df", "Pr(>Chisq)"]] = math.nan
    found = compare_anova_fits(base.fit, against_first).causes
    assert [cause.name for cause in found] == ["lrt-pairs"]
    assert "against" in found[0].evidence


def test_half_of_chi_square_with_two_degrees_of_freedom_is_an_f_statistic_too():
    base = anova_base("random slope")
    table = base.fit[0].anova(*base.fit[1:])
    (cause,) = compare_anova_fits(base.fit, table.assign(Chisq=table["Chisq"] / 2)).causes[:1]
    assert "without its factor 2 or that of an F test" in cause.title
