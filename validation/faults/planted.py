"""A posterior as plain data, in which a fault can be planted."""

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from validation.quantities import draws_of

if TYPE_CHECKING:
    import xarray as xr

    from pyimpl.models.stan_lmer import StanLmerFit


def _reported(verb: str) -> Callable[["PlantedPosterior"], Any]:
    """The contract's method that gives what is reported."""
    return lambda fit: copy.copy(fit.reports[verb])


@dataclass(frozen=True)
class PlantedPosterior:
    """A posterior as plain data, meeting as much of ``validation.contract.BayesianFit`` as the judge asks for."""

    formula: str
    names: tuple[str, ...]  # R's columns
    draws: np.ndarray  # shape (parameters, chains, draws)
    #: rows used; length of the unconstrained vector
    rows: int
    num_upars: int
    log_prob: Callable[[np.ndarray], float | np.ndarray]  # log density at unconstrained points
    at: Callable[[int, int], np.ndarray]  # ``at(n, seed)``: draws on the unconstrained scale
    response: np.ndarray
    origin: "StanLmerFit"  # what was sampled
    #: what ``VarCorr()``, ``fixef()``, ``se()``, ``sigma()`` and ``ranef()`` give
    reports: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()

    def nobs(self) -> int:
        """Rows used."""
        return self.rows

    VarCorr = _reported("VarCorr")
    fixef = _reported("fixef")
    se = _reported("se")
    sigma = _reported("sigma")
    ranef = _reported("ranef")

    def unconstrained_draws(self, n: int, seed: int) -> np.ndarray:
        """Draws on the unconstrained scale."""
        return self.at(n, seed)

    @property
    def posterior(self) -> "xr.DataTree":
        """The draws as a DataTree."""
        import xarray as xr

        random = [i for i, name in enumerate(self.names) if name.startswith("b[")]
        variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
            name: (("chain", "draw"), self.draws[i]) for i, name in enumerate(self.names) if i not in random
        }
        variables["b"] = (("chain", "draw", "b_label"), np.moveaxis(self.draws[random], 0, -1))
        return xr.DataTree.from_dict(
            {
                "posterior": xr.Dataset(variables, coords={"b_label": [self.names[i] for i in random]}),
                "sample_stats": xr.Dataset(
                    {"diverging": (("chain", "draw"), np.zeros(self.draws.shape[1:], dtype=bool))}
                ),
                "observed_data": xr.Dataset({"y": ("row", self.response)}),
            }
        )


def sample(formula: str, data: pd.DataFrame, seed: int, draws: int, **options: object) -> PlantedPosterior:
    """Sample by ``pyimpl.stan_lmer`` and freeze."""
    import pyimpl

    with warnings.catch_warnings(action="ignore"):  # validity is gate 2's to judge
        fit = cast("Callable[..., StanLmerFit]", pyimpl.stan_lmer)(formula, data, seed=seed, iter=2 * draws, **options)
    names, values = draws_of(fit)
    response = np.asarray(fit.design.y, dtype=float)
    return PlantedPosterior(
        formula=str(fit.formula),
        names=tuple(names),
        draws=values,
        rows=int(fit.nobs()),
        num_upars=int(fit.num_upars),
        log_prob=fit.log_prob,
        at=fit.unconstrained_draws,
        response=response,
        origin=fit,
        reports={verb: getattr(fit, verb)() for verb in ("VarCorr", "fixef", "se", "sigma", "ranef")},
    )
