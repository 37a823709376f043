"""Options that mean the same wherever they are given."""

from collections.abc import Callable
from typing import Literal

#: Where the reference comes from: live R, what was recorded of it, or live R where it is and recorded where not; or the
#: certified values.
Against = Literal["auto", "live", "recorded", "certified"]

#: Called with a message and, where it is known, the fraction done.
Progress = Callable[..., None]

#: Seed of both samplers and of the points where objectives and densities are compared.
DEFAULT_SEED = 349


def silent(message: str = "", fraction: float | None = None, **more: object) -> None:
    """Report nothing."""
