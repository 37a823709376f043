"""Fits by live R: lme4 as users call it and with a tight optimizer, and rstanarm until its draws are valid."""

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pandas as pd

from r_scripts.dialect import Dialect
from validation import tolerances
from validation.comparison import Reference, Side, dialect_of
from validation.errors import SideError, error_in_words
from validation.options import Progress
from validation.quantities import draws_of, posterior_summary
from validation.references.provenance import data_hash, r_versions

#: Lengths of rstanarm's chains (``iter``) to go on with where its default run is not valid.
RSTANARM_LENGTHS = (4000, 8000)


def live_dialect() -> Dialect:
    """The dialect of the R that the bridge starts; the newest where its versions cannot be had."""
    return dialect_of(r_versions()) or Dialect.of(None)


def converged(summary: pd.DataFrame) -> bool:
    """Whether draws with this :func:`~validation.quantities.posterior_summary` pass gate 2 but for divergences."""
    return bool(
        (summary["rhat"] < tolerances.VALIDITY.rhat).all()
        and (summary[["ess_bulk", "ess_tail"]] >= tolerances.VALIDITY.ess).all(axis=None)
    )


def live_lmer(
    formula: str, data: pd.DataFrame, reml: bool, arguments: Mapping[str, Any], progress: Progress, default: bool = True
) -> Reference:
    """lme4's fit with a tight optimizer and, where ``default`` is set, with its own beside it."""
    from bridge import lme4

    started, plain = time.perf_counter(), None
    with _explained("R (lme4::lmer)"):
        if default:
            progress("lme4: default optimizer", 0.0)
            plain = lme4.lmer(formula, data, REML=reml, **arguments)
        progress("lme4: tight optimizer", 0.0)
        tight = lme4.lmer(formula, data, REML=reml, control="tight", **arguments)
    return Reference(tight, _side("lme4", data, time.perf_counter() - started, {"optimizer": "tight"}), plain, data)


def live_stan_lmer(
    formula: str, data: pd.DataFrame, seed: int, arguments: Mapping[str, Any], progress: Progress
) -> Reference:
    """Rstanarm's posterior; who sets the length of the chains keeps it, its default is doubled until it is valid."""
    from bridge import rstanarm

    options = {"seed": seed, **arguments}
    lengths: tuple[int, ...] = () if {"iter", "chains", "warmup", "thin"} & options.keys() else RSTANARM_LENGTHS
    progress("rstanarm: sampling", 0.0)
    started = time.perf_counter()
    with _explained("R (rstanarm::stan_lmer)"):
        fit = rstanarm.stan_lmer(formula, data, progress=progress, **options)
        for length in lengths:
            if converged(posterior_summary(*draws_of(fit))):
                break
            options["iter"] = length
            progress(f"rstanarm: its draws are not valid yet; sampling again with iter = {length}", 0.0)
            fit = rstanarm.stan_lmer(formula, data, progress=progress, **options)
    return Reference(fit, _side("rstanarm", data, time.perf_counter() - started, options), None, data)


@contextmanager
def _explained(side: str) -> Iterator[None]:
    """Our own errors pass unchanged (they are clear already, and the command knows them); others are explained.

    Warnings are fields of the fit and become notes.
    """
    from bridge.errors import BridgeError

    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except BridgeError:
        raise
    except Exception as error:
        raise SideError(f"{side} could not fit the model: {error_in_words(error)}") from error


def _side(package: str, data: pd.DataFrame, seconds: float, options: Mapping[str, Any]) -> Side:
    """Versions, the seconds it took, the data's hash, options."""
    versions = r_versions()
    plain = {name: value for name, value in options.items() if isinstance(value, str | int | float | bool)}
    version = versions.get(package, "")
    return Side(
        f"{package} {version}, live".replace(" ,", ","),
        "live-r",
        {**versions, "seconds": round(seconds, 3), "data": data_hash(data), **plain},
    )
