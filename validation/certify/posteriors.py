"""Posteriors of the suite by quadrature, with the error of each number.

The collapsed posterior (random effects and Gaussian coefficients integrated out exactly) is summed over a regular
lattice by ``pyimpl.posterior.quadrature``. Two things make a sum differ from the integral: the step, and the points
left out where the density is small. Each is changed: the same sums over lattices with coarser steps and a nearer
cut-off give estimates of the error. They are estimates, not bounds; but the trapezoidal rule converges so fast here
(Trefethen & Weideman 2014) that the coarser sum's difference is by far larger than the finer sum's error.
"""

import datetime as dt
import platform
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from pyimpl.model.design import build_design
from validation.cases import Case
from validation.certify.run import data_of
from validation.references.certified import CertifiedPosterior, available_posteriors, load_posterior, save_posterior
from validation.references.store import DamagedReferenceError, model_hash

__all__ = ["KNOWN_TO", "MOST_DIMENSIONS", "certify_posteriors", "integrate_case", "posterior_name"]

#: Coordinates of the collapsed posterior, at most.
MOST_DIMENSIONS = 4

#: Steps by dimension, in posterior sds; the coarser lattice has 1.25 times that, the coarsest 1.4 times.
STEPS = {2: 0.15, 3: 0.35, 4: 0.5}

#: Points are left out where the log density is this much below its maximum, and for the estimate of what that does.
DROP, NEARER_DROP = 36.0, 30.0

#: A statistic whose estimated error is larger than this share of the posterior sd is not stored.
KNOWN_TO = 1e-6

#: Most points of a lattice.
MOST_POINTS = 1_000_000

#: Rounding of a sum in double precision, relative: a log density carries this share of its size as an absolute error,
#: and the weights of the points carry that.
ROUNDING = 8 * 2.0**-52

METHOD = "trapezoidal sums of the collapsed posterior over two lattices and two cut-offs, rounding added"

_STATISTICS = {"mean": "mean", "sd": "sd", "2.5%": "q2.5", "50%": "q50", "97.5%": "q97.5"}


def posterior_name(case: Case) -> str:
    """Name of a case's posterior: ``M1-bayes`` of ``M1-ml`` and ``M1-reml``."""
    return case.name.removesuffix("-reml").removesuffix("-ml") + "-bayes"


def integrate_case(case: Case) -> CertifiedPosterior | None:
    """Integrate a case's posterior under rstanarm's default priors; None where it has too many dimensions or points."""
    from pyimpl.errors import ModelError
    from pyimpl.model.checks import STAN_LMER_CHECKS
    from pyimpl.posterior.collapsed import CollapsedDensity
    from pyimpl.posterior.priors import decov, default_prior_coef, default_prior_intercept, exponential
    from pyimpl.posterior.quadrature import integrate
    from pyimpl.posterior.specification import specify

    data = data_of(case)
    design = build_design(case.formula, data, checks=STAN_LMER_CHECKS)
    if 1 + sum(term.p * (term.p + 1) // 2 for term in design.terms) > MOST_DIMENSIONS:
        return None
    spec = specify(
        design,
        prior=default_prior_coef(),
        prior_intercept=default_prior_intercept(),
        prior_aux=exponential(autoscale=True),
        prior_covariance=decov(),
    )
    density = CollapsedDensity(spec)
    step = STEPS[density.dim]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fine = integrate(density, step=step, drop=DROP, max_points=MOST_POINTS)
            other = integrate(density, step=1.25 * step, drop=NEARER_DROP, max_points=MOST_POINTS)
    except ModelError:  # too many points
        return None
    rounding = ROUNDING * max(1.0, abs(fine.log_evidence))
    errors = fine.error + (fine.table - other.table).abs()
    rows = [
        *_rows(fine.table, errors, rounding),
        *_rows(fine.ranef, (fine.ranef - other.ranef).abs(), rounding),
    ]
    log_error = fine.log_evidence_error + abs(fine.log_evidence - other.log_evidence) + rounding
    return CertifiedPosterior(
        posterior_name(case),
        case.formula,
        model_hash(case.formula, data),
        tuple(rows),
        fine.log_evidence,
        log_error,
        {
            "method": METHOD,
            "dimensions": density.dim,
            "step": step,
            "points": fine.points,
            "priors": "rstanarm's defaults",
        },
        {
            "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("numpy", "scipy")},
            "dataset": f"{case.package}::{case.dataset}" if case.dataset else "made by validation.suite",
        },
    )


def _rows(table: pd.DataFrame, errors: pd.DataFrame, rounding: float) -> list[tuple[str, str, float, float]]:
    rows = []
    for parameter in table.index:
        sd = float(table.loc[parameter, "sd"])
        for column, statistic in _STATISTICS.items():
            if column not in table.columns:
                continue
            value, error = float(table.loc[parameter, column]), float(errors.loc[parameter, column])
            error += rounding * sd + ROUNDING * abs(value)
            if error <= KNOWN_TO * sd:
                rows.append((str(parameter), statistic, value, error))
    return rows


def certify_posteriors(
    cases: tuple[Case, ...],
    directory: Path | None = None,
    progress: Callable[..., None] | None = None,
    anew: bool = False,
) -> list[Path]:
    """Integrate the posteriors of cases and write them; finished ones are kept.

    Returns
    -------
    list of Path
        The files written.
    """
    say: Any = progress or (lambda *args, **more: None)
    models = list({posterior_name(case): case for case in cases}.values())
    written = []
    for number, case in enumerate(models):
        say(f"integrating {posterior_name(case)}", number / len(models))
        if not anew and _finished(case, directory):
            continue
        found = integrate_case(case)
        if found is not None:
            written.append(save_posterior(found, directory))
    say("integrated", 1.0)
    return written


def _finished(case: Case, directory: Path | None) -> bool:
    name = posterior_name(case)
    if name not in available_posteriors(directory):
        return False
    try:
        stored = load_posterior(name, directory)
    except DamagedReferenceError:
        return False
    return stored.proof.get("method") == METHOD and stored.model_hash == model_hash(case.formula, data_of(case))
