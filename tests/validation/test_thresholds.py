"""Every threshold of the judge stands in validation/tolerances.py, with its reason."""

import ast
from pathlib import Path

import pytest

import validation
from validation.tolerances import Match

JUDGE = Path(validation.__file__).parent / "judge"

#: Numbers that decide nothing: steps of numerical differences, stopping rules of searches, what is lost in rounding.
NUMERICS = {
    "units.py": {0.05, 0.02, 1e-6, 1e-9},
    "noise.py": {1e-9, 1e-2},
    "satterthwaite.py": {2e-3},
    "ecdf.py": {1e-10, 1e-12},
    "ranks.py": {1e-10, 1e-12},
    "diagnosis/density.py": {1e-13, 1e-15, 1e-3, 1e-4},
    "diagnosis/model.py": {1e-14, 0.02},
}


def small_numbers(source: str) -> list[tuple[int, float]]:
    """Line and value of each number below a tenth in a module."""
    return [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and 0.0 < abs(node.value) < 0.1
    ]


@pytest.mark.parametrize("path", sorted(JUDGE.rglob("*.py")), ids=lambda path: str(path.relative_to(JUDGE)))
def test_no_threshold_stands_in_the_judges_code(path):
    numerics = NUMERICS.get(str(path.relative_to(JUDGE)), set())
    found = [(line, value) for line, value in small_numbers(path.read_text("utf-8")) if value not in numerics]
    assert not found, f"{path.name}: {found} belong in validation/tolerances.py, with a reason"


def test_the_search_for_thresholds_finds_one():
    assert small_numbers("def close(a, b):\n    return abs(a - b) < 1e-5 * b + 2.0") == [(2, 1e-5)]


def test_the_numerics_that_are_allowed_are_there():
    for name, numbers in NUMERICS.items():
        assert numbers <= {value for _, value in small_numbers((JUDGE / name).read_text("utf-8"))}, name


def test_each_nearness_has_a_reason():
    source = (JUDGE.parent / "tolerances.py").read_text("utf-8")
    lines = source[source.index("class Match:") : source.index("class Strength:")].splitlines()
    for name in vars(Match):
        if name.isupper():
            place = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{name} ="))
            assert lines[place - 1].strip().startswith("#:"), name
