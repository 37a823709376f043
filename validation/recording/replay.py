"""Recorded references against live R: a reference that R no longer confirms is a failure, a changed version is said."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from validation.cases import Case
from validation.checks import Check
from validation.compare import compare_fits
from validation.comparison import Comparison
from validation.options import DEFAULT_SEED
from validation.references.provenance import r_versions
from validation.references.store import Record, load, model_hash
from validation.verdict import Verdict

__all__ = ["changed_versions", "replay"]

#: What may change the numbers when its version changes.
WATCHED = ("R", "lme4", "rstanarm", "rstan", "mlmRev", "Matrix", "BLAS", "blas")


def replay(
    case: Case,
    directory: Path | None = None,
    seed: int = DEFAULT_SEED,
    progress: Callable[..., None] | None = None,
    options: dict[str, Any] | None = None,
) -> Comparison:
    """Fit a case with live R again and judge it by what was recorded.

    Parameters
    ----------
    case : Case
    directory : Path, optional
        Where the references are.
    seed : int
        Of the new sampling of a posterior.
    progress : callable, optional
    options : dict, optional
        Further arguments of R's fitting function.

    Returns
    -------
    Comparison
        Reference: the record. Candidate: live R. Its first check says whether the data are those of the record.
    """
    record = load(case.name, directory)
    data = case.load("live")
    versions = r_versions()
    if record.kind == "likelihood":
        from bridge import lme4

        live: Any = lme4.lmer(
            case.formula, data, REML=case.REML, control="tight", **{**case.options, **(options or {})}
        )
        package = "lme4"
    else:
        from bridge import rstanarm

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are fields of the fit and become notes
            live = rstanarm.stan_lmer(case.formula, data, seed=seed, progress=progress, **(options or {}))
        package = "rstanarm"
    comparison = compare_fits(
        record.fit,
        live,
        data=data,
        title=f"{case.title}: the record against live R",
        seed=seed,
        reference_label=record.side.label,
        reference_kind="recorded-r",
        candidate_label=f"{package} {versions.get(package, '')}".strip() + ", live",
        candidate_kind="live-r",
        progress=progress,
    )
    notes = [*changed_versions(record, versions), *comparison.notes]
    return replace(comparison, checks=(_same_data(record, case, data), *comparison.checks), notes=tuple(notes))


def _same_data(record: Record, case: Case, data: Any) -> Check:
    now = model_hash(case.formula, data)
    same = now == record.model_hash
    return Check(
        "data",
        "The same data",
        Verdict.AGREES if same else Verdict.DISAGREES,
        "the hash of the data is "
        f"{'that of the record' if same else f'{now[:12]}…, recorded {record.model_hash[:12]}…'}",
        "A reference is one of its data: other data need another reference.",
    )


def changed_versions(record: Record, versions: dict[str, str]) -> list[str]:
    """One note for each version that is not the recorded one."""
    notes = []
    for name in WATCHED:
        recorded, now = record.provenance.get(name), versions.get(name)
        if recorded is not None and now is not None and str(recorded) != str(now):
            notes.append(f"{name} was {recorded} when {record.name} was recorded and is {now} now.")
    return notes
