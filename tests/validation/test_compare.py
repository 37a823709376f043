"""compare(): both sides fitted, judged, and nothing lost when one of them fails."""

import subprocess
import sys

import pytest

from validation import compare
from validation.comparison import Reference, Side
from validation.errors import NoReferenceError, SideError
from validation.quantities import truth_table
from validation.references import choose
from validation.references.provenance import data_hash


def live(monkeypatch, fit):
    """A live reference without R."""
    side = Side("lme4, live", "live-r")
    monkeypatch.setattr(choose, "examine_r", lambda: None)
    monkeypatch.setattr(choose, "live", lambda model, progress: Reference(fit, side, fit, model.load()))


def test_both_sides_are_fitted_and_told_where_it_stands(monkeypatch, ml_fit, data):
    live(monkeypatch, ml_fit)
    asked = {}

    def candidate(formula, frame, **options):
        asked.update(options)
        return ml_fit

    said = []
    comparison = compare(
        "course ~ 1 + female + (1 + female | school)",
        data,
        REML=False,
        candidate=candidate,
        title="Own",
        weights=None,
        candidate_options={"tolerance": 1e-9},
        progress=lambda message, fraction=None: said.append((message, fraction)),
    )
    assert comparison.agrees
    assert comparison.title == "Own"
    assert asked == {"REML": False, "tolerance": 1e-9}
    assert said[-1] == ("done", 1.0)
    assert any(message.startswith("tier 4") for message, _ in said)
    assert comparison.candidate.provenance["seconds"] >= 0


def test_a_frame_of_another_kind_is_the_same_data(monkeypatch, ml_fit, data):
    import pyarrow as pa

    live(monkeypatch, ml_fit)
    table = pa.Table.from_pandas(data.reset_index(drop=True), preserve_index=False)
    seen = []

    def candidate(formula, frame, **options):
        seen.append(data_hash(frame))
        return ml_fit

    compare("course ~ 1 + female + (1 + female | school)", table, REML=False, candidate=candidate)
    assert seen == [data_hash(data)]


def test_a_candidate_that_fails_is_named_with_its_error(monkeypatch, ml_fit, data):
    live(monkeypatch, ml_fit)

    def candidate(formula, frame, REML):
        raise ZeroDivisionError("by nought")

    with pytest.raises(
        SideError, match=r"could not fit the model, which lme4, live did fit: ZeroDivisionError: by nought"
    ):
        compare("course ~ 1 + (1 | school)", data, candidate=candidate)


def test_against_must_be_known(data):
    with pytest.raises(ValueError, match="the reference 'R': it is auto, certified, recorded, live"):
        compare("course ~ 1 + (1 | school)", data, against="R")


def test_nothing_recorded_says_what_to_do(data):
    with pytest.raises(NoReferenceError, match="mlmparity doctor"):
        compare("course ~ 1 + (1 | school)", data, against="recorded")
    with pytest.raises(NoReferenceError, match="no weights"):
        compare("course ~ 1 + (1 | school)", data, against="recorded", weights=data["course"])


def test_quadratures_answer_becomes_a_summary():
    import pandas as pd

    class Found:
        table = pd.DataFrame({"mean": [1.0], "sd": [2.0], "2.5%": [-3.0]}, index=["sigma"])
        error = pd.DataFrame({"mean": [1e-6], "sd": [-1e-6], "2.5%": [1e-5]}, index=["sigma"])
        ranef = pd.DataFrame({"mean": [0.5], "sd": [0.1]}, index=["b[(Intercept) g:1]"])

    table = truth_table(Found())
    assert list(table.index) == ["sigma", "b[(Intercept) g:1]"]
    assert table.loc["sigma", "mcse_sd"] == 1e-6
    assert table.loc["b[(Intercept) g:1]", "q2.5"] != table.loc["b[(Intercept) g:1]", "q2.5"]
    assert truth_table(None) is None


@pytest.mark.r
@pytest.mark.parametrize("reml", [False, True])
@pytest.mark.parametrize(
    ("package", "name", "formula"),
    [
        ("lme4", "sleepstudy", "Reaction ~ Days + (Days || Subject)"),
        ("lme4", "Dyestuff2", "Yield ~ 1 + (1 | Batch)"),
        ("lme4", "Pastes", "strength ~ 1 + (1 | batch/cask)"),
    ],
)
def test_against_live_lme4(package, name, formula, reml):
    from bridge import datasets

    comparison = compare(formula, datasets.load(name, package=package), REML=reml, against="live")
    assert comparison.agrees, [check.summary for check in comparison.checks if check.verdict.failed]
    assert comparison.reference.kind == "live-r"
    assert "lme4" in comparison.reference.provenance


@pytest.mark.r
def test_default_lme4_is_found_to_stop_early():
    """lme4's default optimizer misses Exam's optimum by more than tier 4 allows: the judge must notice, and say why."""
    from bridge import datasets, lme4
    from validation import compare_fits

    data = datasets.load("Exam", package="mlmRev")
    formula = "normexam ~ standLRT + (standLRT | school)"
    tight = lme4.lmer(formula, data, REML=False, control="tight")
    default = lme4.lmer(formula, data, REML=False)
    comparison = compare_fits(tight, default, data=data)
    assert not comparison.agrees
    assert comparison.causes[0].name == "stopped-early"
    turned = compare_fits(default, tight, data=data)
    assert turned.agrees  # a better optimum than the reference's is no failure


@pytest.mark.r
def test_a_case_end_to_end_against_live_and_recorded_r():
    from validation.cases import select

    case = select(["M3-reml"])[0]
    for against in ("live", "recorded"):
        comparison = case.compare(against=against)
        assert comparison.agrees, [check.summary for check in comparison.checks if check.verdict.failed]
        assert comparison.reference.kind == f"{against}-{'r'}"


def test_compare_is_always_the_function():
    for imports in ("import validation.cases", "from validation.compare import SideError", "import validation.compare"):
        code = f"{imports}\nfrom validation import compare\nassert callable(compare), compare"
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_importing_the_package_loads_nothing():
    code = (
        "import sys, validation; print([m for m in ('numpy', 'pandas', 'arviz_stats', 'bridge') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("error", [SystemExit(0), GeneratorExit()])
def test_a_candidate_that_ends_the_program_could_not_fit(monkeypatch, ml_fit, data, error):
    live(monkeypatch, ml_fit)

    def leaves(formula, frame, **options):
        raise error

    with pytest.raises(SideError, match=f"did fit: {type(error).__name__}"):
        compare("course ~ 1 + female + (1 + female | school)", data, REML=False, candidate=leaves)


def test_the_command_starts_r_before_anything_heavy_is_imported(tmp_path):
    """R takes longest: it starts first, and Python imports beside it."""
    code = (
        "import sys\n"
        "import bridge.session as session\n"
        "def seen(self, packages):\n"
        "    print(sorted({'numpy', 'pandas', 'scipy', 'xarray', 'jinja2', 'pydantic'} & set(sys.modules)))\n"
        "    raise SystemExit(9)\n"
        "session.Session.start_ahead = seen\n"
        "from mlmparity.command import main\n"
        "main(['compare', '--formula', 'y ~ 1 + (1 | g)', '--data', 'y.csv', '--output', sys.argv[1]])\n"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path)]
    found = subprocess.run(arguments, check=False, timeout=60, capture_output=True, text=True)
    assert (found.returncode, found.stdout.strip()) == (9, "[]"), found.stderr


def test_judging_likelihood_fits_imports_neither_xarray_nor_scipy_s_distributions():
    code = (
        "import sys, validation\n"
        "from validation.suite import choose\n"
        "print(choose(['sleepstudy-reml'])[0].compare(against='recorded').verdict)\n"
        "print(sorted({'xarray', 'scipy.stats'} & set(sys.modules)))\n"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert found.stdout.split("\n")[:2] == ["agrees", "[]"]


def test_an_error_whose_text_raises_ends_nothing(monkeypatch, ml_fit, data):
    live(monkeypatch, ml_fit)

    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    class Fit:
        def __getattr__(self, name):
            if name in ("getME", "X", "vcov"):
                raise MuteError
            return getattr(ml_fit, name)

    comparison = compare(
        "course ~ 1 + female + (1 + female | school)", data, REML=False, candidate=lambda *_, **__: Fit()
    )
    assert not comparison.agrees
    assert "MuteError: (its text cannot be had: RuntimeError)" in " ".join(comparison.table["reason"].astype(str))
