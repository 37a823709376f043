"""A term's relative covariance matrix Σ as a function of its parameters, in ball arithmetic, with its derivatives.

An unstructured term's parameters are the elements of T (lme4's θ), Σ = TT'. A structured one's (lme4's ``par``) are
standard deviations s and a correlation ρ, Σ_ij = s_i s_j ρ^d_ij: d = 1 off the diagonal (``cs``) or |i − j| (``ar1``);
of ``diag`` all that is off the diagonal is 0.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flint import arb, arb_mat

from pyimpl.design.design import Design

__all__ = ["Structured", "Term", "Unstructured", "terms_of"]


@dataclass(frozen=True)
class Term(ABC):
    """A term of so many effects a level."""

    size: int

    @property
    @abstractmethod
    def n_par(self) -> int:
        """Number of parameters."""

    @abstractmethod
    def relative(self, values: Sequence[Any]) -> Any:
        """Σ, an arb_mat."""

    @abstractmethod
    def first(self, values: Sequence[Any], k: int) -> Any:
        """Derivative of Σ by a parameter."""

    @abstractmethod
    def second(self, values: Sequence[Any], k: int, m: int) -> Any:
        """Derivative of Σ by two."""

    def at_bound(self, k: int, value: float) -> bool:
        """Whether a parameter is at a bound."""
        return value == 0.0

    def template(self, values: Sequence[Any]) -> Any:
        """T with TT' = Σ, lower triangular."""
        Sigma = self.relative(values)
        L = [[arb(0)] * self.size for _ in range(self.size)]
        for j in range(self.size):
            for i in range(j, self.size):
                rest = Sigma[i, j] - sum((L[i][k] * L[j][k] for k in range(j)), arb(0))
                L[i][j] = rest.sqrt() if i == j else rest / L[j][j]
        return arb_mat(L)


class Unstructured(Term):
    """All elements of T's lower triangle are free, by columns."""

    @property
    def places(self) -> list[tuple[int, int]]:
        """Row and column in T of each parameter."""
        return [(i, j) for j in range(self.size) for i in range(j, self.size)]

    @property
    def n_par(self) -> int:
        """Number of parameters."""
        return self.size * (self.size + 1) // 2

    def at_bound(self, k: int, value: float) -> bool:
        """Whether a parameter is at a bound."""
        row, column = self.places[k]
        return row == column and value == 0.0

    def template(self, values: Sequence[Any]) -> Any:
        """T, filled."""
        rows = [[arb(0)] * self.size for _ in range(self.size)]
        for (i, j), value in zip(self.places, values, strict=True):
            rows[i][j] = value
        return arb_mat(rows)

    def _unit(self, k: int) -> Any:
        return arb_mat([[int((r, c) == self.places[k]) for c in range(self.size)] for r in range(self.size)])

    def relative(self, values: Sequence[Any]) -> Any:
        """Σ."""
        T = self.template(values)
        return T * T.transpose()

    def first(self, values: Sequence[Any], k: int) -> Any:
        """Derivative of Σ by a parameter."""
        half = self._unit(k) * self.template(values).transpose()
        return half + half.transpose()

    def second(self, values: Sequence[Any], k: int, m: int) -> Any:
        """Derivative of Σ by two."""
        half = self._unit(k) * self._unit(m).transpose()
        return half + half.transpose()


@dataclass(frozen=True)
class Structured(Term):
    """Standard deviations, one for all effects if `hom`, and last the correlation where there is one.

    Attributes
    ----------
    name : {"diag", "cs", "ar1"}
    hom : bool
    """

    name: str
    hom: bool

    @property
    def n_sd(self) -> int:
        """Number of standard deviations."""
        return 1 if self.hom else self.size

    @property
    def n_par(self) -> int:
        """Number of parameters."""
        return self.n_sd + (self.name != "diag")

    def _power(self, i: int, j: int) -> int | None:
        """Exponent of ρ; None where Σ is 0."""
        if i == j:
            return 0
        return {"diag": None, "cs": 1, "ar1": abs(i - j)}[self.name]

    def _matrix(self, values: Sequence[Any], sds: Sequence[int], order: int) -> Any:
        """Derivative of Σ by these standard deviations and, so many times, by ρ."""
        rho = values[-1]

        def scale(i: int, j: int) -> Any:
            """Derivative of s_i s_j."""
            a, b = (0, 0) if self.hom else (i, j)
            if not sds:
                return values[a] * values[b]
            if len(sds) == 1:
                return int(a == sds[0]) * values[b] + int(b == sds[0]) * values[a]
            k, m = sds
            return arb(int(a == k) * int(b == m) + int(b == k) * int(a == m))

        def correlation(power: int) -> Any:
            """Derivative of ρ^power."""
            factor = 1
            for less in range(order):
                factor *= power - less
            return factor * rho ** (power - order) if factor else arb(0)

        rows = []
        for i in range(self.size):
            row = []
            for j in range(self.size):
                power = self._power(i, j)
                row.append(arb(0) if power is None else scale(i, j) * correlation(power))
            rows.append(row)
        return arb_mat(rows)

    def relative(self, values: Sequence[Any]) -> Any:
        """Σ."""
        return self._matrix(values, (), 0)

    def first(self, values: Sequence[Any], k: int) -> Any:
        """Derivative of Σ by a parameter."""
        return self._matrix(values, [k] if k < self.n_sd else [], int(k >= self.n_sd))

    def second(self, values: Sequence[Any], k: int, m: int) -> Any:
        """Derivative of Σ by two."""
        sds = [one for one in (k, m) if one < self.n_sd]
        return self._matrix(values, sds, 2 - len(sds))

    def at_bound(self, k: int, value: float) -> bool:
        """Whether a parameter is at a bound."""
        if k < self.n_sd:
            return value == 0.0
        return value == 1.0 or value == (-1.0 if self.name == "ar1" else -1.0 / (self.size - 1))


def terms_of(design: Design) -> tuple[Term, ...]:
    """The terms of a design; one effect has a variance, whatever the structure."""
    found: list[Term] = []
    for term in design.terms:
        covariance = term.covariance
        free = covariance.name == "us" or term.p == 1
        found.append(Unstructured(term.p) if free else Structured(term.p, covariance.name, covariance.hom))
    return tuple(found)
