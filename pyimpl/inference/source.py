"""Where a fit comes from: the data frame and the arguments of its call, and which of the rows are used."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pyimpl.design.design import Design
from pyimpl.errors import DataError
from pyimpl.frame.columns import Data, as_pandas

__all__ = ["Source", "row_series"]


@dataclass(frozen=True)
class Source:
    """What ``update``, ``influence`` and padded results need of a call.

    Attributes
    ----------
    data : DataFrame
        As the user gave it: of pandas or another library.
    arguments : dict
        The other arguments by name.
    call : callable
        The function that was called: formula, data, REML and the other arguments to a fit.
    """

    data: pd.DataFrame
    arguments: dict[str, object]
    call: Callable[..., object]

    @property
    def frame(self) -> pd.DataFrame:
        """The data as a pandas frame."""
        return as_pandas(self.data)

    def used_rows(self, design: Design) -> np.ndarray:
        """Positions, in the data, of the rows that a design uses, shape (N,)."""
        index = Data(self.data).index
        kept = np.setdiff1d(np.arange(len(index)), design.omitted)
        if len(kept) == design.N:
            return kept
        if not index.is_unique:
            raise DataError("with a subset the data frame's index must not have repeated labels: reset_index() it")
        return np.asarray(index.get_indexer(design.index), dtype=np.intp)


def of_used_rows(values: np.ndarray, design: Design, source: Source | None) -> np.ndarray:
    """A value for each row used, of as many or of one for each row of the data (some may be left out by ``subset``)."""
    if source is None or values.shape == (design.N,) or values.shape != (Data(source.data).rows,):
        return values
    return values[source.used_rows(design)]


def row_series(design: Design, source: Source | None, values: np.ndarray, name: str | None = None) -> pd.Series:
    """One number for each row used, with the data's index; ``na.exclude`` pads the rows left out with missing values.

    Parameters
    ----------
    design : Design
    source : Source or None
    values : ndarray, shape (N,)
    name : str, optional
        Of the Series.
    """
    if design.na_action != "na.exclude" or design.omitted.size == 0 or source is None:
        return pd.Series(values, index=design.index, name=name)
    index = Data(source.data).index
    kept = np.setdiff1d(np.arange(len(index)), design.omitted)
    if len(kept) != design.N:  # a subset as well: only the omitted rows come back
        if not index.is_unique:
            raise DataError("na.exclude with a subset needs a data frame whose index has no repeated labels")
        kept = index.get_indexer(design.index)
    every = np.sort(np.concatenate([kept, design.omitted]))
    padded = np.full(len(every), np.nan)
    padded[np.searchsorted(every, kept)] = values
    return pd.Series(padded, index=index[every], name=name)
