"""The model of rstanarm's Gaussian ``stan_lmer`` as numbers: design and priors resolved against each other.

What ``rstanarm:::stan_glm.fit`` does before it calls Stan: centre the predictors, autoscale the priors, broadcast
their arguments. The full density, the collapsed density and the PyMC model all start from a :class:`Specification`.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import solve_triangular

from pyimpl.design.design import Design
from pyimpl.design.random_term import RandomTerm
from pyimpl.errors import DataError, ModelError, RankDeficientWarning
from pyimpl.linalg.dqrdc2 import dqrdc2
from pyimpl.posterior.priors import Decov, Lkj, Prior, Priors
from r_scripts.caller import warn

__all__ = [
    "EXPONENTIAL",
    "FLAT",
    "HS",
    "HS_PLUS",
    "LAPLACE",
    "LASSO",
    "MIXTURES",
    "NORMAL",
    "PRODUCT_NORMAL",
    "STUDENT_T",
    "ResolvedPrior",
    "Specification",
    "specify",
]

#: Codes of ``prior_dist`` in rstanarm's Stan program; the exponential, of sigma alone, has a number of its own here.
FLAT, NORMAL, STUDENT_T, HS, HS_PLUS, LAPLACE, LASSO, PRODUCT_NORMAL, EXPONENTIAL = range(9)
_CODES = {
    "normal": NORMAL,
    "t": STUDENT_T,
    "hs": HS,
    "hs_plus": HS_PLUS,
    "laplace": LAPLACE,
    "lasso": LASSO,
    "product_normal": PRODUCT_NORMAL,
    "exponential": EXPONENTIAL,
}
#: Coefficient priors that are normal given scales of their own (:mod:`pyimpl.posterior.mixtures`).
MIXTURES = frozenset({HS, HS_PLUS, LAPLACE, LASSO, PRODUCT_NORMAL})
_COEF = ("normal", "t", "hs", "hs_plus", "laplace", "lasso", "product_normal")
_MIN_SCALE = 1e-12
_MAX = np.finfo(np.float64).max


@dataclass(frozen=True)
class ResolvedPrior:
    """A prior with its numbers: what rstanarm hands to Stan, and what ``prior_summary`` shows.

    Attributes
    ----------
    dist : int
        ``FLAT``, ``NORMAL`` or ``STUDENT_T``; for sigma ``EXPONENTIAL`` too, for coefficients ``HS``, ``HS_PLUS``,
        ``LAPLACE``, ``LASSO`` and ``PRODUCT_NORMAL``.
    mean, scale, df : ndarray, shape (n,)
        After autoscaling.
    given_scale : ndarray, shape (n,)
        Before autoscaling.
    autoscale : bool
        Whether autoscaling was asked for.
    global_df, global_scale, slab_df, slab_scale : float
        Of the horseshoe priors.
    """

    dist: int
    mean: np.ndarray
    scale: np.ndarray
    df: np.ndarray
    given_scale: np.ndarray
    autoscale: bool
    global_df: float = 0.0
    global_scale: float = 0.0
    slab_df: float = 0.0
    slab_scale: float = 0.0

    @property
    def adjusted(self) -> bool:
        """Whether ``prior_summary`` shows an adjusted scale (``rstanarm:::summarize_glm_prior``)."""
        return bool(self.autoscale and self.dist != FLAT and not np.array_equal(self.given_scale, self.scale))


@dataclass(frozen=True)
class Specification:
    """A Gaussian multilevel model and its priors, as numbers.

    Attributes
    ----------
    design : Design
        Without the fixed-effect columns that rstanarm leaves out.
    has_intercept : bool
        Whether the first column of X is ``(Intercept)``: then the predictors are centred.
    x : ndarray, shape (N, K)
        Slopes' columns, centred with an intercept; with ``QR`` their orthogonal counterparts.
    xbar : ndarray, shape (K,)
        What was subtracted (zeros without an intercept); with ``QR`` times ``R_inv``.
    y : ndarray, shape (N,)
        Response minus offset.
    weights : ndarray, shape (N,), or None
        None where all weights are 1, as in rstanarm.
    intercept, coef, aux : ResolvedPrior
        Priors of γ (length 1), β (length K) and σ (length 1).
    shape, scale, regularization : ndarray, shape (t,)
        ``decov``'s arguments for each term (``regularization`` of a term with one effect is not used: nan).
    concentration : tuple of ndarray
        For each term the Dirichlet concentrations, length p (empty for p = 1).
    prior_PD : bool
        Leave the likelihood out.
    R_inv : ndarray, shape (K, K), or None
        With ``QR``: the slopes that R reports are ``R_inv @ θ``, where θ are the slopes of ``x``, which have the prior.
    """

    design: Design
    has_intercept: bool
    x: np.ndarray
    xbar: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None
    intercept: ResolvedPrior
    coef: ResolvedPrior
    aux: ResolvedPrior
    shape: np.ndarray
    scale: np.ndarray
    regularization: np.ndarray
    concentration: tuple[np.ndarray, ...]
    decov: Decov
    prior_PD: bool
    R_inv: np.ndarray | None = None

    @property
    def K(self) -> int:
        """Number of slopes."""
        return int(self.x.shape[1])

    @property
    def terms(self) -> tuple[RandomTerm, ...]:
        """The random-effects terms, lme4's order."""
        return self.design.terms

    @cached_property
    def X1(self) -> np.ndarray:
        """``[1, Xc]`` (or X without an intercept), shape (N, P): the design of (γ, β)."""
        if self.has_intercept:
            return np.column_stack([np.ones(self.y.size), self.x])
        return self.x

    @cached_property
    def to_R(self) -> np.ndarray:
        """Matrix from (γ, β) of the columns of :attr:`X1` to the coefficients that R reports, shape (P, P).

        ``(Intercept)`` is γ − x̄'β; with ``QR`` the slopes are ``R_inv @ β``.
        """
        P, first = self.X1.shape[1], int(self.has_intercept)
        matrix = np.eye(P)
        if self.R_inv is not None:
            matrix[first:, first:] = self.R_inv
        if first:
            matrix[0, 1:] = -self.xbar
        return matrix

    @property
    def likelihood_constant(self) -> tuple[float, float]:
        """``(a, n)`` with likelihood normaliser ``a − n log σ``, where a = −½ Σw log 2π.

        Without weights n = N. With weights rstanarm's Stan function ``pw_gauss`` normalises with log(2πσ) in place
        of log(2πσ²), in 2.21.3 and every release looked at: n = Σw/2. Reproduced, because it is what R fits.
        """
        if self.weights is None:
            return -0.5 * self.y.size * np.log(2 * np.pi), float(self.y.size)
        total = float(self.weights.sum())
        return -0.5 * total * np.log(2 * np.pi), 0.5 * total


_PLACES = {"prior": "coefficients", "prior_intercept": "the intercept", "prior_aux": "sigma"}


def _broadcast(value: object, n: int, what: str, expected: str) -> np.ndarray:
    """``rstanarm:::maybe_broadcast``; Stan refuses other lengths, and so does this."""
    array = np.atleast_1d(np.asarray(value, dtype=np.float64))
    if array.size == 1:
        return np.repeat(array, n)
    if array.size != n:
        raise ModelError(f"{what} has {array.size} values, but {expected} ({n}); give one value or {n}.")
    return array.copy()


def _resolve(prior: Prior | None, n: int, default_scale: float, allowed: tuple[str, ...], name: str) -> ResolvedPrior:
    """``rstanarm:::handle_glm_prior``."""
    if prior is None:
        ones = np.ones(n)
        return ResolvedPrior(FLAT, np.zeros(n), ones, ones, ones, False)
    if not isinstance(prior, Prior):
        raise ModelError(f"{name} should be a prior such as normal(0, 2.5), or None (flat), but is {prior!r}.")
    if prior.dist not in allowed:
        words = {"t": "student_t, cauchy"}
        if prior.dist == "exponential" and name != "prior_aux":
            raise ModelError(f"{name}: exponential() is a prior of sigma (prior_aux), not of {_PLACES[name]}.")
        raise ModelError(
            f"{name}: the prior distribution should be one of {', '.join(words.get(d, d) for d in allowed)}, "
            f"but is {prior.dist}."
        )
    expected = "there is one intercept" if name == "prior_intercept" else "there is one sigma"
    if name == "prior":
        expected = "the model has another number of coefficients beside the intercept"
    location = 0.0 if prior.location is None else prior.location
    scale = default_scale if prior.scale is None else prior.scale
    df = 1.0 if prior.df is None else prior.df
    given = _broadcast(scale, n, f"The scale of {name}", expected)
    return ResolvedPrior(
        dist=_CODES[prior.dist],
        mean=_broadcast(location, n, f"The location of {name}", expected),
        scale=given,
        df=np.minimum(_broadcast(df, n, f"The df of {name}", expected), _MAX),
        given_scale=given,
        autoscale=prior.autoscale,
        global_df=prior.global_df,
        global_scale=prior.global_scale,
        slab_df=prior.slab_df,
        slab_scale=prior.slab_scale,
    )


def _sd(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1))


def _centred(design: Design, has_intercept: bool) -> tuple[Design, np.ndarray, np.ndarray]:
    """The predictors less their means, and the means; constant ones are dropped, of the design too, as in rstanarm."""
    X = np.asarray(design.X, dtype=np.float64)
    x = X[:, 1:] if has_intercept else X
    xbar = x.mean(axis=0) if has_intercept else np.zeros(x.shape[1])
    x = x - xbar
    # rstanarm:::drop_empty_levels, after centring: constant columns other than a column of ones
    empty = (np.ptp(x, axis=0) == 0) & ~(x == 1).all(axis=0) if x.size else np.zeros(x.shape[1], dtype=bool)
    if not empty.any():
        return design, x, xbar
    names = np.array(design.coef_names[1:] if has_intercept else design.coef_names, dtype=object)
    dropped = tuple(str(name) for name in names[empty])
    warn(f"Dropped empty interaction levels: {', '.join(dropped)}", RankDeficientWarning)
    keep = np.concatenate([np.ones(int(has_intercept), dtype=bool), ~empty])
    design = replace(
        design,
        X=np.ascontiguousarray(X[:, keep]),
        coef_names=tuple(n for n, k in zip(design.coef_names, keep, strict=True) if k),
        dropped_coefs=(*design.dropped_coefs, *dropped),
    )
    return design, x[:, ~empty], xbar[~empty]


def _scaled(priors: Priors, x: np.ndarray, y: np.ndarray) -> tuple[ResolvedPrior, ResolvedPrior, ResolvedPrior]:
    """The priors of the slopes, the intercept and sigma, autoscaled by the data where they are to be."""
    K = x.shape[1]
    coef = _resolve(priors.prior, K, 2.5, _COEF, "prior")
    _refuse_impossible(coef, K)
    intercept = _resolve(priors.prior_intercept, 1, 2.5, ("normal", "t"), "prior_intercept")
    if priors.prior_intercept is not None and priors.prior_intercept.default:
        intercept = replace(intercept, mean=np.array([y.mean()]))
    if priors.prior_aux is None and priors.prior_PD:
        raise ModelError("'prior_aux' cannot be None if 'prior_PD' is True.")
    aux = _resolve(priors.prior_aux, 1, 1.0, ("normal", "t", "exponential"), "prior_aux")

    s_y = _sd(y)
    if coef.dist != FLAT and coef.autoscale and priors.QR:
        coef = replace(coef, scale=s_y * coef.scale)
    elif coef.dist != FLAT and coef.autoscale:
        # 0/1 columns are scaled by their sd too (since rstanarm 2.19.3), a constant column by 1
        s_x = np.array([_sd(x[:, k]) if np.unique(x[:, k]).size > 1 else 1.0 for k in range(K)])
        coef = replace(coef, scale=np.maximum(_MIN_SCALE, s_y * coef.scale / s_x))
    if intercept.dist != FLAT and intercept.autoscale:
        intercept = replace(intercept, scale=s_y * intercept.scale)
    if aux.dist != FLAT and aux.autoscale:
        aux = replace(aux, scale=s_y * aux.scale)
    coef = replace(coef, scale=np.minimum(coef.scale, _MAX))
    intercept = replace(intercept, scale=np.minimum(intercept.scale, _MAX))
    return coef, intercept, aux


def specify(design: Design, priors: Priors) -> Specification:
    """Resolve a design and its priors to numbers.

    Parameters
    ----------
    design : Design
    priors : Priors

    Returns
    -------
    Specification

    Raises
    ------
    ModelError
        A prior that is not possible where it stands, or with the wrong number of values.
    DataError
        A response that is constant or has fewer than 2 values.
    """
    y = np.ascontiguousarray(design.y, dtype=np.float64)
    if design.N < 2:
        raise DataError(f"The model needs 2 or more complete rows, but has {design.N}.")
    if not np.isfinite(y).all():
        raise DataError(f"The response {design.response!r} has infinite or missing values.")
    if np.ptp(y) == 0 and not priors.prior_PD:
        raise DataError(f"The response {design.response!r} is constant ({y[0]:g}): there is nothing to fit.")
    has_intercept = bool(design.coef_names) and "(Intercept" in design.coef_names[0]
    design, x, xbar = _centred(design, has_intercept)
    _refuse_duplicates(design)

    coef, intercept, aux = _scaled(priors, x, y)
    R_inv: np.ndarray | None = None
    if priors.QR:
        x, R_inv = _orthogonalise(x, coef.autoscale)
        xbar = xbar @ R_inv

    weights = design.weights
    if weights is not None:
        weights = np.ascontiguousarray(weights, dtype=np.float64)
        if (weights < 0).any():
            raise DataError("Negative weights are not allowed.")
        if (weights == 1).all():
            weights = None
    offset = design.offset
    response = y - offset if offset is not None else y
    if not priors.prior_PD:
        _refuse_exact_fit(
            design.response, response, np.column_stack([np.ones((y.size, int(has_intercept))), x]), weights
        )
    shape, scale, regularization, concentration = _resolve_decov(priors.prior_covariance, design.terms)
    return Specification(
        design=design,
        has_intercept=has_intercept,
        x=np.ascontiguousarray(x),
        xbar=xbar,
        y=response,
        weights=weights,
        intercept=intercept,
        coef=coef,
        aux=aux,
        shape=shape,
        scale=scale,
        regularization=regularization,
        concentration=concentration,
        decov=priors.prior_covariance,
        prior_PD=bool(priors.prior_PD),
        R_inv=R_inv,
    )


def _refuse_exact_fit(name: str, y: np.ndarray, X1: np.ndarray, weights: np.ndarray | None) -> None:
    """Refuse a response that the coefficients alone reproduce: the density of sigma has no finite integral at 0."""
    used = slice(None) if weights is None else weights > 0
    y, X1 = y[used], X1[used]
    if y.size <= X1.shape[1] or not X1.shape[1]:
        return

    def reproduced(y: np.ndarray, X1: np.ndarray, times: float) -> bool:
        coef = np.linalg.lstsq(X1, y, rcond=None)[0]
        rounding = times * np.finfo(np.float64).eps * (np.abs(y) + np.abs(X1) @ np.abs(coef)).max()
        return bool(np.abs(y - X1 @ coef).max() <= rounding)

    # What is exact in all rows is so in some, within more rounding: a few settle it for nearly every response.
    some = slice(None, None, max(1, y.size // (20 * (X1.shape[1] + 2))))
    if reproduced(y[some], X1[some], 1e4) and reproduced(y, X1, 4.0):
        raise DataError(
            f"The fixed effects reproduce the response {name!r} exactly, in each of {y.size} rows: with no residuals, "
            "sigma has no posterior (its density at 0 is infinite). Is a predictor computed from the response?"
        )


def _refuse_impossible(coef: ResolvedPrior, K: int) -> None:
    """Refuse what rstanarm 2.21.3 accepts and Stan then stops at."""
    if coef.dist == LASSO and K == 0:
        raise ModelError("prior: lasso() needs a coefficient besides the intercept (rstanarm stops here too).")
    if coef.dist == PRODUCT_NORMAL and K == 1:
        raise ModelError(
            "prior: product_normal() needs 2 or more coefficients besides the intercept: with one, rstanarm 2.21.3 "
            "stops (it hands Stan a number where it expects a vector). Use another prior, such as laplace()."
        )


def _orthogonalise(x: np.ndarray, autoscale: bool) -> tuple[np.ndarray, np.ndarray]:
    """``rstanarm::stan_glm.fit`` with ``QR = TRUE``: scaled Q and the matrix back, of R's (LINPACK) decomposition.

    The scale is √(N − 1) if the prior is autoscaled, otherwise the last diagonal element of R, with its sign.
    """
    K = x.shape[1]
    if K <= 1:
        raise ModelError("'QR' can only be specified when there are multiple predictors.")
    decomposition = dqrdc2(x)
    if decomposition.rank < K:
        raise ModelError(
            f"QR=True needs linearly independent predictors, but their rank is {decomposition.rank} of {K}."
        )
    Q, R = decomposition.multiply_q(np.eye(K)), decomposition.R[:K]
    scale = float(np.sqrt(x.shape[0] - 1.0)) if autoscale else float(R[K - 1, K - 1])
    inverse = solve_triangular(R, np.eye(K))
    R_inv = np.empty((K, K))
    R_inv[decomposition.pivot] = inverse * scale
    return np.ascontiguousarray(Q * scale), R_inv


def _refuse_duplicates(design: Design) -> None:
    """``rstanarm:::check_reTrms``: the same effect twice for one grouping factor."""
    seen: dict[str, set[str]] = {}
    for term in design.terms:
        twice = seen.setdefault(term.group, set()) & set(term.effects)
        if twice:
            raise ModelError(
                "rstanarm does not permit formulas with duplicate group-specific terms. In this case "
                f"{term.group} is used as a grouping factor multiple times and {', '.join(sorted(twice))} is included "
                "multiple times. Consider using || or -1 in your formula to prevent this from happening."
            )
        seen[term.group] |= set(term.effects)


def _resolve_decov(
    decov: Decov, terms: tuple[RandomTerm, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
    if decov is None:
        raise ModelError("'prior_covariance' can't be None: a covariance matrix needs a proper prior, e.g. decov().")
    if isinstance(decov, Lkj):
        raise ModelError(
            "prior_covariance=lkj(...) is of rstanarm's stan_mvmer and stan_jm: stan_lmer takes decov(...) only. "
            "(rstanarm 2.21.3 accepts lkj() there, but then no chain of Stan can start.)"
        )
    if not isinstance(decov, Decov):
        raise ModelError(f"prior_covariance should be decov(...), but is {decov!r}.")
    t = len(terms)
    p = np.array([term.p for term in terms], dtype=int)
    shape = _broadcast(decov.shape, t, "The shape of decov()", "the model has another number of terms")
    scale = _broadcast(decov.scale, t, "The scale of decov()", "the model has another number of terms")
    several = p > 1
    regularization = np.full(t, np.nan)
    regularization[several] = _broadcast(
        decov.regularization,
        int(several.sum()),
        "The regularization of decov()",
        "the model has another number of terms with more than one effect",
    )
    total = int(p[several].sum())
    flat = _broadcast(
        decov.concentration, total, "The concentration of decov()", "the terms have another number of variances in all"
    )
    concentration = tuple(flat[:k] if k > 1 else np.empty(0) for k in p)
    return shape, scale, regularization, concentration
