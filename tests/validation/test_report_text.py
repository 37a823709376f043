import dataclasses

import pytest

from tests.validation import comparisons as made
from validation.comparison import TABLE_COLUMNS
from validation.judge.rows import rows_of
from validation.report.text import MOST_FAILURES, render_text
from validation.report.wording import (
    cell,
    checked_table,
    format_number,
    headline,
    main_rows,
    row_label,
    shorten,
    source_line,
    summary_line,
)
from validation.verdict import Verdict


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (14009.426341, 8, "14009.426"),
        (1725.0, 8, "1725"),
        (-3e-9, 2, "-3e-9"),
        (1.25e-300, 2, "1.2e-300"),
        (float("inf"), 8, "Inf"),
        (float("-inf"), 8, "-Inf"),
        (float("nan"), 8, ""),
        (None, 8, ""),
        (0.1 + 0.2, 8, "0.3"),
        (1e22, 8, "1e22"),
        (0, 2, "0"),
    ],
)
def test_numbers_are_short_and_exact_where_they_are_whole(value, digits, text):
    assert format_number(value, digits) == text


def test_shorten_keeps_both_ends():
    assert shorten("abcdefghij", 5) == "ab…ij"
    assert shorten("abc", 3) == "abc"
    assert len(shorten("x" * 500, 40)) == 40


def test_control_characters_become_visible():
    assert cell("a\x1b[31m\nb") == "a\\x1b[31m\\nb"
    assert cell(float("nan")) == ""
    assert cell("学校") == "学校"


def test_short_by_default_and_every_row_on_request():
    comparison = made.likelihood(levels=30)
    short, long = render_text(comparison), render_text(comparison, all_rows=True, width=160)
    assert "Not shown: 30 more rows (30 agree)." in short
    assert short.count("ranef") == 0
    assert long.count("ranef school") == 30
    for row in rows_of(checked_table(comparison)):
        assert row_label(row) in " ".join(long.split())


def test_a_failure_is_shown_first_with_its_reason_and_cause():
    text = render_text(made.disagreeing())
    assert text.index("ranef school 20002") < text.index("deviance")
    assert "Python has no such row" in text
    assert "Likely cause: REML estimates were compared with ML estimates" in text
    assert "What to do: Pass REML=False on both sides." in text
    assert "missing" in text
    assert "better" in text


def test_many_failures_are_counted_not_swallowed():
    comparison = made.likelihood(levels=60)
    comparison.table.loc[8:, "verdict"] = "disagrees"
    text = render_text(comparison)
    assert f"{60 - MOST_FAILURES} more failed rows" in text


def test_no_colour_codes_and_within_the_width():
    for comparison in (made.likelihood(), made.disagreeing(), made.bayes(), made.hostile(), made.empty()):
        for width in (40, 60, 80, 100, 140):
            text = render_text(comparison, width=width)
            assert "\x1b" not in text
            assert max(len(line) for line in text.splitlines()) <= max(width, 100), width


@pytest.mark.parametrize("width", [30, 50, 65])
def test_narrow_terminals_get_a_list(width):
    text = render_text(made.disagreeing(), width=width)
    assert "Python" in text
    assert "─" not in text
    assert all(len(line) <= width for line in text.splitlines())


def test_markup_in_labels_stays_text():
    assert "[bold red]markup[/]" in render_text(made.hostile())


def test_empty_comparison_is_inconclusive():
    assert "inconclusive" in render_text(made.empty())
    assert "nothing is concluded" in render_text(made.empty())


@pytest.mark.parametrize("column", TABLE_COLUMNS)
def test_a_lost_column_is_an_error(column):
    comparison = made.likelihood()
    comparison = dataclasses.replace(comparison, table=comparison.table.drop(columns=column))
    with pytest.raises(ValueError, match=f"no column '{column}'"):
        render_text(comparison)


def test_headline_and_source_say_which_it_was():
    live, recorded = made.likelihood(), made.likelihood(reference=made.RECORDED)
    assert headline([live]) == "R and Python agree"
    assert headline([live, made.disagreeing()]) == "R and Python disagree in 1 of 2 comparisons"
    assert headline([made.bayes(), live]).startswith("Inconclusive")
    assert headline([]) == "Nothing was compared"
    assert source_line([live]) == "Compared against live R: lme4 1.1-31 on R 4.2.2."
    line = source_line([recorded], "R was not found on this computer.")
    assert line.startswith(
        "Compared against recorded references, not live R, because R was not found on this computer:"
    )
    assert "partly" in source_line([live, recorded])
    assert summary_line([live]) == "1 comparison (1 agree): 3 checks, 20 numbers compared."


def test_overall_verdict():
    agrees, better, disagrees, open_, missing = (
        Verdict.AGREES,
        Verdict.BETTER,
        Verdict.DISAGREES,
        Verdict.INCONCLUSIVE,
        Verdict.MISSING,
    )
    assert Verdict.of([]) is open_
    assert Verdict.of([agrees, better]) is agrees
    assert Verdict.of([agrees, open_]) is open_
    assert Verdict.of([open_, missing]) is disagrees
    assert Verdict.of([disagrees, agrees]) is disagrees


def test_main_rows_are_about_parameters():
    rows = main_rows(checked_table(made.likelihood(levels=5)))
    assert "ranef" not in set(rows["quantity"])
    assert {"deviance", "fixef", "sd"} <= set(rows["quantity"])


def test_printed_text_does_not_drift(file_regression):
    file_regression.check(
        render_text(made.likelihood()) + "\n\n" + render_text(made.disagreeing()) + "\n\n" + render_text(made.bayes()),
        extension=".txt",
        encoding="utf-8",
    )
