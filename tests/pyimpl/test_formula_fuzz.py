"""Whatever the text and the data: a design, a documented warning, or one of our errors."""

import contextlib
import warnings

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyimpl.design.design import build_design, model_matrix
from pyimpl.errors import PyimplError, PyimplWarning
from pyimpl.formula.parse import deparse, parse

PIECES = st.sampled_from([
    'y', 'x', 'g', '~', '~', '+', '+', '-', '*', '/', ':', '^', '(', ')', '(', ')', '|', '|', '||', '%in%', '0',
    '1', '2', '1e3', '2L', 'I(', 'log(', 'poly(', 'scale(', 'factor(', ',', '=', '==', '<', '>', '&', '!', "'a'",
    '"', '`', '.', 'TRUE', 'NULL', 'NA', 'offset(', 'x)', 'g)', '_', '$', '[', '{', ';', '\n', '#', '@', '\\', 'é',
    '?', '<-', '::', '-1', 'relevel(', 'c(', 'cut(', '1:3', 'degree', 'raw=TRUE', '0x1F', '1i', '...', '..1',
])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=25).map(" ".join) | st.text(max_size=30) | st.lists(PIECES, max_size=12).map("".join)


@settings(max_examples=600, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(TEXTS)
def test_any_text_is_read_or_refused(text):
    try:
        tree = parse(text)
    except PyimplError:
        return
    assert deparse(parse(deparse(tree))) == deparse(tree)


DATA = pd.DataFrame(
    {
        "y": np.linspace(0, 1, 30) ** 2,
        "x": np.sin(np.arange(30.0)),
        "g": list("abcde") * 6,
        "a": [True, False, True] * 10,
    }
)


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(PIECES, min_size=1, max_size=10).map(" ".join))
def test_any_formula_gives_a_design_or_one_of_our_errors(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", PyimplWarning)
        for call in (lambda: build_design(f"y ~ {text} + (1 | g)", DATA), lambda: model_matrix(f"y ~ {text}", DATA)):
            with contextlib.suppress(PyimplError):
                call()


NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=64) | st.sampled_from([0.0, 1.0, 1e-300, 1e300, -0.0])
COLUMNS = st.one_of(
    st.lists(NUMBERS, min_size=12, max_size=12),
    st.lists(st.integers(-(2**62), 2**62), min_size=12, max_size=12),
    st.lists(st.sampled_from(["a", "b", "", "A b", None]), min_size=12, max_size=12),
    st.lists(st.booleans(), min_size=12, max_size=12),
    st.lists(st.sampled_from([1, "a", None, 2.5, True]), min_size=12, max_size=12),
    st.lists(st.sampled_from("abc"), min_size=12, max_size=12).map(
        lambda v: pd.Categorical(v, categories=list("cabd"))
    ),
    st.lists(st.sampled_from("abc"), min_size=12, max_size=12).map(lambda v: pd.Categorical(v, ordered=True)),
    st.just([None] * 12),
)
FORMULAS = st.sampled_from(
    [
        "y ~ x + (1 | g)",
        "y ~ x * z + (x | g)",
        "y ~ poly(x, 2) + scale(z) + (1 | g/x)",
        "y ~ factor(x) + (1 | g:z)",
        "log(y) ~ I(x > z) + (z || g)",
        "y ~ cut(x, 3) + (0 + z | g)",
        "y ~ . + (1 | g)",
        "y ~ offset(x) + as.numeric(z) + (1 | g)",
    ]
)


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(FORMULAS, COLUMNS, COLUMNS, COLUMNS, COLUMNS)
def test_any_data_give_a_design_or_one_of_our_errors(formula, y, x, z, g):
    frame = pd.DataFrame({"y": y, "x": x, "z": z, "g": g})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", PyimplWarning)
        try:
            design = build_design(formula, frame)
        except PyimplError:
            return
    assert np.isfinite(design.X).all()
    assert np.isfinite(design.y).all()
    assert design.Z.shape == (design.N, design.q)
