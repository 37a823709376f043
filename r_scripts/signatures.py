"""Arguments held against the signature of the function that they are given to.

A function's annotations say of what kind each argument is. Python does not look at them: ``re_form=3`` fails deep
inside with an error about something else, and ``allow_new_levels="no"`` is taken as true. :class:`Signatures` reads the
annotations and refuses what is of another kind, in one sentence that names the function, the argument, what it must be
and what it was. What a value of the right kind may be (a level between 0 and 1, a column's name) is the function's own
matter.

The libraries that check annotations (beartype, typeguard, pydantic) were looked at: they refuse NumPy's numbers where
an ``int`` is asked for, an array where a sequence is, and polars' frames, or convert ``"1"`` to 1 without a word.
"""

import ast
import builtins
import difflib
import functools
import importlib
import inspect
import math
import numbers
import types
import typing
from collections.abc import Callable, Collection, Iterable, KeysView, Mapping, Sequence, ValuesView
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

import numpy as np

__all__ = ["Kind", "Signatures", "Such", "kind_of", "shown"]

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)

#: Kinds of NumPy's that a sequence of these may have; "O" is looked into.
_DTYPES = {float: "biuf", int: "iu", bool: "b", str: "UT"}
_PLURAL = {float: "numbers", int: "whole numbers", bool: "truth values", str: "strings"}
#: Packages whose modules are imported to read an annotation.
_OURS = frozenset({"bridge", "pyimpl", "r_scripts", "validation"})
#: How an argument's values are shown at most.
_SHOWN = 60


@dataclass(frozen=True)
class Kind:
    """What an annotation asks for.

    Attributes
    ----------
    holds : callable
        Whether a value is of this kind.
    words : tuple of str
        Each of the alternatives, for the error; none where anything is.
    names : bool
        Whether it is a sequence of strings: what has them in an array or a Series is handed on as a list, for an array
        equals no string and is neither true nor false; so is a string, which in R is a vector of one.
    """

    holds: Callable[[object], bool]
    words: tuple[str, ...]
    names: bool = False


@dataclass(frozen=True)
class Such:
    """What more is asked of a value of a kind, as in ``Annotated[int, Such(lambda n: n > 0, "a whole number, ...")]``.

    Attributes
    ----------
    holds : callable
        Whether a value of the kind will do.
    words : str
        Kind and condition, for the error.
    """

    holds: Callable[[Any], bool]
    words: str


ANYTHING = Kind(lambda value: True, ())


def _is_flag(value: object) -> bool:
    # 0 and 1, which are R's FALSE and TRUE too, also NumPy's
    return isinstance(value, bool | np.bool_) or (_is_whole(value) and value in (0, 1))


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_missing(value: object) -> bool:
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))


def _is_frame(value: object) -> bool:
    """A data frame of any library: two dimensions with columns; whoever reads it says what it lacks."""
    if len(getattr(value, "shape", (0, 0))) != 2:
        return False
    return any(
        hasattr(type(value), name) for name in ("columns", "column_names", "__arrow_c_stream__", "__dataframe__")
    )


_SCALARS: dict[object, Kind] = {
    bool: Kind(_is_flag, ("True or False",)),
    int: Kind(_is_whole, ("a whole number",)),
    float: Kind(_is_number, ("a number",)),
    str: Kind(_is_text, ("a string",)),
    None: Kind(lambda value: value is None, ("None",)),
    type(None): Kind(lambda value: value is None, ("None",)),
}
_ITEMS: dict[object, Callable[[object], bool]] = {
    float: lambda item: isinstance(item, numbers.Real | Decimal) or _is_missing(item),
    int: _is_whole,
    bool: _is_flag,
    str: _is_text,
}


def _is_array(value: object) -> bool:
    return hasattr(value, "__array__") and getattr(value, "ndim", 1) != 0 and not hasattr(value, "columns")


def _is_row(value: object) -> bool:
    """Several values in their order."""
    listed = isinstance(value, Sequence | KeysView | ValuesView) and not isinstance(value, str | bytes | bytearray)
    return listed or _is_array(value)


def _is_numbers(value: object) -> bool:
    """An array of numbers, or lists that make one."""
    code = getattr(getattr(value, "dtype", None), "kind", "O")
    if _is_array(value) and code != "O":
        return code in _DTYPES[float]
    if not _is_row(value):
        return False
    items = list(typing.cast("Iterable[object]", value))
    if all(map(_ITEMS[float], items)):
        return True
    return all(map(_is_numbers, items)) and len({len(typing.cast("Sequence[object]", item)) for item in items}) == 1


def _sequence(item: object, kind: Kind) -> Kind:
    """Return the kind of a sequence whose items are of a kind."""
    test = _ITEMS.get(item, kind.holds)

    def holds(value: object) -> bool:
        if not _is_row(value):
            return False
        dtype = getattr(value, "dtype", None)
        code = getattr(dtype, "kind", "O")
        if _is_array(value) and code != "O" and item in _DTYPES:
            return code in _DTYPES[item]
        return kind is ANYTHING or all(map(test, typing.cast("Iterable[object]", value)))

    plural = _PLURAL.get(item) if isinstance(item, type) else None
    each = f" of {plural}" if plural else f" (each {' or '.join(kind.words)})" if kind.words else ""
    return Kind(holds, ("a sequence" + each,), "a string" in kind.words)


def _tuple(kinds: Sequence[Kind]) -> Kind:
    """Return the kind of a pair, or of more, with a kind each; a list will do."""

    def holds(value: object) -> bool:
        if not isinstance(value, tuple | list) or len(value) != len(kinds):
            return False
        return all(kind.holds(item) for kind, item in zip(kinds, value, strict=True))

    return Kind(holds, (f"({', '.join(' or '.join(kind.words) for kind in kinds)})",))


def _mapping(key: Kind, value: Kind) -> Kind:
    def holds(given: object) -> bool:
        return isinstance(given, Mapping) and all(key.holds(k) and value.holds(v) for k, v in given.items())

    return Kind(holds, ("a mapping with strings as keys" if key.words == _SCALARS[str].words else "a mapping",))


def _has_verbs(protocol: type) -> Kind:
    """What has the public attributes of a protocol; none of them is computed for that."""
    names = {
        name
        for base in protocol.__mro__
        if getattr(base, "_is_protocol", False)
        for name in vars(base)
        if not name.startswith("_")
    }

    def holds(value: object) -> bool:
        own = getattr(value, "__dict__", {})
        return all(hasattr(type(value), name) or name in own for name in names)

    return Kind(holds, (_called(protocol),))


def _called(cls: type) -> str:
    protocols = {"Fit": "a fit", "LikelihoodFit": "a fit of lmer", "PosteriorFit": "a fit of stan_lmer"}
    return protocols.get(cls.__name__) or _one(cls.__name__)


def _one(name: str) -> str:
    return f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}"


def _union(kinds: Sequence[Kind]) -> Kind:
    if any(not kind.words for kind in kinds):
        return ANYTHING
    words = list(dict.fromkeys(word for kind in kinds for word in kind.words))
    return Kind(lambda value: any(kind.holds(value) for kind in kinds), tuple(words), any(k.names for k in kinds))


def kind_of(annotation: object) -> Kind:
    """Return what an annotation asks for; anything, where it is one that is not understood.

    Parameters
    ----------
    annotation : object
        As it stands in a signature, without names that are not resolved.
    """
    if isinstance(annotation, typing.Hashable) and annotation in _SCALARS:
        return _SCALARS[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        such = next((one for one in arguments if isinstance(one, Such)), None)
        kind = kind_of(arguments[0])
        return kind if such is None else Kind(lambda value: kind.holds(value) and such.holds(value), (such.words,))
    if origin is Literal:
        return Kind(lambda value: _is_text(value) and value in arguments, tuple(map(repr, arguments)))
    if origin in (typing.Union, types.UnionType):
        return _union([kind_of(argument) for argument in arguments])
    if origin is tuple and arguments and arguments[-1] is not ...:
        return _tuple([kind_of(argument) for argument in arguments])
    if origin in (Sequence, Iterable, Collection, list) or (origin is tuple and arguments[1:] == (...,)):
        return _sequence(arguments[0], kind_of(arguments[0])) if arguments else _sequence(None, ANYTHING)
    if origin in (Mapping, dict):
        return _mapping(*map(kind_of, arguments))
    if origin is Callable or annotation is Callable:
        return Kind(callable, ("a function",))
    if annotation is Any or annotation is object or not isinstance(annotation, type):
        return ANYTHING
    if annotation.__name__ in ("ndarray", "Series", "Index"):  # or lists that make one
        return Kind(_is_numbers, ("a sequence of numbers",))
    if annotation.__name__ == "DataFrame":
        return Kind(_is_frame, ("a data frame",))
    if typing.is_typeddict(annotation):
        return Kind(lambda value: isinstance(value, Mapping), ("a mapping",))
    if getattr(annotation, "_is_protocol", False):
        return _has_verbs(annotation)
    return Kind(lambda value: isinstance(value, annotation), (_called(annotation),))


class _Names(dict[str, Any]):
    """Names of a module's annotations, what only type checkers import too; anything at all for what is not ours."""

    def __init__(self, module: str) -> None:
        super().__init__({**vars(builtins), **vars(typing), **vars(importlib.import_module(module))})
        self.module = module

    def __missing__(self, name: str) -> Any:
        home = _type_checkers_imports(self.module).get(name)
        return Any if home is None else getattr(importlib.import_module(home), name, Any)


@functools.cache
def _type_checkers_imports(module: str) -> dict[str, str]:
    """What a module imports from our packages under ``if TYPE_CHECKING``: name -> module."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    guarded = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    imports = [line for node in guarded for line in node.body if isinstance(line, ast.ImportFrom)]
    return {
        alias.asname or alias.name: line.module
        for line in imports
        if line.module is not None and line.module.partition(".")[0] in _OURS
        for alias in line.names
    }


def _resolved(annotation: object, names: _Names) -> Any:
    """Return an annotation without names in quotes."""
    if isinstance(annotation, typing.ForwardRef):
        home = annotation.__forward_module__
        if home is not None:
            names = _Names(home if isinstance(home, str) else home.__name__)
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        try:
            annotation = eval(annotation, {}, names)  # our own source, not a user's text
        except (AttributeError, TypeError):
            return Any
    arguments = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if not arguments or origin in (Annotated, Literal, Callable, None):
        return annotation
    inner = tuple(_resolved(argument, names) for argument in arguments)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[inner]  # noqa: UP007 - of a tuple
    return annotation if inner == arguments else origin[inner if len(inner) > 1 else inner[0]]


def shown(value: object) -> str:
    """A value as an error shows it: short, and what is large by its type alone."""
    short = isinstance(value, list | tuple | set | dict) and len(value) <= 10 and not any(map(_is_frame, value))
    if isinstance(value, type):
        return f"the type {value.__name__}"
    if not short and not isinstance(value, str | bytes | bool | numbers.Number | Decimal | None):
        return _one(type(value).__name__)
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _listed(words: Sequence[str]) -> str:
    """The alternatives as a sentence has them; "None" last, for it is what leaving out means."""
    first = [word for word in words if word != "None"]
    if "a sequence" in first:
        first = [word for word in first if not word.startswith("a sequence of")]
    text = first + ["None"] * (len(first) < len(words) and "None" in words)
    return text[0] if len(text) == 1 else f"{', '.join(text[:-1])} or {text[-1]}"


class Signatures:
    """Checks of arguments by the signatures of functions.

    Parameters
    ----------
    error : type of Exception
        What is raised for an argument of another kind.
    """

    def __init__(self, error: type[Exception]) -> None:
        self.error = error
        self._own: set[Callable[..., Any]] = set()

    def checked(self, function: F) -> F:
        """Decorate a function: its arguments are held against its annotations before it runs."""
        return self._checking(function, function.__name__, frozenset())

    def leaving(self, *names: str) -> Callable[[F], F]:
        """Decorate a function likewise, but leave some arguments to what it says of them itself."""
        return lambda function: self._checking(function, function.__name__, frozenset(names))

    def verbs(self, cls: C) -> C:
        """Decorate a class: the arguments of its public methods are held against their annotations."""
        for name, member in list(vars(cls).items()):
            if isinstance(member, types.FunctionType) and not name.startswith("_") and member not in self._own:
                setattr(cls, name, self.checked(member))
        return cls

    def own(self, function: F) -> F:
        """Decorate a verb that says itself what its arguments must be: of one that is called thousands of times."""
        self._own.add(function)
        return function

    def fields(self, called: str) -> Callable[[C], C]:
        """Decorate a dataclass: what it is made of, by a call of this name, is held against its fields' annotations."""

        def decorated(cls: C) -> C:
            cls.__init__ = self._checking(cls.__init__, called, frozenset(), closed=True)  # type: ignore[misc]
            return cls

        return decorated

    def _checking(self, function: F, called: str, left: frozenset[str], closed: bool = False) -> F:
        plans: list[_Plan] = []  # made when the function is first called: what it names is there by then

        @functools.wraps(function)
        def checking(*arguments: Any, **options: Any) -> Any:
            if not plans:
                plans.append(_Plan(function, left, closed))
            plan = plans[0]
            for name, value in (*zip(plan.places, arguments, strict=False), *options.items()):
                kind = plan.kind(name)
                if kind is None:
                    raise TypeError(_unknown(called, name, plan.names()))
                if kind.names and _is_text(value) and not kind.holds(value):
                    arguments, options = _handed_on(plan.places, arguments, options, name)
                    continue
                if not kind.holds(value):
                    raise self.error(f"{called}: {name} must be {_listed(kind.words)}, not {shown(value)}")
                if kind.names and _is_array(value):
                    arguments, options = _handed_on(plan.places, arguments, options, name)
            for value in arguments[len(plan.places) :]:
                kind = plan.rest()
                if not kind.holds(value):
                    raise self.error(f"{called} takes {_listed(kind.words)}, not {shown(value)}")
            return function(*arguments, **options)

        return typing.cast("F", checking)


class _Plan:
    """What a function asks of its arguments; each annotation is read when an argument is first given for it.

    Parameters
    ----------
    function : callable
    left : frozenset of str
        Arguments of which nothing is asked.
    closed : bool
        Whether an option that the signature does not have is refused here; else by Python.
    """

    def __init__(self, function: Callable[..., Any], left: frozenset[str], closed: bool) -> None:
        self.parameters = inspect.signature(function).parameters
        self.places = [p.name for p in self.parameters.values() if p.kind <= p.POSITIONAL_OR_KEYWORD]
        self._module, self._closed = function.__module__, closed
        self._kinds: dict[str, Kind] = dict.fromkeys({*left, "self"}, ANYTHING)

    def kind(self, name: str) -> Kind | None:
        """What is asked of an argument; None where there is none of that name."""
        found = self._kinds.get(name)
        if found is not None:
            return found
        parameter = self.parameters.get(name)
        if parameter is not None and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            self._kinds[name] = self._read(parameter)
        else:
            options = self._options()
            if options is None:
                return None if self._closed else ANYTHING
            if name not in options.__annotations__:
                return None
            self._kinds[name] = kind_of(_resolved(options.__annotations__[name], _Names(options.__module__)))
        return self._kinds[name]

    def rest(self) -> Kind:
        """What is asked of arguments that have no name."""
        parameter = next((p for p in self.parameters.values() if p.kind is p.VAR_POSITIONAL), None)
        return ANYTHING if parameter is None else self._read(parameter)

    def names(self) -> list[str]:
        """Every argument that may be given by its name."""
        options = self._options()
        return [*self.parameters, *({} if options is None else options.__annotations__)]

    def _read(self, parameter: inspect.Parameter) -> Kind:
        if parameter.annotation is parameter.empty:
            return ANYTHING
        return kind_of(_resolved(parameter.annotation, _Names(self._module)))

    def _options(self) -> type | None:
        """The ``TypedDict`` of further options, where there is one."""
        for parameter in self.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD and parameter.name not in self._kinds:
                options = (*typing.get_args(_resolved(parameter.annotation, _Names(self._module))), None)[0]
                return options if isinstance(options, type) and typing.is_typeddict(options) else None
        return None


def _handed_on(
    places: Sequence[str], arguments: tuple[Any, ...], options: dict[str, Any], name: str
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with this one as a list."""
    value = options[name] if name in options else arguments[places.index(name)]
    listed = [value] if isinstance(value, str) else list(value)
    if name in options:
        return arguments, {**options, name: listed}
    place = places.index(name)
    return (*arguments[:place], listed, *arguments[place + 1 :]), options


def _unknown(called: str, name: str, known: Sequence[str]) -> str:
    """What Python says of an argument that there is not, with the one that may have been meant."""
    close = difflib.get_close_matches(name.replace(".", "_"), known, n=1)
    hint = f". Did you mean {close[0]!r}?" if close else ""
    return f"{called}() got an unexpected keyword argument {name!r}{hint}"
