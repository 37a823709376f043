"""Warnings that point at the user's line, however deep inside the packages they are given."""

import os
import warnings
from pathlib import Path

__all__ = ["warn"]

#: Where lines are that are not the user's.
_OURS = tuple(f"{Path(__file__).parents[1] / name}{os.sep}" for name in ("bridge", "pyimpl", "r_scripts"))


def warn(text: str | Warning, category: type[Warning] | None = None) -> None:
    """Warn at the innermost line that is not ours.

    Parameters
    ----------
    text : str or Warning
    category : type of Warning, optional
        Not needed where `text` is a warning.
    """
    warnings.warn(text, category, skip_file_prefixes=_OURS)
