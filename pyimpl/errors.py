"""Errors and warnings of ``pyimpl``: each names what was found, what was expected, and the fix."""

from r_scripts.escapes import VisibleText

__all__ = [
    "ConvergenceWarning",
    "DataError",
    "FormulaError",
    "ModelError",
    "PyimplError",
    "PyimplWarning",
    "RankDeficientWarning",
    "SingularFitWarning",
]


class PyimplError(VisibleText, ValueError):
    """Base class of every error that ``pyimpl`` raises on purpose."""


class FormulaError(PyimplError):
    """The formula cannot be read, or calls something that is not allowed in a formula."""


class DataError(PyimplError):
    """A column, level or value of the data does not fit (missing column, infinite value, constant response, ...)."""


class ModelError(PyimplError):
    """The model cannot be fitted to these data; R refuses it too (more random effects than observations, ...)."""


class PyimplWarning(VisibleText, UserWarning):
    """Base class of every warning of ``pyimpl``."""


class SingularFitWarning(PyimplWarning):
    """``boundary (singular) fit: see help('isSingular')``."""


class ConvergenceWarning(PyimplWarning):
    """The optimizer or the sampler did not converge."""


class RankDeficientWarning(PyimplWarning):
    """Fixed-effect columns were dropped because X does not have full column rank."""
