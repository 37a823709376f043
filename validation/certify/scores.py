"""Programs judged by certified values.

Fits by the digits that are right: log relative errors, as NIST's StRD gives them. Samplers and quadrature by enclosed
posteriors: z-scores with no error on the reference's side.
"""

import contextlib
import json
import math
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias, TypedDict, cast

import numpy as np
import pandas as pd
from scipy.stats import norm

from validation.cases import Case
from validation.contract import LinearMixedFit
from validation.files import write_atomically
from validation.judge.rows import DOUBLE_DIGITS, digits
from validation.options import Progress, silent
from validation.quantities import QUANTILES, draws_of, likelihood_quantities, posterior_summary
from validation.references import certified
from validation.references.provenance import provenance
from validation.references.store import DIRECTORY, load
from validation.report.wording import table

#: What is scored: name -> quantities of ``validation.quantities``.
QUANTITIES: dict[str, tuple[str, ...]] = {
    "θ": ("theta",),
    "σ": ("sigma",),
    "SDs": ("sd",),
    "β": ("fixef",),
    "SE": ("se",),
    "deviance": ("deviance", "REMLcrit"),
    "BLUPs": ("ranef",),
    "conditional sds": ("condsd",),
}

#: What a table of peers shows: heading -> quantities of a comparison's table.
PEER_QUANTITIES = {name: QUANTITIES.get(name, (name,)) for name in ("θ", "σ", "SDs", "β", "SE", "logLik", "BLUPs")}

#: Programs that are scored.
SIDES = ("lme4", "lme4, tight", "pyimpl")


class Scores(TypedDict):
    """Digits of each case, side and quantity, and the versions of R, its packages and BLAS."""

    scores: dict[str, dict[str, dict[str, float]]]
    provenance: dict[str, str]


#: Judgements of quadrature and samplers: name of the posterior -> program -> figure.
PosteriorScores: TypeAlias = dict[str, dict[str, dict[str, float]]]

#: Seed of our sampler.
SEED = 349

#: False alarms of a column of the samplers' table: the largest |z| of a right sampler is above its limit this often, at
#: most.
ALPHA = 0.01

_DIGITS, _POSTERIORS = "certified_digits.json", "certified_posterior_scores.json"


# ----------------------------------------------------------------------------------------------------- digits of fits


def score(fit: LinearMixedFit, name: str, directory: Path | None = None) -> dict[str, float]:
    """Digits of a fit against the certified values of a case.

    For each of :data:`QUANTITIES` those of its worst element: the log relative error, at most ``DOUBLE_DIGITS``. BLUPs,
    of which some are 0 by chance, are measured by the largest of their effect; a value that should be 0 (a variance at
    its bound) by its size. NaN where the fit does not give the quantity.
    """
    certificate = certified.load_certificate(name, directory)
    known = certificate.table().rename(columns={"value": "reference"}).astype({"reference": float})
    found = likelihood_quantities(fit, certificate.reml).table.rename(columns={"value": "candidate"})
    keys = list(certified.COLUMNS[:5])
    return score_table(known.merge(found[[*keys, "candidate"]], on=keys, how="left"), QUANTITIES)


def score_table(compared: pd.DataFrame, titles: Mapping[str, tuple[str, ...]] = PEER_QUANTITIES) -> dict[str, float]:
    """Digits of a candidate, from the table of its comparison with certified values; the rules are those of `score`.

    Of each kind of number the worst element counts; NaN where one is missing.
    """
    compared = compared[compared["reference"].notna()]
    out = {}
    for title, quantities in titles.items():
        rows = compared[compared["quantity"].isin(quantities)]
        found, known = rows["candidate"].astype(float), rows["reference"].astype(float)
        if title == "BLUPs":
            largest = known.abs().groupby([rows["group"], rows["term"]], dropna=False).transform("max")
            found, known = largest + (found - known).abs(), largest
        each = list(map(digits, found, known))
        out[title] = float(np.min(each, initial=DOUBLE_DIGITS)) if each else math.nan  # NaN where one is missing
    return out


def score_cases(cases: Iterable[Case], directory: Path | None = None, progress: Progress = silent) -> Scores:
    """Fit certified cases with live lme4 (as users call it, and tight) and with ours, score them, and write the scores.

    Scores of other cases are kept, as long as they were made with the same R, lme4 and BLAS.
    """
    import pyimpl
    from bridge import lme4

    chosen = [case for case in cases if case.name in certified.available(directory)]
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for number, case in enumerate(chosen):
        progress(f"scoring {case.name}", number / len(chosen))
        data = case.load("live")
        with warnings.catch_warnings(action="ignore"):  # lme4's warnings are part of what it is scored with
            fits: tuple[LinearMixedFit, ...] = (
                lme4.lmer(case.formula, data, REML=case.REML),
                lme4.lmer(case.formula, data, REML=case.REML, control="tight"),
                pyimpl.lmer(case.formula, data, REML=case.REML),
            )
            scores[case.name] = {side: score(fit, case.name, directory) for side, fit in zip(SIDES, fits, strict=True)}
    made_with = {name: str(value) for name, value in provenance().items()}
    with contextlib.suppress(LookupError):  # nothing was scored before
        before = load_scores(directory)
        if all(before["provenance"].get(name) == made_with.get(name) for name in ("R", "lme4", "BLAS")):
            scores = {**before["scores"], **scores}
    content: Scores = {"scores": dict(sorted(scores.items())), "provenance": made_with}
    _write(_DIGITS, content, directory)
    return content


def load_scores(directory: Path | None = None) -> Scores:
    """The digits as last written; a LookupError where there are none."""
    return cast("Scores", _read(_DIGITS, directory))


def _write(name: str, content: object, directory: Path | None) -> None:
    write_atomically((directory or DIRECTORY) / name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _read(name: str, directory: Path | None) -> object:
    try:
        return json.loads(((directory or DIRECTORY) / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LookupError("nothing has been scored yet; `mlmparity certify --digits` does it, where R is") from None


def markdown(content: Scores) -> str:
    """Scores as a Markdown table: a row for each case, three numbers (the sides) in each cell."""

    def cell(value: float | None) -> str:
        return "–" if value is None or math.isnan(value) else f"{value:.1f}"

    rows = [
        [name, *(" · ".join(cell(sides[side].get(quantity)) for side in SIDES) for quantity in QUANTITIES)]
        for name, sides in content["scores"].items()
    ]
    versions = content["provenance"]
    used = ", ".join(f"{name} {versions[name]}" for name in ("R", "lme4") if name in versions)
    below = f"({used or 'versions unknown'}; {versions.get('date', '')[:10]}; at most {DOUBLE_DIGITS:.0f} digits.)"
    return "\n".join([*table(["case", *QUANTITIES], rows), "", below])


# ------------------------------------------------------------------------------------- samplers by enclosed posteriors


def score_summary(summary: pd.DataFrame, posterior: certified.CertifiedPosterior) -> dict[str, float]:
    """Judge a summary of draws, as of ``validation.quantities.posterior_summary``, by the enclosed numbers.

    Returns
    -------
    dict
        ``numbers``: how many were compared; ``rms z``, ``largest z``: of (value − enclosed)/mcse; ``limit``: what the
        largest is below with probability 1 − α at least (Bonferroni).

    Raises
    ------
    LookupError
        The summary lacks a parameter.
    """
    z = []
    for parameter, statistic, value in posterior.enclosed():
        if parameter not in summary.index:
            raise LookupError(f"the summary has no parameter {parameter!r}, which {posterior.name} has")
        got, error = summary.loc[parameter, [statistic, f"mcse_{statistic}"]].to_numpy(dtype=float)
        z.append((got - value) / error)
    size = len(z)
    return {
        "numbers": size,
        "rms z": float(np.sqrt(np.mean(np.square(z)))),
        "largest z": float(np.abs(z).max()),
        "limit": float(norm.isf(ALPHA / 2 / size)),
    }


def _score_estimates(case: Case, posterior: certified.CertifiedPosterior) -> dict[str, float]:
    """Our quadrature as users call it: greatest difference from what is enclosed, in posterior sds."""
    from pyimpl.design.checks import STAN_LMER_CHECKS
    from pyimpl.design.design import build_design
    from pyimpl.posterior.quadrature import integrate
    from validation.certify.posteriors import STATISTICS, default_density

    with warnings.catch_warnings(action="ignore"):
        found = integrate(default_density(build_design(case.formula, case.load("recorded"), checks=STAN_LMER_CHECKS)))
    table = found.table.rename(columns=STATISTICS)
    worst = {"moments": 0.0, "quantiles": 0.0}
    for parameter, statistic, value in posterior.enclosed():
        if parameter in table.index:  # random effects have a table of their own
            got, sd = table.loc[parameter, [statistic, "sd"]].to_numpy(dtype=float)
            what = "quantiles" if statistic in QUANTILES else "moments"
            worst[what] = max(worst[what], abs(got - value) / sd)
    worst["log evidence"] = abs(found.log_evidence - posterior.log_evidence)
    return worst


def score_posteriors(
    cases: Iterable[Case], directory: Path | None = None, progress: Progress = silent
) -> PosteriorScores:
    """Judge our sampler, our quadrature and the recorded rstanarm by the enclosed posteriors, and write the scores.

    Scores of other posteriors are kept. Each posterior has those of ``quadrature``, ``sampler``, and ``rstanarm`` where
    it was recorded.
    """
    from pyimpl import stan_lmer
    from validation.certify.posteriors import by_posterior

    there = certified.available_posteriors(directory)
    chosen = {name: case for name, case in by_posterior(cases).items() if name in there}
    scores: PosteriorScores = {}
    with contextlib.suppress(LookupError):  # nothing was scored before
        scores = load_posterior_scores(directory)
    for number, (name, case) in enumerate(chosen.items()):
        posterior = certified.load_posterior(name, directory)
        if not posterior.count(certified.ENCLOSED):
            continue
        progress(f"judging samplers by {name}", number / len(chosen))
        with warnings.catch_warnings(action="ignore"):
            fit = stan_lmer(case.formula, case.load("recorded"), seed=SEED)
        scores[name] = {
            "quadrature": _score_estimates(case, posterior),
            "sampler": score_summary(posterior_summary(*draws_of(fit)), posterior),
        }
        with contextlib.suppress(LookupError):  # not recorded
            scores[name]["rstanarm"] = score_summary(load(name).fit.posterior_summary(), posterior)
    _write(_POSTERIORS, dict(sorted(scores.items())), directory)
    return scores


def load_posterior_scores(directory: Path | None = None) -> PosteriorScores:
    """The scores as last written; a LookupError where there are none."""
    return cast("PosteriorScores", _read(_POSTERIORS, directory))


def posterior_markdown(scores: PosteriorScores) -> str:
    """Judgements of samplers as a Markdown table."""
    head = ["posterior", "quadrature: mean, sd", "quantiles", "log evidence", "sampler: z", "rstanarm, recorded: z"]

    def cell(found: Mapping[str, float] | None) -> str:
        if found is None:
            return "–"
        return f"{found['rms z']:.2f}, {found['largest z']:.2f} of {found['numbers']} (limit {found['limit']:.2f})"

    rows = []
    for name, sides in scores.items():
        errors = [sides["quadrature"][what] for what in ("moments", "quantiles", "log evidence")]
        differences = [f"{error:.0e}" if error else "–" for error in errors]
        rows.append([name, *differences, *(cell(sides.get(side)) for side in ("sampler", "rstanarm"))])
    return "\n".join(table(head, rows))
