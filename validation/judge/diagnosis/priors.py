"""Which prior, or which scale, differs (row 9): by what both sides print, and by the difference of two log densities.

Let f_r and f_c be the log densities of both sides on rstanarm's unconstrained vector u. If both have the same
likelihood, f_c − f_r is a sum of differences of log priors, each a function of few coordinates: a normal's are γ and
γ², an exponential's exp(log a), a gamma's τ and log τ, a beta's log ρ and log(1 − ρ). Another scale (autoscale, a rate
taken for a scale, τ without σ) makes u mean another parameter on either side; then f_c(T u) − f_r(u) is such a sum for
the map T that undoes it. T is found by nonlinear least squares, the sum by linear least squares inside it (variable
projection); both are exact up to rounding if the fault is of this kind, and nothing is concluded if they are not.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import scipy.linalg
from scipy.optimize import least_squares, minimize

from validation import tolerances
from validation.contract import BayesianFit
from validation.judge.diagnosis import assume, close, is_single
from validation.judge.posterior_evidence import PosteriorEvidence
from validation.quantities import MAIN_EXCLUDED, groups_of, quietly, split_parameter
from validation.tolerances import Match, Multiple, Share, Strength
from validation.verdict import Cause, Finding


class Layout(NamedTuple):
    """rstanarm's unconstrained vector (STAN_LMER_MODEL.md, section 1)."""

    parts: dict[str, np.ndarray]  # positions of each part of the model; none where the model has no such part
    effects: list[int]  # of each term
    random: list[int]  # standardised random effects of each term, the padded level's among them


#: A number, or one at each point, for each term of a sum: by part, and by the term's words.
_Sum: TypeAlias = dict[tuple[str, str], float]
_Terms: TypeAlias = dict[tuple[str, str], np.ndarray]
_Function: TypeAlias = Callable[[np.ndarray], np.ndarray]


class Explanation(NamedTuple):
    """A difference of log densities, taken apart; only the parts and maps that are needed.

    Of the map T ``"coefficient k"``, ``"sigma"`` and ``"scale i"`` are factors (candidate's scale over the
    reference's), ``"tau-sigma"`` the power of σ that the candidate's τ lacks, ``"centre k"`` the shift of the intercept
    for a unit of coefficient k.
    """

    coefficients: _Sum
    maps: dict[str, float]

    def of(self, part: str) -> dict[str, float]:
        """The coefficients of one part of the sum, by term."""
        return {term: value for (own, term), value in self.coefficients.items() if own == part}


def explain(
    layout: Layout, points: np.ndarray, reference: np.ndarray, candidate: np.ndarray, density: _Function
) -> Explanation | None:
    """Take the difference of two log densities at some points apart; ``density`` gives the candidate's at others.

    None where nothing of this kind explains the difference to within gate 1's tolerance.
    """
    if len(points) < 20:
        return None
    # Gate 1's tolerance, and the rounding of a density that is itself large.
    unit = tolerances.DENSITY.limit * np.maximum(1.0, np.abs(reference - reference[0]))
    unit = np.maximum(unit, 1e-13 * np.abs(reference))
    terms = _terms(layout, points)
    if len(terms) + 1 > len(points) - 8:  # more than so many points tell apart
        terms = {key: values for key, values in terms.items() if key[0] != "centring"}
    if len(terms) + 1 > len(points) - 8:
        return None
    found = _linear(terms, candidate - reference, unit)
    return _mapped(layout, terms, points, reference, unit, density) if found is None else Explanation(found, {})


# ---------------------------------------------------------------------------------------------------- the sum


def _terms(layout: Layout, u: np.ndarray) -> _Terms:
    """Terms that differences of log priors are made of, part by part; the likeliest parts last."""
    found: _Terms = {}
    gamma, z, log_a, log_tau, log_zeta, z_T, z_b = (
        u[:, layout.parts[name]]
        for name in ("intercept", "coefficients", "sigma", "scale", "simplex", "directions", "random-effects")
    )
    a, tau, zeta, K = np.exp(log_a), np.exp(log_tau), np.exp(log_zeta), z.shape[1]
    if gamma.size and 0 < K <= 6:
        for k in range(K):
            found["centring", f"γ z{k + 1}"] = gamma[:, 0] * z[:, k]
            for j in range(k):
                found["centring", f"z{j + 1} z{k + 1}"] = z[:, j] * z[:, k]
    for i in range(log_tau.shape[1]):
        found["scale-sigma", f"τ{i + 1} a"] = tau[:, i] * a[:, 0]
    for k in range(K):
        found["coefficients-sigma", f"z{k + 1}² / a²"] = z[:, k] ** 2 / a[:, 0] ** 2
    found["directions", "Σ z_T²"] = np.sum(z_T**2, axis=1)
    for i, of_term in enumerate(np.split(z_b, np.cumsum(layout.random)[:-1], axis=1)):
        squares = np.sum(of_term**2, axis=1)
        found["random-effects", f"Σ z_b² (term {i + 1})"] = squares
        found["random-effects-sigma", f"a Σ z_b² (term {i + 1})"] = squares * a[:, 0]
    shares = [p for p in layout.effects if p > 1]
    for i, of_term in enumerate(np.split(zeta, np.cumsum(shares)[:-1], axis=1) if shares else ()):
        found["simplex", f"log Σζ (term {i + 1})"] = np.log(of_term.sum(axis=1))
    for part, terms in _OF_ONE_COORDINATE.items():
        for k, x in enumerate(u[:, layout.parts[part]].T):
            for name, rule in terms.items():
                found[part, name.format(k + 1)] = rule(x)
    return {key: values for key, values in found.items() if np.isfinite(values).all() and np.ptp(values) > 0}


#: Part -> the terms that each of its coordinates may add to the sum.
_OF_ONE_COORDINATE: dict[str, dict[str, _Function]] = {
    "simplex": {"log ζ{}": lambda x: x, "ζ{}": np.exp},
    "correlations": {"log ρ{}": lambda x: -np.logaddexp(0.0, -x), "log(1 − ρ{})": lambda x: -np.logaddexp(0.0, x)},
    "scale": {"log τ{}": lambda x: x, "τ{}": np.exp, "τ{}²": lambda x: np.exp(x) ** 2},
    "coefficients": {"z{}": lambda x: x, "z{}²": np.square},
    "sigma": {"log a": lambda x: x, "a": np.exp, "a²": lambda x: np.exp(x) ** 2},
    "intercept": {"γ": lambda x: x, "γ²": np.square},
}


def _design(terms: _Terms, unit: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(unit.size), *terms.values()]) / unit[:, None]


def _project(design: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and residual of a least-squares fit with columns of very different size."""
    size = np.linalg.norm(design, axis=0)
    coefficients = scipy.linalg.lstsq(design / size, target, cond=1e-13, lapack_driver="gelsy")[0] / size
    return coefficients, target - design @ coefficients


def _linear(terms: _Terms, gap: np.ndarray, unit: np.ndarray) -> _Sum | None:
    """The fewest parts whose sum is the gap, to within its units; None where no sum is."""

    def fit(chosen: _Terms) -> _Sum | None:
        coefficients, residual = _project(_design(chosen, unit), gap / unit)
        found = dict(zip(chosen, coefficients[1:].tolist(), strict=True))
        return found if float(np.max(np.abs(residual))) <= 1.0 else None

    best = fit(terms)
    for part in dict.fromkeys(part for part, _ in terms) if best is not None else ():  # the unlikeliest first
        fewer = {key: values for key, values in terms.items() if key[0] != part}
        if (found := fit(fewer)) is not None:  # what is not needed is left out
            terms, best = fewer, found
    return best


# ---------------------------------------------------------------------------------------------------- the map


def _mapped(
    layout: Layout, terms: _Terms, points: np.ndarray, reference: np.ndarray, unit: np.ndarray, density: _Function
) -> Explanation | None:
    gamma, z, sigma, scale = (layout.parts[name] for name in ("intercept", "coefficients", "sigma", "scale"))
    K, t = z.size, scale.size
    if K > 12 or not t:
        return None
    names = [*(f"coefficient {k + 1}" for k in range(K)), "sigma", *(f"scale {i + 1}" for i in range(t))]
    names += [f"centre {k + 1}" for k in range(K)]
    design = _design(terms, unit)
    # Residuals are compressed so that a far point does not decide where the search goes.
    typical = np.argsort(reference)[::-1][: max(12, len(points) // 3)]

    def gap(phi: np.ndarray, kappa: float) -> np.ndarray:
        moved, centre = points.copy(), phi[K + 1 + t :]
        if centre.size:
            moved[:, gamma] += (points[:, z] @ centre)[:, None]
        moved[:, sigma] += phi[K]
        moved[:, scale] += phi[K + 1 : K + 1 + t] + kappa * points[:, sigma]
        with np.errstate(all="ignore"):
            moved[:, z] *= np.exp(phi[:K])
            values = density(moved) - reference
        return np.where(np.isfinite(values), values, 1e12)

    steps = np.arange(-Multiple.SHIFTS, Multiple.SHIFTS + 0.5, 0.5)
    for kappa, centred in ((0.0, False), (1.0, False), (0.0, True), (-1.0, False)):
        if centred and not (gamma.size and K):
            continue

        def miss(phi: np.ndarray, kappa: float = kappa) -> float:
            found = gap(phi, kappa)[typical]
            return float(np.log1p(np.mean((found - np.median(found)) ** 2)))

        def residual(phi: np.ndarray, kappa: float = kappa) -> np.ndarray:
            return np.asarray(_project(design, gap(phi, kappa) / unit)[1])

        centre = _shift_of_centre(density, points[typical[0]], int(gamma[0]), z) if centred else np.empty(0)
        start = np.concatenate([np.zeros(K + 1 + t), centre])
        size = start.size
        if kappa:
            # τ in another unit of σ is also off by σ's own unit, which may be far from 1: begin with the best of a few.
            start = min((np.where(np.arange(size) > K, shift, 0.0) for shift in (0.0, *steps)), key=miss)
        # A rate taken for a scale moves σ by a multiple that no search from none finds, whatever the draws are.
        along = (np.where(np.arange(size) == K, start + shift, start) for shift in steps)
        for begin in (start, min(along, key=miss)):
            simplex = minimize(
                miss, begin, method="Nelder-Mead", options={"maxfev": 120 * size, "xatol": 1e-3, "fatol": 1e-4}
            )
            begin = simplex.x if simplex.fun < miss(begin) else begin
            try:
                # Nelder-Mead lands near enough; the scale of the residuals is gate 1's tolerance.
                found = least_squares(residual, begin, method="lm", xtol=1e-15, ftol=1e-15, max_nfev=60 * (size + 1))
            except (ValueError, np.linalg.LinAlgError):
                continue
            if np.max(np.abs(found.fun)) <= Multiple.GATE:
                break
        else:
            continue
        linear = _linear(terms, gap(found.x, kappa), Multiple.GATE * unit)
        if linear is None:
            continue
        maps = {
            name: value if name.startswith("centre") else math.exp(-value)
            for name, value in zip(names, found.x.tolist(), strict=False)
            if abs(value) > Match.SUMMED
        }
        return Explanation(linear, maps | ({"tau-sigma": kappa} if kappa else {}))
    return None


def _shift_of_centre(density: _Function, at: np.ndarray, gamma: int, coefficients: np.ndarray) -> np.ndarray:
    """Shift of the intercept for a unit of each coefficient that makes a normal likelihood's cross-derivatives 0.

    They are 0 at centred predictors. A shift of many posterior sds is no start that a search from 0 finds.
    """

    def cross(k: int) -> float:
        """Second difference of the log density; it has no error of its own where the density is quadratic."""
        corners = np.tile(at, (4, 1))
        corners[:, gamma] += (1.0, 1.0, -1.0, -1.0)
        corners[:, k] += (1.0, -1.0, 1.0, -1.0)
        return float(density(corners) @ (1.0, -1.0, -1.0, 1.0))

    ends = np.tile(at, (3, 1))
    ends[:, gamma] += (2.0, 0.0, -2.0)
    curvature = float(density(ends) @ (1.0, -2.0, 1.0))
    with np.errstate(all="ignore"):
        shifts = -np.array([cross(int(k)) for k in coefficients]) / curvature
    return np.where(np.isfinite(shifts), shifts, 0.0)


def layout_of(names: list[str], size: int, scales: bool = False) -> Layout | None:
    """The parts of rstanarm's unconstrained vector, from the columns of the draws; None where they are not all of it.

    Where the coefficients' prior has ``scales`` (or factors) of its own, they are what the names do not account for.
    """
    fixed = [name for name in names if not name.startswith(("b[", "Sigma[")) and name not in ("sigma", *MAIN_EXCLUDED)]
    groups = groups_of(names)
    counts = Counter(split_parameter(name, groups)[0] for name in names if name.startswith("Sigma["))
    effects = [round((math.sqrt(8 * count + 1) - 1) / 2) for count in counts.values()]
    directions = sum((p - 1) * max(p - 2, 0) for p in effects)
    labels = [name for name in names if name.startswith("b[")]
    random, intercept = len(labels), "(Intercept)" in fixed
    lengths = {
        "intercept": int(intercept),
        "coefficients": len(fixed) - int(intercept),
        "coefficient-scales": 0,
        "random-effects": random,
        "directions": directions,
        "correlations": sum(effects) - len(effects),
        "simplex": sum(p for p in effects if p > 1),
        "scale": len(effects),
        "sigma": 1,
    }
    over = size - sum(lengths.values())
    if over < 0 or (over and not scales):
        return None
    lengths["coefficient-scales"] = over
    parts = dict(zip(lengths, np.split(np.arange(size), np.cumsum([*lengths.values()])[:-1]), strict=True))
    # Terms follow each other; a padded _NEW_ level ends each.
    padded = [i + 1 for i, label in enumerate(labels) if "_NEW_" in label]
    of_terms = [padded[i - 1] if i <= len(padded) else random for i in np.cumsum(effects)]
    per_term = np.diff([0, *of_terms]).tolist()
    return Layout(parts, effects, per_term if len(effects) > 1 and sum(per_term) == random else [random])


_PRIOR_REMEDY = {
    "intercept": (
        "rstanarm 2.21 puts Normal(mean(y), 2.5 sd(y)) on the intercept at centred predictors; before July 2020 it was "
        "Normal(0, 10 sd(y))."
    ),
    "coefficients": (
        "rstanarm's default for coefficient k is Normal(0, 2.5 sd(y)/sd(x_k)) with ddof = 1 for every column, 0/1 "
        "columns too; it does not scale with σ."
    ),
    "sigma": "rstanarm's default for σ is Exponential with rate 1/sd(y) (ddof = 1): rate, not scale.",
    "scale": "decov: τ ~ Gamma(shape, 1) and sd = scale · τ · σ; the random effects' prior scales with σ.",
    "correlations": "decov's regularization η is an LKJ shape: ρ ~ Beta(η + (p − 2)/2, η + (p − 2)/2) for two effects.",
    "simplex": "decov's concentration δ: shares of variance ~ Dirichlet(δ).",
    "random-effects": ("The standardised random effects are Normal(0, 1), one padded level for each term among them."),
    "directions": (
        "For three or more effects the directions are normal vectors, and the previous row's sd multiplies them."
    ),
}


#: Parts of the covariance matrix's prior, and their words.
_OF_COVARIANCE = {
    "scale": "decov's scale or shape",
    "correlations": "decov's regularization (the LKJ shape)",
    "simplex": "decov's concentration",
    "directions": "the directions of correlations",
}


def priors(evidence: PosteriorEvidence) -> Cause | None:
    """Row 9: which coordinates the densities disagree about, and with them which prior or scale."""
    assume(len(evidence.densities) >= 3 and len(evidence.points))
    finite = np.isfinite(evidence.densities.to_numpy()).all(axis=1)
    assume(finite.any())
    left, right = evidence.densities.to_numpy()[finite].T
    points, labels = evidence.points[finite], list(itertools.compress(evidence.point_labels, finite))
    ours, theirs = left - left[0], right - right[0]
    gap, allowed = theirs - ours, tolerances.DENSITY.limit * np.maximum(1.0, np.abs(ours))
    assume((np.abs(gap) > allowed).any())
    assume(not has_single_density(evidence.densities))  # otherwise it is rounding: single_precision names it
    factor = float(ours @ theirs / (ours @ ours))
    if (np.abs(theirs - factor * ours) <= allowed).all():
        return Finding(9, "density-scaled", Strength.LISTED).told(
            f"The candidate's log density is {factor:.6g} times the reference's",
            f"so are its differences at all {len(ours)} points, to rounding (1/log 10 is {1 / math.log(10):.6g})",
            "Return the natural logarithm of the density, with its sign, and the likelihood to the power of 1.",
        )
    names = list(evidence.summaries.get("reference", evidence.summaries.get("candidate", pd.DataFrame())).index)
    layout = layout_of(names, points.shape[1], has_scales(evidence.reference))
    if layout is not None:

        def density(rows: np.ndarray) -> np.ndarray:
            # a recorded density knows its recorded points only
            values = quietly(lambda: np.asarray(evidence.candidate.log_prob(rows), dtype=float), np.empty(0))
            return values if values.shape == (len(rows),) else np.full(len(rows), np.nan)

        explained = explain(layout, points, left, right, density)
        if explained is not None:
            return _jacobian(explained, layout) or _explained_cause(explained, evidence)
    moved: dict[int, float] = {}  # the largest gap when a coordinate alone is moved
    for label, off in zip(labels, np.abs(gap).tolist(), strict=True):
        if match := re.fullmatch(r"coordinate (\d+) (up|down)", label):
            k = int(match[1]) - 1
            moved[k] = max(moved.get(k, 0.0), off)
    return _unexplained(layout if moved else None, moved, float(np.max(np.abs(gap))), len(gap))


def has_single_density(densities: pd.DataFrame) -> bool:
    """Whether the candidate's log densities, and not the reference's, are 32-bit numbers."""
    finite = densities[np.isfinite(densities).all(axis=1)]
    ours, theirs = (is_single(finite[side].to_numpy()) for side in ("reference", "candidate"))
    return len(finite) >= 3 and float(theirs.mean()) > Share.NEARLY_ALL and float(ours.mean()) < Share.HALF


def _jacobian(found: Explanation, layout: Layout) -> Cause | None:
    """The change of variables b = τ σ z: as many log τ, and log σ, as there are levels, or effects of theirs."""
    size = max(map(abs, found.coefficients.values()), default=0.0)
    rest = {term: value for (_, term), value in found.coefficients.items() if abs(value) > Match.SUMMED * size}
    log_a, taus = rest.pop("log a", 0.0), [rest.pop(f"log τ{i + 1}", 0.0) for i in range(len(layout.effects))]
    for tau, p, random in zip(taus, layout.effects, layout.random, strict=False):
        counts = [k * (random // p - padded) for k in range(1, p + 1) for padded in (0, 1)]
        if not any(close(abs(tau), count, Match.RULE) for count in counts):
            return None
    if rest or found.maps or not close(log_a, sum(taus), Match.RULE):
        return None
    shown = "; ".join(f"{tau:+.6g} log τ{i + 1}" for i, tau in enumerate(taus))
    return Finding(9, "jacobian-random-effects", Strength.LISTED).told(
        "The Jacobian of the random effects b = τ σ z is counted otherwise",
        f"the log densities differ by exactly this, to rounding, at all points: {shown}; {log_a:+.6g} log a, as often "
        "as there are levels, with the padded one or without it",
        "A density of b at z has log(τ σ) besides for each effect: centred and standardised effects differ by it.",
    )


def _explained_cause(found: Explanation, evidence: PosteriorEvidence) -> Cause:
    """Name a difference of log densities that was taken apart."""
    parts, maps, of_sigma = {part for part, _ in found.coefficients}, found.maps, found.of("sigma")
    nobs = float(evidence.candidate.nobs()) if callable(getattr(evidence.candidate, "nobs", None)) else math.nan
    ddof = math.sqrt((nobs - 1) / nobs) if nobs > 1 else math.nan
    coefficients = {f"the prior scale of {key}": value for key, value in maps.items() if key.startswith("coef")}
    taus = {f"the τ {key}": value for key, value in maps.items() if key.startswith("scale")}
    scaled = coefficients | ({"the scale of σ's prior": maps["sigma"]} if "sigma" in maps else {})
    shown = [f"{words} is {value:.8g} times the reference's" for words, value in (scaled | taus).items()]
    for part in dict.fromkeys(part for part, _ in found.coefficients):
        size = max(map(abs, found.of(part).values()))
        terms = (f"{x:+.6g} {term}" for term, x in found.of(part).items() if abs(x) > Match.SUMMED * size)
        shown.append(" ".join(terms))
    text = "the log densities differ by exactly this, to rounding, at all points: " + "; ".join(filter(None, shown))
    centred = any(name.startswith("centre") for name in maps)
    present = {part.removesuffix("-sigma") for part in parts - {"scale-sigma"}} - ({"intercept"} if centred else set())
    # A prior that scales with σ has −K log σ in its normalising constant: no prior of σ.
    if "coefficients-sigma" in parts and max(of_sigma, key=lambda term: abs(of_sigma[term]), default="") == "log a":
        present -= {"sigma"}
    moved = {"coefficients": coefficients, "sigma": "sigma" in maps, "scale": taus}
    present |= {key for key, there in moved.items() if there}
    involved = [key for key in _PRIOR_REMEDY if key in present]
    remedy = " ".join(_PRIOR_REMEDY[key] for key in involved) or "Compare prior_summary() of both sides."
    if "tau-sigma" in maps:
        name, remedy = "prior-random-effects", _PRIOR_REMEDY["scale"]
        title = "The random effects' prior does not scale with σ: τ stands in place of τ times σ"
        text += "; the candidate's random effects have the sd τ where the reference's have τ σ"
    elif centred or "centring" in parts:
        name, title = "prior-not-centred", "The intercept's prior stands at uncentred predictors"
        remedy = (
            "rstanarm centres the predictors: its intercept prior is for the expected response at average predictors, "
            "and the reported intercept is computed back."
        )
    elif scaled and not taus and all(abs(value - ddof) < Match.SUMMED for value in scaled.values()):
        name, title = "prior-ddof", "The default scales use sd with ddof = 0 (divided by N in place of N − 1)"
        remedy = "R's sd() divides by N − 1: take ddof = 1 (numpy's and scipy's default is 0)."
    elif involved == ["intercept"]:
        name, title = "prior-intercept", "Another prior on the intercept"
        square, linear = (found.of("intercept").get(term, 0.0) for term in ("γ²", "γ"))
        text += (
            f"; the candidate's prior precision is the reference's {-2 * square:+.6g}, precision times mean "
            f"{linear:+.6g}"
        )
    elif involved == ["sigma"]:
        name, title = "prior-sigma", "Another prior on σ"
        power, rate, square = (of_sigma.get(term, 0.0) for term in ("log a", "a", "a²"))
        if "sigma" in maps:
            inverse = abs(math.log(maps["sigma"]) + 2 * math.log(_response_sd(evidence))) < Match.RULE
            title += ": a rate was taken for a scale" if inverse else ": on another scale"
        elif abs(square) > Match.SUMMED:
            title += ": of another family (on the variance in place of the sd?)"
        elif abs(abs(power) - 1) < Match.RULE and abs(rate) < Match.RULE:
            title += ": the Jacobian of log σ is counted otherwise, or the likelihood's N is another by 1"
        elif abs(power) > (abs(rate) + abs(square)) / Match.RULE:
            name, title = "power-of-sigma", f"The density has σ to the power of {power:+.6g} besides"
            text += f" (N is {nobs:.0f}): the likelihood's normaliser has another N, or a power of σ is its prior"
            remedy = "A normal likelihood has −N log σ, N the number of rows; rstanarm adds no power of σ."
    elif involved == ["coefficients"]:
        name, title = "prior-coefficients", "Another prior (or autoscale) on the coefficients"
        if "coefficients-sigma" in parts:
            title = "The coefficients' prior depends on σ"
    elif set(involved) <= _OF_COVARIANCE.keys():
        name = "prior-covariance"
        title = "Another prior of the covariance matrix: " + ", ".join(_OF_COVARIANCE[key] for key in involved)
    elif {"random-effects"} <= set(involved) <= {"random-effects", "scale", "sigma"}:
        name, title = "prior-random-effects", "The random effects are on another scale: τ times σ?"
    else:
        name, title = "prior-several", "Several priors differ: " + ", ".join(involved)
    return Finding(9, name, Strength.LISTED).told(title, text, remedy)


def _response_sd(evidence: PosteriorEvidence) -> float:
    """The sd of the response; not a number where draws alone are given, which have none."""
    for fit in (evidence.reference, evidence.candidate):
        observed = quietly(lambda: list(fit.posterior["observed_data"].dataset.data_vars.values()), [])  # noqa: B023
        if observed:
            return float(np.asarray(observed[0], dtype=float).std(ddof=1))
    return math.nan


#: Parts of the model, and their words.
_WORDS = {
    "intercept": "the intercept (at centred predictors)",
    "coefficients": "the coefficients",
    "random-effects": "the standardised random effects",
    "directions": "the directions of correlations (three or more effects)",
    "correlations": "the correlations (decov's regularization)",
    "simplex": "the shares of variance (decov's concentration)",
    "scale": "the scale of the random effects (decov's shape and scale)",
    "sigma": "the residual sd",
}

#: Cause and title of a part whose prior is of another family.
_OTHER_FAMILY = {
    "intercept": ("prior-intercept", "Another prior on the intercept, of another family"),
    "sigma": ("prior-sigma", "Another prior on σ, of another family"),
    "coefficients": ("prior-coefficients", "Another prior on the coefficients, of another family"),
    "random-effects": ("prior-random-effects", "The standardised random effects are not normal"),
}


def _unexplained(layout: Layout | None, moved: Mapping[int, float], largest: float, points: int) -> Cause:
    """A difference that nothing known explains: where it shows, one coordinate at a time, is all that is known.

    The layout is None where the points do not tell.
    """
    if layout is None:
        return Finding(9, "density", Strength.LOOSE_MATCH).told(
            "The log densities differ: another prior, scale or parametrisation",
            f"the largest difference of log-density differences is {largest:.3g} at {points} points",
            "Compare prior_summary() of both sides, prior by prior; against live R the coordinates that matter are "
            "named.",
        )
    sensitive = {k: size for k, size in moved.items() if size > Match.SUMMED}
    involved = [name for name, places in layout.parts.items() if not sensitive.keys().isdisjoint(places.tolist())]
    if not involved:
        return Finding(9, "density", Strength.PARTIAL).told(
            "The log densities differ, though not along any single coordinate",
            f"the largest difference is {largest:.3g}",
            "The parts of the model interact otherwise than in rstanarm: look at what multiplies what.",
        )
    if "coefficient-scales" in involved:
        # a coefficient that is scaled otherwise moves the likelihood, and with it the gap along every coordinate
        return Finding(9, "prior-coefficients", Strength.SAID_OF_COUNTS).told(
            "Another prior of the coefficients' scales",
            f"the log densities differ (largest {largest:.3g}) where the scales of the coefficients' prior move",
            "laplace, lasso, hs, hs_plus and product_normal have scales (or factors) of their own after z_beta; their "
            "hyperparameters must be the same on both sides (df, global_df, global_scale, slab_df, slab_scale).",
        )
    if len(involved) > 1:
        return Finding(9, "density", Strength.PLACE).told(
            "The log densities differ in " + ", ".join(_WORDS[name] for name in involved),
            f"moving one coordinate at a time changes the log-density difference (largest {largest:.3g}) for these "
            "parts; no other scale or prior of a known kind explains it",
            "Compare prior_summary() of both sides, then the likelihood: with prior_PD = TRUE the priors can be "
            "compared alone.",
        )
    (part,) = involved
    of_covariance = "prior-covariance", f"Another prior of the covariance matrix: {_WORDS[part]}"
    name, title = _OTHER_FAMILY.get(part, of_covariance)
    return Finding(9, name, Strength.CERTAIN).told(
        title,
        f"moving one coordinate at a time changes the log-density difference only for {_WORDS[part]}, by up to "
        f"{max(sensitive.values()):.3g}; not as a normal, exponential, gamma or beta prior with other parameters would",
        _PRIOR_REMEDY[part],
    )


# ---------------------------------------------------------------------------------------------------- what is printed


def read_prior_summary(text: str) -> dict[str, str]:
    """What each block of ``print(prior_summary(m))`` says, the adjusted prior where there is one.

    ``"Coefficients"`` -> ``"normal(location = 0, scale = 83)"``, ...
    """
    found, title = dict[str, str](), ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("~"):
            found[title] = stripped[1:].strip()  # the adjusted one comes last
        elif stripped and not stripped.endswith(":") and not stripped.startswith("---"):
            title = stripped
    return found


def _family(prior: str) -> str:
    return prior.partition("(")[0]


def _printed(fit: BayesianFit) -> dict[str, str]:
    """The priors that a fit prints; empty where it prints none, as a third party's need not."""
    return quietly(lambda: read_prior_summary(str(fit.prior_summary())), {})


def families(fit: BayesianFit) -> set[str]:
    """The families of the priors that a fit prints."""
    return {_family(prior) for prior in _printed(fit).values()}


def has_scales(fit: BayesianFit) -> bool:
    """Whether a fit prints a coefficient prior that has scales (or factors) of its own in the unconstrained vector."""
    return not {"laplace", "lasso", "hs", "hs_plus", "product_normal"}.isdisjoint(families(fit))


def printed_priors(evidence: PosteriorEvidence) -> Cause | None:
    """Row 9: the priors that the two sides print are not the same."""
    left, right = _printed(evidence.reference), _printed(evidence.candidate)
    titles = [title for title in left if title in right and left[title] != right[title]]
    # R's "(in Q-space)" is part of the title: another title of the same block is QR on one side only
    plain = {title.removesuffix(" (in Q-space)") for title in right}
    moved = [title for title in left if title not in right and title.removesuffix(" (in Q-space)") in plain]
    assume(titles or moved)
    other_family = any(_family(left[title]) != _family(right[title]) for title in titles)
    differing = [f"{title}: {left[title]} in the reference, {right[title]} in the candidate" for title in titles]
    differing += [f"{title} in the reference, not so in the candidate" for title in moved]
    return Finding(9, "prior-printed", Strength.ANOTHER_MODEL).told(
        "Another family of priors"
        if other_family
        else "Another QR setting"
        if moved
        else "The priors have other figures",
        "; ".join(differing),
        "Give both sides the same prior functions with the same arguments; autoscale=True must be asked for.",
    )
