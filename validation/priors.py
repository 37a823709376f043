"""One prior for both sides: pyimpl's specification objects as the bridge's."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import bridge.priors

#: pyimpl's internal names (rstanarm's own) that are not those of the functions.
_FUNCTIONS = {"t": "student_t"}


def bridge_prior(prior: Any) -> "bridge.priors.Prior":
    """The bridge's counterpart of a prior made with one of pyimpl's functions (``Prior``, ``Decov`` or ``Lkj``).

    Raises
    ------
    TypeError
        Something else.
    """
    from bridge import priors
    from pyimpl.posterior.priors import Decov, Lkj, Prior

    if isinstance(prior, Decov):
        return priors.decov(prior.regularization, prior.concentration, prior.shape, prior.scale)
    if isinstance(prior, Lkj):
        return priors.lkj(prior.regularization, prior.scale, prior.df, prior.autoscale)
    if not isinstance(prior, Prior):
        raise TypeError(f"expected a prior such as pyimpl.normal(0, 2.5), not {prior!r}")
    if prior.default:
        return priors.default_prior_intercept() if prior.location is None else priors.default_prior_coef()
    if prior.dist == "exponential":
        return priors.exponential(1.0 / _number(prior.scale), prior.autoscale)
    horseshoe = (prior.global_df, prior.global_scale, prior.slab_df, prior.slab_scale)
    if prior.dist == "hs":
        return priors.hs(_given(prior.df), *horseshoe)
    if prior.dist == "hs_plus":
        return priors.hs_plus(_given(prior.df), _given(prior.scale), *horseshoe)
    if prior.dist == "product_normal":
        return priors.product_normal(_given(prior.df), _given(prior.location), _given(prior.scale))
    arguments = {"location": prior.location, "scale": prior.scale, "autoscale": prior.autoscale}
    if prior.df is not None:
        arguments["df"] = prior.df
    made: bridge.priors.Prior = getattr(priors, _FUNCTIONS.get(prior.dist, prior.dist))(**arguments)
    return made


def for_r(options: Mapping[str, Any]) -> dict[str, Any]:
    """``prior``, ``prior_intercept``, ``prior_aux`` and ``prior_covariance`` for the bridge; the rest unchanged.

    None stays None: a flat prior on both sides.
    """
    places = ("prior", "prior_intercept", "prior_aux", "prior_covariance")
    return {
        name: bridge_prior(value) if name in places and value is not None else value for name, value in options.items()
    }


def _given(value: Any) -> Any:
    if value is None:
        raise TypeError("the prior lacks a value that its function always gives")
    return value


def _number(value: Any) -> float:
    return float(_given(value))
