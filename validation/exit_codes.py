"""Exit codes of the command: what a shell or a CI job learns of a run."""

from validation.verdict import Verdict

OK, DISAGREES, BAD_INPUT, INCONCLUSIVE, NO_R, INTERRUPTED = 0, 1, 2, 3, 4, 130


def exit_code(verdict: Verdict) -> int:
    """Return the exit code of a verdict on a whole run."""
    if verdict.failed:
        return DISAGREES
    return INCONCLUSIVE if verdict is Verdict.INCONCLUSIVE else OK
