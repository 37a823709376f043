"""Long calls of BLAS, LAPACK and NumPy, during which Ctrl-C is heard all the same."""

import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["heard", "heard_if_long"]

P = ParamSpec("P")
T = TypeVar("T")

#: Operations from which a call is long: some tenths of a second. A thread costs less than a thousandth of that.
LONG = 2e9
_LISTEN = 0.1  # seconds


def heard(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that runs for long without Python, and let signals be heard meanwhile.

    Python handles a signal in its main thread only, between two of its own steps, so a call of LAPACK that takes a
    minute is deaf for a minute. In a thread of its own it leaves Python free, as it has let go of the interpreter's
    lock: the main thread waits, and may be interrupted. What was begun then ends unseen, and its result is dropped.

    Parameters
    ----------
    function : callable
        One that lets go of the interpreter's lock and changes nothing that is used after an interrupt.
    *args, **kwargs
        Its arguments.

    Returns
    -------
    object
        What the function returns.

    Raises
    ------
    BaseException
        What the function raises, or what a signal does.
    """
    if threading.current_thread() is not threading.main_thread():
        return function(*args, **kwargs)
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(function(*args, **kwargs))
        except BaseException as error:  # handed on to the caller's thread
            failure.append(error)

    worker = threading.Thread(target=run, name="linear-algebra", daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(_LISTEN)
    if failure:
        raise failure[0]
    return result[0]


def heard_if_long(operations: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function, by :func:`heard` where it takes some tenths of a second or more.

    Parameters
    ----------
    operations : float
        About how many; a power or a logarithm counts as ten.
    function : callable
    *args, **kwargs
        As of :func:`heard`.

    Returns
    -------
    object
        What the function returns.
    """
    return heard(function, *args, **kwargs) if operations > LONG else function(*args, **kwargs)
