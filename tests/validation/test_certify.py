"""The proof of certified values: by closed forms, by a plain program in V, and by faults that it must not let pass."""

import json
from dataclasses import replace
from fractions import Fraction

import mpmath
import numpy as np
import pandas as pd
import pytest
from flint import arb, ctx
from typer.testing import CliRunner

from pyimpl.design.design import build_design
from pyimpl.frame.model_frame import FrameArguments
from pyimpl.models.lmer import fit_design
from validation.cases import Case
from validation.certify.command import chosen
from validation.certify.criterion import exact_sums
from validation.certify.enclose import Enclosure, NotCertifiedError, Problem, Term, enclose, prove_only, terms_of
from validation.certify.recompute import recompute
from validation.certify.run import certify, certify_case, check_case
from validation.cli import app
from validation.covariances import FREE, Structure
from validation.references import certified
from validation.suite import SUITE, balanced_anova

CASES = {case.name: case for case in SUITE}
ONE = (Term(FREE, 1),)


def slopes_data() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(7), [3, 5, 4, 6, 3, 5, 4])
    x = rng.normal(size=g.size).round(3)
    y = 2 + x + rng.normal(size=7)[g] * 2 + x * rng.normal(size=7)[g] + rng.normal(size=g.size)
    return pd.DataFrame({"y": y.round(4), "x": x, "g": pd.Categorical([f"L{i}" for i in g])})


def proved(case: Case) -> tuple:
    design = build_design(case.formula, case.load("recorded"))
    fit = fit_design(design, case.REML)
    sums = exact_sums(design)
    with ctx.workprec(256):
        enclosure = enclose(sums.balls(), case.REML, terms_of(design), fit.getME("theta").to_numpy())
    return design, fit, sums, enclosure


# ------------------------------------------------------------------------------------- a plain program, in V


class PlainV:
    """Mixed models as the textbook writes them: V = I + ZΛΛ'Z', generalised least squares; 60 digits."""

    def __init__(self, certificate: certified.Certificate, data: pd.DataFrame) -> None:
        design = build_design(certificate.formula, data)
        self.design, self.reml = design, certificate.reml
        self.y = mpmath.matrix([mpmath.mpf(v) for v in design.y])
        self.X = mpmath.matrix(design.X.tolist())
        self.Z = mpmath.matrix(design.Z.toarray().tolist())

    def solve(self, theta: list) -> tuple:
        rest = iter(theta)
        q = self.Z.cols
        Lambda = mpmath.zeros(q, q)
        start = 0
        for term in self.design.terms:
            places = [(i, j) for j in range(term.p) for i in range(j, term.p)]
            values = [next(rest) for _ in places]
            for level in range(term.J):
                for (i, j), value in zip(places, values, strict=True):
                    Lambda[start + level * term.p + i, start + level * term.p + j] = value
            start += term.J * term.p
        ZL = self.Z * Lambda
        V = ZL * ZL.T + mpmath.eye(len(self.y))
        inverse = V**-1
        XtV = self.X.T * inverse
        unscaled = (XtV * self.X) ** -1
        beta = unscaled * (XtV * self.y)
        r = self.y - self.X * beta
        Vr = inverse * r
        r2 = (r.T * Vr)[0]
        n, p = len(self.y), self.X.cols
        df = n - p if self.reml else n
        value = mpmath.log(mpmath.det(V)) + df * (1 + mpmath.log(2 * mpmath.pi * r2 / df))
        if self.reml:
            value -= mpmath.log(mpmath.det(unscaled))
        return value, beta, mpmath.sqrt(r2 / df), unscaled, Lambda * (ZL.T * Vr)


@pytest.mark.parametrize("name", ["Dyestuff-reml", "Dyestuff2-ml", "slopes"])
def test_a_plain_program_at_another_precision_gives_the_same(name):
    if name == "slopes":
        case = Case.of("slopes-reml", "y ~ x + (x | g)", slopes_data())
        certificate, data = certify_case(case), case.load("recorded")
    else:
        certificate, data = certified.load_certificate(name), CASES[name].load("recorded")
    table = certificate.table()
    with mpmath.workdps(60):
        plain = PlainV(certificate, data)
        rows = {q: [mpmath.mpf(v) for v in table.loc[table["quantity"] == q, "value"]] for q in set(table["quantity"])}
        theta = rows["theta"]
        value, beta, sigma, inverse, b = plain.solve(theta)

        def near(x, stored):
            return abs(x - stored) <= mpmath.mpf("1e-17") * max(abs(stored), mpmath.mpf("1e-3"))

        assert near(value, rows["REMLcrit" if certificate.reml else "deviance"][0])
        assert near(sigma, rows["sigma"][0])
        assert all(near(x, c) for x, c in zip(beta, rows["fixef"], strict=True))
        assert all(near(sigma * mpmath.sqrt(inverse[i, i]), c) for i, c in enumerate(rows["se"]))
        p = plain.design.terms[0].p
        by_effect = [b[level * p + k] for k in range(p) for level in range(plain.design.terms[0].J)]
        assert all(near(x, c) for x, c in zip(by_effect, rows["ranef"], strict=True))
        if theta[0]:  # the derivative along some direction of no symmetry
            along = [mpmath.mpf(v) for v in ("1", "0.3", "-0.7")]
            moved = [
                [x + s * d for x, d in zip(theta, along, strict=False)]
                for s in (mpmath.mpf("1e-15"), -mpmath.mpf("1e-15"))
            ]
            assert abs(plain.solve(moved[0])[0] - plain.solve(moved[1])[0]) < 1e-40


@pytest.mark.parametrize("name", ["anova-6x5", "anova-30x4"])
def test_a_balanced_one_way_layout_has_its_closed_form(name):
    """Searle, Casella & McCulloch (1992), section 3.7: MSW and (MSA − MSW)/n; ML divides SSA by the groups."""
    data = CASES[f"{name}-ml"].load("recorded")
    groups = [[Fraction(float(v)) for v in part] for _, part in data.groupby("group", observed=True)["y"]]
    a, n = len(groups), len(groups[0])
    means = [sum(part) / n for part in groups]
    grand = sum(means) / a
    within = sum((y - m) ** 2 for part, m in zip(groups, means, strict=True) for y in part) / (a * (n - 1))
    between = n * sum((m - grand) ** 2 for m in means)
    for suffix, divisor in (("ml", a), ("reml", a - 1)):
        certificate = certified.load_certificate(f"{name}-{suffix}")
        variance = (between / divisor - within) / n
        expected = {
            ("variance", ("Residual", None)): within,
            ("variance", ("group", "(Intercept)")): variance,
            ("fixef", (None, "(Intercept)")): grand,
            ("vcov", (None, "(Intercept)")): (within + n * variance) / (a * n),
        }
        for quantity, group, term, _, _, text, radius in certificate.rows:
            if (quantity, (group, term)) in expected:
                assert abs(Fraction(text) - expected.pop((quantity, (group, term)))) <= Fraction(radius)
        assert not expected


# ------------------------------------------------------------------------------------- exact sums, derivatives


def test_sums_are_exact_with_weights_and_offset_too():
    data = slopes_data()
    rng = np.random.default_rng(8)
    weights, offset = rng.uniform(0.5, 2, len(data)), rng.normal(size=len(data))
    design = build_design("y ~ x + (1 | g) + (0 + x | g)", data, FrameArguments(weights, offset))
    sums = exact_sums(design)
    y = [Fraction(float(a)) - Fraction(float(b)) for a, b in zip(design.y, offset, strict=True)]
    w = [Fraction(float(value)) for value in weights]
    x = [Fraction(float(value)) for value in data["x"]]

    def fraction(value):
        return Fraction(int(value.p), int(value.q))

    assert fraction(sums.C[1, 2]) == sum(a * b * c for a, b, c in zip(w, x, y, strict=True))
    assert len(sums.blocks) == 7
    rows = [i for i, code in enumerate(design.terms[0].codes) if code == 0]
    (block,) = [b for b in sums.blocks if (0, 0, 0) in b.columns]
    i, j = block.columns.index((0, 0, 0)), block.columns.index((1, 0, 0))
    assert fraction(block.A[i, j]) == sum(w[r] * x[r] for r in rows)
    assert fraction(block.B[j, 2]) == sum(w[r] * x[r] * y[r] for r in rows)


@pytest.mark.parametrize(
    ("term", "parameters"),
    [
        ("(x | g)", [0.8, -0.3, 0.6]),
        ("cs(0 + f | g)", [0.8, 0.6, 1.1, 0.4]),
        ("cs(0 + f | g, hom = TRUE)", [0.8, -0.2]),
        ("ar1(0 + f | g)", [0.8, 0.6]),
        ("ar1(0 + f | g, hom = FALSE)", [0.8, 0.6, 1.1, -0.4]),
        ("diag(0 + f | g)", [0.8, 0.6, 1.1]),
        ("diag(0 + f | g, hom = TRUE)", [0.7]),
    ],
)
@pytest.mark.parametrize("reml", [True, False])
def test_gradient_and_hessian_are_those_of_the_criterion(reml, term, parameters):
    data = slopes_data()
    data["f"] = pd.Categorical.from_codes(np.arange(30) // 2 % 3, ["a", "b", "c"])
    design = build_design(f"y ~ x + {term}", data, FrameArguments(weights=np.linspace(0.5, 2, 30)))
    fit = fit_design(design, reml)
    sums = exact_sums(design)
    with ctx.workprec(400):
        free = Problem(sums.balls(), reml, terms_of(design))
        theta = [arb(v) for v in parameters]
        found = free.evaluate(theta, range(len(theta)))
        assert float(found.value.mid()) == pytest.approx(fit.devfun(parameters), rel=1e-13)
        h = arb(2) ** -100

        def at(**moves):
            moved = [value + h * moves.get(f"t{k}", 0) for k, value in enumerate(theta)]
            return free.evaluate(moved).value

        for j in range(len(parameters)):
            slope = (at(**{f"t{j}": 1}) - at(**{f"t{j}": -1})) / (2 * h)
            assert abs(slope - found.gradient[j]) < 1e-25
            for k in range(j):
                corners = [s * u * at(**{f"t{j}": s, f"t{k}": u}) for s in (1, -1) for u in (1, -1)]
                assert abs(sum(corners) / (4 * h * h) - found.hessian[j, k]) < 1e-25


# ------------------------------------------------------------------------------------- the proof can fail


def test_a_variance_that_is_not_zero_is_not_proved_to_be():
    _, _, sums, _ = proved(CASES["Dyestuff-ml"])
    with ctx.workprec(256), pytest.raises(NotCertifiedError, match="not positive"):
        enclose(sums.balls(), False, ONE, np.zeros(1))


def test_a_saddle_or_maximum_is_not_taken_for_a_minimum():
    # by symmetry θ = 0 is stationary; where the variance is not 0 it is a maximum
    _, _, sums, _ = proved(CASES["Dyestuff-ml"])
    with ctx.workprec(256), pytest.raises(NotCertifiedError):
        enclose(sums.balls(), False, ONE, np.array([1e-30]))


def test_a_singular_term_of_several_effects_is_refused_in_words():
    for term, start in (
        (Term(FREE, 2), [1.0, 0.5, 0.0]),
        (Term(Structure("cs", True), 3), [1.0, -0.5]),
        (Term(Structure("ar1", True), 2), [0.0, 0.3]),
        (Term(Structure("diag", False), 2), [1.0, 0.0]),
    ):
        with pytest.raises(NotCertifiedError, match="several effects is singular"):
            enclose(None, True, (term,), np.array(start))


def test_the_only_minimum_is_proved_and_another_would_be_seen():
    _, _, sums, enclosure = proved(CASES["Dyestuff-reml"])
    with ctx.workprec(128):
        assert prove_only(sums, enclosure)[1] == ""
        # without its box of uniqueness the minimum itself is another stationary point that is not accounted for
        elsewhere = replace(enclosure, par=(enclosure.par[0] * 3,))
        assert "undecided" in prove_only(sums, elsewhere)[1]
        at_zero = Enclosure(enclosure.problem, (arb(0),), (True,), 0.0, (), (1.0,))
        assert "undecided" in prove_only(sums, at_zero)[1]


def test_the_search_is_for_one_term_only():
    _, _, sums, enclosure = proved(CASES["Pastes-ml"])
    assert prove_only(sums, enclosure) == (0, "θ has several elements")


# ------------------------------------------------------------------------------------- the recomputation can fail


def shifted(certificate, quantity, factor):
    rows = list(certificate.rows)
    k = next(i for i, row in enumerate(rows) if row[0] == quantity)
    with mpmath.workdps(50):
        rows[k] = (*rows[k][:5], mpmath.nstr(mpmath.mpf(rows[k][5]) * mpmath.mpf(factor), 45), rows[k][6])
    return replace(certificate, rows=tuple(rows))


@pytest.mark.parametrize(("quantity", "factor"), [("theta", "1.00000000000000000001"), ("condsd", "1.000000000000001")])
def test_a_shifted_value_is_caught_by_the_recomputation(quantity, factor):
    certificate = certified.load_certificate("Pastes-reml")
    design = build_design(certificate.formula, CASES["Pastes-reml"].load("recorded"))
    assert recompute(certificate, design).passed
    found = recompute(shifted(certificate, quantity, factor), design)
    assert not found.passed
    assert any(quantity in text or "Newton" in text for text in found.failures)


SMALL = [case for case in SUITE if case.name in certified.available() and len(case.load("recorded")) < 300]


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_what_is_stored_is_certified_on_the_design_of_today(case):
    found = check_case(case)
    assert found.passed, found.failures[:3]


def test_missing_rows_and_wrong_objectives_are_caught():
    certificate = certified.load_certificate("Dyestuff-ml")
    design = build_design(certificate.formula, CASES["Dyestuff-ml"].load("recorded"))
    assert any(
        "missing" in text for text in recompute(replace(certificate, rows=certificate.rows[1:]), design).failures
    )
    name, theta, value, radius = certificate.points[1]
    wrong = replace(certificate, points=((name, theta, value[:-4] + "1111", radius),))
    assert any("objective" in text for text in recompute(wrong, design).failures)
    at_bound = certified.load_certificate("Dyestuff2-ml")
    lifted = [(*row[:5], "0", "0") if row[0] == "theta" else row for row in certificate.rows]
    found = recompute(replace(certificate, rows=tuple(lifted)), design)
    assert any("does not rise" in text for text in found.failures)
    other = build_design(at_bound.formula, CASES["Dyestuff2-ml"].load("recorded"))
    assert recompute(at_bound, other).passed


# ------------------------------------------------------------------------------------- the command


def test_finished_cases_are_kept_and_damaged_ones_made_anew(tmp_path):
    case = CASES["anova-6x5-ml"]
    (path,) = certify([case], tmp_path)
    assert certify([case], tmp_path) == []
    assert certify([case], tmp_path, anew=True) == [path]
    path.write_text(path.read_text("utf-8")[:-100], encoding="utf-8")
    assert certify([case], tmp_path) == [path]
    assert check_case(case, tmp_path).passed


def test_the_check_of_the_command_fails_on_a_value_that_is_wrong(tmp_path):
    runner = CliRunner()
    certified.save(certified.load_certificate("Dyestuff-ml"), tmp_path)
    arguments = ["certify", "Dyestuff-ml", "--check", "--directory", str(tmp_path)]
    right = runner.invoke(app, arguments)
    assert right.exit_code == 0
    assert "confirmed" in right.output
    # a hand that edits a value and mends the hash as well
    certified.save(shifted(certified.load_certificate("Dyestuff-ml"), "sigma", "1.0000000000000001"), tmp_path)
    wrong = runner.invoke(app, arguments)
    assert wrong.exit_code == 1
    assert "NOT confirmed" in wrong.output
    path = tmp_path / certified.FOLDER / "Dyestuff-ml.json"
    content = json.loads(path.read_text("utf-8"))
    content["criterion"] = "REML"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert runner.invoke(app, arguments).exit_code == 2


def test_cases_are_named_alone_or_by_both_criteria():
    assert [case.name for case in chosen(["sleepstudy"])] == ["sleepstudy-ml", "sleepstudy-reml"]
    assert [case.name for case in chosen(["Dyestuff-ML"])] == ["Dyestuff-ml"]
    assert {"InstEval-ml"}.isdisjoint(case.name for case in chosen([]))
    assert CliRunner().invoke(app, ["certify", "sleepstudie"]).exit_code == 2


def test_an_unbalanced_layout_of_ones_own_is_certified():
    data = balanced_anova(5, 6, 900, 4).drop(index=[1, 2, 9]).reset_index(drop=True)
    certificate = certify_case(Case.of("own-ml", "y ~ 1 + (1 | group)", data, REML=False))
    assert certificate.proof["lowest"]["proved"]
    assert certificate.checks[0]["passed"]
