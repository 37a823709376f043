"""Frozen dataclasses that take all their fields at once are dataclasses all the same."""

import dataclasses
import inspect
import pickle
from functools import cached_property

import pytest

from pyimpl.records import changed, record


@record
class Pair:
    one: int
    other: list[int] = dataclasses.field(default_factory=list, compare=False)

    @cached_property
    def double(self) -> int:
        return 2 * self.one


@record
class Known:
    one: int
    two: int = 2


def test_a_record_is_made_of_names_of_places_and_of_defaults():
    for pair in (Pair(one=1, other=[2]), Pair(1, [2]), Pair(1, other=[2])):
        assert (pair.one, pair.other) == (1, [2])
    assert Pair(1).other == []
    assert Known(one=1) == Known(1) == Known(1, 2) == Known(one=1, two=2)
    assert Pair(1).other is not Pair(1).other
    assert dataclasses.asdict(pickle.loads(pickle.dumps(Pair(3, [4])))) == {"one": 3, "other": [4]}
    assert list(inspect.signature(Pair).parameters) == ["one", "other"]


@pytest.mark.parametrize(
    ("values", "fields"), [((), {}), ((1, 2, 3), {}), ((), {"one": 1, "others": []}), ((1,), {"one": 1})]
)
def test_a_record_refuses_what_a_dataclass_refuses(values, fields):
    with pytest.raises(TypeError):
        Pair(*values, **fields)


def test_a_record_is_frozen_and_compares_by_its_fields():
    pair = Pair(1, [2])
    with pytest.raises(dataclasses.FrozenInstanceError):
        pair.one = 2
    assert pair == Pair(1, [3])
    assert pair != Pair(2, [2])
    assert hash(pair) == hash(Pair(1))


def test_a_changed_record_computes_anew():
    pair = Pair(1)
    assert pair.double == 2
    assert changed(pair, one=5).double == 10
    assert pair.one == 1
