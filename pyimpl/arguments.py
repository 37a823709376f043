"""Arguments that many verbs have, checked: one error of ours for what is none."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, TypeAlias

import numpy as np

from pyimpl.errors import DataError
from r_scripts.dialect import Dialect
from r_scripts.signatures import Signatures, Such, shown

__all__ = [
    "SIGNATURES",
    "Count",
    "Digits",
    "Jobs",
    "Positive",
    "Probs",
    "Seed",
    "Seeds",
    "Share",
    "as_numbers",
    "dialect_of",
    "generator",
]

#: Arguments held against a function's annotations, with an error of ours.
SIGNATURES = Signatures(DataError)

_MOST = 2**31 - 1  # R's largest integer

#: How often, or how many.
Count: TypeAlias = Annotated[int, Such(lambda n: 1 <= n <= _MOST, "a whole number, at least 1")]

#: The level of an interval.
Share: TypeAlias = Annotated[float, Such(lambda x: 0 < x < 1, "a number between 0 and 1")]

#: Of quantiles.
Probs: TypeAlias = Annotated[
    Sequence[float], Such(lambda p: all(0 <= x <= 1 for x in p), "a sequence of numbers between 0 and 1")
]

#: What has no other sign.
Positive: TypeAlias = Annotated[float, Such(lambda x: 0 < x < math.inf, "a positive number")]

#: What random numbers start from.
Seed: TypeAlias = Annotated[int, Such(lambda n: n >= 0, "a whole number that is not negative")]
Seeds: TypeAlias = Seed | np.random.SeedSequence

#: Workers, as joblib counts them: -1 is one for each processor.
Jobs: TypeAlias = Annotated[int, Such(lambda n: n != 0 and abs(n) < 2**15, "a whole number other than 0")]

#: Digits to print, as many as R prints at most.
Digits: TypeAlias = Annotated[int, Such(lambda n: 0 <= n <= 22, "a whole number from 0 to 22")]


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


def as_numbers(values: object, what: str) -> np.ndarray:
    """Return an array of float; what is no numbers is refused by the name `what`."""
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be numbers, not {shown(values)}.") from error


def dialect_of(which: Dialect | Mapping[str, str] | str | None) -> Dialect:
    """Return the dialect that is meant; one that is not understood is refused as any argument is.

    Raises
    ------
    DataError
    """
    try:
        return Dialect.of(which)
    except ValueError as error:
        raise DataError(str(error)) from None
