"""Digits of lme4 and of ours, judged by certified values: log relative errors, as NIST's StRD gives them."""

import json
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from validation.cases import Case
from validation.files import write_atomically
from validation.judge.digits import DOUBLE_DIGITS, digits
from validation.quantities import records
from validation.references import certified
from validation.references.provenance import provenance
from validation.references.store import DIRECTORY, locked

__all__ = [
    "PEER_QUANTITIES",
    "QUANTITIES",
    "SIDES",
    "load_scores",
    "markdown",
    "read_scores",
    "score",
    "score_cases",
    "score_table",
    "write_scores",
]

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

#: Programs that are scored.
SIDES = ("lme4", "lme4, tight", "pyimpl")

_FILE = "certified_digits.json"


def score(fit: Any, name: str, directory: Path | None = None) -> dict[str, float]:
    """Digits of a fit against the certified values of a case.

    Parameters
    ----------
    fit : LinearMixedFit
    name : str
        Certified case.
    directory : Path, optional

    Returns
    -------
    dict of str to float
        For each of :data:`QUANTITIES` the digits of its worst element: the log relative error, at most
        ``DOUBLE_DIGITS``. BLUPs, of which some are 0 by chance, are measured by the largest of their effect; a value
        that should be 0 (a variance at its bound) by its size. NaN where the fit does not give the quantity.
    """
    from validation.quantities import likelihood_quantities

    certificate = certified.load_certificate(name, directory)
    got = likelihood_quantities(fit, certificate.reml).table
    keys = list(zip(*(got[key] for key in ("quantity", "group", "term", "term2", "level")), strict=True))
    found = dict(zip(keys, got["value"].to_numpy(dtype=float), strict=True))
    out = {}
    for title, quantities in QUANTITIES.items():
        rows = [(row[:5], float(row[5])) for row in certificate.rows if row[0] in quantities]
        if title == "BLUPs":
            out[title] = _of_effects(rows, found)
        else:
            out[title] = _worst(digits(found.get(key, np.nan), value) for key, value in rows)
    return out


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


def score_table(table: pd.DataFrame) -> dict[str, float]:
    """Digits of a candidate, from the table of its comparison with certified values; the rules are those of `score`.

    Parameters
    ----------
    table : DataFrame
        ``Comparison.table``, whose reference is certified.

    Returns
    -------
    dict of str to float
        Digits of the worst element of each of :data:`PEER_QUANTITIES`; NaN where a number is missing.
    """
    out = {}
    for title, quantities in PEER_QUANTITIES.items():
        rows = records(table[table["quantity"].isin(quantities)])
        labels = ("quantity", "group", "term", "term2", "level")
        known = [
            (tuple(r[name] for name in labels), float(r["reference"])) for r in rows if r["reference"] == r["reference"]
        ]
        found = {tuple(r[name] for name in labels): float(r["candidate"]) for r in rows}
        if not known:
            out[title] = float("nan")
        elif title == "BLUPs":
            out[title] = _of_effects(known, found)
        else:
            out[title] = _worst(digits(found[key], value) for key, value in known)
    return out


def _of_effects(rows: Sequence[tuple[Any, float]], found: dict[Any, float]) -> float:
    largest: dict[Any, float] = {}
    error: dict[Any, float] = {}
    for key, value in rows:
        effect = key[1:3]
        largest[effect] = max(largest.get(effect, 0.0), abs(value))
        error[effect] = float(np.maximum(error.get(effect, 0.0), abs(found.get(key, np.nan) - value)))
    return _worst(digits(largest[effect] + error[effect], largest[effect]) for effect in largest)


def _worst(values: Iterable[float]) -> float:
    """The least; NaN where one is missing (``min`` would let it pass)."""
    return float(np.min(np.fromiter(values, dtype=float), initial=DOUBLE_DIGITS))


def score_cases(
    cases: Iterable[Case], directory: Path | None = None, progress: Callable[..., None] | None = None
) -> dict[str, Any]:
    """Fit certified cases with live lme4 (as users call it, and tight) and with ours, score them, and write the scores.

    Scores of other cases are kept, as long as they were made with the same R, lme4 and BLAS.

    Returns
    -------
    dict
        ``scores``: case -> side -> quantity -> digits; ``provenance``: versions of R, its packages, BLAS.
    """
    import pyimpl
    from bridge import lme4

    say = progress or (lambda *args, **more: None)
    chosen = [case for case in cases if case.name in certified.available(directory)]
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for number, case in enumerate(chosen):
        say(f"scoring {case.name}", number / len(chosen))
        data = case.load("live")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lme4's warnings are part of what it is scored with
            fits = (
                lme4.lmer(case.formula, data, REML=case.REML),
                lme4.lmer(case.formula, data, REML=case.REML, control="tight"),
                pyimpl.lmer(case.formula, data, REML=case.REML),
            )
            scores[case.name] = {side: score(fit, case.name, directory) for side, fit in zip(SIDES, fits, strict=True)}
    made_with = provenance()
    try:
        before = load_scores(directory)
        if all(before["provenance"].get(name) == made_with.get(name) for name in ("R", "lme4", "BLAS")):
            scores = {**before["scores"], **scores}
    except LookupError:
        pass
    content = {"scores": dict(sorted(scores.items())), "provenance": made_with}
    write_scores(_FILE, content, directory)
    say("scored", 1.0)
    return content


def write_scores(name: str, content: Any, directory: Path | None = None) -> None:
    """Write a file of scores beside the references, under their lock."""
    base = directory or DIRECTORY
    with locked(base):
        write_atomically(base / name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_scores(name: str, missing: str, directory: Path | None = None) -> dict[str, Any]:
    """Read a file of scores.

    Parameters
    ----------
    name : str
        Of the file.
    missing : str
        What to say where there is none.
    directory : Path, optional
        Of the references; the package's own where not given.

    Raises
    ------
    LookupError
        There is none.
    """
    try:
        content: dict[str, Any] = json.loads(((directory or DIRECTORY) / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LookupError(missing) from None
    return content


def load_scores(directory: Path | None = None) -> dict[str, Any]:
    """The scores as last written.

    Raises
    ------
    LookupError
        There are none.
    """
    return read_scores(_FILE, "lme4 has not been scored; `mlmparity certify --digits` does it, where R is", directory)


def markdown(content: dict[str, Any]) -> str:
    """Scores as a Markdown table: a row for each case, three numbers (the sides) in each cell."""
    head = ["case", *QUANTITIES]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, sides in content["scores"].items():
        cells = [" · ".join(_cell(sides[side].get(quantity)) for side in SIDES) for quantity in QUANTITIES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    versions = content["provenance"]
    used = ", ".join(f"{label} {versions[key]}" for label, key in (("R", "R"), ("lme4", "lme4")) if key in versions)
    lines += [
        "",
        f"({used or 'versions unknown'}; {versions.get('date', '')[:10]}; at most {DOUBLE_DIGITS:.0f} digits.)",
    ]
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.1f}"
