"""Conformance: what a third party's function may return, what it may claim, and that no fault of it passes."""

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyimpl import lmer
from validation.algebra import pieces_of, solve
from validation.cases import FEATURES, all_cases, available, choose
from validation.cli import main
from validation.conformance.answer import Answer, AnswerError, NotOfferedError, as_fit
from validation.conformance.candidate import (
    SHIPPED,
    Candidate,
    CandidateError,
    candidate_of,
    claiming,
    find_candidate,
)
from validation.conformance.deviations import DeviationError, problems_of, read_deviations
from validation.conformance.output import as_data, line, markdown, read_runs
from validation.conformance.run import Result, Status, judge_case, overall_status
from validation.quantities import columns_of
from validation.references.choose import choose_source, reference_of
from validation.verdict import Verdict

GAPS = frozenset({"design", "objective"})


def plain(formula, data, REML=True, **options):
    """A right answer as a plain mapping."""
    fit = lmer(formula, data, REML=REML, **options)
    return {
        "fixef": fit.fixef(),
        "se": fit.coef_table()["Std. Error"],
        "vcov": fit.vcov(),
        "sigma": fit.sigma(),
        "VarCorr": fit.VarCorr(),
        "ranef": fit.ranef(),
        "condsd": {
            group: pd.DataFrame(
                np.sqrt(np.einsum("lee->le", array.to_numpy())),
                index=array.coords["level"].to_numpy(),
                columns=array.coords["effect"].to_numpy(),
            )
            for group, array in fit.ranef_condVar().items()
        },
        "logLik": fit.logLik(),
        "nobs": fit.nobs(),
        "fitted": fit.fitted(),
        "residuals": fit.residuals(),
    }


def load_candidate(target, can=None, missing=None):
    return claiming(find_candidate(target), can, missing)


def case_of(name):
    return next(case for case in all_cases() if case.name == name)


def judge(function, name="three-effects-ml", missing=GAPS, can=None, **more):
    candidate = candidate_of(function, can, missing)
    return judge_case(candidate, case_of(name), "recorded", **more)


# ------------------------------------------------------------------------------------------------- what is returned


@pytest.mark.parametrize("name", ["sleepstudy-reml", "sleepstudy-independent-ml", "Pastes-ml", "sum-contrasts-reml"])
def test_a_plain_mapping_agrees(name):
    result = judge(plain, name)
    assert result.status is Status.AGREES, result.reason
    assert set(result.not_offered) == GAPS
    assert result.seconds > 0


def test_ten_lines_are_enough():
    def few(formula, data, REML=True):
        fit = lmer(formula, data, REML=REML)
        return {
            "fixef": dict(fit.fixef()),
            "se": dict(fit.coef_table()["Std. Error"]),
            "sigma": fit.sigma(),
            "VarCorr": {"Batch": fit.VarCorr()["vcov"].iloc[0]},
            "ranef": {"Batch": fit.ranef()["Batch"]["(Intercept)"]},
            "logLik": fit.logLik(),
            "nobs": fit.nobs(),
        }

    gaps = "design objective condsd fitted vcov"
    assert judge(few, "Dyestuff-reml", gaps).status is Status.AGREES
    lacking = judge(few, "Dyestuff-reml", "design objective condsd vcov")
    assert lacking.status is Status.DISAGREES
    assert set(lacking.figures.loc[lacking.figures["missing"] > 0, "quantity"]) >= {"fitted", "residuals"}


@pytest.mark.parametrize("fitted", [lambda values: values, np.asarray, lambda values: values.iloc[::-1]])
def test_residuals_follow_from_fitted_values(fitted):
    def without(formula, data, REML=True):
        answer = plain(formula, data, REML)
        del answer["residuals"]
        return answer | {"fitted": fitted(answer["fitted"])}

    def wrong(formula, data, REML=True):
        return without(formula, data, REML) | {"fitted": fitted(1.001 * plain(formula, data, REML)["fitted"])}

    assert judge(without, "sleepstudy-reml").status is Status.AGREES
    failed = judge(wrong, "sleepstudy-reml")
    assert failed.status is Status.DISAGREES
    assert {"fitted", "residuals"} <= set(failed.figures.loc[failed.figures["failed"] > 0, "quantity"])


@pytest.mark.parametrize(
    ("fault", "quantity"),
    [
        (lambda a: a | {"sigma": a["sigma"] * (1 + 1e-4)}, "sigma"),
        (lambda a: a | {"fixef": a["fixef"] + 1e-3}, "fixef"),
        (lambda a: a | {"se": a["se"] * 1.001}, "se"),
        (lambda a: a | {"ranef": {g: f.iloc[::-1].set_axis(f.index) for g, f in a["ranef"].items()}}, "ranef"),
        (lambda a: a | {"ranef": {g: f.iloc[1:] for g, f in a["ranef"].items()}}, "ranef"),
        (lambda a: a | {"logLik": a["logLik"] - 1e-3}, "logLik"),
        (lambda a: a | {"nobs": a["nobs"] + 1}, "nobs"),
        (lambda a: a | {"fitted": a["fitted"] + 1e-3}, "fitted"),
        (lambda a: a | {"condsd": {g: f * 1.001 for g, f in a["condsd"].items()}}, "condsd"),
        (lambda a: a | {"AIC": -2 * a["logLik"] + 40}, "AIC"),
        (lambda a: a | {"isREML": True}, "criterion"),
        (lambda a: {k: v for k, v in a.items() if k != "se" and k != "vcov"}, "se"),
        (lambda a: {k: v for k, v in a.items() if k != "VarCorr"}, "variance"),
    ],
)
def test_every_fault_of_an_answer_is_found(fault, quantity):
    result = judge(lambda *args, **more: fault(plain(*args, **more)), "sleepstudy-ml")
    assert result.status is Status.DISAGREES
    assert quantity in set(result.figures.loc[result.figures["failed"] > 0, "quantity"])


class Leaving:
    """A fit that ends the program where a number is asked of it."""

    def __init__(self, fit, name, error):
        self._fit, self._name, self._error = fit, name, error

    def __getattr__(self, name):
        if name == self._name:
            raise self._error
        return getattr(self._fit, name)


@pytest.mark.parametrize("error", [SystemExit(0), SystemExit("bye"), GeneratorExit()])
def test_a_candidate_that_ends_the_program_has_failed(error):
    def leaves(formula, data, REML=True):
        raise error

    result = judge(leaves, "Dyestuff-ml")
    assert result.status is Status.RAISED
    assert type(error).__name__ in result.error
    for name in ("fixef", "ranef", "VarCorr"):
        late = judge(lambda *args, name=name, **more: Leaving(lmer(*args, **more), name, error), "Dyestuff-ml")
        assert late.status.failed, name


def test_the_users_own_interruption_stays_his():
    def stops(formula, data, REML=True):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(stops, "Dyestuff-ml")


def test_rows_are_joined_by_label_whatever_their_order():
    def shuffled(formula, data, REML=True):
        answer = plain(formula, data, REML=REML)
        answer["vcov"] = answer["vcov"].iloc[::-1, ::-1]
        components = answer["VarCorr"]
        swap = components["var2"].notna()
        components.loc[swap, ["var1", "var2"]] = components.loc[swap, ["var2", "var1"]].to_numpy()
        answer["ranef"] = {g: f.iloc[::-1] for g, f in answer["ranef"].items()}
        return answer

    assert judge(shuffled).status is Status.AGREES


def test_a_mistyped_key_is_refused():
    data = pd.DataFrame({"y": [1.0]})
    with pytest.raises(AnswerError, match="did you mean 'VarCorr'"):
        as_fit({"VarCor": 1}, "y ~ 1 + (1 | g)", data, True)
    with pytest.raises(AnswerError, match="returned a int; expected a mapping"):
        as_fit(3, "y ~ 1 + (1 | g)", data, True)
    with pytest.raises(AnswerError, match="2 variances without covariances"):
        Answer({"VarCorr": {"g": {"(Intercept)": 1.0, "x": 2.0}}}, "y ~ 1", data, True).VarCorr()
    with pytest.raises(NotOfferedError, match="no 'fixef'"):
        Answer({}, "y ~ 1", data, True).fixef()


def test_theta_is_worked_out_from_the_covariance_matrices():
    case = case_of("three-effects-ml")
    fit = lmer(case.formula, case.load("recorded"), REML=False)
    answer = Answer({"VarCorr": fit.VarCorr(), "sigma": fit.sigma()}, fit.formula, pd.DataFrame(), False)
    theta = fit.getME("theta")
    assert list(answer.getME("theta").index) == list(theta.index)
    np.testing.assert_allclose(answer.getME("theta"), theta, atol=1e-7)
    np.testing.assert_array_equal(answer.getME("lower"), fit.getME("lower"))


# ------------------------------------------------------------------------------------------------- what is claimed


def test_what_is_not_claimed_is_said_and_not_passed():
    result = judge(plain, "crossed-three-ml", can="ml reml slopes")
    assert result.status is Status.NOT_CLAIMED
    assert "crossed" in result.reason
    assert overall_status([result]) is Verdict.INCONCLUSIVE


def test_a_claimed_feature_that_raises_is_a_failure():
    def breaks(formula, data, REML=True):
        raise ArithmeticError("no slopes")

    result = judge(breaks)
    assert result.status is Status.RAISED
    assert result.error == "ArithmeticError: no slopes"
    assert overall_status([result]) is Verdict.DISAGREES


@pytest.mark.parametrize("name", ["NotImplementedError", "FormulaError"])
def test_what_a_candidate_says_it_does_not_have_is_not_supported(name):
    def refuses(formula, data, REML=True):
        raise type(name, (Exception,), {})("ns() is not there")

    result = judge(refuses)
    assert result.status is Status.NOT_SUPPORTED
    assert not result.status.failed
    assert overall_status([result]) is Verdict.INCONCLUSIVE


def test_failing_alike_is_noticed_whatever_the_error_quotes():
    def result(error, status=Status.RAISED):
        return Result(case_of("weights-ml"), status, error=error)

    alike = [result(f"KeyError: {name!r}") for name in ("school", "Subject", "class")]
    assert overall_status(alike) is Verdict.INCONCLUSIVE
    others = [result("KeyError: 'school'"), result("TypeError: 3"), result("ValueError: x")]
    assert overall_status(others) is Verdict.DISAGREES
    assert overall_status([*alike[:2], result("", Status.AGREES)]) is Verdict.DISAGREES


def test_who_drops_no_rows_can_say_so():
    assert "missing" in candidate_of(plain, "ml reml").can
    assert candidate_of(plain, "ml reml no-missing").can == {"ml", "reml"}
    assert candidate_of(plain, "no-missing").can == set(FEATURES) - {"bayes", "missing"}
    assert judge(plain, "M1-ml", can="ml no-missing").status is Status.NOT_CLAIMED
    with pytest.raises(CandidateError, match="did you mean 'missing'"):
        candidate_of(plain, "no-mising")


def test_what_has_missing_values_says_so():
    for case in all_cases():
        try:
            data = case.load("recorded")
        except LookupError:
            continue
        gaps = data[columns_of(case.formula, data)].isna().any(axis=None)
        assert ("missing" in case.needs) == bool(gaps), case.name


def test_warnings_of_the_candidate_are_fields_of_the_result():
    def warns(formula, data, REML=True):
        import warnings

        warnings.warn("did not converge", RuntimeWarning, stacklevel=1)
        return plain(formula, data, REML=REML)

    assert judge(warns).warnings == ("RuntimeWarning: did not converge",)


def test_a_candidate_cannot_change_the_data_of_the_judge():
    def scribbles(formula, data, REML=True):
        answer = plain(formula, data, REML=REML)
        data["y"] = 0.0
        return answer

    assert judge(scribbles).status is Status.AGREES
    assert judge(plain).status is Status.AGREES


def test_declaring_everything_missing_is_no_way_to_agree():
    from validation.conformance.answer import OFFERS

    result = judge(lambda *a, **k: {}, missing=",".join(OFFERS))
    assert result.status is Status.INCONCLUSIVE


def test_a_quantity_that_is_declared_missing_and_given_is_judged():
    wrong = lambda *a, **k: plain(*a, **k) | {"logLik": -1e4}  # noqa: E731
    assert judge(wrong, missing="design objective logLik").status is Status.DISAGREES


def test_weights_offset_and_contrasts_reach_the_candidate():
    seen = {}

    def notes(formula, data, REML=True, **options):
        seen.update(options)
        return plain(formula, data, REML=REML, **options)

    for name in ("weights-ml", "offset-ml", "sum-contrasts-ml"):
        result = judge(notes, name)
        assert result.status is Status.AGREES, (name, result.reason)
    assert seen.keys() == {"weights", "offset", "contrasts"}
    assert judge(lambda f, d, REML=True, **_: plain(f, d, REML=REML), "weights-ml").status is Status.DISAGREES


def test_posteriors_are_judged_by_their_draws():
    record = reference_of(case_of("M1-bayes"), choose_source("recorded")).fit
    gaps = "density new-levels mean_PPD log-posterior ranef"

    def drawn(shift):
        def sample(formula, data, seed):
            draws = record.independent_draws()
            draws = draws[[name for name in draws.columns if name not in ("mean_PPD", "log-posterior")]]
            cut = len(draws) // 4 * 4
            return {
                name: draws[name].to_numpy()[:cut].reshape(4, -1) + shift * draws[name].std() for name in draws.columns
            }

        return sample

    candidate = candidate_of(drawn(0.0), "bayes", gaps)
    right = judge_case(candidate, case_of("M1-bayes"), "recorded")
    assert right.status is Status.AGREES, right.reason
    assert {"density", "ranef"} <= set(right.not_offered)
    wrong = judge_case(replace(candidate, sample=drawn(0.4)), case_of("M1-bayes"), "recorded")
    assert wrong.status is Status.DISAGREES
    no_draws = judge_case(replace(candidate, sample=lambda *a, **k: 3), case_of("M1-bayes"), "recorded")
    assert no_draws.status is Status.RAISED
    assert "expected draws" in no_draws.error


# ------------------------------------------------------------------------------------------------- the candidate


def test_candidates_are_loaded_by_name(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text("CAN = 'ml slopes'\nMISSING = ['condsd']\ndef fit(f, d, REML=True): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = load_candidate("theirs")
    assert (found.can, found.missing) == ({"ml", "slopes", "missing"}, {"condsd"})
    assert load_candidate("theirs:fit", can="reml").can == {"reml", "missing"}
    assert load_candidate("pyimpl:lmer").can == set(FEATURES) - {"bayes"}
    for target, message in [
        ("theirs:fitt", "did you mean fit"),
        ("statsmodel", "did you mean 'statsmodels'|Did you mean 'statsmodels'"),
        ("nowhere.at.all", "Is it installed"),
        ("json", "no function 'fit'"),
    ]:
        with pytest.raises(CandidateError, match=message):
            load_candidate(target)
    with pytest.raises(CandidateError, match="--can names 'slope', which is no feature; did you mean 'slopes'"):
        load_candidate("theirs", can="slope")
    with pytest.raises(CandidateError, match="--missing names"):
        load_candidate("theirs", missing="everything")


def test_adapters_claim_features_that_there_are_and_load_without_their_package():
    for name in SHIPPED:
        found = load_candidate(name)
        assert found.can <= FEATURES.keys()
        assert found.fit is not None or found.sample is not None


def test_cases_are_distinct_and_need_features_that_there_are():
    names = [case.name for case in all_cases()]
    assert len(set(names)) == len(names)
    assert all(case.needs and case.needs <= FEATURES.keys() for case in all_cases())
    assert [case.name for case in choose(["crossed-three"])] == ["crossed-three-ml", "crossed-three-reml"]
    assert set(available(choose_source("recorded"))) & set(names)


# ------------------------------------------------------------------------------------------------- known deviations


def loose(formula, data, REML=True):
    answer = plain(formula, data, REML=REML)
    return answer | {"se": answer["se"] * (1 + 2e-4), "vcov": answer["vcov"]}


def known(tmp_path, text, function=loose, name="sleepstudy-ml"):
    path = tmp_path / "known.toml"
    path.write_text(text)
    deviations = read_deviations(path)
    result = judge(function, name, deviations=deviations)
    problems = [problem for d in deviations for problem in problems_of(d, [result], {name})]
    return result, problems


ENTRY = '[[deviation]]\ncases = "sleepstudy-ml"\nquantity = ["se", "t"]\nat_most = 3e-4\nreason = "numerical Hessian"\n'


def test_a_known_deviation_is_allowed_for_and_no_more(tmp_path):
    result, problems = known(tmp_path, ENTRY)
    assert (result.status, result.known, problems) == (Status.KNOWN, (1,), [])
    assert "known deviation" in " ".join(result.comparison.table["reason"])
    larger, _ = known(tmp_path, ENTRY.replace("3e-4", "1e-4"))
    assert larger.status is Status.DISAGREES
    elsewhere, problems = known(tmp_path, ENTRY.replace('"sleepstudy-ml"', '"M1-ml"'))
    assert elsewhere.status is Status.DISAGREES
    assert "names no case" in problems[0]


def test_what_is_known_is_no_cause_of_the_rest(tmp_path):
    def wrong(formula, data, REML=True):
        answer = loose(formula, data, REML)
        return answer | {"ranef": {group: 1.1 * frame for group, frame in answer["ranef"].items()}}

    assert judge(wrong, "sleepstudy-ml").comparison.causes[0].name == "standard-error-scale"
    result, _ = known(tmp_path, ENTRY, wrong)
    assert (result.status, [cause.name for cause in result.comparison.causes]) == (Status.DISAGREES, ["unknown"])


@pytest.mark.parametrize(
    ("text", "function", "problem"),
    [
        (ENTRY, plain, "is stale"),
        (ENTRY.replace("3e-4", "3e-2"), loose, "too wide: at_most = 0.03"),
        (ENTRY.replace('"se", "t"', '"se", "t", "sigma"'), loose, "too wide: sigma does not deviate"),
        (ENTRY.replace("at_most = 3e-4\n", ""), loose, "has no at_most; the largest difference seen is 0.0002"),
        (ENTRY.replace('"sleepstudy-ml"', '["sleepstudy-ml", "nothing-*"]'), loose, "as no case is called"),
        ('[[deviation]]\ncases = "sleepstudy-*"\nerror = "ValueError"\nreason = "r"\n', plain, "is stale"),
        ('[[deviation]]\ncases = "sleepstudy-*"\nerror = "*"\nreason = "r"\n', plain, "is stale"),
    ],
)
def test_an_entry_that_no_longer_applies_or_is_too_wide_is_an_error(tmp_path, text, function, problem):
    _, problems = known(tmp_path, text, function)
    assert problem in " ".join(problems)


def test_one_of_several_cases_that_does_not_deviate_makes_an_entry_too_wide(tmp_path):
    text = ENTRY.replace('"sleepstudy-ml"', '"sleepstudy-*"')
    path = tmp_path / "known.toml"
    path.write_text(text)
    (deviation,) = read_deviations(path)
    results = [judge(loose, "sleepstudy-ml"), judge(plain, "sleepstudy-reml")]
    problems = problems_of(deviation, results, {"sleepstudy-ml", "sleepstudy-reml"})
    assert problems == [f"{deviation.title} is too wide: sleepstudy-reml does not deviate; name the cases that do"]


def test_a_known_exception_is_allowed_for(tmp_path):
    def refuses(formula, data, REML=True):
        raise NotImplementedError("not yet")

    text = '[[deviation]]\ncases = "sleepstudy-ml"\nerror = "NotImplementedError"\nreason = "not yet"\n'
    result, problems = known(tmp_path, text, refuses)
    assert (result.status, problems) == (Status.KNOWN, [])
    other, _ = known(tmp_path, text.replace("NotImpl", "Impl"), refuses)
    assert other.status is Status.NOT_SUPPORTED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("deviation = 3", "write \\[\\[deviation\\]\\]"),
        ("[[deviations]]\n", "expected only entries"),
        ("not toml", "is not TOML"),
        ('[[deviation]]\nquantity = "se"\nreason = "r"', "names no cases"),
        ('[[deviation]]\ncases = "a"\nquantity = "se"', "gives no reason"),
        ('[[deviation]]\ncases = "a"\nreason = "r"', "write either"),
        ('[[deviation]]\ncases = "a"\nreason = "r"\nquantiy = "se"', "has the key 'quantiy'"),
        ('[[deviation]]\ncases = "a"\nreason = "r"\nquantity = "se"\nat_most = -1', "a number above 0"),
        ('[[deviation]]\ncases = 3\nreason = "r"\nquantity = "se"', "expected a name or a list"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path, text, message):
    path = tmp_path / "known.toml"
    path.write_text(text)
    with pytest.raises(DeviationError, match=message):
        read_deviations(path)
    with pytest.raises(DeviationError, match="cannot be read"):
        read_deviations(tmp_path / "absent.toml")


# ------------------------------------------------------------------------------------------------- what is written


@pytest.fixture(scope="module")
def three():
    candidate = Candidate("theirs <1>", loose, None, frozenset({"ml", "slopes"}), GAPS, {"theirs": "1.0"})

    def raises(*args, **more):
        raise ValueError("bad \x00 input | `x`")

    results = [
        judge_case(candidate, case_of("sleepstudy-ml"), "recorded"),
        judge_case(replace(candidate, fit=plain), case_of("implied-intercept-ml"), "recorded"),
        judge_case(replace(candidate, fit=raises), case_of("three-effects-ml"), "recorded"),
        judge_case(candidate, case_of("crossed-three-ml"), "recorded"),
    ]
    return candidate, results


@pytest.fixture(scope="module")
def docs():
    path = Path(__file__).resolve().parents[2] / "docs" / "generate.py"
    spec = importlib.util.spec_from_file_location("docs_generate", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_json_and_the_table_name_what_fails(three, docs, tmp_path):
    candidate, results = three
    data = json.loads(json.dumps(as_data(candidate, results, "recorded"), allow_nan=False))
    assert data == as_data(candidate, results, "recorded")
    assert data["verdict"] == "disagrees"
    assert [r["status"] for r in data["results"]] == ["disagrees", "agrees", "raised", "not claimed"]
    path = tmp_path / "run.json"
    path.write_text(json.dumps(data))
    (run,) = read_runs([path])
    assert markdown([docs.abridged(run)]) == markdown([run])
    assert docs.abridged(docs.abridged(run)) == docs.abridged(run)
    assert len(json.dumps(docs.abridged(run))) < len(json.dumps(run)) / 2
    text = markdown(read_runs([path]))
    assert "| sleepstudy-ml | ml, slopes | ✗ 4 |" in text
    assert "| crossed-three-ml | crossed, ml | – |" in text
    assert "raises `ValueError: bad \\x00 input &#124; 'x'`" in text
    path.write_text('{"schema": "other"}')
    with pytest.raises(ValueError, match="write it anew"):
        read_runs([path])


def test_digits_against_certified_values(docs):
    from validation.certify.scores import PEER_QUANTITIES, score, score_table

    (case,) = choose(["anova-6x5-reml"])
    reference = reference_of(case, choose_source("certified"))
    result = judge_case(load_candidate("pyimpl"), case, "certified", reference=reference)
    found = score_table(result.comparison.table)
    own = score(lmer(case.formula, reference.data), case.name)
    assert list(found) == list(PEER_QUANTITIES)
    assert {name: found[name] for name in ("θ", "σ", "SDs", "β", "SE", "BLUPs")} == pytest.approx(
        {name: own[name] for name in ("θ", "σ", "SDs", "β", "SE", "BLUPs")}
    )
    table = result.comparison.table.copy()
    first = table.index[table["quantity"] == "sd"][0]
    table.loc[first, "candidate"] *= 1.001
    assert score_table(table)["SDs"] == pytest.approx(3.0, abs=0.01)
    table.loc[first, "candidate"] = float("nan")
    assert np.isnan(score_table(table)["SDs"])
    run = as_data(load_candidate("pyimpl"), [result], "certified")
    assert run["results"][0]["digits"]["σ"] == round(found["σ"], 1)
    assert docs.digits_markdown([docs.abridged(run)]) == docs.digits_markdown([run])
    assert "| 1 of 1 |" in docs.digits_markdown([run])
    run["results"].append({**run["results"][0], "status": "raised", "digits": {}})
    assert "| 1 of 2 |" in docs.digits_markdown([run])
    assert docs.digits_markdown([]) == "*No digits yet.*"


def run_command(*arguments):
    with pytest.raises(SystemExit) as caught:
        main(["conformance", *map(str, arguments)])
    return caught.value.code


def test_a_module_in_the_current_folder_is_found_and_told_what_it_lacks(tmp_path, monkeypatch, capsys):
    (tmp_path / "in_this_folder.py").write_text(
        "from pyimpl import lmer\n"
        "def fit(formula, data, REML=True):\n"
        "    m = lmer(formula, data, REML=REML)\n"
        "    return {'fixef': m.fixef(), 'sigma': m.sigma(), 'logLik': m.logLik(), 'nobs': m.nobs()}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    assert run_command("-c", "in_this_folder", "--reference", "certified", "Dyestuff") == 1
    printed = capsys.readouterr().out
    assert "Not given: se, " in printed
    assert "--missing se," in printed


def test_the_command_and_its_exit_codes(tmp_path, capsys):
    file = tmp_path / "deep" / "r.json"
    code = run_command(
        "-c", "pyimpl:lmer", "--reference", "recorded", "Dyestuff", "--json", file, "-o", tmp_path / "report"
    )  # fmt: skip
    assert code == 0, capsys.readouterr()
    assert all(path.is_file() for path in (file, tmp_path / "report" / "report.html"))
    out = capsys.readouterr().out
    assert "Dyestuff-ml: agrees" in out
    assert "agrees with the reference on what it claims: agrees 2" in " ".join(out.split())
    assert run_command("-c", "pyimpl:lmer", "--reference", "recorded", "--can", "slopes", "Dyestuff") == 3
    assert "nothing was judged" in capsys.readouterr().out
    bad = tmp_path / "known.toml"
    bad.write_text('[[deviation]]\ncases = "Dyestuff-ml"\nquantity = "se"\nat_most = 1e-4\nreason = "r"\n')
    arguments = ("-c", "pyimpl:lmer", "--reference", "recorded", "Dyestuff-ml", "--deviations", bad)
    assert run_command(*arguments) == 1
    assert "is stale" in capsys.readouterr().out
    for arguments, message in [
        (("-c", "nowhere.there"), "cannot be imported"),
        ((), "no candidate was named"),
        (("-c", "pyimpl:lmer", "Dyestuf"), "did you mean 'Dyestuff"),
        (("-c", "pyimpl:lmer", "--reference", "hearsay"), "certified, recorded, live"),
        (("-c", "pyimpl:lmer", "--reference", "recorded", "InstEval"), "no recorded reference of InstEval"),
        (("-c", "pyimpl:lmer", "--reference", "recorded", "nasty-ml"), "only certified values can judge"),
    ]:
        assert run_command(*arguments) == 2, arguments
        assert message in " ".join(capsys.readouterr().err.split())
    assert run_command("--features") == 0
    assert run_command("--table", file) == 0
    assert "| Dyestuff-ml | ml | ✓ |" in capsys.readouterr().out


def test_a_wrong_candidate_gives_exit_code_1(tmp_path, monkeypatch, capsys):
    (tmp_path / "wrong.py").write_text(
        "from pyimpl import lmer\ndef fit(f, d, REML=True, **o): return lmer(f, d, REML=not REML, **o)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert run_command("-c", "wrong", "--reference", "recorded", "Dyestuff-ml") == 1
    assert "REML" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------- certified values


@pytest.mark.parametrize("name", ["nasty-ml", "nasty-reml", "M1-reml", "Dyestuff2-ml"])
def test_certified_values_judge(name):
    result = judge_case(load_candidate("pyimpl"), case_of(name), "certified")
    assert result.status is Status.AGREES, line(result)
    assert result.comparison.reference.kind == "certified"


def test_certified_values_find_a_small_error_in_what_only_they_can_judge():
    def off(formula, data, REML=True):
        fit = lmer(formula, data, REML=REML)
        return {"fixef": fit.fixef(), "se": fit.coef_table()["Std. Error"] * 1.0001, "sigma": fit.sigma(),
                "VarCorr": fit.VarCorr(), "ranef": fit.ranef(), "logLik": fit.logLik(), "nobs": fit.nobs()}  # fmt: skip

    missing = "design objective vcov condsd fitted"
    result = judge_case(candidate_of(off, missing=missing), case_of("nasty-reml"), "certified")
    assert result.status is Status.DISAGREES
    assert set(result.figures.loc[result.figures["failed"] > 0, "quantity"]) == {"se", "t"}


def test_the_best_source_of_each_case_judges(monkeypatch):
    monkeypatch.setattr("validation.references.choose.examine_r", lambda: None)
    assert choose_source("auto", certified_first=True).kinds == ("certified", "live")
    assert choose_source("certified+recorded").kinds == ("certified", "recorded")
    kinds = {
        name: reference_of(case_of(name), choose_source("certified+recorded")).side.kind
        for name in ("Dyestuff-ml", "level-order-ml", "M1-bayes")
    }
    assert kinds["Dyestuff-ml"] == "certified"
    assert "certified" not in (kinds["level-order-ml"], kinds["M1-bayes"])
    assert available(choose_source("certified")) | available(choose_source("recorded")) == available(
        choose_source("certified+recorded")
    )
    changed = case_of("Dyestuff-ml").load("recorded").assign(Yield=lambda data: data["Yield"] + 1)
    with pytest.raises(LookupError, match="other data"):
        reference_of(replace(case_of("Dyestuff-ml"), data=changed), choose_source("certified+recorded"))
    with pytest.raises(LookupError, match="weights"):
        reference_of(case_of("weights-ml"), choose_source("certified"))
    with pytest.raises(ValueError, match="in the order of preference"):
        choose_source("auto+live")


# ------------------------------------------------------------------------------------------------- causes


def _answers(change):
    """A candidate without design and objective, whose answer or data are changed."""

    def fit(formula, data, REML=True, **options):
        made = lmer(formula, change["data"](data) if "data" in change else data, REML=REML, **options)
        answer = {"fixef": made.fixef(), "se": made.coef_table()["Std. Error"], "sigma": made.sigma(),
                  "VarCorr": made.VarCorr(), "ranef": made.ranef(), "logLik": made.logLik(),
                  "nobs": made.nobs(), "df_residual": made.df_residual()}  # fmt: skip
        return answer | (change["answer"](made, options) if "answer" in change else {})

    return candidate_of(fit, missing="design objective vcov condsd fitted")


def _sorted_levels(data):
    return data.assign(method=data["method"].astype(str).astype("category"))


@pytest.mark.parametrize(
    ("name", "change", "cause"),
    [
        ("level-order-ml", {"data": _sorted_levels}, "coding-reference-level"),
        ("interaction-reml", {"data": _sorted_levels}, "coding-reference-level"),
        (
            "ordered-ml",
            {"data": lambda data: data.assign(stage=data["stage"].cat.as_unordered())},
            "coding-treatment",
        ),
        ("M1-ml", {"answer": lambda fit, options: {"df_residual": fit.nobs() - 1}}, "residual-df"),
        (
            "weights-reml",
            {"answer": lambda fit, options: {"logLik": float(fit.logLik()) - np.log(options["weights"]).sum() / 2}},
            "constant-offset",
        ),
        ("M1-ml", {"answer": lambda fit, options: {"se": fit.coef_table()["Std. Error"] * 1.0003}},
         "standard-errors-loose"),
    ],
)  # fmt: skip
def test_the_cause_is_named_of_a_candidate_without_design_and_objective(name, change, cause):
    result = judge_case(_answers(change), case_of(name), "certified+recorded")
    assert result.status is Status.DISAGREES
    assert result.comparison.causes[0].name == cause, result.comparison.causes[0]


def test_a_better_optimum_is_recognised_without_an_objective_to_call():
    record = reference_of(case_of("crossed-three-ml"), choose_source("recorded"))
    theta = record.fit.theta * 1.01
    worse = solve(pieces_of(record.fit), theta.to_numpy(), False).objective
    scalars = {**record.fit.scalars, "logLik": -worse / 2}
    early = replace(record, fit=replace(record.fit, theta=theta, scalars=scalars, objective=None))
    result = judge_case(_answers({}), case_of("crossed-three-ml"), "recorded", reference=early)
    table = result.comparison.table
    (verdict,) = table.loc[table["quantity"] == "logLik", "verdict"]
    assert verdict is Verdict.BETTER


# ------------------------------------------------------------------------------------------------- live R


@pytest.mark.r
@pytest.mark.parametrize("name", ["weights-ml", "missing-values-reml", "level-order-ml"])
def test_pyimpl_agrees_with_live_r(name):
    result = judge_case(load_candidate("pyimpl"), case_of(name), "live")
    assert result.status is Status.AGREES, result.reason


@pytest.mark.r
@pytest.mark.slow
def test_every_made_up_case_is_singular_only_where_it_says_so():
    for case in all_cases():
        if case.kind == "likelihood" and not case.dataset:
            reference = reference_of(case, choose_source("live"))
            assert reference.fit.isSingular() == ("singular" in case.needs), case.name


@pytest.mark.slow
def test_pyimpl_agrees_with_every_recorded_case():
    candidate = load_candidate("pyimpl")
    there = available(choose_source("recorded"))
    for case in all_cases():
        if case.name in there:
            result = judge_case(candidate, case, "recorded")
            assert result.status is Status.AGREES, (case.name, result.reason)


@pytest.mark.r
def test_r_packages_are_judged_under_their_own_versions(r_versions):
    versions = load_candidate("lme4").versions
    assert versions == {name: r_versions[name] for name in ("lme4", "rstanarm")}
