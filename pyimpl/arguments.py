"""Arguments that many verbs have, checked: one error of ours for what is none."""

import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np

from pyimpl.errors import DataError

__all__ = ["checked_level", "generator", "refuse_unknown"]


def checked_level(level: object, name: str = "level") -> float:
    """Return the level of an interval.

    Parameters
    ----------
    level : object
        What a user gave.
    name : str
        The argument's name, for the error.

    Raises
    ------
    DataError
        It is no number between 0 and 1.
    """
    number = float(level) if isinstance(level, numbers.Real) else np.nan
    if not 0 < number < 1:
        raise DataError(f"{name} must be between 0 and 1, not {level!r}")
    return number


def generator(seed: object) -> np.random.Generator:
    """Return a generator of random numbers.

    Parameters
    ----------
    seed : object
        A whole number that is not negative, several of them, a generator, or None.

    Raises
    ------
    DataError
        It is none of them.
    """
    try:
        return np.random.default_rng(seed)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise DataError(f"seed is a whole number that is not negative, such as 1, not {seed!r}") from error


def refuse_unknown(what: str, given: Mapping[str, object], arguments: type[Any]) -> None:
    """Refuse a keyword that is none of a ``TypedDict``'s, in Python's words.

    Raises
    ------
    TypeError
    """
    for name in given:
        if name not in arguments.__optional_keys__:
            raise TypeError(f"{what}() got an unexpected keyword argument {name!r}")
