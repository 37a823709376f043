"""The programs of likelihood fits that are measured, ours among them: how each is called, what to read off a fit."""

import importlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import pandas as pd

__all__ = ["PROGRAMS", "Program", "find", "installed"]


@dataclass(frozen=True)
class Program:
    """A program that fits linear mixed models by maximum likelihood.

    Attributes
    ----------
    name : str
    distribution : str
        What is asked for its version; empty for an R package of that name.
    load : callable
        Imports what the fit needs; returns ``fit(formula, data)``.
    deviance : callable
        Fit -> -2 log-likelihood.
    """

    name: str
    distribution: str
    load: Callable[[], Callable[[str, pd.DataFrame], Any]]
    deviance: Callable[[Any], float]

    @property
    def version(self) -> str:
        """Its version, as installed (lme4's from live R)."""
        if not self.distribution:
            from bridge.provenance import r_versions

            return str(r_versions((self.name,))["packages"][self.name])
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return ""


def _pyimpl() -> Callable[[str, pd.DataFrame], Any]:
    from pyimpl import lmer

    return lambda formula, data: lmer(formula, data, REML=False)


def _lme4() -> Callable[[str, pd.DataFrame], Any]:
    from bridge import lme4

    return lambda formula, data: lme4.lmer(formula, data, REML=False)


def _glmm() -> Callable[[str, pd.DataFrame], Any]:
    glmm = importlib.import_module("glmm")
    return lambda formula, data: glmm.fit(data, formula, reml=False)


def _mixedlm() -> Callable[[str, pd.DataFrame], Any]:
    mixedlm = importlib.import_module("mixedlm")
    return lambda formula, data: mixedlm.lmer(formula, data, REML=False)


_BAR = re.compile(r"\(([^|()]*)\|\s*([^()]+)\)")


def _statsmodels() -> Callable[[str, pd.DataFrame], Any]:
    import statsmodels.formula.api as smf

    def fit(formula: str, data: pd.DataFrame) -> Any:
        bars = [(effects.strip(), group.strip()) for effects, group in _BAR.findall(formula)]
        fixed = _BAR.sub("", formula).replace("+ +", "+").strip().rstrip("+ ")
        fixed = re.sub(r"\+\s*(?=\+|$)", "", fixed)
        fixed = fixed if not fixed.endswith("~") else fixed + " 1"
        used = [name for name in re.findall(r"[A-Za-z_.][\w.]*", formula) if name in data.columns]
        data = data[list(dict.fromkeys(used))].dropna()  # patsy refuses missing values in a grouping factor
        if len(bars) == 1 and "/" not in bars[0][1]:
            effects, group = bars[0]
            model = smf.mixedlm(fixed, data, groups=group, re_formula=None if effects == "1" else f"~ {effects}")
        elif len(bars) == 1:  # nested: the outer factor groups, the inner one is a variance component within it
            outer, inner = (part.strip() for part in bars[0][1].split("/"))
            model = smf.mixedlm(fixed, data, groups=outer, re_formula="1", vc_formula={inner: f"0 + C({inner})"})
        else:  # crossed: one group, and each factor a variance component of it
            data = data.assign(_all=1)
            parts = {group.replace(":", "_"): f"0 + C({group})".replace(":", "):C(") for _, group in bars}
            model = smf.mixedlm(fixed, data, groups="_all", re_formula="0", vc_formula=parts)
        return model.fit(reml=False)

    return fit


PROGRAMS = (
    Program("lme4", "", _lme4, lambda fit: float(fit.deviance())),
    Program("pyimpl", "mlmparity", _pyimpl, lambda fit: float(fit.deviance())),
    Program("statsmodels", "statsmodels", _statsmodels, lambda fit: -2 * float(fit.llf)),
    Program("glmm", "glmm", _glmm, lambda fit: -2 * float(fit.loglik)),
    Program("mixedlm", "mixedlm", _mixedlm, lambda fit: -2 * float(fit.logLik().value)),
)


def find(name: str) -> Program:
    """Return the program of this name, without looking whether it is there.

    Raises
    ------
    ValueError
        For a name that no program has.
    """
    for program in PROGRAMS:
        if program.name == name:
            return program
    raise ValueError(f"no program called {name}; there are {[p.name for p in PROGRAMS]}")


def installed(names: list[str] | None = None) -> list[Program]:
    """Return the programs that are there (those asked for, in our order).

    Raises
    ------
    ValueError
        For a name that no program has.
    """
    for name in names or ():
        find(name)
    found = []
    for program in PROGRAMS:
        if names and program.name not in names:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                program.load()
        except ImportError:
            continue
        found.append(program)
    return found
