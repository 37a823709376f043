"""Errors and warnings of ``bridge``: what was found, what was expected, and the fix."""

from collections.abc import Sequence

from r_scripts.escapes import VisibleText

__all__ = [
    "BridgeError",
    "DataError",
    "FormulaError",
    "HandleError",
    "RCrashError",
    "RError",
    "RNotFoundError",
    "RPackageError",
    "RTimeoutError",
    "RWarning",
    "Rpy2Error",
]


class BridgeError(VisibleText):
    """Base class of every error that ``bridge`` raises on purpose."""


class RNotFoundError(BridgeError):
    """There is no usable R on this machine (or ``R_HOME`` points somewhere else)."""


class Rpy2Error(BridgeError):
    """rpy2 is missing, or the installed release does not fit the R that is there."""


class RPackageError(BridgeError):
    """An R package is missing or too old.

    Attributes
    ----------
    package : str
    found : str or None
        Installed version; None where the package is missing.
    needed : str
        Smallest version that will do.
    command : str
        The command that mends it.
    """

    def __init__(self, package: str, found: str | None, needed: str, command: str) -> None:
        self.package, self.found, self.needed, self.command = package, found, needed, command
        state = "is not installed" if found is None else f"is version {found}"
        super().__init__(f"R package {package!r} {state}; version {needed} or later is needed. Run: {command}")

    def __reduce__(self) -> tuple[type, tuple[str, str | None, str, str]]:
        return type(self), (self.package, self.found, self.needed, self.command)


class RError(BridgeError):
    """R stopped with an error; the message is R's own.

    Attributes
    ----------
    message : str
        ``conditionMessage(e)``.
    call : str or None
        ``deparse(conditionCall(e))``.
    classes : tuple of str
        ``class(e)``.
    """

    def __init__(self, message: str, call: str | None = None, classes: Sequence[str] = ()) -> None:
        self.message, self.call, self.classes = message, call, tuple(classes)
        super().__init__(f"R: {message}" + (f" [in {call}]" if call else ""))

    def __reduce__(self) -> tuple[type, tuple[str, str | None, tuple[str, ...]]]:
        return type(self), (self.message, self.call, self.classes)


class RCrashError(BridgeError):
    """The R process ended in the middle of its work; the next call starts a fresh one."""


class RTimeoutError(BridgeError, TimeoutError):
    """R did not finish within the time allowed."""


class HandleError(BridgeError):
    """The R object behind a Python object is gone: its R process has ended, or this is a forked or unpickled copy."""


class FormulaError(BridgeError, ValueError):
    """The formula cannot be read, or calls something that is not allowed in a formula."""


class DataError(BridgeError, ValueError):
    """A column, level or value of the data does not fit (missing column, infinite value, constant response, ...)."""


class RWarning(VisibleText, UserWarning):
    """A warning that R gave; the text is R's."""
