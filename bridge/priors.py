"""rstanarm's priors as plain data: the same names, the same arguments, checked here and built in R."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bridge.call import SIGNATURES
from bridge.errors import DataError

__all__ = [
    "DEFAULT", "Prior", "cauchy", "decov", "default_prior_coef", "default_prior_intercept", "exponential", "hs",
    "hs_plus", "laplace", "lasso", "lkj", "normal", "product_normal", "student_t",
]  # fmt: skip

Numbers = float | Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Prior:
    """A prior of rstanarm.

    Attributes
    ----------
    dist : str
        The name of rstanarm's function.
    args : dict
        Its arguments; those left at R's default are absent.
    """

    dist: str
    args: dict[str, bool | float | np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"{self.dist}({', '.join(f'{name}={value!r}' for name, value in self.args.items())})"

    def described(self) -> dict[str, object]:
        """Return the prior as plain data for R."""
        return {"dist": self.dist, "args": dict(self.args)}


#: rstanarm's own default (an argument that is not passed).
DEFAULT = Prior("default")


def _prior(dist: str, positive: Sequence[str] = (), **args: Numbers | bool | None) -> Prior:
    plain: dict[str, bool | float | np.ndarray] = {}
    for name, value in args.items():
        if value is None:
            continue
        if isinstance(value, (bool, np.bool_)):
            plain[name] = bool(value)
            continue
        try:
            numbers = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{dist}({name}={value!r}): expected a number or a sequence of numbers") from None
        if numbers.ndim > 1 or not np.isfinite(numbers).all() or numbers.size == 0:
            raise DataError(f"{dist}({name}={value!r}): expected finite numbers in one dimension")
        if name in positive and not (numbers > 0).all():
            raise DataError(f"{dist}({name}={value!r}): must be positive")
        plain[name] = float(numbers) if numbers.ndim == 0 else numbers
    return Prior(dist, plain)


@SIGNATURES.checked
def normal(location: Numbers = 0.0, scale: Numbers | None = None, autoscale: bool = False) -> Prior:
    """``normal(location, scale, autoscale)``."""
    return _prior("normal", ("scale",), location=location, scale=scale, autoscale=autoscale)


@SIGNATURES.checked
def student_t(
    df: Numbers = 1.0, location: Numbers = 0.0, scale: Numbers | None = None, autoscale: bool = False
) -> Prior:
    """``student_t(df, location, scale, autoscale)``."""
    return _prior("student_t", ("df", "scale"), df=df, location=location, scale=scale, autoscale=autoscale)


@SIGNATURES.checked
def cauchy(location: Numbers = 0.0, scale: Numbers | None = None, autoscale: bool = False) -> Prior:
    """``cauchy(location, scale, autoscale)``."""
    return _prior("cauchy", ("scale",), location=location, scale=scale, autoscale=autoscale)


@SIGNATURES.checked
def hs(
    df: Numbers = 1.0, global_df: float = 1.0, global_scale: float = 0.01, slab_df: float = 4.0, slab_scale: float = 2.5
) -> Prior:
    """``hs(...)``, the regularised horseshoe."""
    names = ("df", "global_df", "global_scale", "slab_df", "slab_scale")
    return _prior(
        "hs", names, df=df, global_df=global_df, global_scale=global_scale, slab_df=slab_df, slab_scale=slab_scale
    )


@SIGNATURES.checked
def hs_plus(
    df1: Numbers = 1.0, df2: Numbers = 1.0, global_df: float = 1.0, global_scale: float = 0.01, slab_df: float = 4.0,
    slab_scale: float = 2.5,
) -> Prior:  # fmt: skip
    """``hs_plus(...)``."""
    names = ("df1", "df2", "global_df", "global_scale", "slab_df", "slab_scale")
    return _prior(
        "hs_plus", names, df1=df1, df2=df2, global_df=global_df, global_scale=global_scale, slab_df=slab_df,
        slab_scale=slab_scale,
    )  # fmt: skip


@SIGNATURES.checked
def laplace(location: Numbers = 0.0, scale: Numbers | None = None, autoscale: bool = False) -> Prior:
    """``laplace(location, scale, autoscale)``."""
    return _prior("laplace", ("scale",), location=location, scale=scale, autoscale=autoscale)


@SIGNATURES.checked
def lasso(df: Numbers = 1.0, location: Numbers = 0.0, scale: Numbers | None = None, autoscale: bool = False) -> Prior:
    """``lasso(df, location, scale, autoscale)``."""
    return _prior("lasso", ("df", "scale"), df=df, location=location, scale=scale, autoscale=autoscale)


@SIGNATURES.checked
def product_normal(df: Numbers = 2.0, location: Numbers = 0.0, scale: Numbers = 1.0) -> Prior:
    """``product_normal(df, location, scale)``."""
    return _prior("product_normal", ("df", "scale"), df=df, location=location, scale=scale)


@SIGNATURES.checked
def exponential(rate: float = 1.0, autoscale: bool = False) -> Prior:
    """``exponential(rate, autoscale)``."""
    return _prior("exponential", ("rate",), rate=rate, autoscale=autoscale)


@SIGNATURES.checked
def decov(
    regularization: Numbers = 1.0, concentration: Numbers = 1.0, shape: Numbers = 1.0, scale: Numbers = 1.0
) -> Prior:
    """``decov(regularization, concentration, shape, scale)``."""
    return _prior(
        "decov", ("regularization", "concentration", "shape", "scale"), regularization=regularization,
        concentration=concentration, shape=shape, scale=scale,
    )  # fmt: skip


@SIGNATURES.checked
def lkj(regularization: Numbers = 1.0, scale: Numbers = 10.0, df: Numbers = 1.0, autoscale: bool = True) -> Prior:
    """``lkj(regularization, scale, df, autoscale)``; ``stan_lmer`` itself refuses it."""
    return _prior(
        "lkj", ("regularization", "scale", "df"), regularization=regularization, scale=scale, df=df, autoscale=autoscale
    )


def default_prior_intercept() -> Prior:
    """``default_prior_intercept(gaussian())``."""
    return Prior("default_prior_intercept")


def default_prior_coef() -> Prior:
    """``default_prior_coef(gaussian())``."""
    return Prior("default_prior_coef")
