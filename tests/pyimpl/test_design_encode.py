"""New data in a fitted model's codings: what ``predict.merMod`` makes of them, by way of its predictions."""

import warnings

import numpy as np
import pandas as pd
import pytest

from pyimpl.design.design import Design, build_design
from pyimpl.errors import DataError, ModelError, PyimplError
from tests.pyimpl.model_oracle import ask_r, same
from tests.pyimpl.random_models import random_frame, random_mixed_formula

FORMULAS = [
    "y ~ poly(x, 2) + scale(z) + (1 | g)",
    "log(z) ~ h * x + o + (x | g)",
    "y ~ h + s + l:x + (0 + h | g) + (1 | s)",
    "y ~ poly(x, 3, raw = TRUE) + offset(z) + (poly(z, 2) | g)",
    "y ~ scale(x, scale = FALSE) + I(scale(z)^2) + (scale(x) || g)",
    "y ~ factor(k) + ordered(k):x + (1 | g/h) + (1 | k)",
    "y ~ x + I(2 * x) + `a b` + (1 | g:s)",
    "y ~ 0 + s + (1 | num) + (1 | id)",
    "y ~ x + (z | g) + (1 | h:l)",
]
CONTRASTS = {"h": "contr.sum", "o": "contr.helmert"}


def some_rows(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """New rows: seen levels, other numbers, a new grouping level and missing predictors."""
    count = 12
    new = frame.iloc[rng.integers(0, len(frame), count)].reset_index(drop=True)
    new["x"], new["z"] = rng.normal(size=count), np.abs(rng.normal(size=count)) + 0.1
    new.loc[0, "g"] = "a new one"
    new.loc[1, "x"] = np.nan
    return new


@pytest.fixture(scope="module")
def answers(live_dialect):
    rng = np.random.default_rng(88)
    frames = []
    for _ in range(8):
        frame = random_frame(rng, missing=False)
        frame["f"] = frame["f"].cat.remove_unused_categories()
        frames += [frame, some_rows(frame, rng)]
    cases = [{"kind": "predict", "formula": f, "frame": 0, "newframe": 1} for f in FORMULAS]
    cases += [{"kind": "predict", "formula": FORMULAS[1], "frame": 0, "newframe": 1, "contrasts": CONTRASTS}]
    for _ in range(40):
        at = 2 * int(rng.integers(8))
        cases.append({"kind": "predict", "formula": random_mixed_formula(rng), "frame": at, "newframe": at + 1})
    got, numbers = ask_r(frames, cases)
    return frames, [({**case, "dialect": live_dialect}, one) for case, one in zip(cases, got, strict=True)], numbers


def predictions(design: Design, new: pd.DataFrame, answer: dict, numbers) -> tuple[np.ndarray, np.ndarray]:
    """Predictions from our codings and R's estimates, without and with random effects."""
    rows = design.encode(new)
    fixed = rows.offset.copy()
    if design.P:
        fixed += rows.X @ numbers(answer["beta"])[:, 0]
    whole = fixed.copy()
    for term in rows.terms:
        ranef = answer["ranef"][answer["groups"].index(term.group)]
        assert list(term.levels) == ranef["levels"]
        b = numbers(ranef["b"])[:, [ranef["effects"].index(effect) for effect in term.effects]]
        b = np.vstack([b, np.zeros((len(term.new_levels) + 1, term.columns.shape[1]))])
        whole += (term.columns * b[term.codes]).sum(axis=1)
    return fixed, whole


@pytest.mark.r
def test_predictions_from_our_codings_are_rs(answers):
    frames, pairs, numbers = answers
    compared = 0
    for case, answer in pairs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                design = build_design(
                    case["formula"], frames[case["frame"]], contrasts=case.get("contrasts"), dialect=case["dialect"]
                )
            except PyimplError:
                assert "error" in answer, case
                continue
            if "error" in answer:
                # predict.merMod 1.1-31 fails on much that lmer fits: a missing factor value becomes a level of its own
                # ("non-conformable arguments"), so does a factor slope of which the new rows lack a level.
                assert case["formula"] not in FORMULAS, answer["error"]
                continue
            fixed, whole = predictions(design, frames[case["newframe"]], answer, numbers)
        assert same(fixed[:, None], numbers(answer["fixed"]), 1e-10), case
        assert same(whole[:, None], numbers(answer["whole"]), 1e-10), case
        compared += 1
    assert compared > 25


@pytest.mark.r
def test_the_comparison_can_fail(answers):
    frames, pairs, numbers = answers
    case, answer = pairs[0]
    design = build_design(case["formula"], frames[0])
    new = frames[1].assign(x=frames[1]["x"] + 1e-6)
    fixed, _ = predictions(design, new, answer, numbers)
    assert not same(fixed[:, None], numbers(answer["fixed"]), 1e-10)


@pytest.fixture
def fitted() -> Design:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "y": rng.normal(size=30),
            "x": np.arange(30.0),
            "f": pd.Categorical(list("abc") * 10),
            "g": list("uvwxyz") * 5,
        }
    )
    return build_design("y ~ poly(x, 2) + f + (f | g)", frame)


def test_the_basis_is_remembered(fitted):
    new = pd.DataFrame({"x": [3.0], "f": ["b"], "g": ["v"]})
    rows = fitted.encode(new)
    np.testing.assert_allclose(rows.X[0, 1:3], fitted.X[3, 1:3], rtol=1e-12)
    assert rows.X[0, 3:].tolist() == [1.0, 0.0]
    assert rows.terms[0].columns.tolist() == [[1.0, 1.0, 0.0]]
    assert rows.terms[0].codes.tolist() == [1]


def test_new_levels(fitted):
    new = pd.DataFrame({"x": [3.0, 4.0, 5.0], "f": ["b", "a", "c"], "g": ["new", None, "u"]})
    term = fitted.encode(new).terms[0]
    assert term.new_levels == ("new",)
    assert term.codes.tolist() == [6, -1, 0]
    assert term.columns[1].tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(DataError, match=r"Factor f has new level\(s\) d"):
        fitted.encode(new.assign(f=["b", "d", "c"]))


def test_new_data_must_have_what_is_needed(fitted):
    new = pd.DataFrame({"x": [3.0], "f": ["b"]})
    assert fitted.encode(new, random=False).terms == ()
    with pytest.raises(DataError, match="no column 'g'"):
        fitted.encode(new)
    with pytest.raises(DataError, match="no rows"):
        fitted.encode(new.iloc[:0])
    with pytest.raises(DataError, match="was a factor"):
        fitted.encode(new.assign(f=1.0), random=False)
    with pytest.raises(DataError, match="was numeric"):
        build_design(
            "y ~ x + (1 | g)", pd.DataFrame({"y": range(6), "x": [1, 5, 2, 2, 3, 4], "g": list("ababab")})
        ).encode(pd.DataFrame({"x": ["a"]}), random=False)


def test_only_a_built_design_encodes(fitted):
    from dataclasses import replace

    with pytest.raises(ModelError, match="cannot encode"):
        replace(fitted, recipe=None).encode(pd.DataFrame({"x": [1.0]}))
