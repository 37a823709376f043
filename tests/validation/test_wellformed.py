"""Nothing that is malformed agrees: every part of a right answer, spoilt in every way, is named for what it is."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from pyimpl import lmer
from validation.cases import all_cases
from validation.conformance.candidate import candidate_of
from validation.conformance.run import Status, judge_case, overall_status
from validation.references.choose import choose_source, reference_of
from validation.verdict import Verdict, exit_code
from validation.wellformed import MalformedError, flag, label, labelled, number, numbers, whole

CASE = next(case for case in all_cases() if case.name == "sleepstudy-reml")


@pytest.fixture(scope="module")
def reference():
    return reference_of(CASE, choose_source("recorded"))


@pytest.fixture(scope="module")
def right(reference):
    fit = lmer(CASE.formula, reference.data, REML=True)
    condsd = {
        group: pd.DataFrame(
            np.sqrt(np.einsum("lee->le", array.to_numpy())),
            index=array.coords["level"].to_numpy(),
            columns=array.coords["effect"].to_numpy(),
        )
        for group, array in fit.ranef_condVar().items()
    }
    pieces = {name: fit.getME(name) for name in ("X", "Z", "y", "flist", "theta")}
    numbers = {name: getattr(fit, name)() for name in ("sigma", "logLik", "deviance", "REMLcrit", "AIC", "BIC", "nobs")}
    tables = {
        name: getattr(fit, name)() for name in ("fixef", "vcov", "VarCorr", "ranef", "coef", "fitted", "residuals")
    }
    se = fit.coef_table()["Std. Error"]
    counts = {"npar": fit.npar, "df_residual": fit.df_residual(), "singular": fit.isSingular(), "isREML": True}
    return {**pieces, **numbers, **tables, **counts, "se": se, "condsd": condsd, "devfun": fit.devfun}


def judged(right, reference, **changes):
    answer = {**right, **changes}
    candidate = candidate_of(lambda formula, data, REML=True: answer)
    return judge_case(candidate, CASE, "recorded", reference=reference)


def test_the_right_answer_agrees(right, reference):
    assert judged(right, reference).status is Status.AGREES


class Liar(str):
    """A label that equals everything."""

    __hash__ = str.__hash__

    def __eq__(self, other):
        return True


class Other(float):
    """A number that converts itself into another."""

    def __float__(self):
        return 25.591795733


class Endless(dict):
    """A mapping without an end."""

    def items(self):
        return ((f"x{i}", 1.0) for i in itertools.count())


def each(frames, change):
    return {group: change(frame) for group, frame in frames.items()}


SPOILT = {
    "X complex": lambda a: {"X": a["X"] + 5j},
    "y complex": lambda a: {"y": np.asarray(a["y"]) + 5j},
    "Z complex": lambda a: {"Z": a["Z"] * (1 + 1j)},
    "nobs .9": lambda a: {"nobs": a["nobs"] + 0.9},
    "nobs text": lambda a: {"nobs": str(a["nobs"])},
    "nobs True": lambda a: {"nobs": True},
    "nobs array": lambda a: {"nobs": np.array([a["nobs"]])},
    "flist short": lambda a: {"flist": a["flist"].iloc[:-1]},
    "flist text": lambda a: {"flist": a["flist"].astype(str)},
    "fixef generator": lambda a: {"fixef": (x for x in a["fixef"])},
    "fixef object": lambda a: {"fixef": object()},
    "fixef endless label": lambda a: {"fixef": a["fixef"].set_axis(["x" * 10**7, "Days"])},
    "fixef of thousands": lambda a: {"fixef": pd.Series(1.0, index=[f"x{i}" for i in range(100_000)])},
    "VarCorr of thousands": lambda a: {"VarCorr": dict.fromkeys(map(str, range(20_000)), 1.0)},
    "condsd of thousands": lambda a: {"condsd": {"Subject": pd.DataFrame({"(Intercept)": np.ones(100_000)})}},
    "ranef endless": lambda a: {"ranef": Endless()},
    "fixef endless": lambda a: {"fixef": Endless()},
    "fixef twice": lambda a: {"fixef": pd.concat([a["fixef"], a["fixef"]])},
    "fixef text": lambda a: {"fixef": a["fixef"].map(str)},
    "fixef NaN": lambda a: {"fixef": a["fixef"] * np.nan},
    "vcov lopsided": lambda a: {"vcov": a["vcov"] + np.array([[0.0, 9.0], [0.0, 0.0]])},
    "vcov complex": lambda a: {"vcov": a["vcov"] + 0j},
    "sigma complex": lambda a: {"sigma": complex(a["sigma"], 1.0)},
    "sigma list": lambda a: {"sigma": [a["sigma"]]},
    "logLik text": lambda a: {"logLik": str(a["logLik"])},
    "theta bool": lambda a: {"theta": a["theta"] > 0},
    "singular text": lambda a: {"singular": "no"},
    "isREML text": lambda a: {"isREML": "True"},
    "ranef complex": lambda a: {"ranef": each(a["ranef"], lambda f: f + 1j)},
    "ranef twice": lambda a: {"ranef": each(a["ranef"], lambda f: pd.concat([f, f.iloc[:1]]))},
    "condsd dates": lambda a: {"condsd": each(a["condsd"], lambda f: f.map(lambda _: pd.Timestamp(0)))},
    "coef infinite": lambda a: {"coef": each(a["coef"], lambda f: f * np.inf)},
    "fitted short list": lambda a: {"fitted": list(a["fitted"])[:-1]},
    "fitted masked": lambda a: {"fitted": np.ma.array(a["fitted"], mask=np.arange(180) == 3)},
    "fitted endless": lambda a: {"fitted": np.broadcast_to(1.0, 10**12)},
    "Z endless": lambda a: {"Z": sp.coo_array((180, 10**12))},
    "fitted table": lambda a: {"fitted": np.ones((180, 2))},
    "residuals short": lambda a: {"residuals": a["residuals"].iloc[:-1]},
    "VarCorr list": lambda a: {"VarCorr": [1, 2]},
    "VarCorr twice": lambda a: {"VarCorr": pd.concat([a["VarCorr"], a["VarCorr"].iloc[:1]], ignore_index=True)},
    "devfun complex": lambda a: {"devfun": lambda theta: complex(a["devfun"](theta), 1.0)},
    "devfun text": lambda a: {"devfun": lambda theta: str(a["devfun"](theta))},
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_malformed_is_called_malformed(right, reference, name):
    result = judged(right, reference, **SPOILT[name](right))
    assert result.status.failed, name
    assert Verdict.MALFORMED in set(result.comparison.table["verdict"])
    assert result.comparison.causes[0].name == "malformed-values"
    malformed = result.comparison.table[[v is Verdict.MALFORMED for v in result.comparison.table["verdict"]]]
    assert malformed["reason"].str.startswith("malformed (candidate): ").all()


def test_notes_of_a_million_words_are_cut(right, reference):
    result = judged(right, reference, warnings=["x" * 10**6] + [str(i) for i in range(10**5)])
    assert result.status is Status.AGREES
    assert 0 < len(result.comparison.notes) <= 210
    assert max(map(len, result.comparison.notes)) < 11_000


def test_a_variance_whose_square_is_no_number_disagrees(right, reference):
    components = right["VarCorr"].assign(vcov=1e308)
    assert judged(right, reference, VarCorr=components).status is Status.DISAGREES


def test_a_property_that_raises_is_missing(right, reference):
    class Lazy:
        @property
        def devfun(self):
            raise OSError("no file")

        def __getattr__(self, name):
            if name not in right:
                raise AttributeError(name)
            return right[name] if name == "npar" else lambda: right[name]

    candidate = candidate_of(lambda formula, data, REML=True: Lazy())
    assert judge_case(candidate, CASE, "recorded", reference=reference).status.failed


def test_labels_that_lie_do_not_agree(right, reference):
    liars = pd.Series(right["fixef"].to_numpy()[::-1], index=pd.Index([Liar("b"), Liar("c")], dtype=object))
    result = judged(right, reference, fixef=liars)
    assert result.status is Status.DISAGREES
    assert judged(right, reference, sigma=Other(1.0)).status.failed


def test_a_value_that_changes_is_read_once(right, reference):
    class Fickle:
        def __init__(self):
            self.reads = 0

        def __getattr__(self, name):
            if name not in right or name in ("devfun", "npar"):
                raise AttributeError(name)
            self.reads += name == "sigma"
            factor = 1.0 if self.reads > 1 or name != "sigma" else 2.0
            return lambda: right[name] * factor if name == "sigma" else right[name]

    from validation.compare import compare_fits

    fickle = Fickle()
    comparison = compare_fits(reference.fit, fickle, REML=True)
    assert fickle.reads == 1
    sigma = comparison.table[comparison.table["quantity"] == "sigma"].iloc[0]
    assert sigma["candidate"] == pytest.approx(2.0 * right["sigma"])


def test_malformed_missing_and_different_are_three(right, reference):
    malformed = judged(right, reference, nobs=180.9)
    different = judged(right, reference, AIC=right["AIC"] + 2)
    missing = judged(right, reference, AIC=None, logLik=None, deviance=None, REMLcrit=None)
    assert [r.status for r in (malformed, different, missing)] == [Status.MALFORMED, Status.DISAGREES, Status.DISAGREES]
    assert [exit_code(overall_status([r])) for r in (malformed, different)] == [1, 1]
    assert exit_code(overall_status([malformed, different])) == 1
    assert "malformed" in str(malformed.comparison)
    assert '"malformed"' in malformed.comparison.to_json()
    assert "malformed" in malformed.comparison.to_html()


@pytest.mark.parametrize("value", [1j, True, "1", [1.0], np.array([1.0]), object(), b"1", 10**400, np.complex128(1)])
def test_what_is_no_number(value):
    with pytest.raises(MalformedError):
        number(value, "x")


def test_what_is_a_number():
    values = (1, np.int8(1), np.float32(1), np.array(1.0), 1.0)
    assert [number(value, "x") for value in values] == [1.0] * 5
    assert np.isnan(number(pd.NA, "x"))
    assert np.isnan(number(np.ma.masked, "x"))
    assert np.isnan(number(np.ma.array(1.0, mask=True), "x"))
    under_masks = numbers(np.ma.array([[1, 2], [3, 4]], mask=[[True, False], [False, False]]), "x", ndim=2)
    np.testing.assert_array_equal(under_masks, [[np.nan, 2.0], [3.0, 4.0]])
    assert whole(np.float64(3.0), "n") == 3
    assert flag(np.bool_(True), "f") is True
    assert type(label(Liar("a"))) is str
    assert numbers(pd.array([1.0, None], dtype="Float64"), "x")[0] == 1.0
    assert labelled({"a": 1}, "x").to_dict() == {"a": 1.0}
