"""What the posterior keeps of the rows is what their model matrices say, however the rows were reduced."""

import numpy as np
import pandas as pd
import pytest

from pyimpl.design.design import build_design
from pyimpl.frame.model_frame import FrameArguments
from pyimpl.posterior.cross_products import CrossProducts, cross_products
from pyimpl.posterior.specification import Priors, Specification, specify


def _specification(formula: str, weighted: bool = False) -> Specification:
    rng = np.random.default_rng(5)
    n = 900
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(1.0, 2.0, n),
            "k": rng.integers(0, 2, n),
            "pupil": np.arange(n) % 450,
            "school": (np.arange(n) % 450) // 15,  # pupils within schools: components
            "item": rng.integers(0, 300, n),  # crossed: more columns than a panel has
            "w": rng.uniform(0.5, 2.0, n),
        }
    ).astype({"pupil": str, "school": str, "item": str})
    return specify(build_design(formula, data, FrameArguments(weights="w" if weighted else None)), Priors())


def _columns(spec: Specification, term: int) -> np.ndarray:
    """√w times the term's part of Z, level by level: shape (N, J p)."""
    one = spec.terms[term]
    Z = np.zeros((spec.y.size, one.J, one.p))
    Z[np.arange(spec.y.size), one.codes] = one.columns
    root = 1.0 if spec.weights is None else np.sqrt(spec.weights)[:, None]
    return Z.reshape(spec.y.size, -1) * root


def _reduced(spec: Specification) -> tuple[CrossProducts, np.ndarray]:
    W = np.column_stack([spec.X1, spec.y])
    root = 1.0 if spec.weights is None else np.sqrt(spec.weights)[:, None]
    return cross_products(spec, W), W * root


@pytest.mark.parametrize(
    ("formula", "weighted"),
    [
        ("y ~ x + (1 | pupil)", False),
        ("y ~ x + (k | school)", True),
        ("y ~ x + (1 | pupil) + (x | school)", True),
        ("y ~ x + (1 | pupil) + (1 | item)", False),
        ("y ~ 1 + (1 | school) + (0 + x | school) + (k | item)", False),
    ],
)
def test_cross_products_are_those_of_the_model_matrices(formula: str, weighted: bool) -> None:
    spec = _specification(formula, weighted)
    data, W = _reduced(spec)
    term = spec.terms[data.first]
    Z = _columns(spec, data.first)
    np.testing.assert_allclose(data.WW, (W.T @ W)[np.tril_indices(W.shape[1])], rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(data.B.reshape(-1, W.shape[1]), Z.T @ W, rtol=1e-12, atol=1e-11)
    squares = (Z.T @ Z).reshape(term.J, term.p, term.J, term.p)[np.arange(term.J), :, np.arange(term.J)]
    np.testing.assert_allclose(data.S, squares, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(data.unique_S[data.inverse], squares, rtol=1e-10, atol=1e-10)
    rest = data.rest
    if not rest.block_term.size:
        return
    own = {i: _columns(spec, i) for i in range(len(spec.terms)) if i != data.first}
    parts = [
        own[i][:, level * spec.terms[i].p : (level + 1) * spec.terms[i].p]
        for i, level in zip(rest.block_term, rest.block_level, strict=True)
    ]
    others = np.column_stack(parts)
    np.testing.assert_allclose(rest.R, others.T @ W, rtol=1e-12, atol=1e-10)
    within = np.zeros((others.shape[1],) * 2)
    cross = np.zeros((term.J, term.p, others.shape[1]))
    for c in range(rest.component_start.size - 1):
        a, b = rest.block_start[rest.component_start[[c, c + 1]]]
        within[a:b, a:b] = rest.G[rest.G_start[c] : rest.G_start[c + 1]].reshape(b - a, b - a)
        for level in rest.levels[rest.level_start[c] : rest.level_start[c + 1]]:
            mine = slice(rest.C_start[level], rest.C_start[level + 1])
            cross[level][:, a + rest.C_column[mine]] = rest.C[mine].T
    np.testing.assert_allclose(within, others.T @ others, rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(cross.reshape(-1, others.shape[1]), Z.T @ others, rtol=1e-12, atol=1e-11)


def test_levels_with_the_same_rows_in_another_order_are_worked_on_once() -> None:
    rng = np.random.default_rng(8)
    ages = rng.normal(size=7)
    rows = np.concatenate([rng.permutation(ages) for _ in range(40)])
    data = pd.DataFrame({"y": rng.normal(size=280), "age": rows, "child": np.repeat(np.arange(40), 7).astype(str)})
    spec = specify(build_design("y ~ age + (age | child)", data), Priors())
    assert len(_reduced(spec)[0].unique_S) == 1
    data.loc[0, "age"] += 1e-6
    other = specify(build_design("y ~ age + (age | child)", data), Priors())
    assert len(_reduced(other)[0].unique_S) == 2
