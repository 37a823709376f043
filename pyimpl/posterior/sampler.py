"""Sample the collapsed posterior, and draw everything else exactly.

The collapsed density has few dimensions, and its normal approximation at the mode is close: so independence Metropolis
(Tierney 1994, Annals of Statistics 22) with a multivariate t proposal, refitted by importance sampling, gives draws
that are nearly independent. In more dimensions no proposal fits well enough, and Hamiltonian Monte Carlo
(:mod:`pyimpl.posterior.hmc`) takes over. The sampler watches itself (Pareto k-hat of the weights, acceptance,
rank-normalised ESS and R-hat of every coordinate), thins and refits until the draws are good, and otherwise goes over
to NUTS on the same density.

Each chain has its own random stream, its own start and its own proposals, so R-hat across chains means what it should.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaincc

from pyimpl.errors import ConvergenceWarning
from pyimpl.extras import has
from pyimpl.linalg.forecast import Forecast
from pyimpl.posterior.chains import independence_chain
from pyimpl.posterior.collapsed import LOG_TAU_MAX, CollapsedDensity
from pyimpl.posterior.conflict import find_modes, is_easy, refuse_if_coarse, stands_at, unexplored
from pyimpl.posterior.coordinates import SamplerCoordinates
from pyimpl.posterior.diagnostics import assess, pareto_k
from pyimpl.posterior.hmc import Subchains
from pyimpl.posterior.proposal import Proposal, efficiency_of, fitted, normalised, split, update, with_tails
from r_scripts.caller import warn

__all__ = ["SamplerResult", "find_mode", "sample_collapsed", "sample_prior"]

_MOST_NUMBERS = 8_000_000  # numbers in a batch of proposals: memory
_GRADIENT = 4.0  # a gradient costs about as much as so many evaluations
_ADAPTATION = 12_000  # gradients before the first draw of Hamiltonian Monte Carlo
_SUBCHAINS = 32  # of Hamiltonian Monte Carlo, for each chain
_BEYOND = 1e-9  # prior mass beyond the log density's domain from which a posterior might be cut off there
_LONG = 1e11  # multiplications (a minute or two) above which draws that are nearly independent are not thinned
_MOST_GRADIENTS = 1_500_000  # of Hamiltonian Monte Carlo: what is not good by then is not going to be
_DEPTH = 6  # of NUTS's trees, for the same reason
_RESTARTS = 1  # times that Hamiltonian Monte Carlo begins again
_RHAT_APART = 1.2  # R-hat above which the chains of Hamiltonian Monte Carlo are in different places
_TIMED = 2  # evaluations by whose time the whole is foretold
_FEW_EFFECTIVE_DRAWS = 400  # effective draws below which quantiles are not to be trusted (Vehtari et al. 2021)


@dataclass(frozen=True)
class SamplerResult:
    """Draws of the coordinates, and how they were got.

    Attributes
    ----------
    u : ndarray, shape (chains, draws, dim)
    log_density : ndarray, shape (chains, draws)
        Collapsed log density of each draw.
    method : str
        ``"independence Metropolis"``, ``"Hamiltonian Monte Carlo"``, ``"NUTS on the collapsed density"`` or
        ``"exact draws from the prior"``.
    acceptance : float
        Mean acceptance rate.
    khat : float
        Pareto k-hat of the importance weights of the proposal (nan where there are none).
    thin : int
        Transitions per kept draw.
    evaluations : int
        Evaluations of the density.
    divergences : int
    min_ess_bulk, min_ess_tail, max_rhat : float
        Over the coordinates and the log density.
    messages : tuple of str
        What a reader should know: refits, fall-backs.
    """

    u: np.ndarray
    log_density: np.ndarray
    method: str
    acceptance: float
    khat: float
    thin: int
    evaluations: int
    divergences: int
    min_ess_bulk: float
    min_ess_tail: float
    max_rhat: float
    messages: tuple[str, ...] = field(default_factory=tuple)


class _Counted:
    """The density with its evaluations counted, in chunks."""

    def __init__(self, density: CollapsedDensity | SamplerCoordinates) -> None:
        self.density, self.evaluations = density, 0
        of = density.density if isinstance(density, SamplerCoordinates) else density
        self._at_once = of.at_once

    def __call__(self, u: np.ndarray, tick: Callable[[int], None] | None = None) -> np.ndarray:
        self.evaluations += len(u)
        out = np.empty(len(u))
        for start in range(0, len(u), self._at_once):
            out[start : start + self._at_once] = self.density.log_density(u[start : start + self._at_once])
            if tick is not None:
                tick(min(start + self._at_once, len(u)))
        return out

    def weighted(self, proposal: "Proposal", rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Points of a proposal and their log importance weights."""
        u = proposal.draw(rng, n)
        return u, self(u) - proposal.log_density(u)

    def gradient(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log density and exact gradient at points."""
        assert isinstance(self.density, SamplerCoordinates)
        self.evaluations += len(v)
        return self.density.log_density_gradient(v)

    def with_gradient(self, u: np.ndarray, step: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient at one point: by central differences in one batch where that is as cheap."""
        d = u.size
        if d > _GRADIENT and isinstance(self.density, SamplerCoordinates):
            value, slope = self.gradient(u[None])
            return float(value[0]), slope[0]
        points = np.repeat(u[None], 2 * d + 1, axis=0)
        index = np.arange(d)
        points[index, index] += step
        points[d + index, index] -= step
        value = self(points)
        with np.errstate(invalid="ignore"):  # outside the range of the density: not finite, and the caller steps back
            return float(value[-1]), (value[:d] - value[d : 2 * d]) / (2 * step)


def find_mode(log_density: _Counted | CollapsedDensity, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mode of the collapsed density and the inverse of the negative Hessian there.

    Parameters
    ----------
    log_density : CollapsedDensity
    start : ndarray, shape (dim,)

    Returns
    -------
    mode : ndarray, shape (dim,)
    covariance : ndarray, shape (dim, dim)
        Positive definite: of a normal approximation.
    """
    f = log_density if isinstance(log_density, _Counted) else _Counted(log_density)
    d = start.size
    step = np.full(d, 1e-4)

    def objective(u: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = f.with_gradient(u, step)
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            return 1e300, np.zeros(d)
        return -value, -gradient

    result = minimize(objective, start, jac=True, method="BFGS", options={"gtol": 1e-3, "maxiter": 200})
    mode = result.x if np.isfinite(result.fun) and result.fun < 1e299 else start
    return mode, _curvature(f, mode, np.sqrt(np.clip(np.diag(np.asarray(result.hess_inv)), 1e-4, 1.0)))


def _curvature(f: _Counted, mode: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Inverse of the negative Hessian by differences over a third of a standard deviation, made positive definite."""
    d = mode.size
    h = scale / 3
    row, column = np.tril_indices(d)
    offsets = np.zeros((4, row.size, d))
    for k, (a, b) in enumerate([(1, 1), (1, -1), (-1, 1), (-1, -1)]):
        index = np.arange(row.size)
        np.add.at(offsets[k], (index, row), a * h[row] / 2)
        np.add.at(offsets[k], (index, column), b * h[column] / 2)
    value = f((mode + offsets).reshape(-1, d)).reshape(4, -1)
    with np.errstate(invalid="ignore"):
        second = (value[0] - value[1] - value[2] + value[3]) / (h[row] * h[column])
    H = np.zeros((d, d))
    H[row, column] = H[column, row] = -np.where(np.isfinite(second), second, 0.0)
    root = np.sqrt(np.maximum(np.diag(H), 1e-2 / scale**2))
    eigenvalue, vector = np.linalg.eigh(H / np.outer(root, root))
    inverse = (vector / np.clip(eigenvalue, 0.05, 20.0)) @ vector.T
    return inverse / np.outer(root, root)


def _worst(u: np.ndarray, log_density: np.ndarray) -> tuple[float, float, float]:
    """Smallest bulk and tail ESS and largest R-hat over the coordinates and the log density."""
    x = np.concatenate([np.moveaxis(u, 2, 0), log_density[None]])
    bulk, tail, rhat = assess(x)
    return (
        float(np.nanmin(bulk)) if np.isfinite(bulk).any() else np.nan,
        float(np.nanmin(tail)) if np.isfinite(tail).any() else np.nan,
        float(np.nanmax(rhat)) if np.isfinite(rhat).any() else np.nan,
    )


def _populate(
    f: _Counted, proposal: Proposal, efficiency: float, axes: list[int], rng: np.random.Generator
) -> tuple[Proposal, float]:
    """Replace a single t that does not fit well by a mixture, as long as that helps."""
    d = proposal.means.shape[1]
    n = 1000 + 150 * d
    u, log_weights = f.weighted(with_tails(proposal, axes), rng, n)
    best, best_efficiency = proposal, efficiency
    current = split(proposal, u, log_weights, 6, rng)
    for _ in range(8):
        u, log_weights = f.weighted(with_tails(current, axes), rng, n)
        last, now = best_efficiency, efficiency_of(log_weights)
        if now > best_efficiency:
            best, best_efficiency = current, now
        if now > 0.8 or (now > 0.3 and now < 1.02 * last and _ > 3):
            break
        current = update(current, u, log_weights)
    return best, best_efficiency


def _better(
    f: _Counted, proposal: Proposal, u: np.ndarray, log_weights: np.ndarray, axes: list[int], rng: np.random.Generator
) -> Proposal:
    """Choose between a single t and a mixture, both fitted to weighted points, by a new batch."""
    d = u.shape[1]
    several = proposal if proposal.shares.size > 1 else split(proposal, u, log_weights, 6, rng)
    candidates = [fitted(u, log_weights), update(several, u, log_weights)]
    scores = []
    for candidate in candidates:
        _, batch_weights = f.weighted(with_tails(candidate, axes), rng, 2000 + 250 * d)
        scores.append(efficiency_of(batch_weights))
    return candidates[int(np.argmax(scores))]


def sample_collapsed(
    density: CollapsedDensity,
    *,
    chains: int,
    draws: int,
    seeds: list[np.random.SeedSequence],
    target: float = 0.6,
    max_thin: int = 256,
    progress: Callable[[str, float], None] | None = None,
) -> SamplerResult:
    """Sample the collapsed density.

    Parameters
    ----------
    density : CollapsedDensity
    chains, draws : int
        Draws are kept per chain.
    seeds : list of SeedSequence
        ``chains + 1``: one for the adaptation, one for each chain.
    target : float
        Thin until every coordinate's bulk and tail ESS is this share of the draws (less for few draws).
    max_thin : int
        Most transitions per kept draw before NUTS takes over.
    progress : callable, optional
        Called with what is being done and the share done.

    Returns
    -------
    SamplerResult

    Warns
    -----
    ConvergenceWarning
        Fewer than 400 effective draws or R-hat of 1.01 and more, whatever was tried.
    """
    coordinates = SamplerCoordinates(density)
    report = progress or (lambda what, share: None)
    report("finding the mode", 0.0)
    if any(gammaincc(shape, math.exp(LOG_TAU_MAX)) > _BEYOND for shape in density.spec.shape):
        raise unexplored(density)  # the log density ends where this prior has its mass
    kept = chains * draws
    run = _Run(
        _Counted(coordinates),
        coordinates,
        chains,
        draws,
        seeds,
        # an ESS is itself an estimate, and a noisy one of few draws
        wanted=(target - 2 / np.sqrt(kept)) * kept,
        max_thin=int(np.clip(_MOST_NUMBERS / (density.dim * kept), 16, max_thin)),
        costly=kept * density.multiplications > _LONG,
        report=report,
    )
    _forecast(coordinates, kept)
    proposal, efficiency = _adapted(run)
    best, proposal = _metropolis(run, proposal, efficiency)
    if best is not None and best.khat < 0.7 and (run.is_enough(best) or _good_enough(best)):
        return best
    if best is not None:
        run.messages.append(
            f"independence Metropolis was poor (k-hat {best.khat:.2f}, ESS {best.min_ess_bulk:.0f}): HMC"
        )
    else:
        run.messages.append(f"the proposal's efficiency was {efficiency:.2f}: Hamiltonian Monte Carlo")
    result = _hamiltonian(run, proposal)
    if not _good_enough(result) and not has("nutpie"):
        run.messages.append("NUTS was not tried: mlmparity[bayes] brings it")
        result = replace(result, messages=tuple(run.messages))
    elif not _good_enough(result):
        run.messages.append(f"Hamiltonian Monte Carlo was poor (ESS {result.min_ess_bulk:.0f}): NUTS")
        report("NUTS on the collapsed density", 0.5)
        result = max(result, _nuts(run, proposal), key=_quality)
    _warn_if_poor(result)
    return result


@dataclass
class _Run:
    """A call of the sampler: what is asked for, and what was tried.

    Attributes
    ----------
    f : _Counted
    coordinates : SamplerCoordinates
    chains, draws : int
    seeds : list of SeedSequence
        One for the adaptation, one for each chain.
    wanted : float
        Smallest bulk and tail ESS of all draws that is enough.
    max_thin : int
        Transitions for each draw at most.
    costly : bool
        Whether seconds count more than the last third of the ESS: thousands of crossed effects.
    report : callable
        Told what is being done, and which share of all is done.
    rng : Generator
        Of the adaptation.
    messages : list of str
    """

    f: _Counted
    coordinates: SamplerCoordinates
    chains: int
    draws: int
    seeds: list[np.random.SeedSequence]
    wanted: float = 0.0
    max_thin: int = 256
    costly: bool = False
    report: Callable[[str, float], None] = lambda what, share: None
    messages: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seeds[0])

    @property
    def kept(self) -> int:
        """Draws of all chains."""
        return self.chains * self.draws

    def is_enough(self, result: SamplerResult) -> bool:
        """Whether independence Metropolis may end with this."""
        ess = min(result.min_ess_bulk, result.min_ess_tail)
        return ess / self.wanted >= 1 or self.kept < 100 or (self.costly and _good_enough(result))


def _adapted(run: _Run) -> tuple[Proposal, float]:
    """A proposal fitted by importance sampling, and its efficiency."""
    f, rng, d = run.f, run.rng, run.coordinates.dim
    proposal = _first_proposal(f)
    density = run.coordinates.density
    if density.spec.weights is not None:
        refuse_if_coarse(density, f, proposal.mean)
    n_pilot = 150 + 75 * d if run.costly else 400 + 100 * d
    efficiency, axes = 0.0, run.coordinates.tails
    for _ in range(6):
        u, log_weights = f.weighted(with_tails(proposal, axes), rng, n_pilot)
        if not np.isfinite(log_weights).any():
            raise unexplored(density)
        last, efficiency = efficiency, efficiency_of(log_weights)
        proposal = fitted(u, log_weights) if proposal.shares.size == 1 else update(proposal, u, log_weights)
        if efficiency > 0.5 and efficiency < 1.15 * last:
            break
    if efficiency < 0.55 and _metropolis_pays(_transitions(efficiency), run.kept, d):
        proposal, efficiency = _populate(f, proposal, efficiency, axes, rng)
    return proposal, efficiency


def _metropolis(run: _Run, proposal: Proposal, efficiency: float) -> tuple[SamplerResult | None, Proposal]:
    """Independence Metropolis, thinned and refitted until the draws are good: the best batch, and the last proposal."""
    rngs = [np.random.default_rng(seed) for seed in run.seeds[1:]]
    thin = 1 if run.costly and efficiency > 0.5 else _transitions(efficiency)
    best: SamplerResult | None = None
    # a longer batch than max_thin asks for would take minutes, and find nothing
    while thin <= 4 * run.max_thin and _metropolis_pays(thin, run.kept, run.coordinates.dim):
        thin = min(thin, run.max_thin)
        result, proposals, weights = _batch(run, with_tails(proposal, run.coordinates.tails), thin, rngs)
        if run.is_enough(result) and result.khat < 0.7:
            return result, proposal
        ess = min(result.min_ess_bulk, result.min_ess_tail)
        if best is None or ess > min(best.min_ess_bulk, best.min_ess_tail):
            best = result
        if thin >= run.max_thin:
            break
        # refit on the longest batch so far, and start again with more transitions a draw
        proposal = _better(run.f, proposal, proposals, weights, run.coordinates.tails, run.rng)
        thin = min(run.max_thin, int(np.ceil(thin * np.clip(1.3 / max(ess / run.wanted, 0.05), 1.5, 4.0))))
        run.messages.append(f"refitted and thinned by {thin}: smallest ESS was {ess:.0f}")
    return best, proposal


def _batch(
    run: _Run, mixture: Proposal, thin: int, rngs: list[np.random.Generator]
) -> tuple[SamplerResult, np.ndarray, np.ndarray]:
    """One run of all chains, `thin` transitions a draw; its proposals (n, d) and their log weights (n,)."""
    f, report, chains, draws, d = run.f, run.report, run.chains, run.draws, run.coordinates.dim
    warm, length = 50 if run.costly else 200, draws * thin
    total = chains * (warm + length)
    report(f"sampling, {thin} transitions a draw", 0.2)
    proposals = np.stack([mixture.draw(r, warm + length) for r in rngs])
    flat = proposals.reshape(-1, d)
    value = f(flat, lambda done: report(f"sampling, {done} of {total} evaluations", 0.2 + 0.5 * done / total))
    log_weights = value - mixture.log_density(flat)
    value, weights = value.reshape(chains, -1), log_weights.reshape(chains, -1)
    kept_u, kept_f = np.empty((chains, draws, d)), np.empty((chains, draws))
    accepted = 0
    for c, r in enumerate(rngs):
        # each chain starts at one of its own first proposals, chosen by weight
        first = int(r.choice(warm, p=normalised(weights[c, :warm])))
        kept, moves = independence_chain(weights[c, warm:], np.log(r.uniform(size=length)), weights[c, first], thin)
        accepted += moves
        where = np.where(kept < 0, first, warm + kept)
        kept_u[c], kept_f[c] = proposals[c, where], value[c, where]
    bulk, tail, rhat = _worst(kept_u, kept_f)
    result = SamplerResult(
        u=run.coordinates.to_density(kept_u.reshape(-1, d)).reshape(kept_u.shape),
        log_density=kept_f,
        method="independence Metropolis",
        acceptance=accepted / (chains * length),
        khat=pareto_k(weights.ravel()),
        thin=thin,
        evaluations=f.evaluations,
        divergences=0,
        min_ess_bulk=bulk,
        min_ess_tail=tail,
        max_rhat=rhat,
        messages=tuple(run.messages),
    )
    return result, flat, log_weights


def _forecast(coordinates: SamplerCoordinates, draws: int) -> None:
    """Say before it starts that sampling will take minutes: by the time of a few evaluations."""
    d = coordinates.density.dim
    points = np.zeros((_TIMED, d))
    coordinates.log_density(points)
    begun = time.perf_counter()
    coordinates.log_density(points)
    each = (time.perf_counter() - begun) / _TIMED
    # the curvature at the mode, batches that the proposal is fitted to, and at least one evaluation a draw
    least = 2 * d * (d + 1) + 3 * (150 + 75 * d) + 2 * draws
    Forecast("sampling", least, "evaluations of the log density, at least", "Take a smaller iter", each)


def _first_proposal(f: _Counted) -> Proposal:
    """A t at the mode; a mixture where priors and data disagree, and several modes have mass."""
    coordinates = f.density
    assert isinstance(coordinates, SamplerCoordinates)
    if is_easy(coordinates.density):
        mode, covariance = find_mode(f, coordinates.start())
        _, slope = f.gradient(mode[None])
        if stands_at(slope[0], covariance):
            return Proposal.of(mode, covariance * 1.2)
    modes = find_modes(coordinates, f.gradient, f)
    if not modes:
        mode, covariance = find_mode(f, coordinates.start())
        return Proposal.of(mode, covariance * 1.2)
    if len(modes) == 1:
        return Proposal.of(modes[0].location, modes[0].covariance * 1.2)
    mass = np.exp([mode.log_mass - modes[0].log_mass for mode in modes])
    shares = np.maximum(mass / mass.sum(), 0.05)
    at, covariances = np.array([mode.location for mode in modes]), np.array([mode.covariance for mode in modes])
    scatter = at - shares @ at / shares.sum()
    whole = np.einsum("k,kij->ij", shares, covariances) + np.einsum("k,ki,kj->ij", shares, scatter, scatter)
    # the first component of a mixture stays wide
    return Proposal.mixture(
        np.concatenate([[0.15], 0.85 * shares / shares.sum()]),
        np.concatenate([[shares @ at / shares.sum()], at]),
        np.concatenate([whole[None], 1.2 * covariances]),
    )


def _transitions(efficiency: float) -> int:
    """Transitions of independence Metropolis for each draw that is kept."""
    return max(3, int(np.ceil(2.4 / max(efficiency, 1e-3) ** 1.2)))


def _metropolis_pays(thin: int, kept: int, d: int) -> bool:
    """Whether independence Metropolis costs fewer evaluations than Hamiltonian Monte Carlo (two transitions a draw).

    More dimensions need several times the transitions that the efficiency of importance sampling says: in the tails.
    """
    gradients = _ADAPTATION + 2 * kept * 3.0 * d**0.25
    return d < 6 or 6 * thin * kept < _GRADIENT * gradients


def _quality(result: SamplerResult) -> float:
    return float(np.nan_to_num(min(result.min_ess_bulk, result.min_ess_tail)))


def _good_enough(result: SamplerResult) -> bool:
    kept = result.u.shape[0] * result.u.shape[1]
    return kept < 100 or (
        _quality(result) >= min(_FEW_EFFECTIVE_DRAWS, 0.25 * kept)
        and result.max_rhat < _rhat_limit(result.u.shape[1]) + 0.01
    )


def _rhat_limit(draws: int) -> float:
    """R-hat below which chains agree: 1.01, and more for short chains, whose R-hat is noise of the order 1/draws."""
    return max(1.01, 1 + 5 / draws)


def _hamiltonian(run: _Run, proposal: Proposal) -> SamplerResult:
    """Subchains of Hamiltonian Monte Carlo, started by importance, run on until the draws are good."""
    f, density, rng, draws, messages = run.f, run.coordinates, run.rng, run.draws, run.messages
    run.report("Hamiltonian Monte Carlo: adaptation", 0.3)
    # streams of their own: the same numbers, however many the chains have used so far
    rngs = [np.random.default_rng([*seed.generate_state(4), 1]) for seed in run.seeds[1:]]
    subchains = int(np.clip(draws // 25, 1, _SUBCHAINS))

    def points(r: np.random.Generator, n: int) -> np.ndarray:
        u, log_weights = f.weighted(with_tails(proposal, density.tails), r, 40 * n)
        weights = np.minimum(normalised(log_weights), 1 / np.sqrt(len(u)))
        return u[r.choice(len(u), size=n, p=weights / weights.sum())]

    hmc = Subchains(
        f.gradient, proposal.mean, proposal.factor, points(rng, 64), [points(r, subchains) for r in rngs], [rng, *rngs]
    )
    if hmc.stuck:
        raise unexplored(density.density)
    per_subchain, thin, again, before = -(-draws // subchains), 2, 0, 0.0
    begun = f.evaluations
    while True:
        run.report(f"Hamiltonian Monte Carlo, {thin} transitions a draw", 0.5)
        hmc.run(per_subchain * thin - hmc.transitions)
        if hmc.divergences and again < _RESTARTS:
            # as one would give Stan a larger adapt_delta
            again += 1
            messages.append(f"{hmc.divergences} transitions diverged: began again with shorter steps")
            hmc.begin_again(0.6)
            continue
        u, value = hmc.draws(draws, thin)
        bulk, tail, rhat = _worst(u, value)
        short = min(bulk, tail) / run.wanted
        if short >= 1 or run.kept < 100 or 2 * thin > run.max_thin:
            break
        if short < min(0.2, 1.2 * before):
            # many more transitions, and no better: they do not go where they should
            again += 1
            if again > _RESTARTS:  # R-hat says below whether what there is can be of use; the warning tells of the ESS
                messages.append("more transitions did not help")
                break
            messages.append("more transitions did not help: standardised anew")
            hmc.begin_again(1.0)
            before = 0.0
            continue
        before = short
        longer = min(run.max_thin, int(np.ceil(thin * np.clip(1.2 / max(short, 0.05), 1.5, 4.0))))
        if (f.evaluations - begun) * longer > _MOST_GRADIENTS * thin:
            messages.append(f"stopped after {f.evaluations - begun} gradients")
            break
        thin = longer
    if rhat > _RHAT_APART:
        raise unexplored(density.density)
    return SamplerResult(
        u=density.to_density(u.reshape(-1, density.dim)).reshape(u.shape),
        log_density=value,
        method="Hamiltonian Monte Carlo",
        acceptance=hmc.acceptance,
        khat=np.nan,
        thin=thin,
        evaluations=f.evaluations,
        divergences=hmc.divergences,
        min_ess_bulk=bulk,
        min_ess_tail=tail,
        max_rhat=rhat,
        messages=tuple(messages),
    )


def _warn_if_poor(result: SamplerResult) -> None:
    few = min(_FEW_EFFECTIVE_DRAWS, result.u.shape[0] * result.u.shape[1] / 4)
    problems = []
    if not min(result.min_ess_bulk, result.min_ess_tail) >= few:
        problems.append(
            f"the smallest effective sample size is {min(result.min_ess_bulk, result.min_ess_tail):.0f} "
            f"(at least {few:.0f} wanted)"
        )
    limit = _rhat_limit(result.u.shape[1])
    if not result.max_rhat < limit:
        problems.append(f"the largest R-hat is {result.max_rhat:.3f} (below {limit:.3g} wanted)")
    if result.divergences:
        problems.append(f"{result.divergences} transitions diverged")
    if problems:
        warn(
            f"The sampler has not converged: {'; '.join(problems)}. Run more iterations, or give stronger priors.",
            ConvergenceWarning,
        )


class _ZeroDensityError(ValueError):
    """A point without density: for nutpie, which looks for this attribute, a divergence and not the end."""

    is_recoverable = True


def _nuts(run: _Run, proposal: Proposal) -> SamplerResult:
    """NUTS (nutpie) on the collapsed density, in the proposal's standardised coordinates."""
    import nutpie
    from nutpie.compiled_pyfunc import from_pyfunc

    f, density = run.f, run.coordinates
    d = density.dim
    factor = proposal.factor

    def make_logp() -> Callable:
        def logp(x: np.ndarray, **_: object) -> tuple[float, np.ndarray]:
            value, slope = f.gradient((proposal.mean + factor @ np.asarray(x))[None])
            if not np.isfinite(value[0]):
                raise _ZeroDensityError
            return float(value[0]), factor.T @ slope[0]

        return logp

    def make_expand(*_: object) -> Callable:
        return lambda x, **__: {"x": np.asarray(x)}

    model = from_pyfunc(
        d,
        make_logp,
        make_expand,
        [np.dtype(np.float64)],
        [(d,)],
        ["x"],
        make_initial_point_fn=lambda s: 0.5 * np.random.default_rng(s).standard_normal(d),
    )
    trace = nutpie.sample(
        model,
        draws=run.draws,
        tune=500,
        chains=run.chains,
        cores=1,
        maxdepth=_DEPTH,
        seed=int(run.seeds[0].generate_state(1)[0]),
        progress_bar=False,
        save_warmup=False,
    )
    x = np.asarray(trace["posterior"]["x"].values)
    u = proposal.mean + x @ factor.T
    value = f(u.reshape(-1, d)).reshape(u.shape[:2])
    bulk, tail, rhat = _worst(u, value)
    return SamplerResult(
        u=density.to_density(u.reshape(-1, d)).reshape(u.shape),
        log_density=value,
        method="NUTS on the collapsed density",
        acceptance=np.nan,
        khat=np.nan,
        thin=1,
        evaluations=f.evaluations,
        divergences=int(trace["sample_stats"]["diverging"].values.sum()),
        min_ess_bulk=bulk,
        min_ess_tail=tail,
        max_rhat=rhat,
        messages=tuple(run.messages),
    )


def sample_prior(
    density: CollapsedDensity, *, chains: int, draws: int, seeds: list[np.random.SeedSequence]
) -> SamplerResult:
    """Independent draws of the coordinates from their prior (``prior_PD``).

    Parameters
    ----------
    density : CollapsedDensity
    chains, draws : int
    seeds : list of SeedSequence
        ``chains + 1``.

    Returns
    -------
    SamplerResult
    """
    u = np.stack([_prior_coordinates(density, np.random.default_rng(seed), draws) for seed in seeds[1:]])
    value = density.log_density(u.reshape(-1, density.dim)).reshape(chains, draws)
    bulk, tail, rhat = _worst(u, value)
    return SamplerResult(u, value, "exact draws from the prior", 1.0, np.nan, 1, u.size, 0, bulk, tail, rhat)


def _prior_coordinates(density: CollapsedDensity, rng: np.random.Generator, n: int) -> np.ndarray:
    from pyimpl.posterior.covariance import ball_exponents
    from pyimpl.posterior.specification import EXPONENTIAL, NORMAL

    spec = density.spec
    columns = []
    if spec.aux.dist == EXPONENTIAL:
        a = rng.exponential(size=n)
    elif spec.aux.dist == NORMAL:
        a = np.abs(rng.standard_normal(n))
    else:
        a = np.abs(rng.standard_t(spec.aux.df[0], n))
    columns.append(np.log(a))
    for i, term in enumerate(spec.terms):
        columns.append(np.log(rng.gamma(spec.shape[i], size=n)))
        if term.p == 1:
            continue
        pi = rng.gamma(spec.concentration[i], size=(n, term.p))
        columns += list(np.log(pi[:, :-1] / pi[:, -1:]).T)
        for j, b in enumerate(ball_exponents(term.p, spec.regularization[i]), start=1):
            # x uniform in direction with |x|² ~ Beta(j/2, b): its canonical partial correlations, one after the other
            direction = rng.standard_normal((n, j))
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            x = direction * np.sqrt(rng.beta(0.5 * j, b, n))[:, None]
            left = np.ones(n)
            for k in range(j):
                t = x[:, k] / np.sqrt(left)
                columns.append(np.arctanh(np.clip(t, -1 + 1e-15, 1 - 1e-15)))
                left = left * (1 - t * t)
    if density.has_w:
        half = 0.5 * spec.intercept.df[0]
        columns.append(np.log(rng.gamma(half, size=n) / half))
    columns += list(rng.standard_normal((density.standard_normals, n)))
    return np.column_stack(columns)
