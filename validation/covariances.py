"""The covariance structures that a random-effects term can have, as the judge computes them: owing nothing to a side.

Since lme4 2.0 a term's relative covariance matrix TT' may be structured. What an objective then takes is not θ, the
elements of T, but ``par``, from which θ follows: standard deviations relative to σ, and a correlation ρ.

=====  =====================================  ==================================
us     any covariance matrix                  T's lower triangle, by columns
diag   no correlations                        standard deviations
cs     one correlation of any two effects     standard deviations, ρ
ar1    correlation ρ^|i − j|, in their order  standard deviations, ρ
=====  =====================================  ==================================

With ``hom`` all effects have one standard deviation.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from validation.contract import LinearMixedFit
from validation.tolerances import SAME_STRUCTURE, SINGULAR

STRUCTURES = ("us", "diag", "cs", "ar1")


@dataclass(frozen=True)
class Structure:
    """The covariance structure of a term; its methods take p, the effects that a level has."""

    name: str = "us"  # {"us", "diag", "cs", "ar1"}
    hom: bool = False  # whether all effects have the same standard deviation

    def __post_init__(self) -> None:
        if self.name not in STRUCTURES:
            raise ValueError(f"a covariance structure {self.name!r}; the judge knows {', '.join(STRUCTURES)}")

    def __str__(self) -> str:
        return f"{self.name}, one standard deviation" if self.hom else self.name

    @property
    def free(self) -> bool:
        """Whether all elements of T are free."""
        return self.name == "us"

    def sds(self, p: int) -> int:
        """Number of standard deviations among the parameters of a structured term."""
        return min(p, 1) if self.hom else p

    def correlated(self, p: int) -> bool:
        """Whether the last parameter is a correlation."""
        return self.name in ("cs", "ar1") and p > 1

    def n_par(self, p: int) -> int:
        """Number of parameters."""
        return p * (p + 1) // 2 if self.free else self.sds(p) + self.correlated(p)

    def bounds(self, p: int) -> list[tuple[float, float]]:
        """Lower and upper bound of each parameter."""
        if self.free:
            return [(0.0 if row == column else -math.inf, math.inf) for row, column in triangle(p)]
        bounds = [(0.0, math.inf)] * self.sds(p)
        if self.correlated(p):  # the matrix is positive semidefinite from here on
            bounds.append((-1.0 / (p - 1) if self.name == "cs" else -1.0, 1.0))
        return bounds

    def template(self, par: np.ndarray, p: int) -> np.ndarray:
        """T, lower triangular, shape (p, p)."""
        if self.free:
            T = np.zeros((p, p))
            for (row, column), value in zip(triangle(p), par, strict=True):
                T[row, column] = value
            return T
        sd = np.broadcast_to(np.asarray(par[: self.sds(p)], dtype=float), p)
        if not self.correlated(p):
            return np.diag(sd)
        lag = np.abs(np.subtract.outer(np.arange(p), np.arange(p)))
        rho = float(par[-1])
        correlations = rho**lag if self.name == "ar1" else np.where(lag == 0, 1.0, rho)
        return sd[:, None] * semidefinite_factor(correlations)

    def parameters(self, covariance: np.ndarray) -> np.ndarray | None:
        """Parameters of a relative covariance matrix, shape (p, p); None where it has not the structure."""
        p = len(covariance)
        if self.free:
            factor = semidefinite_factor(covariance)
            return np.array([factor[place] for place in triangle(p)])
        sd = np.sqrt(np.diag(covariance))
        par = sd[: self.sds(p)]
        if self.correlated(p):
            vary = [(i, j) for i, j in combinations(range(p), 2) if sd[i] * sd[j] > 0]
            # neighbours first: of ar1 they have ρ itself
            i, j = min(vary, key=lambda pair: pair[1] - pair[0], default=(0, 0))
            rho = covariance[i, j] / (sd[i] * sd[j]) if j > i else 0.0
            if self.name == "ar1" and j - i > 1:
                rho = math.copysign(abs(rho) ** (1.0 / (j - i)), rho)
            par = np.append(par, np.clip(rho, *self.bounds(p)[-1]))
        T = self.template(par, p)
        away = np.max(np.abs(T @ T.T - covariance), initial=0.0)
        return par if away <= SAME_STRUCTURE * np.max(np.diag(covariance), initial=0.0) else None

    def places(self, p: int) -> list[tuple[int, int]]:
        """Where in T each element of lme4's θ stands: elements that are always equal are in θ once."""
        if self.name == "diag":
            return [(i, i) for i in range(self.sds(p))]
        if not self.hom:
            return triangle(p)
        if self.name == "ar1":  # after the first column all have the elements of the second
            return [place for place in triangle(p) if place[1] < 2]
        return [place for place in triangle(p) if place[0] <= place[1] + 1]  # those below a diagonal element are one

    def theta(self, par: np.ndarray, p: int) -> np.ndarray:
        """lme4's θ: T's different elements, by columns."""
        T = self.template(par, p)
        return np.array([T[place] for place in self.places(p)])

    def units(self, unit: np.ndarray) -> np.ndarray:
        """What a parameter must be for the effects to move the response by about σ, given that of each effect."""
        p = len(unit)
        if self.free:
            return np.array([unit[row] for row, _ in triangle(p)])
        sd = 1.0 / np.sqrt(np.mean(unit**-2.0, keepdims=True)) if self.hom and p else unit
        return np.append(sd, [1.0] if self.correlated(p) else [])

    def on_boundary(self, par: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Which parameters are (nearly) at a bound, as ``isSingular`` looks at them, in units of the effects."""
        low, high = np.array(self.bounds(len(unit))).reshape(-1, 2).T
        near = SINGULAR * self.units(unit)
        return (np.abs(par - low) < near) | (np.abs(high - par) < near)


#: lme4's own before 2.0, and still where none is named.
FREE = Structure()


def triangle(p: int) -> list[tuple[int, int]]:
    """Row and column of the elements of a lower triangle, by columns: lme4's order of θ."""
    return [(row, column) for column in range(p) for row in range(column, p)]


def structures_of(fit: object) -> list[Structure] | None:
    """The covariance structure of each term, in lme4's order; None where a fit does not say (all are free then).

    Raises
    ------
    ValueError
        A structure that the judge does not know.
    """
    read = getattr(fit, "getReCovs", None)
    if not callable(read):
        return None
    table = read()
    columns = zip(table["structure"], table["hom"], table["nc"], strict=True)
    # one effect has a variance, whatever the structure
    return [Structure(str(name), bool(hom)) if int(nc) != 1 else FREE for name, hom, nc in columns]


def parameters_of(fit: LinearMixedFit) -> pd.Series:
    """What a fit's objective takes: ``getME("par")`` where covariances are structured, otherwise ``getME("theta")``."""
    structured = any(not structure.free for structure in structures_of(fit) or ())
    return fit.getME("par" if structured else "theta")


def semidefinite_factor(matrix: np.ndarray) -> np.ndarray:
    """Lower Cholesky factor of a positive semidefinite matrix; a column whose pivot is 0 is 0."""
    n = matrix.shape[0]
    factor = np.zeros((n, n))
    for j in range(n):
        pivot = matrix[j, j] - factor[j, :j] @ factor[j, :j]
        if pivot <= 1e-14 * max(matrix[j, j], 0.0) or not math.isfinite(pivot):
            continue
        factor[j, j] = math.sqrt(pivot)
        factor[j + 1 :, j] = (matrix[j + 1 :, j] - factor[j + 1 :, :j] @ factor[j, :j]) / factor[j, j]
    return factor
