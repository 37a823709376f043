"""Arguments of the wrong kind: one error of ours, whatever the verb."""

import inspect

import numpy as np
import pandas as pd
import pytest

import pyimpl
from pyimpl import lm, lmer, model_matrix
from pyimpl.errors import DataError, FormulaError, PyimplError

NO_LEVELS = ("0.95", "", [0.95], 0, 1, -1, 95, float("nan"), float("inf"), b"x", {}, object(), True)
NO_SEEDS = ("1", "", -1, 1.5, ["x"], {}, object(), float("nan"))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"y": rng.normal(size=40), "x": rng.normal(size=40), "g": np.arange(40) % 8})
    frame["y"] += rng.normal(size=8)[frame["g"]]
    return frame.assign(f=pd.Categorical(list("abcd") * 10))


@pytest.fixture(scope="module")
def fit(data):
    return lmer("y ~ x + f + (1 | g)", data)


@pytest.fixture(scope="module")
def things(data, fit):
    """What has public verbs."""
    return [
        fit,
        lm("y ~ x + f", data),
        pyimpl.lmList("y ~ x | f", data),
        fit.emmeans("f"),
        fit.influence("f"),
        fit.allFit(["L-BFGS-B"]),
        fit.summary(),
        pyimpl.stan_lmer("y ~ x + f + (1 | g)", data, chains=1, iter=40, seed=1),
    ]


@pytest.mark.parametrize("level", NO_LEVELS, ids=map(str, range(len(NO_LEVELS))))
def test_a_level_that_is_none(fit, data, level):
    linear = lm("y ~ x", data)
    for verb in (
        lambda: fit.confint(method="Wald", level=level),
        lambda: fit.predict(interval="confidence", level=level),
        lambda: fit.tidy(conf_int=True, conf_level=level),
        lambda: linear.confint(level=level),
        lambda: fit.emmeans("x", level=level),
    ):
        with pytest.raises(DataError, match="level must be a number between 0 and 1"):
            verb()


@pytest.mark.parametrize("seed", NO_SEEDS, ids=map(str, range(len(NO_SEEDS))))
def test_a_seed_that_is_none(fit, seed):
    with pytest.raises(DataError, match="seed must be a whole number"):
        fit.simulate(1, seed=seed)


class Odd:
    """Nothing that any verb takes."""


#: Arguments that take anything: R's `scale` of extractAIC plays no part, a mapping may be asked for any key.
ANYTHING = {("extractAIC", "scale"), ("get", "key"), ("get", "default")}


def _required(function, made):
    """Something for each argument that has no default."""
    parameters = inspect.signature(function).parameters.values()
    return {
        p.name: made
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"
    }


def test_no_verb_takes_an_argument_of_no_kind(things):
    answered, foreign, tried = [], [], 0
    functions = [getattr(pyimpl, name) for name in pyimpl.__all__ if inspect.isfunction(getattr(pyimpl, name))]
    verbs = [getattr(thing, name) for thing in things for name in dir(type(thing)) if not name.startswith("_")]
    for verb in [*functions, *(verb for verb in verbs if inspect.ismethod(verb))]:
        home = verb.__module__.partition(".")[0]
        if home != "pyimpl" or inspect.signature(verb).parameters.keys() <= {"self"}:
            continue
        for name, parameter in inspect.signature(verb).parameters.items():
            if (verb.__name__, name) in ANYTHING or parameter.kind is parameter.VAR_KEYWORD:
                continue
            tried += 1
            try:
                if parameter.kind is parameter.VAR_POSITIONAL:
                    verb(Odd())
                else:
                    verb(**{**_required(verb, Odd()), name: Odd()})
            except PyimplError:
                continue
            except Exception as error:
                foreign.append(f"{verb.__qualname__}({name}): {error!r}")
            else:
                answered.append(f"{verb.__qualname__}({name})")
    assert tried > 300
    assert foreign == []
    assert answered == []


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda m: m.emmeans("f", adjust="tuckey"), "adjust is one of"),
        (lambda m: m.emmeans("f").pairs(adjust="nothing"), "adjust is one of"),
        (lambda m: m.ref_grid(cov_reduce=lambda x: "much"), "what cov_reduce makes of x must be numbers"),
        (lambda m: m.influence([]), "names no column"),
        (lambda m: m.profile(delta_cutoff=float("inf")), "delta_cutoff <= 1"),
        (lambda m: m.plot_ranef(effects=[]), "nothing was chosen"),
        (lambda m: m.simulate(cluster_rand=lambda rng, shape: "x"), "what cluster_rand gives must be numbers"),
        (lambda m: m.simulate(10**9), "10+ simulations of 40 rows need .* GB"),
        (lambda m: m.bootMer(nsim=2, n_jobs=0), "a whole number other than 0"),
        (lambda m: m.KRmodcomp([[0, 1], [1]]), "small must be"),
        (lambda m: m.emmeans("f").contrast([[1, -1], [1]]), "coefficients must be numbers"),
        (lambda m: m.summary(ddf=3), "ddf must be a string or None"),
        (lambda m: m.predict(newparams=pd.Series([1.0])), "newparams must be a mapping"),
    ],
)
def test_values_that_no_argument_has(fit, call, told):
    with pytest.raises(PyimplError, match=told):
        call(fit)


def test_names_may_come_in_whatever_holds_them(fit, data):
    names = data.columns[[3]]
    assert fit.emmeans(names).frame.equals(fit.emmeans("f").frame)
    assert fit.influence(names).dfbeta().equals(fit.influence("f").dfbeta())
    assert fit.confint(names[:0].append(pd.Index(["x"])), method="Wald").index.tolist() == ["x"]


@pytest.mark.parametrize("formula", [None, 1, [], ["y ~ x"], {}, {"y": 1}, b"y ~ x", np.zeros(2), pd.Series(["y ~ x"])])
def test_a_formula_that_is_none(data, formula):
    for verb in (lambda: lmer(formula, data), lambda: model_matrix(formula, data)):
        with pytest.raises(FormulaError, match="must be a string such as"):
            verb()
