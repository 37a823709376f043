"""Which R a side speaks for: the dialect of live R and of recorded references, from their provenance."""

import re
from collections.abc import Mapping

from r_scripts.dialect import PACKAGES, STACKS, Dialect, at_least


def dialect_of(provenance: Mapping[str, object] | None) -> Dialect | None:
    """The dialect of what was made with these versions.

    Parameters
    ----------
    provenance : mapping
        What a :class:`~validation.comparison.Side` or a stored reference says of its making: ``R``, and packages under
        their names or under ``packages``.

    Returns
    -------
    Dialect or None
        None where no R is named (certified values, another library). A package that is not named has the version of
        the newest tested stack that the named ones reach.
    """
    stated = dict(provenance or {})
    packages = stated.get("packages")
    if isinstance(packages, Mapping):
        stated |= packages
    found = {}
    for name in PACKAGES:
        version = re.search(r"\d+(?:[.-]\d+)+", str(stated.get(name) or ""))
        if version:
            found[name] = version.group()
    if not found:
        return None
    reached = [
        stack for stack in STACKS.values() if all(at_least(version, stack[name]) for name, version in found.items())
    ]
    base = reached[-1] if reached else next(iter(STACKS.values()))
    return Dialect.of({**base, **found})
