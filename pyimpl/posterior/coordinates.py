"""The coordinates that the sampler works in: log sds in place of size and shares.

The collapsed density has log τ and the additive log-ratios of π. Where one of several variances may be 0 its share's
tail goes into all of them. The logs of the sds s_k = sqrt(p π_k) τ keep it in one coordinate: the posterior is closer
to normal. The map is one to one, and its Jacobian is a constant: no term has to be added to the density.
"""

import numpy as np

from pyimpl.posterior.collapsed import CollapsedDensity
from pyimpl.posterior.covariance import log_sum_exp

__all__ = ["SamplerCoordinates"]


class SamplerCoordinates:
    """A collapsed density in the sampler's coordinates v.

    Attributes
    ----------
    density : CollapsedDensity
    dim : int
    tails : list of int
        Coordinates that may go far down: log sds.
    """

    def __init__(self, density: CollapsedDensity) -> None:
        self.density, self.dim = density, density.dim
        terms = density.spec.terms
        starts = [density.axis_of(i, 0, 0) for i in range(len(terms))]
        self._several = [(at, term.p) for at, term in zip(starts, terms, strict=True) if term.p > 1]
        self.tails = [at + k for at, term in zip(starts, terms, strict=True) for k in range(term.p)]

    def start(self) -> np.ndarray:
        """Where to start from, shape (dim,)."""
        return self.from_density(self.density.start()[None])[0]

    def to_density(self, v: np.ndarray) -> np.ndarray:
        """Coordinates of the collapsed density, shape (n, dim)."""
        if not self._several:
            return v
        u = v.copy()
        for at, p in self._several:
            log_s = v[:, at : at + p]
            u[:, at] = 0.5 * (log_sum_exp(2 * log_s) - np.log(p))
            u[:, at + 1 : at + p] = 2 * (log_s[:, :-1] - log_s[:, -1:])
        return u

    def from_density(self, u: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`to_density`."""
        v = u.copy()
        for at, p in self._several:
            ratio = np.concatenate([u[:, at + 1 : at + p], np.zeros((len(u), 1))], axis=1)
            log_pi = ratio - log_sum_exp(ratio)[:, None]
            v[:, at : at + p] = u[:, at : at + 1] + 0.5 * (log_pi + np.log(p))
        return v

    def log_density(self, v: np.ndarray) -> np.ndarray:
        """Log density at v, up to a constant."""
        return self.density.log_density(self.to_density(v))

    def log_density_gradient(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density and its gradient with respect to v, shapes (n,) and (n, dim)."""
        from pyimpl.posterior.gradient import log_density_gradient

        value, slope = log_density_gradient(self.density, self.to_density(v))
        out = slope.copy()
        for at, p in self._several:
            log_s = 2 * v[:, at : at + p]
            pi = np.exp(log_s - log_sum_exp(log_s)[:, None])
            ratios = slope[:, at + 1 : at + p]
            out[:, at : at + p] = pi * slope[:, at : at + 1]
            out[:, at : at + p - 1] += 2 * ratios
            out[:, at + p - 1] -= 2 * ratios.sum(axis=1)
        return value, out
