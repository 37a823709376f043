"""Satterthwaite, Kenward-Roger, F tests of terms and leverage against lmerTest, pbkrtest and lme4.

R's numbers are in ``data/small_sample.json.gz``, made by ``data/make_small_sample.R``; ours are computed at R's θ, so
that only the methods are compared, not the optimizers. lmerTest's derivatives are difference quotients.
"""

import gzip
import json
import subprocess
import warnings
from copy import copy
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from pyimpl.errors import ConvergenceWarning, DataError, ModelError, RankDeficientWarning
from pyimpl.inference import derivatives
from pyimpl.inference.derivatives import covariance_derivatives
from pyimpl.inference.estimates import infer
from pyimpl.inference.small_sample import restriction_matrix
from pyimpl.models.lmer import LmerFit, lmer

DATA = Path(__file__).parent / "data"
RECORD = json.loads(gzip.decompress((DATA / "small_sample.json.gz").read_bytes()))
CASES = RECORD["cases"]
NUMDERIV = 1e-6  # relative error of lmerTest's Richardson quotients; 2e-7 seen
ROUNDED = 2e-5  # lmerTest rounds type III contrasts to six or seven digits where the coding is not treatment contrasts


def _name(case):
    return f"{case['frame']}-{case['formula']}-{'REML' if case['REML'] else 'ML'}{'-w' if case['weights'] else ''}"


def _that_have(part):
    return pytest.mark.parametrize("case", [case for case in CASES if part in case], ids=_name)


every = pytest.mark.parametrize("case", CASES, ids=_name)


@cache
def _frame(name):
    columns = {}
    for label, column in RECORD["frames"][name].items():
        if "codes" in column:
            levels = pd.Index(column["levels"], dtype=object)
            columns[label] = pd.Categorical.from_codes(column["codes"], levels, ordered=column["ordered"])
        else:
            columns[label] = column["values"]
    return pd.DataFrame(columns)


def _lmer(case, **changes):
    arguments = {"REML": case["REML"], "weights": case["weights"], "offset": case["offset"], **changes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lmer(case["formula"], _frame(case["frame"]), contrasts=case["contrasts"], **arguments)


@cache
def _at_theta(index):
    """Our fit of a case, moved to R's θ."""
    return _moved(_lmer(CASES[index]), CASES[index])


def _moved(fit, case):
    model = copy(fit.model)
    model.estimates = infer(model.design, model.reduced, model.objective.solve(np.array(case["theta"])), case["REML"])
    return LmerFit(model, fit.call, fit.source, fit.control)


def _ours(case):
    return _at_theta(CASES.index(case))


def _table(part):
    return pd.DataFrame(
        np.array(part["values"], dtype=float).reshape(len(part["rows"]), len(part["columns"])),
        index=part["rows"],
        columns=part["columns"],
    )


def _assert_tables(ours, theirs, rtol):
    assert list(ours.index) == list(theirs.index)
    assert list(ours.columns) == list(theirs.columns)
    for column in theirs.columns:
        # a p value changes with df much faster than df itself
        wide = 30 if column.startswith("Pr") else 1
        np.testing.assert_allclose(ours[column], theirs[column], rtol=wide * rtol, atol=1e-14, err_msg=column)


def _check_influence(fit, case):
    index = _frame(case["frame"]).index
    for ours, theirs in ((fit.hatvalues(), "hat"), (fit.cooks_distance(), "cooks"), (fit.rstudent(), "rstudent")):
        assert ours.index.equals(index)
        np.testing.assert_allclose(ours, case[theirs], rtol=1e-8, atol=1e-10, err_msg=theirs)
    H = fit.hat_matrix().to_numpy()
    np.testing.assert_allclose(H[[0, 16]], case["hat_rows"], rtol=1e-8, atol=1e-11)
    np.testing.assert_allclose(np.diag(H), fit.hatvalues(), rtol=1e-10)


def _check_kenward_roger(fit, case):
    np.testing.assert_allclose(fit.vcovAdj(), case["vcovAdj"], rtol=1e-7, atol=1e-12)
    _assert_tables(fit.kenward_roger(), _table(case["kenward_roger"]), 1e-7)
    for term, test in case.get("KRmodcomp", {}).items():
        small = _lmer({**case, "formula": f"{case['formula']} - {term}"})
        _assert_tables(fit.KRmodcomp(small), _table(test), 1e-7)


@every
def test_influence(case):
    _check_influence(_ours(case), case)


@_that_have("satterthwaite")
def test_satterthwaite(case):
    _assert_tables(_ours(case).satterthwaite(), _table(case["satterthwaite"]), NUMDERIV)


@pytest.mark.parametrize("type_", ["I", "II", "III"])
@every
def test_f_tests_of_terms(case, type_):
    fit = _ours(case)
    rounded = type_ == "III" and "anova III unrounded" in case
    if f"anova {type_}" in case:
        _assert_tables(fit.anova(type=type_), _table(case[f"anova {type_}"]), ROUNDED if rounded else NUMDERIV)
    if f"anova KR {type_}" in case:
        theirs = _table(case[f"anova KR {type_}"])
        _assert_tables(fit.anova(type=type_, ddf="Kenward-Roger"), theirs, ROUNDED if rounded else 1e-7)
    if rounded:
        _assert_tables(fit.anova(type=type_), _table(case["anova III unrounded"]), NUMDERIV)


@_that_have("kenward_roger")
def test_kenward_roger(case):
    _check_kenward_roger(_ours(case), case)


@pytest.mark.parametrize(
    "case", [c for c in CASES if "vcovAdj" in c and not c["REML"] and c["frame"] == "uneven"], ids=_name
)
def test_kenward_roger_of_a_maximum_likelihood_fit_is_that_of_the_reml_fit(case):
    fit = _lmer(case)
    # R's refit ends where its default optimizer does
    np.testing.assert_allclose(fit.vcovAdj(), case["vcovAdj"], rtol=2e-3, atol=1e-3)
    pd.testing.assert_frame_equal(fit.kenward_roger(), _lmer(case, REML=True).kenward_roger(), rtol=1e-5)
    for term, test in case.get("KRmodcomp", {}).items():
        np.testing.assert_allclose(fit.KRmodcomp(f". ~ . - {term}"), _table(test), rtol=2e-3)
    if fit.design.term_labels:
        with pytest.raises(ModelError, match="only available for REML"):
            fit.anova(ddf="Kenward-Roger")


PRINTED = [c for c in CASES if "printed" in c and len(_table(c["anova III"])) and "anova III unrounded" not in c]


@pytest.mark.parametrize("case", PRINTED, ids=_name)
def test_the_printed_table_is_lmertests(case):
    assert str(_ours(case).anova(type="III")) == case["printed"].rstrip()


@pytest.mark.r
def test_live_r(tmp_path):
    """The same comparison with R as it is here; lmerTest's and pbkrtest's part where they are installed."""
    out = tmp_path / "live.json"
    subprocess.run(["Rscript", "--vanilla", DATA / "make_small_sample.R", out, "2"], check=True, timeout=120)
    live = json.loads(out.read_text())
    assert len(live["cases"]) == 2
    for case in live["cases"]:
        fit = _moved(_lmer(case), case)
        _check_influence(fit, case)
        assert ("satterthwaite" in case) == ("lmerTest" in live["versions"])
        if "satterthwaite" in case:
            _assert_tables(fit.satterthwaite(), _table(case["satterthwaite"]), NUMDERIV)
            if case["REML"]:
                _check_kenward_roger(fit, case)


def _sleep(**changes):
    return lmer("Reaction ~ Days * f + (Days | Subject)", _frame("uneven"), **changes)


@pytest.mark.parametrize("REML", [True, False])
def test_derivatives_are_those_of_the_criterion(REML):
    fit = _sleep(REML=REML)
    hessian, jacobian = covariance_derivatives(fit.design, fit.model.estimates).by_theta_sigma(REML)
    # with sigma profiled out it is the Hessian of devfun
    profiled = hessian[:-1, :-1] - np.outer(hessian[:-1, -1], hessian[:-1, -1]) / hessian[-1, -1]
    np.testing.assert_allclose(profiled, fit.optinfo["Hessian"], rtol=1e-6, atol=1e-5)
    theta, h = fit.getME("theta").to_numpy(), 1e-5
    for k in range(3):
        ends = [
            infer(fit.design, fit.model.reduced, fit.model.objective.solve(theta + step * np.eye(3)[k]), REML)
            for step in (h, -h)
        ]
        slope = np.subtract(*(end.vcov / end.sigma**2 for end in ends)) / (2 * h) * fit.sigma() ** 2
        np.testing.assert_allclose(jacobian[k], slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max())
    np.testing.assert_allclose(jacobian[-1], 2 * fit.vcov() / fit.sigma(), rtol=1e-10)


def test_groups_of_rows_make_no_difference(monkeypatch):
    case = next(c for c in CASES if c["formula"].endswith("(0 + temp | cook)"))
    results = []
    for size in (1, 10_000):
        monkeypatch.setattr(derivatives, "_GROUP", size)
        fit = _lmer(
            {**case, "formula": "angle ~ recipe + temp + (1 | recipe:replicate) + (0 + temp | recipe:replicate)"}
        )
        results.append(np.concatenate([fit.satterthwaite()["df"], fit.kenward_roger()["df"], fit.hatvalues()]))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-8)


def test_weights_are_the_unweighted_fit_of_scaled_rows():
    data = _frame("uneven").copy()
    root = np.sqrt(data["w"])
    data = data.assign(y=root * data["Reaction"], one=root, day=root * data["Days"])
    weighted = lmer("Reaction ~ Days + (Days | Subject)", data, weights="w")
    scaled = lmer("y ~ 0 + one + day + (0 + one + day | Subject)", data)
    for table in ("satterthwaite", "kenward_roger", "vcovAdj", "hat_matrix"):
        ours, theirs = getattr(weighted, table)(), getattr(scaled, table)()
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-10, err_msg=table)


def test_a_fit_that_is_no_minimum_warns():
    # R's default optimizer stops where the Hessian has a negative eigenvalue, and lmerTest warns so
    case = next(c for c in CASES if c["formula"].endswith("(0 + temp | cook)") and c["REML"])
    with pytest.warns(ConvergenceWarning, match="failed to converge with 1 negative eigenvalue"):
        _moved(_lmer(case), case).satterthwaite()


def test_another_theta_is_noticed():
    case = next(c for c in CASES if c["frame"] == "uneven" and c["REML"])
    moved = {**case, "theta": (np.array(case["theta"]) * 1.001).tolist()}
    fit = _moved(_lmer(case), moved)
    with pytest.raises(AssertionError):
        _assert_tables(fit.satterthwaite(), _table(case["satterthwaite"]), NUMDERIV)
    with pytest.raises(AssertionError):
        _check_influence(fit, case)
    with pytest.raises(AssertionError):
        _check_kenward_roger(fit, case)


def test_hypotheses_as_a_matrix():
    fit = _sleep()
    L = np.eye(6)[[4, 5]]
    expected = fit.KRmodcomp(". ~ . - Days:f")
    pd.testing.assert_frame_equal(fit.KRmodcomp(L), expected, rtol=1e-8)
    pd.testing.assert_frame_equal(fit.KRmodcomp(np.vstack([L, L.sum(axis=0)])), expected, rtol=1e-8)
    pd.testing.assert_frame_equal(_sleep().update(". ~ . - Days:f").KRmodcomp(fit), expected, rtol=1e-8)
    at_estimate = fit.KRmodcomp(L, betaH=fit.fixef().to_numpy())
    assert at_estimate.loc["Ftest", "stat"] == 0
    assert at_estimate.loc["Ftest", "p.value"] == 1
    for bad, text in ((np.eye(5), "needs 6 columns"), (np.zeros(6), "no row"), (np.full(6, np.nan), "missing")):
        with pytest.raises(DataError, match=text):
            fit.KRmodcomp(bad)
    with pytest.raises(DataError, match="betaH"):
        fit.KRmodcomp(L, betaH=np.zeros(2))
    with pytest.raises(ModelError, match="not nested"):
        fit.KRmodcomp("Reaction ~ late + (Days | Subject)")
    with pytest.raises(ModelError, match="not nested"):
        fit.KRmodcomp(". ~ .")
    with pytest.raises(ModelError, match="same data"):
        restriction_matrix(np.eye(4)[:, :2], np.eye(3)[:, :1])


def test_refusals_of_the_f_table():
    fit = _sleep()
    with pytest.raises(DataError, match="type must be"):
        fit.anova(type="IV")
    with pytest.raises(DataError, match="ddf must be"):
        fit.anova(ddf="Wald")
    with pytest.raises(DataError, match="one model"):
        fit.anova(fit, type="II")


@pytest.mark.parametrize("type_", ["I", "II", "III"])
def test_a_term_without_columns_is_missing(type_):
    data = _frame("uneven").assign(twice=lambda d: 2 * d["Days"])
    with pytest.warns(RankDeficientWarning):
        fit = lmer("Reaction ~ Days + f + twice + (1 | Subject)", data)
    table = fit.anova(type=type_)
    assert list(table.index) == ["Days", "f", "twice"]
    assert table.loc["twice"].isna().all()
    without = lmer("Reaction ~ Days + f + (1 | Subject)", data).anova(type=type_)
    np.testing.assert_allclose(table.iloc[:2], without, rtol=1e-6)


def test_na_exclude_pads_and_no_fixed_effects_have_no_tests():
    data = _frame("uneven").copy()
    data.loc[data.index[3], "Reaction"] = np.nan
    hat = lmer("Reaction ~ Days + (Days | Subject)", data, na_action="na.exclude").hatvalues()
    assert len(hat) == len(data)
    assert np.flatnonzero(hat.isna()).tolist() == [3]
    none = lmer("Reaction ~ 0 + (1 | Subject)", _frame("uneven"))
    assert none.satterthwaite().shape == (0, 5)
    assert len(none.anova(type="III")) == 0
    assert none.hatvalues().between(0, 1).all()


def test_too_many_connected_effects_are_refused(monkeypatch):
    monkeypatch.setattr(derivatives, "MAX_CONNECTED", 10)
    assert len(_sleep().satterthwaite()) == 6  # 17 subjects of two effects each: not connected
    case = next(c for c in CASES if c["frame"] == "Pen")
    with pytest.raises(ModelError, match="hang together"):
        _lmer(case).hatvalues()


@pytest.mark.filterwarnings("ignore")
def test_infinite_degrees_of_freedom_have_the_chi_square_s_tail():
    """Rows that repeat each other leave no residual variance, and so nothing that degrees of freedom could count."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(list("abcdefgh"), 2), "f": np.repeat(list("abcabcab"), 2)})
    frame["x"], frame["y"] = (np.repeat(rng.normal(size=8), 2) for _ in range(2))
    table = lmer("y ~ f + x + (1 | g)", frame).anova(type="III", ddf="Satterthwaite")
    assert np.isinf(table.loc["f", "DenDF"])
    F, p = table.loc["f", ["F value", "Pr(>F)"]]
    assert p == pytest.approx(chi2.sf(2 * F, 2))
