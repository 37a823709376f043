"""The script's random values again, with other seeds: by how much they change by themselves.

R's and Python's streams of random numbers differ, so that a value that is computed from draws (a posterior's quantile,
a bootstrap's interval, ``mean(sims > 3)``, emmeans of a posterior, ``loo_compare``) agrees where R's could be one more
of Python's. No rule of its own is needed for what a script computes from them: whatever it is, it is computed again.
"""

import ast
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["LEAST", "Limits", "shifted", "sliced", "times_within"]

#: How often random values are computed again, and how often at least.
TIMES, LEAST = 15, 5
#: Seconds that this may take.
SECONDS = 240.0

_CHANGING = {"append", "extend", "update", "insert", "pop", "remove", "clear", "setdefault"}


@dataclass(frozen=True)
class Limits:
    """How often, and how long; ``least`` times even if that takes up to ``patience`` times as long."""

    times: int = TIMES
    seconds: float = SECONDS
    least: int = LEAST
    patience: float = 6.0


class _Seeds(ast.NodeTransformer):
    """``seed=3`` as ``seed=__shifted(3)``."""

    def visit_keyword(self, node: ast.keyword) -> ast.keyword:
        self.generic_visit(node)
        if node.arg == "seed":
            call = ast.Call(ast.Name("__shifted", ast.Load()), [node.value], [])
            node.value = ast.copy_location(call, node.value)
        return node


def shifted(tree: ast.Module) -> ast.Module:
    """The script with each ``seed=`` given to ``__shifted`` first."""
    changed: ast.Module = _Seeds().visit(tree)
    return ast.fix_missing_locations(changed)


def _read_and_written(node: ast.stmt) -> tuple[set[str], set[str]]:
    """The names that a statement uses, and those that it gives or changes a value of."""
    read: set[str] = set()
    written: set[str] = set()
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            (written if isinstance(one.ctx, ast.Store | ast.Del) else read).add(one.id)
        elif isinstance(one, ast.FunctionDef | ast.ClassDef):
            written.add(one.name)
        elif isinstance(one, ast.Subscript | ast.Attribute) and isinstance(one.ctx, ast.Store | ast.Del):
            owner: ast.expr = one
            while isinstance(owner, ast.Subscript | ast.Attribute | ast.Call):
                owner = owner.func if isinstance(owner, ast.Call) else owner.value
            if isinstance(owner, ast.Name):
                written.add(owner.id)
        elif isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr in _CHANGING:
            written |= {one.func.value.id} if isinstance(one.func.value, ast.Name) else set()
    return read, written


def sliced(tree: ast.Module, wanted: Callable[[ast.stmt], bool]) -> ast.Module:
    """The statements of a script that the wanted ones need, and these.

    Parameters
    ----------
    tree : ast.Module
    wanted : callable
        Whether a statement is one of those that must be there.
    """
    names: set[str] = set()
    kept: list[ast.stmt] = []
    for node in reversed(tree.body):
        read, written = _read_and_written(node)
        if isinstance(node, ast.Import | ast.ImportFrom) or wanted(node) or written & names:
            kept.append(node)
            names |= read
    return ast.Module(kept[::-1], tree.type_ignores)


def times_within(once: Callable[[int], bool], limits: Limits) -> int:
    """Do something again and again; how often it was done before the time was over or it said no."""
    began = time.monotonic()
    for k in range(1, limits.times + 1):
        before = time.monotonic()
        if not once(k):
            return k - 1
        now = time.monotonic()
        allowed = limits.seconds * (limits.patience if k < limits.least else 1.0)
        if k < limits.times and allowed - (now - began) < now - before:
            return k
    return limits.times
