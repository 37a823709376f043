"""Structured covariances judged: the judge's own algebra of them, fits told apart, and why they differ."""

import gzip
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pyimpl
from pyimpl.covariance.structures import covariance_of
from validation import compare_fits
from validation.algebra import pieces_of, solve
from validation.covariances import STRUCTURES, Structure
from validation.faults.bases import BaseFit
from validation.faults.thin import compare_thinly
from validation.intervals import judge_intervals, tidy_intervals
from validation.references.recorded import RecordedLmerFit
from validation.verdict import Verdict

RECORD = json.loads(gzip.decompress((Path(__file__).parents[1] / "pyimpl/data/structured.json.gz").read_bytes()))
KINDS = [(name, hom) for name in STRUCTURES for hom in ((False, True) if name != "us" else (False,))]


def frame(name):
    data = pd.DataFrame(RECORD["frames"][name])
    for column in ("Subject", "third", "half"):
        data[column] = pd.Categorical(data[column], dict.fromkeys(data[column].sort_values()))
    return data


@pytest.fixture(scope="module")
def sleep():
    data = frame("sleepstudy")
    return data.assign(part=pd.cut(data["Days"], 3, labels=["early", "middle", "late"]))


@pytest.fixture(scope="module")
def fits(sleep):
    """A fit of every structure of three correlated effects."""
    return {
        (name, hom): pyimpl.lmer(
            f"Reaction ~ Days + {name}(0 + part | Subject{f', hom = {hom}'.upper() if name != 'us' else ''})".replace(
                "HOM", "hom"
            ),
            sleep,
        )
        for name, hom in KINDS
    }


@pytest.mark.parametrize(("name", "hom"), KINDS)
@pytest.mark.parametrize("p", [1, 2, 4])
def test_two_derivations_of_a_structure_are_one(name, hom, p):
    """The judge's, from a correlation matrix, and pyimpl's, from closed forms."""
    ours, theirs = Structure(name, hom), covariance_of(name, p, hom)
    assert ours.n_par(p) == theirs.n_par
    low, high = np.array(ours.bounds(p)).T
    np.testing.assert_allclose(low, theirs.lower)
    np.testing.assert_allclose(high, theirs.upper)
    rng = np.random.default_rng(p)
    for _ in range(5):
        par = np.where(np.isinf(high), np.abs(rng.normal(size=low.size)), rng.uniform(np.maximum(low, -1), 1))
        T = np.zeros((p, p))
        for (row, column), value in zip(theirs.places, theirs.elements(par), strict=True):
            T[row, column] = value
        np.testing.assert_allclose(ours.template(par, p), T, atol=1e-12)
        np.testing.assert_allclose(ours.theta(par, p), theirs.theta(par), atol=1e-12)
        np.testing.assert_allclose(ours.parameters(T @ T.T), par, rtol=1e-6, atol=1e-7)


def test_a_matrix_without_the_structure_has_no_parameters():
    matrix = np.array([[1.0, 0.5, 0.1], [0.5, 1.0, 0.5], [0.1, 0.5, 1.0]])
    assert Structure("us").parameters(matrix) is not None
    for name, hom in KINDS[1:]:
        assert Structure(name, hom).parameters(matrix) is None
    with pytest.raises(ValueError, match="the judge knows us, diag, cs, ar1"):
        Structure("toeplitz")


def test_what_is_on_the_boundary():
    unit = np.array([1.0, 0.5, 2.0])
    assert Structure("cs").on_boundary(np.array([1.0, 1e-5, 1.0, -0.5]), unit).tolist() == [False, True, False, True]
    assert Structure("ar1", True).on_boundary(np.array([1.0, 1.0]), unit).tolist() == [False, True]
    assert not Structure("ar1", True).on_boundary(np.array([1.0, 0.99]), unit).any()


@pytest.mark.parametrize("model", RECORD["models"], ids=[model["formula"] for model in RECORD["models"]])
def test_the_algebra_gives_lme4s_criterion_at_its_parameters(model):
    """lme4 2.1-0's par, the judge's algebra: a third opinion of each structure."""
    weights = "w" if model["weighted"] else None
    pieces = pieces_of(pyimpl.lmer(model["formula"], frame(model["data"]), model["REML"], weights=weights))
    par = np.array(model["par"]["values"])
    assert solve(pieces, par, model["REML"]).objective == pytest.approx(model["criterion"], rel=1e-9)
    if pieces.structured:
        np.testing.assert_allclose(pieces.elements(par), model["theta"]["values"], rtol=1e-5, atol=1e-8)
        assert list(pieces.element_names) == model["theta"]["names"]


@pytest.mark.parametrize(("name", "hom"), KINDS)
def test_a_right_fit_agrees_in_every_tier(fits, sleep, name, hom):
    fit = fits[name, hom]
    comparison = compare_fits(fit, fit, data=sleep)
    assert [str(check.verdict) for check in comparison.checks] == ["agrees"] * 5, comparison
    assert ("structures" in set(comparison.table["quantity"])) == (name != "us")
    judged = comparison.table[comparison.table["quantity"].isin(["theta", "par"])]
    assert (judged["unit"] == "standard errors").all()


@pytest.mark.parametrize(("name", "hom"), KINDS)
def test_a_parameter_that_is_off_is_seen(fits, sleep, name, hom):
    """By a tenth of a standard error, in what the objective takes."""
    right = RecordedLmerFit.of(fits[name, hom], live=True)
    pieces = pieces_of(right)
    par = (right.theta if right.par is None else right.par) * 1.02
    solution = solve(pieces, par.to_numpy(), True)
    wrong = replace(right, par=par, theta=pd.Series(pieces.elements(par.to_numpy()), right.theta.index))
    comparison = compare_fits(right, wrong, data=sleep)
    assert comparison.verdict.failed
    assert solution.objective > -2 * right.logLik() + 1e-6
    failed = comparison.table[[verdict.failed for verdict in comparison.table["verdict"]]]
    assert "theta" in set(failed["quantity"])


@pytest.mark.parametrize(
    ("reference", "candidate"),
    [(("ar1", True), ("cs", True)), (("cs", False), ("ar1", False)), (("us", False), ("diag", False))],
)
def test_another_structure_is_told_apart(fits, sleep, reference, candidate):
    comparison = compare_fits(fits[reference], fits[candidate], data=sleep)
    assert comparison.verdict.failed
    assert comparison.causes[0].name == "covariance-structure"
    assert candidate[0] in comparison.causes[0].evidence


@pytest.mark.parametrize("thin", [pytest.param("fixef, se, logLik", marks=pytest.mark.slow), "components"])
@pytest.mark.parametrize(
    ("reference", "candidate", "cause"),
    [
        (("ar1", True), ("cs", True), "covariance-structure"),
        (("diag", False), ("us", False), "covariance-structure"),
        (("us", False), ("diag", False), "correlation-lost"),
    ],
)
def test_another_structure_is_proved_through_thin_candidates(fits, sleep, reference, candidate, cause, thin):
    """They do not say which structure they have: the judge computes the others, and finds their numbers."""
    right = RecordedLmerFit.of(fits[reference], live=True)
    base = BaseFit("structured", str(fits[reference].formula), sleep, True, right)
    comparison = compare_thinly(base, RecordedLmerFit.of(fits[candidate], live=True), thin)
    assert comparison.verdict.failed
    assert comparison.causes[0].name == cause, comparison
    assert "digits or more" in comparison.causes[0].evidence


def test_who_does_not_know_structures_is_told_so(fits, sleep):
    class Older:
        def __getattr__(self, name):
            if name == "getReCovs":
                raise AttributeError(name)
            return getattr(fits["cs", False], name)

    comparison = compare_fits(fits["cs", False], Older(), data=sleep)
    row = comparison.table.set_index("quantity").loc["structures"]
    assert row["verdict"].failed
    assert "getReCovs" in row["reason"]


@pytest.mark.parametrize(("name", "hom"), KINDS)
def test_how_the_search_ended_is_told_by_parameter(fits, name, hom):
    fit = fits[name, hom]
    ended = fit.optinfo
    pd.testing.assert_series_equal(ended["val"], fit.getME("par"), check_names=False)
    assert list(ended["gradient"].index) == list(ended["Hessian"].index) == list(fit.getME("par").index)


def test_a_frozen_fit_keeps_its_structure(fits):
    fit = RecordedLmerFit.of(fits["ar1", True])
    assert fit.getReCovs().iloc[0].tolist() == ["ar1", True, 3]
    assert fit.getME("par").tolist() == fits["ar1", True].getME("par").tolist()
    assert not fit.isSingular()
    assert replace(fit, par=fit.par * [1.0, 0.0] + [0.0, 1.0]).isSingular()
    assert math.isclose(fit.getME("lower").iloc[1], -1.0)
    free = RecordedLmerFit.of(fits["us", False])
    assert free.getReCovs()["structure"].tolist() == ["us"]


def test_intervals_of_structured_fits_are_joined_by_what_they_are(fits):
    fit = fits["ar1", True]
    table = pd.DataFrame(
        {"2.5 %": [1.0, -0.5, 2.0, 0.0, 0.0], "97.5 %": [2.0, 0.5, 3.0, 1.0, 1.0]},
        index=[".sig01", ".sig02", ".sigma", "(Intercept)", "Days"],
    )
    tidy = tidy_intervals(table, fit)
    assert tidy[["quantity", "term", "lower"]].iloc[:2].to_numpy().tolist() == [
        ["sd", "*", 1.0],
        ["correlation", "rho", -0.5],
    ]
    rows = judge_intervals(tidy, tidy.assign(lower=tidy["lower"] + [0.0, 0.1, 0.0, 0.0, 0.0]))
    assert [row.quantity for row in rows if row.verdict.failed] == ["correlation"]


def test_a_structured_model_that_the_data_do_not_determine_is_undetermined():
    """One row a cell: the residual variance and that of each cell are told apart by the correlation alone."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame([(g, t) for g in range(12) for t in range(3)], columns=["g", "t"])
    data["y"] = rng.normal(size=12)[data["g"]] + rng.normal(size=len(data))
    data = data.assign(g=pd.Categorical(data["g"].astype(str)), t=pd.Categorical(data["t"].astype(str)))
    free = pyimpl.LmerControl(check_nobs_vs_nRE="ignore")
    pieces = pieces_of(pyimpl.lmer("y ~ 1 + cs(0 + t | g, hom = TRUE)", data, control=free))
    total = np.array([[1.3, 0.4, 0.4], [0.4, 1.3, 0.4], [0.4, 0.4, 1.3]])
    cs = Structure("cs", True)
    ends = [cs.parameters(total / s2 - np.eye(3)) for s2 in (0.3, 0.8)]
    values = [solve(pieces.freed, pieces.between(*ends, share), True).objective for share in np.linspace(0, 1, 5)]
    assert np.ptp(values) < 1e-9


def test_independent_effects_have_the_correlation_0_also_without_a_variance(sleep):
    rng = np.random.default_rng(1)
    noise = sleep.assign(y=rng.normal(size=len(sleep)), z=rng.normal(size=len(sleep)))
    fit = pyimpl.lmer("y ~ 1 + diag(1 + Days + z | Subject)", noise)
    table = fit.VarCorr()
    assert (table["vcov"] == 0.0).any()
    assert (table.loc[table["var2"].notna(), "sdcor"] == 0.0).all()


@pytest.fixture(scope="module")
def visits():
    """One observation of each effect a level: the residual variance is not told from the effects' own."""
    rng = np.random.default_rng(11)
    shared = np.repeat(rng.normal(0, 5, 30), 4)
    return pd.DataFrame(
        {
            "y": shared + rng.normal(0, 4, 120),
            "visit": pd.Categorical(np.tile(list("abcd"), 30)),
            "who": pd.Categorical(np.repeat(np.arange(30), 4).astype(str)),
        }
    )


@pytest.mark.parametrize(
    ("term", "start"),
    [("cs(0 + visit | who, hom = TRUE)", [0.5, 0.2]), ("diag(0 + visit | who)", [3.0, 3.0, 3.0, 3.0])],
)
@pytest.mark.filterwarnings("ignore::pyimpl.errors.PyimplWarning")
def test_what_one_observation_of_each_effect_leaves_open_is_inconclusive(visits, term, start):
    first, second = (pyimpl.lmer(f"y ~ 1 + {term}", visits, start=one) for one in (None, start))
    assert abs(second.sigma() / first.sigma() - 1.0) > 0.01  # else this tests nothing
    comparison = compare_fits(first, second)
    assert comparison.verdict is Verdict.INCONCLUSIVE, comparison
    sigma = second.sigma()
    second.sigma = lambda: 1.001 * sigma
    assert compare_fits(first, second).verdict is Verdict.DISAGREES


class _Nowhere:
    """A fit whose objective has no value where a correlation is 1, as lme4 2.1-0's of cs()."""

    def __init__(self, fit, off=0.0):
        self._fit, self._off = fit, off

    def __getattr__(self, name):
        return getattr(self._fit, name)

    def devfun(self, theta):
        value = self._fit.devfun(theta)
        return math.nan if self._off == 0.0 and np.asarray(theta)[0] == 0.0 else value + self._off


def test_where_the_reference_has_no_value_the_judge_has_one(fits):
    right = fits["cs", False]
    assert compare_fits(_Nowhere(right), right).agrees
    comparison = compare_fits(_Nowhere(right), _Nowhere(right, 1e-3))
    row = comparison.table.query("quantity == 'objective' and reference.isna()").iloc[0]
    assert row["verdict"] is Verdict.DISAGREES
    assert "judge's own algebra gives" in row["reason"]
