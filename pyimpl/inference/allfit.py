"""Does another optimizer find the same optimum? (``lme4::allFit``): the criterion minimised by several of them.

Ours, and SciPy's: with the exact gradient where they take one, within θ's bounds, each from the same start.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES
from pyimpl.errors import DataError
from pyimpl.likelihood.objective import Objective
from pyimpl.likelihood.optsummary import OptSummary
from pyimpl.likelihood.starts import natural_units
from pyimpl.text.numbers import as_character, format_num, print_data_frame, print_matrix, print_vector, r_signif

if TYPE_CHECKING:
    from pyimpl.models.lmer_fit import LmerFit

__all__ = ["OPTIMIZERS", "AllFit", "AllFitSummary", "minimise"]

Result = TypeVar("Result")

#: Name -> SciPy's method and options. Tolerances are near machine precision: the optimum is wanted, not a quick answer.
OPTIMIZERS: dict[str, tuple[str, bool, dict[str, float]]] = {
    "L-BFGS-B": ("L-BFGS-B", True, {"ftol": 1e-15, "gtol": 1e-9, "maxls": 50}),
    "SLSQP": ("SLSQP", True, {"ftol": 1e-14}),
    "TNC": ("TNC", True, {"ftol": 1e-15, "gtol": 1e-9, "xtol": 0}),
    "Nelder-Mead": ("Nelder-Mead", False, {"fatol": 1e-10, "xatol": 1e-9, "adaptive": True}),
    "Powell": ("Powell", False, {"ftol": 1e-14, "xtol": 1e-10}),
    "COBYQA": ("COBYQA", False, {"final_tr_radius": 1e-9}),
}


def minimise(objective: Objective, name: str, start: np.ndarray, max_evaluations: int) -> OptSummary:
    """Minimise the criterion over θ by one of :data:`OPTIMIZERS`.

    Parameters
    ----------
    objective : Objective
    name : str
    start : ndarray, shape (n_theta,)
    max_evaluations : int

    Returns
    -------
    OptSummary
        ``message`` is SciPy's; ``return_code`` is 0 if SciPy says that it converged, else 1.
    """
    from scipy.optimize import minimize

    method, gradient, options = OPTIMIZERS[name]
    lower, structure = objective.blocks.lower, objective.blocks.structure
    upper = np.full(lower.size, np.inf) if structure is None else structure.upper
    before = objective.evaluations + objective.gradients
    limits = {"maxfun": max_evaluations, "maxiter": max_evaluations} if name in ("L-BFGS-B", "TNC") else {}
    if name == "TNC":
        limits = {"maxfun": max_evaluations}
    elif name in ("Nelder-Mead", "Powell", "COBYQA"):
        limits = {"maxfev": max_evaluations}
    elif name == "SLSQP":
        limits = {"maxiter": max_evaluations}
    result = minimize(
        objective.value_and_gradient if gradient else objective,
        start,
        method=method,
        jac=gradient or None,
        bounds=[
            (low if np.isfinite(low) else None, high if np.isfinite(high) else None)
            for low, high in zip(lower, upper, strict=True)
        ],
        options={**options, **limits},
    )
    theta = np.clip(np.asarray(result.x, dtype=float), lower, upper)
    spent = objective.evaluations + objective.gradients - before
    value, slope, information = objective.value_gradient_hessian(theta)
    return OptSummary(
        initial=start,
        final=theta,
        initial_objective=objective(start),
        final_objective=float(value),
        evaluations=spent,
        gradients=spent if gradient else 0,
        return_code=0 if result.success else 1,
        message=str(result.message),
        gradient=slope,
        information=information,
        prss=objective.solve(theta).prss,
        objective=objective,
        steps=natural_units(objective.blocks),
        boundary=tuple(int(i) for i in np.flatnonzero((theta == 0) & (lower == 0))),
    )


@dataclass(frozen=True, repr=False)
class AllFitSummary:
    """``summary(allFit(m))``: tables with a row for each optimizer.

    Attributes
    ----------
    which_OK : Series of bool
    msgs : dict of tuple of str
        Convergence messages.
    fixef, sdcor, theta : DataFrame
        Optimizer x parameter.
    llik : Series
        Log-likelihood (restricted for REML fits).
    times : Series
        Seconds.
    feval : Series
        Evaluations of the criterion.
    """

    which_OK: pd.Series
    msgs: dict[str, tuple[str, ...]]
    fixef: pd.DataFrame
    llik: pd.Series
    sdcor: pd.DataFrame
    theta: pd.DataFrame
    times: pd.Series
    feval: pd.Series

    def __str__(self) -> str:
        def matrix(frame: pd.DataFrame) -> str:
            cells = [format_num(frame.iloc[:, j].to_numpy(float)) for j in range(frame.shape[1])]
            rows = np.array(cells, dtype=object).T if cells else np.empty((len(frame), 0), dtype=object)
            return print_matrix(rows, list(frame.index), [str(name) for name in frame.columns])

        names = list(self.which_OK.index)
        logical = [("TRUE" if ok else "FALSE") for ok in self.which_OK]
        parts = [f"$which.OK\n{print_vector(logical, names=names)}\n\n", "$msgs\n"]
        for name, texts in self.msgs.items():
            shown = print_vector([f'"{text}"' for text in texts]) if texts else "NULL"
            parts.append(f"$msgs${_backticked(name)}\n{shown}\n\n")
        parts.append(f"\n$fixef\n{matrix(self.fixef)}\n\n")
        parts.append(f"$llik\n{print_vector(self.llik.to_numpy(float), names=list(self.llik.index))}\n\n")
        parts.append(f"$sdcor\n{print_data_frame(self.sdcor)}\n\n")
        parts.append(f"$theta\n{matrix(self.theta)}\n\n")
        parts.append(f"$times\n{print_vector(self.times.to_numpy(float), 3, names=list(self.times.index))}\n\n")
        parts.append(f"$feval\n{print_vector([str(n) for n in self.feval], names=list(self.feval.index))}\n\n")
        return "".join(parts) + 'attr(,"class")\n[1] "summary.allFit"'

    __repr__ = __str__


def _backticked(name: str) -> str:
    return name if name.replace(".", "").replace("_", "").isalnum() else f"`{name}`"


@SIGNATURES.verbs
class AllFit(Mapping[str, "LmerFit | Exception"]):
    """``allFit(m)``: a fit for each optimizer, by its name; an exception where one failed.

    ``str()`` is what R prints: how far the log-likelihoods lie apart. :meth:`summary` has the tables.
    """

    def __init__(
        self,
        fits: "dict[str, LmerFit | Exception]",
        seconds: dict[str, float],
        original: "LmerFit",
        data_name: str | None,
    ) -> None:
        self._fits, self._seconds, self._original, self._data_name = fits, seconds, original, data_name

    def __getitem__(self, name: str) -> "LmerFit | Exception":
        return self._fits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fits)

    def __len__(self) -> int:
        return len(self._fits)

    def _usable(self) -> "dict[str, LmerFit]":
        return {name: fit for name, fit in self._fits.items() if not isinstance(fit, Exception)}

    @property
    def spread(self) -> float:
        """Largest minus smallest log-likelihood of the optimizers that ended."""
        values = [fit.logLik() for fit in self._usable().values()]
        return max(values) - min(values)

    def agreement(self) -> pd.DataFrame:
        """How each optimizer's end compares with the best one.

        Returns
        -------
        DataFrame
            Optimizer x ``behind`` (criterion minus the smallest), ``theta`` (largest absolute difference from the best
            θ), ``fixef`` and ``sigma`` (in units of the standard errors, and relative), ``feval``, ``seconds``.
        """
        fits = self._usable()
        best = max(fits.values(), key=lambda fit: fit.logLik())
        se = best.coef_table()["Std. Error"]
        rows = {}
        for name, fit in fits.items():
            gap = np.abs(fit.getME("theta") - best.getME("theta"))
            shift = np.abs(fit.fixef() - best.fixef()) / se
            rows[name] = {
                "behind": 2 * (best.logLik() - fit.logLik()),
                "theta": float(gap.max()) if len(gap) else 0.0,
                "fixef": float(shift.max()) if len(shift) else 0.0,
                "sigma": abs(fit.sigma() / best.sigma() - 1),
                "feval": fit.optinfo["feval"],
                "seconds": self._seconds[name],
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    def summary(self) -> AllFitSummary:
        """``summary(allFit(m))``."""
        fits = self._usable()
        if not fits:
            raise DataError("no optimizer ended: " + "; ".join(f"{n}: {e}" for n, e in self._fits.items()))
        # R labels these columns in the order of θ, which is not theirs; here each has its own label
        table = next(iter(fits.values())).VarCorr()
        rows = zip(table["grp"], table["var1"], table["var2"], strict=True)
        names = [
            "sigma" if pd.isna(first) else f"{grp}.{first}" if pd.isna(second) else f"{grp}.{second}.{first}"
            for grp, first, second in rows
        ]
        sdcor = {name: fit.VarCorr()["sdcor"].to_numpy() for name, fit in fits.items()}
        return AllFitSummary(
            which_OK=pd.Series({name: name in fits for name in self._fits}, dtype=bool),
            msgs={name: fit.warnings for name, fit in fits.items()},
            fixef=pd.DataFrame({name: fit.fixef() for name, fit in fits.items()}).T,
            llik=pd.Series({name: fit.logLik() for name, fit in fits.items()}),
            sdcor=pd.DataFrame.from_dict(sdcor, orient="index", columns=names),
            theta=pd.DataFrame({name: fit.getME("theta") for name, fit in fits.items()}).T,
            times=pd.Series({name: self._seconds[name] for name in fits}),
            feval=pd.Series({name: fit.optinfo["feval"] for name, fit in fits.items()}),
        )

    def __str__(self) -> str:
        values = np.array([-fit.logLik() for fit in self._usable().values()])
        formula, names = _cut(self._original.formula), _cut(", ".join(self))
        bad = len(self) - values.size
        out = f"original model:\n{formula} \ndata:  {self._data_name} \noptimizers ({len(self)}): {names}\n"
        if bad:
            out += f"{bad} optimizer(s) failed\n"
        out += "differences in negative log-likelihoods:\n"
        if not values.size:
            return out + "none ended"
        gaps = np.array([values.max() - values.min(), values.std(ddof=1) if values.size > 1 else np.nan])
        gap, sd = (as_character(value, 7) for value in r_signif(gaps, 3))
        return out + f"max= {gap} ; std dev= {sd}"

    __repr__ = __str__


def _cut(text: str, width: int = 80) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def timed(run: Callable[[], Result]) -> tuple[Result | Exception, float]:
    """What `run` gives, or the exception it raises, and the seconds it took."""
    began = time.perf_counter()
    try:
        value: Result | Exception = run()
    except Exception as failure:  # as in R: an optimizer that fails is shown as failed
        value = failure
    return value, time.perf_counter() - began


def chosen(names: Sequence[str] | None, ours: str) -> list[str]:
    """Check the optimizers asked for; default all of them."""
    known = [ours, *OPTIMIZERS]
    if names is None:
        return known
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError(f"allFit: there is no optimizer {unknown[0]!r}; there are {', '.join(known)}")
    return list(dict.fromkeys(names))
