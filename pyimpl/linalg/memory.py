"""How much memory there is, to refuse what would not fit before it starts."""

import os
from functools import cache

__all__ = ["in_words", "memory"]

_UNKNOWN = 16 * 2**30  # where the system does not say
_SHARE = 0.8  # of it may be used by one fit


@cache
def memory() -> int:
    """Bytes that a fit may use: most of the machine's memory."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        total = _UNKNOWN
    return int(_SHARE * total)


def in_words(size: float) -> str:
    """Bytes as gigabytes, for a message."""
    return f"{size / 2**30:.3g} GB"
