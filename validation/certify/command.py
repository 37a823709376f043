"""``mlmparity certify``: what the command does, apart from reading its arguments."""

from dataclasses import dataclass
from pathlib import Path

from pyimpl.extras import need
from validation.cases import SUITE, Case, select
from validation.console import VisibleConsole
from validation.progress import tracker
from validation.verdict import DISAGREES, OK

#: Failures of a case that are printed.
MOST_FAILURES = 5


def chosen(names: list[str]) -> tuple[Case, ...]:
    """Cases of the suite by name; all but the too large ones where none is named."""
    return select(names, SUITE) if names else tuple(case for case in SUITE if not case.too_large)


@dataclass(frozen=True)
class CertifyCommand:
    """What is to be certified, checked or scored; each method gives an exit code."""

    cases: tuple[Case, ...]
    bayes: bool  # their posteriors, too
    directory: Path | None  # of the references; the package's own where not given
    quiet: bool

    def write(self, anew: bool) -> int:
        """Certify, and write what is not there yet, or everything anew."""
        need("certify", "a certified value", "flint", "mpmath")
        from validation.certify.posteriors import certify_posteriors
        from validation.certify.run import certify

        with tracker(1, quiet=self.quiet) as track:
            track.start("Certifying")
            written = certify(self.cases, self.directory, track, anew)
            if self.bayes:
                written += certify_posteriors(self.cases, self.directory, track, anew)
        for path in written if not self.quiet else ():
            VisibleConsole().say(str(path))
        return OK

    def check(self) -> int:
        """Recompute what is stored of each case, and of its posterior where there is one."""
        need("certify", "a certified value", "flint", "mpmath")
        from validation.certify.posteriors import by_posterior, check_posterior
        from validation.certify.run import check_case
        from validation.references.certified import available_posteriors

        work = [(case.name, check_case, case) for case in self.cases]
        if self.bayes:
            there, posteriors = available_posteriors(self.directory), by_posterior(self.cases)
            work += [(name, check_posterior, case) for name, case in posteriors.items() if name in there]
        failed = False
        with tracker(len(work), quiet=self.quiet) as track:
            for name, recompute, case in work:
                track.start(f"Recomputing {name}")
                found = recompute(case, self.directory)
                track.finish()
                failed |= not found.passed
                if not found.passed:
                    VisibleConsole().say("\n  ".join([f"{name}: NOT confirmed", *found.failures[:MOST_FAILURES]]))
                elif not self.quiet:
                    VisibleConsole().say(f"{name}: {found.confirmed}")
        return DISAGREES if failed else OK

    def score(self) -> int:
        """Score live lme4 and ours by the stored values, and samplers by the stored posteriors; print the digits."""
        from validation.certify.scores import SIDES, markdown, score_cases, score_posteriors
        from validation.references.choose import choose_source

        choose_source("live")
        with tracker(1 + self.bayes, quiet=self.quiet) as track:
            track.start("Scoring")
            content = score_cases(self.cases, self.directory, track)
            if self.bayes:
                track.start("Judging samplers")
                score_posteriors(self.cases, self.directory, track)
        VisibleConsole().say(f"{markdown(content)}\nIn each cell: {' · '.join(SIDES)}.")
        return OK
