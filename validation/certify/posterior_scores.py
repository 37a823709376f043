"""Samplers and quadrature judged by enclosed posteriors: z-scores with no error on the reference's side."""

import contextlib
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from scipy.stats import norm

from validation.cases import Case
from validation.certify.scores import read_scores, write_scores
from validation.progress import Tracker
from validation.references import certified
from validation.references.store import load
from validation.report.markdown import table

#: Seed of our sampler.
SEED = 349

#: False alarms of a column of the table: the largest |z| of a right sampler is above its limit this often, at most.
ALPHA = 0.01

_FILE = "certified_posterior_scores.json"


def score_summary(summary: pd.DataFrame, posterior: certified.CertifiedPosterior) -> dict[str, float]:
    """Judge a summary of draws, as of ``validation.quantities.posterior_summary``, by the enclosed numbers.

    Returns
    -------
    dict
        ``numbers``: how many were compared; ``rms z``, ``largest z``: of (value − enclosed)/mcse; ``limit``: what the
        largest is below with probability 1 − α at least (Bonferroni); ``largest shift``: in posterior sds.

    Raises
    ------
    LookupError
        The summary lacks a parameter.
    """
    z, shifts = [], []
    for parameter, statistic, value, _, kind in posterior.rows:
        if kind != certified.ENCLOSED or parameter == certified.LOG_EVIDENCE:
            continue
        if parameter not in summary.index:
            raise LookupError(f"the summary has no parameter {parameter!r}, which {posterior.name} has")
        got, error, sd = summary.loc[parameter, [statistic, f"mcse_{statistic}", "sd"]].to_numpy(dtype=float)
        z.append((got - float(value)) / error)
        shifts.append((got - float(value)) / sd)
    size = len(z)
    return {
        "numbers": size,
        "rms z": float(np.sqrt(np.mean(np.square(z)))),
        "largest z": float(np.abs(z).max()),
        "limit": float(norm.isf(ALPHA / 2 / size)),
        "largest shift": float(np.abs(shifts).max()),
    }


def _score_estimates(case: Case, posterior: certified.CertifiedPosterior) -> dict[str, float]:
    """Our quadrature as users call it: greatest difference from what is enclosed, in posterior sds."""
    from pyimpl.design.checks import STAN_LMER_CHECKS
    from pyimpl.design.design import build_design
    from pyimpl.posterior.quadrature import integrate
    from validation.certify.posteriors import default_density
    from validation.certify.run import data_of

    with warnings.catch_warnings(action="ignore"):
        found = integrate(default_density(build_design(case.formula, data_of(case), checks=STAN_LMER_CHECKS)))
    worst = {"moments": 0.0, "quantiles": 0.0}
    columns = {"q2.5": "2.5%", "q50": "50%", "q97.5": "97.5%"}
    for parameter, statistic, value, _, kind in posterior.rows:
        if kind != certified.ENCLOSED or parameter not in found.table.index:
            continue
        got, sd = found.table.loc[parameter, [columns.get(statistic, statistic), "sd"]].to_numpy(dtype=float)
        away = abs(got - float(value)) / sd
        what = "quantiles" if statistic in columns else "moments"
        worst[what] = max(worst[what], away)
    worst["log evidence"] = abs(found.log_evidence - posterior.log_evidence)
    return worst


def score_posteriors(
    cases: Iterable[Case], directory: Path | None = None, progress: Tracker | None = None
) -> dict[str, dict[str, dict[str, float]]]:
    """Judge our sampler, our quadrature and the recorded rstanarm by the enclosed posteriors, and write the scores.

    Scores of other posteriors are kept. Each posterior has those of ``quadrature``, ``sampler``, and ``rstanarm`` where
    it was recorded.
    """
    from pyimpl import stan_lmer
    from validation.certify.posteriors import posterior_name
    from validation.certify.run import data_of
    from validation.quantities import draws_of, posterior_summary

    there = certified.available_posteriors(directory)
    chosen = {posterior_name(case): case for case in cases if posterior_name(case) in there}
    try:
        scores = load_posterior_scores(directory)
    except LookupError:
        scores = {}
    for number, (name, case) in enumerate(chosen.items()):
        posterior = certified.load_posterior(name, directory)
        if not posterior.count(certified.ENCLOSED):
            continue
        if progress is not None:
            progress(f"judging samplers by {name}", number / len(chosen))
        with warnings.catch_warnings(action="ignore"):
            fit = stan_lmer(case.formula, data_of(case), seed=SEED)
        scores[name] = {
            "quadrature": _score_estimates(case, posterior),
            "sampler": score_summary(posterior_summary(*draws_of(fit)), posterior),
        }
        with contextlib.suppress(LookupError):  # not recorded
            scores[name]["rstanarm"] = score_summary(load(name).fit.posterior_summary(), posterior)
    write_scores(_FILE, dict(sorted(scores.items())), directory)
    return scores


def load_posterior_scores(directory: Path | None = None) -> dict[str, dict[str, dict[str, float]]]:
    """The scores as last written.

    Raises
    ------
    LookupError
        There are none.
    """
    return cast("dict[str, dict[str, dict[str, float]]]", read_scores(_FILE, directory))


def markdown(scores: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Scores as a Markdown table."""
    head = ["posterior", "quadrature: mean, sd", "quantiles", "log evidence", "sampler: z", "rstanarm, recorded: z"]
    rows = []
    for name, sides in scores.items():
        quadrature = sides["quadrature"]
        quantiles = f"{quadrature['quantiles']:.0e}" if quadrature["quantiles"] else "–"
        samplers = [
            f"{found['rms z']:.2f}, {found['largest z']:.2f} of {found['numbers']} (limit {found['limit']:.2f})"
            if found
            else "–"
            for found in (sides.get(side) for side in ("sampler", "rstanarm"))
        ]
        rows.append([name, f"{quadrature['moments']:.0e}", quantiles, f"{quadrature['log evidence']:.0e}", *samplers])
    return "\n".join(table(head, rows))
