"""Warnings that point at the user's line, however deep inside the packages they are given."""

import sys
import warnings

__all__ = ["warn"]

#: Packages whose own lines are not the user's.
_OURS = frozenset({"bridge", "pyimpl", "r_scripts"})


def warn(text: str | Warning, category: type[Warning] | None = None) -> None:
    """Warn at the innermost line that is not ours (from Python 3.12 on ``skip_file_prefixes`` would do it).

    Parameters
    ----------
    text : str or Warning
    category : type of Warning, optional
        Not needed where `text` is a warning.
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)
