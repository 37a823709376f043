"""Objectives that are asked at several points at once: fewer calls, the same findings to the last digit."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from validation import compare_fits
from validation.faults import at_theta
from validation.faults.bases import likelihood_base
from validation.judge.units import Objective


class TakesRows:
    """A fit whose devfun takes a matrix, a row for each θ, as the bridge's does."""

    devfun_takes_rows = True

    def __init__(self, fit):
        self.fit, self.calls = fit, 0

    def __getattr__(self, name):
        return getattr(self.fit, name)

    def devfun(self, theta):
        self.calls += 1
        return self.fit.devfun(theta) if np.ndim(theta) == 1 else np.array([self.fit.devfun(row) for row in theta])


@pytest.mark.parametrize("candidate", ["right", "moved", "without objective"])
def test_the_findings_are_the_same_and_the_calls_few(candidate):
    base = likelihood_base("slopes")
    other = base.fit if candidate == "right" else at_theta(base.fit, base.fit.theta.to_numpy() * 1.01)
    if candidate == "without objective":
        other = replace(other, objective=None, points=())
    rows = TakesRows(base.fit)
    found, plain = compare_fits(rows, other, data=base.data), compare_fits(base.fit, other, data=base.data)
    pd.testing.assert_frame_equal(found.table, plain.table, check_exact=True)
    assert repr(found.checks) == repr(plain.checks)
    assert repr(found.causes) == repr(plain.causes)
    assert 0 < rows.calls <= 20


def test_what_is_asked_ahead_is_known_and_what_fails_is_asked_again():
    calls = []

    def at_rows(rows):
        calls.append(len(rows))
        if (rows > 5.0).any():
            raise ValueError("too large")
        return rows.sum(axis=1)

    objective = Objective(lambda theta: calls.append(1) or float(theta.sum()) + 100.0, at_rows)
    points = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    objective.ask(points)
    assert [objective(point) for point in points] == [3.0, 7.0]
    assert calls == [2]
    objective.ask([np.array([9.0, 9.0]), np.array([0.0, 1.0])])
    assert objective(np.array([0.0, 1.0])) == 101.0
    assert calls == [2, 2, 1]
    one = Objective(lambda theta: -1.0)
    one.ask(points)
    assert one(points[0]) == -1.0
