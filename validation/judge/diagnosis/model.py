"""Whether two fits are of one model, and what follows from a θ: what the detectors of likelihood fits share."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import scipy.optimize

from validation.algebra import Pieces, Solution, solve
from validation.covariances import FREE
from validation.judge.diagnosis import close
from validation.judge.evidence import Evidence
from validation.judge.implied import implied_numbers
from validation.quantities import key_of, quietly, records
from validation.tolerances import SINGULAR, Match

#: A random-effects term: its grouping factor, its number of levels, its effects.
TermOf: TypeAlias = tuple[str, int, tuple[str, ...]]

#: Largest problem for which another optimum is computed: the judge's algebra is short, not quick.
_MOST_COLUMNS, _MOST_ROWS = 1500, 50_000
_SEARCH_ENDS = 1e-14  # on a change of the objective, as a share of it
_INSIDE = (0.02, 0.1, 0.4)  # distances from a bound at which a search that ended there is tried again


def same_model(evidence: Evidence) -> bool:
    """Whether both sides have the same rows, columns and θ: otherwise numbers of one θ mean nothing for the other."""
    return evidence.known_theta is not None and not another_model(evidence)


def another_model(evidence: Evidence) -> bool:
    """Whether what the candidate gives contradicts that it fitted the same model to the same rows."""
    nobs, pieces = evidence.pair("nobs"), evidence.reference_pieces
    # θ of structured covariances has other elements than that of free ones, which a candidate may speak of
    silent = evidence.structures("reference") is not None and evidence.structures("candidate") is None
    silent = silent and pieces is not None and pieces.structured
    other_theta = evidence.theta("candidate") is not None and evidence.candidate_theta is None and not silent
    other_rows = math.isfinite(nobs[1]) and nobs[0] != nobs[1]
    other_effects = not evidence.rows("variance")["has_reference"].all()
    return other_rows or other_theta or columns_differ(evidence) or other_effects


def columns_differ(evidence: Evidence) -> bool:
    """Whether the two sides have other columns of X, as far as X or the coefficients' names say."""
    left, right = evidence.reference_pieces, evidence.candidate_pieces
    if left is None or right is None:
        names = evidence.rows("fixef")  # where it gives none, nothing is known of them
        differ = names["has_reference"] != names["has_candidate"]
        return bool(names["has_candidate"].any() and differ.any())
    return left.coef_names != right.coef_names


def searchable(evidence: Evidence) -> Pieces | None:
    """The reference's y, X and Z, where the judge's algebra holds of them and they are few enough for a search."""
    pieces = evidence.reference_pieces if evidence.referee_holds else None
    fits = pieces and pieces.Z.shape[1] <= _MOST_COLUMNS and pieces.y.size <= _MOST_ROWS and pieces.n_theta <= 10
    return pieces if fits else None


def least_objective(at: Callable[[np.ndarray], Solution | None], start: np.ndarray, pieces: Pieces) -> Solution | None:
    """The solution at the least objective, from a start that has one.

    The objective is even in a standard deviation: at 0 its slope vanishes whether 0 is its minimum or not. So where a
    search ends on a bound, points inside are tried, and the search goes on from one that is lower.
    """
    unit = pieces.theta_scale

    def objective(point: np.ndarray) -> float:
        found = at(point * unit)
        return found.objective if found is not None else math.inf

    bounds = [(low / one, high / one) for (low, high), one in zip(pieces.bounds, unit, strict=True)]
    point = np.asarray(start, dtype=float) / unit
    for _ in range(len(point) + 1):
        point = scipy.optimize.minimize(
            objective, point, method="L-BFGS-B", bounds=bounds, options={"ftol": _SEARCH_ENDS}
        ).x
        beside = [
            np.where(np.arange(len(point)) == i, bound + sign * step, point)
            for i, pair in enumerate(bounds)
            for bound, sign in zip(pair, (1.0, -1.0), strict=True)
            if abs(point[i] - bound) <= SINGULAR
            for step in _INSIDE
        ]
        lower = min(beside, key=objective, default=point)
        if not objective(lower) < objective(point):
            break
        point = lower
    return at(point * unit)


def optimum_of(pieces: Pieces, reml: bool) -> Solution | None:
    """A model at its own optimum, by the judge's algebra, from lme4's start."""
    start = np.where([low == 0.0 for low, _ in pieces.bounds], pieces.theta_scale, 0.0)
    return least_objective(lambda point: solve(pieces, point, reml), start, pieces)


def levels_of(evidence: Evidence, side: str) -> dict[str, list[str]]:
    """The levels of a side's grouping factors; of its BLUPs where it does not give its factors."""
    fit = evidence.fit(side)

    def of_factors() -> dict[str, list[str]]:
        flist = fit.getME("flist")
        return {str(name): [str(level) for level in flist[name].cat.categories] for name in flist.columns}

    def of_modes() -> dict[str, list[str]]:
        return {str(group): [str(level) for level in frame.index] for group, frame in fit.ranef().items()}

    return quietly(of_factors, None) or quietly(of_modes, {})


def implied_by(evidence: Evidence) -> bool:
    """Whether the candidate's numbers follow from its θ by the judge's own algebra, from the reference's y, X and Z."""
    solution = evidence.at_candidate
    if solution is None:
        return False
    expected = implied_numbers(solution)
    checked = 0
    for record in records(evidence.compared("fixef", "se", "sigma", "variance", "sd", "ranef")):
        value = expected.get(key_of(record))
        if value is None:
            continue
        checked += 1
        if (
            not close(record["candidate"], value, Match.ESTIMATED)
            and abs(record["candidate"] - value) > Match.SUMMED * solution.sigma
        ):
            return False
    return checked > 0


def count_of_theta(evidence: Evidence, side: str, terms: Sequence[TermOf]) -> int:
    """Number of covariance parameters of a side's terms; of free covariances, where it does not say more."""
    structures = evidence.structures(side) or [FREE] * len(terms)
    return sum(structure.n_par(len(term[2])) for structure, term in zip(structures, terms, strict=False))


def terms_of(evidence: Evidence, side: str) -> list[TermOf]:
    """(grouping factor, levels, effects) of each term; from VarCorr where a fit has no pieces."""
    pieces: Pieces | None = evidence.reference_pieces if side == "reference" else evidence.candidate_pieces
    if pieces is not None:
        return [(term.group, term.J, term.effects) for term in pieces.terms]
    fit = evidence.fit(side)
    components = quietly(fit.VarCorr, None) if hasattr(fit, "VarCorr") else None
    if components is None:
        return []
    # without ngrps, levels are taken to be the other side's: what is not said does not differ
    other = evidence.reference_pieces if side == "candidate" else evidence.candidate_pieces
    known = {term.group: term.J for term in other.terms} if other is not None else {}
    ngrps = quietly(lambda: dict(fit.ngrps()), known)
    terms: dict[str, list[str]] = {}
    for row in components.itertuples(index=False):
        if str(row.grp) != "Residual" and (not isinstance(row.var2, str)):
            terms.setdefault(str(row.grp), []).append(str(row.var1))
    # R calls a factor's second term g.1.
    factors = {name: name if name in ngrps else name.rpartition(".")[0] for name in terms}
    return [(factors[name], int(ngrps.get(factors[name], 0)), tuple(effects)) for name, effects in terms.items()]
