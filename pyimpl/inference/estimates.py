"""What follows from the optimum: coefficients, variances, conditional modes and their variances, fitted values.

Everything is in the units of the data, in lme4's order: terms as in ``Design.terms``, level by level, effects fastest.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pyimpl.design.design import Design
from pyimpl.likelihood.objective import Solution
from pyimpl.likelihood.reduce import Reduced

__all__ = ["Estimates", "infer", "ranef_long"]


@dataclass(frozen=True)
class Estimates:
    """Estimates at θ̂.

    Attributes
    ----------
    theta : ndarray, shape (n_theta,)
    beta : ndarray, shape (P,)
    sigma : float
        Residual standard deviation: √(r²/n), for REML √(r²/(n − p)) (Bates et al. 2015, eq. 36 and 43).
    vcov : ndarray, shape (P, P)
        σ²(X'V⁻¹X)⁻¹, the covariance matrix of β̂.
    templates : tuple of ndarray
        T of each term, shape (p, p), lower triangular.
    covariances : tuple of ndarray
        σ²TT' of each term, shape (p, p).
    b : tuple of ndarray
        Conditional modes of each term, shape (J, p).
    u : tuple of ndarray
        Spherical conditional modes of each term, shape (J, p); b = Tu.
    factor_of_term : tuple of (int, int)
        Grouping factor (in ``Reduced.factors``) of each term, and its first effect there.
    cond_var : tuple of ndarray
        Conditional variances of the modes of each *factor* of ``Reduced.factors``, shape (J, p, p), σ² included.
    fitted : ndarray, shape (N,)
        Conditional fitted values Xβ̂ + Zb + offset.
    log_det_L2, log_det_RX2, prss : float
        log|L|², log|R_X|² and r².
    """

    theta: np.ndarray
    beta: np.ndarray
    sigma: float
    vcov: np.ndarray
    templates: tuple[np.ndarray, ...]
    covariances: tuple[np.ndarray, ...]
    b: tuple[np.ndarray, ...]
    u: tuple[np.ndarray, ...]
    factor_of_term: tuple[tuple[int, int], ...]
    cond_var: tuple[np.ndarray, ...]
    fitted: np.ndarray
    log_det_L2: float
    log_det_RX2: float
    prss: float

    def criterion(self, REML: bool, N: int, log_weights: float) -> float:
        """−2 log-likelihood (or the restricted one) at θ̂, whichever of them was optimised (lme4's ``devCrit``)."""
        P = self.beta.size
        df = N - P if REML else N
        value = self.log_det_L2 + df * (1.0 + math.log(2 * math.pi * self.prss / df)) - log_weights
        return value + self.log_det_RX2 if REML else value


def infer(design: Design, blocks: Reduced, solution: Solution, REML: bool) -> Estimates:
    """Estimates from the solution at θ̂.

    Parameters
    ----------
    design : Design
    blocks : Reduced
    solution : Solution
    REML : bool
        Whether σ̂² divides by n − p.

    Returns
    -------
    Estimates
    """
    theta = solution.theta
    sigma2 = solution.prss / (blocks.N - blocks.P if REML else blocks.N)
    n_terms = len(design.terms)
    templates: list[np.ndarray] = [np.empty(0)] * n_terms
    b: list[np.ndarray] = [np.empty(0)] * n_terms
    u: list[np.ndarray] = [np.empty(0)] * n_terms
    place: list[tuple[int, int]] = [(0, 0)] * n_terms
    fitted = design.X @ solution.beta if design.P else np.zeros(design.N)
    if design.offset is not None:
        fitted = fitted + design.offset
    for f, factor in enumerate(blocks.factors):
        T = factor.template(theta)
        for start, i in zip(factor.effect_start, factor.terms, strict=True):
            term = design.terms[i]
            block = slice(start, start + term.p)
            templates[i] = T[block, block]
            u[i] = solution.a[f][:, block] @ templates[i]
            b[i] = u[i] @ templates[i].T
            place[i] = (f, start)
            fitted += np.einsum("ij,ij->i", term.columns, b[i][term.codes])
    return Estimates(
        theta=theta,
        beta=solution.beta,
        sigma=math.sqrt(sigma2),
        vcov=sigma2 * solution.unscaled_vcov,
        templates=tuple(templates),
        covariances=tuple(sigma2 * (T @ T.T) for T in templates),
        b=tuple(b),
        u=tuple(u),
        factor_of_term=tuple(place),
        cond_var=tuple(sigma2 * c for c in solution.unscaled_cond_var),
        fitted=fitted,
        log_det_L2=solution.log_det_L2,
        log_det_RX2=solution.log_det_RX2,
        prss=solution.prss,
    )


def ranef_long(modes: dict[str, pd.DataFrame], variances: dict[str, np.ndarray]) -> pd.DataFrame:
    """``as.data.frame(ranef(m))``: conditional modes and their standard deviations in long form (``lme4:::asDf0``).

    Parameters
    ----------
    modes : dict of DataFrame
        Grouping factor -> level x effect.
    variances : dict of ndarray, shape (J, p, p)

    Returns
    -------
    DataFrame
        grpvar, term, grp, condval, condsd. The levels of `grp` are ordered by the first effect, factor by factor.
    """
    parts: list[tuple[np.ndarray, ...]] = []
    levels: dict[str, None] = {}
    effects: dict[str, None] = {}
    for group, frame in modes.items():
        labels = frame.index.to_numpy(dtype=object)
        # R sorts the labels as text first, which decides where modes are equal
        alphabetic = np.argsort(labels, kind="stable")
        ascending = np.argsort(frame.iloc[:, 0].to_numpy()[alphabetic], kind="stable")
        levels |= dict.fromkeys(labels[alphabetic][ascending])
        effects |= dict.fromkeys(map(str, frame.columns))
        sd = np.sqrt(np.diagonal(variances[group], axis1=1, axis2=2))
        for k, name in enumerate(frame.columns):
            J = len(frame)
            columns = (
                np.full(J, group, object),
                np.full(J, name, object),
                labels,
                frame.iloc[:, k].to_numpy(),
                sd[:, k],
            )
            parts.append(columns)
    columns_ = [np.concatenate(pieces) for pieces in zip(*parts, strict=True)] if parts else [np.empty(0)] * 5
    table = pd.DataFrame(dict(zip(("grpvar", "term", "grp", "condval", "condsd"), columns_, strict=True)))
    table["grpvar"] = table["grpvar"].astype(object)
    table["term"] = pd.Categorical(table["term"], categories=list(effects))
    table["grp"] = pd.Categorical(table["grp"], categories=list(levels))
    return table
