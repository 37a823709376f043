"""Digits of lme4 and of ours, judged by certified values: log relative errors, as NIST's StRD gives them."""

import json
import math
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias, TypedDict, cast

import numpy as np
import pandas as pd

from validation.cases import Case
from validation.contract import LinearMixedFit
from validation.files import write_atomically
from validation.judge.rows import DOUBLE_DIGITS, digits
from validation.progress import Tracker
from validation.quantities import likelihood_quantities
from validation.references import certified
from validation.references.provenance import provenance
from validation.references.store import DIRECTORY
from validation.report.markdown import table

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
PEER_QUANTITIES: dict[str, tuple[str, ...]] = {
    "θ": ("theta",),
    "σ": ("sigma",),
    "SDs": ("sd",),
    "β": ("fixef",),
    "SE": ("se",),
    "logLik": ("logLik",),
    "BLUPs": ("ranef",),
}

#: Programs that are scored.
SIDES = ("lme4", "lme4, tight", "pyimpl")


class Scores(TypedDict):
    """Digits of each case, side and quantity, and the versions of R, its packages and BLAS."""

    scores: dict[str, dict[str, dict[str, float]]]
    provenance: dict[str, str]


_FILE = "certified_digits.json"


#: quantity, group, term, term2, level
_Key: TypeAlias = tuple[object, ...]

_KEYS = ("quantity", "group", "term", "term2", "level")


def score(fit: LinearMixedFit, name: str, directory: Path | None = None) -> dict[str, float]:
    """Digits of a fit against the certified values of a case.

    For each of :data:`QUANTITIES` those of its worst element: the log relative error, at most ``DOUBLE_DIGITS``. BLUPs,
    of which some are 0 by chance, are measured by the largest of their effect; a value that should be 0 (a variance at
    its bound) by its size. NaN where the fit does not give the quantity.
    """
    certificate = certified.load_certificate(name, directory)
    got = likelihood_quantities(fit, certificate.reml).table
    known: dict[_Key, float] = {row[:5]: float(row[5]) for row in certificate.rows}
    return _digits(QUANTITIES, known, _by_label(got, "value"))


def score_table(compared: pd.DataFrame) -> dict[str, float]:
    """Digits of a candidate, from the table of its comparison with certified values; the rules are those of `score`.

    Of each of :data:`PEER_QUANTITIES` the worst element counts; NaN where a number is missing.
    """
    known = _by_label(compared[compared["reference"].notna()], "reference")
    return _digits(PEER_QUANTITIES, known, _by_label(compared, "candidate"))


def _by_label(table: pd.DataFrame, column: str) -> dict[_Key, float]:
    keys = zip(*(table[key] for key in _KEYS), strict=True)
    return dict(zip(keys, table[column].to_numpy(dtype=float), strict=True))


def _digits(
    titles: Mapping[str, tuple[str, ...]], known: Mapping[_Key, float], found: Mapping[_Key, float]
) -> dict[str, float]:
    out = {}
    for title, quantities in titles.items():
        rows = [(key, value) for key, value in known.items() if key[0] in quantities]
        if title == "BLUPs":
            effects: dict[object, list[tuple[float, float]]] = {}
            for key, value in rows:
                effects.setdefault(key[1:3], []).append((value, abs(found.get(key, math.nan) - value)))
            each = [
                digits(largest + float(np.max([error for _, error in own])), largest)
                for own in effects.values()
                for largest in [max(abs(value) for value, _ in own)]
            ]
        else:
            each = [digits(found.get(key, math.nan), value) for key, value in rows]
        out[title] = float(np.min(each, initial=DOUBLE_DIGITS)) if each else math.nan  # NaN where one is missing
    return out


def score_cases(cases: Iterable[Case], directory: Path | None = None, progress: Tracker | None = None) -> Scores:
    """Fit certified cases with live lme4 (as users call it, and tight) and with ours, score them, and write the scores.

    Scores of other cases are kept, as long as they were made with the same R, lme4 and BLAS.
    """
    import pyimpl
    from bridge import lme4

    chosen = [case for case in cases if case.name in certified.available(directory)]
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for number, case in enumerate(chosen):
        if progress is not None:
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
    try:
        before = load_scores(directory)
        if all(before["provenance"].get(name) == made_with.get(name) for name in ("R", "lme4", "BLAS")):
            scores = {**before["scores"], **scores}
    except LookupError:
        pass
    content: Scores = {"scores": dict(sorted(scores.items())), "provenance": made_with}
    write_scores(_FILE, {**content}, directory)
    return content


def write_scores(name: str, content: Mapping[str, object], directory: Path | None = None) -> None:
    """Write a file of scores beside the references."""
    write_atomically((directory or DIRECTORY) / name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def load_scores(directory: Path | None = None) -> Scores:
    """The scores as last written.

    Raises
    ------
    LookupError
        There are none.
    """
    return cast("Scores", read_scores(_FILE, directory))


def read_scores(name: str, directory: Path | None = None) -> object:
    """A file of scores as last written; LookupError where there is none."""
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
