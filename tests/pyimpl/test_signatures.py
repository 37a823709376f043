"""Arguments are held against the annotations of the functions that they are given to."""

import sys
import typing
import warnings
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Protocol, TypedDict, Unpack

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from r_scripts.caller import warn
from r_scripts.signatures import Signatures, Such, kind_of

FRAME = pd.DataFrame({"x": [1.0, 2.0]})
ODD: list[Any] = [
    None,
    1.5,
    np.nan,
    "x",
    b"x",
    [],
    [None],
    {},
    {1},
    FRAME,
    FRAME["x"],
    Decimal(1),
    1j,
    object(),
    int,
    pd.NA,
]


class _Speaks(Protocol):
    @property
    def word(self) -> str: ...


class _Speaker:
    @property
    def word(self) -> str:
        raise AssertionError("asked whether it is there, not for what it is")


class _Options(TypedDict, total=False):
    often: int
    loud: "bool | None"


@pytest.mark.parametrize(
    ("annotation", "fits", "not_fits"),
    [
        (bool, [True, np.True_, 0, np.int64(1)], [2, None, "no", 1.0, [], pd.NA]),
        (int, [3, np.int8(3), 10**30], [True, 3.0, "3", None, np.array([3])]),
        (float, [3, 3.5, np.float32(3), np.nan], [True, "3", None, Decimal(3), 1j]),
        (str, ["", "x", np.str_("x")], [b"x", None, 1, ["x"]]),
        (str | None, ["x", None], [1, ["x"]]),
        (Literal["a", "b"], ["a"], ["c", None, [], np.array(["a"])]),
        (Sequence[str], [["x"], ("x",), pd.Series(["x"]), FRAME.columns, pl.Series(["x"]), {"x": 1}.keys()],
         ["x", b"x", [1], [None], pd.Series(["x", None]), pd.Series([1]), {"x"}, {"x": 1}, FRAME, None]),
        (Sequence[float], [[1, 2.5, None], np.zeros(3), pd.Series([1, None], dtype="Int64"), range(3), [Decimal(1)]],
         [["x"], [[1], [2]], np.array(["x"]), np.array(3.0), FRAME, "12", pd.Series(["1"])]),
        (np.ndarray, [np.zeros((2, 2)), [[1, 2], [3, 4]], [1]], [[[1, 2], [3]], ["x"], "x", None, 3]),
        (Sequence[Sequence[float]], [[[1, 2]], np.zeros((2, 2))], [[1], "x"]),
        (Mapping[str, float], [{"a": 1}, {}], [{"a": "x"}, {1: 1}, [("a", 1)], FRAME, None]),
        (Callable[[float], float], [abs, int], ["abs", None]),
        (pd.DataFrame, [FRAME, pl.DataFrame({"x": [1]}), pa.table({"x": [1]}), pl.LazyFrame({"x": [1]})],
         [FRAME["x"], pl.Series([1]), np.zeros((2, 2)), None, "x"]),
        (tuple[bool, bool], [(True, False), [True, True]], [(True,), True, ("a", "b")]),
        (_Speaks, [_Speaker()], [object(), None]),
        (_Speaker, [_Speaker()], [_Speaker, None]),
        (Annotated[int, Such(lambda n: n > 0, "a whole number above 0")] | None, [1, None], [0, 1.0]),
    ],
)  # fmt: skip
def test_what_an_annotation_asks_for(annotation, fits, not_fits):
    kind = kind_of(annotation)
    assert [value for value in fits if not kind.holds(value)] == []
    assert [value for value in not_fits if kind.holds(value)] == []


@pytest.mark.parametrize("annotation", [Any, object, typing.TypeVar("T")])
def test_what_is_not_understood_is_not_refused(annotation):
    assert all(kind_of(annotation).holds(value) for value in ODD)


CHECK = Signatures(ValueError)


@CHECK.checked
def says(text: str, often: Annotated[int, Such(lambda n: n > 0, "a whole number, at least 1")] = 1, *more: str) -> str:
    """Docstrings and names stay."""
    return text * often + "".join(more)


@CHECK.checked
def takes(names: "Sequence[str] | str | None" = None, **options: Unpack[_Options]) -> object:
    return names, options


@CHECK.leaving("text")
def leaves(text: str, loud: bool = False) -> object:
    return text, loud


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: says(1), "^says: text must be a string, not 1$"),
        (lambda: says("a", often="x"), "^says: often must be a whole number, at least 1, not 'x'$"),
        (lambda: says("a", 0), "at least 1, not 0$"),
        (lambda: says("a", 1, "b", 2), "^says takes a string, not 2$"),
        (lambda: says(FRAME), "not a DataFrame$"),
        (lambda: says(int), "not the type int$"),
        (lambda: says(object()), "not an object$"),
        (lambda: says(list(range(99))), "not a list$"),
        (lambda: says(["x" * 99]), r"not \['x+\.\.\.$"),
        (lambda: takes(3), "names must be a sequence of strings, a string or None, not 3"),
        (lambda: takes(loud="yes"), "loud must be True or False or None, not 'yes'"),
        (lambda: leaves("a", loud="no"), "loud must be True or False, not 'no'"),
    ],
)
def test_what_is_refused_is_named(call, told):
    with pytest.raises(ValueError, match=told):
        call()


def test_what_fits_goes_through_unchanged():
    assert says("a", 2, "b") == "aab"
    assert says.__doc__ == "Docstrings and names stay."
    assert says.__name__ == "says"
    assert takes(often=2, loud=None) == (None, {"often": 2, "loud": None})
    assert leaves(3) == (3, False)


def test_names_in_an_array_are_handed_on_as_a_list():
    assert takes(pd.Series(["a", "b"]))[0] == ["a", "b"]
    assert takes(names=FRAME.columns)[0] == ["x"]


@CHECK.checked
def listed(names: Sequence[str], often: int = 1) -> object:
    return names


def test_one_name_is_a_list_of_one_as_in_r():
    assert listed("age") == ["age"]
    assert listed(names="age") == ["age"]
    assert takes("age")[0] == "age"  # where a string is asked for, too, it stays one
    with pytest.raises(ValueError, match="names must be a sequence of strings, not 3"):
        listed(3)


def test_an_option_that_there_is_not_is_pythons_error_with_a_hint():
    with pytest.raises(TypeError, match=r"takes\(\) got an unexpected keyword argument 'oftn'. Did you mean 'often'"):
        takes(oftn=1)


def test_warnings_point_at_the_line_that_is_not_ours():
    ours: dict[str, Any] = {"__name__": "pyimpl.somewhere", "warn": warn}
    exec("def deep(n):\n    deep(n - 1) if n else warn('so', UserWarning)", ours)
    for depth in (0, 3):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ours["deep"](depth)
        assert caught[0].filename == __file__


def test_a_module_that_left_sys_modules_is_imported_again(monkeypatch):
    """As pytester's tests take out what was imported since they began."""
    import bridge.lme4

    monkeypatch.delitem(sys.modules, "bridge.lme4")
    checks = Signatures(TypeError)

    def fit(formula: str) -> str:
        return formula

    fit.__module__ = bridge.lme4.__name__
    assert checks.checked(fit)("y ~ x") == "y ~ x"
    with pytest.raises(TypeError, match="formula"):
        checks.checked(fit)(1)
