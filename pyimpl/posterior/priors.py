"""Prior specifications, with rstanarm's names, defaults and refusals (`docs/priors.md` has each one's formula).

A specification says what the user asked for; :mod:`pyimpl.posterior.specification` resolves it against the data
(autoscaling, broadcasting) as ``rstanarm:::stan_glm.fit`` does. ``None`` in place of a specification is R's ``NULL``:
a flat prior.

Everything here follows rstanarm 2.21.3: a prior that the user writes down is *not* autoscaled unless asked
(``autoscale=FALSE`` since 2.21), the defaults are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from pyimpl.errors import ModelError
from r_scripts.signatures import Signatures

__all__ = [
    "Decov",
    "Lkj",
    "Prior",
    "Priors",
    "cauchy",
    "decov",
    "default_prior_coef",
    "default_prior_intercept",
    "exponential",
    "hs",
    "hs_plus",
    "laplace",
    "lasso",
    "lkj",
    "normal",
    "product_normal",
    "student_t",
]

Numbers: TypeAlias = float | Sequence[float] | np.ndarray

_SIGNATURES = Signatures(ModelError)  # what rstanarm refuses of a prior is a model that cannot be


@dataclass(frozen=True)
class Prior:
    """One prior of a location, coefficient or auxiliary parameter, as the user wrote it.

    Attributes
    ----------
    dist : {"normal", "t", "hs", "hs_plus", "laplace", "lasso", "product_normal", "exponential"}
        rstanarm's internal name (``cauchy`` is ``t`` with ``df = 1``).
    location, scale, df : float, array or None
        ``None`` is R's ``NULL``: rstanarm's default for the place where the prior stands.
        The scale of an exponential prior is ``1 / rate``, that of ``hs_plus`` its ``df2`` (as in rstanarm).
    autoscale : bool
        Whether rstanarm rescales it by the data.
    default : bool
        Whether it is rstanarm's default (whose intercept prior is centred at the mean of the response).
    global_df, global_scale, slab_df, slab_scale : float
        Of the horseshoe priors.
    """

    dist: Literal["normal", "t", "hs", "hs_plus", "laplace", "lasso", "product_normal", "exponential"]
    location: Numbers | None
    scale: Numbers | None
    df: Numbers | None
    autoscale: bool
    default: bool = False
    global_df: float = 0.0
    global_scale: float = 0.0
    slab_df: float = 0.0
    slab_scale: float = 0.0


@dataclass(frozen=True)
class Decov:
    """Prior of the covariance matrices of the random effects: see :func:`decov`."""

    regularization: Numbers = 1.0
    concentration: Numbers = 1.0
    shape: Numbers = 1.0
    scale: Numbers = 1.0


@dataclass(frozen=True)
class Lkj:
    """Prior of covariance matrices in rstanarm's ``stan_mvmer`` and ``stan_jm``: see :func:`lkj`."""

    regularization: Numbers = 1.0
    scale: Numbers = 10.0
    df: Numbers = 1.0
    autoscale: bool = True


def _numeric(value: Numbers, name: str) -> np.ndarray:
    try:
        array = np.atleast_1d(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ModelError(f"{name} should be None or numeric, but is {value!r}.") from error
    if array.ndim != 1 or array.size == 0:
        raise ModelError(f"{name} should be a number or a vector of numbers, but has shape {array.shape}.")
    if np.isnan(array).any():
        raise ModelError(f"{name} should be a number, but is missing (nan).")
    return array


def _positive(value: Numbers | None, name: str) -> None:
    """``rstanarm:::validate_parameter_value``."""
    if value is not None and not (_numeric(value, name) > 0).all():
        raise ModelError(f"{name} should be positive, but is {value!r}.")


@_SIGNATURES.checked
def normal(location: Numbers = 0.0, scale: Numbers | None = None, autoscale: bool = False) -> Prior:
    """Specify a normal prior; half-normal where it stands for a positive parameter.

    Parameters
    ----------
    location, scale : float or vector
        One value, or one per coefficient (the intercept not among them). ``scale=None`` is 2.5 for coefficients and
        intercept, 1 for the auxiliary parameter.
    autoscale : bool
        Multiply the scale by sd(y) and, for a coefficient, divide it by sd(x).

    Returns
    -------
    Prior
    """
    _positive(scale, "scale")
    _numeric(location, "location")
    return Prior("normal", location, scale, None, bool(autoscale))


@_SIGNATURES.checked
def student_t(
    df: Numbers = 1.0, location: Numbers = 0.0, scale: Numbers | None = None, autoscale: bool = False
) -> Prior:
    """Student t prior with ``df`` degrees of freedom.

    For the intercept and the auxiliary parameter it is the exact t. For the coefficients rstanarm uses a
    Cornish-Fisher expansion of the t quantile (Stan function ``CFt``), which is close to t for large ``df`` and rather
    less heavy-tailed for small: reproduced here, since it is what R fits.

    Returns
    -------
    Prior
    """
    _positive(scale, "scale")
    _positive(df, "df")
    _numeric(location, "location")
    return Prior("t", location, scale, df, bool(autoscale))


@_SIGNATURES.checked
def cauchy(location: Numbers = 0.0, scale: Numbers | None = None, autoscale: bool = False) -> Prior:
    """Cauchy prior: ``student_t(df=1)``.

    Returns
    -------
    Prior
    """
    return student_t(1.0, location, scale, autoscale)


@_SIGNATURES.checked
def exponential(rate: float = 1.0, autoscale: bool = False) -> Prior:
    """Exponential prior of the auxiliary parameter (sigma); autoscaling divides the rate by sd(y).

    Returns
    -------
    Prior
    """
    _positive(rate, "rate")
    if np.size(rate) != 1:
        raise ModelError(f"rate should be one number, but has length {np.size(rate)}.")
    return Prior("exponential", None, 1.0 / float(np.asarray(rate).reshape(-1)[0]), None, bool(autoscale))


@_SIGNATURES.checked
def decov(
    regularization: Numbers = 1.0, concentration: Numbers = 1.0, shape: Numbers = 1.0, scale: Numbers = 1.0
) -> Decov:
    """Prior of a covariance matrix by decomposition: correlations, proportions of the trace, and its size.

    Parameters
    ----------
    regularization : float or vector
        LKJ-like exponent of the correlations, one for each term with more than one effect.
    concentration : float or vector
        Dirichlet concentration of the variances' shares of the trace. A vector is used from its first entries for
        *every* term (as rstanarm does).
    shape, scale : float or vector
        Gamma prior of τ, the average standard deviation in units of sigma: one for each term.

    Returns
    -------
    Decov
    """
    _positive(regularization, "regularization")
    _positive(concentration, "concentration")
    _positive(shape, "shape")
    _positive(scale, "scale")
    return Decov(regularization, concentration, shape, scale)


def default_prior_coef() -> Prior:
    """``default_prior_coef(gaussian())``: ``normal(0, 2.5, autoscale = TRUE)``."""
    return Prior("normal", 0.0, 2.5, None, autoscale=True, default=True)


def default_prior_intercept() -> Prior:
    """``default_prior_intercept(gaussian())``: ``normal(mean(y), 2.5, autoscale = TRUE)``."""
    return Prior("normal", None, 2.5, None, autoscale=True, default=True)


@dataclass(frozen=True)
class Priors:
    """The arguments of ``stan_lmer`` that say what is believed before the data.

    Attributes
    ----------
    prior, prior_intercept, prior_aux : Prior or None
        Of the slopes, of the intercept at centred predictors, and of sigma; None is flat.
    prior_covariance : Decov
    prior_PD : bool
        Draw from the prior predictive distribution: the likelihood is left out.
    QR : bool
        Give the prior to the slopes of the orthogonalised predictors.
    """

    prior: Prior | None = field(default_factory=default_prior_coef)
    prior_intercept: Prior | None = field(default_factory=default_prior_intercept)
    prior_aux: Prior | None = field(default_factory=lambda: exponential(autoscale=True))
    prior_covariance: Decov = field(default_factory=decov)
    prior_PD: bool = False
    QR: bool = False


def _one(value: float, name: str) -> float:
    """Check a hyperparameter that rstanarm hands to Stan as one number."""
    _positive_finite(value, name)
    if np.size(value) != 1:
        raise ModelError(f"{name} should be one number, but has length {np.size(value)}.")
    return float(np.asarray(value).reshape(-1)[0])


def _positive_finite(value: Numbers, name: str) -> None:
    _positive(value, name)
    if not np.isfinite(_numeric(value, name)).all():
        raise ModelError(f"{name} should be finite, but is {value!r}.")


@_SIGNATURES.checked
def laplace(location: Numbers = 0.0, scale: Numbers | None = None, autoscale: bool = False) -> Prior:
    """Laplace (double exponential) prior of the coefficients.

    ``β = location + scale √(2 m) z`` with ``m ~ Exponential(1)``, ``z ~ Normal(0, 1)``.

    Returns
    -------
    Prior
    """
    _positive(scale, "scale")
    _numeric(location, "location")
    return Prior("laplace", location, scale, None, bool(autoscale))


@_SIGNATURES.checked
def lasso(df: Numbers = 1.0, location: Numbers = 0.0, scale: Numbers | None = None, autoscale: bool = False) -> Prior:
    """Laplace prior of the coefficients whose common scale is estimated: the Bayesian lasso.

    ``β = location + scale λ⁻¹ √(2 m) z`` with one ``λ⁻¹ ~ χ²(df)`` for all coefficients. Of a vector `df` rstanarm uses
    the first value only, and so does this.

    Returns
    -------
    Prior
    """
    _positive(scale, "scale")
    _positive_finite(df, "df")
    _numeric(location, "location")
    return Prior("lasso", location, scale, df, bool(autoscale))


@_SIGNATURES.checked
def hs(
    df: Numbers = 1.0, global_df: float = 1.0, global_scale: float = 0.01, slab_df: float = 4.0, slab_scale: float = 2.5
) -> Prior:
    """Regularised horseshoe prior of the coefficients (Piironen & Vehtari 2017), in units of sigma.

    Parameters
    ----------
    df : float or vector
        Degrees of freedom of the local half-t scales.
    global_df, global_scale : float
        Degrees of freedom and scale of the global half-t.
    slab_df, slab_scale : float
        Of the slab, the t that large coefficients have.

    Returns
    -------
    Prior
    """
    _positive_finite(df, "df")
    return Prior(
        "hs", 0.0, 1.0, df, False, False, _one(global_df, "global_df"), _one(global_scale, "global_scale"),
        _one(slab_df, "slab_df"), _one(slab_scale, "slab_scale"),
    )  # fmt: skip


@_SIGNATURES.checked
def hs_plus(
    df1: Numbers = 1.0,
    df2: Numbers = 1.0,
    global_df: float = 1.0,
    global_scale: float = 0.01,
    slab_df: float = 4.0,
    slab_scale: float = 2.5,
) -> Prior:
    """Horseshoe-plus prior of the coefficients: the local scale is a product of two half-t.

    Parameters
    ----------
    df1, df2 : float or vector
        Degrees of freedom of the two.
    global_df, global_scale, slab_df, slab_scale : float
        As in :func:`hs`.

    Returns
    -------
    Prior
    """
    _positive_finite(df1, "df1")
    _positive_finite(df2, "df2")
    return Prior(
        "hs_plus", 0.0, df2, df1, False, False, _one(global_df, "global_df"), _one(global_scale, "global_scale"),
        _one(slab_df, "slab_df"), _one(slab_scale, "slab_scale"),
    )  # fmt: skip


@_SIGNATURES.checked
def product_normal(df: Numbers = 2, location: Numbers = 0.0, scale: Numbers = 1.0) -> Prior:
    """Prior of a coefficient as a product of `df` independent normals, each with standard deviation `scale`.

    ``β = location + scale^df z₁ ⋯ z_df``. `df` counts the factors: a whole number, 2 or more in the model that
    rstanarm compiles.

    Returns
    -------
    Prior
    """
    _positive_finite(df, "df")
    if not (_numeric(df, "df") % 1 == 0).all():
        raise ModelError(f"df of product_normal() should be a whole number (of factors), but is {df!r}.")
    if (_numeric(df, "df") < 2).any():
        raise ModelError(f"df of product_normal() should be 2 or more (one factor is normal()), but is {df!r}.")
    _positive(scale, "scale")
    _numeric(location, "location")
    return Prior("product_normal", location, scale, df, False)


@_SIGNATURES.checked
def lkj(regularization: Numbers = 1.0, scale: Numbers = 10.0, df: Numbers = 1.0, autoscale: bool = True) -> Lkj:
    """Prior of covariance matrices in ``stan_mvmer`` and ``stan_jm``; ``stan_lmer`` cannot use it, in R or here.

    rstanarm 2.21.3 accepts ``stan_lmer(prior_covariance = lkj())`` but hands Stan the shape and the concentration that
    ``lkj`` does not have as zeros, with which no chain can start.

    Returns
    -------
    Lkj
    """
    _positive(regularization, "regularization")
    _positive(scale, "scale")
    _positive(df, "df")
    return Lkj(regularization, scale, df, bool(autoscale))
