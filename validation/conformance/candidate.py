"""The candidate: a third party's function, named as ``package.module:function``, and what it claims to do."""

import contextlib
import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from types import ModuleType
from typing import TypeAlias

from validation.conformance.answer import OFFERS, POSTERIOR_OFFERS
from validation.errors import error_in_words
from validation.suite import FEATURES

#: Adapters that ship with mlmparity: modules in ``validation.candidates``, of the same name with ``_`` for ``-``.
SHIPPED = ("pyimpl", "lme4", "statsmodels", "bambi", "pymer4", "glmm", "mixedlm", "interlace-lme", "lme-python")

#: What a candidate claims unless it denies it (``no-missing``): R drops rows with missing values without being asked.
ASSUMED = frozenset({"missing"})


#: A function of a third party: what it takes is its own matter, and what it returns is looked at.
Function: TypeAlias = Callable[..., object]

#: Names in one text or in several.
Words: TypeAlias = str | Iterable[str] | None


class CandidateError(ValueError):
    """The candidate cannot be loaded, or claims what is no feature."""


@dataclass(frozen=True)
class Candidate:
    """An implementation to be judged."""

    name: str  # for the report: the short name of a shipped adapter, or ``package.module:function``
    fit: Function | None  # of likelihood fits: ``fit(formula, data, REML=..., **options)``
    sample: Function | None = None  # of posteriors: ``sample(formula, data, seed=..., **options)``
    can: frozenset[str] = frozenset(FEATURES) - {"bayes"}  # what it claims to do
    missing: frozenset[str] = frozenset()  # quantities that it declares not to offer: keys of ``OFFERS``
    versions: Mapping[str, str] = field(default_factory=dict)  # of its distributions

    @property
    def label(self) -> str:
        """Name and version, for a reader."""
        if not self.versions:
            return self.name
        return ", ".join(f"{name} {version}" for name, version in self.versions.items())

    def unclaimed(self, needs: Iterable[str]) -> list[str]:
        """What of a case's needs the candidate does not claim."""
        return sorted(set(needs) - self.can)


def words(text: Words) -> list[str]:
    """Split ``"a,b c"`` into words."""
    parts = [text] if isinstance(text, str) else [*(text or ())]
    if not all(isinstance(part, str) for part in parts):
        raise CandidateError(f"what it can do and what is missing are lists of words; not {parts!r:.80}")
    return [word for part in parts for word in re.split(r"[,\s]+", part) if word]


def find_candidate(target: str) -> Candidate:
    """Import a candidate.

    The target is ``package.module:function``; or a module, which has ``fit`` (or ``lmer``) and, for posteriors,
    ``sample`` (or ``stan_lmer``); or the short name of an adapter that ships (:data:`SHIPPED`). Claims and gaps are
    ``CAN`` and ``MISSING`` of the function or its module, as they say them.
    """
    path = f"validation.candidates.{target.replace('-', '_')}" if target in SHIPPED else target
    module_name, _, attribute = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a candidate may raise anything while it is imported
        near = difflib.get_close_matches(target, SHIPPED, n=1)
        asked = f"Did you mean {near[0]!r}?" if near else "Is it installed in this environment, or on PYTHONPATH?"
        hint = f". {asked}" if isinstance(error, ModuleNotFoundError) else ""
        raise CandidateError(f"the candidate {target!r} cannot be imported: {error_in_words(error)}{hint}") from error
    if attribute:
        function: object = module
        for part in attribute.split("."):
            function = getattr(function, part, None)
        if not callable(function):
            near = difflib.get_close_matches(attribute, [name for name in dir(module) if name[:1] != "_"], n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise CandidateError(f"the module {module_name} has no function {attribute!r}{hint}")
        return _found(target, function, function, function, module)
    fit, sample = (
        next((found for name in names if callable(found := getattr(module, name, None))), None)
        for names in (("fit", "lmer"), ("sample", "stan_lmer"))
    )
    if fit is None and sample is None:
        raise CandidateError(
            f"the module {module_name} has no function 'fit' or 'lmer' (nor 'sample' or 'stan_lmer' for "
            f"posteriors); name the function: {module_name}:FUNCTION"
        )
    return _found(target, fit, sample, module, module)


def _found(
    name: str, fit: Function | None, sample: Function | None, home: object, module: ModuleType | None
) -> Candidate:
    own = ((getattr(home, key, None), getattr(module, key, None)) for key in ("CAN", "MISSING"))
    can, missing = (frozenset(words(said if said is not None else of_module)) for said, of_module in own)
    return Candidate(name, fit, sample, can, missing, _versions(module))


def candidate_of(function: Function, can: Words = None, missing: Words = None) -> Candidate:
    """Make a candidate of a function in hand (for likelihood fits and, where it claims ``bayes``, posteriors)."""
    module = sys.modules.get(str(getattr(function, "__module__", "")))
    name = f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', type(function).__name__)}"
    return claiming(_found(name, function, function, function, module), can, missing)


def claiming(found: Candidate, can: Words = None, missing: Words = None) -> Candidate:
    """A candidate with the claims and gaps that are given, or else its own, where each is one that there is.

    A claim is what it names and what it need not name, less what it denies (``no-missing``); one that only denies, or
    says nothing, is of everything else.
    """
    usual = frozenset(FEATURES) - ({"bayes"} if found.fit is not None else {"ml", "reml"})
    said = found.can if can is None else frozenset(words(can))
    denied = frozenset(word.removeprefix("no-") for word in said if word.startswith("no-"))
    claimed = (frozenset(word for word in said if not word.startswith("no-")) or usual) | ASSUMED
    gaps = found.missing if missing is None else frozenset(words(missing))
    for given, known, option, kind in (
        (denied, FEATURES, "--can no-", "feature"),
        (claimed, FEATURES, "--can", "feature"),
        (gaps, [*OFFERS, *POSTERIOR_OFFERS], "--missing", "quantity"),
    ):
        for word in sorted(given - {*known}):
            near = difflib.get_close_matches(word, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise CandidateError(f"{option} names {word!r}, which is no {kind}{hint} There are: {', '.join(known)}")
    return replace(found, can=claimed - denied, missing=gaps)


def _versions(module: ModuleType | None) -> dict[str, str]:
    """Versions that the module tells (``versions()``), of its ``DISTRIBUTIONS``, or of the one that it belongs to."""
    if module is None:
        return {}
    if callable(tell := getattr(module, "versions", None)):
        return {str(name): str(version) for name, version in tell().items()}
    wanted = list(getattr(module, "DISTRIBUTIONS", ()))
    if not wanted and "site-packages" in str(getattr(module, "__file__", "")):  # a file beside the tests is of none
        wanted = list(metadata.packages_distributions().get(module.__name__.partition(".")[0], ()))[:1]
    found = {}
    for name in wanted:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
