"""Keep small linear algebra on one thread.

BLAS libraries start a thread for every core even for matrices of a hundred rows, where waiting for the threads costs
more than the work, and on a busy machine a hundred times more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

__all__ = ["one_blas_thread"]


@cache
def _libraries() -> list[Any]:
    # the libraries loaded by now: numpy's and scipy's
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return list(ThreadpoolController().select(user_api="blas").lib_controllers)


@contextmanager
def one_blas_thread(wanted: bool = True) -> Iterator[None]:
    """Limit BLAS to one thread inside the block, unless not `wanted`; the former number is put back afterwards."""
    if not wanted:
        yield
        return
    # by the libraries' own controllers: threadpoolctl's context manager takes as long as a small fit
    changed = [(library, before) for library in _libraries() if (before := library.get_num_threads()) > 1]
    for library, _ in changed:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, before in changed:
            library.set_num_threads(before)
