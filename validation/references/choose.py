"""Which reference a candidate is judged by: the one place that decides.

First where references come from (:func:`choose_source`), once for a run; then the reference of a model there
(:func:`reference_of`): stored, or fitted by live R, lme4 as users call it and with a tight optimizer, and rstanarm
until its draws are valid.
"""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pandas as pd

from validation import tolerances
from validation.comparison import Reference, Side
from validation.contract import LinearMixedFit, MultilevelFit
from validation.errors import InputError, NoReferenceError, NoRError, SideError, error_in_words
from validation.options import DEFAULT_SEED, Progress, silent
from validation.quantities import draws_of, posterior_summary
from validation.references import certified, store
from validation.references.provenance import data_hash, r_versions

if TYPE_CHECKING:
    from bridge.doctor import Diagnosis

#: Where references come from.
SOURCES = ("auto", "certified", "recorded", "live")

#: Lengths of rstanarm's chains (``iter``) to go on with where its default run is not valid.
RSTANARM_LENGTHS = (4000, 8000)


@dataclass(frozen=True)
class Source:
    """Where references come from in a run."""

    kinds: tuple[str, ...]  # "certified", "recorded", "live", the preferred first: the first that has a model judges it
    reason: str | None = None  # why recorded references are used; None where R is live

    @property
    def against(self) -> str:
        """Live R, recorded R, or certified values: the last resort of this source."""
        return self.kinds[-1]

    @property
    def name(self) -> str:
        """The kinds, joined by ``+``."""
        return "+".join(self.kinds)


def examine_r() -> "Diagnosis | None":
    """What stops live R from being used: a :class:`bridge.doctor.Diagnosis`, or None where nothing does.

    R is started, which the first fit needs anyway; only where that fails is it examined, part by part.
    """
    from bridge import session
    from bridge.doctor import examine
    from bridge.errors import BridgeError

    try:
        if session.default().call("package_versions", packages=["lme4"]).value.get("lme4") is not None:
            return None
    except (BridgeError, OSError):
        pass  # the examination says why
    return examine()


def choose_source(
    asked: "str | Source" = "auto",
    examine: "Callable[[], Diagnosis | None] | None" = None,
    *,
    certified_first: bool = False,
) -> Source:
    """Decide where references come from; what was chosen already stays.

    ``asked`` is one of :data:`SOURCES`, or several in the order of preference (``"certified+recorded"``). ``"auto"``
    takes live R where there is one (``examine`` stands in for :func:`examine_r`), and recorded R where not; certified
    values, which have no error, come ``certified_first`` if wanted. Live R that was asked for and cannot be used is a
    NoRError.
    """
    if isinstance(asked, Source):
        return asked
    parts = tuple(str(asked).split("+"))
    if not set(parts) <= set(SOURCES) or ("auto" in parts and len(parts) > 1):
        raise InputError(
            f"the reference {asked!r}: it is {', '.join(SOURCES)}, or several in the order of preference, "
            "as in certified+recorded"
        )
    if not {"auto", "live"} & set(parts):
        return Source(parts, "recorded ones were asked for" if "recorded" in parts else None)
    diagnosis = (examine or examine_r)()
    first = ("certified",) if certified_first else ()
    if diagnosis is None or diagnosis.ok:
        return Source(parts if "live" in parts else (*first, "live"))
    if "live" in parts:
        raise NoRError(f"live R was asked for and cannot be used here.\n{diagnosis}")
    return Source((*first, "recorded"), f"live R cannot be used here ({_first_problem(diagnosis)})")


def _first_problem(diagnosis: "Diagnosis") -> str:
    """The first finding that stops live R, in one line."""
    for finding in diagnosis.findings:
        if finding.status == "error":
            sentence = " ".join(finding.detail.split()).partition(". ")[0].rstrip(".")
            return f"{finding.name}: {sentence}"
    return "see `mlmparity doctor`"


@dataclass(frozen=True, eq=False)  # a data frame has no equality of its own
class Model:
    """A model to be fitted by both sides, whose reference is wanted."""

    formula: str
    #: The data, or a function ``data(against)`` that gets them live from R or from the recorded data set.
    data: Callable[[str], pd.DataFrame] | pd.DataFrame
    kind: Literal["likelihood", "bayes"] = "likelihood"
    REML: bool = True
    #: Arguments of both sides' fitting functions: ``weights``, ``offset``, ``contrasts``.
    options: Mapping[str, object] = field(default_factory=dict)
    #: Of R's fitting function alone.
    r_options: Mapping[str, object] = field(default_factory=dict)
    name: str = ""  # of the case that it is; where not given, records are searched for one of this model and these data
    #: R's own arithmetic loses so many digits that it would call a right answer wrong.
    certified_only: bool = False
    seed: int = DEFAULT_SEED  # of live rstanarm
    default: bool = True  # whether lme4 with its default optimizer is wanted beside

    #: Whether the options belong to the named case, and so are in its record too.
    stated: ClassVar[bool] = False

    def load(self, against: str = "auto") -> pd.DataFrame:
        """The data: live from R; or as recorded, from R where they are not."""
        if isinstance(self.data, pd.DataFrame):
            return self.data.copy()
        try:
            return self.data(against)
        except LookupError as error:
            if against != "recorded":
                raise
            try:
                return self.data("auto")
            except Exception:
                raise NoReferenceError(f"the data of {self.name} are not recorded: {error}") from None


def reference_of(model: Model, source: Source, progress: Progress = silent) -> Reference:
    """The reference of a model: of the first kind of the source that has it.

    Raises
    ------
    NoReferenceError
        No kind of the source has the model, or has it of these data.
    SideError, bridge.errors.BridgeError
        R could not fit it.
    """
    reasons = []
    for kind in source.kinds:
        if model.certified_only and kind != "certified" and len(source.kinds) > 1:
            continue
        try:
            return _of_kind(model, kind, source, progress)
        except NoReferenceError as error:
            reasons.append(f"{kind}: {error}" if len(source.kinds) > 1 else str(error))
    raise NoReferenceError("; ".join(reasons) or f"only certified values can judge {model.name or model.formula}")


def _of_kind(model: Model, kind: str, source: Source, progress: Progress) -> Reference:
    if kind == "live":
        return live(model, progress)
    if model.r_options or (model.options and not model.stated):
        why = source.reason or f"{kind} references were asked for"
        raise NoReferenceError(f"{why}, and stored references have no weights, offset or priors of your own")
    data = model.load("recorded")
    wanted = (model.formula, data, model.kind, model.REML, model.name)
    if kind == "certified":
        if model.options:
            raise NoReferenceError(f"no model with {', '.join(model.options)} is certified")
        return certified.find(*wanted)
    return store.find(*wanted, why=source.reason or "")


def live(model: Model, progress: Progress = silent) -> Reference:
    """Live R's fit: lme4 with a tight optimizer, and with its own beside it where that is wanted; or rstanarm.

    Our own errors pass unchanged (they are clear already, and the command knows them); others are explained. Warnings
    are fields of the fit and become notes.
    """
    from bridge.errors import BridgeError

    bayes, data = model.kind == "bayes", model.load("live")
    package, function = ("rstanarm", "rstanarm::stan_lmer") if bayes else ("lme4", "lme4::lmer")
    started = time.perf_counter()
    try:
        with warnings.catch_warnings(action="ignore"):
            fit, default, told = (_by_rstanarm if bayes else _by_lme4)(model, data, progress)
    except BridgeError:
        raise
    except Exception as error:
        raise SideError(f"R ({function}) could not fit the model: {error_in_words(error)}") from error
    seconds, versions = round(time.perf_counter() - started, 3), r_versions()
    label = " ".join(filter(None, (package, versions.get(package)))) + ", live"
    side = Side(label, "live-r", {**versions, "seconds": seconds, "data": data_hash(data), **told})
    return Reference(fit, side, default, data)


#: A fit, the default optimizer's beside it, and what is to be told of its making.
_Made = tuple[MultilevelFit, LinearMixedFit | None, dict[str, object]]


def _by_lme4(model: Model, data: pd.DataFrame, progress: Progress) -> _Made:
    from bridge import lme4

    options: dict[str, Any] = {**model.options, **model.r_options}
    default = None
    if model.default:
        progress("lme4: default optimizer", 0.0)
        default = lme4.lmer(model.formula, data, REML=model.REML, **options)
    progress("lme4: tight optimizer", 0.0)
    tight = lme4.lmer(model.formula, data, REML=model.REML, control="tight", **options)
    return tight, default, {"optimizer": "tight"}


def _by_rstanarm(model: Model, data: pd.DataFrame, progress: Progress) -> _Made:
    """Who sets the length of the chains keeps it; the default one is doubled until the draws are valid."""
    from bridge import rstanarm

    options: dict[str, Any] = {"seed": model.seed, **model.options, **model.r_options}
    lengths = () if {"iter", "chains", "warmup", "thin"} & options.keys() else RSTANARM_LENGTHS
    progress("rstanarm: sampling", 0.0)
    fit = rstanarm.stan_lmer(model.formula, data, progress=progress, **options)
    for length in lengths:
        if converged(posterior_summary(*draws_of(fit))):
            break
        options["iter"] = length
        progress(f"rstanarm: its draws are not valid yet; sampling again with iter = {length}", 0.0)
        fit = rstanarm.stan_lmer(model.formula, data, progress=progress, **options)
    return fit, None, {name: value for name, value in options.items() if isinstance(value, str | int | float | bool)}


def converged(summary: pd.DataFrame) -> bool:
    """Whether draws with this :func:`~validation.quantities.posterior_summary` pass gate 2 but for divergences."""
    return bool(
        (summary["rhat"] < tolerances.VALIDITY.rhat).all()
        and (summary[["ess_bulk", "ess_tail"]] >= tolerances.VALIDITY.ess).all(axis=None)
    )
