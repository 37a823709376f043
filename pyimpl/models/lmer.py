"""``lmer``: linear mixed models by maximum likelihood or REML, as ``lme4::lmer`` fits them."""

from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any, Unpack

from pyimpl.arguments import SIGNATURES, dialect_of
from pyimpl.design.checks import scale_note
from pyimpl.design.design import Design, design_of, frame_of
from pyimpl.design.model_matrix import Contrasts
from pyimpl.design.reading import read_formula
from pyimpl.errors import DataError, ModelError
from pyimpl.formula.parse import deparse, parse
from pyimpl.frame.model_frame import FrameArguments, Subset, VectorLike
from pyimpl.inference.at_optimum import Theta, find_optimum
from pyimpl.inference.control import LmerControl
from pyimpl.inference.source import Source
from pyimpl.likelihood.reduce import reduce_design
from pyimpl.models.lmer_fit import LmerFit
from pyimpl.printing import CallText
from r_scripts.arguments import LmerArguments, check_r_arguments
from r_scripts.dialect import Dialect

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LmerControl", "LmerFit", "fit_design", "lmer"]

_USUAL = LmerControl()


@SIGNATURES.leaving("formula", "data", "control", "contrasts", "offset", "weights", "r_arguments")
def lmer(
    formula: str,
    data: "pd.DataFrame",
    REML: bool = True,
    *,
    control: LmerControl | None = None,
    start: Theta | None = None,
    weights: VectorLike | None = None,
    offset: VectorLike | None = None,
    subset: Subset | None = None,
    na_action: str = "na.omit",
    contrasts: Contrasts | None = None,
    data_name: str | None = None,
    dialect: Dialect | Mapping[str, str] | str | None = None,
    **r_arguments: Unpack[LmerArguments],
) -> LmerFit:
    """Fit a linear mixed model, as ``lme4::lmer``.

    Parameters
    ----------
    formula : str
        In lme4's language: ``"course ~ 1 + female + (1 + female | school)"``.
    data : DataFrame of pandas or polars, pyarrow Table, or another that narwhals reads
        Categorical columns are factors, with their categories' order; results have pandas' index, or 0, 1, ...
        ``data.attrs["contrasts"]``, a mapping like ``contrasts``, is what R's ``contrasts(data$f) <- contr.sum`` gives
        a factor: it holds in the random effects too, which R's argument ``contrasts`` leaves as they are.
    REML : bool
        Restricted maximum likelihood (R's default), or maximum likelihood.
    control : LmerControl, optional
        Options of the optimizer.
    start : array-like, optional
        θ to start from, in lme4's order.
    weights, offset : str, array or Series, optional
        Name of a column, or a number for each row of the data.
    subset : str, array of bool or of int, optional
        Rows to use: a condition in R's words, a mask, or numbers of rows as R counts them, from 1 (``"1:50"``).
    na_action : {"na.omit", "na.exclude", "na.fail"}
        What to do with rows that have missing values.
    contrasts : mapping, optional
        Variable -> name (``"contr.sum"``) or matrix.
    data_name : str, optional
        What ``summary()`` prints after "Data:"; default ``data.attrs["name"]``, or "data".
    dialect : Dialect, mapping or str, optional
        Whose words the fit has: a version of lme4 (``"1.1-31"``), a tested stack (``"debian-12"``) or packages with
        their versions (``"lme4 1.1-37, R 4.5.0"``). It decides what is printed, named and warned, never an estimate.
        The newest where not given; fits made from this one have its dialect.
    **r_arguments
        Arguments of R's that have no meaning here (``verbose``): accepted, so that a call carried over from R runs.

    Returns
    -------
    LmerFit

    Raises
    ------
    FormulaError, DataError, ModelError
        Where the formula, the data or the model do not fit; R refuses too. A dialect that says nothing.

    Warns
    -----
    SingularFitWarning
        The estimated covariance matrix of the random effects is singular.
    ConvergenceWarning
        The optimizer did not reach a minimum, or the model is nearly unidentifiable.

    Examples
    --------
    >>> fit = lmer("course ~ 1 + female + (1 + female | school)", gcse, REML=False)  # doctest: +SKIP
    >>> print(fit.summary())  # doctest: +SKIP
    """
    if r_arguments:
        check_r_arguments("lmer", r_arguments, signature(lmer).parameters, ModelError)
    control = _checked_control(control)
    words = dialect_of(dialect)
    checks = control.checks
    note = scale_note(words)
    if note != checks.scale_note:
        checks = replace(checks, scale_note=note)

    read = read_formula(formula, words)
    frame = frame_of(read, data, FrameArguments(weights, offset, subset, na_action), dialect=words)
    design = design_of(read, frame, contrasts=contrasts, checks=checks, dialect=words)
    reduced = reduce_design(design)
    optimum = find_optimum(design, reduced, REML, control, start)
    # what follows from θ̂ is inferred (pyimpl.inference.estimates.infer) when the first verb asks for it
    call = CallText(
        formula=design.formula,
        data=data_name if data_name is not None else str(getattr(data, "attrs", {}).get("name", "data")),
        weights=_argument_text(weights, "weights"),
        offset=_argument_text(offset, "offset"),
        subset=_argument_text(subset, "subset"),
        dialect=words,
    )
    arguments: dict[str, Any] = {"weights": weights, "offset": offset, "subset": subset, "na_action": na_action}
    arguments |= {"contrasts": contrasts, "control": control, "data_name": data_name, "dialect": dialect}
    fit = LmerFit(optimum, call, Source(data, arguments, lmer), control)
    fit.give_warnings()
    return fit


@SIGNATURES.leaving("control")
def fit_design(
    design: Design,
    REML: bool = True,
    *,
    control: LmerControl | None = None,
    start: Theta | None = None,
    call: CallText | None = None,
) -> LmerFit:
    """Fit a design that is there already; see :func:`lmer` for what is raised and warned.

    Parameters
    ----------
    design : Design
    REML : bool
    control : LmerControl, optional
    start : array-like, optional
        θ to start from.
    call : CallText, optional
        What the printed output shows, and whose words the fit has; by default the formula and the newest.

    Returns
    -------
    LmerFit
        One that cannot be updated: it has no data.
    """
    control = _checked_control(control)
    reduced = reduce_design(design)
    optimum = find_optimum(design, reduced, REML, control, start)
    fit = LmerFit(optimum, call or CallText(design.formula), None, control)
    fit.give_warnings()
    return fit


def _checked_control(control: object) -> LmerControl:
    """Refuse options that are another package's."""
    if control is not None and not isinstance(control, LmerControl):
        raise DataError(
            f"control is None or LmerControl(...), not {control!r}: lme4's optimizers and their options are not there "
            "(fit.allFit() compares optimizers)."
        )
    return control or _USUAL


def _argument_text(value: object, name: str) -> str | None:
    """How R's call would show an argument: a column's name or condition as written, an array by its name."""
    if value is None:
        return None
    if isinstance(value, str):
        return deparse(parse(value)) if name == "subset" else value
    return str(getattr(value, "name", None) or name)
