"""What the difference of two log densities is made of: which prior, or which scale, differs (row 9).

Let f_r and f_c be the log densities of both sides on rstanarm's unconstrained vector u. If both have the same
likelihood, f_c − f_r is a sum of differences of log priors, each a function of few coordinates: a normal's are γ and
γ², an exponential's exp(log a), a gamma's τ and log τ, a beta's log ρ and log(1 − ρ). Another scale (autoscale, a rate
taken for a scale, τ without σ) makes u mean another parameter on either side; then f_c(T u) − f_r(u) is such a sum for
the map T that undoes it. T is found by nonlinear least squares, the sum by linear least squares inside it (variable
projection); both are exact up to rounding if the fault is of this kind, and nothing is concluded if they are not.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares, minimize

from validation import tolerances
from validation.quantities import MAIN_EXCLUDED, groups_of, split_parameter
from validation.tolerances import Match, Multiple


@dataclass(frozen=True)
class Block:
    """Coordinates of the unconstrained vector that belong to one part of the model (STAN_LMER_MODEL.md, section 1)."""

    name: str
    words: str
    start: int
    stop: int


@dataclass(frozen=True)
class Layout:
    """rstanarm's unconstrained vector."""

    blocks: tuple[Block, ...]
    effects: list[int]  # of each term
    random: list[int]  # standardised random effects of each term, the padded level's among them

    def of(self, name: str) -> np.ndarray:
        """Positions of a part; none where the model has no such part."""
        return np.concatenate([np.arange(b.start, b.stop) for b in self.blocks if b.name == name] or [np.empty(0, int)])


@dataclass(frozen=True)
class Explanation:
    """A difference of log densities, taken apart; only the parts and maps that are needed.

    Of the map T ``"coefficient k"``, ``"sigma"`` and ``"scale i"`` are factors (candidate's scale over the
    reference's), ``"tau-sigma"`` the power of σ that the candidate's τ lacks, ``"centre k"`` the shift of the intercept
    for a unit of coefficient k.
    """

    columns: dict[str, dict[str, float]]  # part -> term of the sum -> its coefficient
    maps: dict[str, float]


def explain(
    layout: Layout,
    points: np.ndarray,
    reference: np.ndarray,
    candidate: np.ndarray,
    density: Callable[[np.ndarray], np.ndarray],
) -> Explanation | None:
    """Take the difference of two log densities at some points apart; ``density`` gives the candidate's at others.

    None where nothing of this kind explains the difference to within gate 1's tolerance.
    """
    finite = np.isfinite(reference) & np.isfinite(candidate)
    points, reference, candidate = points[finite], reference[finite], candidate[finite]
    if len(points) < 20:
        return None
    # Gate 1's tolerance, and the rounding of a density that is itself large.
    unit = tolerances.DENSITY.limit * np.maximum(1.0, np.abs(reference - reference[0]))
    unit = np.maximum(unit, 1e-13 * np.abs(reference))
    parts = _parts(layout, points)
    found = _linear(parts, candidate - reference, unit)
    return _mapped(layout, parts, points, reference, unit, density) if found is None else Explanation(found, {})


# ---------------------------------------------------------------------------------------------------- the sum


def _parts(layout: Layout, u: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Terms that differences of log priors are made of, part by part; the likeliest parts last."""
    parts: dict[str, dict[str, np.ndarray]] = {}

    def put(part: str, name: str, values: np.ndarray) -> None:
        if np.isfinite(values).all() and np.ptp(values) > 0:
            parts.setdefault(part, {})[name] = values

    gamma, z, log_a, log_tau, log_zeta, z_T, z_b = (
        u[:, layout.of(name)]
        for name in ("intercept", "coefficients", "sigma", "scale", "simplex", "directions", "random-effects")
    )
    a, tau, zeta, K = np.exp(log_a), np.exp(log_tau), np.exp(log_zeta), z.shape[1]
    if gamma.size and 0 < K <= 6:
        for k in range(K):
            put("centring", f"γ z{k + 1}", gamma[:, 0] * z[:, k])
            for j in range(k):
                put("centring", f"z{j + 1} z{k + 1}", z[:, j] * z[:, k])
    for i in range(log_tau.shape[1]):
        put("scale-sigma", f"τ{i + 1} a", tau[:, i] * a[:, 0])
    for k in range(K):
        put("coefficients-sigma", f"z{k + 1}² / a²", z[:, k] ** 2 / a[:, 0] ** 2)
    put("directions", "Σ z_T²", np.sum(z_T**2, axis=1))
    for i, of_term in enumerate(np.split(z_b, np.cumsum(layout.random)[:-1], axis=1)):
        squares = np.sum(of_term**2, axis=1)
        put("random-effects", f"Σ z_b² (term {i + 1})", squares)
        put("random-effects-sigma", f"a Σ z_b² (term {i + 1})", squares * a[:, 0])
    shares = [p for p in layout.effects if p > 1]
    for i, of_term in enumerate(np.split(zeta, np.cumsum(shares)[:-1], axis=1) if shares else ()):
        put("simplex", f"log Σζ (term {i + 1})", np.log(of_term.sum(axis=1)))
    for part, terms in _OF_ONE_COORDINATE.items():
        for k, x in enumerate(u[:, layout.of(part)].T):
            for name, rule in terms.items():
                put(part, name.format(k + 1), rule(x))
    return parts


#: Part -> the terms that each of its coordinates may add to the sum.
_OF_ONE_COORDINATE: dict[str, dict[str, Callable[[np.ndarray], np.ndarray]]] = {
    "simplex": {"log ζ{}": lambda x: x, "ζ{}": np.exp},
    "correlations": {
        "log ρ{}": lambda x: -np.logaddexp(0.0, -x),
        "log(1 − ρ{})": lambda x: -np.logaddexp(0.0, x),
    },
    "scale": {"log τ{}": lambda x: x, "τ{}": np.exp, "τ{}²": lambda x: np.exp(x) ** 2},
    "coefficients": {"z{}": lambda x: x, "z{}²": np.square},
    "sigma": {"log a": lambda x: x, "a": np.exp, "a²": lambda x: np.exp(x) ** 2},
    "intercept": {"γ": lambda x: x, "γ²": np.square},
}


def _design(parts: dict[str, dict[str, np.ndarray]], unit: np.ndarray) -> tuple[np.ndarray, list[tuple[str, str]]]:
    names = [(part, name) for part, terms in parts.items() for name in terms]
    columns = [np.ones(unit.size)] + [parts[part][name] for part, name in names]
    return np.column_stack(columns) / unit[:, None], names


def _project(design: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and residual of a least-squares fit with columns of very different size."""
    size = np.linalg.norm(design, axis=0)
    q, r = np.linalg.qr(design / size)
    if (np.abs(np.diag(r)) > Match.ENTRY).all():
        coefficients = np.linalg.solve(r, q.T @ target)
    else:
        coefficients = np.linalg.lstsq(design / size, target, rcond=1e-13)[0]
    return coefficients / size, target - design @ (coefficients / size)


def _estimable(parts: dict[str, dict[str, np.ndarray]], size: int) -> dict[str, dict[str, np.ndarray]] | None:
    """The parts whose terms so many points tell apart: all, or all but centring; None where these are too many."""
    for chosen in (parts, {name: values for name, values in parts.items() if name != "centring"}):
        if sum(len(values) for values in chosen.values()) + 1 <= size - 8:
            return chosen
    return None


def _linear(
    parts: dict[str, dict[str, np.ndarray]], gap: np.ndarray, unit: np.ndarray
) -> dict[str, dict[str, float]] | None:
    """The fewest parts whose sum is the gap, to within its units; None where no sum is."""

    def fit(chosen: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, float]] | None:
        design, names = _design(chosen, unit)
        coefficients, residual = _project(design, gap / unit)
        found: dict[str, dict[str, float]] = {}
        for (part, name), value in zip(names, coefficients[1:], strict=True):
            found.setdefault(part, {})[name] = float(value)
        return found if float(np.max(np.abs(residual))) <= 1.0 else None

    if (chosen := _estimable(parts, gap.size)) is None or (best := fit(chosen)) is None:
        return None
    for part in chosen:  # the unlikeliest first
        fewer = {name: values for name, values in chosen.items() if name != part}
        if (found := fit(fewer)) is not None:  # what is not needed is left out
            chosen, best = fewer, found
    return best


# ---------------------------------------------------------------------------------------------------- the map


def _mapped(
    layout: Layout,
    parts: dict[str, dict[str, np.ndarray]],
    points: np.ndarray,
    reference: np.ndarray,
    unit: np.ndarray,
    density: Callable[[np.ndarray], np.ndarray],
) -> Explanation | None:
    gamma, z, sigma, scale = (layout.of(name) for name in ("intercept", "coefficients", "sigma", "scale"))
    K, t, known = z.size, scale.size, _estimable(parts, len(points))
    if K > 12 or not sigma.size or not t or known is None:
        return None
    names = [f"coefficient {k + 1}" for k in range(K)] + ["sigma"] + [f"scale {i + 1}" for i in range(t)]
    design, _ = _design(known, unit)
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
        linear = _linear(parts, gap(found.x, kappa), Multiple.GATE * unit)
        if linear is None:
            continue
        needed = np.abs(found.x) > Match.SUMMED
        maps = {name: math.exp(-value) for name, value, is_ in zip(names, found.x, needed, strict=False) if is_}
        if kappa:
            maps["tau-sigma"] = kappa
        centres = enumerate(found.x[K + 1 + t :])
        maps |= {f"centre {k + 1}": float(value) for k, value in centres if needed[K + 1 + t + k]}
        return Explanation(linear, maps)
    return None


def _shift_of_centre(
    density: Callable[[np.ndarray], np.ndarray], at: np.ndarray, gamma: int, coefficients: np.ndarray
) -> np.ndarray:
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
    others = ("sigma", *MAIN_EXCLUDED)
    fixed = [name for name in names if not name.startswith(("b[", "Sigma[")) and name not in others]
    groups = groups_of(names)
    counts = Counter(split_parameter(name, groups)[0] for name in names if name.startswith("Sigma["))
    effects = [round((math.sqrt(8 * count + 1) - 1) / 2) for count in counts.values()]
    directions = sum((p - 1) * max(p - 2, 0) for p in effects)
    labels = [name for name in names if name.startswith("b[")]
    random, intercept = len(labels), "(Intercept)" in fixed
    lengths: list[tuple[str, str, int]] = [
        ("intercept", "the intercept (at centred predictors)", int(intercept)),
        ("coefficients", "the coefficients", len(fixed) - int(intercept)),
        ("random-effects", "the standardised random effects", random),
        ("directions", "the directions of correlations (three or more effects)", directions),
        ("correlations", "the correlations (decov's regularization)", sum(effects) - len(effects)),
        ("simplex", "the shares of variance (decov's concentration)", sum(p for p in effects if p > 1)),
        ("scale", "the scale of the random effects (decov's shape and scale)", len(effects)),
        ("sigma", "the residual sd", 1),
    ]
    over = size - sum(length for _, _, length in lengths)
    if scales and over > 0:
        lengths.insert(2, ("coefficient-scales", "the scales of the coefficients' prior", over))
    blocks, start = [], 0
    for name, words, length in lengths:
        if length:
            blocks.append(Block(name, words, start, start + length))
        start += length
    if start != size:
        return None
    # Terms follow each other; a padded _NEW_ level ends each.
    ends = [i + 1 for i, label in enumerate(labels) if "_NEW_" in label]
    ends = [ends[i - 1] if i <= len(ends) else random for i in np.cumsum(effects)]
    per_term = np.diff([0, *ends]).tolist()
    return Layout(tuple(blocks), effects, per_term if len(effects) > 1 and sum(per_term) == random else [random])
