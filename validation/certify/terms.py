"""A term's relative covariance matrix Σ as polynomials in its parameters, with their derivatives, in ball arithmetic.

An unstructured term's parameters are the elements of T (lme4's θ), Σ = TT'. A structured one's (lme4's ``par``) are
standard deviations s and a correlation ρ, Σ_ij = s_i s_j ρ^d_ij: d = 1 off the diagonal (``cs``) or |i − j| (``ar1``);
of ``diag`` all that is off the diagonal is 0.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from flint import arb, arb_mat

from pyimpl.design.design import Design

#: Exponents of the parameters -> coefficient.
Polynomial: TypeAlias = dict[tuple[int, ...], int]


@dataclass(frozen=True)
class Term:
    """A term of so many effects a level."""

    entries: tuple[tuple[Polynomial, ...], ...]  # Σ
    bounds: tuple[tuple[float, ...], ...]  # for each parameter the values at which it is at a bound
    places: tuple[tuple[int, int], ...] | None = None  # of each parameter in T, where the parameters are T's elements

    @property
    def size(self) -> int:
        """Number of effects."""
        return len(self.entries)

    def Sigma(self, values: Sequence[arb], *by: int) -> arb_mat:
        """Σ, or its derivative by one parameter or several."""

        def entry(polynomial: Polynomial) -> arb:
            for k in by:
                polynomial = {
                    (*powers[:k], powers[k] - 1, *powers[k + 1 :]): times * powers[k]
                    for powers, times in polynomial.items()
                    if powers[k]
                }
            total = arb(0)
            for powers, times in polynomial.items():
                # products, not powers: arb's power of a ball about 0 is not finite
                factors = (value for value, power in zip(values, powers, strict=True) for _ in range(power))
                total += math.prod(factors, start=arb(times))
            return total

        return arb_mat([[entry(polynomial) for polynomial in row] for row in self.entries])

    def template(self, values: Sequence[arb]) -> arb_mat:
        """T with TT' = Σ, lower triangular."""
        if self.places is None:
            return cholesky(self.Sigma(values))
        T = arb_mat(self.size, self.size)
        for place, value in zip(self.places, values, strict=True):
            T[place] = value
        return T


def cholesky(matrix: arb_mat) -> arb_mat:
    """Lower triangular factor."""
    L = arb_mat(matrix.nrows(), matrix.nrows())
    for j in range(matrix.nrows()):
        for i in range(j, matrix.nrows()):
            rest = matrix[i, j] - sum((L[i, k] * L[j, k] for k in range(j)), arb(0))
            L[i, j] = rest.sqrt() if i == j else rest / L[j, j]
    return L


def _monomial(*parameters: int, of: int) -> tuple[int, ...]:
    counts = Counter(parameters)
    return tuple(counts[k] for k in range(of))


def unstructured(size: int) -> Term:
    """All elements of T's lower triangle are free, by columns."""
    places = tuple((i, j) for j in range(size) for i in range(j, size))
    at, n = {place: k for k, place in enumerate(places)}, len(places)
    entries = [
        [{_monomial(at[i, k], at[j, k], of=n): 1 for k in range(min(i, j) + 1)} for j in range(size)]
        for i in range(size)
    ]
    return Term(tuple(map(tuple, entries)), tuple((0.0,) if i == j else () for i, j in places), places)


def structured(size: int, name: str, hom: bool) -> Term:
    """``diag``, ``cs`` or ``ar1``: standard deviations, one for all effects if `hom`, and last the correlation."""
    n_sd = 1 if hom else size
    n = n_sd + (name != "diag")

    def entry(i: int, j: int) -> Polynomial:
        power = 0 if i == j else {"diag": None, "cs": 1, "ar1": abs(i - j)}[name]
        sds = (0, 0) if hom else (i, j)
        return {} if power is None else {_monomial(*sds, *[n - 1] * power, of=n): 1}

    correlation = [] if name == "diag" else [(1.0, -1.0 if name == "ar1" else -1.0 / (size - 1))]
    entries = tuple(tuple(entry(i, j) for j in range(size)) for i in range(size))
    return Term(entries, (*[(0.0,)] * n_sd, *correlation))


def terms_of(design: Design) -> tuple[Term, ...]:
    """The terms of a design; one effect has a variance, whatever the structure."""
    return tuple(
        unstructured(term.p)
        if term.covariance.name == "us" or term.p == 1
        else structured(term.p, term.covariance.name, term.covariance.hom)
        for term in design.terms
    )
