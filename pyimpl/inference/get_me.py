"""``lme4::getME``: the pieces of a fitted model by their names.

A piece is a function of the fit's design, reduced data and estimates; the table :data:`_PIECES` has one for each name.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import pandas as pd

from pyimpl.errors import DataError
from pyimpl.inference.at_optimum import criterion_at
from r_scripts.dialect import CHANGES, Dialect

if TYPE_CHECKING:
    from scipy import sparse

    from pyimpl.design.design import Design
    from pyimpl.design.random_term import RandomTerm
    from pyimpl.inference.at_optimum import AtOptimum, Theta
    from pyimpl.inference.estimates import Estimates
    from pyimpl.likelihood.reduce import Reduced

__all__ = [
    "ArrayPiece",
    "CountPiece",
    "FramePiece",
    "SeriesPiece",
    "SparsePiece",
    "get_me",
    "piece_names",
    "unique_names",
]

#: The pieces' names by what they are; the others are one of a kind.
SeriesPiece = Literal[
    "y", "mu", "Tp", "fixef", "beta", "theta", "p_i", "l_i", "q_i", "m_i", "offset", "lower", "weights", "par", "devarg"
]
FramePiece = Literal["X", "RX", "flist"]
SparsePiece = Literal["Z", "Zt", "Lambda", "Lambdat", "A"]
ArrayPiece = Literal["u", "b", "Gp", "Lind"]
CountPiece = Literal["REML", "n_rtrms", "n_rfacs", "N", "n", "p", "q", "k", "m", "npar"]

Piece = TypeVar("Piece")

_NEWER = ("par", "npar", "devarg")  # since lme4 2.0-1


def piece_names(dialect: Dialect) -> tuple[str, ...]:
    """Names of the pieces that a version of lme4 has."""
    newer = dialect.has("getme_par")
    return tuple(name for name in _PIECES if newer or name not in _NEWER)


def get_me(model: "AtOptimum", name: str, dialect: Dialect) -> object:
    """Return a piece of a model at its optimum; see :meth:`pyimpl.LmerFit.getME`.

    Parameters
    ----------
    model : AtOptimum
    name : str
    dialect : Dialect

    Raises
    ------
    DataError
        There is no such piece, or not in the dialect's version of lme4.
    """
    if name in _NEWER and not dialect.has("getme_par"):
        raise DataError(
            f"getME: {name!r} is there since lme4 {CHANGES['getme_par'].since}; this fit's dialect is lme4 "
            f"{dialect.versions['lme4']}"
        )
    if name not in _PIECES:
        known = ", ".join(piece_names(dialect))
        raise DataError(f"getME: there is no piece {name!r}; there are {known} and 'ALL'")
    devfun = partial(criterion_at, model)
    return _PIECES[name](_Model(model.design, model.reduced, model.estimates, model.REML, model.value, devfun))


@dataclass(frozen=True)
class _Model:
    """What the pieces are made of."""

    design: "Design"
    reduced: "Reduced"
    estimates: "Estimates"
    REML: bool
    value: float
    devfun: "Callable[[Theta], float]"

    @property
    def terms(self) -> "tuple[RandomTerm, ...]":
        return self.design.terms

    def by_coefficient(self, values: np.ndarray) -> pd.Series:
        return pd.Series(values.copy(), index=list(self.design.coef_names), dtype=float)

    def by_theta(self, values: np.ndarray) -> pd.Series:
        return pd.Series(values.copy(), index=list(self.design.theta_names))

    def by_parameter(self, values: np.ndarray) -> pd.Series:
        return pd.Series(values.copy(), index=list(self.design.par_names))

    def by_row(self, values: np.ndarray) -> pd.Series:
        return pd.Series(values.copy(), index=self.design.index)

    def by_term(self, values: Sequence[Piece]) -> dict[str, Piece]:
        """Values by the terms' grouping factors, repeated names numbered."""
        return dict(zip(unique_names([term.group for term in self.terms]), values, strict=True))

    def sizes(self, values: Sequence[int]) -> pd.Series:
        """Values by the terms' labels."""
        return pd.Series(values, index=[term.label for term in self.terms])

    def groups(self) -> pd.Series:
        """Levels of each grouping factor."""
        return pd.Series({term.group: term.J for term in self.terms}, dtype="int64")

    def relative_factor(self) -> "sparse.csc_array":
        """Λ, block diagonal: the template of each term once a level."""
        from scipy import sparse

        blocks = [
            sparse.kron(sparse.eye_array(term.J), T, format="csc")
            for term, T in zip(self.terms, self.estimates.templates, strict=True)
        ]
        return sparse.csc_array(sparse.block_diag(blocks, format="csc"))


def unique_names(names: Sequence[str]) -> list[str]:
    """R's ``make.unique``: repeated names numbered ``.1``, ``.2``, ..."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        count = seen.get(name, 0)
        seen[name] = count + 1
        out.append(f"{name}.{count}" if count else name)
    return out


def _triangle(term: "RandomTerm") -> int:
    """Elements of θ of a term."""
    return term.p * (term.p + 1) // 2


def _fixed_effects_factor(model: _Model) -> pd.DataFrame:
    """R_X, upper triangular: the unscaled covariance matrix of β̂ is the inverse of R_X'R_X."""
    names = list(model.design.coef_names)
    estimates = model.estimates
    root = np.linalg.cholesky(np.linalg.inv(estimates.vcov / estimates.sigma**2)).T
    return pd.DataFrame(root, index=names, columns=names)


def _effect_rows(model: _Model) -> "dict[str, sparse.csc_array]":
    """``Ztlist``: the rows of Zᵀ that belong to one effect of one term, levels x rows of the data."""
    from scipy import sparse

    Zt = sparse.csr_array(model.design.Z.T)
    start, blocks = 0, []
    for term in model.terms:
        blocks += [Zt[np.arange(start + k, start + term.J * term.p, term.p)].tocsc() for k in range(term.p)]
        start += term.J * term.p
    names = unique_names([f"{term.group}.{effect}" for term in model.terms for effect in term.effects])
    return dict(zip(names, blocks, strict=True))


def _raw_matrices(model: _Model) -> dict[str, pd.DataFrame]:
    """``mmList``: the model matrix of each term before it is spread over the levels."""
    return {
        term.label: pd.DataFrame(term.columns.copy(), index=model.design.index, columns=list(term.effects))
        for term in model.terms
    }


def _theta_index(model: _Model) -> np.ndarray:
    """``Lind``: for each nonzero of Λᵀ, by columns, the element of θ that it is; counted from 1 as in R."""
    pieces, start = [], 1
    for term in model.terms:
        covariance = term.covariance
        # Λ's template has θ by columns; column j of Λᵀ is row j of Λ
        by_row = sorted(zip(covariance.places, covariance.theta_index, strict=True))
        pieces.append(np.tile([start + index for _, index in by_row], term.J))
        start += 1 + max(covariance.theta_index)
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=int)


def _st_factor(template: np.ndarray) -> np.ndarray:
    """``ST`` of one term: Λ's template as T S, S on the diagonal, unit-triangular T below.

    As in R a column whose scale is 0 is NaN (0/0) or infinite.
    """
    scale = np.diag(template)
    with np.errstate(divide="ignore", invalid="ignore"):
        out = np.asarray(template / scale)
    np.fill_diagonal(out, scale)
    return out


def _triangle_starts(model: _Model) -> pd.Series:
    """``Tp``: where each term's elements of θ begin, counted from 0, and where the last one's end."""
    starts = np.cumsum([0, *map(_triangle, model.terms)])
    return pd.Series(starts, index=["beg__", *(term.group for term in model.terms)])


def _deviance_components(model: _Model) -> dict[str, dict[str, float]]:
    """``devcomp``: parts of the criterion (Bates et al. 2015, eq. 34), and sizes."""
    estimates, design = model.estimates, model.design
    ussq = float(sum((u**2).sum() for u in estimates.u))
    return {
        "cmp": {
            "ldL2": estimates.log_det_L2,
            "ldRX2": estimates.log_det_RX2,
            "wrss": estimates.prss - ussq,
            "ussq": ussq,
            "pwrss": estimates.prss,
            "REML": model.value if model.REML else math.nan,
            "dev": math.nan if model.REML else model.value,
            "sigmaML": math.sqrt(estimates.prss / design.N),
            "sigmaREML": math.sqrt(estimates.prss / (design.N - design.P)),
        },
        "dims": {"N": design.N, "n": design.N, "p": design.P, "nmp": design.N - design.P, "q": design.q},
    }


def _theta(model: _Model) -> pd.Series:
    structure = model.reduced.structure
    par = model.estimates.theta
    return model.by_theta(par if structure is None else structure.theta(par))


def _par(model: _Model) -> pd.Series:
    return model.by_parameter(model.estimates.theta)


def _beta(model: _Model) -> pd.Series:
    return model.by_coefficient(model.estimates.beta)


def _rows(model: _Model) -> int:
    return model.design.N


def _count_theta(model: _Model) -> int:
    return len(model.design.theta_names)


def _count_parameters(model: _Model) -> int:
    return model.reduced.n_theta


def _is_reml(model: _Model) -> bool:
    return model.REML


def _prior(values: np.ndarray | None, model: _Model, otherwise: float) -> pd.Series:
    """An argument of the call for each row, and what it is where it was not given."""
    return model.by_row(np.full(model.design.N, otherwise) if values is None else values)


#: Name -> the piece, in the order in which R's error lists them.
_PIECES: dict[str, Callable[[_Model], object]] = {
    "X": lambda m: pd.DataFrame(m.design.X.copy(), index=m.design.index, columns=list(m.design.coef_names)),
    "Z": lambda m: m.design.Z.copy(),
    "Zt": lambda m: m.design.Z.T.tocsc(),
    "Ztlist": _effect_rows,
    "mmList": _raw_matrices,
    "y": lambda m: m.by_row(m.design.y),
    "mu": lambda m: m.by_row(m.estimates.fitted),
    "u": lambda m: np.concatenate([u.ravel() for u in m.estimates.u]),
    "b": lambda m: np.concatenate([b.ravel() for b in m.estimates.b]),
    "Gp": lambda m: np.concatenate([[0], np.cumsum([term.J * term.p for term in m.terms])]),
    "Tp": _triangle_starts,
    "Lambda": _Model.relative_factor,
    "Lambdat": lambda m: m.relative_factor().T.tocsc(),
    "Lind": _theta_index,
    "Tlist": lambda m: m.by_term([T.copy() for T in m.estimates.templates]),
    "A": lambda m: (m.relative_factor().T @ m.design.Z.T).tocsc(),
    "RX": _fixed_effects_factor,
    "sigma": lambda m: m.estimates.sigma,
    "flist": lambda m: m.design.flist,
    "fixef": _beta,
    "beta": _beta,
    "theta": _theta,
    "ST": lambda m: m.by_term([_st_factor(T) for T in m.estimates.templates]),
    "REML": lambda m: m.design.P if m.REML else 0,
    "is_REML": _is_reml,
    "n_rtrms": lambda m: len(m.terms),
    "n_rfacs": lambda m: len(m.groups()),
    "N": _rows,
    "n": _rows,
    "p": lambda m: m.design.P,
    "q": lambda m: m.design.q,
    "p_i": lambda m: m.sizes([term.p for term in m.terms]),
    "l_i": _Model.groups,
    "q_i": lambda m: m.sizes([term.J * term.p for term in m.terms]),
    "k": lambda m: len(m.terms),
    "m_i": lambda m: m.sizes([_triangle(term) for term in m.terms]),
    "m": _count_theta,
    "cnms": lambda m: m.by_term([list(term.effects) for term in m.terms]),
    "devcomp": _deviance_components,
    "offset": lambda m: _prior(m.design.offset, m, 0.0),
    "lower": lambda m: m.by_parameter(m.reduced.lower),
    "devfun": lambda m: m.devfun,
    "weights": lambda m: _prior(m.design.weights, m, 1.0),
    "par": _par,
    "npar": _count_parameters,
    "devarg": _par,
}
