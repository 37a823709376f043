"""Newer formulas: `**`, products of grouping factors, covariance structures, formulas of thousands of terms."""

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from pyimpl.errors import FormulaError, ModelError, PyimplError
from pyimpl.formula.parse import deparse, parse
from tests.pyimpl.random_models import random_mixed_formula

pytestmark = pytest.mark.filterwarnings("ignore::pyimpl.errors.PyimplWarning")


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    i = np.arange(60)
    return pd.DataFrame(
        {
            "y": np.sin(i),
            "x": np.cos(i * 1.7),
            "f": np.array(["u", "v"])[i % 2],
            "g": np.array(list("abcde"))[i % 5],
            "h": np.array(["p", "q", "r"])[i // 20],
        }
    )


# names(getME(m, "flist")) of lme4 1.1-31 and 2.1-0, live, on the frame above
@pytest.mark.parametrize(
    ("formula", "old", "new"),
    [
        ("y ~ x + (1 | f*g)", None, ["f:g", "g", "f"]),
        ("y ~ x + (1 | (f:g))", ["(f:g)"], ["f:g"]),
        ("y ~ x + (1 | g/(f:h))", ["(f:h):g", "g"], ["h:f:g", "g"]),
        ("y ~ x + (1 | h*f*g)", None, ["h:f:g", "h:g", "f:g", "h:f", "g", "h", "f"]),
        ("y ~ x + (x || f*g)", None, ["f:g", "g", "f"]),
        ("y ~ x + us(x | g)", None, ["g"]),
        ("y ~ x + us(x || g)", None, ["g"]),
        ("y ~ x + (1 | h/g)", ["g:h", "h"], ["g:h", "h"]),
        ("y ~ x + (1 | h:f/g)", None, ["g:f:h", "f:h"]),
        ("y ~ x + (1 | (h)/g)", None, ["g:h", "h"]),
        ("y ~ x + (1 | g/h:f)", ["h:f:g", "g"], ["f:h:g", "g"]),
    ],
)
def test_grouping_factors_are_those_of_the_version(frame, formula, old, new):
    assert list(lmer(formula, frame).getME("flist").columns) == new
    if old is None:
        with pytest.raises((ModelError, FormulaError), match=r"Invalid grouping factor|since lme4 2|before 1\.1-36"):
            lmer(formula, frame, dialect="1.1-31")
    else:
        assert list(lmer(formula, frame, dialect="1.1-31").getME("flist").columns) == old


def test_a_product_of_factors_in_an_older_dialect_says_since_when_it_has_a_meaning(frame):
    with pytest.raises(ModelError) as told:
        lmer("y ~ x + (1 | f*g)", frame, dialect="1.1-35")
    assert "reads (1 | f * g) as (1 | f) + (1 | g) + (1 | f:g) since version 1.1-36" in str(told.value)
    with pytest.raises(PyimplError) as told:  # nothing that another version would take
        lmer("y ~ x + (1 | log(f))", frame, dialect="1.1-35")
    assert "since version" not in str(told.value)


def test_the_unstructured_covariance_of_a_double_bar_is_the_double_bar(frame):
    plain, written = lmer("y ~ x + (x || g)", frame), lmer("y ~ x + us(x || g)", frame)
    assert written.formula == "y ~ x + us((1 | g) + (0 + x | g))"  # as lme4 2.1-0 shows it
    assert written.REMLcrit() == plain.REMLcrit()
    assert written.update(". ~ . + f").REMLcrit() == plain.update(". ~ . + f").REMLcrit()
    np.testing.assert_array_equal(written.predict(frame, re_form="~ (x || g)"), plain.fitted())


def test_the_unstructured_covariance_is_the_plain_bar(frame):
    plain, written = lmer("y ~ x + (x | g)", frame), lmer("y ~ x + us(x | g)", frame)
    assert written.logLik() == plain.logLik()


def test_two_stars_are_a_power(frame):
    assert deparse(parse("y ~ I(x**2) + (f + g)**2")) == "y ~ I(x^2) + (f + g)^2"
    assert lmer("y ~ I(x**2) + (1 | g)", frame).logLik() == lmer("y ~ I(x^2) + (1 | g)", frame).logLik()


def test_a_formula_of_hundreds_of_terms_is_fitted():
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.normal(size=(700, 400)), columns=[f"v{i}" for i in range(400)])
    data = data.assign(y=rng.normal(size=700), g=rng.integers(0, 9, 700).astype(str))
    fit = lmer("y ~ " + " + ".join(data.columns[:400]) + " + (1 | g)", data)
    assert len(fit.fixef()) == 401


@pytest.mark.parametrize("operator", [" + ", ":", " - ", " * ", "/"])
def test_chains_of_any_length_are_read_or_refused_by_us(operator):
    for count in (400, 5000):
        text = "y ~ " + operator.join(f"v{i}" for i in range(count))
        assert deparse(parse(text)).startswith("y ~ v0")


def test_parentheses_beyond_rs_limit_are_refused_by_us():
    assert deparse(parse("y ~ " + "(" * 40 + "x" + ")" * 40)).startswith("y ~ (")
    with pytest.raises(FormulaError, match="contextstack"):
        parse("y ~ " + "(" * 60 + "x" + ")" * 60)


def test_what_r_would_read_is_read():
    """A parser that refuses everything does not pass."""
    rng = np.random.default_rng(5)
    read = 0
    for _ in range(300):
        try:
            parse(random_mixed_formula(rng))
        except PyimplError:
            continue
        read += 1
    assert read > 0.95 * 300
