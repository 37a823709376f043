"""The gradient of the collapsed log density.

With f the log density, s = 1/σ², ĉ the conditional mean of the integrated coefficients, w = (−ĉ, −fixed, 1) the
weights of W's columns in the residual, and Ω = ww' + A⁻¹ (in the coefficients' block):

* ∂f/∂Q = −½ s Ω =: Ĝ; ∂f/∂s = −½ tr(ΩQ); ∂f/∂D = ½/D − ½ A⁻¹ − ½ (ĉ − m)²; ∂f/∂fixed = s Qw.
* The rest's terms, with A₂ = I + Λ₂'TΛ₂ their Schur complement, X̂ = A₂⁻¹Λ₂'V and N = Λ₂X̂:
  ∂f/∂Λ₂ = Λ₂'⁻¹ [−(I − A₂⁻¹) − 2 X̂ĜX̂'], summed over the diagonal blocks of each term.
* The first term, with M = I + Λ'SΛ for each level: ∂f/∂Λ = Λ'⁻¹ Σ_j [−(I − M⁻¹) + 2 M⁻¹Λ'F_jΛM⁻¹], where
  F_j = ½ C_jP₂C_j' − (B_j − C_jN)Ĝ(B_j − C_jN)' and P₂ = Λ₂A₂⁻¹Λ₂'.

(Derivatives of log determinants and of quadratic forms; all sums are over what one evaluation of the density makes
anyway: :mod:`pyimpl.posterior.elimination_gradient`.)

The map from the coordinates to (σ, Λ, D, fixed, log prior) is differentiated term by term. Of a term's Λ, with q_k the
derivative in log s_k (the sd of effect k) and t_j = tanh v_j the canonical partial correlations of row k,
∂f/∂v_j = ∂f/∂Λ_kj (1 − t_j²) Λ_kj/t_j − t_j Σ_{i > j} ∂f/∂Λ_ki Λ_ki, where the sum includes the diagonal.
The coefficients that are functions of one standard normal, and the scales of mixtures, are differentiated by central
differences.
"""

import numpy as np

from pyimpl.posterior.collapsed import CollapsedDensity, CoordinateValues
from pyimpl.posterior.covariance import ball_exponents, log_sum_exp, row_slices
from pyimpl.posterior.elimination_gradient import log_likelihood_gradient
from pyimpl.posterior.full import cornish_fisher_t
from pyimpl.posterior.specification import EXPONENTIAL, FLAT, NORMAL, STUDENT_T

__all__ = ["log_density_gradient"]

_STEP = 1e-5  # of the central differences: truncation 1e-10, rounding 1e-10


def log_density_gradient(density: CollapsedDensity, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log of the collapsed posterior density and its gradient.

    Parameters
    ----------
    density : CollapsedDensity
    u : ndarray, shape (n, dim)

    Returns
    -------
    value : ndarray, shape (n,)
        As :meth:`CollapsedDensity.log_density`: −inf outside the range in which it can be computed.
    gradient : ndarray, shape (n, dim)
        Zero there.
    """
    spec = density.spec
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        values = density.values(u)
        value = values.log_prior.copy()
        if spec.prior_PD:
            n, p = len(u), max(term.p for term in spec.terms)
            d_Lambda, d_sigma = np.zeros((n, len(spec.terms), p, p)), np.zeros(n)
            d_D, d_fixed = np.zeros(values.precision.shape), np.zeros(values.fixed.shape)
        else:
            likelihood, d_Lambda, d_sigma, d_D, d_fixed = _likelihood(density, values)
            value += likelihood
        gradient = np.empty(u.shape)
        gradient[:, 0] = _of_aux(density, u[:, 0], d_sigma)
        at = 1
        for i, term in enumerate(spec.terms):
            stop = at + term.p * (term.p + 1) // 2
            gradient[:, at:stop] = _of_term(density, i, u[:, at:stop], values.Lambda[i], d_Lambda[:, i])
            at = stop
        if density.has_w:
            half = 0.5 * spec.intercept.df[0]
            gradient[:, at] = half - half * np.exp(u[:, at]) + d_D[:, 0] * values.precision[:, 0]
            at += 1
        if density.mixture is not None:
            gradient[:, at:] = -values.scores
            _add_mixture(density, values, d_D[:, int(spec.has_intercept) :], gradient, at)
        elif spec.coef.dist == STUDENT_T:
            above, below = (cornish_fisher_t(values.z + step, spec.coef.df) for step in (_STEP, -_STEP))
            gradient[:, at:] = d_fixed * spec.coef.scale * (above - below) / (2 * _STEP) - values.z
    bad = ~np.isfinite(value) | ~np.isfinite(gradient).all(axis=1) | ~(values.sigma > 0)
    value[bad], gradient[bad] = -np.inf, 0.0
    return value, gradient


def _of_aux(density: CollapsedDensity, log_a: np.ndarray, d_sigma: np.ndarray) -> np.ndarray:
    """∂f in log of sigma's unscaled parameter a, shape (n,)."""
    a, aux = np.exp(log_a), density.spec.aux
    if aux.dist == FLAT:
        return 1.0 + d_sigma * a
    out: np.ndarray = 1.0 + d_sigma * aux.scale[0] * a
    if aux.dist == EXPONENTIAL:
        out -= a
    elif aux.dist == NORMAL:
        out -= a * a
    elif aux.dist == STUDENT_T:
        out -= (aux.df[0] + 1) * a * a / (aux.df[0] + a * a)
    return out


def _of_term(
    density: CollapsedDensity, term: int, u: np.ndarray, Lambda: np.ndarray, d_Lambda: np.ndarray
) -> np.ndarray:
    """∂f in a term's coordinates: log τ, the log-ratios of π, the directions; shape (n, p (p + 1)/2)."""
    spec, n, p = density.spec, len(u), Lambda.shape[-1]
    out = np.empty(u.shape)
    product = d_Lambda[:, :p, :p] * Lambda
    # in log s_k: row k's diagonal; its off-diagonals have the factor s_2 in row 2, and s_(k − 1) in row k ≥ 3
    of_log_s = np.diagonal(product, axis1=1, axis2=2).copy()
    for k in range(1, p):
        of_log_s[:, 1 if k == 1 else k - 1] += product[:, k, :k].sum(axis=1)
    total = of_log_s.sum(axis=1)
    out[:, 0] = total + spec.shape[term] - np.exp(u[:, 0])
    if p == 1:
        return out
    ratio = np.concatenate([u[:, 1:p], np.zeros((n, 1))], axis=1)
    pi = np.exp(ratio - log_sum_exp(ratio)[:, None])
    delta = spec.concentration[term]
    of_log_pi = 0.5 * of_log_s + delta
    out[:, 1:p] = (of_log_pi - pi * (0.5 * total + delta.sum())[:, None])[:, :-1]
    size = spec.scale[term] * np.exp(u[:, 0])
    s = np.sqrt(p * pi) * size[:, None]
    exponents = ball_exponents(p, spec.regularization[term])
    for k, rows in enumerate(row_slices(p), start=1):
        columns = slice(p + rows.start, p + rows.stop)
        t = np.tanh(u[:, columns])
        one_less = 1.0 - t * t
        left = np.cumprod(np.concatenate([np.ones((n, 1)), np.sqrt(one_less[:, :-1])], axis=1), axis=1)
        off = s[:, 1 if k == 1 else k - 1]
        # what stands to the right in the row, the diagonal included
        right = np.cumsum(product[:, k, k:0:-1], axis=1)[:, ::-1]
        power = exponents[k - 1] + 0.5 * (k - np.arange(1, k + 1))
        out[:, columns] = d_Lambda[:, k, :k] * off[:, None] * left * one_less - t * (right + 2 * power)
    return out


def _add_mixture(
    density: CollapsedDensity, values: CoordinateValues, d_D: np.ndarray, gradient: np.ndarray, at: int
) -> None:
    """What the prior scales of the slopes, functions of the scores and σ, add to ∂f in the scores and in log a."""
    scores, sigma = values.scores, values.sigma
    if density.spec.prior_PD or not d_D.shape[1]:
        return

    def change(move: np.ndarray, of_sigma: np.ndarray) -> np.ndarray:
        above = density.slope_precision(scores + move, sigma + of_sigma)
        below = density.slope_precision(scores - move, sigma - of_sigma)
        return np.einsum("nk,nk->n", d_D, above - below) / (2 * _STEP)

    for k in range(scores.shape[1]):
        move = np.zeros(scores.shape[1])
        move[k] = _STEP
        gradient[:, at + k] += change(move, np.zeros(1))
    # σ's slope in log a times the step; σ itself where its prior has location 0
    aux, a = density.spec.aux, sigma
    if aux.dist in (NORMAL, STUDENT_T):
        a = sigma - aux.mean[0]
    gradient[:, 0] += change(np.zeros(scores.shape[1]), _STEP * a)


def _likelihood(
    density: CollapsedDensity, values: CoordinateValues
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The density without its log prior, and its derivatives in Λ, σ, D and the fixed coefficients."""
    value, d_Lambda, d_sigma, d_D, d_fixed = log_likelihood_gradient(
        density.statistics, density.stacked(values.Lambda), values.sigma, values.precision, density.known(values)
    )
    constant, power = density.spec.likelihood_constant
    proper = values.precision > 0
    safe = np.where(proper, values.precision, 1.0)
    log_D = np.where(proper, np.log(safe), np.log(2 * np.pi))
    value += constant - power * np.log(values.sigma) + 0.5 * log_D.sum(axis=1)
    return value, d_Lambda, d_sigma - power / values.sigma, np.where(proper, d_D + 0.5 / safe, 0.0), d_fixed
