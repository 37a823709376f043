"""Pictures of the report: matplotlib's, in the page's colours and type, and no larger than they need be."""

import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.validation import comparisons as made
from validation.report.plots import inline_svg, plots, style


def drawn(what):
    """What matplotlib makes of a figure, and what a page gets of it."""
    texts = []
    for make in (saved, lambda figure: inline_svg(figure, "salt")):
        with style():
            figure = Figure(figsize=(4, 3))
            what(figure.subplots())
            texts.append(make(figure))
    return texts


def saved(figure):
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()


def longest_path(svg):
    """The corners of the longest path, absolute."""
    path = max(re.findall(r' d="([^"]*)"', svg), key=len)
    return np.array(re.findall(r"-?\d+\.?\d*", path), dtype=float)


@pytest.mark.parametrize("seed", range(3))
def test_lines_stay_where_they_are(seed):
    walk = np.cumsum(np.random.default_rng(seed).normal(size=400))
    before, after = drawn(lambda ax: ax.plot(walk))
    old, new = longest_path(before), longest_path(after)
    assert len(old) == len(new) > 400
    assert np.abs(old - new).max() < 0.0501  # half a tenth of a point
    assert len(after) < 0.8 * len(before)


def test_many_points_are_as_many():
    x = np.random.default_rng(1).normal(size=(2, 60))
    _, svg = drawn(lambda ax: ax.plot(x[0], x[1], "o"))
    shapes = re.findall(r'<use href="([^"]*)"', svg)
    assert 60 in {shapes.count(shape) for shape in shapes}


def test_texts_and_references_survive():
    label = 'a <b> & "c" $x$ 学校 1.23456 font-family: x; <g id="figure_1">'
    _, svg = drawn(lambda ax: (ax.set_title(label), ax.plot([0, 1], [0, 1], clip_on=True)))
    root = ET.fromstring(svg)
    assert label in "".join(root.itertext())
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    assert used
    assert used <= set(ids)


def test_every_picture_of_the_report_is_small():
    figure = Figure()
    assert inline_svg(figure, "salt") == inline_svg(figure, "salt")
    for plot in plots(made.bayes()) + plots(made.likelihood(levels=73)):
        assert len(plot.svg) < 30_000, plot.name
        assert "matplotlib" not in plot.svg
        assert not re.search(r"\d\.\d{4}", plot.svg)


def test_a_title_with_half_a_character_salts_the_identifiers_too():
    figure = Figure()
    figure.subplots().plot([1, 2])
    assert inline_svg(figure, "caf\udce9.csv").startswith("<svg")
