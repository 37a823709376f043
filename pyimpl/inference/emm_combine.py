"""Tables of marginal means made of others: bound together, simple contrasts of each variable, effect sizes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pyimpl.arguments import SIGNATURES
from pyimpl.errors import DataError
from pyimpl.inference.adjustments import cross_method, p_adjust
from pyimpl.inference.emm_text import label_of
from pyimpl.inference.linear_functions import Basis
from pyimpl.text.numbers import as_character

if TYPE_CHECKING:
    from pyimpl.inference.emm_grid import EmmGrid

__all__ = ["EmmList", "bound_together", "cross_adjusted", "effect_sizes", "inherited_basis"]


@SIGNATURES.verbs
class EmmList(dict[str, "EmmGrid"]):
    """Several tables by name (``emm_list``); ``str()`` is what R prints."""

    def __str__(self) -> str:
        return "\n".join(f"${name if name.isidentifier() else f'`{name}`'}\n{grid}\n" for name, grid in self.items())

    __repr__ = __str__

    def bind(self, adjust: str = "bonferroni") -> "EmmGrid":
        """All tables as one family of tests (``combine = TRUE``); see :meth:`EmmGrid.rbind`."""
        return bound_together(list(self.values()), adjust)


def _same_coefficients(one: Basis, other: Basis) -> bool:
    return one is other or (
        np.array_equal(one.beta, other.beta, equal_nan=True) and np.array_equal(one.vcov, other.vcov)
    )


def bound_together(grids: "Sequence[EmmGrid]", adjust: str) -> "EmmGrid":
    """``rbind(e1, e2, ..., adjust)``: the rows of several tables as one family of tests.

    Parameters
    ----------
    grids : sequence of EmmGrid
        Of the same fit, with the same degrees of freedom's method.
    adjust : str

    Raises
    ------
    DataError
        They are of different fits.
    """
    first = grids[0]
    for grid in grids[1:]:
        if not _same_coefficients(first.basis, grid.basis) or first.basis.df_method != grid.basis.df_method:
            raise DataError("rbind: the tables are of different fits, or of different degrees of freedom (ddf)")
    names = list(dict.fromkeys(str(c) for grid in grids for c in grid.by))
    names = list(dict.fromkeys([*names, *(str(c) for grid in grids for c in grid.grid)]))
    table = {
        name: [
            text
            for grid in grids
            for text in (map(label_of, grid.grid[name]) if name in grid.grid else ["."] * len(grid.grid))
        ]
        for name in names
    }
    rows = len(table[names[0]])
    offsets = None
    if any(grid.offset is not None for grid in grids):
        offsets = np.concatenate([np.zeros(len(g.grid)) if g.offset is None else g.offset for g in grids])
    return replace(
        first,
        grid=pd.DataFrame(table),
        levels={name: list(dict.fromkeys(values)) for name, values in table.items()},
        linfct=np.vstack([grid.linfct for grid in grids]),
        weights=None,
        offset=offsets,
        kind="contrast",
        adjust=adjust,
        family_size=float(rows),
        by=(),
        averaged_over=tuple(dict.fromkeys(v for grid in grids for v in grid.averaged_over)),
        averaged_some=True,
        pair_by=None,
        nesting={},
    )


def inherited_basis(value: np.ndarray, covariance: np.ndarray, df: np.ndarray, method: str | None) -> Basis:
    """Estimates that take the place of coefficients (``regrid``).

    A linear function of them has the smallest of the degrees of freedom of those that it is made of.

    Parameters
    ----------
    value, df : ndarray, shape (rows,)
        Missing where they cannot be estimated.
    covariance : ndarray, shape (rows, rows)
    method : str or None
        How the degrees of freedom were found.
    """
    there = ~np.isnan(value)
    own = df[there]
    alike = own.size > 0 and (not np.isfinite(own).all() or np.ptp(own) < 0.01)

    def smallest(row: np.ndarray) -> float:
        if alike:
            return float(own.mean())
        used = own[np.abs(row) > 1e-7 * np.abs(row).max(initial=0.0)]
        return float(used.min()) if used.size else np.nan

    said = None
    if method is not None:
        said = method if method.startswith("inherited") else f"inherited from {method} when re-gridding"
    unestimable = None if there.all() else np.eye(len(value))[:, ~there]
    return Basis(value, covariance[np.ix_(there, there)], unestimable, smallest, said, None, np.nan)


def effect_sizes(means: "EmmGrid", sigma: float, edf: float, method: str) -> "EmmGrid":
    """``eff_size(e, sigma, edf, method)``: contrasts in units of a standard deviation (Cohen's d).

    With d = m/σ̂ for each mean m, cov(d) = cov(m)/σ² + d d'/(2 edf): the delta method, the standard deviation being
    independent of the means with Var(log σ̂) = 1/(2 edf).

    Parameters
    ----------
    means : EmmGrid
    sigma : float
        The standard deviation, positive.
    edf : float
        Its degrees of freedom, positive.
    method : str
        Of the contrasts.

    Raises
    ------
    DataError
        `sigma` or `edf` is not positive; the fit is a posterior.
    """
    if means.basis.draws is not None:
        raise DataError("eff_size: of a posterior divide draws() by the draws of the standard deviation")
    if not (np.isfinite(sigma) and sigma > 0 and edf > 0):
        raise DataError(f"eff_size: sigma and edf must be positive, not {sigma!r} and {edf!r}")
    value, _, df = means.basis.estimates(means.linfct, means.offset)
    d = value / sigma
    covariance = means.vcov() / sigma**2 + np.outer(d, d) / (2 * edf)
    again = replace(
        means,
        basis=inherited_basis(d, covariance, df, means.basis.df_method),
        linfct=np.eye(len(d)),
        offset=None,
    )
    out = again.contrast(method, adjust="none")
    said = f"sigma used for effect sizes: {as_character(sigma, 4)}"
    return replace(out, estimate="effect.size", infer=(True, False), notes=(said,))


def cross_adjusted(p: np.ndarray, groups: Sequence[np.ndarray], method: str) -> tuple[np.ndarray, str]:
    """Adjust p values across the groups of the ``by`` variables (``cross.adjust``).

    Parameters
    ----------
    p : ndarray, shape (rows,)
    groups : sequence of ndarray of intp
        Rows of each group, equally many.
    method : str
        ``"sidak"``, or a method of :func:`~pyimpl.inference.adjustments.p_adjust`.

    Returns
    -------
    (ndarray, str)
        The p values, and the line that says how they were adjusted.
    """
    name = cross_method(method)
    out = p.copy()
    for rows in zip(*groups, strict=True):
        at = np.array(rows)
        out[at] = 1 - (1 - p[at]) ** len(at) if name == "sidak" else p_adjust(p[at], name)
    return out, f"Cross-group P-value adjustment: {name}"
