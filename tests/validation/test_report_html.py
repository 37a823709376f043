import dataclasses
import html.parser
import re

import pandas as pd
import pytest

from tests.validation import comparisons as made
from validation.comparison import TABLE_COLUMNS
from validation.report.html import digits_of, render_fragment, render_page
from validation.report.plots import plots


class Page(html.parser.HTMLParser):
    """What a browser would make of the page: elements, their attributes, the text outside script and style."""

    def __init__(self, source):
        super().__init__(convert_charrefs=True)
        self.elements, self.text, self._inside = [], [], []
        self.feed(source)
        self.words = " ".join(" ".join(self.text).split())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style", "title"):
            self._inside.append(tag)

    def handle_endtag(self, tag):
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data):
        if not self._inside:
            self.text.append(data)


def everything():
    return [made.likelihood("M1, ML"), made.disagreeing(), made.bayes(), made.hostile(), made.empty()]


@pytest.fixture(scope="module")
def source():
    return render_page(everything())


def test_first_line_says_which_of_the_two_it_was():
    page = Page(render_page([made.likelihood(reference=made.RECORDED)], reason="R was not found on this computer"))
    body = page.words[page.words.index("Skip to the overview") :]
    assert body.startswith(
        "Skip to the overview Compared against recorded references, not live R, because R was not found"
    )
    live = Page(render_page([made.likelihood()]))
    assert "Compared against live R: lme4 1.1-31 on R 4.2.2." in live.words
    assert live.words.index("Compared against live R") < live.words.index("R and Python agree")


def test_order_verdict_cause_checks_notes_table():
    words = Page(render_page([made.disagreeing()])).words
    places = [
        words.index(text)
        for text in (
            "R and Python disagree",
            "Overview",
            "Likely cause: REML estimates",
            "Result",
            "Parameter",
            "Printed summaries side by side. 1 line differs",
            "Agreement",
            "Checks",
            "Notes",
            "Pictures",
            "Tolerance",
            "Where the numbers come from",
        )
    ]
    assert places == sorted(places)


def test_nothing_is_loaded_from_elsewhere(source):
    page = Page(source)
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            target = attributes.get(name)
            if target is not None:
                assert target.startswith(("#", "data:")), (tag, name, target)
    assert not re.search(r"url\((?!#)|@import", source)
    assert "link" not in {tag for tag, attributes in page.elements if attributes.get("rel") != "icon"} - {"link"}


def test_hostile_labels_make_no_element():
    source = render_page([made.hostile()])
    page = Page(source)
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 2  # the data and our own
    assert tags.count("style") == 1 + sum(plot.svg.count("<style") for plot in plots(made.hostile()))
    assert tags.count("img") == 0
    for _, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
    for label in made.HOSTILE[:4]:
        assert label in "".join(page.text)


def test_control_characters_become_visible():
    words = Page(render_page([made.hostile()])).words
    assert "\x1b" not in words
    assert "\u202e" not in words
    assert "\\u202eright-to-left" in words


def test_identifiers_are_unique():
    page = Page(render_page([made.likelihood(), made.bayes(), made.likelihood()]))
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    targets = {attributes["href"][1:] for tag, attributes in page.elements if tag == "a"}
    assert targets <= set(identifiers)


def test_every_picture_is_described(source):
    page = Page(source)
    pictures = [attributes for tag, attributes in page.elements if tag == "svg"]
    assert len(pictures) >= 8
    for attributes in pictures:
        assert attributes["role"] == "img"
        assert len(attributes["aria-label"]) > 40


def test_pictures_of_a_bayesian_comparison():
    assert [plot.name for plot in plots(made.bayes())] == ["estimates", "blups", "posterior", "ecdf", "scores"]
    assert [plot.name for plot in plots(made.likelihood())] == ["estimates", "blups"]
    assert plots(made.empty()) == []


def test_distributions_that_differ_leave_the_band():
    comparison = made.bayes()
    shifted = {**comparison.draws, "candidate": comparison.draws["candidate"].assign(sigma=lambda d: d["sigma"] + 0.2)}
    alike, other = (
        next(plot.alt for plot in plots(c) if plot.name == "ecdf")
        for c in (comparison, dataclasses.replace(comparison, draws=shifted))
    )
    assert "sigma: largest difference" in alike
    assert "outside the band" not in alike
    assert "outside the band" in other


def test_pictures_follow_the_page_colours():
    for plot in plots(made.bayes()):
        assert "#2b6cb0" not in plot.svg.replace("var(--reference, #2b6cb0)", "")
        assert "<metadata" not in plot.svg
        assert plot.svg.startswith("<svg")


def test_digits_of_each_quantity_say_which_is_outside():
    found = {one.name: one for one in digits_of(made.disagreeing())}
    worst = found["standard deviation"]
    assert (worst.least, worst.failed) == (pytest.approx(1.8, abs=0.05), True)
    assert worst.shown[0] == ("1.8", 12)
    assert "rows used" not in found  # equal or not, without digits
    assert [one.least for one in found.values()] == sorted(one.least for one in found.values())
    assert not any(one.failed for one in digits_of(made.likelihood()))
    assert digits_of(made.bayes()) == []  # they would tell of the number of draws
    page = render_page([made.disagreeing()])
    assert page.count("✗ outside") == sum(one.failed for one in found.values()) > 0
    assert "✗ outside" not in render_page([made.likelihood()])


def test_same_input_same_page(source):
    assert render_page(everything()) == source


def test_estimates_stand_first_and_once():
    comparison = made.bayes()
    first = comparison.table[comparison.table["quantity"] == "post-mean"]
    against_truth = first.assign(check="truth-candidate", reference=-1.0)
    table = pd.concat([comparison.table, against_truth], ignore_index=True)
    page = Page(render_page([dataclasses.replace(comparison, table=table)]))
    shown = page.words[page.words.index("Posterior means and standard deviations") : page.words.index("Agreement")]
    assert shown.count("(Intercept)") == shown.count("femaleF") == 1
    assert " -1 " not in shown
    likelihood = made.likelihood()
    residual = likelihood.table.iloc[[6]].assign(group="Residual", term="")
    table = pd.concat([likelihood.table, residual], ignore_index=True)
    words = Page(render_page([dataclasses.replace(likelihood, table=table)])).words
    assert "Residual standard deviation" in Page(render_page([likelihood])).words
    assert "Residual standard deviation" not in words  # it stands among the standard deviations


def test_a_line_more_on_one_side_marks_that_line_alone():
    texts = {"reference": "a\nb\nc\nd\n", "candidate": "a\nb2\nnew\nc\nd\n"}
    one = dataclasses.replace(made.likelihood(), printed=texts)
    words = Page(render_page([one])).words
    assert "2 lines differ (marked ≠)." in words
    assert (
        "Character for character the same."
        in Page(render_page([dataclasses.replace(one, printed=dict.fromkeys(texts, "a\nb"))])).words
    )


def test_a_summary_that_one_side_alone_prints_is_marked_nowhere():
    one = dataclasses.replace(made.likelihood(), printed={"candidate": "a line\nand another"})
    page = render_page([one])
    assert "Printed summary. Of the other side there is none." in Page(page).words
    assert "a line" in page
    assert page.count("Summary printed by") == 1
    assert '<span class="sign">≠' not in page
    neither = render_page([dataclasses.replace(one, printed={"reference": "", "candidate": "\n"})])
    assert "Printed summar" not in Page(neither).words


def test_reasons_of_tolerances_stand_once_and_remarks_where_something_is_wrong():
    agreeing = Page(render_page([made.likelihood()]))
    assert agreeing.words.count("a derivative-free optimizer carries no more") == 1
    assert agreeing.words.index("Why these tolerances") < agreeing.words.index("a derivative-free optimizer")
    assert "Remark" not in agreeing.words
    failing = Page(render_page([made.disagreeing()]))
    assert "off by 0.17 standard errors" in failing.words
    assert failing.words.count("a derivative-free optimizer carries no more") == 1


def test_the_foot_names_the_data_once():
    def with_data(title, letter):
        made_ = made.likelihood(title)
        provenance = {**made_.reference.provenance, "data": letter * 64}
        return dataclasses.replace(made_, reference=dataclasses.replace(made_.reference, provenance=provenance))

    same = Page(render_page([with_data("A", "a"), with_data("B", "a")], command="mlmparity validate")).words
    foot = same[same.index("Data (SHA-256)") :]
    assert foot.startswith("Data (SHA-256) aaaaaaaaaaaaaaaa To repeat it mlmparity validate")
    other = Page(render_page([with_data("A", "a"), with_data("B", "b"), with_data("C", "b")])).words
    assert "aaaaaaaaaaaaaaaa (A), bbbbbbbbbbbbbbbb (B; C)" in other


@pytest.mark.slow
def test_the_page_of_the_main_job_is_under_a_megabyte(tmp_path):
    from validation import cli

    with pytest.raises(SystemExit):
        cli.main(["validate", "--against", "recorded", "-q", "-o", str(tmp_path)])
    assert 300_000 < (tmp_path / "report.html").stat().st_size < 1_000_000


def test_large_tables_stay_small():
    source = render_page([made.likelihood(levels=5000)])
    assert len(source) < 400_000
    assert source.count("<tr") < 100


@pytest.mark.parametrize("column", TABLE_COLUMNS)
def test_a_lost_column_is_an_error(column):
    comparison = made.likelihood()
    with pytest.raises(ValueError, match=f"no column '{column}'"):
        render_page([dataclasses.replace(comparison, table=comparison.table.drop(columns=column))])


def test_empty_page_and_empty_comparison():
    assert "Nothing was compared" in Page(render_page([])).words
    words = Page(render_page([made.empty()])).words
    assert "Inconclusive" in words
    assert "No numbers were compared." in words


def test_fragment_has_no_script_and_keeps_its_styles_to_itself():
    source = render_fragment(made.disagreeing())
    page = Page(source)
    assert "script" not in [tag for tag, _ in page.elements]
    assert "Likely cause" in page.words
    style = source[source.index("<style>") : source.index("</style>")]
    rules = re.sub(r"@media[^{]*", "", re.sub(r"/\*.*?\*/", "", style[7:]))
    selectors = re.findall(r"(?:^|[}{])\s*([^{}@;]+?)\s*\{", rules)
    assert selectors
    for selector in filter(None, map(str.strip, ",".join(selectors).split(","))):
        assert selector.strip().startswith((".mlmparity", "body.mlmparity")), selector


def test_notebook_display_is_the_fragment():
    comparison = made.likelihood()
    assert comparison._repr_html_() == render_fragment(comparison)
    assert comparison.to_html() == render_page([comparison])


def test_of_many_comparisons_those_that_do_not_agree_are_drawn():
    def drawn(comparisons):
        return [element for element, _ in Page(render_page(comparisons)).elements].count("figure")

    one, other = drawn([made.likelihood()]), drawn([made.disagreeing()])
    assert one
    assert other
    assert drawn([made.likelihood(f"model {k}") for k in range(12)]) == 12 * one
    assert drawn([*(made.likelihood(f"model {k}") for k in range(12)), made.disagreeing()]) == other
