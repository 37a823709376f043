"""Sections 3 to 5 in R and in Python: every number of the posteriors within its Monte Carlo error."""

import pandas as pd
import pytest

from examples.tutorial import sections_1_2 as tutorial
from examples.tutorial import sections_3_5 as tutorial_bayes
from examples.tutorial import sections_3_5_in_r as tutorial_sections
from examples.tutorial.sections_3_5_in_r import RSections, compare_sections, recorded_reference


@pytest.fixture(scope="module")
def gcse():
    return tutorial.prepare(tutorial.load_gcsemv("recorded"))[1]


@pytest.fixture(scope="module")
def fits(gcse):
    return tutorial_bayes.fit_models(gcse, seed=350)


@pytest.fixture(scope="module")
def recorded():
    return recorded_reference()


def test_every_number_of_rstanarm_is_ours_within_its_error(fits, recorded):
    judged = compare_sections(fits, recorded)
    assert set(judged["model"]) == {"M1", "M2", "M3"}
    assert len(judged) == len(recorded.numbers) > 450
    assert judged["agrees"].all(), judged[~judged["agrees"]].to_string()
    # the errors are of the right size: z-scores are spread like normal ones, or less where draws are shared
    assert judged["z"].std() < 1.6


def test_the_record_converged_and_says_where_it_is_from(recorded):
    assert (recorded.convergence["rhat"] < 1.02).all()
    assert (recorded.convergence["ratio"] > 0.05).all()
    assert recorded.label.startswith("recorded rstanarm")
    assert recorded.provenance["script"].endswith("sections_3_5.R")


def test_printed_texts_have_the_same_lines(fits, recorded):
    """What R prints and what we print differ in their numbers only."""

    def words(text):
        return [[word for word in line.split() if not word.lstrip("-").replace(".", "").isdigit()] for line in text]

    for call, mine in (("print(M1, digits = 2)", fits["M1"].print(digits=2)), ("print(M3)", fits["M3"].print())):
        assert words(recorded.texts[call].rstrip("\n").split("\n")) == words(str(mine).rstrip("\n").split("\n"))
    assert "Priors for model 'M1'" in recorded.texts["prior_summary(M1)"]


@pytest.mark.parametrize(
    ("model", "parameter", "statistic", "sds"),
    [
        ("M1", "(Intercept)", "mean", 0.3),
        ("M1", "alpha[22520]", "97.5%", 0.6),
        ("M2", "femaleF", "Median", 0.3),
        ("M3", "Sigma[school:femaleF,femaleF]", "sd", 0.4),
    ],
)
def test_a_shifted_number_is_caught(fits, recorded, model, parameter, statistic, sds):
    table = recorded.numbers.copy()
    rows = (table["model"] == model) & (table["parameter"] == parameter)
    sd = float(table.loc[rows & (table["statistic"] == "sd"), "value"].iloc[0])
    chosen = rows & (table["statistic"] == statistic)
    assert chosen.sum() == 1
    table.loc[chosen, "value"] += sds * sd
    wrong = RSections(table, recorded.texts, recorded.convergence, "", {})
    judged = compare_sections(fits, wrong)
    assert judged.index[~judged["agrees"]].tolist() == table.index[chosen].tolist()


def test_nothing_is_left_out_silently(fits, recorded):
    with pytest.raises(KeyError, match="lack M2, M3"):
        compare_sections({"M1": fits["M1"]}, recorded)
    extra = pd.concat([recorded.numbers, recorded.numbers.iloc[[0]].assign(parameter="ses")], ignore_index=True)
    with pytest.raises(KeyError, match="ses"):
        compare_sections(fits, RSections(extra, {}, recorded.convergence, "", {}))


def test_what_is_not_recorded_is_said(tmp_path):
    with pytest.raises(LookupError, match="not recorded"):
        recorded_reference(tmp_path)


@pytest.mark.r
@pytest.mark.slow
def test_live_r_agrees_with_its_record_and_with_us(fits, recorded):
    live = tutorial_sections.live_reference(chains=2, iter=1200)
    assert live.numbers["parameter"].tolist() == recorded.numbers["parameter"].tolist()
    judged = compare_sections(fits, live)
    assert judged["agrees"].all(), judged[~judged["agrees"]].to_string()
