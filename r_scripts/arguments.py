"""R's arguments that have no meaning in Python: accepted where they change nothing, explained where they ask for more.

``stan_lmer(..., cores=4, refresh=0)`` runs as it stands in an R script; ``algorithm="meanfield"`` asks for another
posterior, and is refused with what to do instead. One table, which the documentation prints.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypedDict

__all__ = ["R_ARGUMENTS", "LmerArguments", "RArgument", "RstanarmArguments", "StanArguments", "check_r_arguments"]


class LmerArguments(TypedDict, total=False):
    """Arguments of R's ``lmer`` that have no meaning here."""

    verbose: int
    devFunOnly: bool


class RstanarmArguments(TypedDict, total=False):
    """Arguments of R's ``stan_lmer`` that have no meaning from Python, where R fits."""

    algorithm: str
    refresh: int
    verbose: bool
    open_progress: bool
    save_warmup: bool


class StanArguments(TypedDict, total=False):
    """Arguments of R's ``stan_lmer`` that have no meaning here."""

    algorithm: str
    cores: int | None
    refresh: int
    adapt_delta: float | None
    control: Mapping[str, float] | None
    thin: int
    init: str | float
    verbose: bool
    open_progress: bool
    save_warmup: bool


def _whole(least: int) -> Callable[[object], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _only(*allowed: object) -> Callable[[object], bool]:
    return lambda value: any(value is one or (type(value) is type(one) and value == one) for one in allowed)


def _logical(value: object) -> bool:
    return isinstance(value, bool)


def _share(value: object) -> bool:
    return value is None or (isinstance(value, float) and 0 < value < 1)


def _mapping(value: object) -> bool:
    return value is None or isinstance(value, Mapping)


def _names(value: object) -> bool:
    return value is None or isinstance(value, str) or (isinstance(value, list | tuple) and all(map(_names, value)))


@dataclass(frozen=True)
class RArgument:
    """An argument of R's that is accepted without effect.

    Attributes
    ----------
    accepts : callable
        Whether a value is one that changes nothing here.
    expected : str
        Those values, in words.
    why : str
        Why it has no effect, or what to do instead of other values.
    """

    accepts: Callable[[object], bool]
    expected: str
    why: str


_MESSAGES = "progress=True shows what is being done"
_TUNING = (
    "it tunes Stan's sampler; the collapsed sampler has no such setting, and sampler='nuts' has rstanarm's default"
)
_R_MESSAGES = "progress=print shows what Stan prints"
_ONE_OPTIMIZER = "there is one optimizer, with exact derivatives; max_evaluations and starts are its settings"

#: Function -> R's argument -> what becomes of it.
R_ARGUMENTS: dict[str, dict[str, RArgument]] = {
    "lmer": {
        "verbose": RArgument(_whole(0), "a whole number", "a fit takes milliseconds; fit.optinfo says how it ended"),
        "devFunOnly": RArgument(
            _only(False), "False", "fit.devfun(theta) is the deviance at any theta; call it on the fit"
        ),
    },
    "LmerControl": {
        "optimizer": RArgument(_names, "the name of an optimizer, or None", _ONE_OPTIMIZER),
        "optCtrl": RArgument(_mapping, "a mapping, or None", _ONE_OPTIMIZER),
        "autoscale": RArgument(
            lambda value: value is None or isinstance(value, bool),
            "True, False or None",
            "the search does not depend on the columns' scales; True leaves out the warning about them",
        ),
        "calc_derivs": RArgument(
            lambda value: value is None or isinstance(value, bool), "True, False or None", _ONE_OPTIMIZER
        ),
    },
    "stan_lmer": {
        "algorithm": RArgument(
            _only("sampling"),
            "'sampling'",
            "the others are approximations ('meanfield', 'fullrank'); the draws here are from the posterior itself",
        ),
        "cores": RArgument(
            lambda value: value is None or _whole(1)(value),
            "a whole number of 1 or more, or None",
            "all chains are drawn together, on one core; the draws do not depend on it",
        ),
        "refresh": RArgument(_whole(0), "a whole number", _MESSAGES),
        "adapt_delta": RArgument(_share, "a number between 0 and 1, or None", _TUNING),
        "control": RArgument(_mapping, "a mapping, or None", _TUNING),
        "thin": RArgument(
            _only(1), "1", "the draws are nearly independent, so that thinning loses information: take a smaller iter"
        ),
        "init": RArgument(
            _only("random", "0", 0), "'random' or 0", "the sampler finds the mode of the posterior, and begins there"
        ),
        "verbose": RArgument(_logical, "True or False", _MESSAGES),
        "open_progress": RArgument(_logical, "True or False", _MESSAGES),
        "save_warmup": RArgument(_only(False), "False", "no draws of a warm-up are kept"),
    },
    "rstanarm.stan_lmer": {
        "algorithm": RArgument(
            _only("sampling"), "'sampling'", "what comes back from R here are the draws of its NUTS"
        ),
        "refresh": RArgument(_whole(0), "a whole number", _R_MESSAGES),
        "verbose": RArgument(_logical, "True or False", _R_MESSAGES),
        "open_progress": RArgument(_logical, "True or False", _R_MESSAGES),
        "save_warmup": RArgument(_only(False), "False", "no draws of a warm-up are brought back"),
    },
}


def check_r_arguments(
    function: str, given: Mapping[str, object], names: Iterable[str], error: type[Exception] = ValueError
) -> None:
    """Accept what changes nothing, and explain the rest.

    Parameters
    ----------
    function : str
        A key of :data:`R_ARGUMENTS`.
    given : mapping
        The keyword arguments that the function itself does not have.
    names : iterable of str
        Those that it has, for a hint at a name that is misspelled.
    error : type of Exception
        What is raised for a value that asks for something that is not there.

    Raises
    ------
    TypeError
        A name that neither R's function nor ours has.
    """
    known = R_ARGUMENTS[function]
    for name, value in given.items():
        if name not in known:
            dotless = name.replace(".", "_")
            close = difflib.get_close_matches(dotless, [*names, *known], n=1)
            hint = f". Did you mean {close[0]!r}?" if close else ""
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")
        argument = known[name]
        if not argument.accepts(value):
            raise error(f"{function}: {name}={value!r}, but expected is {argument.expected}: {argument.why}")
