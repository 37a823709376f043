"""Pieces of a model that ``lme4::getME`` derives from others: index vectors and matrices term by term."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

    from pyimpl.design.design import Design, RandomTerm

__all__ = ["effect_rows", "st_factor", "theta_index", "unique_names"]


def unique_names(names: Sequence[str]) -> list[str]:
    """R's ``make.unique``: repeated names numbered ``.1``, ``.2``, ..."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        count = seen.get(name, 0)
        seen[name] = count + 1
        out.append(f"{name}.{count}" if count else name)
    return out


def effect_rows(design: "Design") -> "dict[str, sparse.csc_array]":
    """``getME(m, "Ztlist")``: the rows of Zᵀ that belong to one effect of one term, levels x rows of the data."""
    from scipy import sparse

    Zt = sparse.csr_array(design.Z.T)
    start, blocks = 0, []
    for term in design.terms:
        blocks += [Zt[np.arange(start + k, start + term.J * term.p, term.p)].tocsc() for k in range(term.p)]
        start += term.J * term.p
    names = unique_names([f"{term.group}.{effect}" for term in design.terms for effect in term.effects])
    return dict(zip(names, blocks, strict=True))


def theta_index(terms: "Sequence[RandomTerm]") -> np.ndarray:
    """``getME(m, "Lind")``: for each nonzero of Λᵀ, by columns, the element of θ that it is; counted from 1 as in R."""
    pieces, start = [], 1
    for term in terms:
        p = term.p
        # Λ's template has θ by columns of its lower triangle; column j of Λᵀ is row j of Λ
        first = start + np.cumsum([0, *range(p, 1, -1)])
        pieces.append(np.tile([first[i] + j - i for j in range(p) for i in range(j + 1)], term.J))
        start += p * (p + 1) // 2
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=int)


def st_factor(template: np.ndarray) -> np.ndarray:
    """``getME(m, "ST")`` of one term: Λ's template as T S, S on the diagonal, unit-triangular T below.

    As in R a column whose scale is 0 is NaN (0/0) or infinite.
    """
    scale = np.diag(template)
    with np.errstate(divide="ignore", invalid="ignore"):
        out = np.asarray(template / scale)
    np.fill_diagonal(out, scale)
    return out
