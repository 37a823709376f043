"""Certifying the cases of the suite: prove, enclose, check, write."""

import datetime as dt
import platform
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
from flint import arb, ctx

from pyimpl.design.design import Design, build_design
from pyimpl.models.lmer import LmerFit, fit_design
from validation.cases import Case
from validation.certify.criterion import ExactSums, exact_sums
from validation.certify.enclose import Enclosure, NotCertifiedError, enclose, prove_only, terms_of
from validation.certify.recompute import Recomputed, recompute
from validation.certify.values import certified_values
from validation.covariances import parameters_of
from validation.judge.objective import theta_points
from validation.options import Progress, silent
from validation.references.certified import (
    ENCLOSED,
    Certificate,
    CertifiedPosterior,
    check_data,
    load_certificate,
    save,
)
from validation.references.store import DamagedReferenceError, model_hash

#: Working precision.
BITS = 320

#: Precision of the search for other minima.
BITS_OF_SEARCH = 128

#: Scattered starts, where the search is not made.
STARTS, STARTS_SEED = 24, 20181

#: Significant digits written: of all values, and of θ (from which the others can be recomputed).
DIGITS, DIGITS_OF_THETA = 20, 40

#: Name of the method, written into the files; a change of it makes them be written anew.
METHOD = "interval Newton (Krawczyk) on the profiled criterion, exact sums, ball arithmetic"


def decimal(value: arb, digits: int = DIGITS) -> tuple[str, str]:
    """A ball as a decimal number and a radius about it that holds the ball."""
    text = value.mid().str(digits, radius=False)
    error = float(abs(value - arb(text)).upper())
    return text, "0" if error == 0.0 else f"{error * 1.01:.2e}"


def certify_case(case: Case) -> Certificate:
    """Prove a case's optimum and enclose its values (nothing is written).

    Raises
    ------
    NotCertifiedError
        The optimum could not be proved.
    """
    data = case.load("recorded")
    design = build_design(case.formula, data)
    with warnings.catch_warnings(action="ignore"):  # a singular fit is certified too
        fit = fit_design(design, case.REML)
    start, sums = parameters_of(fit), exact_sums(design)
    with ctx.workprec(BITS):
        enclosure = enclose(sums.balls(), case.REML, terms_of(design), start.to_numpy())
        rows = tuple(
            (*key, *decimal(value, DIGITS_OF_THETA if key[0] in ("theta", "par") else DIGITS))
            for key, value in certified_values(design, enclosure).items()
        )
        problem, optimum = enclosure.problem, np.array([float(parameter.mid()) for parameter in enclosure.par])
        points = tuple(
            (name, tuple(map(float, theta)), *decimal(problem.evaluate(list(map(arb, theta))).value))
            for name, theta in theta_points(optimum, None, problem.bounds(), seed=20180101)
        )
    proof = {
        "method": METHOD,
        "bits": BITS,
        "free": enclosure.held.count(False),
        "at their bound 0": start.index[list(enclosure.held)].tolist(),
        "unique within": enclosure.radius,
        "least pivot of the Hessian": min(enclosure.pivots, default=None),
        "least slope at the bounds": min(enclosure.slopes, default=None),
        "lowest": _lowest(design, sums, enclosure, fit),
    }
    certificate = Certificate(
        case.name,
        case.formula,
        case.REML,
        model_hash(case.formula, data),
        rows,
        points,
        proof,
        (),
        provenance(case),
    )
    again = recompute(certificate, design)
    if not again.passed:
        raise NotCertifiedError(f"{case.name}: the recomputation does not confirm it: {'; '.join(again.failures[:3])}")
    return replace(certificate, checks=(again.figures,))


def _lowest(design: Design, sums: ExactSums, enclosure: Enclosure, fit: LmerFit) -> dict[str, object]:
    """Why the proved minimum is held to be the lowest: a proof where θ is one number, evidence otherwise."""
    with ctx.workprec(BITS_OF_SEARCH):
        pieces, why = prove_only(sums, enclosure)
    if not why:
        return {"proved": True, "how": "the only local minimum over all θ ≥ 0", "pieces": pieces}
    optimum, ends = parameters_of(fit).to_numpy(), []
    for _, start in theta_points(optimum, None, enclosure.problem.bounds(), STARTS_SEED, STARTS, spread=2.0)[-STARTS:]:
        with warnings.catch_warnings(action="ignore"):
            other = fit_design(design, enclosure.problem.REML, start=start)
        ends.append(2 * (fit.logLik() - other.logLik()))
    if min(ends) < -1e-6:
        raise NotCertifiedError(f"a minimum was proved, but another start ends {-min(ends):.3g} lower")
    return {
        "proved": False,
        "how": f"not proved ({why}); the fits from scattered starts end nowhere lower",
        "starts": STARTS,
        "starts that end here": int(sum(abs(end) < 1e-6 for end in ends)),
    }


def check_case(case: Case, directory: Path | None = None) -> Recomputed:
    """Recompute a stored certificate by the other program, on the case's data.

    Raises
    ------
    LookupError
        The case is not certified.
    DamagedReferenceError
        The file was changed, or the data are not those of the certificate.
    """
    stored, data = load_certificate(case.name, directory), case.load("recorded")
    check_data(stored, data)
    return recompute(stored, build_design(case.formula, data))


def provenance(case: Case) -> dict[str, str]:
    """Where certified values come from: when, by which versions, of which data."""
    return {
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("python-flint", "mpmath", "numpy", "scipy")},
        "dataset": f"{case.package}::{case.dataset}" if case.dataset else "made by validation.suite",
    }


def certify(
    cases: Iterable[Case], directory: Path | None = None, progress: Progress = silent, anew: bool = False
) -> list[Path]:
    """Certify cases and write their values.

    A run that was interrupted goes on where it stopped: a case whose file is whole, by this method and on these data,
    is kept, unless all are to be made anew. The files written are returned; without a directory they stand among the
    package's own references.
    """
    work = {case.name: case for case in cases}
    method = {"method": METHOD, "bits": BITS}
    return write_each(work, lambda case, _: certify_case(case), load_certificate, method, directory, progress, anew)


def write_each(
    work: Mapping[str, Case],
    make: Callable[[Case, Progress], Certificate | CertifiedPosterior | None],
    load: Callable[[str, Path | None], Certificate | CertifiedPosterior],
    method: Mapping[str, object],
    directory: Path | None,
    progress: Progress,
    anew: bool,
) -> list[Path]:
    """Make and write each name's file, but for those there that are whole, by the same method and of the same data.

    ``make`` gives the values of a case, or None where there are none to write; it says how far it is.
    """

    def finished(name: str, case: Case) -> bool:
        try:
            stored = load(name, directory)
            check_data(stored, case.load("recorded"))
        except (LookupError, DamagedReferenceError):
            return False
        how = stored.proof.get(ENCLOSED, stored.proof)
        return isinstance(how, Mapping) and method.items() <= how.items()

    left = {name: case for name, case in work.items() if anew or not finished(name, case)}
    written = []
    for number, (name, case) in enumerate(left.items()):

        def far(message: str = "", fraction: float = 0.0, done: int = number) -> None:
            progress(message, (done + fraction) / len(left))

        far(f"certifying {name}")
        made = make(case, far)
        written += [] if made is None else [save(made, directory)]
    return written
