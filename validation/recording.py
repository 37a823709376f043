"""Recording live R: data sets, lme4 default and tight, rstanarm in chunks of chains until its draws suffice."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from validation.algebra import pieces_of
from validation.cases import Case
from validation.covariances import parameters_of
from validation.files import explained, make_folder
from validation.judge.objective import theta_points
from validation.judge.posteriors import main_parameters, thinned
from validation.judge.validity import density_points
from validation.options import Progress, silent
from validation.quantities import draws_of, posterior_summary
from validation.references.provenance import data_hash, provenance
from validation.references.recorded import RecordedLmerFit, RecordedStanFit, ReportedFit
from validation.references.store import DIRECTORY, Record, model_hash, save, save_data
from validation.references.whole import DEFAULT_OPTIMUM, TIGHT_OPTIMUM
from validation.tolerances import RECORDED, VALIDITY

#: Seed of the recording's first chunk; each chunk adds one.
SEED = 20181

#: Bulk ESS wanted of every main parameter, and chains at least (posteriordb's criteria).
ESS_WANTED, CHAINS_AT_LEAST = 10_000, 10

#: Most chunks of two chains before giving up.
MOST_CHUNKS = 30


class NotConvergedError(RuntimeError):
    """rstanarm's chains do not reach the criteria of a reference."""


def record(cases: Sequence[Case], directory: Path | None = None, progress: Progress | None = None) -> list[Path]:
    """Record what live R gives for some cases, and the data sets they use; returns the files written.

    One that was interrupted goes on: what takes long, finished chunks of chains, is kept as long as R, its packages and
    the scripts are the same.
    """
    from bridge import datasets

    folder, progress = directory or DIRECTORY, progress or silent
    base = provenance()
    versions = json.dumps({name: base[name] for name in base if name != "date"})
    partial = folder / ".partial" / hashlib.sha256(versions.encode()).hexdigest()[:16]  # of these versions alone
    make_folder(partial)
    written: list[Path] = []
    for name, package in {case.dataset: case.package for case in cases if case.dataset}.items():
        written.append(save_data(name, datasets.load(name, package=package), folder))
    for number, case in enumerate(cases):
        progress(f"recording {case.name}", number / len(cases))
        data = case.load("live")
        hashed = model_hash(case.formula, data)
        if case.kind == "bayes":
            fit, default, how = _posterior(case, data, progress, partial)
        else:
            fit, default, how = _likelihood_fit(case, data, progress)
        made = {**base, "data": hashed, "dataset": case.dataset, **how}
        stored = Record(case.name, case.formula, case.kind, case.REML, hashed, fit, default, made)
        written.append(save(stored, folder))
    shutil.rmtree(folder / ".partial", ignore_errors=True)
    progress("recorded", 1.0)
    return written


#: What is recorded of a model, and how it was made; of lme4 also with its default optimizer.
_Found = tuple[RecordedLmerFit | RecordedStanFit, ReportedFit | None, dict[str, Any]]


def _likelihood_fit(case: Case, data: pd.DataFrame, progress: Progress) -> _Found:
    from bridge import lme4

    progress(f"{case.name}: lme4")
    options: dict[str, Any] = dict(case.options)
    default = lme4.lmer(case.formula, data, REML=case.REML, **options)
    tight = lme4.lmer(case.formula, data, REML=case.REML, control="tight", **options)
    theta, other = (parameters_of(fit).to_numpy(dtype=float) for fit in (tight, default))
    points = theta_points(theta, other, pieces_of(tight).bounds, SEED, n_random=12)
    names = {"reference optimum": TIGHT_OPTIMUM, "candidate optimum": DEFAULT_OPTIMUM}
    fit = RecordedLmerFit.of(tight, [(names.get(name, name), point) for name, point in points])
    return fit, ReportedFit.of(default), {"arguments": {"REML": case.REML, **_described(case.options)}}


def _described(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as a provenance can hold them: a vector (weights, an offset) by its hash."""
    return {
        name: {"sha256": data_hash(pd.DataFrame({name: np.asarray(value, dtype=float)}))}
        if isinstance(value, pd.Series | np.ndarray | list)
        else value
        for name, value in options.items()
    }


def _posterior(case: Case, data: pd.DataFrame, progress: Progress, partial: Path) -> _Found:
    from bridge import rstanarm

    arguments: dict[str, Any] = {"chains": 2, "iter": 5000, "warmup": 1000}
    chunks: list[np.ndarray] = []
    names: list[str] = []
    divergences = 0
    fit = None
    for number in range(MOST_CHUNKS):
        path = partial / f"{case.name}.{number}.npz"
        kept = _kept(path)
        if kept is not None and number > 0:  # the first is sampled again: its fit evaluates the density
            names, draws, diverging = kept
        else:
            with warnings.catch_warnings(action="ignore"):  # kept as fields of the record
                fit_now = rstanarm.stan_lmer(case.formula, data, seed=SEED + number, progress=progress, **arguments)
            fit = fit if fit is not None else fit_now
            names, draws = draws_of(fit_now)
            diverging = int(np.asarray(fit_now.posterior["sample_stats"]["diverging"]).sum())
            _keep(path, names=names, draws=draws, divergences=diverging)
        chunks.append(draws)
        divergences += diverging
        together = np.concatenate(chunks, axis=1)
        summary, main = posterior_summary(names, together), main_parameters(names)
        ess = float(summary.loc[main, "ess_bulk"].min())
        progress(
            f"{case.name}: {together.shape[1]} chains, smallest bulk ESS of the main parameters {ess:.0f}",
            min(1.0, ess / ESS_WANTED),
        )
        if ess >= ESS_WANTED and together.shape[1] >= CHAINS_AT_LEAST:
            break
    if ess < RECORDED.enough * ESS_WANTED or not (summary["rhat"] < VALIDITY.rhat).all() or divergences:
        raise NotConvergedError(
            f"{case.name}: {together.shape[1]} chains give a smallest bulk ESS of {ess:.0f} (wanted {ESS_WANTED}), a "
            f"largest R-hat of {summary['rhat'].max():.4f} and {divergences} divergences; nothing was written"
        )
    assert fit is not None  # the first chunk is always sampled
    points, _ = density_points(fit, None, SEED)
    density = np.array([float(fit.log_prob(point)) for point in points])
    independent = {names[i]: thinned(together[i], summary.iloc[i]) for i in map(names.index, main)}
    length = min(len(values) for values in independent.values())
    spread = {  # so many of each, evenly over all chains
        name: values[np.linspace(0, len(values) - 1, length).round().astype(int)]
        for name, values in independent.items()
    }
    stored = RecordedStanFit(
        formula=str(fit.formula),
        table=summary,
        draws=pd.DataFrame(spread),
        points=np.ascontiguousarray(points),
        log_density=density,
        divergences=divergences,
        observations=int(fit.nobs()),
        warnings=tuple(fit.warnings),
        messages=tuple(fit.messages),
        printed=str(fit.summary()),
        priors=str(fit.prior_summary()),
    )
    details = {
        "seed": SEED,
        "chunks": len(chunks),
        "chains": int(together.shape[1]),
        "draws": int(together.shape[1] * together.shape[2]),
        "smallest_bulk_ess": round(ess),
        "arguments": arguments,
    }
    return stored, None, details


def _keep(path: Path, **chunk: Any) -> None:
    """Write draws of an unfinished recording, whole or not at all."""
    temporary = path.with_suffix(".part")
    with explained(temporary), open(temporary, "wb") as file:
        np.savez(file, **chunk)
    temporary.replace(path)


def _kept(path: Path) -> tuple[list[str], np.ndarray, int] | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            return kept["names"].tolist(), kept["draws"], int(kept["divergences"])
    except (OSError, ValueError, KeyError, BadZipFile):
        return None
