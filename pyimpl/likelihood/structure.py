"""How the Schur complement of the outer factors is factored: by its structure, which the data have.

Levels that no row and no inner level brings together are in different components, and their blocks are factored by
themselves: schools, within which teachers and classes are nested, are such components. A component whose levels meet in
few combinations is factored in a fill-reducing order; one in which nearly everything fills up is dense. Where even that
is dear, eliminating the inner factor first may be wrong, since a level that meets hundreds of others joins all of them:
then no factor is inner, and the order decides among all levels.
"""

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from pyimpl.errors import ModelError, PyimplWarning
from pyimpl.likelihood.rows import cliques_to_graph, components, mean_degree
from pyimpl.linalg.memory import in_words, memory
from pyimpl.linalg.minimum_degree import minimum_degree
from pyimpl.linalg.pattern import analyse, blocks
from r_scripts.caller import warn

__all__ = ["choose_pattern"]

_TINY = 23  # columns up to which a dense factor takes less than to look at the structure
_CORE = 0.7  # share of the nodes left that each must touch to be called dense
_CHEAP = 2e6  # operations of a factor for which no better order is looked for: a millisecond
_DEAR = 3e7  # ... from which it is also tried without an inner factor
_DEAR_IF_FULL = 1e9  # ... and from which it is where nearly all outer levels meet, so that little can be gained
_LOOKED_AT = 12  # nodes by which it is guessed whether all meet
_WORTH_IT = 0.8  # of the price, below which another order is taken
_SCATTERED = 8.0  # operations that an element of a sparse factor costs besides its own: they are not next to each other
_MOST_PAIRS = 1e9  # of columns that meet in a level, for which the graph of the outer levels is made
_EVALUATIONS = 15  # of the criterion in a usual fit of crossed factors
_SPEED = 1.5e10  # dense operations a second and core
_LONG = 120.0  # seconds that deserve a warning


def _price(pattern: Any) -> float:
    """Operations of a factorisation, and the time that its scattered elements take, in the same unit."""
    return float(pattern.flops) + _SCATTERED * float(pattern.rows.shape[0] + pattern.size) * (pattern.supernodes > 1)


def _ordered(indptr: np.ndarray, nodes: np.ndarray, width: np.ndarray) -> Any:
    """Pattern in a fill-reducing order, of nodes that touch each other in cliques."""
    graph = cliques_to_graph(indptr, nodes, width.size)
    order, core = minimum_degree(graph[0], graph[1], _CORE)
    return analyse(graph[0], graph[1], width, np.asarray(order, dtype=np.intp), int(core))


@lru_cache(maxsize=64)
def _one_panel(width: tuple[int, ...]) -> Any:
    """The dense pattern of nodes of these widths."""
    return blocks(np.zeros(len(width), dtype=np.intp), np.array(width, dtype=np.intp))


def choose_pattern(
    touched: tuple[np.ndarray, np.ndarray],
    width: np.ndarray,
    everything: Callable[[], tuple[np.ndarray, np.ndarray, np.ndarray]],
    names: Sequence[str],
    structure: str = "best",
) -> tuple[Any, bool]:
    """Choose the pattern of the outer factors' Schur complement, and whether there is an inner factor at all.

    Parameters
    ----------
    touched : tuple of ndarray
        The outer nodes of each inner level: ``(indptr, nodes)``.
    width : ndarray of int, shape (outer nodes,)
        Columns of each.
    everything : callable
        Returns all nodes of each row, the inner factor's included, likewise, and the columns of each;
        few models need them.
    names : sequence of str
        Grouping factors, for messages.
    structure : {"best", "blocks", "ordered", "joint"}
        What is chosen: the cheapest; dense blocks; a fill-reducing order; no inner factor.

    Returns
    -------
    Pattern, bool

    Raises
    ------
    ModelError
        If no factor fits the memory.
    """
    if structure == "best" and int(width.sum()) <= _TINY:
        return _one_panel(tuple(width.tolist())), True
    label = components(*touched, width.size)
    best, inner = blocks(label, width), True
    count = np.diff(touched[0]).astype(float)
    pairs = float(count @ count) * float(width.max()) ** 2
    price = _price(best) + pairs
    fits = 8 * 4.0 * best.size <= memory()
    dear = _DEAR
    looked_at = structure == "best" and _price(best) > _CHEAP and pairs < _MOST_PAIRS
    if looked_at and fits and mean_degree(*touched, width.size, _LOOKED_AT) > _CORE * width.size:
        looked_at, dear = False, _DEAR_IF_FULL  # nearly all nodes touch each other: no order makes less of that
    if structure == "ordered" or looked_at:
        other = _ordered(*touched, width)
        if structure == "ordered" or not fits or _price(other) + pairs < _WORTH_IT * price:
            best, price = other, _price(other) + pairs
            fits = 8 * 4.0 * best.size <= memory()
    if structure == "joint" or (structure == "best" and (price > dear or not fits)):
        other = _ordered(*everything())
        if structure == "joint" or not fits or _price(other) < _WORTH_IT * price:
            best, inner = other, False
    size = 8 * 4.0 * best.size  # the cross-products, the Schur complement and its factor, its inverse
    if size > memory():
        raise ModelError(
            f"the crossed grouping factors {' and '.join(names)} ({int(everything()[2].sum())} random effects) need "
            f"{in_words(size)} of memory, and the machine has {in_words(memory())} for a fit: their "
            f"levels meet in so many combinations that the Cholesky factor has {best.size:.3g} elements. "
            "Leave out a term, or take fewer levels"
        )
    if structure == "best":
        _warn_if_long(3.0 * best.flops + pairs)
    return best, inner


def _warn_if_long(operations: float) -> None:
    """Say before it starts that a fit will take minutes, and why: an evaluation has so many dense operations."""
    seconds = _EVALUATIONS * operations / (_SPEED * (os.cpu_count() or 1))
    if seconds > _LONG:
        warn(
            f"this fit may take about {seconds / 60:.0f} minutes: the levels of the crossed grouping factors meet in "
            f"so many combinations that each of some {_EVALUATIONS} evaluations takes {operations:.1g} operations",
            PyimplWarning,
        )
