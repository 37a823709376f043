"""Pictures of the report: smaller than matplotlib's, and the same."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from tests.validation import comparisons as made
from validation.report.plots import plots, style
from validation.report.svg import compact, inline_svg


def drawn(what):
    import io

    with style():
        figure = Figure(figsize=(4, 3))
        what(figure.subplots())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg")
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def points(path):
    """The corners of path data of lines, absolute, whatever commands say them."""
    found, at = [], np.zeros(2)
    for command, numbers in re.findall(r"([MmLlHhVvz])([^A-Za-z]*)", path):
        values = [float(text) for text in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", numbers)]
        if command in "hv":
            steps = [(value, 0.0) if command == "h" else (0.0, value) for value in values]
        else:
            steps = list(zip(values[0::2], values[1::2], strict=True))
        for step in steps:
            at = np.array(step) if command in "ML" else at + step
            found.append(at)
    return np.array(found)


def longest_path(svg):
    return max(re.findall(r' d="([^"]*)"', svg), key=len)


@pytest.mark.parametrize("seed", range(3))
def test_lines_stay_where_they_are(seed):
    walk = np.cumsum(np.random.default_rng(seed).normal(size=400))
    before = drawn(lambda ax: ax.plot(walk))
    after = compact(before)
    old, new = np.round(points(longest_path(before)), 1), points(longest_path(after))
    old = old[np.r_[True, (np.diff(old, axis=0) != 0).any(axis=1)]]  # a point that stays where it was draws nothing
    assert len(old) == len(new)
    assert len(longest_path(after)) < 0.6 * len(longest_path(before))
    assert np.abs(old - new).max() < 1e-9  # tenths of a point, however long the line


def test_steps_along_an_axis_and_corners_that_repeat():
    path = '<path d="M 1 2 L 5 2 L 5 2 L 5 7 L 5.04 -0.5 z" style="fill: red"/>'
    assert 'd="M1 2h4v5-7.5z"' in compact(f'<svg xmlns="http://www.w3.org/2000/svg">{path}</svg>')


def test_many_points_are_one_path_with_as_many_corners():
    x = np.random.default_rng(1).normal(size=(2, 60))
    before = drawn(lambda ax: ax.plot(x[0], x[1], "o"))
    after = compact(before)
    placed = [points(path) for path in re.findall(r' d="([^"]*)"[^>]*marker-mid', after)]
    assert 60 in {len(corners) for corners in placed}
    assert len(after) < 0.4 * len(before)


def test_circles_are_circles():
    svg = compact(drawn(lambda ax: (ax.set_aspect("equal"), ax.add_patch(Circle((0.5, 0.5), 0.2)))))
    assert svg.count("<circle") == 1
    ellipse = compact(drawn(lambda ax: (ax.set_aspect(2.0), ax.add_patch(Circle((0.5, 0.5), 0.2)))))
    assert "<circle" not in ellipse


def test_texts_and_references_survive():
    label = 'a <b> & "c" $x$ 学校'
    svg = compact(drawn(lambda ax: (ax.set_title(label), ax.plot([0, 1], [0, 1], clip_on=True))))
    root = ET.fromstring(svg)
    assert label in "".join(root.itertext())
    ids = {element.get("id") for element in root.iter()} - {None}
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    assert used
    assert used <= ids


def test_every_picture_of_the_report_is_small():
    figure = Figure()
    assert inline_svg(figure, "salt") == inline_svg(figure, "salt")
    for plot in plots(made.bayes()) + plots(made.likelihood(levels=73)):
        assert len(plot.svg) < 26_000, plot.name
        assert "matplotlib" not in plot.svg
        assert not re.search(r"\d\.\d{5}", plot.svg)


def test_a_title_with_half_a_character_salts_the_identifiers_too():
    from matplotlib.figure import Figure

    from validation.report.svg import inline_svg

    figure = Figure()
    figure.subplots().plot([1, 2])
    assert inline_svg(figure, "caf\udce9.csv").startswith("<svg")
