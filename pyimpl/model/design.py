"""The design of a linear mixed model: y, X and the terms that make up Z, with R's labels.

Everything downstream (blocks, likelihood, posterior) sees the data only through :class:`Design`.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

__all__ = ["Design", "RandomTerm"]


@dataclass(frozen=True)
class RandomTerm:
    """One random-effects term ``(lhs | group)``, ready for the algebra.

    Attributes
    ----------
    group : str
        Name of the grouping factor as R shows it: ``school``, ``batch:cask``.
    effects : tuple of str
        R's column names of the left-hand side's model matrix (``cnms``), length p.
    levels : tuple of str
        Level labels in R's order (only levels that occur in the rows used), length J.
    codes : ndarray of intp, shape (N,)
        Level of each row, 0-based.
    columns : ndarray of float64, shape (N, p)
        Model matrix of the left-hand side. ``Z_ij = columns[i]`` at level ``codes[i]``; effects fastest in q.
    """

    group: str
    effects: tuple[str, ...]
    levels: tuple[str, ...]
    codes: np.ndarray
    columns: np.ndarray

    @property
    def p(self) -> int:
        """Number of effects per level."""
        return len(self.effects)

    @property
    def J(self) -> int:
        """Number of levels."""
        return len(self.levels)


@dataclass(frozen=True)
class Design:
    """y, X, the random terms, and all labels, for the rows used.

    Attributes
    ----------
    formula : str
        As R deparses it.
    response : str
        Deparsed left-hand side.
    index : pandas.Index
        The data's own index of the rows used, length N.
    y : ndarray, shape (N,)
        Response (the offset not subtracted).
    X : ndarray, shape (N, P), C order
        Fixed-effects model matrix without the dropped columns; P may be 0.
    coef_names : tuple of str
        R's names of X's columns.
    terms : tuple of RandomTerm
        In lme4's order: if any later term has more levels than an earlier one, sorted by decreasing number of levels,
        ties reversed (``rev(order(nl))`` of ``lme4::mkReTrms``); otherwise formula order.
    weights : ndarray, shape (N,), or None
        Prior weights.
    offset : ndarray, shape (N,), or None
        Sum of ``offset()`` terms and the ``offset`` argument.
    frame : pandas.DataFrame
        The model frame: variables of the model for the rows used (factors as categoricals, unused levels dropped).
    dropped_coefs : tuple of str
        Columns of X dropped because of rank deficiency, R's names.
    omitted : ndarray of intp
        Positions (0-based, in the data) of the rows that ``na.action`` left out.
    messages : tuple of str
        What R would say on the way, e.g. about dropped columns.
    """

    formula: str
    response: str
    index: pd.Index
    y: np.ndarray
    X: np.ndarray
    coef_names: tuple[str, ...]
    terms: tuple[RandomTerm, ...]
    weights: np.ndarray | None
    offset: np.ndarray | None
    frame: pd.DataFrame
    dropped_coefs: tuple[str, ...] = ()
    omitted: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    messages: tuple[str, ...] = ()

    @property
    def N(self) -> int:
        """Number of rows used."""
        return int(self.y.shape[0])

    @property
    def P(self) -> int:
        """Number of fixed-effect columns."""
        return len(self.coef_names)

    @cached_property
    def q(self) -> int:
        """Number of random effects: columns of Z."""
        return sum(term.J * term.p for term in self.terms)
