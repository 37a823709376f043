"""Recording live R: data sets, lme4 default and tight, rstanarm in chunks of chains until its draws suffice."""

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from validation.algebra import pieces_of
from validation.cases import Case
from validation.covariances import parameters_of
from validation.files import explained, write_atomically
from validation.judge.objective import theta_points
from validation.judge.posterior_evidence import main_parameters, thinned
from validation.judge.validity import density_points
from validation.options import Progress, silent
from validation.quantities import draws_of, posterior_summary
from validation.references.provenance import data_hash, provenance
from validation.references.recorded import RecordedLmerFit, RecordedStanFit, ReportedFit
from validation.references.store import DIRECTORY, Record, model_hash, save, save_data
from validation.references.whole import DEFAULT_OPTIMUM, TIGHT_OPTIMUM

#: Seed of the recording's first chunk; each chunk adds one.
SEED = 20181

#: Bulk ESS wanted of every main parameter, and chains at least (posteriordb's criteria).
ESS_WANTED, CHAINS_AT_LEAST = 10_000, 10

#: Most chunks of two chains before giving up.
MOST_CHUNKS = 30


class NotConvergedError(RuntimeError):
    """rstanarm's chains do not reach the criteria of a reference."""


def record(
    cases: Sequence[Case],
    directory: Path | None = None,
    progress: Progress | None = None,
    quick: bool = False,
) -> list[Path]:
    """Record what live R gives for some cases, and the data sets they use; returns the files written.

    A recording that was interrupted goes on where it stopped: finished cases are kept, and so are finished chunks of
    chains, as long as R, its packages and the scripts are the same. ``quick`` records a small posterior (four chains of
    1000): to try the recording, not to judge by.
    """
    folder, progress = directory or DIRECTORY, progress or silent
    base = provenance()
    state = _State(folder / ".partial", {name: base[name] for name in base if name != "date"} | {"quick": quick})
    written: list[Path] = []
    recorded_data: set[str] = set()
    for number, case in enumerate(cases):
        progress(f"recording {case.name}", number / len(cases))
        if case.dataset and case.dataset not in recorded_data:
            written.append(_record_data(case.dataset, case.package, folder))
            recorded_data.add(case.dataset)
        if state.finished(case.name):
            written.append(folder / "cases" / f"{case.name}.json")
            continue
        data = case.load("live")
        hashed = model_hash(case.formula, data)
        bayes = case.kind == "bayes"
        found = _posterior(case, data, progress, quick, state) if bayes else _likelihood_fit(case, data, progress)
        made = {**base, "data": hashed, "dataset": case.dataset, **found.details}
        stored = Record(case.name, case.formula, case.kind, case.REML, hashed, found.fit, found.default, made)
        written.append(save(stored, folder))
        state.finish(case.name)
    state.clear()
    progress("recorded", 1.0)
    return written


def _record_data(name: str, package: str, folder: Path) -> Path:
    from bridge import datasets

    return save_data(name, datasets.load(name, package=package), folder)


class _Found(NamedTuple):
    """What is recorded of a model."""

    fit: RecordedLmerFit | RecordedStanFit
    default: ReportedFit | None  # lme4 with its default optimizer
    details: dict[str, Any]  # how it was made


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
    return _Found(fit, ReportedFit.of(default), {"arguments": {"REML": case.REML, **_described(case.options)}})


def _described(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as a provenance can hold them: a vector (weights, an offset) by its hash."""
    return {
        name: {"sha256": data_hash(pd.DataFrame({name: np.asarray(value, dtype=float)}))}
        if isinstance(value, pd.Series | np.ndarray | list)
        else value
        for name, value in options.items()
    }


def _posterior(case: Case, data: pd.DataFrame, progress: Progress, quick: bool, state: "_State") -> _Found:
    from bridge import rstanarm

    arguments: dict[str, Any] = {"chains": 4, "iter": 1000} if quick else {"chains": 2, "iter": 5000, "warmup": 1000}
    wanted, at_least = (200.0, 4) if quick else (float(ESS_WANTED), CHAINS_AT_LEAST)
    chunks: list[np.ndarray] = []
    names: list[str] = []
    divergences = 0
    fit = None
    for number in range(MOST_CHUNKS):
        kept = state.chunk(case.name, number)
        if kept is not None and number > 0:  # the first is sampled again: its fit evaluates the density
            names, draws, diverging = kept
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # kept as fields of the record
                fit_now = rstanarm.stan_lmer(case.formula, data, seed=SEED + number, progress=progress, **arguments)
            fit = fit if fit is not None else fit_now
            names, draws = draws_of(fit_now)
            diverging = int(np.asarray(fit_now.posterior["sample_stats"]["diverging"]).sum())
            state.keep(case.name, number, names=names, draws=draws, divergences=diverging)
        chunks.append(draws)
        divergences += diverging
        together = np.concatenate(chunks, axis=1)
        main = [names.index(name) for name in main_parameters(names)]
        ess = float(posterior_summary([names[i] for i in main], together[main])["ess_bulk"].min())
        progress(
            f"{case.name}: {together.shape[1]} chains, smallest bulk ESS of the main parameters {ess:.0f}",
            min(1.0, ess / wanted),
        )
        if ess >= wanted and together.shape[1] >= at_least:
            break
    summary = posterior_summary(names, together)
    if not quick and (ess < 0.8 * wanted or not (summary["rhat"] < 1.01).all() or divergences):
        raise NotConvergedError(
            f"{case.name}: {together.shape[1]} chains give a smallest bulk ESS of {ess:.0f} (wanted {wanted:.0f}), a "
            f"largest R-hat of {summary['rhat'].max():.4f} and {divergences} divergences; nothing was written"
        )
    assert fit is not None  # the first chunk is always sampled
    points, _ = density_points(fit, None, SEED)
    density = np.array([float(fit.log_prob(point)) for point in points])
    independent = {names[i]: thinned(together[i], summary.iloc[i]) for i in main}
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
    return _Found(stored, None, details)


class _State:
    """What an unfinished recording has done already; thrown away when it was made under other versions."""

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        self.folder = folder
        made_under, versions = folder / "versions.json", json.dumps(key, default=str)
        try:
            known = made_under.read_text(encoding="utf-8")
        except (OSError, ValueError):
            known = None
        if known != versions:
            self.clear()
            write_atomically(made_under, versions)

    def clear(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def finished(self, case: str) -> bool:
        return (self.folder / f"{case}.finished").exists()

    def finish(self, case: str) -> None:
        write_atomically(self.folder / f"{case}.finished", "")
        for path in self.folder.glob(f"{case}.*.npz"):
            path.unlink(missing_ok=True)

    def keep(self, case: str, number: int, **chunk: Any) -> None:
        path = self.folder / f"{case}.{number}.npz"
        temporary = path.with_suffix(".part")
        with explained(temporary), open(temporary, "wb") as file:
            np.savez(file, **chunk)
        temporary.replace(path)

    def chunk(self, case: str, number: int) -> tuple[list[str], np.ndarray, int] | None:
        try:
            with np.load(self.folder / f"{case}.{number}.npz", allow_pickle=False) as kept:
                return kept["names"].tolist(), kept["draws"], int(kept["divergences"])
        except (OSError, ValueError, KeyError, BadZipFile):
            return None
