"""What is public says what it takes and gives: no ``Any`` in the signatures of the names that users import."""

import importlib
import inspect
import pkgutil
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, ForwardRef, TypedDict, Unpack

import pytest

import mlmparity
import validation
from pyimpl import plots
from pyimpl.inference.allfit import AllFit
from pyimpl.inference.emm_grid import EmmGrid, EmmPair, EmmSummary
from pyimpl.inference.influence import Influence

#: Signatures that cannot say more, and why.
ALLOWED = {
    "lme4.LmerFit.devfun": "one number or one for each row of θ, which numpy's types do not tell apart",
    "lme4.LmerFit.getME": "R's pieces, by name; those of mlmparity.LmerFit are typed",
}


def is_any(annotation: object) -> bool:
    """Whether an annotation holds ``Any``, however deep, written out or not."""
    if annotation is Any:
        return True
    if isinstance(annotation, str):
        return re.search(r"\bAny\b", annotation) is not None
    if isinstance(annotation, ForwardRef):
        return is_any(annotation.__forward_arg__)
    parts = annotation if isinstance(annotation, list | tuple) else typing.get_args(annotation)
    return any(is_any(part) for part in parts)


def functions_of(name: str, value: object) -> Iterator[tuple[str, object]]:
    """A public object's functions: itself, those of a module, and methods and properties of a class."""
    if isinstance(value, ModuleType):
        for part in getattr(value, "__all__", ()):
            yield from functions_of(f"{name}.{part}", getattr(value, part))
    elif inspect.isclass(value):
        for part in dir(value):
            member = inspect.getattr_static(value, part)
            ours = getattr(member, "__module__", None) or getattr(getattr(member, "fget", None), "__module__", "")
            if part.startswith("_") and part not in ("__init__", "__call__", "__getitem__", "__iter__"):
                continue
            for function in (
                getattr(member, attribute, None) for attribute in ("__func__", "fget", "func", "__wrapped__")
            ):
                if inspect.isfunction(function):
                    member = function
                    break
            if inspect.isfunction(member) and (ours or "").split(".")[0] not in ("builtins", "pandas"):
                yield f"{name}.{part}", member
    elif inspect.isfunction(value):
        yield name, value


def untyped(name: str, value: object) -> list[str]:
    """Where a public object's signatures hold ``Any``, or say nothing."""
    found = []
    for place, function in functions_of(name, value):
        for one in [function, *typing.get_overloads(typing.cast("Callable[..., object]", function))]:
            annotations = dict(getattr(one, "__annotations__", {}))
            found += [f"{place}({part})" for part, kind in annotations.items() if is_any(kind)]
    if inspect.isclass(value):
        own = inspect.get_annotations(value)
        found += [f"{name}.{part}" for part, kind in own.items() if not part.startswith("_") and is_any(kind)]
    return [one for one in dict.fromkeys(found) if one.partition("(")[0] not in ALLOWED]


PUBLIC = {name: getattr(mlmparity, name) for name in mlmparity.__all__ if name != "__version__"}
PUBLIC |= {f"plots.{name}": getattr(plots, name) for name in plots.__all__}
PUBLIC |= {kind.__name__: kind for kind in (AllFit, EmmGrid, EmmPair, EmmSummary, Influence)}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_says_what_it_takes_and_gives(name: str) -> None:
    assert untyped(name, PUBLIC[name]) == []


#: Of the judge's packages, what it is that no type can say, and where.
JUDGE_ALLOWED = {
    "getME": "R's pieces, by name",
    "bridge_prior": "one of a dozen classes of priors",
    "for_r": "arguments of a fitting function",
    "records": "rows of any table, each with columns of its own",
    "error_and_limit": "such a row",
    "judge_record": "such a row",
    "fit": "arguments of a fitting function",
    "sample": "arguments of a fitting function",
    "RecordedLmerFit.of": "a fit with its objective, if it has one",
    "RecordedLmerFit.predict": "arguments of R's function",
    "Record": "a likelihood fit or a posterior",
}
#: Folders of data as they stand in a file, of numbers that have no types (flint's balls), and of other packages.
JUDGE_LEFT_OUT = (
    "certify", "faults", "migrate", "recording", "references.as_json", "console",
    "progress", "calibration", "campaign",
)  # fmt: skip

JUDGE_MODULES = [
    module.name.partition(".")[2]
    for module in pkgutil.walk_packages(validation.__path__, "validation.")
    if not module.name.partition(".")[2].startswith(JUDGE_LEFT_OUT)
]


def untyped_of_judge(name: str) -> list[str]:
    module = importlib.import_module(f"validation.{name}")
    own = [
        part
        for part, value in vars(module).items()
        if not part.startswith("_") and getattr(value, "__module__", "") == module.__name__
    ]
    return [found for part in own for found in untyped(part, getattr(module, part))]


def allowed_in_judge(found: str) -> bool:
    place = found.partition("(")[0]
    return any(name in (place, *place.split(".")) for name in JUDGE_ALLOWED)


@pytest.mark.parametrize("name", JUDGE_MODULES)
def test_the_judge_says_what_it_takes_and_gives(name: str) -> None:
    assert [found for found in untyped_of_judge(name) if not allowed_in_judge(found)] == []


def test_what_the_judge_is_allowed_is_needed() -> None:
    found = [one.partition("(")[0] for name in JUDGE_MODULES for one in untyped_of_judge(name)]
    for name in JUDGE_ALLOWED:
        assert any(name in (place, *place.split(".")) for place in found), name
    assert {"compare", "judge.rows", "judge.estimates", "references.choose", "contract", "report.plots"} <= {
        *JUDGE_MODULES
    }


def test_the_fits_are_among_them() -> None:
    assert {"LmFit", "LmerFit", "StanLmerFit", "lme4", "rstanarm", "lmer", "emmeans", "plots.caterpillar"} <= {*PUBLIC}
    assert "lme4.LmerFit.fixef" in dict(functions_of("lme4", mlmparity.lme4))
    assert "LmerFit.emmeans" in dict(functions_of("LmerFit", mlmparity.LmerFit))
    assert "StanLmerFit.plot_ranef" in dict(functions_of("StanLmerFit", mlmparity.StanLmerFit))


class Options(TypedDict):
    level: float


class Told:
    held: Mapping[str, object]

    def method(self, x: Sequence[float], **options: Unpack[Options]) -> float: ...


class Untold:
    held: dict[str, Any]

    def __init__(self, fit: Any) -> None: ...

    @property
    def of(self) -> "list[Any]": ...

    @classmethod
    def made(cls, run: Callable[[float], Any]) -> "Untold": ...

    def options(self, **options: Any) -> None: ...

    @typing.overload
    def one(self, name: str) -> Any: ...
    @typing.overload
    def one(self, name: int) -> int: ...
    def one(self, name: object) -> object: ...

    def _private(self, x: Any) -> Any: ...


def test_the_check_finds_an_any_wherever_it_stands() -> None:
    assert untyped("Told", Told) == []
    assert untyped("Untold", Untold) == [
        "Untold.__init__(fit)",
        "Untold.made(run)",
        "Untold.of(return)",
        "Untold.one(return)",
        "Untold.options(options)",
        "Untold.held",
    ]


def test_what_is_allowed_is_there_and_needs_it() -> None:
    allowed = dict(ALLOWED)
    ALLOWED.clear()
    try:
        found = {one.partition("(")[0] for name, value in PUBLIC.items() for one in untyped(name, value)}
    finally:
        ALLOWED.update(allowed)
    assert found == set(allowed)
