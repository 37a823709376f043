"""The tutorial's sections 1 and 2: Python against R and against the printed page; and that a difference is caught."""

import copy
import json

import numpy as np
import pandas as pd
import pytest

from examples.tutorial import sections_1_2 as tutorial
from examples.tutorial.sections_1_2 import Tutorial
from validation.comparison import Side
from validation.verdict import Verdict

R, PYTHON = Side("lme4 on R, live", "live-r"), Side("pyimpl", "python")


@pytest.fixture(scope="module")
def gcsemv():
    return tutorial.load_gcsemv("live")


@pytest.fixture(scope="module")
def gcse(gcsemv):
    return tutorial.prepare(gcsemv)[1]


@pytest.fixture(scope="module")
def models(gcse):
    return tutorial.fit_models(gcse)


@pytest.fixture(scope="module")
def reference():
    return tutorial.live_reference()[0]


@pytest.fixture(scope="module")
def mine(gcsemv, live_dialect):
    return tutorial.sections_1_2(gcsemv, live_dialect)


def changed(run, key, by=0.0, drop=False):
    numbers = run.numbers.copy()
    at = (numbers[["quantity", "group", "term", "level"]] == list(key)).all(axis=1)
    assert at.sum() == 1
    if drop:
        numbers = numbers[~at]
    else:
        numbers.loc[at, "value"] += by
    return Tutorial(numbers, dict(run.texts))


@pytest.mark.r
def test_python_agrees_with_r_and_with_the_page(reference, mine):
    comparison = tutorial.judge(reference, mine, R, PYTHON)
    assert comparison.agrees, str(comparison)
    assert [check.id for check in comparison.checks] == ["numbers", "texts", "page"]
    assert "1,953 of 1,953" in comparison.checks[0].summary
    assert "324 of 324" in comparison.checks[2].summary


@pytest.mark.r
def test_texts_are_rs_to_the_character(reference, mine):
    assert list(mine.texts) == list(reference.texts)
    for name, text in reference.texts.items():
        assert mine.texts[name] == text, name


@pytest.mark.r
@pytest.mark.parametrize(
    ("key", "by", "check"),
    [
        (("count", "data", "schools", ""), 1.0, "numbers"),
        (("fixef", "M2", "femaleF", ""), 0.002, "numbers"),
        (("criterion", "M3", "deviance", ""), 1e-4, "numbers"),
        (("no pooling", "M2", "intercept", "68137"), 1e-7, "numbers"),
        (("ranef", "M2", "(Intercept)", "22738"), 2e-3, "numbers"),
        (("shrinkage", "M2", "factor", "20920"), 1e-3, "numbers"),
        (("fixef", "M1", "(Intercept)", ""), 0.006, "page"),
        (("ranef", "M2", "(Intercept)", "20920"), 2e-7, "page"),
    ],
)
def test_a_changed_number_is_caught(reference, mine, key, by, check):
    comparison = tutorial.judge(reference, changed(mine, key, by), R, PYTHON)
    verdicts = {found.id: found.verdict for found in comparison.checks}
    assert verdicts[check] is Verdict.DISAGREES
    assert not comparison.agrees


@pytest.mark.r
@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_a_lost_number_is_missing(reference, mine, side):
    key = ("partial pooling", "M3", "slope", "84707")
    runs = {"reference": reference, "candidate": mine}
    runs[side] = changed(runs[side], key, drop=True)
    comparison = tutorial.judge(runs["reference"], runs["candidate"], R, PYTHON)
    missing = comparison.table[comparison.table["verdict"].astype(str) == "missing"]
    assert len(missing) == 1
    assert missing["level"].item() == "84707"
    assert not comparison.agrees


@pytest.mark.r
def test_a_number_of_the_page_that_is_not_computed_is_missing(reference, mine):
    key = ("sd", "M3", "femaleF", "")
    comparison = tutorial.judge(changed(reference, key, drop=True), changed(mine, key, drop=True), R, PYTHON)
    page = next(check for check in comparison.checks if check.id == "page")
    assert page.verdict is Verdict.DISAGREES


@pytest.mark.r
def test_a_changed_or_lost_line_is_caught(reference, mine):
    for change in (
        lambda texts: texts.update({"summary(M2)": texts["summary(M2)"].replace("69.730", "69.731")}),
        lambda texts: texts.update({"str(GCSE)": texts["str(GCSE)"].rsplit("\n", 2)[0] + "\n"}),
        lambda texts: texts.pop("summary(Gcsemv)"),
    ):
        other = copy.deepcopy(mine)
        change(other.texts)
        comparison = tutorial.judge(reference, other, R, PYTHON)
        assert next(check for check in comparison.checks if check.id == "texts").verdict is Verdict.DISAGREES


@pytest.mark.r
def test_a_label_that_comes_twice_is_an_error(reference, mine):
    twice = Tutorial(pd.concat([mine.numbers, mine.numbers.head(1)]), mine.texts)
    with pytest.raises(ValueError, match="more than once"):
        tutorial.judge(reference, twice, R, PYTHON)


def test_every_printed_number_has_its_place():
    printed = tutorial.printed_numbers()
    assert len(printed) == 162
    assert printed["where"].str.len().min() > 3
    assert not printed.duplicated().any()
    for text in printed["printed"]:
        assert text == "NA" or np.isfinite(float(text))


@pytest.mark.r
def test_preparing_the_data_leaves_the_original_alone(gcsemv):
    before = gcsemv.copy()
    prepared, gcse = tutorial.prepare(gcsemv)
    pd.testing.assert_frame_equal(gcsemv, before)
    assert list(gcse["female"].cat.categories) == ["M", "F"]
    assert (gcse["female"].astype(str) == gcsemv["gender"].astype(str)).all()
    assert list(gcse.columns) == ["school", "student", "female", "course"]
    assert list(prepared.columns) == [*gcsemv.columns, "female"]


@pytest.mark.r
def test_three_kinds_of_pooling(gcse, models):
    for name in ("M2", "M3"):
        lines = tutorial.pooling_lines(gcse, models[name])
        assert lines.groupby("school", observed=True).size().tolist() == [3] * 8
        slopes = {kind: set(part["slope"]) for kind, part in lines.groupby("estimate", observed=True)}
        # Model 2 has one slope for all schools; Model 3 gives each its own.
        own = 1 if name == "M2" else 8
        assert {kind: len(found) for kind, found in slopes.items()} == {
            "complete pooling": 1,
            "no pooling": own,
            "partial pooling": own,
        }


@pytest.mark.r
def test_shrinkage_gives_the_blups(gcse, models):
    found = tutorial.shrinkage(gcse, models["M2"])
    blups = models["M2"].ranef()["school"]["(Intercept)"]
    np.testing.assert_allclose(found["shrunken"], blups.reindex(found.index), rtol=1e-9)
    assert (found["shrunken"].abs() < found["unshrunken"].abs()).all()
    # The more students, the less shrinkage.
    assert found.sort_values("students used")["factor"].is_monotonic_increasing


@pytest.mark.r
def test_own_regressions_leave_out_what_cannot_be_told(gcse):
    assert "84707" not in tutorial.own_regressions(gcse).index
    one = tutorial.own_regressions(gcse, ["84707"])
    assert one["slope"].isna().all()


@pytest.mark.r
@pytest.mark.parametrize("name", ["M2", "M3"])
def test_plot_has_eight_facets_three_line_types_and_a_legend(gcse, models, name):
    plot = tutorial.plot_schools(gcse, models[name])
    figure = plot.draw()
    facets = [ax for ax in figure.axes if ax.lines or ax.collections]
    assert len(facets) == 8
    labels = {text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))}
    assert {"complete pooling", "no pooling", "partial pooling"} <= labels
    assert set(tutorial.EIGHT_SCHOOLS) <= labels
    kinds = {kind for kind, _ in tutorial.ESTIMATES.values()}
    colours = {colour for _, colour in tutorial.ESTIMATES.values()}
    assert len(kinds) == len(colours) == 3
    lines = tutorial.pooling_lines(gcse, models[name])
    shown = plot.layers[1].data
    assert len(shown) == len(lines) == 24


@pytest.mark.r
def test_pictures_for_the_report_are_described():
    pictures = tutorial.pictures("live")
    assert [picture.name for picture in pictures] == ["schools-M2", "schools-M3"]
    for picture in pictures:
        assert picture.svg.startswith("<svg")
        for school in tutorial.EIGHT_SCHOOLS:
            assert f"school {school}: complete pooling" in picture.alt


@pytest.mark.r
def test_recorded_and_read_back(tmp_path, reference):
    path = tutorial.record(tmp_path)
    stored, side = tutorial.recorded_reference(tmp_path)
    pd.testing.assert_frame_equal(stored.numbers, reference.numbers)
    assert stored.texts == reference.texts
    assert side.kind == "recorded-r"
    assert side.label.startswith("recorded lme4")
    json.loads(path.read_text(), parse_constant=lambda constant: pytest.fail(constant))


def test_nothing_recorded_is_said(tmp_path):
    with pytest.raises(LookupError, match="make record CASES=tutorial"):
        tutorial.recorded_reference(tmp_path)
