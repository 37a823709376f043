"""Subchains of Hamiltonian Monte Carlo on densities that are known."""

import numpy as np

from pyimpl.posterior.hmc import Subchains


def subchains(gradient_scale: float = 1.0) -> Subchains:
    """A normal posterior with correlation 0.9, standardised by the identity."""
    precision = np.linalg.inv(np.array([[1.0, 0.9], [0.9, 1.0]])) * gradient_scale
    rng = np.random.default_rng(3)

    def gradient(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slope = -u @ precision
        return 0.5 * np.sum(u * slope, axis=1), slope

    start = rng.standard_normal((64, 2))
    rngs = [np.random.default_rng(k) for k in (1, 2)]
    return Subchains(gradient, np.zeros(2), np.eye(2), start, [start[:20], start[20:40]], [rng, *rngs])


def test_beginning_again_forgets_the_draws_and_keeps_the_posterior() -> None:
    hmc = subchains()
    assert not hmc.stuck
    hmc.run(10)
    hmc.begin_again(0.6)
    assert hmc.transitions == 0
    hmc.run(200)
    u, value = hmc.draws(2000, 2)
    assert u.shape == (2, 2000, 2)
    assert value.shape == (2, 2000)
    assert np.allclose(np.cov(u.reshape(-1, 2), rowvar=False), [[1.0, 0.9], [0.9, 1.0]], atol=0.08)


def test_steps_that_lead_nowhere_are_noticed() -> None:
    """A posterior a hundred thousand times narrower than what it was standardised by, subchains far from it."""
    with np.errstate(over="ignore", invalid="ignore"):
        assert subchains(gradient_scale=1e10).stuck
