"""Enclosed posteriors: the bounds hold and are needed, and what is stored is recomputed by programs of another kind."""

import math
from dataclasses import replace
from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import pandas as pd
import pytest
from flint import arb, ctx
from scipy.stats import norm
from typer.testing import CliRunner

from pyimpl.design.checks import STAN_LMER_CHECKS
from pyimpl.design.design import Design, build_design
from validation.certify import integrals, posteriors
from validation.certify.enclose import NotCertifiedError
from validation.certify.integrals import (
    CollapsedModel,
    Integrals,
    NotEnclosedError,
    Settings,
    share_below,
)
from validation.certify.posteriors import compared, statistics
from validation.certify.recompute import one_term
from validation.certify.remainder import Axis, Shape, axis, bounds
from validation.certify.scores import load_posterior_scores, score_summary
from validation.cli import app
from validation.references import certified
from validation.suite import SUITE

CASES = {case.name: case for case in SUITE}

#: As fine as a quick test allows.
QUICK = Settings(digits=5.0, point_digits=7.0)


def unbalanced() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(6), [3, 5, 4, 6, 3, 5])
    x = rng.normal(size=g.size).round(3)
    h = np.array(["a", "b", "c"])[rng.integers(0, 3, g.size)]
    y = 2 + x + rng.normal(size=6)[g] * 2 + rng.normal(size=g.size)
    return pd.DataFrame({"y": y.round(4), "x": x, "g": pd.Categorical([f"L{i}" for i in g]), "h": pd.Categorical(h)})


def designed(formula: str) -> Design:
    return build_design(formula, unbalanced(), checks=STAN_LMER_CHECKS)


ONE, CROSSED = "y ~ x + (1 | g)", "y ~ x + (1 | g) + (1 | h)"


@cache
def rough(formula: str) -> posteriors.Estimates:
    """Estimates by a coarser lattice than that of the stored ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posteriors, "STEPS", {2: 0.4, 3: 0.8})
        patch.setattr(posteriors, "DROP", 14.0)
        patch.setattr(posteriors, "NEARER_DROP", 13.0)
        found = posteriors.estimate(designed(formula))
    assert found is not None
    return found


@cache
def balls(formula: str, settings: Settings) -> dict[tuple[str, str], object]:
    design, estimates = designed(formula), rough(formula)
    with ctx.workprec(128):
        model = CollapsedModel(design)
        found = Integrals(model, estimates.log_evidence, settings)
        rows = statistics(design, found, estimates)
        return {(parameter, statistic): ball for parameter, statistic, ball in rows}


# ------------------------------------------------------------------------------------------------- the density


@pytest.mark.parametrize("formula", [ONE, CROSSED])
def test_the_density_is_that_of_stan_lmer(formula):
    """log f at several points by balls, against the collapsed density that is checked against rstan."""
    design = designed(formula)
    density = posteriors.default_density(design)
    model = CollapsedModel(design)
    rng = np.random.default_rng(1)
    for _ in range(5):
        u = rng.normal(size=density.dim) * 0.7
        sigma = float(density.values(u[None]).sigma[0])
        node = model.node([arb(float(t)).exp() for t in u[1:]])
        inverse = 1 / arb(sigma) ** 2
        p = model.p
        A = np.array([[float(node.XX[i, j] * inverse) + (i == j) for j in range(p)] for i in range(p)])
        h = np.array([float(node.Xr[i, 0] * inverse) for i in range(p)])
        sd_y = float(model.sd_y)
        value = -design.N * (math.log(sigma) + 0.5 * math.log(2 * math.pi)) - 0.5 * float(node.log_det)
        value += -0.5 * np.linalg.slogdet(A)[1] - 0.5 * (float(node.rr * inverse) - h @ np.linalg.solve(A, h))
        value += math.log(sigma / sd_y) - sigma / sd_y + (u[1:] - np.exp(u[1:])).sum()
        assert value == pytest.approx(float(density.log_density(u[None])[0]), rel=1e-11)


def test_the_least_residual_sum_of_squares_is_that_of_least_squares():
    for formula in (ONE, CROSSED, "y ~ x + (1 | g) + (0 + x | g)"):
        design = designed(formula)
        XZ = np.hstack([design.X, design.Z.toarray()])
        rest = design.y - XZ @ np.linalg.lstsq(XZ, design.y, rcond=None)[0]
        assert float(CollapsedModel(design).least_rss) == pytest.approx(rest @ rest, rel=1e-10)


def test_terms_of_several_effects_are_refused():
    with pytest.raises(NotEnclosedError, match="several effects"):
        CollapsedModel(designed("y ~ x + (x | g)"))
    with pytest.raises(NotEnclosedError, match="intercept"):
        CollapsedModel(designed("y ~ 0 + x + (1 | g)"))


# --------------------------------------------------------------------------------------------------- the bounds


@pytest.mark.parametrize("half_lines", [False, True])
@pytest.mark.parametrize("step", [0.3, 0.5, 0.8])
def test_the_errors_of_the_step_are_bounded(step, half_lines):
    """A normal density, whose integral over the line turned by a is exp(a²/2): sums at every offset."""
    a = np.linspace(0.1, 20, 400)
    M = np.exp(a**2 / 2)
    points = (-1.3, 0.0, 0.4, 2.0)
    if half_lines:
        bound = (M * step * (1 + np.pi) / (np.pi**2 * a * np.sinh(np.pi * a / step))).min()
    else:
        bound = (2 * M / np.expm1(2 * np.pi * a / step)).min()
    worst = 0.0
    for offset in np.linspace(0, 1, 7):
        s = step * (np.arange(-60, 61) + offset)
        f = norm.pdf(s) * step
        for x in points:
            error = f @ shares_below(x, s, step) - norm.cdf(x) if half_lines else f.sum() - 1
            worst = max(worst, abs(error))
    assert worst <= bound * 1.0001 + 1e-15
    assert worst > 1e-3 * bound or bound < 1e-13  # the bound is not idle


def shares_below(x: float, s: np.ndarray, step: float) -> np.ndarray:
    return np.array([float(share_below(arb(x - at), arb(step))) for at in s])


def test_steps_are_as_wide_as_the_errors_allow():
    for loss, half_lines in ((3.0, False), (3.0, True), (40.0, False)):
        found = axis(loss, -20.0, half_lines)
        assert (found.log_half if half_lines else found.log_whole) == pytest.approx(-20.0, abs=0.2)
        assert 0 < found.rate < 1
        assert axis(loss, -40.0, half_lines).step < found.step


def test_the_bound_over_sigma_is_its_integral_and_its_tails():
    shape = Shape(20, 0.3, -0.2)
    step, r2 = 0.05, 30.0
    grid = np.arange(-200, 200)
    for power in (0, 4):
        values = np.exp([shape._log_G(r2, step * k, power) for k in grid])
        assert step * values.sum() == pytest.approx(math.exp(shape.log_integral(r2, power)), rel=1e-9)
        assert values.max() / (step * values.sum()) <= shape.peak_share(power) * 1.0001
    both = sum(np.exp([shape._log_G(r2, step * k, power) for k in grid]) for power in (0, 4))
    first, last = shape.window(r2, 12.0, step)
    outside = step * both[(grid < first) | (grid > last)].sum()
    assert outside <= math.exp(shape.beyond(r2, first, last, step)) <= 5 * outside
    with pytest.raises(ValueError, match="peak"):
        shape.beyond(r2, last + 10, last + 20, step)


def test_the_bound_over_tau_is_above_any_sum():
    """Cells of a coarse lattice, against a fine sum over a density that G bounds."""
    shape = Shape(20, 0.0, 0.0)
    along = Axis(0.2, -40.0, -20.0, 0.4)
    tau = np.exp(0.2 * np.arange(-60, 22))

    def log_det(t):
        return 3 * np.log1p(5 * t**2)

    def r2(t):
        return 20 + 30 / (1 + 5 * t**2)

    found = bounds(shape, [tau], [along], log_det(np.concatenate([[0.0], tau])), r2(tau), 20.0)
    t = 0.01 * np.arange(-2000, 600)
    for power in (0, 1, 2, 4):
        body = shape.log_both(r2(np.exp(t))) - 0.5 * log_det(np.exp(t)) + (1 + power) * t - 0.4 * np.exp(t)
        fine = 0.01 * np.exp(body).sum()
        assert fine <= math.exp(found[0, power][0]) <= 3 * fine
        beyond = 0.01 * np.exp(body[(t < -12.0) | (t > 0.2 * 21)]).sum()
        assert beyond <= math.exp(found[0, power][1]) * 1.0001
    with pytest.raises(ValueError, match="too near"):
        bounds(shape, [tau[:50]], [along], log_det(np.concatenate([[0.0], tau[:50]])), r2(tau[:50]), 20.0)


def test_coarse_balls_hold_the_fine_values():
    coarse, fine = balls(ONE, Settings(2.0, point_digits=5.0)), balls(ONE, QUICK)
    assert coarse.keys() == fine.keys()
    assert all(ball.overlaps(fine[key]) for key, ball in coarse.items())
    assert sum(ball.contains(fine[key]) for key, ball in coarse.items()) > 0.9 * len(coarse)


def test_the_integrals_of_all_coefficients_have_the_remainder():
    with ctx.workprec(128):
        model, settings = CollapsedModel(designed(ONE)), Settings(2.0, point_digits=5.0)
        found = Integrals(model, rough(ONE).log_evidence, settings)
        least = 0.99 * found.remainder * float(found.total.mid())
    assert len(found.x.entries()) == 2
    assert all(float(value.rad()) > least for value in (*found.x.entries(), *found.xx.entries()))


def test_crossed_terms_are_enclosed():
    with ctx.workprec(128):
        settings = Settings(2.0, half_lines=False, point_digits=5.0)
        found = Integrals(CollapsedModel(designed(CROSSED)), rough(CROSSED).log_evidence, settings)
        mean = found.moment(1) / found.total
    assert abs(mean.mid() - rough(CROSSED).rows["sigma", "mean"][0]) < mean.rad() < 0.1


def test_without_the_remainder_they_do_not(monkeypatch):
    """Sums with too wide a step whose error is taken for nothing: the balls miss, so the bounds are needed."""
    fine = balls(ONE, QUICK)
    with ctx.workprec(128), monkeypatch.context() as patch:
        patch.setattr(integrals, "axis", lambda *args, **more: Axis(0.5, -1000.0, -1000.0, 0.4))
        model = CollapsedModel(designed(ONE))
        found = Integrals(model, rough(ONE).log_evidence, QUICK)
        assert found.remainder < 1e-5
        assert not (found.moment(1) / found.total).overlaps(fine["sigma", "mean"])


def test_too_many_values_of_tau_are_refused():
    with pytest.raises(NotEnclosedError, match="at most 10"):
        Integrals(CollapsedModel(designed(ONE)), rough(ONE).log_evidence, Settings(6.0, most_nodes=10))


# ------------------------------------------------------------------------------------------ stored and recomputed


def test_what_is_proved_is_said_of_each_number():
    for name in certified.available_posteriors():
        posterior = certified.load_posterior(name)
        how = posterior.proof[certified.ENCLOSED]
        assert posterior.count(certified.ENCLOSED) + posterior.count(certified.ESTIMATED) == len(posterior.rows)
        if posterior.proof["dimensions"] == 2 and "why not" not in how:
            assert posterior.count(certified.ESTIMATED) == 0
            assert {row[1] for row in posterior.rows if row[0] == "sigma"} == {"mean", "sd", "q2.5", "q50", "q97.5"}
        if not posterior.count(certified.ENCLOSED):
            assert how["why not"]
    assert certified.load_posterior("M3-bayes").count(certified.ENCLOSED) == 0


@cache
def quick_posterior() -> tuple[certified.CertifiedPosterior, Design]:
    design, estimates = designed(ONE), rough(ONE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posteriors, "SINGLE", Settings(20.0, half_lines=False, point_digits=7.0))
        rows, how = posteriors.enclose_posterior(design, estimates)
    return certified.CertifiedPosterior("quick", ONE, "", tuple(rows), {certified.ENCLOSED: how}), design


def shifted(
    posterior: certified.CertifiedPosterior, parameter: str, statistic: str, by: str
) -> certified.CertifiedPosterior:
    with localcontext() as context:
        context.prec = 60
        rows = [
            (*row[:2], str(Decimal(row[2]) + Decimal(by)), *row[3:]) if row[:2] == (parameter, statistic) else row
            for row in posterior.rows
        ]
    assert rows != list(posterior.rows)
    return replace(posterior, rows=tuple(rows))


@pytest.mark.slow  # 10 s
def test_two_other_programs_confirm_it_and_see_a_wrong_digit():
    posterior, design = quick_posterior()
    programs = rough(ONE), dict(one_term(design))
    right = compared(posterior, *programs)
    assert right.passed, right.failures
    assert right.figures["precise"] > 15
    assert (right.figures["values"], right.figures["alone"]) == (len(posterior.rows), 0)
    for parameter, statistic, by in (
        ("log evidence", "value", "1e-11"),
        ("x", "sd", "1e-11"),
        ("b[(Intercept) g:L3]", "mean", "-1e-11"),
        ("sigma", "q97.5", "0.1"),
    ):
        wrong = compared(shifted(posterior, parameter, statistic, by), *programs)
        assert len(wrong.failures) == 1
        assert parameter in wrong.failures[0]
    unknown = replace(posterior, rows=(*posterior.rows, ("zeta", "mean", "1", "0", certified.ENCLOSED)))
    assert "no such number" in compared(unknown, *programs).failures[0]


def test_what_nothing_recomputes_does_not_count_as_confirmed():
    row = ("b[(Intercept) g:L3]", "sd", "1.5", "1e-9", certified.ENCLOSED)
    known = ("sigma", "mean", "2", "1e-9", certified.ENCLOSED)
    posterior = certified.CertifiedPosterior("several terms", "", "", (row, known))
    rough_rows = {row[:2]: (math.nan, math.nan), known[:2]: (2.0, 1e-9)}
    found = compared(posterior, posteriors.Estimates(rough_rows, {}, 0.0, 3, 1, 0.1), {})
    assert found.passed
    assert (found.figures["values"], found.figures["alone"]) == (1, 1)


def test_the_check_of_the_command_fails_on_a_wrong_posterior(tmp_path, monkeypatch):
    monkeypatch.setattr(posteriors, "STEPS", {2: 0.4})
    runner = CliRunner()
    case = CASES["anova-6x5-ml"]
    certified.save(certified.load_certificate(case.name), tmp_path)
    stored = certified.load_posterior("anova-6x5-bayes")
    arguments = ["certify", case.name, "--check", "--directory", str(tmp_path)]
    certified.save(shifted(stored, "sigma", "mean", "1e-11"), tmp_path)
    wrong = runner.invoke(app, arguments)
    assert wrong.exit_code == 1
    assert "anova-6x5-bayes: NOT confirmed\n  mean of sigma" in wrong.output
    assert runner.invoke(app, [*arguments, "--no-bayes"]).exit_code == 0


def test_nothing_is_written_that_contradicts_the_estimates(monkeypatch):
    posterior, _ = quick_posterior()
    estimates = rough(ONE)
    row = posterior.row("sigma", "mean")
    assert not posteriors.contradiction(row, estimates)
    wrong = (*row[:2], "1.5", *row[3:])
    assert "mean of sigma: 1.5" in posteriors.contradiction(wrong, estimates)
    monkeypatch.setattr(posteriors, "estimate", lambda design: estimates)
    monkeypatch.setattr(posteriors, "enclose_posterior", lambda design, estimates, progress: ([wrong], {}))
    with pytest.raises(NotCertifiedError, match="mean of sigma"):
        posteriors.certify_posterior(CASES["anova-6x5-ml"])


# ------------------------------------------------------------------------------------------------- judging


def test_a_sampler_is_judged_by_z_and_a_shift_is_seen():
    posterior = certified.load_posterior("M1-bayes")
    summary = posterior.posterior_summary()
    rng = np.random.default_rng(2)
    for statistic in ("mean", "sd", "q2.5", "q50", "q97.5"):
        summary[f"mcse_{statistic}"] = 0.02 * summary["sd"]
        summary[statistic] += summary[f"mcse_{statistic}"] * rng.normal(size=len(summary))
    right = score_summary(summary, posterior)
    assert right["numbers"] == len(posterior.rows) - 1
    assert right["rms z"] == pytest.approx(1, abs=0.2)
    assert right["largest z"] < right["limit"]
    summary.loc["sigma", "mean"] += 0.2 * summary.loc["sigma", "sd"]
    wrong = score_summary(summary, posterior)
    assert wrong["largest z"] > wrong["limit"]
    with pytest.raises(LookupError, match="sigma"):
        score_summary(summary.drop(index="sigma"), posterior)


def test_the_stored_scores_are_of_enclosed_posteriors():
    scores = load_posterior_scores()
    assert {"M1-bayes", "M2-bayes"} <= scores.keys()
    for name, sides in scores.items():
        assert certified.load_posterior(name).count(certified.ENCLOSED)
        assert sides["sampler"]["largest z"] < sides["sampler"]["limit"]
    assert "rstanarm" in scores["M1-bayes"]
