"""``mlmparity certify``: what the command does, apart from reading its arguments."""

from pathlib import Path
from typing import Any

from r_scripts.installing import install_command
from validation.cases import Case, select

__all__ = ["NotInstalledError", "chosen", "run_certify"]

#: Exit codes, as of ``validation.cli``.
_OK, _DISAGREES = 0, 1

#: Failures of a case that are printed.
MOST_FAILURES = 5


class NotInstalledError(ImportError):
    """python-flint is not installed."""


def chosen(names: list[str]) -> tuple[Case, ...]:
    """Cases of the suite by name, or by what it begins with; all but the too large ones where none is named."""
    from validation.suite import SUITE

    if not names:
        return tuple(case for case in SUITE if not case.too_large)
    exact = {case.name.casefold(): case for case in SUITE}
    found: list[Case] = []
    for name in names:
        key = name.strip().casefold()
        stem = [case for case in SUITE if case.name.casefold() in (f"{key}-ml", f"{key}-reml")]
        found += [exact[key]] if key in exact else stem or list(select([name], SUITE))
    return tuple({case.name: case for case in found}.values())


def run_certify(
    names: list[str],
    check: bool,
    digits: bool,
    bayes: bool,
    anew: bool,
    directory: Path | None,
    output: Any,
    errors: Any,
    quiet: bool,
) -> int:
    """Certify or check cases, with progress; the exit code."""
    from validation.progress import tracker

    cases = chosen(names)
    if digits:
        return _score(cases, bayes, directory, output, errors, quiet)
    try:
        import flint  # noqa: F401
        import mpmath  # noqa: F401
    except ImportError as error:
        raise NotInstalledError(
            f"certified values are made with python-flint and mpmath, and {error.name} is not installed: "
            + install_command("mlmparity[certify]")
        ) from None
    from validation.certify.posteriors import certify_posteriors
    from validation.certify.run import certify

    if check:
        return _check(cases, bayes, directory, output, errors, quiet)
    with tracker(1, quiet=quiet, console=errors) as track:
        track.start("Certifying")
        written = certify(cases, directory, track, anew)
        if bayes:
            written += certify_posteriors(cases, directory, track, anew)
        track.finish()
    if not quiet:
        for path in written:
            output.print(str(path), markup=False, soft_wrap=True)
    return _OK


def _check(cases: tuple[Case, ...], bayes: bool, directory: Path | None, output: Any, errors: Any, quiet: bool) -> int:
    """Recompute what is stored of each case, and of its posterior where there is one."""
    from validation.certify.posteriors import posterior_name
    from validation.certify.recompute_posterior import check_posterior
    from validation.certify.run import check_case
    from validation.progress import tracker
    from validation.references.certified import available_posteriors

    there = set(available_posteriors(directory)) if bayes else set()
    posteriors = {posterior_name(case): case for case in cases if posterior_name(case) in there}
    failed = 0
    with tracker(len(cases) + len(posteriors), quiet=quiet, console=errors) as track:

        def say(name: str, passed: bool, confirmed: str, failures: tuple[str, ...]) -> None:
            nonlocal failed
            failed += not passed
            track.finish()
            if not quiet or not passed:
                line = f"{name}: {confirmed if passed else 'NOT confirmed'}"
                output.print("\n  ".join([line, *failures[:MOST_FAILURES]]), markup=False, soft_wrap=True)

        for case in cases:
            track.start(f"Recomputing {case.name}")
            fit = check_case(case, directory)
            confirmed = (
                f"{fit.values} values confirmed (greatest relative difference {fit.difference:.1e}, "
                f"Newton step {fit.step:.0e})"
            )
            say(case.name, fit.passed, confirmed, fit.failures)
        for name, case in posteriors.items():
            track.start(f"Recomputing {name}")
            found = check_posterior(case, directory)
            confirmed = f"{found.values} values confirmed in double precision"
            if found.precise:
                confirmed += f", {found.precise} with mpmath (greatest difference {max(found.difference, 0):.1e} sds)"
            if found.alone:
                confirmed += f"; {found.alone} sds of random effects are not recomputed (there are several terms)"
            say(name, found.passed, confirmed, found.failures)
    return _DISAGREES if failed else _OK


def _score(cases: tuple[Case, ...], bayes: bool, directory: Path | None, output: Any, errors: Any, quiet: bool) -> int:
    from rich import box
    from rich.table import Table

    from validation.certify.scores import QUANTITIES, SIDES, score_cases
    from validation.progress import tracker
    from validation.references.choose import choose_source

    choose_source("live")
    with tracker(1 + bayes, quiet=quiet, console=errors) as track:
        track.start("Scoring")
        content = score_cases(cases, directory, track)
        track.finish()
        if bayes:
            from validation.certify.posterior_scores import score_posteriors

            track.start("Judging samplers")
            score_posteriors(cases, directory, track)
            track.finish()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
    for heading in ("case", "program", *QUANTITIES):
        table.add_column(heading, justify="left" if heading in ("case", "program") else "right")
    for name, sides in content["scores"].items():
        for side in SIDES:
            table.add_row(name, side, *(f"{sides[side][quantity]:.1f}" for quantity in QUANTITIES))
    output.print(table)
    return _OK
