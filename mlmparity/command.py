"""The command ``mlmparity``: sees that Python finds mlmparity's own packages, and hands over to the judge's."""

import sys
from collections.abc import Sequence

from mlmparity.rooms import ShadowedPackageError, load

__all__ = ["main"]

_BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (``sys.argv`` when no arguments are given) and exit with its code.

    Parameters
    ----------
    arguments : sequence of str, optional
    """
    try:
        cli = load("validation.cli")
    except ImportError as error:
        # a file in the way, or compiled modules that are missing: their error's module cannot be imported then
        if not isinstance(error, ShadowedPackageError) and type(error).__module__ != "pyimpl.extensions":
            raise
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(_BAD_INPUT)
    cli.main(arguments)
