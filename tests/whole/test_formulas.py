"""One formula language on both sides: the list of ``r_scripts/grammar.py``."""

import re

import numpy as np
import pandas as pd
import pytest

import bridge.formula
from bridge import stats
from pyimpl.design.design import model_matrix
from pyimpl.errors import PyimplError
from pyimpl.frame import summaries
from pyimpl.frame.contrasts import contrast_matrix
from pyimpl.frame.functions import ALLOWED_FUNCTIONS
from r_scripts import grammar
from r_scripts.grammar import FUNCTIONS, Kind

rng = np.random.default_rng(3)
DATA = pd.DataFrame(
    {
        "y": rng.normal(size=40),
        "x": np.round(rng.normal(size=40), 1),
        "k": rng.integers(1, 5, 40),
        "f": pd.Categorical(rng.choice(list("abc"), 40)),
        "h": pd.Categorical(rng.choice(["u", "v"], 40)),
        "g": pd.Categorical(np.arange(40) % 8),
    }
)


def values_of(name: str) -> list[str]:
    """Arguments that a function can be called with."""
    if name in ("interaction", "dummy", "droplevels", "relevel", "factor", "as.factor", "as.character"):
        return ["f", "h"]
    return ["k", "k"]


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_what_the_list_has_is_evaluated_or_said_to_need_r(name):
    needed = {"ifelse": "x > 0, 1, 2", "seq": "0, 1", "cut": "x, 3", "relevel": "f, 'b'"}
    inner = f"{name}({needed.get(name, values_of(name)[0])})"
    formula = f"y ~ I(k + sum(rank({inner})))" if name in ("quantile", "seq", "c") else f"y ~ {inner}"
    told = ""
    try:
        model_matrix(formula, DATA)
    except PyimplError as error:  # e.g. one value for all rows: evaluated, then refused
        told = str(error)
    assert not re.search("cannot be called|needs R", told)


def test_what_is_refused_names_what_is_allowed():
    for refuse in (lambda f: model_matrix(f, DATA), bridge.formula.parse):
        with pytest.raises(Exception, match=r"not allowed|cannot be called") as told:
            refuse("y ~ system(x)")
        assert all(word in str(told.value) for word in ("scale", "poly", "interaction"))
        with pytest.raises(Exception, match="center, scale"):
            refuse("y ~ scale(x, file = 'a')")


def test_both_sides_read_the_one_list():
    assert set(ALLOWED_FUNCTIONS) == set(FUNCTIONS)
    assert set(FUNCTIONS) == bridge.formula.FUNCTIONS
    assert set(grammar.SUMMARIES) == set(summaries.SUMMARIES) == bridge.formula.SUMMARIES
    for name in grammar.CONTRASTS:
        assert len(contrast_matrix(name, ["a", "b"], "f").suffixes) == 1


def test_arguments_are_matched_as_r_matches_them():
    scale = FUNCTIONS["scale"]
    assert [a.name for a in scale.match([None, "s", None])] == ["x", "scale", "center"]
    for labels, why in [
        (["x", "x"], "twice"),
        (["c", "center"], "twice|may not"),
        (["", None], "may not"),
        ([None] * 4, "at most"),
        ([], "no argument"),
    ]:
        with pytest.raises(ValueError, match=why):
            scale.match(labels)
    with pytest.raises(ValueError, match="may not"):
        FUNCTIONS["factor"].match([None, "l"])  # levels or labels
    with pytest.raises(ValueError, match="may not"):
        FUNCTIONS["ave"].match([None, None, "FU"])  # R would take it for one of ...
    assert FUNCTIONS["ave"].matched([None, None, "FUN"])[2] is Kind.SUMMARY


CALLS = """
scale(x, cent = FALSE)
scale(scale = FALSE, x)
cut(x, br = 3)
cut(x, 3, lab = FALSE)
mean(x, trim = 0.2) + x
mean(x, trim = 0.6) + x
rank(x, ties.method = 'min')
rank(x, ties.method = 'max')
rank(x, ties.m = 'first')
rank(x, ties.method = 'last')
quantile(x, p = 0.3, names = FALSE) * x
factor(f, exclude = 'a')
factor(k, exclude = 2)
factor(k, exclude = c(1, 4), labels = c('i', 'j'))
interaction(f, h, lex.order = TRUE)
interaction(f, h, factor(k), sep = '_', lex.order = TRUE, drop = TRUE)
round(digits = 1, x * 1.37)
log(base = 3, k)
ifelse(yes = 1, x > 0, no = 0)
relevel(f, re = 'c')
""".strip().splitlines()


@pytest.mark.r
@pytest.mark.parametrize("call", CALLS)
def test_calls_have_r_s_values(call):
    formula = f"y ~ I(0 + {call})" if " + x" in call or " * x" in call else f"y ~ {call}"
    theirs, ours = stats.model_matrix(formula, DATA), model_matrix(formula, DATA)
    assert list(ours.columns) == list(theirs.columns)
    np.testing.assert_allclose(ours.to_numpy(), theirs.to_numpy(), rtol=0, atol=1e-12)
