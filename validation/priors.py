"""One prior for both sides: pyimpl's specification objects as the bridge's."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import bridge.priors

_SLAB = ("global_df", "global_scale", "slab_df", "slab_scale")
_OF_T = ("df", "location", "scale", "autoscale")

#: By pyimpl's internal name (rstanarm's own): the bridge's function, and the fields that it takes, in this order.
_FUNCTIONS = {
    "normal": ("normal", _OF_T[1:]),
    "laplace": ("laplace", _OF_T[1:]),
    "t": ("student_t", _OF_T),
    "lasso": ("lasso", _OF_T),
    "hs": ("hs", ("df", *_SLAB)),
    "hs_plus": ("hs_plus", ("df", "scale", *_SLAB)),
    "product_normal": ("product_normal", ("df", "location", "scale")),
}


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
        return priors.exponential(1.0 / float(cast("float", prior.scale)), prior.autoscale)
    function, fields = _FUNCTIONS[prior.dist]
    made: bridge.priors.Prior = getattr(priors, function)(*(getattr(prior, field) for field in fields))
    return made


def for_r(options: Mapping[str, Any]) -> dict[str, Any]:
    """``prior``, ``prior_intercept``, ``prior_aux`` and ``prior_covariance`` for the bridge; the rest unchanged.

    None stays None: a flat prior on both sides.
    """
    places = ("prior", "prior_intercept", "prior_aux", "prior_covariance")
    return {
        name: bridge_prior(value) if name in places and value is not None else value for name, value in options.items()
    }
