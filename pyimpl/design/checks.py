"""What lme4 checks before it fits, in its order and words: ``checkNlevels``, ``checkZdims``, X's rank and scale."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pyimpl.errors import DataError, ModelError
from pyimpl.linalg.columns import centred_squares
from r_scripts.dialect import Dialect

__all__ = [
    "ACTIONS",
    "LMER_CHECKS",
    "SCALE_NOTES",
    "STAN_LMER_CHECKS",
    "Action",
    "CheckControl",
    "check_effects",
    "check_levels",
    "check_scale",
    "check_weights",
    "rank_message",
    "scale_note",
]


#: lme4's warnings about predictors' scales, before and since lme4 1.1-38; its fits print them too.
SCALE_NOTES = (
    "Some predictor variables are on very different scales: consider rescaling",
    "Some predictor variables are on very different scales: consider rescaling. \nYou may also use "
    "(g)lmerControl(autoscale = TRUE) to improve numerical stability.",
)

#: What a check may do, in ``lmerControl``'s words; here a message is a warning, too.
Action = Literal["stop", "warning", "message", "ignore"]
ACTIONS: tuple[Action, ...] = ("stop", "warning", "message", "ignore")


@dataclass(frozen=True)
class CheckControl:
    """Which checks apply, as ``lmerControl`` and rstanarm's ``make_glmerControl`` set them.

    Attributes
    ----------
    nlev_gtr_1 : Action
        A grouping factor with one level (``check.nlev.gtr.1``).
    nobs_vs_nlev : Action
        As many levels as rows (``check.nobs.vs.nlev``).
    nobs_vs_nre : Action
        As many random effects in a term as rows (``check.nobs.vs.nRE``).
    positive_weights : bool
        Refuse weights of 0. lme4 accepts them and then cannot fit: its criterion has the logarithm of the weights.
    scale_x : Action
        Predictors on very different scales (``check.scaleX``).
    duplicate_terms : bool
        Refuse the same effect twice for one grouping factor (rstanarm's ``check_reTrms``).
    reserved_b : bool
        Refuse a fixed-effect column named ``b`` (rstanarm).
    scale_note : str
        What is said of predictors on very different scales: :func:`scale_note`.
    """

    nlev_gtr_1: Action = "stop"
    nobs_vs_nlev: Action = "stop"
    nobs_vs_nre: Action = "stop"
    positive_weights: bool = True
    scale_x: Action = "warning"
    duplicate_terms: bool = False
    reserved_b: bool = False
    scale_note: str = SCALE_NOTES[1]


def scale_note(dialect: Dialect) -> str:
    """Return what a version of lme4 says of predictors on very different scales."""
    return SCALE_NOTES[dialect.has("autoscale")]


#: The checks of ``lme4::lmer``.
LMER_CHECKS = CheckControl()
#: The checks of ``rstanarm::stan_lmer``: priors identify what the data do not.
STAN_LMER_CHECKS = CheckControl(
    nobs_vs_nlev="ignore",
    nobs_vs_nre="ignore",
    positive_weights=False,
    scale_x="ignore",
    duplicate_terms=True,
    reserved_b=True,
)


def _found(action: Action, text: str) -> list[str]:
    """Refuse, or return what is to be warned about."""
    if action == "stop":
        raise ModelError(text)
    return [] if action == "ignore" else [text]


def check_levels(levels: Sequence[tuple[str, int]], rows: int, control: CheckControl) -> list[str]:
    """``checkNlevels``: (grouping factor, number of levels) of each, in lme4's order.

    Returns
    -------
    list of str
        What is to be warned about.

    Raises
    ------
    ModelError
    """
    notes = []
    single = [group for group, count in levels if count < 2]
    if single:
        notes += _found(
            control.nlev_gtr_1,
            f"grouping factors must have > 1 sampled level (problems: {', '.join(single)}). A variance between levels "
            "cannot be estimated from one level: leave the term out.",
        )
    crowded = [group for group, count in levels if count >= rows]
    if crowded:
        notes += _found(
            control.nobs_vs_nlev,
            "number of levels of each grouping factor must be < number of observations (problems: "
            f"{', '.join(crowded)}). With one row a level ({rows} rows) its variance cannot be told from the "
            "residual's: group by a coarser factor.",
        )
    return notes


def check_weights(weights: np.ndarray | None, control: CheckControl) -> None:
    """Refuse weights of 0.

    Raises
    ------
    DataError
    """
    if weights is None or not control.positive_weights:
        return
    zeros = int(np.count_nonzero(weights == 0))
    if zeros:
        raise DataError(
            f"weights has {zeros} value(s) of 0. The likelihood of a row of weight 0 is 0 or undefined (lme4's "
            "criterion is Inf, and its fit just the starting values). Leave these rows out, e.g. subset='w > 0'."
        )


def check_effects(terms: Sequence[tuple[str, int]], rows: int, control: CheckControl) -> list[str]:
    """``checkZdims``: (label of the term, number of random effects) of each.

    Returns
    -------
    list of str
        What is to be warned about.

    Raises
    ------
    ModelError
    """
    notes = []
    for label, count in terms:
        if rows <= count:
            notes += _found(
                control.nobs_vs_nre,
                f"number of observations (={rows}) <= number of random effects (={count}) for term ({label}); the "
                "random-effects parameters and the residual variance (or scale parameter) are probably unidentifiable. "
                "Take effects out of the term, or group by a coarser factor.",
            )
    return notes


def check_duplicates(terms: Sequence[tuple[str, Sequence[str]]], control: CheckControl) -> None:
    """Rstanarm's ``check_reTrms``: no effect twice for one grouping factor.

    Raises
    ------
    ModelError
    """
    if not control.duplicate_terms:
        return
    seen: dict[str, Sequence[str]] = {}
    for group, effects in terms:
        repeated = [effect for effect in effects if effect in seen.get(group, ())]
        if repeated:
            raise ModelError(
                "rstanarm does not permit formulas with duplicate group-specific terms. In this case "
                f"{group} is used as a grouping factor multiple times and {', '.join(repeated)} is included "
                "multiple times. Consider using || or -1 in the formula to prevent this from happening."
            )
        seen.setdefault(group, effects)


def check_names(names: Sequence[str], control: CheckControl) -> None:
    """Rstanarm's refusal of a predictor named ``b``.

    Raises
    ------
    DataError
    """
    if control.reserved_b and "b" in names:
        raise DataError("stan_lmer does not allow the name 'b' for predictor variables. Rename the column.")


def rank_message(dropped: int) -> str:
    """lme4's message about dropped columns (``chkRank.drop.cols``)."""
    what = "column / coefficient" if dropped == 1 else "columns / coefficients"
    return f"fixed-effect model matrix is rank deficient so dropping {dropped} {what}"


def check_scale(X: np.ndarray, control: CheckControl, indicators: Sequence[bool] | None = None) -> str | None:
    """``checkScaleX``: lme4's warning where predictors are on very different scales, or None.

    Columns of only 0 and 1 do not count (`indicators` marks those known to be such); sds, or ratios of sds, beyond a
    factor of 1000 do.

    Raises
    ------
    ModelError
        Where that is asked for.
    """
    rows = X.shape[0]
    if control.scale_x == "ignore" or rows < 2 or (indicators is not None and all(indicators)):
        return None
    squares = centred_squares(np.ascontiguousarray(X, dtype=np.float64))
    counted = [square / (rows - 1) for square in squares.tolist() if square != -1.0]
    logs = [0.5 * math.log(variance) if variance > 0 else -math.inf for variance in counted]
    limit = math.log(1000.0)
    if logs and (max(map(abs, logs)) > limit or max(logs) - min(logs) > limit):
        return _found(control.scale_x, control.scale_note)[0]
    return None
