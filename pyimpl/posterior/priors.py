"""Prior specifications, with rstanarm's names, defaults and refusals.

A specification says what the user asked for; :mod:`pyimpl.posterior.specification` resolves it against the data
(autoscaling, broadcasting) as ``rstanarm:::stan_glm.fit`` does. ``None`` in place of a specification is R's ``NULL``:
a flat prior.

Everything here follows rstanarm 2.21.3: a prior that the user writes down is *not* autoscaled unless asked
(``autoscale=FALSE`` since 2.21), the defaults are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pyimpl.errors import ModelError

__all__ = [
    "Decov",
    "Prior",
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

type Numbers = float | Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Prior:
    """One prior of a location, coefficient or auxiliary parameter, as the user wrote it.

    Attributes
    ----------
    dist : {"normal", "t", "exponential"}
        rstanarm's internal name (``cauchy`` is ``t`` with ``df = 1``).
    location, scale, df : float, array or None
        ``None`` is R's ``NULL``: rstanarm's default for the place where the prior stands.
        The scale of an exponential prior is ``1 / rate``.
    autoscale : bool
        Whether rstanarm rescales it by the data.
    default : bool
        Whether it is rstanarm's default (whose intercept prior is centred at the mean of the response).
    """

    dist: Literal["normal", "t", "exponential"]
    location: Numbers | None
    scale: Numbers | None
    df: Numbers | None
    autoscale: bool
    default: bool = False


@dataclass(frozen=True)
class Decov:
    """Prior of the covariance matrices of the random effects: see :func:`decov`."""

    regularization: Numbers = 1.0
    concentration: Numbers = 1.0
    shape: Numbers = 1.0
    scale: Numbers = 1.0


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


def cauchy(location: Numbers = 0.0, scale: Numbers | None = None, autoscale: bool = False) -> Prior:
    """Cauchy prior: ``student_t(df=1)``.

    Returns
    -------
    Prior
    """
    return student_t(1.0, location, scale, autoscale)


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


def _not_yet(name: str, instead: str) -> ModelError:
    return ModelError(
        f"The prior {name}() of rstanarm is not available in pyimpl.stan_lmer. "
        f"Use {instead}, or fit the model with bridge.rstanarm.stan_lmer."
    )


_COEF_PRIORS = "normal(), student_t(), cauchy() or None (flat)"


def laplace(*args: object, **kwargs: object) -> Prior:
    """Not available: raises :class:`~pyimpl.errors.ModelError`."""
    raise _not_yet("laplace", _COEF_PRIORS)


def lasso(*args: object, **kwargs: object) -> Prior:
    """Not available: raises :class:`~pyimpl.errors.ModelError`."""
    raise _not_yet("lasso", _COEF_PRIORS)


def hs(*args: object, **kwargs: object) -> Prior:
    """Not available: raises :class:`~pyimpl.errors.ModelError`."""
    raise _not_yet("hs", _COEF_PRIORS)


def hs_plus(*args: object, **kwargs: object) -> Prior:
    """Not available: raises :class:`~pyimpl.errors.ModelError`."""
    raise _not_yet("hs_plus", _COEF_PRIORS)


def product_normal(*args: object, **kwargs: object) -> Prior:
    """Not available: raises :class:`~pyimpl.errors.ModelError`."""
    raise _not_yet("product_normal", _COEF_PRIORS)


def lkj(*args: object, **kwargs: object) -> Decov:
    """Not available: raises :class:`~pyimpl.errors.ModelError` (rstanarm has it for ``stan_mvmer`` and ``stan_jm``)."""
    raise _not_yet("lkj", "decov()")
