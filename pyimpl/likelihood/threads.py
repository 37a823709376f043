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
def _controller() -> Any:
    # the libraries loaded by now: numpy's and scipy's
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController().select(user_api="blas")


@contextmanager
def one_blas_thread(wanted: bool = True) -> Iterator[None]:
    """Limit BLAS to one thread inside the block, unless not `wanted`; the former number is put back afterwards."""
    if not wanted:
        yield
        return
    with _controller().limit(limits=1):
        yield
