"""First and second derivatives of the likelihood and of vcov(β̂) by the variance parameters, exactly.

The covariance matrix of y is linear in the variances and covariances γ of the random effects and of the residuals,
Σ = Σ_r γ_r G_r with G_r = ZE_rZ' (Kenward & Roger 1997, Biometrics 53, 983-997; their R_ij are then zero), so with
P = Σ⁻¹ − Σ⁻¹XΦX'Σ⁻¹, Φ = (X'Σ⁻¹X)⁻¹ and w = Σ⁻¹(y − Xβ̂)

    ∂Φ/∂γ_r = Φ X'Σ⁻¹G_rΣ⁻¹X Φ,
    ∂(−2ℓ)/∂γ_r = tr(S G_r) − w'G_rw,       ∂²(−2ℓ)/∂γ_r∂γ_s = −tr(S G_rS G_s) + 2 w'G_rPG_sw,

S = Σ⁻¹ for maximum likelihood and S = P for REML. No difference quotient is taken anywhere. Rows are handled in
groups that share no level of any grouping factor: Σ is block-diagonal over them and everything above is a sum.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pyimpl.covariance.structures import Structure
from pyimpl.design.design import Design
from pyimpl.errors import ModelError
from pyimpl.inference.estimates import Estimates
from pyimpl.linalg.heard import heard_if_long

__all__ = [
    "MAX_CONNECTED",
    "CovarianceDerivatives",
    "RowGroup",
    "covariance_derivatives",
    "largest_group",
    "row_groups",
]

#: Random effects of one group of rows from which the dense matrices of that size are refused.
MAX_CONNECTED = 6_000
_GROUP = 200  # small groups are handled together up to about this many random effects


@dataclass(frozen=True)
class RowGroup:
    """Rows that are uncorrelated with all others, in units where σ = 1 and weights are 1.

    Attributes
    ----------
    rows : ndarray of intp, shape (n,)
    columns : ndarray of intp, shape (q,)
        The random effects that these rows have, as columns of Z.
    Z : sparse array, shape (n, q)
        Rows of √w·Z, the group's columns.
    M : ndarray, shape (q, q)
        Z'Z.
    N : ndarray, shape (q, q)
        Λ(Λ'Z'ZΛ + I)⁻¹Λ'; V⁻¹ = I − ZNZ'.
    first : tuple of ndarray
        For each term the column of each of its levels' first effect.
    """

    rows: np.ndarray
    columns: np.ndarray
    Z: sparse.csr_array
    M: np.ndarray
    N: np.ndarray
    first: tuple[np.ndarray, ...]

    def solve(self, D: np.ndarray) -> np.ndarray:
        """V⁻¹D."""
        return D - self.Z @ (self.N @ (self.Z.T @ D))


def _connected(design: Design) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """First term's level of each row, each term's first level, and the levels' components and these's sizes."""
    terms = design.terms
    base = np.concatenate([[0], np.cumsum([term.J for term in terms])]).astype(np.intp)
    own = base[0] + terms[0].codes
    ends = np.concatenate([base[t] + term.codes for t, term in enumerate(terms)])
    starts = np.tile(own, len(terms))
    graph = sparse.coo_array((np.ones(starts.size, dtype=np.int8), (starts, ends)), shape=(base[-1], base[-1]))
    count, component = connected_components(graph, directed=False)
    width = np.concatenate([np.full(term.J, term.p) for term in terms])
    return own, base, component, np.bincount(component, weights=width, minlength=count).astype(np.intp)


def largest_group(design: Design) -> int:
    """How many random effects hang together at most, through rows that have levels in common."""
    return int(_connected(design)[-1].max())


def row_groups(design: Design, templates: tuple[np.ndarray, ...]) -> Iterator[RowGroup]:
    """Split the rows into groups that share no level of any grouping factor.

    Parameters
    ----------
    design : Design
    templates : tuple of ndarray
        T of each term, shape (p, p).

    Raises
    ------
    ModelError
        If more than :data:`MAX_CONNECTED` random effects hang together.
    """
    terms, own, base, component, size = design.terms, *_connected(design)
    if size.max() > MAX_CONNECTED:
        raise ModelError(
            f"{size.max()} random effects hang together through crossed grouping factors; derivatives by the variance "
            f"parameters and hat values are computed for at most {MAX_CONNECTED}"
        )
    group = ((np.cumsum(size) - size) // _GROUP)[component]
    root = None if design.weights is None else np.sqrt(design.weights)
    Z = sparse.csr_array(design.Z if root is None else sparse.diags_array(root) @ design.Z)
    # rows and columns of a group side by side, so that each is a slice
    of_column = np.concatenate([np.repeat(group[base[t] : base[t + 1]], term.p) for t, term in enumerate(terms)])
    columns, row_group = np.argsort(of_column, kind="stable"), group[own]
    rows = np.argsort(row_group, kind="stable")
    Z = sparse.csr_array(sparse.csr_array(Z[rows])[:, columns])
    numbers = np.unique(group)
    row_ends = np.searchsorted(row_group[rows], [*numbers, numbers[-1] + 1])
    column_ends = np.searchsorted(of_column[columns], [*numbers, numbers[-1] + 1])
    in_term = [
        np.searchsorted(np.sort(group[base[t] : base[t + 1]]), [*numbers, numbers[-1] + 1]) for t in range(len(terms))
    ]
    for k in range(numbers.size):
        levels = [int(ends[k + 1] - ends[k]) for ends in in_term]
        widths = [count * term.p for count, term in zip(levels, terms, strict=True)]
        stops = np.cumsum(widths)
        parts = [slice(stop - width, stop) for stop, width in zip(stops, widths, strict=True)]
        first = tuple(
            part.start + np.arange(count) * term.p for part, count, term in zip(parts, levels, terms, strict=True)
        )
        part = _slice(Z, row_ends[k], row_ends[k + 1], column_ends[k], column_ends[k + 1])
        M = np.asarray((part.T @ part).todense())
        N = heard_if_long(5.0 * len(M) ** 3, _inverse_between, M, parts, templates)
        yield RowGroup(
            rows[row_ends[k] : row_ends[k + 1]], columns[column_ends[k] : column_ends[k + 1]], part, M, N, first
        )


def _inverse_between(M: np.ndarray, parts: Sequence[slice], templates: Sequence[np.ndarray]) -> np.ndarray:
    """Λ(Λ'MΛ + I)⁻¹Λ', shape (q, q)."""
    A = np.eye(len(M)) + _times_blocks(_times_blocks(M, parts, templates).T, parts, templates)
    half = np.linalg.solve(np.linalg.cholesky(0.5 * (A + A.T)), np.eye(len(M)))
    half = _times_blocks(half, parts, [T.T for T in templates])
    return half.T @ half


def _slice(Z: sparse.csr_array, top: int, bottom: int, left: int, right: int) -> sparse.csr_array:
    """Z[top:bottom, left:right], of rows that have nothing elsewhere."""
    begin, end = Z.indptr[top], Z.indptr[bottom]
    parts = Z.data[begin:end], Z.indices[begin:end] - left, Z.indptr[top : bottom + 1] - begin
    return sparse.csr_array(parts, shape=(bottom - top, right - left))


def _times_blocks(X: np.ndarray, parts: Sequence[slice], templates: Sequence[np.ndarray]) -> np.ndarray:
    """XΛ, each level's columns of X (n, q) times its term's template."""
    out = np.empty_like(X)
    for part, T in zip(parts, templates, strict=True):
        out[:, part] = (X[:, part].reshape(-1, len(T)) @ T).reshape(len(X), -1)
    return out


@dataclass(frozen=True)
class CovarianceDerivatives:
    """Σ's derivatives seen through X and y; r runs over γ: each term's lower triangle column by column, then σ².

    Attributes
    ----------
    pieces : tuple of (int, int, int)
        Term, row and column of each γ but the last.
    templates : tuple of ndarray
    structure : Structure or None
        Covariance structures, where not all are unstructured.
    theta : ndarray, shape (n_theta,)
    sigma : float
    Phi : ndarray, shape (P, P)
        vcov(β̂).
    PX : ndarray, shape (m, P, P)
        X'Σ⁻¹G_rΣ⁻¹X.
    QX : ndarray, shape (m, m, P, P)
        X'Σ⁻¹G_rΣ⁻¹G_sΣ⁻¹X.
    trace : ndarray, shape (m,)
        tr(Σ⁻¹G_r).
    traces : ndarray, shape (m, m)
        tr(Σ⁻¹G_rΣ⁻¹G_s).
    wGw : ndarray, shape (m,)
        w'G_rw.
    wGX : ndarray, shape (m, P)
        X'Σ⁻¹G_rw.
    wGGw : ndarray, shape (m, m)
        w'G_rΣ⁻¹G_sw.
    """

    pieces: tuple[tuple[int, int, int], ...]
    templates: tuple[np.ndarray, ...]
    structure: Structure | None
    theta: np.ndarray
    sigma: float
    Phi: np.ndarray
    PX: np.ndarray
    QX: np.ndarray
    trace: np.ndarray
    traces: np.ndarray
    wGw: np.ndarray
    wGX: np.ndarray
    wGGw: np.ndarray

    @cached_property
    def projected_traces(self) -> np.ndarray:
        """tr(P G_rP G_s), shape (m, m): twice the expected information of REML."""
        half = self.Phi @ self.PX
        crossed = np.einsum("rab,sba->rs", half, half)
        return self.traces - 2 * np.einsum("ab,rsba->rs", self.Phi, self.QX) + crossed

    def gradient(self, REML: bool) -> np.ndarray:
        """∂(−2ℓ)/∂γ, shape (m,)."""
        out = self.trace - self.wGw
        return out - np.einsum("ab,rba->r", self.Phi, self.PX) if REML else out

    def hessian(self, REML: bool) -> np.ndarray:
        """∂²(−2ℓ)/∂γ∂γ', shape (m, m); β profiled out."""
        data = self.wGGw - self.wGX @ self.Phi @ self.wGX.T
        return 2 * data - (self.projected_traces if REML else self.traces)

    def by_theta_sigma(self, REML: bool) -> tuple[np.ndarray, np.ndarray]:
        """Hessian of −2ℓ by (θ, σ), shape (k, k), and the derivatives of vcov(β̂) by them, shape (k, P, P).

        What ``lmerTest::as_lmerModLT`` gets by ``numDeriv::hessian`` and ``numDeriv::jacobian``.
        """
        first, second = self._chain()
        hessian = first @ self.hessian(REML) @ first.T + np.einsum("klr,r->kl", second, self.gradient(REML))
        by_gamma = self.Phi @ self.PX @ self.Phi
        return hessian, np.einsum("kr,rab->kab", first, by_gamma)

    def _chain(self) -> tuple[np.ndarray, np.ndarray]:
        """∂γ_r/∂φ_k and ∂²γ_r/∂φ_k∂φ_l for φ = (θ, σ): γ = σ²TT' and σ²."""
        if self.structure is not None:
            return self._structured_chain(self.structure)
        m, sigma = len(self.pieces) + 1, self.sigma
        theta = self.pieces  # T has an element wherever TT' has one, in the same order
        k = len(theta) + 1
        first, second = np.zeros((k, m)), np.zeros((k, k, m))
        for r, (t, i, j) in enumerate(self.pieces):
            T = self.templates[t]
            value = float(T[i] @ T[j])
            first[-1, r], second[-1, -1, r] = 2 * sigma * value, 2 * value
            for a, (ta, ra, ca) in enumerate(theta):
                if ta != t:
                    continue
                slope = (ra == i) * T[j, ca] + (ra == j) * T[i, ca]
                first[a, r] = sigma**2 * slope
                second[a, -1, r] = second[-1, a, r] = 2 * sigma * slope
                for b, (tb, rb, cb) in enumerate(theta):
                    if tb == t and ca == cb:
                        second[a, b, r] = sigma**2 * ((ra == i) * (rb == j) + (ra == j) * (rb == i))
        first[-1, -1], second[-1, -1, -1] = 2 * sigma, 2.0
        return first, second

    def _structured_chain(self, structure: Structure) -> tuple[np.ndarray, np.ndarray]:
        """The same by the coordinates of covariance structures, in which T is smooth; df at an optimum are the same."""
        sigma, z = self.sigma, structure.coordinates(self.theta)
        k, m = structure.n_par + 1, len(self.pieces) + 1
        first, second = np.zeros((k, m)), np.zeros((k, k, m))
        r = 0
        for covariance, T, at in zip(structure.covariances, self.templates, structure.slices, strict=True):
            p, own = covariance.p, np.arange(at.start, at.stop)
            rows, cols = (np.array(x) for x in zip(*covariance.places, strict=True))
            expansion = covariance.expand(z[at])
            by_one = np.zeros((own.size, p, p))
            by_one[:, rows, cols] = expansion.jacobian.T
            by_two = np.zeros((own.size, own.size, p, p))
            by_two[:, :, rows, cols] = np.moveaxis(expansion.second, 0, 2)
            slope = np.einsum("kab,cb->kac", by_one, T)
            slope = slope + np.swapaxes(slope, 1, 2)
            curvature = np.einsum("klab,cb->klac", by_two, T) + np.einsum("kab,lcb->klac", by_one, by_one)
            curvature = curvature + np.swapaxes(curvature, 2, 3)
            j, i = np.triu_indices(p)
            here = slice(r, r + i.size)
            value = (T @ T.T)[i, j]
            first[own, here], first[-1, here] = sigma**2 * slope[:, i, j], 2 * sigma * value
            second[own[:, None], own[None, :], here] = sigma**2 * curvature[:, :, i, j]
            second[own, -1, here] = second[-1, own, here] = 2 * sigma * slope[:, i, j]
            second[-1, -1, here] = 2 * value
            r += i.size
        first[-1, -1], second[-1, -1, -1] = 2 * sigma, 2.0
        return first, second


def _times(D: np.ndarray, first: np.ndarray, i: int, j: int) -> np.ndarray:
    """E_rD: swaps the rows of effects i and j of each level of a term, all other rows are 0."""
    out = np.zeros_like(D)
    out[first + i] = D[first + j]
    if i != j:
        out[first + j] = D[first + i]
    return out


def _shrunk(group: RowGroup) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """NM, K = M(I − NM) = Z'V⁻¹Z and (I − NM)'K = Z'V⁻²Z, each of shape (q, q)."""
    NM = group.N @ group.M
    shrink = np.eye(len(NM)) - NM
    K = group.M @ shrink
    K = 0.5 * (K + K.T)
    return NM, K, shrink.T @ K


def covariance_derivatives(design: Design, estimates: Estimates) -> CovarianceDerivatives:
    """Everything that the second-order theory of the fixed effects needs, at the estimates.

    Parameters
    ----------
    design : Design
    estimates : Estimates

    Returns
    -------
    CovarianceDerivatives
        In the units of the data. Prior weights divide the residual variance (G of σ² is diag(1/w)).

    Raises
    ------
    ModelError
        If too many random effects hang together (see :func:`row_groups`).
    """
    P, sigma = design.P, estimates.sigma
    residual = design.y - design.X @ estimates.beta
    if design.offset is not None:
        residual = residual - design.offset
    D = np.column_stack([design.X, residual])
    if design.weights is not None:
        D = D * np.sqrt(design.weights)[:, None]
    pieces = tuple((t, i, j) for t, term in enumerate(design.terms) for j in range(term.p) for i in range(j, term.p))
    m, d = len(pieces) + 1, P + 1
    first_order, second_order = np.zeros((m, d, d)), np.zeros((m, m, d, d))
    trace, traces = np.zeros(m), np.zeros((m, m))
    for group in row_groups(design, estimates.templates):
        part = D[group.rows]
        once = group.solve(part)
        twice = group.solve(once)
        F, F2 = group.Z.T @ once, group.Z.T @ twice
        NM, K, K2 = heard_if_long(6.0 * len(group.M) ** 3, _shrunk, group)
        EK = [_times(K, group.first[t], i, j) for t, i, j in pieces]
        EF = [_times(F, group.first[t], i, j) for t, i, j in pieces]
        KEF = [K @ one for one in EF]
        for r, (t, i, j) in enumerate(pieces):
            at = group.first[t]
            both = 1.0 if i == j else 2.0
            first_order[r] += F.T @ EF[r]
            trace[r] += both * K[at + i, at + j].sum()
            traces[r, -1] += both * 0.5 * (K2[at + i, at + j] + K2[at + j, at + i]).sum()
            second_order[r, -1] += EF[r].T @ F2
            for s in range(r, m - 1):
                traces[r, s] += np.einsum("uv,vu->", EK[r], EK[s])
                second_order[r, s] += EF[r].T @ KEF[s]
        first_order[-1] += once.T @ once
        second_order[-1, -1] += once.T @ twice
        trace[-1] += part.shape[0] - np.trace(NM)
        traces[-1, -1] += part.shape[0] - 2 * np.trace(NM) + np.einsum("uv,vu->", NM, NM)
    for r in range(m):
        for s in range(r):
            traces[r, s] = traces[s, r]
            second_order[r, s] = second_order[s, r].T
    first_order /= sigma**4
    second_order /= sigma**6
    return CovarianceDerivatives(
        pieces=pieces,
        templates=estimates.templates,
        structure=design.structure,
        theta=estimates.theta,
        sigma=sigma,
        Phi=estimates.vcov,
        PX=first_order[:, :P, :P],
        QX=second_order[:, :, :P, :P],
        trace=trace / sigma**2,
        traces=traces / sigma**4,
        wGw=first_order[:, P, P],
        wGX=first_order[:, :P, P],
        wGGw=second_order[:, :, P, P],
    )
