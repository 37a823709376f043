"""What the tiers found out about two likelihood fits, for the diagnosis to reason from."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from validation import tolerances
from validation.algebra import Pieces, Solution, objective_floor, optimum_of, pieces_of, solve
from validation.contract import LinearMixedFit
from validation.covariances import Structure, parameters_of, structures_of
from validation.judge.rows import Row, missing_row
from validation.judge.units import Objective, measured_noise
from validation.quantities import (
    Extraction,
    inference_quantities,
    join,
    likelihood_quantities,
    named,
    prediction_quantities,
    quietly,
    records,
)
from validation.tolerances import Match, objective_noise
from validation.wellformed import CheckedFit

#: Largest problem for which another optimum is computed: the judge's algebra is short, not quick.
_MOST_COLUMNS, _MOST_ROWS = 1500, 50_000


def _row_order(reference: LinearMixedFit, candidate: LinearMixedFit) -> np.ndarray | None:
    """Positions of the candidate's rows in the reference's order, where the same rows stand in another order."""
    left, right = quietly(lambda: reference.fitted().index, None), quietly(lambda: candidate.fitted().index, None)
    if left is None or right is None or len(left) != len(right) or left.equals(right):
        return None
    positions = right.get_indexer(left) if left.is_unique and right.is_unique else np.array([-1])
    return None if (positions < 0).any() else np.asarray(positions)


@dataclass
class Evidence:
    """Two likelihood fits, read once."""

    reference: LinearMixedFit
    candidate: LinearMixedFit
    reml: bool  # the criterion that was asked for
    data: pd.DataFrame | None = None  # that both were given, where it is at hand
    left: Extraction = field(init=False)  # the quantities of the reference
    right: Extraction = field(init=False)  # and of the candidate
    joined: pd.DataFrame = field(init=False)  # ``quantities.join`` of both
    same_theta: pd.DataFrame = field(default_factory=pd.DataFrame)  # tier 2's points, and both objectives there
    objective_agrees: bool | None = None  # tier 2: one function on both sides; None where it could not tell
    undetermined: bool = False  # tier 4: the objective is flat between the two θ̂

    def __post_init__(self) -> None:
        self.reference = CheckedFit(self.reference, strict=False)
        self.candidate = candidate = CheckedFit(self.candidate, rows=quietly(self.reference.nobs, None))
        if self.reml and quietly(lambda: len(self.reference.fixef()), 1) == 0:
            # Nothing to restrict: both criteria are one, lme4 fits by ML, and its REMLcrit adds uninitialised memory.
            self.reml = False
        order = _row_order(self.reference, self.candidate)
        if order is not None:
            candidate.reorder(order)
        self.left = likelihood_quantities(self.reference, self.reml)
        self.right = likelihood_quantities(self.candidate, self.reml)
        self._add_common(inference_quantities)
        self._add_common(lambda fit: prediction_quantities(fit, self.data))
        self.joined = join(self.left.table, self.right.table)

    def _add_common(self, extract: Callable[[Any], Extraction]) -> None:
        """Quantities that lme4 has none of, or that cost a prediction: compared where both sides give them."""
        right = extract(self.candidate).table  # the reference may be R, asked only where there is something to ask
        left = right if right.empty else extract(self.reference).table
        common = set(left["quantity"]) & set(right["quantity"])

        def extended(base: Extraction, more: pd.DataFrame) -> Extraction:
            rows = more[more["quantity"].isin(common)]
            return Extraction(pd.concat([base.table, rows], ignore_index=True), base.problems)

        if common:
            self.left, self.right = extended(self.left, left), extended(self.right, right)

    def fit(self, side: str) -> LinearMixedFit:
        """The fit of ``"reference"`` or ``"candidate"``."""
        return self.reference if side == "reference" else self.candidate

    def rows(self, *quantities: str) -> pd.DataFrame:
        """The joined rows of some quantities."""
        return self.joined[self.joined["quantity"].isin(quantities)]

    def compared(self, *quantities: str) -> pd.DataFrame:
        """The joined rows of some quantities that both sides have."""
        rows = self.rows(*quantities)
        return rows[rows["has_reference"] & rows["has_candidate"]]

    def arrays(self, *quantities: str) -> tuple[np.ndarray, np.ndarray]:
        """The reference's and the candidate's numbers of some quantities, row by row, that both sides have."""
        rows = self.compared(*quantities)
        return rows["reference"].to_numpy(dtype=float), rows["candidate"].to_numpy(dtype=float)

    def by_term(self, quantity: str) -> tuple[dict[str, float], dict[str, float]]:
        """The reference's and the candidate's numbers of a quantity that both sides have, by coefficient."""
        terms = self.compared(quantity)["term"].astype(str)
        left, right = (dict(zip(terms, values.tolist(), strict=True)) for values in self.arrays(quantity))
        return left, right

    def value(self, side: str, quantity: str, **keys: str) -> float:
        """One number of ``"reference"`` or ``"candidate"``; NaN where the side lacks it."""
        rows = self.rows(quantity)
        for key, label in keys.items():
            rows = rows[rows[key] == label]
        return float(rows[side].iloc[0]) if len(rows) else math.nan

    def pair(self, quantity: str) -> tuple[float, float]:
        """Reference's and candidate's value of a quantity that has one row."""
        return self.value("reference", quantity), self.value("candidate", quantity)

    def problem(self, quantity: str) -> str:
        """Why a side did not give a quantity."""
        problems = {"reference": self.left.problems, "candidate": self.right.problems}
        return "; ".join(f"{side}: {known[quantity]}" for side, known in problems.items() if quantity in known)

    def absent(self, *quantities: str) -> list[Row]:
        """Rows of what neither side gives, though a tier asks for it."""
        lost = [quantity for quantity in quantities if self.rows(quantity).empty]
        return [missing_row(named(quantity), False, False, why=self.problem(quantity)) for quantity in lost]

    def malformed(self, side: str) -> Mapping[str, str]:
        """Part -> what is wrong with it, of what a side handed over (:class:`validation.wellformed.CheckedFit`)."""
        found: Mapping[str, str] = getattr(self.fit(side), "malformed", {})
        return found

    def theta(self, side: str) -> pd.Series | None:
        """θ̂ of a side, in its own order: what its objective takes (``par``, where its covariances are structured)."""

        def read() -> pd.Series:
            theta = parameters_of(self.fit(side))
            return pd.Series(np.asarray(theta, dtype=float), index=[str(name) for name in theta.index])

        return quietly(read, None)

    def structures(self, side: str) -> list[Structure] | None:
        """The covariance structures of a side's terms; None where it does not say."""
        return quietly(lambda: structures_of(self.fit(side)), None)

    @cached_property
    def other_structures(self) -> bool:
        """Whether the sides say that they have other covariance structures: the same θ means something else then."""
        left, right = self.structures("reference"), self.structures("candidate")
        return left is not None and right is not None and left != right

    def devfun(self, side: str) -> Objective | None:
        """A side's objective as a function of θ in the *reference's* order; None where there is none."""
        return self._objectives[side]

    @cached_property
    def _objectives(self) -> dict[str, Objective | None]:
        return {side: self._objective(side) for side in ("reference", "candidate")}

    def _objective(self, side: str) -> Objective | None:
        fit, names, own = self.fit(side), self.theta("reference"), self.theta(side)
        if not callable(getattr(fit, "devfun", None)) or names is None or own is None:
            return None
        if (side == "candidate" and self.other_structures) or sorted(own.index) != sorted(names.index):
            return None
        order = names.index.get_indexer(own.index) if names.index.is_unique else np.arange(len(own))
        takes_rows = getattr(fit, "devfun_takes_rows", False) is True
        at_rows = (lambda rows: np.asarray(fit.devfun(rows[:, order]))) if takes_rows else None
        return Objective(lambda theta: float(fit.devfun(theta[order])), at_rows)

    @cached_property
    def reference_pieces(self) -> Pieces | None:
        """y, X, Z of the reference."""
        return quietly(lambda: pieces_of(self.reference), None)

    @cached_property
    def candidate_pieces(self) -> Pieces | None:
        """y, X, Z of the candidate."""
        return quietly(lambda: pieces_of(self.candidate), None)

    @cached_property
    def referee_holds(self) -> bool:
        """Whether the judge's own algebra reproduces the reference's objective."""
        pieces, theta, objective = self.reference_pieces, self.reference_theta, -2.0 * self.value("reference", "logLik")
        if pieces is None or theta is None:
            return False
        own = quietly(lambda: solve(pieces, theta, self.reml).objective, math.nan)  # X may be singular, ...
        return bool(abs(own - objective) <= Match.COMPUTED * max(abs(objective), pieces.y.size))

    def solve(self, theta: np.ndarray | None, reml: bool | None = None, freed: bool = False) -> Solution | None:
        """The judge's own solution at θ (the reference's order), where its algebra is known to hold.

        ``freed``: θ is of the model whose covariances are all free.
        """
        pieces = self.reference_pieces
        if pieces is None or theta is None or not self.referee_holds:
            return None
        return quietly(
            lambda: solve(pieces.freed if freed else pieces, theta, self.reml if reml is None else reml), None
        )

    @cached_property
    def at_reference(self) -> Solution | None:
        """The judge's own solution at the reference's θ̂."""
        return self.solve(self.reference_theta)

    @cached_property
    def at_candidate(self) -> Solution | None:
        """The judge's own solution at the candidate's θ̂ (:attr:`known_theta`)."""
        return self.solve(self.known_theta)

    def own_objective(self, theta: np.ndarray) -> float:
        """The judge's own objective; NaN where its algebra is not known to hold."""
        solution = self.solve(theta)
        return math.nan if solution is None else solution.objective

    @cached_property
    def reference_theta(self) -> np.ndarray | None:
        """The reference's θ̂."""
        theta = self.theta("reference")
        return None if theta is None else theta.to_numpy()

    @cached_property
    def candidate_theta(self) -> np.ndarray | None:
        """The candidate's θ̂ in the reference's order."""
        own, reference = self.theta("candidate"), self.theta("reference")
        if own is None or reference is None or self.other_structures or sorted(own.index) != sorted(reference.index):
            return None
        return own.reindex(reference.index).to_numpy() if own.index.is_unique else own.to_numpy()

    @cached_property
    def standard_errors(self) -> dict[str | None, float]:
        """The reference's standard error of each coefficient: as it says, or by its covariance matrix."""
        variances = [(r["term"], r["reference"]) for r in records(self.rows("vcov")) if r["term"] == r["term2"]]
        found = {term: math.sqrt(max(variance, 0.0)) for term, variance in variances}
        return found | {r["term"]: r["reference"] for r in records(self.rows("se"))}

    @cached_property
    def candidate_covariances(self) -> dict[tuple[str, str, str], float]:
        """Σ as the candidate gives it, by (term, effect, effect2), both ways round."""
        found: dict[tuple[str, str, str], float] = {}
        rows = self.compared("variance", "covariance")
        for group, term, term2, value in rows[["group", "term", "term2", "candidate"]].itertuples(index=False):
            if isinstance(term, str):
                second = term2 if isinstance(term2, str) else term
                found[group, term, second] = found[group, second, term] = float(value)
        return found

    @cached_property
    def known_theta(self) -> np.ndarray | None:
        """The candidate's θ̂: as it gives it, or as its variances and σ imply it; in the reference's order.

        For the diagnosis alone: what a side does not give is missing, whatever follows from the rest.
        """
        pieces, sigma, given = self.reference_pieces, self.value("candidate", "sigma"), self.candidate_covariances
        if self.candidate_theta is not None or pieces is None or self.right.table.empty or self.other_structures:
            return self.candidate_theta
        found: list[np.ndarray | None] = []
        for term in pieces.terms:
            absent = 0.0 if term.structure.name == "diag" else np.nan
            places = [(term.name, a, b) for a in term.effects for b in term.effects]
            entries = [given.get(place, np.nan if place[1] == place[2] else absent) for place in places]
            matrix = np.reshape(entries, (term.p, term.p))
            if not (np.isfinite(matrix).all() and sigma > 0 and (np.diag(matrix) >= 0).all()):
                return None
            found.append(term.structure.parameters(matrix / sigma**2))
        return None if any(part is None for part in found) else np.concatenate([[], *found])

    @cached_property
    def columns_differ(self) -> bool:
        """Whether the two sides have other columns of X, as far as X or the coefficients' names say."""
        left, right = self.reference_pieces, self.candidate_pieces
        if left is not None and right is not None:
            return left.coef_names != right.coef_names
        ours, theirs = (self.rows("fixef")[f"has_{side}"] for side in ("reference", "candidate"))
        return bool(theirs.any() and (ours != theirs).any())  # where it gives none, nothing is known of them

    @cached_property
    def another_model(self) -> bool:
        """Whether what the candidate gives contradicts that it fitted the same model to the same rows."""
        nobs, pieces = self.pair("nobs"), self.reference_pieces
        # θ of structured covariances has other elements than that of free ones, which a candidate may speak of
        silent = self.structures("reference") is not None and self.structures("candidate") is None
        silent = silent and pieces is not None and pieces.structured
        other_theta = self.theta("candidate") is not None and self.candidate_theta is None and not silent
        other_rows = math.isfinite(nobs[1]) and nobs[0] != nobs[1]
        return other_theta or other_rows or self.columns_differ or not self.rows("variance")["has_reference"].all()

    @property
    def same_model(self) -> bool:
        """Whether both sides have the same rows, columns and θ: otherwise numbers of one θ say nothing of the other."""
        return self.known_theta is not None and not self.another_model

    @cached_property
    def searchable(self) -> Pieces | None:
        """The reference's y, X and Z, where the judge's algebra holds of them and they are few enough for a search."""
        pieces = self.reference_pieces if self.referee_holds else None
        fits = pieces and pieces.Z.shape[1] <= _MOST_COLUMNS and pieces.y.size <= _MOST_ROWS and pieces.n_theta <= 10
        return pieces if fits else None

    @cached_property
    def other_optimum(self) -> Solution | None:
        """The reference's model at the optimum of the other criterion, by our own algebra; None where it is too large.

        Five detectors ask for it; it is searched for once.
        """
        pieces, theta, other = self.searchable, self.reference_theta, not self.reml
        if pieces is None or theta is None or self.another_model:
            return None
        # if the candidate was fitted by the other criterion, its θ̂ is that one's optimum
        found = [one for point in (theta, self.known_theta) if (one := self.solve(point, other)) is not None]
        nearest = min(found, key=lambda solution: solution.objective, default=None)
        return None if nearest is None else optimum_of(pieces, other, nearest.theta)

    @cached_property
    def improvement(self) -> float | None:
        """By how much the candidate's θ̂ has the lower objective (negative: higher); None where nobody can say.

        By the reference's own function where it can be called and has its digits at both θ̂, or the candidate's where
        tier 2 found it to be the same; otherwise by the judge's own algebra, where it gives the reference's
        log-likelihood at the reference's θ̂.
        """
        ours, theirs = self.reference_theta, self.candidate_theta
        if ours is None or theirs is None:
            return None
        for side in ("reference", "candidate"):
            devfun = self.devfun(side)
            trusted = not self.lost_at(theirs) if side == "reference" else self.objective_agrees is True
            if devfun is not None and trusted:
                # A recorded reference knows its objective at recorded points only; lme4 2.1-0 has none where the
                # correlation of cs() is 1.
                values = [quietly(partial(devfun, theta), math.nan) for theta in (ours, theirs)]
                if np.isfinite(values).all():
                    return values[0] - values[1]
        own = self.at_reference, self.solve(theirs)
        return None if own[0] is None or own[1] is None else own[0].objective - own[1].objective

    @cached_property
    def most_improvement(self) -> float:
        """By how much an objective can be lower than the reference's at any θ at all; inf where nothing bounds it."""
        if not self.referee_holds or self.reference_pieces is None:
            return math.inf
        return -2.0 * self.value("reference", "logLik") - objective_floor(self.reference_pieces, self.reml)

    @cached_property
    def variation(self) -> float | None:
        """By how much the judge's objective varies on the way from the one θ̂ to the other; None where unknown."""
        start, end, pieces = self.reference_theta, self.candidate_theta, self.reference_pieces
        if start is None or end is None or pieces is None:
            return None
        points = (pieces.between(start, end, share) for share in np.linspace(0.0, 1.0, 9))
        way = [self.solve(point, freed=True) for point in points]
        values = [solution.objective if solution is not None else np.nan for solution in way]
        return float(np.ptp(values)) if np.isfinite(values).all() else None

    @cached_property
    def noise(self) -> float:
        """Rounding error of the reference's objective: measured at its optimum, and at least what its size implies.

        The candidate's is never asked: a candidate must not earn tolerance by being imprecise.
        """
        logLik, nobs = self.value("reference", "logLik"), self.value("reference", "nobs")
        if not np.isfinite(logLik):
            return 0.0
        least = objective_noise(2.0 * logLik, int(nobs) if np.isfinite(nobs) else 0)
        measured = math.nan if self.reference_theta is None else self._measured_noise(self.reference_theta)
        return max(least, measured) if np.isfinite(measured) else least

    def _measured_noise(self, theta: np.ndarray) -> float:
        """Rounding error of the reference's objective about a θ; NaN where it can only be called at recorded points."""
        devfun = self.devfun("reference")
        return math.nan if devfun is None else quietly(lambda: measured_noise(devfun, theta), math.nan)

    def lost_at(self, theta: np.ndarray, difference: float = tolerances.OPTIMUM.limit) -> float:
        """Rounding error of the reference's objective at a θ, where it could make such a difference; otherwise 0.

        At a θ far out R's sums lose their digits (σ runs to 0, standard deviations to infinity): what it says there
        is no measure of a candidate.
        """
        measured = self._measured_noise(theta)
        return measured if difference <= tolerances.ROUNDINGS * measured else 0.0
