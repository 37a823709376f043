"""Proof of power: plant every fault into right fits, see that each is caught and named, and count false alarms.

Without R: the right fits are ``pyimpl``'s, on simulated data. A fault that slips through or gets another name is a
defect of the judge, and so are more false alarms than the stated rate allows.
"""

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from validation.algebra import pieces_of, solve
from validation.comparison import Comparison
from validation.faults import FAULTS, Fault
from validation.faults.bases import (
    ANOVA_BASES,
    HARD_BASES,
    LIKELIHOOD_BASES,
    POSTERIOR_BASES,
    RESULTS_BASES,
    BaseFit,
    anova_base,
    likelihood_base,
    posterior_base,
    results_base,
    tags_of,
)
from validation.faults.difference import changes
from validation.faults.thin import THIN, compare_thinly
from validation.options import DEFAULT_SEED, Progress
from validation.references.recorded import RecordedLmerFit
from validation.selftest_results import CleanRun, Outcome, SelfTest

#: bBase models whose faults are also planted through every thin candidate: one term and several, one effect and two.
_THIN_BASES = ("slopes", "intercept", "categorical", "crossed")


def _base(kind: str, name: str, seed: int, draws: int) -> BaseFit:
    if kind == "anova":
        return anova_base(name, seed)
    if kind == "results":
        return results_base(name, seed)
    return likelihood_base(name, seed) if kind == "likelihood" else posterior_base(name, seed, draws)


def _compared(kind: str, base: BaseFit, candidate: Any, seed: int = DEFAULT_SEED) -> Comparison:
    """The judge on a base model's fit and another's: fits, tests between them, or tables of means."""
    from validation import compare_anova_fits, compare_emmeans, compare_fits

    if kind == "anova":
        return compare_anova_fits(base.fit, candidate, data=base.data)
    if kind == "results":
        return compare_emmeans(base.fit, candidate)
    return compare_fits(base.fit, candidate, data=base.data, seed=seed)


def plant(fault: Fault, base: BaseFit, search: bool = False, thin: str = "") -> Outcome:
    """Plant one fault and let the judge look.

    With ``search`` the smallest size that is still caught is looked for, by bisection on its logarithm. ``thin``, of
    ``validation.faults.thin.THIN``, is what alone the candidate answers; all where it is empty.
    """
    size = fault.sized.planted if fault.sized else 0.0
    outcome = Outcome(
        row=fault.number,
        kind=fault.kind,
        fault=fault.name,
        base=base.name,
        expected=fault.expected,
        size=size if fault.sized else None,
        unit=fault.sized.unit if fault.sized else "",
        thin=thin,
        careful=bool(thin) or base.name in HARD_BASES,
    )

    def judged(amount: float) -> tuple[Comparison, bool]:
        planted: Any = fault.plant(base, amount)
        comparison = compare_thinly(base, planted, thin) if thin else _compared(fault.kind, base, planted)
        return comparison, comparison.verdict.failed or changes(base, planted)

    try:
        comparison, changed = judged(size)
        smallest = None
        if search and fault.sized and comparison.verdict.failed:
            smallest = _smallest(lambda amount: judged(amount)[0].verdict.failed, size, fault.sized.least)
    except Exception as error:  # a fault that cannot be planted is a defect of the self-test, and is shown as one
        return replace(outcome, error=f"{type(error).__name__}: {error}")
    causes = tuple(cause.name for cause in comparison.causes)
    return replace(outcome, caught=comparison.verdict.failed, causes=causes, smallest=smallest, changed=changed)


def _smallest(caught: Callable[[float], bool], largest: float, least: float, steps: int = 7) -> float:
    """Smallest size that is caught, within a factor of two or so: bisection on the logarithm."""
    if caught(least):
        return least
    low, high = np.log(least), np.log(largest)
    for _ in range(steps):
        middle = (low + high) / 2
        if caught(float(np.exp(middle))):
            high = middle
        else:
            low = middle
        if high - low < 0.7:
            break
    return float(np.exp(high))


# ---------------------------------------------------------------------------------------------------- clean runs

_LIKELIHOOD_CHANGES = ("another start", "another optimizer", "another program", "rows in another order", "threads")


def clean_run(kind: str, name: str, change: str, seed: int, draws: int = 1000) -> CleanRun:
    """Compare two right fits (or tests) of data of their own."""
    base: BaseFit
    other: Any
    # fresh data each time: nothing of them is kept
    if kind == "posterior":
        from validation.faults.posterior import sample

        base = posterior_base(name, seed, draws)
        other = sample(base.formula, base.data, seed + 500_000, draws)
        posterior_base.cache_clear()
    elif kind == "results":
        import pyimpl

        base = results_base.__wrapped__(name, seed)
        again = pyimpl.lmer(base.formula, base.data.sample(frac=1.0, random_state=seed), start=[0.3])
        other = RESULTS_BASES[name][0](again)
    elif kind == "anova":
        base = anova_base.__wrapped__(name, seed)
        order = np.random.default_rng([seed, 5]).permutation(len(base.data))
        other = [fit.update(data=base.data.iloc[order]) for fit in base.fit]
    else:
        base = likelihood_base.__wrapped__(name, seed)
        other = _other_right_fit(base, change)
    comparison = _compared(kind, base, other, seed)
    failed = tuple(check.id for check in comparison.checks if check.verdict.failed)
    return CleanRun(kind, name, change, seed, str(comparison.verdict), failed)


def _other_right_fit(base: BaseFit[RecordedLmerFit], change: str) -> RecordedLmerFit:
    rng = np.random.default_rng([base.seed, zlib.crc32(change.encode())])
    if change == "another start":
        theta = base.fit.theta.to_numpy() * np.exp(rng.normal(0, 0.7, len(base.fit.theta))) + 0.05
        return base.refit(start=theta)
    if change == "another optimizer":
        return _by_nelder_mead(base, base.fit.devfun)
    if change == "another program":
        pieces = pieces_of(base.fit)
        return _by_nelder_mead(base, lambda theta: solve(pieces, theta, base.reml).objective)
    if change == "rows in another order":
        return base.refit(data=base.data.sample(frac=1.0, random_state=int(rng.integers(2**31))))
    if change == "threads":
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        with threadpool_limits(limits=2):
            return base.refit(data=base.data.assign(unused=pd.Series(rng.normal(size=len(base.data)), base.data.index)))
    raise ValueError(f"no clean change {change!r}")


def _by_nelder_mead(base: BaseFit[RecordedLmerFit], objective: Callable[[np.ndarray], float]) -> RecordedLmerFit:
    """A derivative-free optimizer on the fit's own objective or the judge's, started anew until nothing is gained."""
    import scipy.optimize

    from validation.faults.changed_numbers import at_theta

    fit = base.fit
    lower = fit.lower.to_numpy(dtype=float)
    bounds = [(0.0, None) if bound == 0 else (None, None) for bound in lower]
    theta = np.where(lower == 0, 0.9, 0.1)
    for _ in range(3):
        found = scipy.optimize.minimize(
            objective,
            theta,
            method="Nelder-Mead",
            bounds=bounds,
            options={"xatol": 1e-9, "fatol": 1e-13, "maxfev": 900},
        )
        theta = found.x
    return at_theta(fit, theta)


# ---------------------------------------------------------------------------------------------------- the whole


@dataclass(frozen=True)
class _Task:
    kind: str
    base: str
    seed: int
    draws: int
    fault: int = -1  # position in its list; −1 is a clean run
    search: bool = False
    change: str = ""
    thin: str = ""


def _work(task: _Task) -> Outcome | CleanRun:
    if task.fault < 0:
        return clean_run(task.kind, task.base, task.change, task.seed, task.draws)
    base = _base(task.kind, task.base, task.seed, task.draws)
    return plant(FAULTS[task.kind][task.fault], base, task.search, task.thin)


def _tasks(seed: int, quick: bool, clean: int) -> list[_Task]:
    tasks: list[_Task] = []
    draws = 500 if quick else 1000
    rows: set[tuple[str, int]] = set()
    for kind, faults in FAULTS.items():
        bases = tags_of(kind)
        for position, fault in enumerate(faults):
            chosen = [name for name, tags in bases.items() if fault.applies(tags)]
            if not chosen:
                raise ValueError(f"no base model can have the fault {fault.name!r}")
            if quick:
                if (kind, fault.number) in rows:
                    continue
                rows.add((kind, fault.number))
                chosen = chosen[:1]
            tasks += [
                _Task(kind, name, seed, draws, position, search=not quick and place == 0)
                for place, name in enumerate(chosen)
            ]
    tasks += _careful_tasks(seed, draws, quick)
    posteriors, tests, tables = (max(1, round(share * clean)) if clean > 2 else 0 for share in (0.3, 0.1, 0.1))
    clean_runs = (
        ("likelihood", list(LIKELIHOOD_BASES), clean - posteriors - tests - tables, 1000, ""),
        ("posterior", list(POSTERIOR_BASES), posteriors, 5000, "another seed"),
        ("anova", list(ANOVA_BASES), tests, 9000, "rows in another order"),
        ("results", list(RESULTS_BASES), tables, 12000, "rows in another order, another start"),
    )
    for kind, names, count, first_seed, change in clean_runs:
        for i in range(count):
            what = change or _LIKELIHOOD_CHANGES[(i // len(names) + i) % len(_LIKELIHOOD_CHANGES)]
            tasks.append(_Task(kind, names[i % len(names)], seed + first_seed + i, draws, change=what))
    return tasks


def _careful_tasks(seed: int, draws: int, quick: bool) -> list[_Task]:
    """Faults through thin candidates, and into hard models: whole and, in turn, through one thin candidate."""
    faults = list(enumerate(FAULTS["likelihood"]))
    thins = list(THIN)
    if quick:
        return [
            _Task("likelihood", _THIN_BASES[0], seed, draws, position, thin=thins[place % len(thins)])
            for place, (position, fault) in enumerate(faults[:: len(faults) // len(thins)])
            if fault.applies(LIKELIHOOD_BASES[_THIN_BASES[0]][2])
        ]
    tasks = [
        _Task("likelihood", name, seed, draws, position, thin=thin)
        for name in _THIN_BASES
        for position, fault in faults
        if fault.applies(LIKELIHOOD_BASES[name][2])
        for thin in thins
    ]
    for name, (_, _, tags, _, _) in HARD_BASES.items():
        for position, fault in faults:
            if fault.applies(tags):
                tasks += [
                    _Task("likelihood", name, seed, draws, position, thin=thin)
                    for thin in ("", thins[position % len(thins)])
                ]
    return tasks


def run(
    seed: int = 1, *, quick: bool = False, clean: int | None = None, jobs: int = 1, progress: Progress | None = None
) -> SelfTest:
    """Plant every fault, and compare right fits with right ones, in so many processes.

    ``quick`` plants one fault of each row and kind in one base model, and looks for no smallest size; it makes 10
    clean comparisons in place of 200, where their number is not given. The seed is that of the simulated data and of
    the samplers.
    """
    if clean is None:
        clean = 10 if quick else 200
    if clean < 0:
        raise ValueError(f"the number of clean comparisons cannot be {clean}; give 0 or more")
    if jobs < 1:
        raise ValueError(f"jobs={jobs}; give the number of processes, 1 or more")
    from joblib import Parallel, delayed

    tasks = _tasks(seed, quick, clean)
    began = time.perf_counter()
    results: list[Outcome | CleanRun] = []
    for found in Parallel(n_jobs=jobs, return_as="generator")(delayed(_work)(task) for task in tasks):
        results.append(found)
        if progress is not None:
            words = found.fault if isinstance(found, Outcome) else f"clean: {found.change}"
            progress(f"{words} ({found.base})", len(results) / len(tasks))
    return SelfTest(
        tuple(found for found in results if isinstance(found, Outcome)),
        tuple(found for found in results if isinstance(found, CleanRun)),
        seed,
        time.perf_counter() - began,
    )
