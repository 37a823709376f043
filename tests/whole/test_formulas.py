"""One formula language on both sides."""

from bridge.formula import FUNCTIONS
from pyimpl.model.functions import ALLOWED_FUNCTIONS


def test_what_pyimpl_evaluates_the_bridge_lets_through():
    assert set(ALLOWED_FUNCTIONS) <= FUNCTIONS
    # the rest needs R: docs/r-to-python.md says what is not there
    assert {"ns", "bs", "C"} <= FUNCTIONS - set(ALLOWED_FUNCTIONS)
