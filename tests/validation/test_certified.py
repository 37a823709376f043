"""Certified values on disk: what they hold, as a fit and as strings; what is refused."""

import json
import shutil
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from validation.cases import SUITE, certified_fit
from validation.certify import posteriors, scores
from validation.certify.integrals import Settings
from validation.certify.posteriors import KNOWN_TO, certify_posteriors
from validation.compare import compare, compare_fits
from validation.conformance.answer import AnswerError, as_fit
from validation.errors import NoReferenceError
from validation.references import certified
from validation.references.store import DIRECTORY, DamagedReferenceError

CASES = {case.name: case for case in SUITE}


def test_the_suite_is_there_by_both_criteria():
    names = certified.available()
    for stem in ("M1", "sleepstudy", "Dyestuff", "Dyestuff2"):
        assert {f"{stem}-ml", f"{stem}-reml"} <= set(names)
    assert set(names) <= CASES.keys()


@pytest.mark.parametrize("name", ["sleepstudy-reml", "Dyestuff2-ml", "sleepstudy-independent-ml", "Pastes-reml"])
def test_a_certified_fit_is_judged_as_any_other(name):
    case = CASES[name]
    data = case.load("recorded")
    result = compare_fits(certified_fit(name), lmer(case.formula, data, REML=case.REML), data=data)
    assert result.agrees, result.table[[verdict.failed for verdict in result.table["verdict"]]]


def test_values_have_their_digits():
    for name in certified.available():
        table = certified.load_certificate(name).table()
        assert list(table.columns) == ["quantity", "group", "term", "term2", "level", "value", "radius"]
        for value, radius in zip(table["value"], table["radius"], strict=True):
            assert Decimal(radius) <= abs(Decimal(value)) * Decimal("1e-15")


def test_a_shifted_value_of_a_certified_fit_is_caught():
    case = CASES["sleepstudy-ml"]
    data = case.load("recorded")
    fit = lmer(case.formula, data, REML=False)
    reference = certified_fit(case.name)
    reference.coefficients.loc["Days", "Estimate"] += 1e-3
    assert not compare_fits(reference, fit, data=data).agrees


def test_unknown_names_are_answered_with_those_that_there_are():
    with pytest.raises(LookupError, match="sleepstudy-reml"):
        certified_fit("sleepstudy")


def test_other_data_are_refused():
    data = CASES["Dyestuff-ml"].load("recorded")
    data.loc[0, "Yield"] += 1
    with pytest.raises(DamagedReferenceError, match="not those"):
        certified.load("Dyestuff-ml", data=data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("1527.5", "1527.6"),
        lambda text: json.dumps([1, 2]),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, damage):
    (tmp_path / certified.FOLDER).mkdir()
    path = tmp_path / certified.FOLDER / "Dyestuff-ml.json"
    shutil.copy(DIRECTORY / certified.FOLDER / path.name, path)
    assert certified_fit("Dyestuff-ml", tmp_path).nobs() == 30
    text = path.read_text("utf-8")
    assert damage(text) != text
    path.write_text(damage(text), encoding="utf-8")
    with pytest.raises(DamagedReferenceError, match="mlmparity certify"):
        certified_fit("Dyestuff-ml", tmp_path)


def test_a_certificate_written_and_read_is_the_same(tmp_path):
    first = certified.load_certificate("Penicillin-reml")
    certified.save(first, tmp_path)
    assert certified.load_certificate("Penicillin-reml", tmp_path) == first


def test_terms_of_one_factor_have_no_covariance_between_them():
    array = certified_fit("sleepstudy-independent-reml").ranef_condVar()["Subject"]
    assert np.isnan(array.values[:, 0, 1]).all()
    assert (array.values[:, [0, 1], [0, 1]] > 0).all()
    assert isinstance(certified_fit("Pastes-ml").ranef()["cask:batch"], pd.DataFrame)


def test_a_case_is_compared_against_its_certified_values():
    result = CASES["Dyestuff-reml"].compare(against="certified")
    assert result.agrees
    assert result.reference.kind == "certified"
    data = CASES["Dyestuff-reml"].load("recorded")
    assert compare("Yield ~ 1 + (1|Batch)", data, REML=False, against="certified").agrees
    with pytest.raises(NoReferenceError, match="no certified values"):
        compare("Yield ~ 1 + (1 | Batch)", data.iloc[:25], against="certified")
    with pytest.raises(NoReferenceError, match="likelihood"):
        compare("Yield ~ 1 + (1 | Batch)", data, bayes=True, against="certified")


# ---------------------------------------------------------------------------------------------------- digits


def test_digits_are_counted_on_the_worst_element_and_a_missing_one_is_seen():
    fit = certified_fit("sleepstudy-reml")
    assert set(scores.score(fit, "sleepstudy-reml").values()) == {15.0}
    fit.coefficients.loc["Days", "Estimate"] *= 1 + 1e-6
    fit.modes["Subject"].iloc[3, 1] += 1e-4 * fit.modes["Subject"].iloc[:, 1].abs().max()
    found = scores.score(fit, "sleepstudy-reml")
    assert found["β"] == pytest.approx(6, abs=0.01)
    assert found["BLUPs"] == pytest.approx(4, abs=0.01)
    assert found["SE"] == 15.0
    modes = {"Subject": fit.modes["Subject"].drop(columns="Days")}
    fewer = replace(fit, modes=modes, coefficients=fit.coefficients.drop(index="Days"))
    found = scores.score(fewer, "sleepstudy-reml")
    assert np.isnan(found["β"])
    assert np.isnan(found["BLUPs"])


def test_the_stored_digits_are_of_every_certified_case_that_r_was_asked_for():
    content = scores.load_scores()
    assert set(content["scores"]) <= set(certified.available())
    assert "sleepstudy-reml" in scores.markdown(content)
    assert "lme4" in content["provenance"]


@pytest.mark.r
def test_live_lme4_is_scored(tmp_path):
    certified.save(certified.load_certificate("Dyestuff-reml"), tmp_path)
    content = scores.score_cases([CASES["Dyestuff-reml"]], tmp_path)
    sides = content["scores"]["Dyestuff-reml"]
    assert list(sides) == list(scores.SIDES)
    assert sides["pyimpl"]["θ"] > 12
    assert 5 < sides["lme4"]["θ"] < 14
    assert scores.load_scores(tmp_path) == content


def test_no_scores_are_said():
    with pytest.raises(LookupError, match="--digits"):
        scores.load_scores(DIRECTORY / "certified")


# ---------------------------------------------------------------------------------------------------- posteriors


def one_way_by_another_quadrature(data: pd.DataFrame) -> tuple[float, dict[str, tuple[float, float]]]:
    """Log evidence, mean and sd of sigma and the variance, for y ~ 1 + (1 | g): Gauss-Legendre on a box, V in full.

    Priors of rstanarm: intercept N(mean y, (2.5 sd y)^2), sigma exponential with mean sd y, tau exponential.
    """
    y = data.iloc[:, 1].to_numpy(dtype=float)
    Z = (data.iloc[:, 0].to_numpy()[:, None] == data.iloc[:, 0].cat.categories.to_numpy()).astype(float)
    sd, n = y.std(ddof=1), y.size
    r = y - y.mean()
    nodes, weights = np.polynomial.legendre.leggauss(90)

    def panels(edges):
        pieces = [(0.5 * (b - a) * nodes + 0.5 * (a + b), 0.5 * (b - a) * weights) for a, b in pairwise(edges)]
        return np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces])

    s, ws = panels(np.log(sd) + np.array([-2.0, -0.5, 1.0, 3.5]))  # log sigma
    t, wt = panels(np.array([0.0, 0.7, 2.0, 6.0, 40.0]))  # tau
    values = np.empty((s.size, t.size))
    for k, tau in enumerate(t):
        # one eigendecomposition a tau serves every sigma: V/sigma^2 = I + tau^2 ZZ'; the intercept's part has rank one
        d, U = np.linalg.eigh(np.eye(n) + tau**2 * Z @ Z.T)
        one, e = U.T @ np.ones(n), U.T @ r
        a11, a1r, arr = (one**2 / d).sum(), (one * e / d).sum(), (e**2 / d).sum()
        sigma = np.exp(s)
        prior = (2.5 * sd) ** 2
        precision = a11 / sigma**2 + 1 / prior
        quadratic = arr / sigma**2 - (a1r / sigma**2) ** 2 / precision
        log_det = np.log(d).sum() + 2 * n * s + np.log(prior * precision)
        likelihood = -0.5 * (n * np.log(2 * np.pi) + log_det + quadratic)
        values[:, k] = likelihood - sigma / sd - np.log(sd) + s - tau
    top = values.max()
    w = np.exp(values - top) * ws[:, None] * wt
    total = w.sum()

    def moments(x):
        mean = (w * x).sum() / total
        return mean, np.sqrt((w * (x - mean) ** 2).sum() / total)

    sigma = np.exp(s)[:, None] * np.ones_like(t)
    return top + np.log(total), {"sigma": moments(sigma), "Sigma": moments((sigma * t) ** 2)}


@pytest.mark.parametrize("name", ["Dyestuff", "Dyestuff2"])
def test_another_quadrature_gives_the_same_posterior(name):
    posterior = certified.load_posterior(f"{name}-bayes")
    log_evidence, moments = one_way_by_another_quadrature(CASES[f"{name}-ml"].load("recorded"))
    assert abs(log_evidence - posterior.log_evidence) < 1e-9
    table = posterior.posterior_summary()
    for label, parameter in (("sigma", "sigma"), ("Sigma", "Sigma[Batch:(Intercept),(Intercept)]")):
        row = table.loc[parameter]
        assert abs(moments[label][0] - row["mean"]) < 1e-8 * row["sd"]
        assert abs(moments[label][1] - row["sd"]) < 1e-7 * row["sd"]


def test_posteriors_hold_what_is_known_well_and_nothing_else():
    assert {"M1-bayes", "M2-bayes", "Dyestuff-bayes"} <= set(certified.available_posteriors())
    for name in certified.available_posteriors():
        table = certified.load_posterior(name).posterior_summary()
        for statistic in ("mean", "sd", "q2.5", "q50", "q97.5"):
            known = table[statistic].notna()
            assert (table.loc[known, f"mcse_{statistic}"] <= KNOWN_TO * table.loc[known, "sd"] * 1.01).all()


def test_posteriors_are_written_once_and_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(posteriors, "STEPS", {2: 0.4})
    monkeypatch.setattr(posteriors, "SINGLE", Settings(digits=6.0, point_digits=8.0))
    case = CASES["anova-6x5-ml"]
    (path,) = certify_posteriors((case, CASES["anova-6x5-reml"]), tmp_path)
    assert path.name == "anova-6x5-bayes.json"
    assert certify_posteriors((case,), tmp_path) == []
    again, first = certified.load_posterior("anova-6x5-bayes", tmp_path), certified.load_posterior("anova-6x5-bayes")
    assert again.log_evidence == pytest.approx(first.log_evidence, abs=1e-6)
    path.write_text(path.read_text("utf-8").replace("1", "2", 1), encoding="utf-8")
    with pytest.raises(DamagedReferenceError):
        certified.load_posterior("anova-6x5-bayes", tmp_path)
    with pytest.raises(LookupError, match="anova-6x5-bayes"):
        certified.load_posterior("M1-bayes", tmp_path)


STRUCTURED = [case for case in SUITE if "structured" in case.needs]


@pytest.mark.parametrize("case", STRUCTURED, ids=lambda case: case.name)
def test_structured_covariances_have_certified_values(case):
    data = case.load("recorded")
    fit = lmer(case.formula, data, REML=case.REML)
    result = compare_fits(certified_fit(case.name), fit, data=data)
    assert result.agrees, result.table[[verdict.failed for verdict in result.table["verdict"]]]
    assert {"par", "structures", "theta", "ranef", "condsd"} <= set(result.table["quantity"])


def test_another_structure_or_correlation_disagrees_with_the_certified_one():
    case = CASES["ar1-one-sd-ml"]
    data = case.load("recorded")
    fit = lmer("y ~ wave + cs(0 + wave | child, hom = TRUE)", data, REML=False)
    assert not compare_fits(certified_fit(case.name), fit, data=data).agrees
    reference = certified_fit(case.name)
    reference.par["child.rho"] += 1e-3
    right = lmer(case.formula, data, REML=False)
    assert not compare_fits(reference, right, data=data).agrees


def test_an_answer_may_say_its_structures():
    case = CASES["cs-ml"]
    data = case.load("recorded")
    fit = lmer(case.formula, data, REML=False)
    answer = {
        "fixef": fit.fixef(),
        "se": fit.coef_table()["Std. Error"],
        "sigma": fit.sigma(),
        "VarCorr": fit.VarCorr(),
        "theta": fit.getME("theta"),
        "par": fit.getME("par"),
        "structures": fit.getReCovs(),
        "devfun": fit.devfun,
        "ranef": fit.ranef(),
        "logLik": fit.logLik(),
        "nobs": fit.nobs(),
    }

    def verdicts(**changes):
        given = as_fit({**answer, **changes}, case.formula, data, False)
        table = compare_fits(certified_fit(case.name), given, data=data).table
        return {name: rows["verdict"].map(str).tolist() for name, rows in table.groupby("quantity")}

    right = verdicts()
    assert all(set(right[name]) == {"agrees"} for name in ("par", "structures", "objective", "theta"))
    wrong = verdicts(par=fit.getME("par") * [1, 1, 1, 1, 1.1], structures=fit.getReCovs().assign(structure="ar1"))
    assert all("disagrees" in wrong[name] for name in ("par", "structures"))
    with pytest.raises(AnswerError, match="columns structure, hom, nc"):
        as_fit({**answer, "structures": ["cs"]}, case.formula, data, False).getReCovs()
