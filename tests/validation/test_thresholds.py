"""Every threshold of the judge stands in validation/tolerances.py, with its reason."""

import ast
import inspect
from pathlib import Path

import pytest

import validation
from validation.tolerances import Match, Multiple, Share, Strength

VALIDATION = Path(validation.__file__).parent
JUDGE = VALIDATION / "judge"

#: Where no small number stands, and where nothing is compared with a number: there verdicts and causes are decided.
WITHOUT_SMALL = sorted(
    [
        *JUDGE.rglob("*.py"),
        *(VALIDATION / "conformance").glob("*.py"),
        *(VALIDATION / "references").glob("*.py"),
        *(VALIDATION / f"{name}.py" for name in ("algebra", "anova", "compare", "intervals", "recording", "results")),
    ]
)
DECIDING = sorted(
    [*WITHOUT_SMALL, *(VALIDATION / "faults").glob("*.py"), *(VALIDATION / f"{name}.py" for name in (
        "calibration", "quantities", "wellformed",
    ))]
)  # fmt: skip

#: Numbers that decide nothing: steps of numerical differences, stopping rules of searches, what is lost in rounding.
NUMERICS = {
    "algebra.py": {1e-14, 0.02},
    "judge/units.py": {0.05, 0.02, 1e-2, 1e-6, 1e-9},
    "judge/estimates.py": {2e-3},
    "judge/ecdf.py": {1e-10, 1e-12},
    "judge/diagnosis/priors.py": {1e-13, 1e-15, 1e-3, 1e-4},
}


#: Numbers of any size in comparisons that decide nothing: when a step is right, whether a whole number is another,
#: whether a response can be divided by its middle; how data are drawn.
COMPARED = {
    "algebra.py": {0.5},
    "judge/units.py": {0.02, 0.5, 1e-9},
    "faults/bases.py": {0.4},
}


def small_numbers(source: str) -> list[tuple[int, float]]:
    """Line and value of each number below a tenth in a module."""
    return [
        (node.lineno, node.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and 0.0 < abs(node.value) < 0.1
    ]


def compared_numbers(source: str) -> list[tuple[int, float]]:
    """Line and value of each number but 0, 1 and 2 that something is compared with, or a tolerance of numpy's."""
    found, plain = [], (0.0, 1.0, 2.0)
    for node in ast.walk(ast.parse(source)):
        named = isinstance(node, ast.keyword) and node.arg in ("rtol", "atol")
        if isinstance(node, ast.Compare) or named:
            found += [
                (part.lineno, part.value)
                for part in ast.walk(node)
                if isinstance(part, ast.Constant) and isinstance(part.value, float) and part.value not in plain
            ]
    return found


@pytest.mark.parametrize("path", WITHOUT_SMALL, ids=lambda path: str(path.relative_to(VALIDATION)))
def test_no_threshold_stands_in_the_judges_code(path):
    numerics = NUMERICS.get(str(path.relative_to(VALIDATION)), set())
    found = [(line, value) for line, value in small_numbers(path.read_text("utf-8")) if value not in numerics]
    assert not found, f"{path.name}: {found} belong in validation/tolerances.py, with a reason"


@pytest.mark.parametrize("path", DECIDING, ids=lambda path: str(path.relative_to(VALIDATION)))
def test_no_number_is_compared_with_but_those_of_tolerances(path):
    allowed = COMPARED.get(str(path.relative_to(VALIDATION)), set())
    found = [(line, value) for line, value in compared_numbers(path.read_text("utf-8")) if value not in allowed]
    assert not found, f"{path.name}: {found} belong in validation/tolerances.py, with a reason"


def test_the_search_for_thresholds_finds_one():
    assert small_numbers("def close(a, b):\n    return abs(a - b) < 1e-5 * b + 2.0") == [(2, 1e-5)]
    assert compared_numbers("if share > 0.8 * n or found < 30.0 or a == 0.0:\n    x = 0.7") == [(1, 0.8), (1, 30.0)]
    assert compared_numbers("np.allclose(a, b, rtol=1e-9, atol=0)") == [(1, 1e-9)]


def test_the_numerics_that_are_allowed_are_there():
    for name, numbers in NUMERICS.items():
        assert numbers <= {value for _, value in small_numbers((VALIDATION / name).read_text("utf-8"))}, name
    for name, numbers in COMPARED.items():
        assert numbers <= {value for _, value in compared_numbers((VALIDATION / name).read_text("utf-8"))}, name


@pytest.mark.parametrize("kind", [Match, Multiple, Share, Strength], ids=lambda kind: kind.__name__)
def test_each_of_them_has_a_reason(kind):
    lines = inspect.getsource(kind).splitlines()
    for name in vars(kind):
        if name.isupper():
            place = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{name} ="))
            assert lines[place - 1].strip().startswith("#:"), name
