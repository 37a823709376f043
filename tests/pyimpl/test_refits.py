"""Refits: each is the fit of the new response, whatever the design; their engines' criteria are the ordinary one."""

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pyimpl.errors import ConvergenceWarning, DataError, ModelError, SingularFitWarning
from pyimpl.inference.at_optimum import RefittedModel, Refitter, warm_start
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.optimum import optimize
from pyimpl.likelihood.reduce import reduce_design
from pyimpl.likelihood.refit import Refits
from pyimpl.likelihood.responses import Responses
from pyimpl.models.lmer import LmerControl, fit_design, lmer
from tests.pyimpl.test_deviance import make_design


def _design(rng, codes, effects=None, P=2, weights=False):
    """A design with these levels of each term."""
    effects = effects or [1] * len(codes)
    levels = [int(one.max()) + 1 for one in codes]
    design = make_design(rng, n=codes[0].size, levels=levels, effects=effects, P=P, weights=weights)
    terms = [replace(term, codes=one.astype(np.intp)) for term, one in zip(design.terms, codes, strict=True)]
    return replace(design, terms=tuple(terms))


def _codes(rng, kind):
    i = np.arange(48)
    if kind == "crossed, balanced":
        return [i % 6, i // 6 % 4]
    if kind == "crossed, balanced, replicated":
        return [i % 4, i // 4 % 4, i // 16]
    if kind == "nested, balanced":
        return [i // 4, i // 12]
    inner = np.concatenate([np.arange(12), rng.integers(0, 12, 36)])
    outer = np.concatenate([np.arange(4), rng.integers(0, 4, 8)])
    if kind == "nested":
        return [inner, outer[inner]]
    if kind == "nested, outer first":
        return [outer[inner], inner]
    return [inner, rng.permutation(i % 5)]


def _outcome(fit):
    return (*fit.warnings, *fit.messages)


# terms' effects, columns of X, weights
_KINDS = {
    "one factor": ([1], 2, False),
    "one factor, weights, offset": ([1], 1, True),
    "one factor, wide": ([1], 9, True),
    "one factor, no X": ([1], 0, False),
    "slopes": ([2], 2, True),
    "three effects": ([3], 1, False),
    "crossed, balanced": ([1, 1], 2, False),
    "crossed, balanced, replicated": ([1, 1, 1], 3, False),
    "nested, balanced": ([1, 1], 2, False),
    "nested": ([1, 1], 2, True),
    "nested, outer first": ([1, 1], 9, False),
    "crossed": ([1, 1], 2, True),
    "crossed slopes": ([2, 1], 1, False),
    "crossed, sparse": ([1, 1], 2, False),
}


@pytest.mark.filterwarnings("ignore::pyimpl.errors.PyimplWarning")
@pytest.mark.parametrize("REML", [False, True])
@pytest.mark.parametrize("kind", _KINDS)
def test_a_refit_is_the_fit_of_the_new_response(kind, REML, monkeypatch):
    effects, P, weights = _KINDS[kind]
    # also where a model lacks its effects' means and would be fitted anew
    monkeypatch.setattr(Refitter, "several_minima", False)
    rng = np.random.default_rng(len(kind))
    codes = _codes(rng, kind)[: len(effects)]
    design = _design(rng, codes, effects, P, weights)
    fit = fit_design(design, REML)
    Z = np.hstack([np.eye(term.J)[term.codes] * term.columns[:, :1] for term in design.terms])
    singular = 0
    for sd in ((1.0, 1.0, 1.0), (0.0, 0.5, 0.3), None, (5.0, 0.0, 2.0)):
        y = rng.normal(size=48)
        if sd is None:
            y -= Z @ np.linalg.lstsq(Z, y)[0]  # levels do not differ at all
        else:
            y += sum(s * rng.normal(size=t.J)[t.codes] for s, t in zip(sd, design.terms, strict=False))
        y += 1e3 * bool(P)
        again = fit.refit(y)
        assert isinstance(again.model, RefittedModel)
        same_start = fit_design(replace(design, y=y), REML, start=warm_start(fit.model))
        fresh = fit_design(replace(design, y=y), REML)
        assert again.model.value == pytest.approx(same_start.model.value, rel=1e-10, abs=1e-9)
        assert again.model.value <= fresh.model.value + 1e-9 * abs(fresh.model.value)
        assert again.model.value == pytest.approx(again.model.objective(again.model.optsum.final), rel=1e-10)
        np.testing.assert_allclose(again.fixef(), same_start.fixef(), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(again.getME("theta"), same_start.getME("theta"), rtol=1e-5, atol=1e-6)
        assert _outcome(again) == _outcome(same_start)
        assert again.isSingular() == same_start.isSingular()
        assert again.model.optsum.boundary == same_start.model.optsum.boundary
        np.testing.assert_array_equal(again.getME("y"), y)
        singular += again.isSingular()
    assert singular  # the boundary was met


def test_a_refit_says_as_much_of_its_search_as_a_fit():
    rng = np.random.default_rng(8)
    design = _design(rng, _codes(rng, "nested"))
    fit = fit_design(design)
    y = rng.normal(size=48) + rng.normal(size=12)[design.terms[0].codes] + 2 * rng.normal(size=4)[design.terms[1].codes]
    again, objective = fit.refit(y), Objective(reduce_design(replace(design, y=y)), True)
    other = optimize(objective, [warm_start(fit.model)])
    summary = again.optinfo["summary"]
    assert summary.return_code == other.return_code == 0
    assert summary.evaluations == summary.gradients >= 2
    np.testing.assert_allclose(summary.hessian, other.hessian, rtol=1e-5)
    np.testing.assert_allclose(summary.information, summary.hessian, rtol=0.2, atol=0.2)  # corrected by its steps
    assert summary.prss == pytest.approx(other.prss)
    assert summary.initial_objective == pytest.approx(objective(warm_start(fit.model)), rel=1e-11)
    counts, values, _ = np.array(summary.log).T
    assert (np.diff(counts) > 0).all()
    assert (np.diff(values) <= 1e-9).all()
    assert values[-1] == pytest.approx(summary.final_objective)


@pytest.mark.filterwarnings("ignore::pyimpl.errors.PyimplWarning")
@pytest.mark.parametrize("seed", [64, 334, 598])
def test_a_minimum_on_the_boundary_is_no_trap(seed):
    """Exact Newton steps alone end on the boundary here, though the criterion is lower elsewhere."""
    rng = np.random.default_rng(seed)
    inner = np.concatenate([np.arange(12), rng.integers(0, 12, 18)])
    outer = np.concatenate([np.arange(4), rng.integers(0, 4, 8)])
    design = _design(rng, [inner, outer[inner]], P=int(rng.choice([1, 2, 9])))
    design = replace(design, terms=tuple(replace(t, columns=rng.normal(size=(30, 1))) for t in design.terms))
    y = rng.normal(size=30)
    y += rng.normal(size=12)[inner] * design.terms[0].columns[:, 0] * rng.choice([0, 1])
    y += 10 * rng.normal(size=4)[outer[inner]] * design.terms[1].columns[:, 0]
    fit = fit_design(design)
    again = fit.refit(y)
    assert again.model.value <= fit_design(replace(design, y=y)).model.value + 1e-9


def test_what_no_response_enters_is_that_of_the_start():
    """Refits keep it of their last start: it must be another's when they begin elsewhere."""
    rng = np.random.default_rng(12)
    design = _design(rng, _codes(rng, "crossed"), [2, 1])
    fit = fit_design(design)
    refits, values = fit.model.refitter.refits, []
    y = rng.normal(size=48) + 2 * rng.normal(size=12)[design.terms[0].codes]
    objective = Objective(refits.responses.blocks(y), True)
    for theta in ([1.0, 0.3, 0.5, 0.8], [0.4, -0.2, 1.5, 2.0], [1.0, 0.3, 0.5, 0.8]):
        minimum = refits.minimum(y, np.array(theta), 5000)
        summary = minimum.summary(objective, 5000)
        assert summary.initial_objective == pytest.approx(objective(np.array(theta)), rel=1e-12)
        values.append(summary.final_objective)
    np.testing.assert_allclose(values, values[0], rtol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1e-2, 0.0])
@pytest.mark.parametrize("share", [1.0, 0.1])
@pytest.mark.parametrize("effects", [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2), (2, 3)])
def test_gradients_whether_levels_meet_many_or_few(effects, share, scale):
    rng = np.random.default_rng(sum(effects))
    a, b = rng.integers(0, 24, 150), rng.integers(0, 20, 150)
    if share < 1.0:  # a level meets but its neighbours
        b = (a * 20 // 24 + rng.integers(0, 2, 150)) % 20
    a[:24], b[24:44] = np.arange(24), np.arange(20)
    objective = Objective(reduce_design(_design(rng, [a, b], list(effects))), True)
    n = objective.blocks.n_theta
    lower = objective.blocks.lower
    theta = np.where(lower == 0.0, rng.uniform(0.5, 1.5, n), rng.normal(size=n))
    last = objective.blocks.factors[1].theta
    theta[last] *= scale  # variances that are small, or 0
    value, gradient = objective.value_and_gradient(theta)
    assert value == pytest.approx(objective(theta), rel=1e-13)
    step = 1e-5
    for k in range(n):
        ahead, behind = theta.copy(), theta.copy()
        ahead[k] += step
        behind[k] -= step
        difference = (objective(ahead) - objective(behind)) / (2 * step)
        assert gradient[k] == pytest.approx(difference, rel=1e-6, abs=2e-6)


def test_a_search_that_is_cut_short_says_so():
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"y": rng.normal(size=60), "g": pd.Categorical((np.arange(60) % 10).astype(str))})
    data["y"] += rng.normal(size=10)[data["g"].cat.codes]
    with pytest.warns(ConvergenceWarning):
        fit = lmer("y ~ 1 + (1 | g)", data, control=LmerControl(max_evaluations=2))
    with pytest.warns(ConvergenceWarning, match="stopped after 2 evaluations"):
        fit.refit(3 * data["y"] + rng.normal(size=60))


def test_threads_share_a_fit_and_copies_are_fits():
    rng = np.random.default_rng(1)
    design = _design(rng, _codes(rng, "crossed"), [2, 1])
    fit = fit_design(design)
    responses = [rng.normal(size=48) + rng.normal(size=12)[design.terms[0].codes] for _ in range(40)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = [fit.refit(y) for y in responses]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(fit.refitted, responses))
    assert [one.model.value for one in alone] == [one.model.value for one in together]
    copy = pickle.loads(pickle.dumps(alone[0]))
    np.testing.assert_array_equal(copy.fixef(), alone[0].fixef())
    assert copy.refit(responses[1]).model.value == pytest.approx(alone[1].model.value, rel=1e-10)


@pytest.mark.filterwarnings("ignore::pyimpl.errors.SingularFitWarning")
def test_responses_of_all_forms_and_none():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"y": rng.normal(size=40), "g": pd.Categorical((np.arange(40) % 5).astype(str))})
    fit = lmer("y ~ 1 + (1 | g)", data)
    y = rng.normal(size=40) + np.arange(40) % 5
    value = fit.refit(y).REMLcrit()
    frame = pd.DataFrame({"sim_1": y})
    for form in (list(y), pd.Series(y), frame, [y], y.reshape(-1, 1), y[::-1][::-1]):
        assert fit.refit(form).REMLcrit() == value
    with pytest.raises(DataError, match=r"newresp has 2 columns; refit takes one response \(\[fit.refit\(y\) for"):
        fit.refit(frame.assign(sim_2=y))
    for bad in (np.nan, np.inf):
        with pytest.raises(DataError, match="missing or infinite"):
            fit.refit(np.where(np.arange(40) == 3, bad, y))
    with pytest.warns(SingularFitWarning):
        fit.refit(rng.normal(size=40) - 10 * (np.arange(40) % 5 == np.arange(40) // 8))
    with pytest.raises(ModelError, match="cannot be computed"):
        fit.refit(y * 1e160)  # squares overflow


def test_a_response_that_the_model_explains_is_said_to_be_so():
    rng = np.random.default_rng(4)
    design = _design(rng, _codes(rng, "one factor")[:1])
    fit = fit_design(design)
    y = 1e6 + design.X[:, 1] * 3.0 + rng.normal(size=48) * 1e-12
    with pytest.warns(ConvergenceWarning, match="essentially perfect fit"):
        again = fit.refit(y)
    assert any("perfect" in text for text in again.warnings)


def test_projections_that_leave_little_are_done_again():
    rng = np.random.default_rng(6)
    design = _design(rng, _codes(rng, "nested"), P=3)
    responses = Responses(design, reduce_design(design))
    y = design.X @ [1e8, 1e8, -1e8] + 1e4 * rng.normal(size=12)[design.terms[0].codes] + rng.normal(size=48)
    blocks, fresh = responses.blocks(y), reduce_design(replace(design, y=y))
    rest = blocks.fixed.residual
    np.testing.assert_allclose(blocks.fixed.basis.T @ rest, 0, atol=1e-10 * np.linalg.norm(rest))
    assert blocks.fixed.within[-1, -1] == pytest.approx(fresh.fixed.within[-1, -1], rel=1e-6)
    np.testing.assert_allclose(blocks.inner.C[..., -1], fresh.inner.C[..., -1], atol=1e-5)


def test_what_takes_no_compiled_search_is_fitted_as_ever(monkeypatch):
    rng = np.random.default_rng(7)
    design = _design(rng, _codes(rng, "crossed"))
    fit = fit_design(design)
    y = rng.normal(size=48) + rng.normal(size=12)[design.terms[0].codes]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fast = fit.refit(y)
        monkeypatch.setattr(Refits, "minimum", lambda *_: None)
        slow = fit.refit(y)
    assert not isinstance(slow.model, RefittedModel)
    assert slow.model.refitter.refits is fit.model.refitter.refits
    assert fast.logLik() == pytest.approx(slow.logLik(), rel=1e-12)


@pytest.mark.r
@pytest.mark.parametrize(
    "formula",
    ["y ~ x + (1 | a) + (1 | b)", "y ~ x + (1 | a:b) + (1 | a)", "y ~ x + (x | a)", "y ~ x + (x | a) + (1 | b)"],
)
def test_refits_are_those_of_tight_lme4(formula):
    from bridge import lme4

    rng = np.random.default_rng(9)
    a, b = np.divmod(np.arange(72) // 2, 6)
    data = pd.DataFrame(
        {"x": rng.normal(size=72), "a": pd.Categorical(a.astype(str)), "b": pd.Categorical(b.astype(str))}
    )
    data["y"] = data["x"] + rng.normal(size=6)[a] + rng.normal(size=6)[b] + rng.normal(size=72)
    data = data.drop(index=[3, 40])
    ours, theirs = lmer(formula, data, REML=False), lme4.lmer(formula, data, REML=False, control="tight")
    responses = ours.simulate(4, seed=2)
    responses["noise"] = rng.normal(size=70)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for y in responses.to_numpy().T:
            mine, other = ours.refit(y), theirs.refit(y)
            assert mine.deviance() <= other.deviance() + 1e-7
            assert mine.deviance() == pytest.approx(other.deviance(), abs=1e-5)
            np.testing.assert_allclose(mine.fixef(), other.fixef(), atol=1e-3 * mine.coef_table()["Std. Error"].max())
            assert mine.isSingular() == other.isSingular()


def test_a_search_that_stuck_is_done_from_all_starts(monkeypatch):
    rng = np.random.default_rng(31)
    a, b, x = rng.integers(0, 12, 150), rng.integers(0, 9, 150), rng.normal(size=150)
    data = pd.DataFrame({"x": x, "a": pd.Categorical(a), "b": pd.Categorical(b)})
    data["y"] = x + rng.normal(size=12)[a] + rng.normal(size=9)[b] + rng.normal(size=150)
    fit = lmer("y ~ x + (1 | a) + (1 | b)", data)
    y = fit.simulate(1, seed=5).iloc[:, 0].to_numpy()
    usual = fit.refit(y)
    assert isinstance(usual.model, RefittedModel)
    stuck = replace(usual.model.minimum, point=replace(usual.model.minimum.point, code=2))
    monkeypatch.setattr(Refits, "minimum", lambda *_: stuck)
    again = fit.refit(y)
    assert not isinstance(again.model, RefittedModel)
    assert not np.array_equal(again.model.optsum.initial, warm_start(fit.model))
    assert again.model.value == pytest.approx(usual.model.value, rel=1e-10)


def test_a_response_may_be_given_for_every_row_of_the_data_with_a_subset_too():
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"x": rng.normal(size=80), "g": np.arange(80) % 8})
    data["y"] = data["x"] + rng.normal(size=8)[data["g"]] + rng.normal(size=80)
    data.loc[[5, 50], "x"] = np.nan
    other = np.sin(np.arange(80)) + data["y"]
    for subset in ("x > -1", (data["g"] != 2).to_numpy(), [3, 1, *range(10, 60)]):
        fit = lmer("y ~ x + (1 | g)", data, subset=subset)
        direct = lmer("y ~ x + (1 | g)", data.assign(y=other), subset=subset)
        np.testing.assert_allclose(fit.refit(other).fixef(), direct.fixef(), rtol=1e-6)
        with pytest.raises(DataError, match="has 79 values"):
            fit.refit(other[:79])
