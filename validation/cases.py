"""Cases: a model, its data and the options under which both sides fit it."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, TypedDict, TypeVar, Unpack

import pandas as pd

from validation.compare import compare_model
from validation.comparison import Comparison
from validation.errors import UnknownCaseError
from validation.options import DEFAULT_SEED, Progress
from validation.references.choose import Model, Source, choose_source
from validation.references.store import load_data

NamedT = TypeVar("NamedT")

#: So many names stand in a message; of more, the command that lists them.
_MOST_NAMES = 12
_LISTED = "`mlmparity cases` lists the {}."


@dataclass(frozen=True, kw_only=True, eq=False)
class Case(Model):
    """A model with a name (``"M1-ml"``, short and unique), as validate, conformance and record know it.

    Attributes
    ----------
    title : str
        For a reader.
    dataset : str
        Name under which the data are recorded; empty where Python makes them.
    package : str
        The R package that has the data set.
    needs : frozenset of str
        What a program must be able to do to fit it: keys of :data:`validation.suite.FEATURES`.
    too_large : bool
        Its blocks are too large for multi-precision: it is not certified unless it is named.

    Examples
    --------
    >>> Case.of("mine", "y ~ x + (1 | g)", frame, REML=False).compare()  # doctest: +SKIP
    """

    title: str
    dataset: str = ""
    package: str = "mlmRev"
    needs: frozenset[str] = frozenset()
    too_large: bool = False

    stated: ClassVar[bool] = True

    @classmethod
    def of(cls, name: str, formula: str, data: pd.DataFrame, *, bayes: bool = False, REML: bool = True) -> "Case":
        """Make a case of one's own from a DataFrame and a formula."""
        kind: Literal["likelihood", "bayes"] = "bayes" if bayes else "likelihood"
        return cls(formula, data, kind, REML, name=name, title=f"{name}: {formula}")

    def compare(
        self,
        against: str | Source = "auto",
        seed: int = DEFAULT_SEED,
        progress: Progress | None = None,
    ) -> Comparison:
        """Fit and judge; arguments as of :func:`validation.compare.compare_model`."""
        model = replace(self, seed=seed)
        return compare_model(model, against, title=self.title, progress=progress)


class _More(TypedDict, total=False):
    """Fields of :class:`Case` that few models have."""

    options: Mapping[str, object]
    dataset: str
    package: str
    certified_only: bool
    too_large: bool


def loader(
    name: str, package: str, prepare: Callable[[pd.DataFrame], pd.DataFrame] = lambda data: data
) -> Callable[..., pd.DataFrame]:
    """What loads a data set: ``load(against)`` asks R for it, or takes the recorded one; ``"auto"``, R where it is."""

    def load(against: str = "auto") -> pd.DataFrame:
        if "live" in choose_source(against).kinds:
            from bridge import datasets

            data = datasets.load(name, package=package)
        else:
            data = load_data(name)
        data.attrs["name"] = name
        return prepare(data)

    return load


def prepare_gcsemv(data: pd.DataFrame) -> pd.DataFrame:
    """R's ``Gcsemv$female <- relevel(Gcsemv$gender, "M")``; ``subset(select = c(school, student, female, course))``."""
    gender = data["gender"].cat
    female = gender.set_categories(["M", *gender.categories.drop("M")])
    prepared = data.assign(female=female)[["school", "student", "female", "course"]].copy()
    prepared.attrs["name"] = "GCSE"
    return prepared


#: ``mlmRev::Gcsemv`` as the tutorial prepares it: ``female`` is ``gender`` with "M" as its reference level.
gcsemv = loader("Gcsemv", "mlmRev", prepare_gcsemv)


#: How a model is fitted: what the case's name ends in, and what its title.
_FITS = {"ml": "maximum likelihood", "reml": "REML", "bayes": "posterior"}


def both_criteria(
    name: str,
    title: str,
    formula: str,
    data: Callable[[str], pd.DataFrame] | pd.DataFrame,
    needs: str = "",
    *,
    posterior: bool = False,
    **more: Unpack[_More],
) -> tuple[Case, ...]:
    """A model by maximum likelihood (``name-ml``) and by REML (``name-reml``).

    Parameters
    ----------
    name, title, formula, data
        As of :class:`Case`.
    needs : str
        As of :class:`Case` besides the criterion, separated by blanks.
    posterior : bool
        A third case is its posterior (``name-bayes``).
    more
        Further fields of :class:`Case`.
    """
    return tuple(
        Case(
            formula, data, "bayes" if end == "bayes" else "likelihood", end != "ml", name=f"{name}-{end}",
            title=f"{title}, {words}", needs=frozenset([end, *needs.split()]), **more,
        )
        for end, words in _FITS.items()
        if posterior or end != "bayes"
    )  # fmt: skip


#: The tutorial's models: M1, M2 and M3, each by ML, by REML, and as a posterior.
BUILT_IN: tuple[Case, ...] = tuple(
    case
    for name, title, formula, needs in (
        ("M1", "Model 1, varying intercept", "course ~ 1 + (1 | school)", "missing"),
        ("M2", "Model 2, varying intercept with a predictor", "course ~ 1 + female + (1 | school)",
         "categorical missing"),
        ("M3", "Model 3, varying intercept and slope", "course ~ 1 + female + (1 + female | school)",
         "categorical slopes missing"),
    )
    for case in both_criteria(name, title, formula, gcsemv, needs, posterior=True, dataset="Gcsemv")
)  # fmt: skip


def select(names: Iterable[str] | None = None, cases: Iterable[Case] = BUILT_IN) -> tuple[Case, ...]:
    """Choose cases as :func:`by_name` does."""
    return by_name(names, {case.name: case for case in cases})


def by_name(names: Iterable[str] | None, known: Mapping[str, NamedT]) -> tuple[NamedT, ...]:
    """Choose cases by name, by model (``"M1"`` is ``M1-ml``, ``M1-reml`` and ``M1-bayes``), or by a part of the name.

    Parameters
    ----------
    names : iterable of str, optional
        All cases where none is given. Case does not matter; ``"bayes"``, ``"ml"`` and ``"reml"`` choose by the ending.
    known : mapping
        What to choose from, by name.

    Raises
    ------
    UnknownCaseError
        A name that none has; close matches are named.
    """
    wanted = [names] if isinstance(names, str) else list(names or ())
    if not wanted:
        return tuple(known.values())
    parts = {name: name.casefold().split("-") for name in known}
    chosen: dict[str, NamedT] = {}
    for name in wanted:
        key = name.strip().casefold().split("-")
        found = [case for case, split in parts.items() if key in (split, split[:-1])]
        found = found or [case for case, split in parts.items() if len(key) == 1 and key[0] in split]
        if not found:
            stems = dict.fromkeys("-".join(known).split("-"))
            close = difflib.get_close_matches(name, [*known, *stems], n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
            rest = f"There are: {', '.join(known)}" if len(known) <= _MOST_NAMES else _LISTED.format(len(known))
            raise UnknownCaseError(f"there is no case {name!r}{hint or '.'} {rest}")
        chosen |= {case: known[case] for case in found}
    return tuple(chosen.values())
