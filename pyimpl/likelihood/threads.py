"""How many BLAS threads a model gets: one, unless it has a dense matrix so large that several pay."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from pyimpl.design.design import Design
from pyimpl.linalg.threads import FEW_ROWS, one_blas_thread

__all__ = ["fit_threads", "sized_threads", "threads_for", "wants_one_thread"]

# random effects besides the inner factor's from which several BLAS threads pay: 2.3 -> 1.5 s for 2500, nothing for 900
_MANY_EFFECTS = 2000
_FEW_EFFECTS = 23  # of them up to which no BLAS is called
_NARROW = 6  # columns of X for which it starts none up to FEW_ROWS rows


class _OfADesign(Protocol):
    @property
    def design(self) -> Design: ...


_P = ParamSpec("_P")
_T = TypeVar("_T")
_F = TypeVar("_F", bound=_OfADesign)


def wants_one_thread(design: Design, skip_tiny: bool = False) -> bool:
    """Whether BLAS is to have one thread, as the model is small.

    Parameters
    ----------
    design : Design
    skip_tiny : bool
        Leave BLAS alone where nothing in a search is so large that it would start threads: looking the libraries up
        for the first time takes longer than such a fit.
    """
    dense = design.q - max((term.J * term.p for term in design.terms), default=0)
    tiny = design.N <= FEW_ROWS and design.P < _NARROW and dense <= _FEW_EFFECTS
    return dense < _MANY_EFFECTS and not (skip_tiny and tiny)


def threads_for(design: Design, skip_tiny: bool = False) -> AbstractContextManager[None]:
    """Limit BLAS to one thread inside the block where :func:`wants_one_thread` says so."""
    return one_blas_thread(wants_one_thread(design, skip_tiny))


def sized_threads(function: Callable[Concatenate[Design, _P], _T]) -> Callable[Concatenate[Design, _P], _T]:
    """Decorate a function of a design, so that BLAS has as many threads in it as the model's size deserves."""

    @wraps(function)
    def limited(design: Design, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with threads_for(design, skip_tiny=True):
            return function(design, *args, **kwargs)

    return limited


def fit_threads(method: Callable[Concatenate[_F, _P], _T]) -> Callable[Concatenate[_F, _P], _T]:
    """Decorate a method of a fit, likewise: what it computes of matrices of P columns or of groups of rows is small.

    On a machine with other work BLAS's threads wait for each other: 42 s in place of .6 for the degrees of freedom of
    the benchmarks' value-added data at a load of 14.
    """

    @wraps(method)
    def limited(fit: _F, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with threads_for(fit.design):
            return method(fit, *args, **kwargs)

    return limited
