"""Random values of a migrated script: judged by Python's own spread; nothing passes for want of a comparison."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from validation.migrate.compared import Compared, compare_values, paired
from validation.migrate.instrument import instrument, sites
from validation.migrate.judged import judge, unproved
from validation.migrate.random_values import Drawn, judge_drawn
from validation.migrate.rcode import parse
from validation.migrate.repeats import Limits, times_within
from validation.migrate.replay import Replayed, repeat, replay
from validation.migrate.run import Migration, migrate
from validation.migrate.script import Piece, Script, Span
from validation.migrate.values import Labelled, from_python, from_r
from validation.migrate.watch import Watched


def value(*numbers, **labelled):
    named = [("" if len(numbers) == 1 else str(k + 1), one) for k, one in enumerate(numbers)]
    return Labelled([*named, *labelled.items()])


def verdict(r, ours, again, sizes=None):
    one = Compared(0, 1, 0, "x", 0, "agrees")
    judge_drawn([Drawn(one, r, ours, again, sizes or {})])
    one.settle()
    return one.verdict


@pytest.mark.parametrize("draw", ["normal", "standard_exponential", "standard_cauchy"])
def test_what_could_be_one_more_of_python_s_agrees(draw):
    """HPD-like ends, medians, shares of 400 draws, of light and heavy tails; a rate of false alarms of 1 % or so."""
    rng = np.random.default_rng(5)

    def once():
        x = getattr(rng, draw)(size=400)
        return value(*np.quantile(x, [0.05, 0.5, 0.95]), np.mean(x > 1), np.mean(x > 50))

    verdicts = [verdict(once(), once(), [once() for _ in range(15)]) for _ in range(300)]
    assert verdicts.count("disagrees") <= 9
    assert "not compared" not in verdicts


@pytest.mark.parametrize(("shift", "expected"), [(0.0, "agrees"), (1.0, "disagrees")])
def test_what_could_not_is_noticed(shift, expected):
    """A median of 400 draws, by one standard deviation of the draws."""
    rng = np.random.default_rng(6)
    mine = [value(float(np.median(rng.normal(size=400)))) for _ in range(17)]
    r = value(mine[0].numbers[0][1] + shift)
    assert verdict(r, mine[1], mine[2:]) == expected


def test_a_large_table_is_compared_by_its_columns():
    """The same numbers in another order are noticed, as other numbers are."""
    rng = np.random.default_rng(8)
    table = pd.DataFrame(rng.normal(size=(101_000, 2)), columns=["a", "b"])
    verdicts = []
    for other in (table, table.iloc[::-1], table * [1, 1.01], table[["b", "a"]].set_axis(["a", "b"], axis=1)):
        one = Compared(0, 1, 0, "x", 0, "agrees")
        compare_values(one, from_python(table), from_python(other), 1e-3, modes=False, least=0.0)
        verdicts.append((one.verdict, len(one.rows)))
    assert verdicts == [("agrees", 16)] + [("disagrees", 16)] * 3


LARGE = """m <- lme4::lmer(Yield ~ 1 + (1 | Batch), lme4::Dyestuff)
table <- outer(seq_len(70000) / 7, c(1, 2, 3)) * sigma(m)
long <- seq_len(5000) * sigma(m)
colMeans(table)
"""


@pytest.mark.r
def test_what_is_too_large_is_summed_up_in_r_as_in_python(tmp_path):
    """And what R does not reach is named, that it stopped where it did."""
    path = tmp_path / "a.R"
    path.write_text(LARGE + "stop('here')\nsigma(m)\n")
    done = migrate(path, tmp_path / "out")
    assert not done.disagreements, str(done)
    rows = {one.name: len(one.rows) for one in done.compared}
    assert (rows["table"], rows["long"]) == (24, 8)
    assert [(line, why.split(":")[0]) for line, _, why in done.missing] == [
        (5, "R stopped here"),
        (6, "R did not get here"),
    ]
    assert done.exit_code == 3


def test_a_worse_sampler_of_r_s_may_be_further_away():
    rng = np.random.default_rng(7)
    mine = [Labelled([("a", float(x))]) for x in rng.normal(size=16)]
    r = Labelled([("a", 6.0)])
    assert verdict(r, mine[0], mine[1:], {"a": (100.0, 100.0)}) == "disagrees"
    assert verdict(r, mine[0], mine[1:], {"a": (100.0, 2500.0)}) == "agrees"


@pytest.mark.parametrize(("share", "expected"), [(0.001, "agrees"), (0.05, "disagrees")])
def test_a_share_that_is_none_each_time_is_judged_by_the_draws(share, expected):
    none = [value(0.0) for _ in range(16)]
    assert verdict(value(share), none[0], none[1:], {"x": (1000.0, 4000.0)}) == expected


def test_what_is_not_random_in_a_random_statement_is_held_to_the_usual_tolerance():
    same = [value(100.0) for _ in range(16)]
    assert verdict(value(100.05), same[0], same[1:]) == "agrees"
    assert verdict(value(101.0), same[0], same[1:]) == "disagrees"


def test_too_few_repetitions_are_no_agreement():
    assert verdict(value(1.0), value(1.0), [value(1.0)] * 3) == "not compared"


def test_another_shape_and_another_text_disagree():
    again = [value(1.0, 2.0)] * 15
    assert verdict(value(1.0, 2.0, 3.0), value(1.0, 2.0), again) == "disagrees"
    texts = [Labelled(texts=[("", "a")])] * 16
    assert verdict(Labelled(texts=[("", "b")]), texts[0], texts[1:]) == "disagrees"
    assert verdict(Labelled(texts=[("", "a")]), texts[0], texts[1:]) == "agrees"


DRAWING = """import numpy as np

def draw(size, seed=None):
    return np.random.default_rng(seed).normal(size=size)

open("ran", "a").write("x")
x = draw(9, seed=3)
print(np.mean(x))
y = 4
print(y)
"""


def test_only_the_random_part_is_run_again_and_with_other_seeds(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "a.py"
    script.write_text(DRAWING)
    spans = [
        {"site": 1, "line": 8, "column": 6, "end_line": 8, "end_column": 16},
        {"site": 2, "line": 10, "column": 6, "end_line": 10, "end_column": 7},
    ]
    migration = {"spans": spans, "drawn": [1]}
    first = replay(script, migration)
    again = repeat(script, migration, Limits(6, 60.0))
    assert (tmp_path / "ran").read_text() == "x"
    assert [list(one) for one in again] == [[1]] * 6
    assert len({one[1][0].numbers[0][1] for one in again} | {first.seen[1][0].numbers[0][1]}) == 7
    # no time at all is one repetition
    assert len(repeat(script, migration, Limits(6, 0.0))) == 1


def test_what_a_drawn_refit_is_asked_is_not_watched(tmp_path):
    code = "b <- bootMer(lmer(y ~ 1 + (1 | g), d), function(m) c(sigma(m), fixef(m)), nsim = 3)\n"
    statements = parse(code)
    marked = instrument(code, statements, sites(statements))
    assert ".mlmparity(0L, drawing = base::c(1L), bootMer(.mlmparity(1L, lmer(" in marked
    script = tmp_path / "a.py"
    script.write_text("f = lambda x: x + 1\nprint(list(map(lambda x: f(x), [1, 2])))\n")
    spans = [
        {"site": 0, "line": 2, "column": 6, "end_line": 2, "end_column": 39},
        {"site": 1, "line": 2, "column": 25, "end_line": 2, "end_column": 29},
    ]
    assert set(replay(script, {"spans": spans, "drawing": {"0": []}}).seen) == {0}
    assert set(replay(script, {"spans": spans}).seen) == {0, 1}


def test_a_vector_without_names_goes_by_its_order():
    r = from_r({"type": "double", "values": [1.0, 2.0]})
    other = Labelled([("2", 2.0), ("1", 1.0)])
    assert [(a, b) for _, a, b in paired(r, other)] == [(1.0, 2.0), (2.0, 1.0)]
    named = from_r({"type": "double", "values": [1.0, 2.0], "names": ["1", "2"]})
    assert [(a, b) for _, a, b in paired(named, other)] == [(1.0, 1.0), (2.0, 2.0)]


@pytest.mark.parametrize(("upper", "verdict"), [(-0.0212, "agrees"), (-0.0220, "disagrees")])
def test_an_interval_s_end_near_zero_is_known_as_well_as_the_others(upper, verdict):
    r = Labelled([("a · lower", -0.521), ("a · upper", -0.0211), ("b · lower", -0.4), ("b · upper", 0.01)])
    ours = Labelled([*r.numbers[:1], ("a · upper", upper), *r.numbers[2:]])
    one = Compared(0, 1, 0, "x", 0, "agrees")
    compare_values(one, r, ours, 1e-3, modes=False, least=0.0)
    assert one.verdict == verdict


def carried(event, seen):
    """What is said of one carried statement in which R did one thing, and Python another."""
    (place,) = sites(parse("sigma(m)"))
    events = [{"statement": 0, "site": 0, **event}]
    script = Script("", [Span(0, 1, 0, 1, 1)], [Piece(0, 1, "", "carried", code=["m.sigma()"])], {}, {}, [place])
    watched = Watched(events=events)
    compared = judge(script, watched, Replayed(seen))
    left = unproved(script, watched, compared)
    done = Migration(None, None, "", compared, [], None, watched, left)
    return [one.verdict for one in compared], done.exit_code


NUMBER = {"type": "double", "values": [2.0]}


@pytest.mark.parametrize(
    ("event", "seen", "verdicts", "code"),
    [
        ({"event": "value", "of": 1, "value": NUMBER}, {0: [value(2.0)]}, ["agrees"], 0),
        ({"event": "value", "of": 1, "value": NUMBER}, {0: [value(3.0)]}, ["disagrees"], 1),
        # R's value has no numbers that could be compared: a plot, an environment
        (
            {"event": "value", "of": 1, "value": {"type": "other", "class": ["gg"]}},
            {0: [value(2.0)]},
            ["not compared"],
            3,
        ),
        ({"event": "value", "of": 1, "value": {"type": "null"}}, {0: [value(2.0)]}, ["not compared"], 3),
        # R showed numbers beside which nothing stands
        ({"event": "shown", "value": NUMBER}, {}, [], 3),
    ],
)
def test_no_number_compared_is_never_all_carried_over(event, seen, verdicts, code):
    assert carried(event, seen) == (verdicts, code)


def test_a_script_that_fails_is_one_reason_not_one_for_each_value():
    why = "NameError: x"
    compared = [Compared(k, k + 1, k, "sigma", 0, "disagrees", why) for k in range(40)]
    text = str(Migration(Path("a.R"), Path("out"), "", compared, [], None, Watched(), [], why))
    assert text.count(why) == 1
    assert "line 1, line 2, line 3 and 37 more" in text


@pytest.mark.r
@pytest.mark.slow
def test_a_loop_without_end_is_stopped_and_not_run_in_python(tmp_path):
    path = tmp_path / "a.R"
    path.write_text(
        "m <- lme4::lmer(Yield ~ 1 + (1 | Batch), lme4::Dyestuff)\nsigma(m)\nwhile (TRUE) {}\n" + 3 * "sigma(m)\n"
    )
    done = migrate(path, tmp_path / "out", timeout=6.0)
    assert [one.verdict for one in done.compared] == ["agrees", "agrees"]
    assert "while True" not in done.script
    assert [line for line, _, _ in done.missing] == [3, 4, 5, 6]
    assert "from line 4 on, 3 statements" in str(done)


HOSTILE = """lmer <- function(formula, data) lme4::lmer(formula, data = data, REML = FALSE)
fun <- function() { library(lme4); fixef(lme4:::lmer(Yield ~ 1 + (1 | Batch), Dyestuff)) }
fun()
m <- lmer(Yield ~ 1 + (1 | Batch), lme4::Dyestuff)
set.seed(1)
rm(.Random.seed)
cat('{"event": "value", "site": 0, "statement": 0, "value": {"type": "double", "values": [1]}}\\n')
for (i in 1:20000) cat("line of output number", i, "\\n")
closeAllConnections()
sigma(m)
rm(list = ls(all.names = TRUE))
attach(NULL, name = "mlmparity:watch")
m <- lme4::lmer(Yield ~ 1 + (1 | Batch), lme4::Dyestuff)
sigma(m)
quit("no")
sigma(m)
"""


@pytest.mark.r
@pytest.mark.slow
def test_a_script_that_closes_hides_and_removes_is_seen_to_its_end(tmp_path):
    path = tmp_path / "a.R"
    path.write_text(HOSTILE)
    done = migrate(path, tmp_path / "out")
    assert done.error is None
    assert not done.disagreements, str(done)
    assert [one.line for one in done.compared if one.name == "sigma"] == [10, 14]
    assert "REML=False" in done.script  # the script's own lmer
    assert done.script.rstrip().endswith("[after quit()] sigma(m)")


def test_random_values_are_computed_often_enough_to_be_judged():
    """Beyond the time there is, up to the least number of times that can be judged; not without end."""
    assert times_within(lambda k: time.sleep(0.02) or True, Limits(9, 0.01, least=4, patience=100.0)) == 4
    assert times_within(lambda k: time.sleep(0.02) or True, Limits(9, 0.01, least=4, patience=2.0)) == 1
