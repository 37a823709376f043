"""The profiled criteria and their gradient against multi-precision arithmetic on V itself."""

from dataclasses import replace

import mpmath as mp
import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from pyimpl.design.design import Design
from pyimpl.design.random_term import RandomTerm
from pyimpl.errors import ModelError
from pyimpl.likelihood import reduce as reduce_module
from pyimpl.likelihood import structure as structure_module
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.reduce import reduce_design, triangle_of
from pyimpl.likelihood.responses import Responses
from pyimpl.likelihood.rows import gram_schmidt, mean_degree, orthonormal_basis, triangle
from pyimpl.likelihood.starts import default_start


def make_design(rng, n=24, levels=(5, 4), effects=(2, 1), P=2, weights=False, y=None, X=None, same_group=False):
    terms = []
    for k, (J, p) in enumerate(zip(levels, effects, strict=True)):
        codes = terms[0].codes if same_group and terms else rng.permutation(np.arange(n) % J)
        columns = np.column_stack([np.ones(n), *(rng.normal(size=n) for _ in range(p - 1))])
        if same_group and terms:
            columns = rng.normal(size=(n, p))
        names = tuple(f"e{i}" for i in range(p))
        group = "g0" if same_group else f"g{k}"
        terms.append(RandomTerm(group, names, tuple(map(str, range(J))), codes.astype(np.intp), columns))
    if X is None:
        X = np.column_stack([np.ones(n), *(rng.normal(size=n) for _ in range(P - 1))])[:, :P]
    if y is None:
        y = rng.normal(size=n) + X.sum(axis=1) + sum(rng.normal(size=t.J)[t.codes] for t in terms)
    w = rng.uniform(0.5, 2.0, n) if weights else None
    offset = rng.normal(size=n) if weights else None
    names = tuple(f"x{i}" for i in range(X.shape[1]))
    return Design("y ~ x", "y", pd.RangeIndex(n), y, X, names, tuple(terms), w, offset, pd.DataFrame())


def random_theta(rng, lower, scale=1.0, zeros=0):
    theta = rng.normal(size=lower.size) * scale
    theta[lower == 0] = np.abs(theta[lower == 0])
    theta[rng.permutation(np.flatnonzero(lower == 0))[:zeros]] = 0.0
    return theta


def exact(design, theta, REML):
    """The criterion from V = W⁻¹ + ZΛΛ'Z' in 60 digits."""
    with mp.workdps(60):
        n, P = design.N, design.P
        V = mp.zeros(n)
        at = 0
        for term in design.terms:
            T = mp.zeros(term.p)
            for c in range(term.p):
                for r in range(c, term.p):
                    T[r, c] = mp.mpf(float(theta[at]))
                    at += 1
            S = T * T.T
            Z = mp.matrix(term.columns.tolist())
            ZS = Z * S
            for i in range(n):
                for j in range(i + 1):
                    if term.codes[i] == term.codes[j]:
                        V[i, j] += sum(ZS[i, k] * Z[j, k] for k in range(term.p))
        for i in range(n):
            V[i, i] += 1 if design.weights is None else 1 / mp.mpf(float(design.weights[i]))
        L = mp.cholesky(V + V.T - mp.diag([V[i, i] for i in range(n)]))
        y = [mp.mpf(float(v)) for v in design.y]
        if design.offset is not None:
            y = [a - mp.mpf(float(b)) for a, b in zip(y, design.offset, strict=True)]
        D = mp.zeros(n, P + 1)
        for i in range(n):
            for c in range(P):
                D[i, c] = mp.mpf(float(design.X[i, c]))
            D[i, P] = y[i]
        for c in range(P + 1):  # L^-1 D
            for i in range(n):
                D[i, c] = (D[i, c] - sum(L[i, k] * D[k, c] for k in range(i))) / L[i, i]
        root = mp.cholesky(D.T * D)
        log_det = 2 * sum(mp.log(L[i, i]) for i in range(n))
        df = n - P if REML else n
        value = log_det + df * (1 + mp.log(2 * mp.pi * root[P, P] ** 2 / df))
        # log|V| here is log|W V~| with V~ = I + ..., so that -sum(log w) is in it
        if REML:
            value += 2 * sum(mp.log(root[c, c]) for c in range(P))
        return value


CASES = {
    "one intercept": {"levels": (5,), "effects": (1,)},
    "slope, weights, offset": {"levels": (6,), "effects": (2,), "weights": True},
    "three effects": {"levels": (6,), "effects": (3,)},
    "more effects than rows a level": {"levels": (12,), "effects": (3,)},
    "no fixed effects": {"levels": (5,), "effects": (1,), "P": 0},
    "crossed": {"levels": (6, 4), "effects": (1, 1)},
    "crossed slopes, weights": {"levels": (5, 4), "effects": (2, 2), "weights": True},
    "three factors": {"levels": (6, 4, 3), "effects": (1, 2, 1)},
    "independent slopes of one factor": {"levels": (6, 6), "effects": (1, 1), "same_group": True},
    "one factor twice and another": {"levels": (6, 6), "effects": (2, 1), "same_group": True},
}


@pytest.mark.parametrize("REML", [False, True], ids=["ML", "REML"])
@pytest.mark.parametrize("case", CASES)
def test_value_against_multi_precision(case, REML):
    rng = np.random.default_rng(len(case))
    design = make_design(rng, **CASES[case])
    blocks = reduce_design(design)
    objective = Objective(blocks, REML)
    for scale, zeros in ((1.0, 0), (1e-6, 0), (1e4, 0), (1.0, 1), (1.0, 9)):
        theta = random_theta(rng, blocks.lower, scale, zeros)
        # crossed factors with huge variances cancel as 1e-16 * theta^2
        tolerance = 1e-12 if scale < 100 else 1e-11 if blocks.outer is None else 1e-7
        assert objective(theta) == pytest.approx(float(exact(design, theta, REML)), rel=tolerance)
        assert objective.value_and_gradient(theta)[0] == pytest.approx(objective(theta), rel=1e-13)


@pytest.mark.parametrize("REML", [False, True], ids=["ML", "REML"])
@pytest.mark.parametrize("case", CASES)
def test_gradient_against_multi_precision_differences(case, REML):
    rng = np.random.default_rng(len(case) + 100)
    design = make_design(rng, n=16, **CASES[case])
    blocks = reduce_design(design)
    objective = Objective(blocks, REML)
    for zeros in (0, 1):
        theta = random_theta(rng, blocks.lower, 1.0, zeros)
        gradient = objective.value_and_gradient(theta)[1]
        with mp.workdps(60):
            for k in range(min(theta.size, 4)):
                h = 2.0**-20
                up, down = theta.copy(), theta.copy()
                up[k] += h
                down[k] -= h
                slope = float((exact(design, up, REML) - exact(design, down, REML)) / (mp.mpf(up[k]) - mp.mpf(down[k])))
                assert gradient[k] == pytest.approx(slope, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_the_triangle_of_dependent_columns(rank):
    """R'R = D'D also where columns of D are others' multiples but for rounding, or rounding errors themselves."""
    rng = np.random.default_rng(rank)
    for _ in range(200):
        D = rng.normal(size=(40, rank)) @ rng.normal(size=(rank, 4)) + 1e-16 * rng.normal(size=(40, 1))
        D += 1e-17 * rng.normal(size=D.shape) * rng.integers(0, 2, 4)
        D = np.column_stack([D, rng.normal(size=40)])
        columns, R = D.T.copy(), np.zeros((D.shape[1], D.shape[1]))
        gram_schmidt(columns, R)
        Q = columns.T
        np.testing.assert_allclose(R.T @ R, D.T @ D, rtol=0, atol=1e-13 * np.square(D).sum())
        np.testing.assert_allclose(Q @ R, D, rtol=0, atol=1e-14 * np.linalg.norm(D))


@pytest.mark.parametrize("weights", [False, True])
def test_columns_of_x_within_the_span_of_z(weights):
    """Everyone measured at the same times, groups between persons: within persons X leaves nothing of [1, t, g, gt]."""
    rng = np.random.default_rng(17)
    J, times = 14, np.array([1.0, 1.5, 2.0])
    codes = np.repeat(np.arange(J), 3)
    t, g = np.tile(times, J), np.repeat(rng.permutation(J) % 2, 3).astype(float)
    columns = {"1": np.ones(3 * J), "t": t, "g": g, "gt": g * t, "3t": 3 * t - g}
    y = 100 + 10 * t + rng.normal(size=J)[codes] + rng.normal(size=3 * J)
    for names in ("1 t g", "1 t g gt", "1 gt t g", "g gt 1 t", "1 3t t"):
        X = np.column_stack([columns[name] for name in names.split()])
        design = make_design(rng, n=3 * J, levels=(J,), effects=(2,), X=X, y=y, weights=weights)
        term = RandomTerm("g0", ("1", "t"), tuple(map(str, range(J))), codes, np.column_stack([np.ones(3 * J), t]))
        design = replace(design, terms=(term,))
        blocks = reduce_design(design)
        for REML in (False, True):
            theta = random_theta(rng, blocks.lower)
            assert Objective(blocks, REML)(theta) == pytest.approx(exact_fast(design, theta, REML), rel=1e-12)
        again = Responses(design, blocks).blocks(design.y)
        np.testing.assert_allclose(again.fixed.within, blocks.fixed.within, atol=1e-9)


@pytest.mark.parametrize(("levels", "effects"), [((6,), (1,)), ((6,), (2,)), ((6, 4), (2, 1))])
def test_large_means_cost_no_digits(levels, effects):
    """y around 1e8, a covariate around 1e6, group differences a million times the residuals."""
    rng = np.random.default_rng(3)
    n = 24
    x = 1e6 + rng.integers(0, 10, n)
    y = 1e8 + np.round(rng.normal(size=n), 3) + 2.0 * (x - 1e6)
    design = make_design(rng, n, levels, effects, X=np.column_stack([np.ones(n), x]), y=y)
    blocks = reduce_design(design)
    for REML in (False, True):
        objective = Objective(blocks, REML)
        for scale in (1.0, 1e-5):
            theta = random_theta(rng, blocks.lower, scale)
            assert objective(theta) == pytest.approx(float(exact(design, theta, REML)), rel=1e-10)


@pytest.mark.parametrize(("levels", "effects"), [((6,), (1,)), ((6,), (2,)), ((6, 4), (1, 1)), ((6, 4), (2, 1))])
def test_tiny_residuals_keep_their_digits(levels, effects):
    rng = np.random.default_rng(4)
    design = make_design(rng, 24, levels, effects)
    y = 1e-5 * rng.normal(size=24)
    for term in design.terms:
        y = y + np.einsum("ij,ij->i", term.columns, rng.normal(size=(term.J, term.p))[term.codes])
    design = make_design(np.random.default_rng(4), 24, levels, effects, y=y)
    blocks = reduce_design(design)
    theta = default_start(blocks) * 1e5
    value = float(exact(design, theta, False))
    assert Objective(blocks, False)(theta) == pytest.approx(value, rel=1e-10 if len(levels) == 1 else 1e-6)


def test_solution_at_theta():
    rng = np.random.default_rng(8)
    design = make_design(rng, 40, (7, 5), (2, 2), P=3, weights=True)
    blocks = reduce_design(design)
    theta = random_theta(rng, blocks.lower)
    solution = Objective(blocks, True).solve(theta)
    Z = np.hstack([np.kron(np.eye(t.J)[t.codes], np.ones((1, t.p))) * np.tile(t.columns, t.J) for t in design.terms])
    Lambda = np.zeros((Z.shape[1],) * 2)
    at = 0
    for T, term in zip((blocks.factors[i].template(theta) for i in (0, 1)), design.terms, strict=True):
        for _ in range(term.J):
            Lambda[at : at + 2, at : at + 2] = T
            at += 2
    root = np.sqrt(design.weights)[:, None]
    X, y, Z = root * design.X, root[:, 0] * (design.y - design.offset), root * Z
    V = np.eye(40) + Z @ Lambda @ Lambda.T @ Z.T
    Vi = np.linalg.inv(V)
    beta = np.linalg.solve(X.T @ Vi @ X, X.T @ Vi @ y)
    np.testing.assert_allclose(solution.beta, beta, rtol=1e-10)
    np.testing.assert_allclose(solution.unscaled_vcov, np.linalg.inv(X.T @ Vi @ X), rtol=1e-10)
    residual = y - X @ beta
    assert solution.prss == pytest.approx(residual @ Vi @ residual, rel=1e-11)
    np.testing.assert_allclose(np.concatenate([a.ravel() for a in solution.a]), Z.T @ Vi @ residual, atol=1e-10)
    conditional = Lambda @ np.linalg.inv(np.eye(Z.shape[1]) + Lambda.T @ Z.T @ Z @ Lambda) @ Lambda.T
    at = 0
    for block in solution.unscaled_cond_var:
        for one in block:
            np.testing.assert_allclose(one, conditional[at : at + 2, at : at + 2], atol=1e-11)
            at += 2
    assert solution.log_det_L2 == pytest.approx(np.linalg.slogdet(V)[1], rel=1e-11)
    assert solution.log_det_RX2 == pytest.approx(np.linalg.slogdet(X.T @ Vi @ X)[1], rel=1e-10)


def test_the_rows_are_not_needed_after_the_reduction():
    """Copying every row ten times changes the blocks' values, not their sizes."""
    rng = np.random.default_rng(2)
    design = make_design(rng, 40, (7, 5), (2, 1))
    many = Design(
        design.formula,
        design.response,
        pd.RangeIndex(400),
        np.tile(design.y, 10),
        np.tile(design.X, (10, 1)),
        design.coef_names,
        tuple(
            RandomTerm(t.group, t.effects, t.levels, np.tile(t.codes, 10), np.tile(t.columns, (10, 1)))
            for t in design.terms
        ),
        None,
        None,
        pd.DataFrame(),
    )
    few, lots = reduce_design(design), reduce_design(many)
    assert few.inner.R.shape == lots.inner.R.shape
    assert few.inner.values.shape == lots.inner.values.shape
    theta = random_theta(rng, few.lower)
    assert Objective(lots, True)(theta) == pytest.approx(float(exact_fast(many, theta, True)), rel=1e-11)


def exact_fast(design, theta, REML):
    V = np.eye(design.N) if design.weights is None else np.diag(1 / design.weights)
    y = design.y if design.offset is None else design.y - design.offset
    at = 0
    for term in design.terms:
        T = np.zeros((term.p, term.p))
        for c in range(term.p):
            for r in range(c, term.p):
                T[r, c] = theta[at]
                at += 1
        same = term.codes[:, None] == term.codes
        V += np.where(same, term.columns @ T @ T.T @ term.columns.T, 0.0)
    Vi = np.linalg.inv(V)
    A = design.X.T @ Vi @ design.X
    r = y - design.X @ np.linalg.solve(A, design.X.T @ Vi @ y)
    df = design.N - design.P if REML else design.N
    value = np.linalg.slogdet(V)[1] + df * (1 + np.log(2 * np.pi * (r @ Vi @ r) / df))
    return value + (np.linalg.slogdet(A)[1] if REML else 0.0)


def test_what_does_not_fit_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(structure_module, "memory", lambda: 100)
    with pytest.raises(ModelError, match=r"g0 and g1 \(100 random effects\) need .* GB of memory, and the machine has"):
        reduce_design(make_design(np.random.default_rng(1), levels=(60, 40), effects=(1, 1)))


def _crossed(codes, levels, y):
    n = len(y)
    terms = tuple(
        RandomTerm(name, ("(Intercept)",), tuple(map(str, range(J))), code, np.ones((n, 1)))
        for name, code, J in zip("abc", codes, levels, strict=False)
    )
    names = ("(Intercept)",)
    return Design("y", "y", pd.RangeIndex(n), y, np.ones((n, 1)), names, terms, None, None, pd.DataFrame())


def test_the_schur_complement_is_factored_by_its_structure():
    """Components by themselves; levels that meet a few neighbours in an order; all with all: dense."""
    rng = np.random.default_rng(1)
    n = 4000
    y = rng.normal(size=n)
    inner = np.arange(n) // 2
    nested = reduce_design(_crossed([inner, inner // 20], [2000, 100], y))
    assert nested.outer.pattern.supernodes == nested.outer.pattern.size == 100
    near = np.arange(n) * 900 // n + rng.integers(0, 2, n)
    chain = reduce_design(_crossed([np.arange(n) // 4, near], [1000, 902], y))
    assert chain.outer.pattern.size < 902 * 40
    mixed = reduce_design(_crossed([rng.integers(0, 400, n), rng.integers(0, 120, n)], [400, 120], y))
    assert mixed.outer.pattern.dense
    assert len(mixed.inner.R) == 400


def test_how_many_levels_a_level_meets():
    rng = np.random.default_rng(2)
    cliques = [rng.choice(50, size, replace=False) for size in rng.integers(1, 9, 30)]
    met = np.zeros((50, 50), dtype=bool)
    for clique in cliques:
        met[np.ix_(clique, clique)] = True
    starts = np.cumsum([0, *map(len, cliques)])
    for looked_at, step in ((25, 2), (12, 4), (1, 50)):
        found = mean_degree(starts, np.concatenate(cliques), 50, looked_at)
        assert found == pytest.approx(met[::step].sum(axis=1).mean())


def test_a_level_that_meets_hundreds_does_not_join_them():
    """Long tails: eliminating the largest factor first would fill everything."""
    rng = np.random.default_rng(1)
    share = (np.arange(700) + 1.0) ** -1.5
    first, second = (rng.choice(700, 6000, p=share / share.sum()) for _ in range(2))
    design = _crossed([first, second], [700, 700], rng.normal(size=6000))
    joint, blocks = reduce_design(design, "joint"), reduce_design(design, "blocks")
    assert joint.outer.pattern.flops < 0.2 * blocks.outer.pattern.flops
    theta = np.array([0.7, 0.4])
    assert Objective(joint, True)(theta) == pytest.approx(Objective(blocks, True)(theta), rel=1e-12)


@pytest.mark.parametrize("structure", ["blocks", "ordered", "joint"])
def test_panels_that_are_worth_a_call_of_the_blas_are_the_same_function(structure):
    """Panels of more than two dozen columns with rows below them, of one and of two effects: beside dense matrices."""
    rng = np.random.default_rng(5)
    n, levels = 900, (240, 130, 60)
    y, x = rng.normal(size=n), rng.normal(size=n)
    codes = [rng.integers(0, 240, n), np.arange(n) * 129 // n + rng.integers(0, 2, n), rng.integers(0, 60, n)]
    terms = tuple(
        RandomTerm(name, effects, tuple(map(str, range(J))), code, np.stack([np.ones(n), x], 1)[:, : len(effects)])
        for name, effects, J, code in zip(
            "abc", (("(Intercept)",), ("(Intercept)", "x"), ("(Intercept)", "x")), levels, codes, strict=True
        )
    )
    design = Design("y", "y", pd.RangeIndex(n), y, np.ones((n, 1)), ("(Intercept)",), terms, None, None, pd.DataFrame())
    objective = Objective(reduce_design(design, structure), True)
    theta = np.array([0.8, 0.5, 0.2, 0.4, 0.6, -0.3, 0.7])
    value, gradient, hessian = objective.value_gradient_hessian(theta)

    V, G, at = np.eye(n), [], 0
    for term in terms:
        same = term.codes[:, None] == term.codes
        T, places = np.zeros((term.p, term.p)), []
        for c in range(term.p):
            places += [(r, c) for r in range(c, term.p)]
        for k, place in enumerate(places):
            T[place] = theta[at + k]
        at += len(places)
        V += same * (term.columns @ T @ T.T @ term.columns.T)
        for place in places:
            change = np.zeros_like(T)
            change[place] = 1.0
            G.append(same * (term.columns @ (change @ T.T + T @ change.T) @ term.columns.T))
    Vi, ones = np.linalg.inv(V), np.ones(n)
    P = Vi - np.outer(Vi @ ones, Vi @ ones) / (ones @ Vi @ ones)
    w, df = P @ y, n - 1
    r2 = y @ w
    expected = np.linalg.slogdet(V)[1] + np.log(ones @ Vi @ ones) + df * (1 + np.log(2 * np.pi * r2 / df))
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, [np.sum(P * g) - df / r2 * (w @ g @ w) for g in G], rtol=1e-9, atol=1e-9)
    for k in (1, 4):  # what the off-diagonal elements of the Hessian are made of besides the templates' own curvature
        information = df * (w @ G[k] @ P @ G[0] @ w / r2 - (w @ G[k] @ w) * (w @ G[0] @ w) / r2**2)
        assert hessian[k, 0] == pytest.approx(information, rel=1e-9)


SEVERAL = [case for case in CASES if "crossed" in case or "factors" in case or "another" in case]


@pytest.mark.parametrize("structure", ["ordered", "joint"])
@pytest.mark.parametrize("case", SEVERAL)
def test_other_structures_against_multi_precision(case, structure):
    rng = np.random.default_rng(len(case))
    design = make_design(rng, n=20, **CASES[case])
    blocks = reduce_design(design, structure)
    objective = Objective(blocks, True)
    for scale, zeros in ((1.0, 0), (1e-6, 0), (1.0, 1), (1.0, 9)):
        theta = random_theta(rng, blocks.lower, scale, zeros)
        assert objective(theta) == pytest.approx(float(exact(design, theta, True)), rel=1e-12)


@pytest.mark.parametrize("structure", ["ordered", "joint"])
@pytest.mark.parametrize("case", SEVERAL)
def test_all_structures_are_one_function(case, structure):
    rng = np.random.default_rng(len(case))
    design = make_design(rng, n=40, **CASES[case])
    dense, sparse = (Objective(reduce_design(design, name), True) for name in ("blocks", structure))
    for zeros in (0, 1):
        theta = random_theta(rng, dense.blocks.lower, 1.0, zeros)
        for one, two in zip(sparse.value_gradient_hessian(theta), dense.value_gradient_hessian(theta), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-9)
        one, two = sparse.solve(theta), dense.solve(theta)
        np.testing.assert_allclose(one.beta, two.beta, atol=1e-11)
        np.testing.assert_allclose(one.unscaled_vcov, two.unscaled_vcov, atol=1e-11)
        for k in range(len(one.a)):
            np.testing.assert_allclose(one.a[k], two.a[k], atol=1e-11)
            np.testing.assert_allclose(one.unscaled_cond_var[k], two.unscaled_cond_var[k], atol=1e-11)


@pytest.mark.parametrize("REML", [False, True], ids=["ML", "REML"])
@pytest.mark.parametrize("case", ["one intercept"])
def test_hessian_of_one_factor_against_differences_of_the_gradient(case, REML):
    rng = np.random.default_rng(len(case))
    design = make_design(rng, **CASES[case])
    objective = Objective(reduce_design(design), REML)
    assert objective.exact_hessian
    for zeros in (0, 1):
        theta = random_theta(rng, objective.blocks.lower, 1.0, zeros)
        hessian = objective.value_gradient_hessian(theta)[2]
        steps = 1e-5 * np.eye(theta.size)
        differences = [
            (objective.value_and_gradient(theta + s)[1] - objective.value_and_gradient(theta - s)[1]) / 2e-5
            for s in steps
        ]
        np.testing.assert_allclose(hessian, differences, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("structure", ["blocks", "joint"])
@pytest.mark.parametrize("case", ["crossed", "crossed slopes, weights", "three factors", "three effects"])
def test_average_information_against_dense_matrices(case, structure):
    rng = np.random.default_rng(7)
    design = make_design(rng, **CASES[case])
    objective = Objective(reduce_design(design, structure), True)
    for zeros in (0, 1, 9):
        theta = random_theta(rng, objective.blocks.lower, 1.0, zeros)
        _, gradient, hessian = objective.value_gradient_hessian(theta)
        root = np.ones(design.N) if design.weights is None else np.sqrt(design.weights)
        X = design.X * root[:, None]
        y = (design.y - (0 if design.offset is None else design.offset)) * root

        def covariance(theta, root=root):
            V, at = np.eye(design.N), 0
            for term in design.terms:
                T = np.zeros((term.p, term.p))
                for c in range(term.p):
                    T[c:, c] = theta[at : at + term.p - c]
                    at += term.p - c
                Z = term.columns * root[:, None]
                V += np.where(term.codes[:, None] == term.codes, Z @ T @ T.T @ Z.T, 0.0)
            return V

        Vi = np.linalg.inv(covariance(theta))
        P = Vi - Vi @ X @ np.linalg.solve(X.T @ Vi @ X, X.T @ Vi)
        w, df = P @ y, design.N - design.P
        r2 = y @ w
        units = np.eye(theta.size)
        # V is quadratic in theta: these differences are exact
        G = [(covariance(theta + e) - covariance(theta - e)) / 2 for e in units]
        score = P - df / r2 * np.outer(w, w)
        np.testing.assert_allclose(gradient, [np.sum(score * g) for g in G], atol=1e-9)
        expected = np.empty_like(hessian)
        for k, e in enumerate(units):
            for i, d in enumerate(units):
                second = covariance(theta + e + d) - covariance(theta + e - d)
                second = (second - covariance(theta - e + d) + covariance(theta - e - d)) / 4
                expected[k, i] = df * (w @ G[k] @ P @ G[i] @ w / r2 - (w @ G[k] @ w) * (w @ G[i] @ w) / r2**2)
                expected[k, i] += np.sum(score * second)
        np.testing.assert_allclose(hessian, expected, rtol=1e-9, atol=1e-9)


def test_no_terms_and_too_few_rows_are_refused():
    design = make_design(np.random.default_rng(1), levels=(), effects=())
    with pytest.raises(ModelError, match="no random-effects term"):
        reduce_design(design)
    design = make_design(np.random.default_rng(1), n=6, levels=(3,), effects=(1,), P=6)
    with pytest.raises(ModelError, match="6 rows do not suffice for 6 fixed effects"):
        Objective(reduce_design(design), True)


@pytest.mark.parametrize("case", CASES)
def test_lapack_and_our_own_qr_reduce_a_design_alike(case, monkeypatch):
    rng = np.random.default_rng(len(case))
    design = make_design(rng, n=40, **CASES[case])
    ours = reduce_design(design)
    monkeypatch.setattr(reduce_module, "NARROW", -1)
    lapacks = reduce_design(design)
    assert ours.fixed.log_det_X == pytest.approx(lapacks.fixed.log_det_X, abs=1e-10)
    np.testing.assert_allclose(ours.fixed.beta_ols, lapacks.fixed.beta_ols, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(ours.fixed.residual, lapacks.fixed.residual, atol=1e-12)
    theta = random_theta(rng, ours.lower)
    for REML in (False, True):
        one, two = Objective(ours, REML).solve(theta), Objective(lapacks, REML).solve(theta)
        assert one.objective == pytest.approx(two.objective, rel=1e-12)
        np.testing.assert_allclose(one.beta, two.beta, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(one.unscaled_vcov, two.unscaled_vcov, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("power", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [30, 511, 512, 1030])
def test_an_orthonormal_basis_of_columns_nearly_dependent(rows, power):
    """Powers of years: by cross-products where that keeps the digits, by LAPACK's QR else; the same subspace."""
    rng = np.random.default_rng(rows + power)
    years = 2000.0 + np.arange(rows) % 25
    X = np.column_stack([years**k for k in range(power + 1)]) if power < 4 else np.column_stack(
        [np.ones(rows), years, years + 1e-8 * rng.normal(size=rows)]
    )  # fmt: skip
    codes = np.arange(rows) % 6
    y = rng.normal(size=6)[codes] + rng.normal(size=rows)
    names = tuple(f"x{k}" for k in range(X.shape[1]))
    term = RandomTerm("g", ("(Intercept)",), tuple(map(str, range(6))), codes, np.ones((rows, 1)))
    fixed = reduce_design(
        Design("y ~ x", "y", pd.RangeIndex(rows), y, X, names, (term,), None, None, pd.DataFrame())
    ).fixed
    np.testing.assert_allclose(fixed.basis.T @ fixed.basis, np.eye(X.shape[1]), atol=1e-13)
    np.testing.assert_allclose(fixed.basis.T @ fixed.residual, 0.0, atol=1e-12)
    exact = np.column_stack([((years - 2012.0) / 12.0) ** k for k in range(power + 1)]) if power < 4 else X
    away = exact - fixed.basis @ (fixed.basis.T @ exact)
    np.testing.assert_allclose(away, 0.0, atol=1e-6 if power < 4 else 1e-8)


def test_which_columns_are_too_near_to_dependent_for_cross_products():
    rng = np.random.default_rng(3)

    def basis(X):
        P = X.shape[1]
        return orthonormal_basis(
            X.copy(), rng.normal(size=len(X)), np.empty(0), 0, np.zeros((P, P)), np.zeros(P), np.zeros((P, P))
        )

    x = rng.normal(size=200)
    assert basis(np.column_stack([np.ones(200), 1e9 + x]))  # the mean is taken off first
    assert not basis(np.column_stack([np.ones(200), x, x + 1e-7 * rng.normal(size=200)]))
    assert not basis(np.column_stack([np.ones(200), x, 2 * x]))
    assert not basis(np.column_stack([np.ones(200), np.full(200, 3.0)]))
    assert not basis(np.column_stack([np.ones(200), np.full(200, np.nan)]))


@pytest.mark.parametrize("near", [1.0, 1e-3, 1e-6])
@pytest.mark.parametrize("rows", [4, 30, 1030])
def test_the_triangle_of_rows_keeps_the_digits_of_what_columns_before_leave(rows, near):
    """Of columns that are 0, too."""
    rng = np.random.default_rng(rows)
    D = rng.normal(size=(rows, 4))
    D[:, 0] = 0.0
    D[:, 2] = D[:, 1] + near * D[:, 2]
    R = triangle(D.copy())
    expected = np.linalg.qr(D[:, 1:], mode="r")
    np.testing.assert_allclose(R[0], 0.0)
    np.testing.assert_allclose(np.abs(R[1:, 1:]), np.abs(expected), rtol=1e-14 / near, atol=1e-14)


@pytest.mark.parametrize("away", [0.0, 1e-15, 1e-9, 1e-4])
def test_the_triangle_of_wide_rows_of_which_columns_depend_on_others(away):
    """As on what random slopes have left: but what is no rounding error of a column is kept."""
    rng = np.random.default_rng(8)
    D = rng.normal(size=(500, 30)) * 10.0 ** rng.integers(-6, 6, 30)
    new = rng.normal(size=500)
    D[:, 7] = D[:, 2] / np.linalg.norm(D[:, 2]) - D[:, 5] / np.linalg.norm(D[:, 5]) + away * new / 20
    D[:, 19] = 3e5 * (D[:, 7] + D[:, 11] / np.linalg.norm(D[:, 11]))
    before, length = D.copy(), np.linalg.norm(D, axis=0)
    R = triangle_of(D)
    products = before.T @ before / length / length[:, None]
    np.testing.assert_allclose(R.T @ R / length / length[:, None], products, atol=1e-13)
    np.testing.assert_array_equal(R, np.triu(R))
    dependent = np.abs(np.diag(R)) < 1e-12 * length
    np.testing.assert_array_equal(np.flatnonzero(dependent), [7, 19] if away < 1e-12 else [19])
    if away < 1e-12:  # else by Householder's way, in which a column of rounding errors takes its part of what is left
        fitted = np.linalg.lstsq(before[:, :-1] / length[:-1], before[:, -1], rcond=1e-12)[0]
        rest = np.linalg.norm(before[:, -1] - before[:, :-1] / length[:-1] @ fitted)
        assert abs(R[-1, -1]) == pytest.approx(rest, rel=1e-12)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("effects", [(1,), (2,), (3,), (1, 1), (2, 1)])
def test_a_scan_is_many_evaluations(effects, balanced):
    """On a lattice, with and without levels that are alike."""
    rng = np.random.default_rng(len(effects) + balanced)
    design = make_design(rng, n=48, levels=(6, 4)[: len(effects)], effects=effects)
    if balanced:  # every level has the same rows, and so the same R_j
        terms = []
        for term in design.terms:
            codes = np.arange(48) % term.J if term is design.terms[0] else np.arange(48) // term.J % term.J
            columns = np.stack([(np.arange(48) // 6 % 8) ** k for k in range(term.p)], axis=1).astype(float)
            terms.append(RandomTerm(term.group, term.effects, term.levels, codes, columns))
        design = replace(design, terms=tuple(terms))
    objective = Objective(reduce_design(design), True)
    if balanced:
        R = objective.blocks.inner.R
        assert (R[0] == R).all()
    values = [random_theta(rng, objective.blocks.lower) for _ in range(3)]
    points = np.array([np.where(np.arange(a.size) < a.size - 1, a, b) for a in values for b in values])
    alone = [objective(point) for point in points]
    np.testing.assert_allclose(objective.scan(points), alone, rtol=1e-13)
    np.testing.assert_allclose(objective.scan(points[::-1]), alone[::-1], rtol=1e-13)
    many = np.tile(points, (16, 1))  # more than are evaluated in step
    np.testing.assert_allclose(objective.scan(many), np.tile(alone, 16), rtol=1e-13)
    many[[0, 50]] = np.nan  # the others are not touched by one that cannot be computed
    assert np.isinf(objective.scan(many)[[0, 50]]).all()
    np.testing.assert_allclose(np.delete(objective.scan(many), [0, 50]), np.delete(np.tile(alone, 16), [0, 50]), 1e-13)
    if balanced:  # another order of the rows ends the levels' likeness in the last digits, not the value
        mixed = rng.permutation(48)
        terms = tuple(replace(t, codes=t.codes[mixed], columns=t.columns[mixed]) for t in design.terms)
        other = replace(design, y=design.y[mixed], X=design.X[mixed], terms=terms)
        np.testing.assert_allclose(Objective(reduce_design(other), True).scan(points), alone, rtol=1e-12)


@pytest.mark.parametrize("apart", [1e-1, 1e-4, 1e-6])
def test_many_nearly_dependent_columns_give_what_their_span_gives(apart):
    """Where cross-products would have lost the digits, Householder's triangle is taken."""
    rng = np.random.default_rng(5)
    n, g = 400, rng.integers(0, 20, 400)
    w = rng.normal(size=(n, 9))
    plain = pd.DataFrame(w, columns=[f"w{i}" for i in range(9)]).assign(g=g.astype(str))
    plain["y"] = w @ np.arange(9.0) + rng.normal(size=20)[g] + rng.normal(size=n)
    near = plain.assign(w8=plain["w7"] + apart * plain["w8"])  # the same span
    formula = "y ~ " + " + ".join(f"w{i}" for i in range(9)) + " + (1 | g)"
    one, other = (lmer(formula, d, REML=False) for d in (plain, near))
    # adding the columns is rounded, which turns the span by some 1e-16 / apart
    assert other.deviance() == pytest.approx(one.deviance(), rel=1e-13 + 1e-16 / apart)
    beta, close = one.fixef(), other.fixef()
    assert close["w8"] * apart == pytest.approx(beta["w8"], rel=1e-14 / apart)
    assert close["w7"] + close["w8"] == pytest.approx(beta["w7"], abs=1e-13 / apart**2)
    np.testing.assert_allclose(close.iloc[:8], beta.iloc[:8], rtol=1e-11 + 1e-14 / apart)
