"""Compare two implementations of one model: fit both sides, judge, diagnose."""

import inspect
import platform
import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from typing import Any, Literal

import numpy as np
import pandas as pd

from pyimpl.frame.columns import as_pandas
from r_scripts.dialect import Dialect
from validation.comparison import Check, Comparison, Side
from validation.dialects import dialect_of
from validation.judge.diagnosis import diagnose, unknown_cause
from validation.judge.diagnosis.versions import version_cause
from validation.judge.evidence import Evidence
from validation.judge.rows import table_of
from validation.quantities import data_hash, draws_of, posterior_summary
from validation.verdict import Cause, Verdict

__all__ = [
    "Against",
    "DrawsAlone",
    "NoReferenceError",
    "Progress",
    "SideError",
    "candidate_fit",
    "compare",
    "compare_draws",
    "compare_fits",
    "compare_posteriors",
    "describe_side",
    "is_live",
    "likelihood_reference",
    "live_r_side",
    "spoken",
]

#: Where the reference comes from: live R, what was recorded of it, or live R where it is and recorded where not; or the
#: certified values.
Against = Literal["auto", "live", "recorded", "certified"]

#: Called with a message and, where it is known, the fraction done.
Progress = Callable[..., None]

#: Lengths of rstanarm's chains (``iter``) to go on with where its default run is not valid.
RSTANARM_LENGTHS = (4000, 8000)

#: Seed of both samplers and of the points where objectives and densities are compared.
DEFAULT_SEED = 349


class NoReferenceError(LookupError):
    """There is nothing to compare with: no R, and no recorded reference of this model and these data."""


class SideError(RuntimeError):
    """One side could not fit the model; the other side's outcome is told in the message."""


def compare(
    formula: str,
    data: pd.DataFrame,
    *,
    REML: bool = True,
    bayes: bool = False,
    against: Against = "auto",
    seed: int = DEFAULT_SEED,
    weights: Any = None,
    offset: Any = None,
    priors: Mapping[str, Any] | None = None,
    title: str | None = None,
    candidate: Callable[..., Any] | None = None,
    progress: Progress | None = None,
    reference_options: Mapping[str, Any] | None = None,
    candidate_options: Mapping[str, Any] | None = None,
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
    say = progress or _silent
    data = as_pandas(data)
    if priors:
        if not bayes:
            raise ValueError("priors are for posteriors: give bayes=True")
        from validation.priors import for_r

        reference_options = {**for_r(priors), **(reference_options or {})}
        candidate_options = {**priors, **(candidate_options or {})}
    arguments = {name: value for name, value in (("weights", weights), ("offset", offset)) if value is not None}
    live, why_not = is_live(against)
    if live:
        if bayes:
            reference, default, reference_side = _live_stan(
                formula, data, seed, arguments, dict(reference_options or {}), say
            )
        else:
            reference, default, reference_side = _live_lmer(formula, data, REML, arguments, reference_options, say)
    else:
        from validation.references import certified, store

        if arguments or priors:
            raise NoReferenceError(f"{why_not}, and stored references have no weights, offset or priors of your own")
        kind = "bayes" if bayes else "likelihood"
        if against == "certified":
            reference, default, reference_side = certified.find(formula, data, kind, REML, recorded)
        else:
            reference, default, reference_side = store.find(formula, data, kind, REML, recorded, why_not)
    options = dict(candidate_options or {})
    if candidate is None:
        options = {**spoken(bayes, dialect_of(reference_side.provenance)), **options}
    fitted, candidate_side = _candidate(
        formula, data, REML, bayes, seed, arguments, candidate, options, say, reference_side.label
    )
    if bayes:
        comparison = compare_posteriors(
            reference, fitted, reference_side, candidate_side, formula, title, seed, say, _quadrature(fitted)
        )
        length = reference_side.provenance.get("iter")
        if length is not None and "iter" not in (reference_options or {}):
            note = f"rstanarm's default run had not converged; this is one with iter = {length}."
            comparison = replace(comparison, notes=(note, *comparison.notes))
    else:
        comparison = _judge_likelihood(
            reference, fitted, reference_side, candidate_side, REML, data, formula, title, seed, say, default
        )
    say("done", 1.0)
    return comparison


def compare_fits(
    reference: Any,
    candidate: Any,
    *,
    data: pd.DataFrame | None = None,
    REML: bool | None = None,
    title: str | None = None,
    seed: int = DEFAULT_SEED,
    reference_label: str | None = None,
    candidate_label: str | None = None,
    reference_kind: str = "third-party",
    candidate_kind: str = "third-party",
    truth: pd.DataFrame | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Judge whether two fits in hand agree.

    Parameters
    ----------
    reference, candidate : fit
        Both likelihood fits or both posteriors, meeting as much of ``validation.contract`` as they can. What one side
        does not give is reported as missing.
    data : pandas.DataFrame, optional
        The data of both: helps to name a cause.
    REML : bool, optional
        The criterion that was asked for; the reference's where not given.
    title : str, optional
    seed : int
        Of the points where objectives and densities are compared.
    reference_label, candidate_label, reference_kind, candidate_kind : str, optional
        How the report calls the sides (``validation.comparison.Side``).
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
    say = progress or _silent
    kinds = [_is_posterior(fit) for fit in (reference, candidate)]
    if kinds[0] != kinds[1]:
        names = ["a posterior" if kind else "a likelihood fit" for kind in kinds]
        raise TypeError(f"the reference is {names[0]} and the candidate {names[1]}: compare two of a kind")
    left = Side(reference_label or _describe(reference), reference_kind, _provenance(reference))
    right = Side(candidate_label or _describe(candidate), candidate_kind, _provenance(candidate))
    formula = str(getattr(reference, "formula", "") or getattr(candidate, "formula", "") or "")
    if kinds[0]:
        return compare_posteriors(reference, candidate, left, right, formula, title, seed, say, truth)
    reml = bool(reference.isREML()) if REML is None else REML
    return _judge_likelihood(reference, candidate, left, right, reml, data, formula, title, seed, say)


def compare_draws(
    reference: Any,
    candidate: Any,
    *,
    title: str = "draws",
    reference_label: str = "reference",
    candidate_label: str = "candidate",
    seed: int = DEFAULT_SEED,
) -> Comparison:
    """Judge whether two sets of draws come from one distribution (gates 2 to 5; there is no density to compare).

    Parameters
    ----------
    reference, candidate : DataTree, Dataset, mapping, or DataFrame
        A DataTree or Dataset with dimensions ``chain`` and ``draw``; or a mapping (a DataFrame among them) from
        parameter to draws: ``(chains, draws)``, or one chain as ``(draws,)``.
    title, reference_label, candidate_label : str
    seed : int

    Returns
    -------
    Comparison
    """
    sides = [DrawsAlone(reference), DrawsAlone(candidate)]
    left, right = Side(reference_label, "third-party"), Side(candidate_label, "third-party")
    return compare_posteriors(sides[0], sides[1], left, right, "", title, seed, _silent, None, density=False)


# ---------------------------------------------------------------------------------------------------- judging


def _judge_likelihood(
    reference: Any,
    candidate: Any,
    left: Side,
    right: Side,
    reml: bool,
    data: pd.DataFrame | None,
    formula: str,
    title: str | None,
    seed: int,
    say: Progress,
    default: Any = None,
) -> Comparison:
    from validation.judge.diagnosis.likelihood import DETECTORS
    from validation.judge.estimates import judge_likelihood

    evidence = Evidence(reference, candidate, reml, data)
    checks, rows = judge_likelihood(evidence, seed, lambda message, fraction: say(message, fraction))
    causes = _causes(checks, rows, evidence, DETECTORS)
    if (version := version_cause(rows, left, right, (reference, candidate))) is not None:
        causes = (version, *(cause for cause in causes if cause.name != "unknown"))
    notes = [*_fit_notes("reference", reference), *_fit_notes("candidate", candidate)]
    better = any(row["verdict"] is Verdict.BETTER for row in rows)
    if better and evidence.improvement is not None:
        notes.append(
            f"The candidate's optimum is better than the reference's: its objective is lower by "
            f"{evidence.improvement:.2g}."
        )
    if evidence.undetermined and any(row["verdict"] is Verdict.INCONCLUSIVE for row in rows):
        notes.append(
            "The data do not determine all variance components: the two sides' differ, and the objective is the same "
            f"all the way between them (to {evidence.variation:.2g}). Neither is wrong; the model has a term too many."
        )
    for side, extraction in (("reference", evidence.left), ("candidate", evidence.right)):
        notes += [f"The {side} did not give {name}: {why}" for name, why in extraction.problems.items()]
    if default is not None:
        notes.append(_digits_of_default(reference, default, reml))
    return Comparison(
        title=title or formula,
        formula=formula,
        kind="likelihood",
        reference=left,
        candidate=right,
        checks=tuple(checks),
        table=table_of(rows),
        causes=causes,
        notes=tuple(notes),
        printed=_printed(default if default is not None else reference, candidate),
    )


def compare_posteriors(
    reference: Any,
    candidate: Any,
    left: Side,
    right: Side,
    formula: str,
    title: str | None,
    seed: int,
    say: Progress,
    truth: pd.DataFrame | None,
    density: bool = True,
) -> Comparison:
    """Judge two posteriors that are at hand.

    Parameters
    ----------
    reference, candidate : BayesianFit
    left, right : Side
        What the report calls them.
    formula : str
    title : str or None
    seed : int
        Of the points at which densities are compared.
    say : callable
        Progress.
    truth : pandas.DataFrame or None
        Summary by quadrature.
    density : bool
        Whether to compare log densities (gate 1).
    """
    from validation.judge.diagnosis.posterior import DETECTORS, VALIDITY_DETECTORS
    from validation.judge.posteriors import PosteriorEvidence, judge_posteriors, main_parameters

    evidence = PosteriorEvidence(reference, candidate, truth, density)
    checks, rows = judge_posteriors(evidence, seed, lambda message, fraction: say(message, fraction))
    causes = _causes(checks, rows, evidence, DETECTORS, VALIDITY_DETECTORS)
    notes = [*_fit_notes("reference", reference), *_fit_notes("candidate", candidate)]
    notes += [f"The {side} gave no usable draws: {why}" for side, why in evidence.problems.items()]
    if evidence.detectable > 0.1:
        notes.append(
            f"A weak comparison: it would have missed a shift of {evidence.detectable:.2f} posterior sds in a main "
            "parameter. More draws sharpen it."
        )
    draws = {}
    for side in ("reference", "candidate"):
        independent = evidence.independent(side)
        chosen = {name: independent[name] for name in main_parameters(list(independent))}
        draws[side] = pd.DataFrame({name: pd.Series(values) for name, values in chosen.items()})
    return Comparison(
        title=title or formula,
        formula=formula,
        kind="bayes",
        reference=left,
        candidate=right,
        checks=tuple(checks),
        table=table_of(rows),
        causes=causes,
        notes=tuple(notes),
        draws=draws,
        printed=_printed(reference, candidate),
    )


def _causes(
    checks: Sequence[Check],
    rows: Sequence[dict[str, Any]],
    evidence: Any,
    detectors: Sequence[Any],
    of_validity: Sequence[Any] = (),
) -> tuple[Cause, ...]:
    if not any(check.verdict.failed for check in checks):
        # Nothing is known to differ in an inconclusive comparison; but why draws are not valid may be known.
        inconclusive = any(check.verdict is Verdict.INCONCLUSIVE for check in checks)
        return diagnose(evidence, of_validity) if inconclusive else ()
    return diagnose(evidence, [*detectors, *of_validity], lambda: unknown_cause(checks, rows))


def _digits_of_default(tight: Any, default: Any, reml: bool) -> str:
    """How many digits default lme4 has, judged by tight lme4: what a user of R sees and how far it carries."""
    from validation.judge.digits import digits

    def smallest(read: Callable[[Any], np.ndarray]) -> float:
        values = [digits(float(x), float(c)) for x, c in zip(read(default), read(tight), strict=True)]
        return min((value for value in values if np.isfinite(value)), default=float("nan"))

    try:
        fixed = smallest(lambda fit: fit.fixef().to_numpy(dtype=float))
        errors = smallest(lambda fit: fit.coef_table()["Std. Error"].to_numpy(dtype=float))
        components = smallest(lambda fit: fit.VarCorr()["sdcor"].to_numpy(dtype=float))
        excess = max(0.0, -2.0 * (default.logLik() - tight.logLik()))
    except Exception as error:  # a note only
        return f"Default lme4 could not be measured against tight lme4: {error}"
    parts = {"the coefficients": fixed, "their standard errors": errors, "SDs and correlations": components}
    told = [f"{value:.1f} in {what}" for what, value in parts.items() if np.isfinite(value)]
    return (
        f"lme4 with its default optimizer agrees with tight lme4 to at least so many digits: {', '.join(told)}; its "
        f"{'REML criterion' if reml else 'deviance'} is higher by {excess:.1g}. The tiers are judged "
        "against tight lme4."
    )


# ---------------------------------------------------------------------------------------------------- the sides


def _silent(message: str = "", fraction: float | None = None, **more: Any) -> None:
    """Report nothing."""


def is_live(against: str) -> tuple[bool, str]:
    """Whether to ask live R, and why not.

    Parameters
    ----------
    against : {"auto", "live", "recorded", "certified"}

    Raises
    ------
    ValueError
        Another word.
    """
    if against not in ("auto", "live", "recorded", "certified"):
        raise ValueError(f"against={against!r}; it is 'auto', 'live', 'recorded' or 'certified'")
    if against == "certified":
        return False, "certified values were asked for"
    if against == "recorded":
        return False, "recorded references were asked for"
    if against == "live":
        return True, ""
    from bridge import session

    if session.default().pid is not None:  # R runs already: no need to examine it again
        return True, ""
    from bridge.doctor import examine

    diagnosis = examine()
    return bool(diagnosis.ok), "" if diagnosis.ok else "live R cannot be used here"


def likelihood_reference(
    formula: str, data: pd.DataFrame, REML: bool, against: Against, arguments: Mapping[str, Any], say: Progress
) -> tuple[Any, Side]:
    """The reference's likelihood fit: tight lme4, or as stored.

    Raises
    ------
    NoReferenceError, SideError
        As of :func:`compare`.
    """
    live, why_not = is_live(against)
    if live:
        fit, _, side = _live_lmer(formula, data, REML, arguments, None, say)
        return fit, side
    from validation.references import certified, store

    if against == "certified":
        fit, _, side = certified.find(formula, data, "likelihood", REML, None)
    else:
        fit, _, side = store.find(formula, data, "likelihood", REML, None, why_not)
    return fit, side


def candidate_fit(
    formula: str,
    data: pd.DataFrame,
    REML: bool,
    arguments: Mapping[str, Any],
    function: Callable[..., Any] | None,
    say: Progress,
    reference: Side,
) -> tuple[Any, Side]:
    """The candidate's likelihood fit (``pyimpl.lmer``, in the reference's dialect, where ``function`` is None).

    Raises
    ------
    SideError
        The candidate could not fit the model.
    """
    options = spoken(False, dialect_of(reference.provenance)) if function is None else {}
    return _candidate(formula, data, REML, False, DEFAULT_SEED, arguments, function, options, say, reference.label)


def spoken(bayes: bool, dialect: Dialect | None) -> dict[str, Any]:
    """The option by which pyimpl prints, names and warns as the reference's R does; none where that is not known."""
    import pyimpl

    function = pyimpl.stan_lmer if bayes else pyimpl.lmer
    known = dialect is not None and "dialect" in inspect.signature(function).parameters
    return {"dialect": dialect} if known else {}


def describe_side(fit: Any, kind: str = "third-party") -> Side:
    """What the report calls a fit that came without a description."""
    return Side(_describe(fit), kind, _provenance(fit))


def _live_lmer(
    formula: str, data: pd.DataFrame, reml: bool, arguments: Mapping[str, Any], options: Any, say: Progress
) -> tuple[Any, Any, Side]:
    from bridge import lme4

    say("lme4: default optimizer", 0.0)
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are fields of the fit and become notes
            default = lme4.lmer(formula, data, REML=reml, **arguments, **(options or {}))
            say("lme4: tight optimizer", 0.0)
            tight = lme4.lmer(formula, data, REML=reml, control="tight", **arguments, **(options or {}))
    except Exception as error:
        raise _side_error("R (lme4::lmer)", error) from error
    seconds = time.perf_counter() - started
    return tight, default, live_r_side("lme4", data, seconds, {"optimizer": "tight"})


def _live_stan(
    formula: str, data: pd.DataFrame, seed: int, arguments: Mapping[str, Any], options: dict[str, Any], say: Progress
) -> tuple[Any, None, Side]:
    from bridge import rstanarm
    from validation.judge.posteriors import converged

    options.setdefault("seed", seed)
    # Whoever sets the length of the chains keeps it; rstanarm's default is doubled while its draws are not valid
    lengths: tuple[int, ...] = () if {"iter", "chains", "warmup", "thin"} & options.keys() else RSTANARM_LENGTHS
    say("rstanarm: sampling", 0.0)
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are fields of the fit and become notes
            fit = rstanarm.stan_lmer(formula, data, progress=say, **arguments, **options)
            for length in lengths:
                if converged(posterior_summary(*draws_of(fit))):
                    break
                options["iter"] = length
                say(f"rstanarm: its draws are not valid yet; sampling again with iter = {length}", 0.0)
                fit = rstanarm.stan_lmer(formula, data, progress=say, **arguments, **options)
    except Exception as error:
        raise _side_error("R (rstanarm::stan_lmer)", error) from error
    return fit, None, live_r_side("rstanarm", data, time.perf_counter() - started, options)


def _side_error(side: str, error: Exception) -> Exception:
    """Our own errors pass unchanged (they are clear already, and the command knows them); others are explained."""
    from bridge.errors import BridgeError

    if isinstance(error, BridgeError):
        return error
    return SideError(f"{side} could not fit the model: {type(error).__name__}: {error}")


def live_r_side(package: str, data: pd.DataFrame, seconds: float, options: Mapping[str, Any]) -> Side:
    """What the report calls a fit by a package of live R: versions, the seconds it took, the data's hash, options."""
    from validation.references.provenance import r_versions

    versions = r_versions()
    plain = {name: value for name, value in options.items() if isinstance(value, str | int | float | bool)}
    version = versions.get(package, "")
    return Side(
        f"{package} {version}, live".replace(" ,", ","),
        "live-r",
        {**versions, "seconds": round(seconds, 3), "data": data_hash(data), **plain},
    )


def _candidate(
    formula: str,
    data: pd.DataFrame,
    reml: bool,
    bayes: bool,
    seed: int,
    arguments: Mapping[str, Any],
    function: Callable[..., Any] | None,
    options: dict[str, Any],
    say: Progress,
    reference: str,
) -> tuple[Any, Side]:
    own = function is None
    if function is None:
        import pyimpl

        function = pyimpl.stan_lmer if bayes else pyimpl.lmer
    name = getattr(function, "__qualname__", type(function).__name__)
    module = str(getattr(function, "__module__", "") or "").partition(".")[0]
    say(f"{module or name}: fitting", 0.0)
    call = {"seed": seed, **arguments, **options} if bayes else {"REML": reml, **arguments, **options}
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are fields of the fit and become notes
            fit = function(formula, data, **call)
    except Exception as error:
        raise SideError(
            f"{module or 'the candidate'} ({name}) could not fit the model, which {reference} did fit: "
            f"{type(error).__name__}: {error}"
        ) from error
    seconds = time.perf_counter() - started
    label = _python_label(module) if module else name
    provenance = {**_python_versions(), "seconds": round(seconds, 3), "function": f"{function.__module__}.{name}"}
    if bayes:
        provenance["seed"] = seed
    if "dialect" in options:
        provenance["dialect"] = dict(options["dialect"].versions)
    return fit, Side(label, "python" if own else "third-party", provenance)


def _python_label(module: str) -> str:
    for distribution in ("mlmparity", module) if module == "pyimpl" else (module,):
        try:
            return f"{module} {metadata.version(distribution)}"
        except metadata.PackageNotFoundError:
            continue
    return module


def _python_versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "python_platform": platform.platform()}
    for package in ("numpy", "scipy", "pandas", "numba"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _quadrature(fit: Any) -> pd.DataFrame | None:
    """Posterior summaries by quadrature, where the candidate has them and the dimension allows."""
    if not callable(getattr(fit, "quadrature", None)):
        return None
    try:
        return _truth_table(fit.quadrature())
    except Exception:  # more than a few dimensions, priors that cannot be integrated: there is no truth then
        return None


def _truth_table(found: Any) -> pd.DataFrame | None:
    """Quadrature's answer as a ``posterior_summary``: statistics, with numerical in place of Monte Carlo errors.

    ``found`` has ``table`` (and, where it gives them, ``error`` of the same shape and ``ranef``): index parameter,
    columns ``mean``, ``sd``, ``2.5%``, ``50%``, ``97.5%`` as far as they are known.
    """
    values = found if isinstance(found, pd.DataFrame) else getattr(found, "table", None)
    if not isinstance(values, pd.DataFrame) or values.empty:
        return None
    errors = getattr(found, "error", None)
    errors = errors if isinstance(errors, pd.DataFrame) else values * 0.0
    ranef = getattr(found, "ranef", None)
    if isinstance(ranef, pd.DataFrame) and len(ranef):
        values, errors = pd.concat([values, ranef]), pd.concat([errors, ranef * 0.0])
    names = {"2.5%": "q2.5", "50%": "q50", "97.5%": "q97.5"}
    values, errors = values.rename(columns=names), errors.rename(columns=names)
    table = pd.DataFrame(index=pd.Index([str(name) for name in values.index], name="parameter"))
    for statistic in ("mean", "sd", "q2.5", "q50", "q97.5"):
        if statistic in values.columns:
            table[statistic] = values[statistic].to_numpy(dtype=float)
            table[f"mcse_{statistic}"] = np.abs(errors[statistic].to_numpy(dtype=float))
    return table if len(table.columns) else None


# ---------------------------------------------------------------------------------------------------- small things


class DrawsAlone:
    """Draws alone, as a fit."""

    def __init__(self, draws: Any) -> None:
        import xarray as xr

        if isinstance(draws, Mapping | pd.DataFrame) and not hasattr(draws, "children"):
            variables = {}
            for name in draws:
                values = np.asarray(draws[name], dtype=float)
                if values.ndim == 1:
                    values = values[None]
                if values.ndim != 2:
                    raise ValueError(
                        f"draws of {name!r} have shape {values.shape}; expected (draws,) or (chains, draws)"
                    )
                variables[str(name)] = (("chain", "draw"), values)
            lengths = {name: array[1].shape for name, array in variables.items()}
            if len(set(lengths.values())) > 1:
                raise ValueError(f"parameters differ in their numbers of chains and draws: {lengths}")
            draws = xr.Dataset(variables)
        self.posterior = draws


def _is_posterior(fit: Any) -> bool:
    names = dir(fit)  # hasattr would build the posterior
    return "posterior" in names or "posterior_summary" in names


def _describe(fit: Any) -> str:
    label = getattr(fit, "label", None)
    if isinstance(label, str) and label:
        return label
    kind = type(fit)
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def _provenance(fit: Any) -> Mapping[str, Any]:
    found = getattr(fit, "provenance", None)
    return dict(found) if isinstance(found, Mapping) else {}


def _fit_notes(side: str, fit: Any) -> list[str]:
    notes = []
    for kind in ("warnings", "messages"):
        try:
            texts = [re.sub(r"\s+", " ", str(text)).strip() for text in getattr(fit, kind, ())]
        except Exception:
            continue
        notes += [f"The {side} says ({kind[:-1]}): {text}" for text in dict.fromkeys(texts) if text]
    return notes


def _printed(reference: Any, candidate: Any) -> dict[str, str]:
    printed = {}
    for side, fit in (("reference", reference), ("candidate", candidate)):
        try:
            printed[side] = str(fit.summary())
        except Exception:  # a side that prints nothing
            continue
    return printed
