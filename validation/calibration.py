"""Simulation-based calibration: gate 6 of the judgement of posteriors.

Parameters are drawn from the prior, data from the parameters; a right sampler then ranks each true value uniformly
among its draws (Talts et al. 2018; Modrák et al. 2023, Bayesian Analysis, for the log likelihood as a further quantity,
which sees faults that no parameter shows). The ranks are judged by their ECDF with an exact simultaneous band
(:mod:`validation.judge.ecdf`).

A campaign runs on joblib, on whatever backend its caller chose (``joblib.parallel_config``: processes, threads, a Dask
cluster); it can be interrupted, and goes on where it stopped. What is simulated does not depend on the backend, on the
number of jobs or on interruptions.
"""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from pyimpl.design.checks import STAN_LMER_CHECKS
from pyimpl.design.design import Design, build_design
from pyimpl.errors import ConvergenceWarning
from pyimpl.extras import need
from pyimpl.models.stan_lmer import Priors, Sampling, StanLmerFit, exponential, normal, stan_lmer_design
from validation.errors import InputError
from validation.files import write_atomically
from validation.judge.ecdf import Ecdf, rank_band, rank_ecdf
from validation.options import silent
from validation.references.provenance import data_hash
from validation.tolerances import CALIBRATION_ALPHA, CALIBRATION_WARNED
from validation.verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Fewest data sets that the gate asks for.
LEAST = 200
_BATCH = 25  # simulations between two reports, and lost at most by an interruption

Fitter = Callable[..., StanLmerFit]


@dataclass(frozen=True)
class Model:
    """A model to calibrate."""

    name: str
    title: str
    formula: str
    rows: int
    groups: Mapping[str, int]  # grouping factor -> number of levels
    slopes: int  # predictors ``x1``, ``x2``, ...

    def data(self) -> pd.DataFrame:
        """Predictors and groups (the response is a placeholder: only its name matters)."""
        rng = np.random.default_rng(len(self.formula))
        columns: dict[str, Any] = {"y": rng.standard_normal(self.rows)}
        for k in range(self.slopes):
            columns[f"x{k + 1}"] = rng.standard_normal(self.rows)
        for group, levels in self.groups.items():
            codes = rng.permutation(np.resize(np.arange(levels), self.rows))
            columns[group] = pd.Categorical(codes, categories=range(levels))
        return pd.DataFrame(columns)


MODELS = (
    Model("intercepts", "one term, one effect", "y ~ x1 + (1 | g)", 80, {"g": 10}, 1),
    Model("slopes", "one term, two effects", "y ~ x1 + (1 + x1 | g)", 120, {"g": 12}, 1),
    Model("three", "one term, three effects", "y ~ x1 + x2 + (1 + x1 + x2 | g)", 150, {"g": 15}, 2),
    Model("crossed", "two crossed terms", "y ~ x1 + (1 + x1 | g) + (1 | h)", 120, {"g": 12, "h": 8}, 1),
)


#: Priors that do not look at the data, as calibration needs: autoscaled ones do.
PRIORS: Mapping[str, Any] = {"prior": normal(0, 2), "prior_intercept": normal(0, 2), "prior_aux": exponential(1)}


@dataclass(frozen=True)
class Calibration:
    """Ranks of the true values, and what they say."""

    name: str
    ranks: pd.DataFrame  # simulation x quantity: draws below the true value
    draws: int  # draws that each was ranked among
    warned: int  # fits whose sampler said that it had not converged; their ranks count all the same

    @cached_property
    def ecdfs(self) -> dict[str, Ecdf]:
        """The ECDF of each quantity's ranks minus the uniform."""
        return {name: rank_ecdf(self.ranks[name].to_numpy(), self.draws) for name in self.ranks.columns}

    def table(self) -> pd.DataFrame:
        """One row a quantity: ``p`` (simultaneous), ``inside`` (its own 95% band), ``mean_rank`` (0.5 if right)."""
        p = pd.Series({name: ecdf.p_value for name, ecdf in self.ecdfs.items()})
        mean = (self.ranks.mean() + 0.5) / (self.draws + 1)
        return pd.DataFrame({"p": p, "inside": p > CALIBRATION_ALPHA, "mean_rank": mean})

    @property
    def smallest_p(self) -> float:
        """Smallest p-value, corrected for the number of quantities (Bonferroni)."""
        return float(min(1.0, self.table()["p"].min() * self.ranks.shape[1]))

    @property
    def verdict(self) -> Verdict:
        """Disagrees where a quantity leaves its band; inconclusive with few data sets or many warnings."""
        if self.smallest_p < CALIBRATION_ALPHA:
            return Verdict.DISAGREES
        few = len(self.ranks) < LEAST or self.warned > CALIBRATION_WARNED * len(self.ranks)
        return Verdict.INCONCLUSIVE if few else Verdict.AGREES

    def plot(self) -> "Figure":
        """ECDF of the ranks minus the uniform, each quantity in its own panel, in its 95% simultaneous band."""
        need("plots", "a plot", "matplotlib")
        from pyimpl.figures import ShownFigure

        width = min(4, len(self.ecdfs))
        height = -(-len(self.ecdfs) // width)
        figure = ShownFigure(figsize=(2.4 * width, 1.7 * height), layout="constrained")
        x, lower, upper = rank_band(len(self.ranks), self.draws)
        for k, (name, ecdf) in enumerate(self.ecdfs.items()):
            axes = figure.add_subplot(height, width, k + 1)
            axes.fill_between(x, lower, upper, color="0.85", step="mid")
            color = "C0" if ecdf.p_value > CALIBRATION_ALPHA else "C3"
            axes.step(ecdf.position, ecdf.difference, where="mid", lw=1.2, color=color)
            axes.set_title(name, fontsize=7)
            axes.tick_params(labelsize=6)
        return figure


def _fit(design: Design, seed: int, *, chains: int, iter: int, **priors: Any) -> StanLmerFit:  # noqa: A002
    return stan_lmer_design(design, Priors(**priors), Sampling(chains=chains, iter=iter, seed=seed))


def _log_likelihood(rss: np.ndarray, sigma: np.ndarray, n: int) -> np.ndarray:
    return np.asarray(-n * np.log(sigma) - 0.5 * rss / sigma**2)


def _one(
    design: Design, priors: Mapping[str, Any], seed: int, number: int, draws: int, fit: Fitter
) -> tuple[dict[str, int], bool]:
    """Simulate a data set, fit it, rank the true values: the ranks, and whether the sampler warned."""
    streams = np.random.SeedSequence([seed, number]).spawn(3)
    prior_seed, fit_seed = (int(s.generate_state(1)[0]) for s in streams[:2])
    rng = np.random.default_rng(streams[2])
    truth = stan_lmer_design(design, Priors(prior_PD=True, **priors), Sampling(chains=1, iter=2, seed=prior_seed))
    eta = truth.posterior_linpred().to_numpy()[0]
    sigma = truth.draws.sigma[0]
    error = sigma * rng.standard_normal(eta.size)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # four times as many draws as are ranked among: what little autocorrelation there is, is gone
        got = fit(replace(design, y=eta + error), fit_seed, chains=4, iter=2 * draws, **priors)
    kept = slice(None, None, max(1, got.draws.n // draws))
    of_truth, of_draws = truth.as_matrix(), got.as_matrix()
    names = list(of_truth.columns)
    wanted = [name for name in names if not name.startswith("b[")]
    for term in design.terms:  # one level's effects stand for all
        wanted += [n for n in names if n.startswith("b[") and n.endswith(f" {term.group}:{term.levels[0]}]")]
    ranks = {name: int((of_draws[name].to_numpy()[kept][:draws] < of_truth[name].iloc[0]).sum()) for name in wanted}
    residual = got.design.y - got.posterior_linpred().to_numpy()[kept][:draws]
    likelihood = _log_likelihood((residual**2).sum(axis=1), got.draws.sigma[kept][:draws], eta.size)
    ranks["log likelihood"] = int((likelihood < _log_likelihood(error @ error, sigma, eta.size)).sum())
    return ranks, any(issubclass(w.category, ConvergenceWarning) for w in caught)


def sbc(
    formula: str,
    data: pd.DataFrame,
    *,
    name: str = "model",
    simulations: int = 300,
    draws: int = 100,
    priors: Mapping[str, object] | None = None,
    seed: int = 1,
    jobs: int | None = None,
    folder: Path | None = None,
    progress: Callable[[str, float], None] | None = None,
    fit: Fitter = _fit,
) -> Calibration:
    """Calibrate the sampler of :func:`pyimpl.stan_lmer` on a model.

    Parameters
    ----------
    formula : str
    data : pandas.DataFrame
        Predictors and groups; the response is replaced by simulated ones.
    name : str
        Of the result, and of its file.
    simulations : int
        Data sets.
    draws : int
        Draws that each true value is ranked among.
    priors : mapping, optional
        Arguments of ``stan_lmer``; those of :data:`PRIORS` unless given. Proper, and not autoscaled.
    seed : int
    jobs : int, optional
        joblib's ``n_jobs``; unless given, that of the ``joblib.parallel_config`` in force.
    folder : Path, optional
        Where the ranks are kept: a campaign that was interrupted goes on from there.
    progress : callable, optional
        Called with a text and the share done.
    fit : callable
        What is calibrated: ``fit(design, seed, chains=, iter=, **priors)``.

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        Autoscaled or flat priors, fewer than one simulation, or a folder with the ranks of another campaign.
    """
    chosen = PRIORS if priors is None else dict(priors)
    for argument in ("prior", "prior_intercept", "prior_aux"):
        if chosen.get(argument) is None or getattr(chosen[argument], "autoscale", False):
            raise InputError(
                f"calibration needs a proper prior that does not look at the data: give {argument}, not autoscaled, "
                "e.g. normal(0, 2)"
            )
    if simulations < 1 or draws < 10:
        raise InputError(f"calibration needs 1 or more simulations and 10 or more draws, not {simulations} and {draws}")
    design = build_design(formula, data, checks=STAN_LMER_CHECKS)
    campaign = {
        "formula": formula,
        "data": data_hash(data),
        "seed": seed,
        "draws": draws,
        "priors": {argument: repr(prior) for argument, prior in sorted(chosen.items())},
    }
    path = None if folder is None else Path(folder) / f"sbc-{name}.json"
    done: dict[int, tuple[dict[str, int], bool]] = {}
    if path is not None and path.exists():
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["campaign"] != campaign:
            raise InputError(
                f"{path} holds the ranks of another campaign (other formula, data, priors, seed or draws): name "
                "another folder, or remove it"
            )
        done = {int(k): (ranks, bool(warned)) for k, (ranks, warned) in record["simulations"].items()}
    todo = [k for k in range(simulations) if k not in done]
    for start in range(0, len(todo), _BATCH):
        (progress or silent)(f"{name}: data sets", 1 - (len(todo) - start) / simulations)
        batch = todo[start : start + _BATCH]
        found = Parallel(n_jobs=jobs)(delayed(_one)(design, chosen, seed, number, draws, fit) for number in batch)
        done.update(zip(batch, found, strict=True))
        if path is not None:
            write_atomically(path, json.dumps({"campaign": campaign, "simulations": dict(sorted(done.items()))}))
    kept = [done[k] for k in sorted(done) if k < simulations]
    ranks = pd.DataFrame([ranks for ranks, _ in kept], index=pd.RangeIndex(len(kept), name="simulation"))
    return Calibration(name, ranks, draws, sum(warned for _, warned in kept))
