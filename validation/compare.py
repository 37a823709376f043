"""Compare two implementations of one model: fit both sides, judge, diagnose.

The road is short: :func:`compare` states the model and its reference, :func:`compare_model` fits both sides, and
:func:`judge_pair` makes of two fits a :class:`~validation.comparison.Comparison`, however they came about.
"""

import math
import platform
import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal, cast

import pandas as pd

from pyimpl.frame.columns import as_pandas
from r_scripts.dialect import Dialect
from r_scripts.programs import platform_words
from validation.comparison import Check, Comparison, Fitted, Reference, Side
from validation.contract import BayesianFit, Draws, LinearMixedFit, MultilevelFit, Values
from validation.errors import RAISED, NotSupportedError, SideError, error_in_words
from validation.judge.diagnosis import diagnose, unknown_cause
from validation.judge.diagnosis.versions import version_cause
from validation.judge.evidence import Evidence
from validation.judge.rows import Row, digits, table_of
from validation.options import DEFAULT_SEED, Against, Progress, silent
from validation.quantities import DrawsAlone, quietly, truth_table
from validation.references.choose import Model, Source, choose_source, reference_of
from validation.references.provenance import dialect_of
from validation.tolerances import SHIFT_FINE
from validation.verdict import Cause, Verdict

if TYPE_CHECKING:
    from validation.judge.posterior_evidence import PosteriorEvidence


@dataclass(frozen=True)
class About:
    """What is known of a comparison besides the two fits."""

    formula: str = ""
    title: str | None = None  # the formula where not given
    reml: bool = True  # the criterion that was asked for (likelihood fits)
    data: pd.DataFrame | None = None  # of both: helps to name a cause
    seed: int = DEFAULT_SEED  # of the points where objectives and densities are compared
    truth: pd.DataFrame | None = None  # posterior summaries by quadrature, for either side to be judged against
    density: bool = True  # whether to compare log densities (gate 1)
    progress: Progress = silent


def compare(
    formula: str,
    data: pd.DataFrame,
    *,
    REML: bool = True,
    bayes: bool = False,
    against: Against | Source = "auto",
    seed: int = DEFAULT_SEED,
    weights: Values | None = None,
    offset: Values | None = None,
    priors: Mapping[str, object] | None = None,
    title: str | None = None,
    candidate: Callable[..., MultilevelFit] | None = None,
    progress: Progress | None = None,
    reference_options: Mapping[str, object] | None = None,
    candidate_options: Mapping[str, object] | None = None,
    recorded: str | None = None,
) -> Comparison:
    """Fit a model with R and with Python, and judge whether they agree.

    Parameters
    ----------
    formula : str
        As for ``lmer``.
    data : data frame of any kind
        pandas, polars, pyarrow, or another that narwhals reads; both sides get the same columns.
    REML : bool
        REML criterion or maximum likelihood (likelihood fits).
    bayes : bool
        Compare posteriors (``stan_lmer``) in place of likelihood fits (``lmer``).
    against : {"auto", "live", "recorded", "certified"}
        Live R; recorded references; or live R where it is, recorded ones where not; or the certified values (of the
        likelihood fits of ``validation.suite``).
    seed : int
        Of both samplers, and of the points where objectives and densities are compared.
    weights, offset : optional
        Passed on to both sides.
    priors : mapping, optional
        The model of both sides' ``stan_lmer``: ``prior``, ``prior_intercept``, ``prior_aux`` and ``prior_covariance``,
        made with pyimpl's functions, ``prior_PD`` and ``QR``: ``priors={"prior": pyimpl.hs(), "QR": True}``.
    title : str, optional
        Heading; the formula where not given.
    candidate : callable, optional
        The candidate's fitting function, ``candidate(formula, data, REML=...)`` or, for a posterior,
        ``candidate(formula, data, seed=...)``; ``pyimpl.lmer`` or ``pyimpl.stan_lmer`` where not given.
    progress : callable, optional
        Called with a message and a fraction.
    reference_options, candidate_options : mapping, optional
        Further arguments of either side's fitting function (``iter``, ``chains``, priors, ...).
    recorded : str, optional
        Name of the recorded reference; found by formula, criterion and the data's hash where not given.

    Returns
    -------
    Comparison

    Raises
    ------
    NoReferenceError
        Neither live R nor a recorded reference is to be had.
    SideError
        One side could not fit the model.

    Examples
    --------
    >>> compare("course ~ 1 + (1 | school)", data, REML=False).agrees  # doctest: +SKIP
    True
    """
    r_options, options = dict(reference_options or {}), dict(candidate_options or {})
    if priors:
        if not bayes:
            raise ValueError("priors are for posteriors: give bayes=True")
        from validation.priors import for_r

        r_options, options = {**for_r(priors), **r_options}, {**priors, **options}
    given = {name: value for name, value in (("weights", weights), ("offset", offset)) if value is not None}
    kind: Literal["likelihood", "bayes"] = "bayes" if bayes else "likelihood"
    model = Model(formula, as_pandas(data), kind, REML, given, r_options, name=recorded or "", seed=seed)
    return compare_model(model, against, title=title, candidate=candidate, options=options, progress=progress)


def compare_model(
    model: Model,
    against: str | Source = "auto",
    *,
    title: str | None = None,
    candidate: Callable[..., MultilevelFit] | None = None,
    options: Mapping[str, object] | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Fit a model with both sides, and judge whether they agree; errors as of :func:`compare`.

    ``against`` says where the reference comes from (:func:`validation.references.choose.choose_source`); ``options``
    are further arguments of the candidate's fitting function.
    """
    progress = progress or silent
    reference = reference_of(model, choose_source(against), progress)
    data = reference.data if reference.data is not None else model.load("recorded")
    fitted = candidate_fit(replace(model, data=data), candidate, reference, progress, options)
    # more than a few dimensions, or priors that cannot be integrated: there is no truth then
    truth = quietly(lambda: truth_table(cast("Any", fitted.fit).quadrature()), None) if model.kind == "bayes" else None
    about = About(model.formula, title, model.REML, data, model.seed, truth, progress=progress)
    comparison = judge_pair(reference, fitted, about)
    length = reference.side.provenance.get("iter") if model.kind == "bayes" else None
    if length is not None and "iter" not in model.r_options:
        note = f"rstanarm's default run had not converged; this is one with iter = {length}."
        comparison = replace(comparison, notes=(note, *comparison.notes))
    progress("done", 1.0)
    return comparison


def compare_fits(
    reference: MultilevelFit,
    candidate: MultilevelFit,
    *,
    data: pd.DataFrame | None = None,
    REML: bool | None = None,
    title: str | None = None,
    seed: int = DEFAULT_SEED,
    truth: pd.DataFrame | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Judge whether two fits in hand agree.

    Parameters
    ----------
    reference, candidate : fit
        Both likelihood fits or both posteriors, meeting as much of ``validation.contract`` as they can. What one side
        does not give is reported as missing. The report calls a side by its ``label``, or by its type.
    data : pandas.DataFrame, optional
        The data of both: helps to name a cause.
    REML : bool, optional
        The criterion that was asked for; the reference's where not given.
    title : str, optional
    seed : int
        Of the points where objectives and densities are compared.
    truth : pandas.DataFrame, optional
        Posterior summaries by quadrature, for either side to be judged against.
    progress : callable, optional

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError
        One is a likelihood fit and the other a posterior.
    """
    kinds = [_is_posterior(fit) for fit in (reference, candidate)]
    if kinds[0] != kinds[1]:
        names = ["a posterior" if kind else "a likelihood fit" for kind in kinds]
        raise TypeError(f"the reference is {names[0]} and the candidate {names[1]}: compare two of a kind")
    formula = str(getattr(reference, "formula", "") or getattr(candidate, "formula", "") or "")
    reml = not kinds[0] and (bool(cast("LinearMixedFit", reference).isREML()) if REML is None else REML)
    about = About(formula, title, reml, data, seed, truth, progress=progress or silent)
    left, right = (Fitted(fit, describe_side(fit)) for fit in (reference, candidate))
    return judge_pair(left, right, about)


def compare_draws(reference: Draws, candidate: Draws, *, title: str = "draws", seed: int = DEFAULT_SEED) -> Comparison:
    """Judge whether two sets of draws come from one distribution (gates 2 to 5; there is no density to compare).

    Parameters
    ----------
    reference, candidate : DataTree, Dataset, mapping, or DataFrame
        A DataTree or Dataset with dimensions ``chain`` and ``draw``; or a mapping (a DataFrame among them) from
        parameter to draws: ``(chains, draws)``, or one chain as ``(draws,)``.
    title : str
    seed : int

    Returns
    -------
    Comparison
    """
    left = Fitted(cast("BayesianFit", DrawsAlone(reference)), Side("reference", "third-party"))
    right = Fitted(cast("BayesianFit", DrawsAlone(candidate)), Side("candidate", "third-party"))
    return judge_pair(left, right, About(title=title, seed=seed, density=False))


# ---------------------------------------------------------------------------------------------------- judging


def judge_pair(reference: Fitted, candidate: Fitted, about: About) -> Comparison:
    """Judge two fits of a kind that are at hand, likelihood fits or posteriors: rows, checks, causes and notes."""
    from validation.judge.posterior_evidence import PosteriorEvidence
    from validation.judge.tiers import judge_likelihood, judge_posteriors

    fits: tuple[Any, Any] = reference.fit, candidate.fit
    default = reference.default if isinstance(reference, Reference) else None
    draws: Mapping[str, pd.DataFrame] = {}
    if bayes := _is_posterior(reference.fit):
        posteriors = PosteriorEvidence(*fits, about.truth, about.density)
        checks, rows = judge_posteriors(posteriors, about.seed, about.progress)
        causes, notes, draws = _causes(checks, rows, posteriors), _posterior_notes(posteriors), posteriors.main_draws()
    else:
        evidence = Evidence(*fits, about.reml, about.data)
        checks, rows = judge_likelihood(evidence, about.seed, about.progress)
        causes, notes = _causes(checks, rows, evidence), _likelihood_notes(evidence, rows)
        if (version := version_cause(rows, reference.side, candidate.side, fits)) is not None:
            causes = (version, *(cause for cause in causes if cause.name != "unknown"))
        if default is not None:
            notes.append(_digits_of_default(fits[0], default, about.reml))
    said = [*_fit_notes("reference", fits[0]), *_fit_notes("candidate", fits[1])]
    return Comparison(
        about.title or about.formula,
        about.formula,
        "bayes" if bayes else "likelihood",
        reference.side,
        candidate.side,
        tuple(checks),
        table_of(rows),
        causes,
        (*said, *notes),
        draws,
        _printed(fits[0] if default is None else default, fits[1]),
    )


def _likelihood_notes(evidence: Evidence, rows: Sequence[Row]) -> list[str]:
    notes = []
    better = any(row.verdict is Verdict.BETTER for row in rows)
    if better and evidence.improvement is not None:
        notes.append(
            f"The candidate's optimum is better than the reference's: its objective is lower by "
            f"{evidence.improvement:.2g}."
        )
    if lacking := sum(row.verdict is Verdict.INCONCLUSIVE and math.isnan(row.reference) for row in rows):
        notes.append(
            f"The reference has no value (NaN) of {lacking} numbers: the candidate's are those that its θ implies by "
            "the judge's own algebra."
        )
    if evidence.undetermined and any(row.verdict is Verdict.INCONCLUSIVE for row in rows):
        notes.append(
            "The data do not determine all variance components: the two sides' differ, and the objective is the same "
            f"all the way between them (to {evidence.variation:.2g}). Neither is wrong; the model has a term too many."
        )
    for side, extraction in (("reference", evidence.left), ("candidate", evidence.right)):
        notes += [f"The {side} did not give {name}: {why}" for name, why in extraction.problems.items()]
    return notes


def _posterior_notes(evidence: "PosteriorEvidence") -> list[str]:
    notes = [f"The {side} gave no usable draws: {why}" for side, why in evidence.problems.items()]
    if evidence.detectable > SHIFT_FINE:
        notes.append(
            f"A weak comparison: it would have missed a shift of {evidence.detectable:.2f} posterior sds in a main "
            "parameter. More draws sharpen it."
        )
    return notes


def _causes(
    checks: Sequence[Check], rows: Sequence[Row], evidence: "Evidence | PosteriorEvidence"
) -> tuple[Cause, ...]:
    """Why the sides differ; the detectors are loaded where something does."""
    failed = any(check.verdict.failed for check in checks)
    if not failed and not any(check.verdict is Verdict.INCONCLUSIVE for check in checks):
        return ()
    detectors: list[Any]
    if isinstance(evidence, Evidence):
        from validation.judge.diagnosis import likelihood

        detectors = list(likelihood.DETECTORS if failed else likelihood.OF_INCONCLUSIVE)
    else:
        from validation.judge.diagnosis import posterior

        detectors = [*(posterior.DETECTORS if failed else ()), *posterior.OF_INCONCLUSIVE]
    return diagnose(evidence, detectors, (lambda: unknown_cause(checks, rows)) if failed else None)


def _digits_of_default(tight: LinearMixedFit, default: LinearMixedFit, reml: bool) -> str:
    """How many digits default lme4 has, judged by tight lme4: what a user of R sees and how far it carries."""
    parts: dict[str, Callable[[LinearMixedFit], pd.Series]] = {
        "the coefficients": lambda fit: fit.fixef(),
        "their standard errors": lambda fit: fit.coef_table()["Std. Error"],
        "SDs and correlations": lambda fit: fit.VarCorr()["sdcor"],
    }
    told = []
    try:
        for what, read in parts.items():
            each = [digits(float(x), float(c)) for x, c in zip(read(default), read(tight), strict=True)]
            known = [value for value in each if math.isfinite(value)]
            told += [f"{min(known):.1f} in {what}"] if known else []
        excess = max(0.0, -2.0 * (default.logLik() - tight.logLik()))
    except Exception as error:  # a note only
        return f"Default lme4 could not be measured against tight lme4: {error}"
    return (
        f"lme4 with its default optimizer agrees with tight lme4 to at least so many digits: {', '.join(told)}; its "
        f"{'REML criterion' if reml else 'deviance'} is higher by {excess:.1g}. The tiers are judged "
        "against tight lme4."
    )


# ---------------------------------------------------------------------------------------------------- the sides


def describe_side(fit: object) -> Side:
    """Return what the report calls a fit or a table that came without a description."""
    own, provenance = getattr(fit, "label", None), getattr(fit, "provenance", None)
    package = type(fit).__module__.partition(".")[0]
    label = own if isinstance(own, str) and own else f"{package}.{type(fit).__name__}"
    kind = {"bridge": "live-r", "pyimpl": "python"}.get(package, "third-party")
    return Side(label, kind, dict(provenance) if isinstance(provenance, Mapping) else {})


def candidate_fit(
    model: Model,
    function: Callable[..., MultilevelFit] | None,
    reference: Fitted,
    progress: Progress = silent,
    further: Mapping[str, object] | None = None,
) -> Fitted:
    """Fit a model by the candidate's function with further arguments, or by pyimpl in the reference's dialect.

    A NotSupportedError where the candidate says of itself that it does not have what the model needs, otherwise a
    SideError where it could not fit the model.
    """
    bayes, options, kind = model.kind == "bayes", dict(further or {}), "third-party"
    if function is None:
        import pyimpl

        kind, function = "python", pyimpl.stan_lmer if bayes else pyimpl.lmer
        # it prints, names and warns as the reference's R does
        options = {"dialect": dialect_of(reference.side.provenance), **options}
    name = getattr(function, "__qualname__", type(function).__name__)
    module = str(getattr(function, "__module__", "") or "").partition(".")[0]
    progress(f"{module or name}: fitting", 0.0)
    own: dict[str, Any] = {"seed": model.seed} if bayes else {"REML": model.REML}
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are fields of the fit and become notes
            fit = function(model.formula, model.load("live"), **{**own, **model.options, **options})
    except RAISED as error:
        who, why = f"{module or 'the candidate'} ({name})", error_in_words(error)
        if is_refusal(error):
            raise NotSupportedError(
                f"{who} does not support what this model needs, which {reference.side.label} did fit: {why}"
            ) from error
        raise SideError(f"{who} could not fit the model, which {reference.side.label} did fit: {why}") from error
    seconds = time.perf_counter() - started
    provenance: dict[str, object] = {"python": platform.python_version(), "python_platform": platform_words()}
    provenance |= {package: metadata.version(package) for package in ("numpy", "scipy", "pandas")}
    provenance |= {"seconds": round(seconds, 3), "function": f"{function.__module__}.{name}"}
    if bayes:
        provenance["seed"] = model.seed
    if isinstance(spoken_in := options.get("dialect"), Dialect):
        provenance["dialect"] = dict(spoken_in.versions)
    return Fitted(fit, Side(_python_label(module) if module else name, kind, provenance))


def is_refusal(error: BaseException) -> bool:
    """Whether an error says that something is not there (in Python's way, or in ours), not that it went wrong.

    By the names of its classes: a candidate's error may come from another process, by name.
    """
    refusals = {"NotImplementedError", "FormulaError", "NotSupportedError"}
    return any(kind.__name__ in refusals for kind in type(error).__mro__)


def _python_label(module: str) -> str:
    for distribution in ("mlmparity", module) if module == "pyimpl" else (module,):
        try:
            return f"{module} {metadata.version(distribution)}"
        except metadata.PackageNotFoundError:
            continue
    return module


def _is_posterior(fit: object) -> bool:
    names = dir(fit)  # hasattr would build the posterior
    return "posterior" in names or "posterior_summary" in names


def _fit_notes(side: str, fit: object) -> list[str]:
    notes = []
    for kind in ("warnings", "messages"):
        try:
            given = getattr(fit, kind, ())[:200]  # a stranger's may be a million, or have as many characters
            texts = [re.sub(r"\s+", " ", str(text)[:10_000]).strip() for text in given]
        except Exception:
            continue
        notes += [f"The {side} says ({kind[:-1]}): {text}" for text in dict.fromkeys(texts) if text]
    return notes


def _printed(reference: MultilevelFit, candidate: MultilevelFit) -> dict[str, str]:
    printed = {}
    for side, fit in (("reference", reference), ("candidate", candidate)):
        try:
            printed[side] = str(fit.summary())[:1_000_000]
        except Exception:  # a side that prints nothing
            continue
    return printed
