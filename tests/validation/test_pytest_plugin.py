"""The pytest plugin, run by pytest: right and wrong candidates, one's own cases, and suites it must not touch."""

import xml.etree.ElementTree as ET
from importlib import metadata

import pytest

from validation.conformance.candidate import claiming, find_candidate
from validation.conformance.run import judge_case
from validation.suite import choose

pytest_plugins = ["pytester"]

RIGHT = """
from pyimpl import lmer
def fit(formula, data, REML=True, **options):
    return lmer(formula, data, REML=REML, **options)
"""

WRONG = """
from pyimpl import lmer
MISSING = "design objective vcov condsd fitted"
def fit(formula, data, REML=True):
    fit = lmer(formula, data, REML=REML)
    return {"fixef": fit.fixef(), "se": fit.coef_table()["Std. Error"] * 1.0002, "sigma": fit.sigma(),
            "VarCorr": fit.VarCorr(), "ranef": fit.ranef(), "logLik": fit.logLik(), "nobs": fit.nobs()}
"""


@pytest.fixture(scope="module", autouse=True)
def everything_is_loaded():
    """Fit and judge once: pytester forgets what is first imported within one of its runs, compiled kernels included."""
    (case,) = choose(["Dyestuff-ml"])
    assert judge_case(claiming(find_candidate("pyimpl")), case, "recorded").status == "agrees"


def plugin_arguments():
    """Load the plugin by name only where its entry point does not: pytest refuses it twice."""
    points = metadata.entry_points(group="pytest11")
    installed = any(point.value.endswith(".pytest_plugin") and point.name == "mlmparity" for point in points)
    return () if installed else ("-p", "validation.pytest_plugin")


@pytest.fixture
def run(pytester, monkeypatch):
    """Run pytest with the plugin in a folder of its own."""
    monkeypatch.syspath_prepend(pytester.path)
    plugin = plugin_arguments()

    def run(*arguments):
        return pytester.runpytest_inprocess(*plugin, "-p", "no:cacheprovider", "--import-mode=importlib", *arguments)

    return run


def theirs(pytester, monkeypatch, source):
    name = f"theirs_{abs(hash((source, str(pytester.path))))}"
    pytester.makepyfile(**{name: source})
    return name


def test_a_right_candidate_passes_a_test_for_each_tier(run, pytester, monkeypatch):
    name = theirs(pytester, monkeypatch, RIGHT)
    result = run(f"--mlm-candidate={name}", "--mlm-reference=recorded", "--mlm-cases=Dyestuff", "-v")
    result.assert_outcomes(passed=12)
    result.stdout.fnmatch_lines(["mlmparity::Dyestuff-ml[[]tier-4[]] PASSED*"])


def test_a_wrong_candidate_fails_the_tier_with_figures_and_cause(run, pytester, monkeypatch):
    name = theirs(pytester, monkeypatch, WRONG)
    result = run(f"--mlm-candidate={name}", "--mlm-reference=recorded", "--mlm-cases=Dyestuff-ml", "--junitxml=j.xml")
    result.assert_outcomes(passed=4, failed=1, skipped=1)  # tier 2 is not offered
    result.stdout.fnmatch_lines(
        [
            "*Likely cause: The standard errors come from another computation*",
            "*differs by 0.0002 relative, allowed 1e-05*",
        ]
    )
    root = ET.parse(pytester.path / "j.xml").getroot()
    values = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert "largest difference 0.0002 relative" in values["tier-4 se"]


def test_what_is_missing_is_told_with_an_example(run, pytester, monkeypatch):
    name = theirs(pytester, monkeypatch, WRONG.replace("condsd fitted", "condsd"))
    result = run(f"--mlm-candidate={name}", "--mlm-reference=recorded", "--mlm-cases=Dyestuff-ml", "-k", "tier-5")
    result.stdout.fnmatch_lines(["*the candidate lacks this number: 30 of 30, e.g. '*'*"])


def test_keywords_choose_by_feature_and_claims_are_kept(run, pytester, monkeypatch):
    name = theirs(pytester, monkeypatch, RIGHT)
    options = (f"--mlm-candidate={name}", "--mlm-reference=recorded", "--mlm-cases=Dyestuff-ml,Penicillin-ml")
    run(*options, "-k", "crossed").assert_outcomes(passed=6, deselected=6)
    run(*options, "--mlm-can=ml", "-rs").assert_outcomes(passed=6, skipped=6)


REFUSES = """
def fit(formula, data, REML=True, **options):
    raise NotImplementedError("not yet")
"""


@pytest.mark.parametrize("claims", [[], ["--mlm-can=ml"]], ids=["it refuses", "it claims none"])
def test_a_run_in_which_nothing_is_judged_does_not_pass(run, pytester, monkeypatch, claims):
    name = theirs(pytester, monkeypatch, REFUSES)
    options = (f"--mlm-candidate={name}", "--mlm-reference=recorded", "--mlm-cases=Dyestuff-reml", *claims)
    result = run(*options)
    result.assert_outcomes(skipped=6)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["mlmparity: nothing of the candidate was judged*"])
    assert run(*options, "-k", "nowhere").ret == pytest.ExitCode.NO_TESTS_COLLECTED


@pytest.mark.r
def test_who_demands_agreement_of_what_is_not_supported_is_told(run, pytester):
    pytester.makepyfile(
        test_refused="""
        import pytest
        from validation.suite import choose

        (case,) = choose(["Dyestuff-ml"])

        def refuses(formula, data, REML=True):
            raise NotImplementedError("not yet")

        @pytest.mark.mlm(candidate=refuses, reference="live")
        def test_demanded(mlm_agreement):
            mlm_agreement(case.formula, case.load("recorded"), REML=False)

        @pytest.mark.mlm(candidate=refuses, reference="live")
        def test_looked_at(mlm_compare):
            mlm_compare(case.formula, case.load("recorded"), REML=False)
        """
    )
    result = run()
    result.assert_outcomes(failed=1, skipped=1)
    result.stdout.fnmatch_lines(["*not supported: NotImplementedError: not yet*"])


def test_known_deviations_pass_until_they_are_stale(run, pytester, monkeypatch):
    entry = '[[deviation]]\ncases = "Dyestuff-ml"\nquantity = ["se", "t"]\nat_most = 5e-4\nreason = "known"\n'
    (pytester.path / "known.toml").write_text(entry)
    options = ("--mlm-reference=recorded", "--mlm-cases=Dyestuff-ml", "--mlm-known-deviations=known.toml")
    wrong = theirs(pytester, monkeypatch, WRONG)
    run(f"--mlm-candidate={wrong}", *options).assert_outcomes(passed=6, skipped=1)
    right = theirs(pytester, monkeypatch, RIGHT)
    result = run(f"--mlm-candidate={right}", *options)
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.fnmatch_lines(["*entry 1*is stale*"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mlm-candidate=not_there_at_all"], "cannot be imported"),
        (["--mlm-candidate=pyimpl:lmer", "--mlm-can=slope"], "did you mean 'slopes'"),
        (["--mlm-candidate=pyimpl:lmer", "--mlm-reference=recorded", "--mlm-cases=Dyestuf"], "did you mean"),
        (["--mlm-candidate=pyimpl:lmer", "--mlm-reference=hearsay"], "certified, recorded, live"),
        (["--mlm-candidate=pyimpl:lmer", "--mlm-reference=recorded", "--mlm-known-deviations=no.toml"], "cannot be"),
    ],
)
def test_bad_options_are_usage_errors(run, arguments, message):
    result = run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*mlmparity:*{message}*"])


OWN = """
import pandas as pd
import pytest
from pyimpl import lmer
from validation.suite import choose

(case,) = choose(["Dyestuff-ml"])
data = case.load("recorded")

def other(formula, data, REML=True):
    return lmer(formula, data, REML=not REML)

@pytest.mark.mlm(needs="crossed", can="ml", candidate="pyimpl:lmer")
def test_skipped(mlm_agreement):
    raise AssertionError("never reached without the fixture")

@pytest.mark.r
def test_agrees(mlm_agreement):
    assert mlm_agreement(case.formula, data, REML=False).agrees

@pytest.mark.r
@pytest.mark.mlm(candidate=other)
def test_disagrees(mlm_agreement):
    mlm_agreement(case.formula, data, REML=False)

@pytest.mark.r
@pytest.mark.mlm(candidate=other)
def test_looks(mlm_compare):
    assert mlm_compare(case.formula, data, REML=False).causes[0].name == "reml-vs-ml"

@pytest.mark.mlm(candidat=other)
def test_mistyped(mlm_compare):
    mlm_compare(case.formula, data)
"""


@pytest.mark.r
def test_cases_of_ones_own(run, pytester):
    pytester.makepyfile(test_own=OWN)
    pytester.makeini("[pytest]\nmlm_candidate =\nmarkers = r: live\n")
    result = run(
        "--mlm-candidate=pyimpl:lmer", "--mlm-reference=live", "--mlm-cases=Dyestuff-ml", "-k", "not tier and not fit"
    )
    result.stdout.fnmatch_lines(
        ["*not candidat*", "*Likely cause: The candidate was fitted by REML, the reference by ML"]
    )
    result.assert_outcomes(passed=2, failed=1, errors=1, skipped=1, deselected=6)


def test_an_unrelated_suite_is_left_alone(run, pytester):
    pytester.makepyfile(
        test_theirs="""
        import sys
        def test_nothing_is_loaded():
            assert "validation.conformance" not in sys.modules
            assert "bridge" not in sys.modules and "pyimpl" not in sys.modules
        """
    )
    # In a process of its own: here everything is loaded already.
    result = pytester.runpytest_subprocess(*plugin_arguments(), "--strict-markers")
    result.assert_outcomes(passed=1)
    assert "mlmparity::" not in result.stdout.str()  # "plugins: mlmparity-0.1.0" names it where it is installed
