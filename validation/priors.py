"""One prior for both sides: pyimpl's specification objects as the bridge's."""

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import bridge.priors


def bridge_prior(prior: Any) -> "bridge.priors.Prior":
    """The bridge's counterpart of a prior made with one of pyimpl's functions (``Prior``, ``Decov`` or ``Lkj``).

    Raises
    ------
    TypeError
        Something else.
    """
    from bridge import priors
    from pyimpl.posterior.priors import Decov, Lkj, Prior

    if not isinstance(prior, Prior | Decov | Lkj):
        raise TypeError(f"expected a prior such as pyimpl.normal(0, 2.5), not {prior!r}")
    known, name = vars(prior), type(prior).__name__.lower()
    if isinstance(prior, Prior):
        if prior.default:
            return priors.default_prior_intercept() if prior.location is None else priors.default_prior_coef()
        name = "student_t" if prior.dist == "t" else prior.dist
        # what R's functions take, and a Prior holds under another name
        known = known | {"df1": prior.df, "df2": prior.scale}
        if name == "exponential":
            known["rate"] = 1.0 / float(cast("float", prior.scale))
    function = getattr(priors, name)
    made: bridge.priors.Prior = function(**{one: known[one] for one in inspect.signature(function).parameters})
    return made


def for_r(options: Mapping[str, Any]) -> dict[str, Any]:
    """``prior``, ``prior_intercept``, ``prior_aux`` and ``prior_covariance`` for the bridge; the rest unchanged.

    None stays None: a flat prior on both sides.
    """
    places = ("prior", "prior_intercept", "prior_aux", "prior_covariance")
    return {
        name: bridge_prior(value) if name in places and value is not None else value for name, value in options.items()
    }
