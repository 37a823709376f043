"""The errors of the judge that a user meets, and that the command turns into exit codes."""

from r_scripts.escapes import VisibleText

#: What a side's code may raise: SystemExit too is an answer that failed, and only KeyboardInterrupt is the user's.
RAISED = (Exception, SystemExit, GeneratorExit)

#: Characters of an error's text that are kept: both ends of a longer one.
_LONGEST = 2000


def text_of(error: BaseException) -> str:
    """What an error of a side's code says, not without end; it may raise where it is asked."""
    try:
        text = str.__str__(str(error))
    except RAISED as other:
        return f"(its text cannot be had: {type(other).__name__[:80]})"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"


def error_in_words(error: BaseException) -> str:
    """``Type: text`` of an error of a side's code."""
    return f"{type(error).__name__[:80]}: {text_of(error)}"


class NoReferenceError(VisibleText, LookupError):
    """There is nothing to compare with: no R, and no recorded reference of this model and these data."""


class NoRError(VisibleText, RuntimeError):
    """Live R was asked for and is not there, or not complete."""


class EndedError(VisibleText, RuntimeError):
    """A side's code asked for the end of the program, where it was asked for a number."""


class DetectorWarning(VisibleText, RuntimeWarning):
    """A detector of a cause went wrong: a fault of ours, which leaves the verdict as it is (and fails our tests)."""


class SideError(VisibleText, RuntimeError):
    """One side could not fit the model, which the other side did fit, or was not asked to."""


class NotSupportedError(SideError):
    """One side says of itself that it does not have what the model needs: nothing was compared, nothing disagrees."""


class UnknownCaseError(VisibleText, ValueError):
    """A case was asked for by a name that none has."""


class InputError(VisibleText, ValueError):
    """A file, a column or an option does not fit; the text says what was found, what was expected, and the fix."""
