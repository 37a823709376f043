"""The standard suite: models whose likelihood fits every program of mixed models should get right, and what each needs.

Certified values, recorded references and the conformance table are all made from these cases. Their data come from R
packages (live, or as recorded), or are made here by integer arithmetic, the same on every machine.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from validation.cases import Case, gcsemv

__all__ = ["FEATURES", "SUITE", "balanced_anova", "nasty"]

#: What a program may or may not be able to do, and what that means.
FEATURES: dict[str, str] = {
    "ml": "maximum likelihood",
    "reml": "REML",
    "slopes": "random slopes, correlated with the intercept",
    "independent": "random slopes without correlation (x || g)",
    "nested": "nested grouping factors (1 | a/b)",
    "crossed": "crossed grouping factors",
    "categorical": "factors among the fixed effects, with R's contrasts",
    "interaction": "interactions among the fixed effects",
    "singular": "a variance whose estimate is 0",
    "weights": "prior weights",
    "offset": "an offset",
    "contrasts": "other contrasts than R's default (contr.sum), and ordered factors",
    "bayes": "posteriors of rstanarm's model, under its default priors",
}


def _of(name: str, package: str, prepare: Callable[[pd.DataFrame], pd.DataFrame] | None = None) -> Any:
    """Return a loader: the data set live from R, or as recorded."""

    def load(against: str = "auto") -> pd.DataFrame:
        from validation.compare import is_live

        live, _ = is_live(against)
        if live:
            from bridge import datasets

            data = datasets.load(name, package=package)
        else:
            from validation.references.store import load_data

            data = load_data(name)
        data.attrs["name"] = name
        return prepare(data) if prepare is not None else data

    return load


def _numbers(n: int, seed: int) -> np.ndarray:
    """Return n whole numbers from 0 to 999 by an exact linear congruential generator (Park & Miller 1988)."""
    state, out = seed, []
    for _ in range(n):
        state = state * 48271 % 2147483647
        out.append(state * 1000 // 2147483647)
    return np.array(out)


def balanced_anova(groups: int, size: int, effect: int, seed: int) -> pd.DataFrame:
    """One-way layout with equal groups, for which the estimates have closed forms (Searle, Casella & McCulloch 1992).

    Parameters
    ----------
    groups, size : int
        Number of groups, and rows in each.
    effect : int
        Size of the groups' effects, in thousandths of the residuals'; 0 gives a variance of 0 or near it.
    seed : int

    Returns
    -------
    DataFrame
        Columns ``y`` (whole multiples of 1/1000) and ``group``.
    """
    residuals = _numbers(groups * size, seed)
    effects = np.repeat(_numbers(groups, seed + 1) * effect // 1000, size)
    labels = [f"g{i:02d}" for i in range(1, groups + 1)]
    return pd.DataFrame(
        {"y": (residuals + effects) / 1000, "group": pd.Categorical(np.repeat(labels, size), categories=labels)}
    )


def nasty() -> pd.DataFrame:
    """Data that punish careless arithmetic: a response near 10⁸ that varies by 1, and a tiny ratio of variances.

    Returns
    -------
    DataFrame
        Columns ``y``, ``x`` and ``group``; unbalanced; ``y`` is exact in double precision (multiples of 1/1024).
    """
    sizes = [3 + (7 * i) % 11 for i in range(24)]
    n = sum(sizes)
    labels = [f"g{i:02d}" for i in range(1, 25)]
    group = np.repeat(np.arange(24), sizes)
    x = (_numbers(n, 31) - 500) / 1024
    effects = (_numbers(24, 77) - 500) * 120 // 1000
    y = 100_000_000 + ((_numbers(n, 5) - 500) + effects[group]) / 1024 + 2 * x
    return pd.DataFrame({"y": y, "x": x, "group": pd.Categorical([labels[i] for i in group], categories=labels)})


def _cases() -> tuple[Case, ...]:
    def female(data: pd.DataFrame) -> pd.DataFrame:
        from validation.cases import prepare_gcsemv

        prepared = prepare_gcsemv(data)
        return prepared.assign(written=data["written"])

    anova = {
        "anova-6x5": (6, 5, 1500, 11),
        "anova-30x4": (30, 4, 700, 23),
        "anova-singular": (8, 6, 0, 3),
    }
    models: list[tuple[str, str, str, Any, str, str, str]] = [
        ("M1", "Tutorial, varying intercept", "course ~ 1 + (1 | school)", gcsemv, "Gcsemv", "mlmRev", ""),
        (
            "M2",
            "Tutorial, with a predictor",
            "course ~ 1 + female + (1 | school)",
            gcsemv,
            "Gcsemv",
            "mlmRev",
            "categorical",
        ),
        (
            "M3",
            "Tutorial, varying slope",
            "course ~ 1 + female + (1 + female | school)",
            gcsemv,
            "Gcsemv",
            "mlmRev",
            "categorical slopes",
        ),
        (
            "written",
            "Gcsemv with a continuous slope",
            "course ~ written + (written | school)",
            _of("Gcsemv", "mlmRev", female),
            "Gcsemv",
            "mlmRev",
            "slopes",
        ),
    ]
    plain = [
        ("sleepstudy", "sleepstudy", "lme4", "Reaction ~ Days + (Days | Subject)", "slopes"),
        ("sleepstudy-independent", "sleepstudy", "lme4", "Reaction ~ Days + (Days || Subject)", "independent"),
        ("Dyestuff", "Dyestuff", "lme4", "Yield ~ 1 + (1 | Batch)", ""),
        ("Dyestuff2", "Dyestuff2", "lme4", "Yield ~ 1 + (1 | Batch)", "singular"),
        ("Penicillin", "Penicillin", "lme4", "diameter ~ 1 + (1 | plate) + (1 | sample)", "crossed"),
        ("Pastes", "Pastes", "lme4", "strength ~ 1 + (1 | batch/cask)", "nested"),
        (
            "cake",
            "cake",
            "lme4",
            "angle ~ recipe * temperature + (1 | recipe:replicate)",
            "categorical interaction contrasts",
        ),
        ("Oxboys", "Oxboys", "mlmRev", "height ~ age + I(age^2) + (age | Subject)", "slopes"),
        ("Exam", "Exam", "mlmRev", "normexam ~ standLRT + sex + (standLRT | school)", "categorical slopes"),
        ("Chem97-nested", "Chem97", "mlmRev", "score ~ gcsecnt + (1 | lea/school)", "nested"),
        ("Chem97-crossed", "Chem97", "mlmRev", "score ~ gcsecnt + (1 | school) + (1 | lea)", "crossed"),
        ("InstEval", "InstEval", "lme4", "y ~ 1 + (1 | s) + (1 | d) + (1 | dept:service)", "crossed too-large"),
    ]
    models += [
        (name, f"{package}::{data}", formula, _of(data, package), data, package, needs)
        for name, data, package, formula, needs in plain
    ]
    models += [
        (
            name,
            f"Balanced one-way layout, {size[0]} groups of {size[1]}",
            "y ~ 1 + (1 | group)",
            balanced_anova(*size),
            "",
            "",
            "singular" if "singular" in name else "",
        )
        for name, size in anova.items()
    ]
    # lme4's log-likelihood of it keeps 7 digits of the certified one.
    models.append(
        (
            "nasty",
            "A huge offset and a tiny ratio of variances",
            "y ~ x + (1 | group)",
            nasty(),
            "",
            "",
            "certified-only",
        )
    )
    return tuple(
        Case(
            f"{name}-{suffix}",
            f"{title}, {words}",
            formula,
            data,
            "likelihood",
            suffix == "reml",
            {},
            dataset,
            package,
            frozenset([suffix, *traits.split()]) & FEATURES.keys(),
            certified_only="certified-only" in traits,
            too_large="too-large" in traits,
        )
        for name, title, formula, data, dataset, package, traits in models
        for suffix, words in (("ml", "maximum likelihood"), ("reml", "REML"))
    )


#: Every model twice: by maximum likelihood (``-ml``) and by REML (``-reml``).
SUITE: tuple[Case, ...] = _cases()
