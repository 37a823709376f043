"""Which R a side speaks for: the dialect of live R and of recorded references, from their provenance."""

import re
from collections.abc import Mapping

from r_scripts.dialect import PACKAGES, STACKS, Dialect, at_least


def dialect_of(provenance: Mapping[str, object] | None) -> Dialect | None:
    """The dialect of what was made with these versions; None where no R is named (certified values, another library).

    Of what a :class:`~validation.comparison.Side` or a stored reference says of its making ``R`` is read, and packages
    under their names or under ``packages``. One that is not named has the version of the newest tested stack that the
    named ones reach.
    """
    stated = dict(provenance or {})
    packages = stated.get("packages")
    if isinstance(packages, Mapping):
        stated |= packages
    versions = {name: re.search(r"\d+(?:[.-]\d+)+", str(stated.get(name) or "")) for name in PACKAGES}
    found = {name: version.group() for name, version in versions.items() if version}
    if not found:
        return None
    stacks = list(STACKS.values())
    reached = [stack for stack in stacks if all(at_least(version, stack[name]) for name, version in found.items())]
    return Dialect.of({**[stacks[0], *reached][-1], **found})
