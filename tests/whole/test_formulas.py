"""One formula language on both sides."""

from bridge.formula import FUNCTIONS, SUMMARIES
from pyimpl.frame import summaries
from pyimpl.frame.functions import ALLOWED_FUNCTIONS
from r_scripts import grammar


def test_what_pyimpl_evaluates_the_bridge_lets_through():
    assert set(ALLOWED_FUNCTIONS) <= FUNCTIONS
    # the rest needs R: docs/r-to-python.md says what is not there
    assert {"ns", "bs", "C"} <= FUNCTIONS - set(ALLOWED_FUNCTIONS)


def test_both_sides_read_the_one_list():
    # what only R fits is named here, once: a function that joins the list has to be looked at
    assert set(grammar.FUNCTIONS) - set(ALLOWED_FUNCTIONS) <= {
        "ns", "bs", "C", "cbind", "nchar", "rev", "signif", "log2", "logb", "sign",
    }  # fmt: skip
    assert set(grammar.FUNCTIONS) == FUNCTIONS
    assert set(grammar.SUMMARIES) == set(summaries.SUMMARIES)


def test_ave_has_the_same_summaries_on_both_sides():
    assert set(summaries.SUMMARIES) == SUMMARIES
