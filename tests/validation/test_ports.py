"""Ports that no list of the judge names: of each the right cause or none, however little it answers."""

import pytest

from tests.validation.ports import PORTS
from validation.faults.bases import likelihood_base
from validation.faults.thin import CAREFUL, compare_answers, right_cause

#: Told in the quick suite: one of each way of being wrong.
_QUICK = {
    "the other criterion",
    "offset as a predictor",
    "without correlation",
    "two levels merged",
    "OLS",
    "as printed",
    "theta in the other order",
    "levels by appearance under R's names",
    "response standardised in each school",
    "the constant lost, and standard errors over N - p",
}


def judged(port, keys):
    base = likelihood_base(port.base)
    return compare_answers(base, port.make(base, keys))


@pytest.mark.parametrize(
    "port",
    [pytest.param(port, id=port.name, marks=() if port.name in _QUICK else pytest.mark.slow) for port in PORTS],
)
def test_a_port_is_seen_and_no_wrong_cause_is_named(port):
    seen = []
    for keys in port.keys:
        comparison = judged(port, keys)
        first = comparison.causes[0].name if comparison.causes else ""
        # inconclusive where all that it answers follows from nothing that both have
        seen.append(comparison.verdict != "agrees")
        true = {right_cause(name, keys) for name in port.true}
        assert first in true | CAREFUL | {""}, f"{len(keys)} quantities: {comparison.causes[0]}"
    assert seen[-1], "with all its quantities it agrees"


def test_a_wrong_name_would_be_told():
    """The check itself: a port whose right cause is not in its list."""
    port = next(port for port in PORTS if port.name == "the other criterion")
    first = judged(port, port.keys[0]).causes[0].name
    assert first == "reml-vs-ml"
    assert first not in CAREFUL


def test_there_are_ports_of_many_kinds():
    assert len(PORTS) >= 145
    assert len({port.name for port in PORTS}) == len(PORTS)
    assert {len(keys) for port in PORTS for keys in port.keys} == {3, 5, 7, 8, 11, 12}
