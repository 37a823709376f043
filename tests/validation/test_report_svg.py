"""Pictures of the report: small, true to their numbers, and safe from labels."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tests.validation import comparisons as made
from validation.report.canvas import Canvas, Panel, nice_ticks
from validation.report.plots import plots


def test_every_picture_of_the_report_is_small():
    for plot in plots(made.bayes()) + plots(made.likelihood(levels=73)):
        assert len(plot.svg) < 26_000, plot.name
        assert not re.search(r"\d\.\d{2}", "".join(re.findall(r' d="([^"]*)"', plot.svg)))
        ET.fromstring(plot.svg)


def test_a_panel_puts_points_where_they_belong():
    panel = Panel(Canvas(100), 10.0, 20.0, 200.0, 60.0, (-1.0, 1.0), (0.0, 3.0))
    assert panel.at(np.array([-1.0, 0.0, 1.0]), np.array([0.0, 3.0, 1.5])).tolist() == [[10, 80], [110, 20], [210, 50]]


@pytest.mark.parametrize("most", [4, 5, 6])
def test_ticks_are_few_round_numbers_inside(most):
    rng = np.random.default_rng(most)
    for scale in 10.0 ** np.arange(-12, 13):
        low, high = np.sort(rng.normal(size=2)) * scale + rng.normal() * scale * 10
        ticks, step = nice_ticks(low, high, most)
        assert 1 <= len(ticks) <= most
        assert (ticks >= low - 1e-6 * step).all()
        assert (ticks <= high + 1e-6 * step).all()
        assert f"{step:.1e}"[:3] in ("1.0", "2.0", "2.5", "5.0")
        assert np.abs(ticks / step - np.round(ticks / step)).max() < 1e-6


@pytest.mark.parametrize(("low", "high"), [(-3e-9, 4e-9), (0.0, 1.0), (1e7, 1e7 + 3), (-40.0, 40.0), (0.1, 0.9)])
def test_numbers_at_an_axis_tell_its_ticks_apart(low, high):
    canvas = Canvas(50)
    Panel(canvas, 0.0, 0.0, 100.0, 30.0, (low, high), (0.0, 1.0)).x_axis()
    words = re.findall(r">([^<>]+)</text>", canvas.svg())
    shown, ticks = [float(word) for word in words], nice_ticks(low, high, 6)[0]
    assert len(set(words)) == len(ticks) > 1
    assert np.abs(np.array(shown) - ticks).max() < 1e-3 * (high - low)


def test_an_interval_without_width_is_drawn():
    assert nice_ticks(2.0, 2.0, 5)[0].tolist() == [2.0]
    assert nice_ticks(float("nan"), 1.0, 5)[0].size == 1


def test_labels_are_text():
    label = 'a <b> & "c" $x$ 学校'
    canvas = Canvas(20)
    canvas.text(1, 2, label)
    assert "".join(ET.fromstring(canvas.svg()).itertext()) == label


def test_many_dots_at_one_place_are_one():
    canvas = Canvas(100)
    canvas.dots(np.random.default_rng(1).uniform(0, 20, size=(50_000, 2)), "red")
    assert canvas.svg().count("M") <= 441
