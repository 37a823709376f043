"""New data in the codings of a fitted model, and a term's columns of Z."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["EncodedRows", "EncodedTerm", "random_columns"]


@dataclass(frozen=True)
class EncodedTerm:
    """One random-effects term for new data.

    Attributes
    ----------
    group, effects, levels
        As in the :class:`RandomTerm` it comes from.
    codes : ndarray of intp, shape (rows,)
        Level of each row; ``J + k`` is ``new_levels[k]``; -1 is a missing level.
    columns : ndarray, shape (rows, p)
        NaN where a slope's variable is missing; zeros where the level is.
    new_levels : tuple of str
        Levels that the fitted model does not know.
    """

    group: str
    effects: tuple[str, ...]
    levels: tuple[str, ...]
    codes: np.ndarray
    columns: np.ndarray
    new_levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class EncodedRows:
    """New data in the codings of a fitted model, for ``predict``.

    Attributes
    ----------
    index : pandas.Index
        The new data's index.
    X : ndarray, shape (rows, P), or None
        Without the columns dropped at the fit; NaN where a predictor is missing.
    offset : ndarray, shape (rows,)
        Sum of the ``offset()`` terms of the formula (as in R, the ``offset`` argument has no part in new data).
    terms : tuple of EncodedTerm
    """

    index: pd.Index
    X: np.ndarray | None
    offset: np.ndarray
    terms: tuple[EncodedTerm, ...]


def random_columns(codes: np.ndarray, columns: np.ndarray, levels: int) -> "sparse.csc_array":
    """One term's part of Z: ``columns[i]`` at level ``codes[i]``, as CSC with explicit zeros removed.

    Parameters
    ----------
    codes : ndarray of int, shape (N,)
    columns : ndarray, shape (N, p)
    levels : int
        J; the result has shape (N, J p).
    """
    from scipy import sparse

    rows, p = columns.shape
    indices = (codes[:, None] * p + np.arange(p)).ravel()
    matrix = sparse.csr_array(
        (columns.ravel(), indices, np.arange(0, rows * p + 1, p)), shape=(rows, levels * p)
    ).tocsc()
    matrix.eliminate_zeros()
    return sparse.csc_array(matrix)
