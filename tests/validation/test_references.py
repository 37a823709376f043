"""Recorded references: what is written is read back exactly, atomically, by one writer at a time, and replayed."""

import json
import math
import os
import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from validation import Case, Verdict, compare, compare_fits, recording
from validation.cases import all_cases, select
from validation.errors import NoReferenceError
from validation.files import FileError, write_atomically
from validation.judge.objective import theta_points
from validation.quantities import posterior_summary
from validation.references import store
from validation.references.choose import choose_source, reference_of
from validation.references.recorded import NotRecordedError, RecordedLmerFit, RecordedStanFit, ReportedFit


@pytest.fixture
def recorded(ml_fit, data):
    theta, free = ml_fit.theta.to_numpy(), (-np.inf, np.inf)
    points = theta_points(theta, theta, [(0.0, np.inf), free, (0.0, np.inf)], 1, n_random=3)
    names = {"reference optimum": "tight optimum", "candidate optimum": "default optimum"}
    points = [(names.get(name, name), point) for name, point in points]
    fit = replace(RecordedLmerFit.of(ml_fit, points), printed="printed", provenance={"R": "4.2.2", "lme4": "1.1.31"})
    default = replace(ReportedFit.of(ml_fit), printed="default")
    hashed = store.model_hash(ml_fit.formula, data)
    return store.Record("own-ml", ml_fit.formula, "likelihood", False, hashed, fit, default, fit.provenance)


def test_a_likelihood_record_is_read_back_to_the_last_bit(recorded, tmp_path):
    path = store.save(recorded, tmp_path)
    read = store.load("own-ml", tmp_path)
    assert path.stat().st_size < 1_000_000
    assert read.provenance == {"R": "4.2.2", "lme4": "1.1.31"}
    assert read.side.label == "recorded lme4 1.1.31"
    for name in ("coefficients", "covariance", "X"):
        pd.testing.assert_frame_equal(getattr(read.fit, name), getattr(recorded.fit, name), check_exact=True)
    assert abs(read.fit.Z - recorded.fit.Z).max() == 0
    assert read.fit.points == recorded.fit.points
    comparison = compare_fits(read.fit, recorded.fit)
    assert comparison.agrees
    assert (comparison.table.loc[comparison.table["difference"].notna(), "difference"] == 0).all()


def test_a_record_is_compared_with_a_live_fit_unchanged(recorded, ml_fit, tmp_path):
    store.save(recorded, tmp_path)
    read = store.load("own-ml", tmp_path)
    assert compare_fits(read.fit, ml_fit).agrees
    wrong = replace(ml_fit, objective=lambda theta: ml_fit.objective(theta) + 1e-3)
    assert not compare_fits(read.fit, wrong).agrees


def test_what_was_not_recorded_is_said(recorded):
    with pytest.raises(NotRecordedError, match="recorded at 9 points"):
        recorded.fit.devfun([0.3, 0.3, 0.3])
    with pytest.raises(NotRecordedError, match="getME\\('RX'\\)"):
        recorded.fit.getME("RX")
    with pytest.raises(NotRecordedError, match="pearson"):
        recorded.fit.residuals(type="pearson")


def fake_stan(make_posterior, seed=1):
    fake = make_posterior(seed)
    points = fake.unconstrained_draws(60, 3)
    return fake, RecordedStanFit(
        formula=fake.formula,
        table=posterior_summary(fake.names, fake.values),
        draws=pd.DataFrame(
            {"x": fake.values[1].ravel()[:500], "sigma": fake.values[fake.names.index("sigma")].ravel()[:500]}
        ),
        points=points,
        log_density=np.array([fake.log_prob(point) for point in points]),
        observations=100,
        printed="printed",
    )


def test_a_posterior_record_is_read_back_and_compared(make_posterior, tmp_path):
    _, stored = fake_stan(make_posterior)
    store.save(store.Record("own-bayes", stored.formula, "bayes", True, "hash", stored, None, {}), tmp_path)
    read = store.load("own-bayes", tmp_path).fit
    pd.testing.assert_frame_equal(read.table, stored.table, check_exact=True, check_names=False)
    np.testing.assert_array_equal(read.points, stored.points)
    other = make_posterior(2)
    comparison = compare_fits(read, other)
    assert comparison.agrees, [check.summary for check in comparison.checks]
    other.extra = lambda u: 1e-3 * u[0]
    assert not compare_fits(read, other).agrees
    with pytest.raises(NotRecordedError, match="recorded at 60 points"):
        read.log_prob(np.zeros(read.num_upars))


def test_infinite_values_survive_as_plain_json(recorded, tmp_path):
    fit = replace(recorded.fit, scalars={**recorded.fit.scalars, "AIC": math.inf, "BIC": -math.inf})
    path = store.save(replace(recorded, fit=fit), tmp_path)
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    read = store.load("own-ml", tmp_path).fit
    assert read.AIC() == math.inf
    assert read.BIC() == -math.inf
    assert read.getME("lower").tolist() == [0.0, -math.inf, 0.0]


def _put(content, path, value):
    *way, last = path
    for key in way:
        content = content[key]
    content[last] = value(content[last]) if callable(value) else value


#: What of a likelihood record follows from the rest, and is compared with no candidate, or only where it is there.
CONTRADICTIONS = {
    "npar .3": (("fit", "scalars", "npar"), 3.3),
    "npar one more": (("fit", "scalars", "npar"), lambda npar: npar + 1),
    "singular": (("fit", "scalars", "singular"), lambda singular: 1.0 - singular),
    "sigma huge": (("fit", "scalars", "sigma"), 1e300),
    "levels .6": (("fit", "groups", "values", 0), 6.6),
    "a bound": (("fit", "lower", "values", 0), "-inf"),
    "no bound": (("fit", "lower", "values", 0), None),
    "bounds of others": (("fit", "lower", "index"), lambda labels: labels[::-1]),
    "a truth value": (("fit", "X", "values", 0, 3), True),
    "row labels of two kinds": (("fit", "X", "index", 3), "3"),
    "t": (("fit", "coefficients", "values", 2, 0), lambda t: 1.1 * t),
    "no t": (("fit", "coefficients", "values", 2, 0), None),
    "error": (("fit", "coefficients", "values", 1, 0), lambda se: -se),
    "covariance": (("fit", "covariance", "values", 0, 0), lambda v: 1.1 * v),
    "sd": (("fit", "components", 0, 4), None),
    "sd of the residual": (("fit", "components", -1, 4), lambda sd: 1.1 * sd),
    "correlation": (("fit", "components", 2, 4), lambda r: -r),
    "point with two values": (("fit", "points"), lambda points: [*points, ["again", points[0][1], 0.0]]),
    "point without a name": (("fit", "points", 0, 0), None),
    "point twice": (("fit", "points"), lambda points: [*points, points[0]]),
    "point renamed": (("fit", "points", 2, 0), "stare"),
    "point of default lme4 renamed": (("fit", "points", 1, 0), "random 99"),
    "point gone": (("fit", "points"), lambda points: [p for p in points if not p[0].startswith("boundary, element")]),
    "a gap among points": (("fit", "points"), lambda points: [p for p in points if p[0] != "random 1"]),
    "another optimum": (("fit", "points", 0, 1, 0), lambda theta: 1.1 * theta),
    "a covariance of modes": (("fit", "mode_variances", "school", 3, 0, 1), lambda v: 1.1 * v),
    "no covariance of modes": (("fit", "mode_variances", "school", 3, 0, 1), None),
    "a variance of modes": (("fit", "mode_variances", "school", 3, 0, 0), lambda v: -v),
    "criterion of the arguments": (("provenance",), {"arguments": {"REML": True}}),
    "warnings": (("fit", "warnings"), "x"),
    "printed": (("fit", "printed"), None),
    "optimizer": (("fit", "optimizer"), None),
    "optimizer's theta": (("fit", "optimizer"), lambda _: {"theta": [0.0]}),
    "a response": (("fit", "y", 3), lambda y: y + 1e-3),
    "a predictor": (("fit", "X", "values", 1, 3), lambda x: x + 1e-3),
    "a fitted value": (("fit", "fitted", 3), lambda value: value + 1e-3),
    "a mode": (("fit", "modes", "school", "values", 0, 3), lambda b: 1.001 * b),
    "an objective": (("fit", "points", 2, 2), lambda value: value + 1e-3),
    "weights of others": (("fit",), lambda fit: {**fit, "weights": [2.0] * len(fit["y"])}),
    "criterion": (("reml",), "yes"),
    "kind": (("kind",), "other"),
    "schema": (("schema",), True),
    "default estimate": (("default", "coefficients", "values", 0, 0), lambda b: 1.1 * b),
    "default error": (("default", "coefficients", "values", 1, 0), 1e300),
    "default name": (("default", "coefficients", "index", 0), "x"),
    "default column": (("default", "coefficients", "columns", 2), "x"),
    "default variance": (("default", "components", 0, 3), lambda v: 1.1 * v),
    "default component": (("default", "components"), lambda rows: rows[::-1]),
    "default group": (("default", "components", 0, 0), None),
    "no default logLik": (("default", "logLik"), None),
    "default logLik": (("default", "logLik"), lambda value: 1.1 * value),
    "default text": (("default", "printed"), 3),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_record_that_contradicts_itself_is_refused(recorded, tmp_path, name):
    way, value = CONTRADICTIONS[name]
    path = store.save(recorded, tmp_path)
    sealed(path, lambda content: _put(content, way, value))
    with pytest.raises(store.DamagedReferenceError):
        store.load("own-ml", tmp_path)


POSTERIOR_CONTRADICTIONS = {
    "no error": (("fit", "table", "values", 1, 0), None),
    "an error that excuses anything": (("fit", "table", "values", 1, 0), 1e300),
    "negative error": (("fit", "table", "values", 1, 0), -1.0),
    "quantiles": (("fit", "table", "values", 4, 0), 1e9),
    "sd": (("fit", "table", "values", 2, 0), -1.0),
    "ess": (("fit", "table", "values", 10, 0), 0.0),
    "a draw": (("fit", "draws", "values", 0, 5), 1e300),
    "no draw": (("fit", "draws", "values", 0, 5), None),
    "an infinite draw": (("fit", "draws", "values", 0, 5), "inf"),
    "draw's label": (("fit", "draws", "index", 5), None),
    "divergences": (("fit", "divergences"), 0.5),
    "observations": (("fit", "observations"), "100"),
    "priors": (("fit", "priors"), None),
    "criterion": (("reml",), None),
    "a posterior by maximum likelihood": (("reml",), False),
    "a negative standard deviation": (("fit", "draws", "values", 1, 5), lambda sigma: -sigma),
    "chains": (("provenance", "chains"), 5),
    "draws": (("provenance", "draws"), 3999),
    "warmup": (("provenance", "arguments", "warmup"), 0),
    "chunks of text": (("provenance", "chunks"), "1"),
    "arguments": (("provenance", "arguments"), None),
    "effective draws": (("provenance", "smallest_bulk_ess"), 10**6),
}


@pytest.mark.parametrize("name", POSTERIOR_CONTRADICTIONS)
def test_a_posterior_that_contradicts_itself_is_refused(make_posterior, tmp_path, name):
    way, value = POSTERIOR_CONTRADICTIONS[name]
    fake, stored = fake_stan(make_posterior)
    _, chains, length = np.shape(fake.values)
    account = {
        "arguments": {"chains": chains, "iter": 2 * length},
        "chunks": 1,
        "chains": chains,
        "draws": chains * length,
        "smallest_bulk_ess": round(stored.table.loc[stored.draws.columns, "ess_bulk"].min()),
    }
    path = store.save(store.Record("own-bayes", stored.formula, "bayes", True, "hash", stored, None, account), tmp_path)
    store.load("own-bayes", tmp_path)
    sealed(path, lambda content: _put(content, way, value))
    with pytest.raises(store.DamagedReferenceError):
        store.load("own-bayes", tmp_path)


def test_a_mean_of_the_wildest_size_disagrees(make_posterior):
    _, stored = fake_stan(make_posterior)
    table = stored.table.copy()
    table.iloc[0, 0] = 1e300
    assert not compare_fits(stored, replace(stored, table=table)).agrees


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not readable JSON"),
        ("[" * 200_000, "not readable JSON"),
        ('{"schema": 99}', "has schema 99"),
        ('{"schema": 1, "kind": "likelihood"}', "does not match the hash"),
        ("[1]", "has schema None"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, text, message):
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "bad.json").write_text(text)
    with pytest.raises(store.DamagedReferenceError, match=message):
        store.load("bad", tmp_path)


def sealed(path, change):
    """Change a recorded file as someone who knows how its hash is made."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps({**content, "hash": store.content_hash(content)}))


def test_a_number_changed_by_hand_is_refused(recorded, tmp_path):
    path = store.save(recorded, tmp_path)
    text = path.read_text()
    sigma = json.loads(text)["fit"]["scalars"]["sigma"]
    path.write_text(text.replace(repr(sigma), repr(sigma * 2), 1))
    with pytest.raises(store.DamagedReferenceError, match="does not match the hash"):
        store.load("own-ml", tmp_path)
    path.write_text(text)
    path.rename(path.with_name("other.json"))
    with pytest.raises(store.DamagedReferenceError, match="holds what is called 'own-ml'"):
        store.load("other", tmp_path)


def test_a_record_without_its_formula_is_refused(recorded, tmp_path):
    sealed(store.save(recorded, tmp_path), lambda content: content.update(formula=None))
    with pytest.raises(store.DamagedReferenceError, match="formula is None"):
        store.load("own-ml", tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(extra=1),
        lambda content: content["fit"].update(extra=1),
        lambda content: content["fit"]["theta"].update(extra=1),
        lambda content: content["fit"]["coefficients"].update(extra=1),
        lambda content: content["fit"]["terms"][0].update(columns=[content["fit"]["terms"][0]["columns"]]),
        lambda content: content["fit"]["points"][0].__setitem__(2, str(content["fit"]["points"][0][2])),
        lambda content: content["fit"]["scalars"].update(nobs=float(content["fit"]["scalars"]["nobs"]) * 1e300 * 1e300),
    ],
)
def test_a_record_that_would_not_be_written_so_is_refused(recorded, tmp_path, change):
    """What nobody reads, or reads as something else, is nobody's to compare."""
    path = store.save(recorded, tmp_path)
    store.load(recorded.name, tmp_path)
    try:
        sealed(path, change)
    except ValueError:  # infinity has no hash
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
    with pytest.raises(store.DamagedReferenceError, match="rewrites it"):
        store.load(recorded.name, tmp_path)


@pytest.mark.parametrize("provenance", [None, [], "R", 3])
def test_a_record_that_does_not_say_where_it_comes_from_is_refused(recorded, tmp_path, provenance):
    sealed(store.save(recorded, tmp_path), lambda content: content.update(provenance=provenance))
    with pytest.raises(store.DamagedReferenceError, match="provenance is"):
        store.load("own-ml", tmp_path)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("points", [], "no points"),
        ("modes", {}, "factors and modes"),
        ("mode_variances", {}, "factors and mode_variances"),
        ("components", [], "incomplete"),
        ("terms", [], "incomplete"),
        ("groups", {"index": [], "values": []}, "factors and groups"),
        ("covariance", {"columns": [], "index": [], "values": []}, "coefficients and covariance"),
        ("scalars", {}, "no sigma"),
        ("fitted", [], "incomplete"),
        ("fitted", [10**400] * 24, "incomplete"),
    ],
)
def test_a_record_that_lacks_a_part_is_refused(recorded, tmp_path, part, value, message):
    path = store.save(recorded, tmp_path)
    sealed(path, lambda content: content["fit"].update({part: value}))
    with pytest.raises(store.DamagedReferenceError, match=message):
        store.load("own-ml", tmp_path)


@pytest.mark.parametrize(
    ("part", "value"),
    [("name", "h"), ("effects", ["(Intercept)", "z"]), ("effects", ["x", "(Intercept)"]), ("both", "h")],
)
def test_a_term_is_held_against_its_grouping_factor_and_its_components(recorded, tmp_path, part, value):
    def change(content):
        term = content["fit"]["terms"][0]
        if part == "both":  # the components under the new name, too
            for row in content["fit"]["components"]:
                row[0] = value if row[0] == term["name"] else row[0]
        term["name" if part == "both" else part] = value

    path = store.save(recorded, tmp_path)
    sealed(path, change)
    with pytest.raises(store.DamagedReferenceError, match=r"no grouping factor|terms and components"):
        store.load("own-ml", tmp_path)


@pytest.mark.parametrize("name", ["../M1-ml", "/etc/passwd", "a\0b", "x" * 300, "CON", "a/b", ""])
def test_no_name_leads_out_of_the_folder(recorded, tmp_path, name):
    with pytest.raises(FileError, match="cannot be the name of a file"):
        store.save(replace(recorded, name=name), tmp_path)
    with pytest.raises(LookupError, match="cannot be the name of a file"):
        store.load(name, tmp_path)


def test_nothing_recorded_is_said_with_what_there_is(recorded, tmp_path):
    store.save(recorded, tmp_path)
    with pytest.raises(LookupError, match="no reference was recorded for 'M9'; recorded are: own-ml"):
        store.load("M9", tmp_path)


# ------------------------------------------------------------------------------------------------ finding


def test_found_by_formula_criterion_and_data(recorded, ml_fit, data, tmp_path):
    store.save(recorded, tmp_path)
    squeezed = recorded.formula.replace(" ", "")
    found = store.find(squeezed, data, "likelihood", False, directory=tmp_path, why="no R")
    fit, default, side = found.fit, found.default, found.side
    assert side.kind == "recorded-r"
    assert default.summary() == "default"
    assert fit.logLik() == ml_fit.logLik()
    with_more = data.assign(unused=1.0)
    store.find(squeezed, with_more, "likelihood", False, directory=tmp_path)
    with pytest.raises(NoReferenceError, match="REML"):
        store.find(squeezed, data, "likelihood", True, directory=tmp_path)
    with pytest.raises(NoReferenceError, match="own-ml has this formula, but was recorded on other data"):
        store.find(squeezed, data.iloc[1:], "likelihood", False, directory=tmp_path)


def test_compare_against_recorded_uses_no_r(recorded, ml_fit, data, tmp_path, monkeypatch):
    store.save(recorded, tmp_path)
    monkeypatch.setattr(store, "DIRECTORY", tmp_path)
    comparison = compare(
        recorded.formula, data, REML=False, against="recorded", candidate=lambda formula, data, REML: ml_fit
    )
    assert comparison.agrees
    assert comparison.reference.kind == "recorded-r"
    assert comparison.candidate.kind == "third-party"
    assert any("default optimizer" in note for note in comparison.notes)


# ------------------------------------------------------------------------------------------------ writing


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_atomically(path, "old")

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


def test_of_two_writers_at_once_one_has_its_way(recorded, tmp_path):
    def write(printed):
        for _ in range(10):
            store.save(replace(recorded, fit=replace(recorded.fit, printed=printed)), tmp_path)

    writers = [threading.Thread(target=write, args=(printed,)) for printed in ("one", "other")]
    write("one")
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert store.load(recorded.name, tmp_path).fit.printed in ("one", "other")
    assert [item.name for item in tmp_path.rglob("*.*")] == ["own-ml.json"]


# ------------------------------------------------------------------------------------------------ data sets


def test_a_data_set_is_read_back_exactly(data, tmp_path):
    frame = data.assign(
        n=np.arange(len(data)),
        text=[None if i % 7 == 0 else f"t {i}" for i in range(len(data))],
        grade=pd.Categorical(
            np.where(np.arange(len(data)) % 2, "lo", "hi"), categories=["lo", "hi", "never"], ordered=True
        ),
    )
    frame.loc[frame.index[5], "course"] = np.nan
    frame.loc[frame.index[6], "course"] = 0.1 + 0.2
    frame.loc[frame.index[7], "school"] = np.nan
    store.save_data("own", frame, tmp_path)
    read = store.load_data("own", tmp_path)
    assert store.data_hash(read) == store.data_hash(frame)
    assert list(read["grade"].cat.categories) == ["lo", "hi", "never"]
    assert read["grade"].cat.ordered
    np.testing.assert_array_equal(read["course"].to_numpy(), frame["course"].to_numpy())
    assert read.attrs["name"] == "own"


def test_an_edited_data_set_is_refused(data, tmp_path):
    path = store.save_data("own", data, tmp_path)
    path.write_text(path.read_text().replace('"M"', '"X"', 1))
    with pytest.raises(store.DamagedReferenceError, match="does not match the hash"):
        store.load_data("own", tmp_path)
    with pytest.raises(LookupError, match="no data set was recorded for 'other'"):
        store.load_data("other", tmp_path)


# ------------------------------------------------------------------------------------------------ recording


@pytest.fixture
def fake_r(monkeypatch, make_posterior):
    """rstanarm in name only; what is asked of it is noted."""
    import bridge.rstanarm

    asked = []

    def stan_lmer(formula, data, seed, **arguments):
        asked.append(seed)
        fake = make_posterior(seed, draws=arguments["iter"] - arguments["warmup"])
        fake.values = fake.values[:, : arguments["chains"]]
        fake.summary = lambda: "printed"
        fake.prior_summary = lambda: "priors"
        if len(asked) == getattr(stan_lmer, "fails_at", -1):
            raise KeyboardInterrupt
        return fake

    monkeypatch.setattr(bridge.rstanarm, "stan_lmer", stan_lmer)
    monkeypatch.setattr(recording, "provenance", lambda **more: {"R": "4.2.2", "date": "today", **more})
    monkeypatch.setattr(recording, "ESS_WANTED", 40_000)
    return stan_lmer, asked


def test_a_posterior_is_recorded_until_it_suffices(fake_r, data, tmp_path):
    _, asked = fake_r
    case = Case.of("own", "y ~ 1 + x + (1 + x | g)", data, bayes=True)
    said = []
    recording.record([case], tmp_path, progress=lambda *args, **more: said.append(args))
    stored = store.load("own", tmp_path)
    assert stored.provenance["chains"] >= 10
    assert stored.provenance["smallest_bulk_ess"] >= 32_000
    assert len(asked) == len(set(asked)) == stored.provenance["chunks"]
    assert len(stored.fit.points) >= 50
    assert not (tmp_path / ".partial").exists()
    assert said[-1][1] == 1.0


def test_an_interrupted_recording_goes_on_where_it_stopped(fake_r, data, tmp_path):
    stan_lmer, asked = fake_r
    case = Case.of("own", "y ~ 1 + x + (1 + x | g)", data, bayes=True)
    stan_lmer.fails_at = 3
    with pytest.raises(KeyboardInterrupt):
        recording.record([case], tmp_path)
    assert store.names(tmp_path) == []
    stan_lmer.fails_at = -1
    del asked[:]
    recording.record([case], tmp_path)
    # the first chunk again (its fit evaluates the density), the second from the disk, then the third
    assert asked[:2] == [recording.SEED, recording.SEED + 2]
    assert store.names(tmp_path) == ["own"]


def test_chunks_of_another_version_are_not_mixed_in(fake_r, data, tmp_path, monkeypatch):
    stan_lmer, asked = fake_r
    case = Case.of("own", "y ~ 1 + x + (1 + x | g)", data, bayes=True)
    stan_lmer.fails_at = 3
    with pytest.raises(KeyboardInterrupt):
        recording.record([case], tmp_path)
    stan_lmer.fails_at = -1
    del asked[:]
    monkeypatch.setattr(recording, "provenance", lambda **more: {"R": "4.5.0", **more})
    recording.record([case], tmp_path)
    assert asked[:2] == [recording.SEED, recording.SEED + 1]


def test_a_reference_that_does_not_converge_is_not_written(fake_r, data, tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "ESS_WANTED", 10**6)
    monkeypatch.setattr(recording, "MOST_CHUNKS", 2)
    case = Case.of("own", "y ~ 1 + x + (1 + x | g)", data, bayes=True)
    with pytest.raises(recording.NotConvergedError, match="nothing was written"):
        recording.record([case], tmp_path)
    assert store.names(tmp_path) == []


# ------------------------------------------------------------------------------------------------ the package's own


@pytest.mark.parametrize("name", store.names())
def test_the_packages_own_references_are_whole(name):
    record = store.load(name)
    assert record.name == name
    assert {"R", "platform", "BLAS", "date", "scripts", "data"} <= set(record.provenance)
    path = store.DIRECTORY / "cases" / f"{name}.json"
    assert path.stat().st_size < 1_000_000


def live_r_says(case, directory=None):
    """Live R judged by what was recorded of it: the verdict, and what failed."""
    record = store.load(case.name, directory)
    live = reference_of(replace(case, default=False), choose_source("live"))
    if store.model_hash(case.formula, live.data) != record.model_hash:
        return Verdict.DISAGREES, ["the data are not those of the record"]
    comparison = compare_fits(record.fit, live.fit, data=live.data)
    return comparison.verdict, [check.summary for check in comparison.checks if check.verdict.failed]


@pytest.mark.r
@pytest.mark.parametrize(
    "name",
    [
        # posteriors are replayed in the slow suite (29 s for the quickest)
        pytest.param(name, marks=[pytest.mark.slow] if name.endswith("bayes") else [])
        for name in store.names()
    ],
)
def test_live_r_confirms_the_packages_references(name):
    (case,) = (case for case in all_cases() if case.name == name)
    verdict, failed = live_r_says(case)
    assert verdict is Verdict.AGREES, failed


@pytest.mark.r
def test_a_reference_that_live_r_does_not_confirm_fails(tmp_path):
    case = select(["M2-ml"])[0]
    record = store.load(case.name)
    coefficients = record.fit.coefficients.copy()
    coefficients.loc["femaleF", "Estimate"] += 1e-3
    coefficients["t value"] = coefficients["Estimate"] / coefficients["Std. Error"]
    moved = 1e-3 * record.fit.X["femaleF"]  # the response of which all numbers of the record follow
    changed = {"coefficients": coefficients, "y": record.fit.y + moved, "fits": record.fit.fits + moved}
    store.save(replace(record, fit=replace(record.fit, **changed), default=None), tmp_path)
    assert live_r_says(case, tmp_path)[0] is Verdict.DISAGREES
    store.save(replace(record, model_hash="another"), tmp_path)
    assert live_r_says(case, tmp_path) == (Verdict.DISAGREES, ["the data are not those of the record"])
