"""Comparisons made up for the tests of the report: agreeing, failing, hostile, empty, large."""

import math
from typing import Any

import numpy as np
import pandas as pd

from validation.comparison import TABLE_COLUMNS, Check, Comparison, Side
from validation.verdict import Cause, Verdict

R = Side(
    "lme4 1.1-31 on R 4.2.2, live",
    "live-r",
    {"R": "4.2.2", "packages": {"lme4": "1.1-31", "Matrix": "1.5-3"}, "seconds": 0.0523, "seed": None},
)
RECORDED = Side("recorded lme4 1.1-31 on R 4.2.2", "recorded-r", {"recorded": "2026-11-20"})
PYTHON = Side("pyimpl 0.1.0", "python", {"python": "3.13", "numpy": "2.5"})

HOSTILE = [
    "<script>window.hacked = true</script>",
    '"><img src=x onerror="window.hacked=true">',
    "</style><style>body{display:none}",
    "</script><script>window.hacked=true</script>",
    "$\\frac{1}{0$ {{ 7*7 }} {% raw %}",
    "\u202eright-to-left\u202c \x1b[31mred\x1b[0m\nline",
    "Ünïcödé 学校 🏫 \u2028\u2029",
    "long " * 60,
    "[bold red]markup[/]",
    "]]> --> <!-- &amp; '",
]


def row(check: str, quantity: str, reference: float, candidate: float, **more: Any) -> dict[str, Any]:
    """One row of a table; the verdict follows from the values unless given."""
    difference = candidate - reference
    size = abs(reference) or 1.0
    relative = abs(difference) / size
    made: dict[str, Any] = {
        "check": check,
        "quantity": quantity,
        "group": None,
        "term": None,
        "term2": None,
        "level": None,
        "reference": reference,
        "candidate": candidate,
        "difference": difference,
        "digits": 15.0 if relative == 0 else min(15.0, -math.log10(relative)),
        "scaled": abs(difference),
        "unit": "standard errors",
        "tolerance": 1e-5,
        "verdict": Verdict.AGREES if abs(difference) <= 1e-5 else Verdict.DISAGREES,
        "reason": "a derivative-free optimizer carries no more",
    }
    return made | more


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS))


def likelihood(title: str = "M2, ML", levels: int = 12, reference: Side = R, seed: int = 1) -> Comparison:
    """A comparison that agrees."""
    noise = np.random.default_rng(seed)
    rows = [
        row("tier-3", "deviance", 14009.426341, 14009.426341 - 3e-9, unit="absolute", tolerance=1e-6),
        row("tier-1", "nobs", 1725, 1725, unit="exact", tolerance=0.0),
        row("tier-4", "fixef", 69.73015, 69.73015 + 2e-8, term="(Intercept)"),
        row("tier-4", "fixef", 6.73912, 6.73912 - 3e-9, term="femaleF"),
        row("tier-4", "se", 1.18458, 1.18458 + 1e-8, term="(Intercept)"),
        row("tier-4", "se", 0.67805, 0.67805, term="femaleF"),
        row("tier-4", "sd", 8.75507, 8.75507 - 4e-7, group="school", term="(Intercept)"),
        row("tier-4", "sigma", 13.41496, 13.41496 + 1e-8),
    ]
    for j in range(levels):
        value = float(noise.normal(0, 8))
        rows.append(
            row(
                "tier-5",
                "ranef",
                value,
                value + float(noise.normal(0, 1e-8)),
                group="school",
                term="(Intercept)",
                level=str(20000 + j),
                unit="conditional sd",
            )
        )
    checks = (
        Check("tier-1", "Rows, names, designs", Verdict.AGREES, "all identical", "exact: these are labels and counts"),
        Check(
            "tier-2",
            "The objective at the same θ",
            Verdict.AGREES,
            "largest relative difference 3e-15 at 12 points (allowed 1e-10)",
            "relative 1e-10: the same algebra in double precision",
        ),
        Check("tier-4", "Estimates", Verdict.AGREES, "largest 4e-7 standard errors", "in units of their own error"),
    )
    printed = "Linear mixed model fit by maximum likelihood  ['lmerMod']\nFormula: course ~ 1 + female + (1 | school)\n"
    return Comparison(
        title,
        "course ~ 1 + female + (1 | school)",
        "likelihood",
        reference,
        PYTHON,
        checks,
        table(rows),
        notes=("lme4 with its default optimizer stops 2e-5 away from the optimum.",),
        printed={"reference": printed, "candidate": printed},
    )


def disagreeing(title: str = "M2, REML for ML") -> Comparison:
    """A comparison that fails, with its cause, a missing row and a better optimum."""
    good = likelihood(title)
    rows = good.table.copy()
    rows.loc[6, ["candidate", "difference", "scaled", "digits"]] = [8.9, 0.14493, 0.17, 1.8]
    rows["verdict"] = rows["verdict"].astype(object)
    rows.loc[6, "verdict"] = Verdict.DISAGREES
    rows.loc[6, "reason"] = "off by 0.17 standard errors"
    rows.loc[0, "verdict"] = Verdict.BETTER
    rows.loc[10, ["candidate", "difference", "scaled", "digits"]] = np.nan
    rows.loc[10, "verdict"] = Verdict.MISSING
    rows.loc[10, "reason"] = "Python has no such row"
    checks = (
        *good.checks[:2],
        Check("tier-4", "Estimates", Verdict.DISAGREES, "1 of 8 outside: sd school", "in units of their own error"),
        Check("tier-5", "BLUPs", Verdict.MISSING, "1 row is missing", "by level label"),
    )
    cause = Cause(
        1,
        "reml-vs-ml",
        "REML estimates were compared with ML estimates",
        "the candidate's sd equals R's REML value 8.90000 to 7 digits",
        "Pass REML=False on both sides.",
    )
    printed = {"reference": "a\nREML criterion\nsame\n", "candidate": "a\nML deviance\nsame\n"}
    return Comparison(
        title, good.formula, "likelihood", R, PYTHON, checks, rows, (cause,), ("a better optimum",), {}, printed
    )


def bayes(title: str = "M3, Bayes", draws: int = 400, seed: int = 2) -> Comparison:
    """An inconclusive Bayesian comparison with draws."""
    noise = np.random.default_rng(seed)
    names = {"(Intercept)": (69.4, 1.4), "femaleF": (7.1, 1.15), "sigma": (13.04, 0.23)}
    rows = []
    for name, (mean, sd) in names.items():
        for quantity, shift in (("post-mean", 0.0), ("post-sd", None), ("post-q2.5", -1.96), ("post-q97.5", 1.96)):
            value = sd if shift is None else mean + shift * sd
            wiggle = float(noise.normal(0, 0.02 * sd))
            rows.append(
                row("gate-3", quantity, value, value + wiggle, term=name, unit="z", scaled=abs(wiggle) / (0.03 * sd))
                | {"tolerance": 3.6, "verdict": Verdict.AGREES}
            )
    for j in range(8):
        value = float(noise.normal(0, 8))
        rows.append(
            row("gate-3", "post-mean", value, value + 0.01, group="school", term="(Intercept)", level=str(j), unit="z")
            | {"tolerance": 3.6, "verdict": Verdict.AGREES}
        )
    sides = {
        side: pd.DataFrame({name: noise.normal(mean, sd, draws) for name, (mean, sd) in names.items()})
        for side in ("reference", "candidate")
    }
    checks = (
        Check("gate-1", "The same density", Verdict.AGREES, "largest 2e-13 at 60 points", "1e-8 relative, no noise"),
        Check("gate-2", "Validity", Verdict.INCONCLUSIVE, "bulk ESS of sigma is 310 in R (needs 400)", "first of all"),
    )
    return Comparison(
        title,
        "course ~ 1 + female + (1 + female | school)",
        "bayes",
        Side("rstanarm 2.21.3 on R 4.2.2, live", "live-r", {"seed": 349}),
        PYTHON,
        checks,
        table(rows),
        notes=("The smallest shift this comparison could have detected is 0.09 sd.",),
        draws=sides,
    )


def hostile() -> Comparison:
    """Labels that try to be mark-up, script, mathematics, terminal escapes."""
    rows = []
    for label in HOSTILE:
        rows.append(row("tier-4", "fixef", 1.0, 1.0 + 1e-9, term=label))
        rows.append(row("tier-4", "se", 0.5, 0.5, term=label))
        rows.append(row("tier-5", "ranef", 2.0, 2.5, group=label, term=label, level=label, reason=label))
    rows.append(row("tier-4", label, math.inf, -math.inf, verdict=Verdict.DISAGREES))
    nasty = HOSTILE[0]
    cause = Cause(3, "coding", nasty, HOSTILE[3], HOSTILE[1])
    checks = tuple(Check(label, label, Verdict.DISAGREES, label, label) for label in HOSTILE)
    draws = {side: pd.DataFrame({label: np.arange(20.0) for label in HOSTILE}) for side in ("reference", "candidate")}
    printed = {"reference": "\n".join(HOSTILE), "candidate": "\n".join(reversed(HOSTILE))}
    return Comparison(
        nasty,
        f"y ~ `{HOSTILE[3]}` + (1 | g)",
        "likelihood",
        Side(f"lme4 {nasty}, live", "live-r", {nasty: nasty, "nested": {HOSTILE[3]: [nasty, math.inf, math.nan]}}),
        PYTHON,
        checks,
        table(rows),
        (cause,),
        tuple(HOSTILE),
        draws,
        printed,
    )


def empty() -> Comparison:
    """Nothing was compared."""
    return Comparison("nothing", "y ~ 1 + (1 | g)", "likelihood", R, PYTHON, (), pd.DataFrame())
