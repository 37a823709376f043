"""What an evaluation of the criterion costs, in floating-point operations: roughly, to decide what is worth it."""

from pyimpl.likelihood.reduce import Reduced

__all__ = ["CHEAP", "VERY_CHEAP", "derivative_operations", "operations"]

CHEAP = 3e6  # operations of an evaluation up to which a second start is tried where it may matter
VERY_CHEAP = 3e5  # ... and up to which it is tried anyway
_STEP = 10.0  # operations of an eigendecomposition, for each parameter's cube


def operations(blocks: Reduced) -> float:
    """Floating-point operations of one evaluation of the criterion, roughly."""
    first = blocks.factors[0]
    total = float(len(blocks.inner.R)) * first.p**2 * (first.p + blocks.P + 1.0)
    if blocks.outer is not None:
        total += blocks.inner.pairs * first.p + 3.0 * float(blocks.outer.pattern.flops)
    return total


def derivative_operations(blocks: Reduced) -> float:
    """Floating-point operations of one evaluation with its derivatives, and of a step of the search, roughly."""
    first, n = blocks.factors[0], blocks.n_theta
    total = 2.0 * operations(blocks) + len(blocks.inner.R) * first.p * n * (n + blocks.P + 1.0)
    if blocks.outer is not None:
        total += n * float(blocks.outer.pattern.size)
    return total + _STEP * float(n) ** 3
