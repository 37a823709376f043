"""The search of :mod:`pyimpl.likelihood.trust_region` over so many parameters that its linear algebra is LAPACK's.

The compiled functions are meant for a few parameters: over hundreds one of their eigendecompositions takes many
seconds, in which no Ctrl-C is heard. Here the same source runs as Python, with numpy in place of the loops over
matrices.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from pyimpl.likelihood import trust_region

__all__ = ["LARGE", "absorb_large"]

LARGE = 50  # parameters up to which the compiled functions are used

_EPS_PIVOT = 1e-14  # as in trust_region.cholesky_solve


def _cholesky_solve(B: np.ndarray, g: np.ndarray) -> np.ndarray | None:
    """Solution of Bs = −g; None where B is not (numerically) positive definite."""
    try:
        L = np.linalg.cholesky(B)
    except np.linalg.LinAlgError:
        return None
    if not np.all(np.diag(L) ** 2 > _EPS_PIVOT * np.abs(np.diag(B))):
        return None
    return np.linalg.solve(B, -g)


def _step(B: np.ndarray, g: np.ndarray, radius: float, s: np.ndarray) -> None:
    """Do what ``trust_region_step`` does."""
    plain = _cholesky_solve(B, g)
    if plain is not None and plain @ plain <= radius * radius:
        s[:] = plain
        return
    values, V = np.linalg.eigh(0.5 * (B + B.T))
    lowest, c = float(values[0]), V.T @ g
    floor = max(0.0, -lowest)
    shift = floor + max(1e-12 * max(1.0, abs(lowest)), abs(float(c[0])) / radius * 1e-3)
    bound, length, z = floor, 0.0, np.zeros_like(g)
    for _ in range(60):
        z = -c / (values + shift)
        slope = float(np.sum(z * z / (values + shift)))
        length = float(np.sqrt(z @ z))
        if length > radius:
            bound = shift
        if abs(length - radius) <= 1e-3 * radius or (length < radius and shift - floor <= 1e-10 * max(1.0, floor)):
            break
        if slope <= 0.0:
            break
        moved = shift + (length / radius - 1.0) * length * length / slope
        shift = moved if moved > bound else 0.5 * (shift + bound)
    if length < 0.9 * radius and lowest < 0:
        rest = np.sqrt(max(radius * radius - length * length, 0.0))
        z[0] += rest if c[0] <= 0 else -rest
    elif length > radius:
        z *= radius / length
    s[:] = V @ z


def _lowest_eigenvalue(B: np.ndarray, direction: np.ndarray) -> float:
    values, V = np.linalg.eigh(0.5 * (B + B.T))
    direction[:] = V[:, 0]
    return float(values[0])


def _rank_one(B: np.ndarray, added: np.ndarray, s: np.ndarray, y: np.ndarray) -> None:
    rest = y - B @ s
    bottom = float(rest @ s)
    if abs(bottom) > 1e-8 * np.sqrt((rest @ rest) * (s @ s)):
        update = np.outer(rest, rest) / bottom
        B += update
        added += update


def _decrease(B: np.ndarray, g: np.ndarray, s: np.ndarray) -> float:
    return -float(s @ (g + 0.5 * (B @ s)))


def _as_python() -> Callable[..., bool]:
    """The source of ``absorb`` as Python, with the functions above in place of the compiled ones."""
    scope: dict[str, Any] = {
        **vars(trust_region),
        "trust_region_step": _step,
        "lowest_eigenvalue": _lowest_eigenvalue,
        "_rank_one": _rank_one,
        "_decrease": _decrease,
    }
    for name in ("_accept", "_renew", "_propose", "absorb"):
        scope[name] = FunctionType(getattr(trust_region, name).function.__code__, scope, name)
    out: Callable[..., bool] = scope["absorb"]
    return out


#: What ``trust_region.absorb`` is, for any number of parameters.
absorb_large = _as_python()
