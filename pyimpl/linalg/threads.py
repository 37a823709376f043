"""Keep small linear algebra on one thread.

BLAS libraries start a thread for every core even for matrices of a hundred rows, where waiting for the threads costs
more than the work, and on a busy machine a hundred times more.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from typing import Any

__all__ = ["FEW_ROWS", "blas_is_loaded", "one_blas_thread"]

FEW_ROWS = 2000  # rows up to which BLAS starts no threads for a narrow model matrix

#: The libraries that the innermost block has limited, each with its former number of threads.
_limited: ContextVar[list[tuple[Any, int]] | None] = ContextVar("limited", default=None)


@cache
def _libraries(scipy: bool) -> list[Any]:
    """The BLAS libraries that are loaded: numpy's, and scipy's if that is."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


def _limit(limited: list[tuple[Any, int]]) -> None:
    """Limit the libraries that are loaded by now, and add to the list those that had more than one thread."""
    for library in _libraries("scipy.linalg" in sys.modules):
        before = library.get_num_threads()
        if before > 1:
            library.set_num_threads(1)
            limited.append((library, before))


def blas_is_loaded() -> None:
    """Limit a library that was loaded inside a block like those that were there before."""
    limited = _limited.get()
    if limited is not None:
        _limit(limited)


def one_blas_thread(wanted: bool = True) -> AbstractContextManager[None]:
    """Limit BLAS to one thread inside the block, unless not `wanted`; the former number is put back afterwards."""
    return _one_thread() if wanted else _AS_IT_IS


_AS_IT_IS = nullcontext()


@contextmanager
def _one_thread() -> Iterator[None]:
    # by the libraries' own controllers: threadpoolctl's context manager takes as long as a small fit
    limited: list[tuple[Any, int]] = []
    _limit(limited)
    token = _limited.set(limited)
    try:
        yield
    finally:
        _limited.reset(token)
        for library, before in limited:
            library.set_num_threads(before)
