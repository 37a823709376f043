"""Proof of power: plant every fault into right fits, see that each is caught and named, and count false alarms.

Without R: the right fits are ``pyimpl``'s, on simulated data. A fault that slips through or gets another name is a
defect of the judge, and so are more false alarms than the stated rate allows.
"""

import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.optimize
from scipy.stats import binomtest

from validation.algebra import pieces_of, solve
from validation.comparison import Comparison
from validation.faults import FAULTS, Fault, at_theta
from validation.faults.bases import BASES, HARD_BASES, BaseFit, base_fit, sample
from validation.faults.fault import changes
from validation.faults.thin import CAREFUL, THIN, compare_thinly, right_cause
from validation.options import DEFAULT_SEED, Progress
from validation.references.recorded import RecordedLmerFit
from validation.tolerances import FALSE_ALARM_RATE
from validation.verdict import Verdict

if TYPE_CHECKING:
    from rich.table import Table

#: Probability that a comparison of two right fits fails: likelihood fits and the tests between them are deterministic,
#: so never; of posteriors gates 3 and 5 may each fail with the stated rate.
STATED_RATES = {"likelihood": 0.0, "posterior": 2 * FALSE_ALARM_RATE, "anova": 0.0, "results": 0.0}

_KINDS = {
    "likelihood": "likelihood fits",
    "posterior": "posteriors",
    "anova": "likelihood-ratio tests",
    "results": "means and predictions",
}
#: Level of the test whether there are more false alarms than stated.
_ALPHA = 0.01


@dataclass(frozen=True)
class Outcome:
    """What the judge made of one planted fault."""

    row: int  # of AGREEMENT.md's table
    #: likelihood, posterior, anova or results; name of the fault; name of the base model
    kind: str
    fault: str
    base: str
    expected: str  # name of the cause that should come first
    caught: bool = False  # whether the comparison failed
    causes: tuple[str, ...] = ()  # names of the causes, likeliest first
    #: size planted, and smallest size that was still caught (None where it was not looked for)
    size: float | None = None
    smallest: float | None = None
    unit: str = ""  # of the sizes
    error: str = ""  # what went wrong with the planting itself
    thin: str = ""  # what alone the candidate answered; all where it is empty
    #: whether silence about the cause is right, too: the candidate answers little, or the model is hard
    careful: bool = False
    #: whether the planted fit has other numbers than the right one; otherwise there is nothing to catch
    changed: bool = True

    @property
    def named(self) -> bool:
        """Whether the right cause came first."""
        return self.caught and self.causes[:1] == (right_cause(self.expected, THIN.get(self.thin, ())),)

    @property
    def trouble(self) -> str:
        """What is wrong, in a word; empty where nothing is."""
        if not self.changed or (self.named and not self.error):
            return ""
        if self.error or not self.careful:
            return self.error or ("misnamed" if self.caught else "not caught")
        wrong = self.caught and bool(self.causes) and self.causes[0] not in CAREFUL
        return f"a wrong cause, {self.causes[0]}" if wrong else ""


@dataclass(frozen=True)
class CleanRun:
    """The judge's verdict on two right fits."""

    #: likelihood, posterior, anova or results; base model; in what the two fits differ
    kind: str
    base: str
    change: str
    seed: int
    verdict: str
    failed: tuple[str, ...] = ()  # checks that failed

    @property
    def alarm(self) -> bool:
        """Whether the judge found a difference where there is none."""
        return Verdict(self.verdict).failed


class FalseAlarms(NamedTuple):
    """How often right fits of a kind were said to differ."""

    stated_rate: float
    alarms: int
    comparisons: int
    inconclusive: int
    rate: float | None  # none where nothing was compared
    interval: tuple[float, float] | None  # of the rate, 95% (Clopper and Pearson)


@dataclass(frozen=True)
class SelfTest:
    """A whole self-test."""

    outcomes: tuple[Outcome, ...]
    clean: tuple[CleanRun, ...]
    seed: int
    seconds: float = 0.0

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """What must not be: faults that are not caught or not named, and more false alarms than stated."""
        found = [
            f"{o.fault} in {o.base} ({f'answering {o.thin}' if o.thin else o.kind}): {o.trouble}"
            for o in self.outcomes
            if o.trouble
        ]
        found += [
            f"{fault} ({_KINDS[kind]}): changes nothing in any base model"
            for kind, fault in dict.fromkeys((o.kind, o.fault) for o in self.outcomes)
            if not any(o.changed for o in self.outcomes if (o.kind, o.fault) == (kind, fault))
        ]
        if not self.outcomes:
            found.append("no fault was planted")
        for kind, rate in STATED_RATES.items():
            _, alarms, runs, *_ = self.false_alarms(kind)
            if runs and binomtest(alarms, runs, rate, alternative="greater").pvalue < _ALPHA:
                found.append(f"{alarms} false alarms in {runs} clean comparisons ({kind}); the stated rate is {rate:g}")
        return tuple(found)

    @property
    def ok(self) -> bool:
        """Whether every fault was caught and named, and clean runs raised no more alarms than stated."""
        return not self.problems

    @property
    def _planted(self) -> list[Outcome]:
        """The outcomes of faults that change something."""
        return [o for o in self.outcomes if o.changed]

    def false_alarms(self, kind: str) -> FalseAlarms:
        """False alarms of a kind, and their rate."""
        runs = [run for run in self.clean if run.kind == kind]
        alarms, inconclusive = sum(run.alarm for run in runs), sum(run.verdict == "inconclusive" for run in runs)
        if not runs:
            return FalseAlarms(STATED_RATES[kind], 0, 0, 0, None, None)
        low, high = binomtest(alarms, len(runs)).proportion_ci(0.95)
        rate, interval = alarms / len(runs), (float(low), float(high))
        return FalseAlarms(STATED_RATES[kind], alarms, len(runs), inconclusive, rate, interval)

    def to_json(self) -> dict[str, object]:
        """Everything, as plain data."""
        return {
            "ok": self.ok,
            "problems": list(self.problems),
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "planted": [{**asdict(o), "causes": list(o.causes), "named": o.named} for o in self.outcomes],
            "false_alarms": {kind: self.false_alarms(kind)._asdict() for kind in STATED_RATES},
            "clean": [{**asdict(run), "failed": list(run.failed)} for run in self.clean],
        }

    def table(self) -> "Table":
        """The outcomes by fault, as a rich table."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1))
        table.add_column("row", justify="right")
        for heading in ("fault", "planted into", "caught", "named", "smallest size caught"):
            table.add_column(heading, overflow="fold")
        by_row = sorted((o for o in self._planted if not o.careful), key=lambda o: (o.row, o.kind))
        for (_, _, fault), found in groupby(by_row, lambda o: (o.row, o.kind, o.fault)):
            outcomes = list(found)
            caught, named = sum(o.caught for o in outcomes), sum(o.named for o in outcomes)
            smallest = [o.smallest for o in outcomes if o.smallest is not None]
            size = f"{min(smallest):.2g} {outcomes[0].unit}" if smallest else ""
            wrong = [o for o in outcomes if not o.named]
            told = [f"{o.base}: {o.error or ', '.join(o.causes[:2]) or 'no cause'}" for o in wrong]
            words = "; ".join([f"{named} of {len(outcomes)}: {outcomes[0].expected}", *told])
            table.add_row(
                str(outcomes[0].row),
                Text(fault),
                Text(", ".join(o.base for o in outcomes)),
                Text(f"{caught} of {len(outcomes)}", style="" if caught == len(outcomes) else "bold red"),
                Text(words, style="bold red" if wrong else ""),
                Text(size),
            )
        return table

    def summary(self) -> str:
        """The verdict in a few lines."""
        plain = [o for o in self._planted if not o.careful]
        caught, named = sum(o.caught for o in plain), sum(o.named for o in plain)
        faults = len({(o.kind, o.fault) for o in plain})
        lines = [
            f"{faults} faults planted {len(plain)} times: {caught} caught, {named} named rightly (cause ranked first); "
            f"rows of the table: {', '.join(map(str, sorted({o.row for o in plain})))}."
        ]
        for words, careful in (
            ("through thin candidates", [o for o in self._planted if o.thin]),
            ("into hard models", [o for o in self._planted if o.careful and not o.thin]),
        ):
            if careful:
                lines.append(
                    f"{len(careful)} planted {words}: {sum(o.caught for o in careful)} seen, "
                    f"{sum(o.named for o in careful)} named rightly, {sum(bool(o.trouble) for o in careful)} wrongly; "
                    "of the others it is said what differs."
                )
        places = dict.fromkeys(f"{o.fault} in {o.base}" for o in self.outcomes if not o.changed)
        if places:
            lines.append(f"Not planted, for it changes nothing there: {'; '.join(places)}.")
        for kind in STATED_RATES:
            stated, alarms, runs, inconclusive, rate, interval = self.false_alarms(kind)
            if rate is not None and interval is not None:
                lines.append(
                    f"{runs} clean comparisons of {_KINDS[kind]}: {alarms} false alarms, {rate:.1%} (95% interval "
                    f"{interval[0]:.1%} to {interval[1]:.1%}; stated rate {stated:.0%})"
                    + (f", {inconclusive} inconclusive." if inconclusive else ".")
                )
        lines += [f"Problem: {problem}." for problem in self.problems]
        lines.append("The self-test passed." if self.ok else "The self-test FAILED.")
        return "\n".join(lines)


# ---------------------------------------------------------------------------------------------------- faults

#: Base models whose faults are also planted through every thin candidate: one term and several, one effect and two.
_THIN_BASES = ("slopes", "intercept", "categorical", "crossed")


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
    sized, careful = fault.sized, bool(thin) or base.name in HARD_BASES
    outcome = Outcome(fault.number, fault.kind, fault.name, base.name, fault.expected, thin=thin, careful=careful)
    if sized:
        outcome = replace(outcome, size=sized.planted, unit=sized.unit)

    def judged(planted: Any) -> Comparison:
        return compare_thinly(base, planted, thin) if thin else _compared(fault.kind, base, planted)

    try:
        planted, smallest = fault.plant(base), None
        comparison = judged(planted)
        changed = comparison.verdict.failed or changes(base, planted)
        if search and sized and comparison.verdict.failed:
            smallest = _smallest(
                lambda size: judged(fault.plant(base, size)).verdict.failed, sized.planted, sized.least
            )
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
    base: BaseFit = base_fit.__wrapped__(kind, name, seed, draws)  # fresh data each time: nothing of them is kept
    report = BASES[kind][name].report
    other: Any
    if report is not None:
        import pyimpl

        other = report(pyimpl.lmer(base.formula, base.data.sample(frac=1.0, random_state=seed), start=[0.3]))
    elif kind == "posterior":
        other = sample(base.formula, base.data, seed + 500_000, draws)
    elif kind == "anova":
        order = np.random.default_rng([seed, 5]).permutation(len(base.data))
        other = [fit.update(data=base.data.iloc[order]) for fit in base.fit]
    else:
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
    lower = base.fit.lower.to_numpy(dtype=float)
    bounds = [(0.0, None) if bound == 0 else (None, None) for bound in lower]
    theta = np.where(lower == 0, 0.9, 0.1)
    options = {"xatol": 1e-9, "fatol": 1e-13, "maxfev": 900}
    for _ in range(3):
        theta = scipy.optimize.minimize(objective, theta, method="Nelder-Mead", bounds=bounds, options=options).x
    return at_theta(base.fit, theta)


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
    base = base_fit(task.kind, task.base, task.seed, task.draws)
    return plant(FAULTS[task.kind][task.fault], base, task.search, task.thin)


def _tasks(seed: int, quick: bool, clean: int) -> list[_Task]:
    """Every fault in the models that can have it (of each row one, in one, where it is to be quick), and clean runs."""
    tasks: list[_Task] = []
    draws = 500 if quick else 1000
    plain = {kind: [name for name in bases if name not in HARD_BASES] for kind, bases in BASES.items()}
    for kind, faults in FAULTS.items():
        rows: set[int] = set()
        for position, fault in enumerate(faults):
            chosen = [name for name in plain[kind] if fault.applies(BASES[kind][name].tags)]
            if not chosen:
                raise ValueError(f"no base model can have the fault {fault.name!r}")
            if quick:
                chosen = [] if fault.number in rows else chosen[:1]
                rows.add(fault.number)
            tasks += [
                _Task(kind, name, seed, draws, position, search=not quick and place == 0)
                for place, name in enumerate(chosen)
            ]
    tasks += _careful_tasks(seed, draws, quick)
    posteriors, tests, tables = (max(1, round(share * clean)) if clean > 2 else 0 for share in (0.3, 0.1, 0.1))
    clean_runs = (
        ("likelihood", clean - posteriors - tests - tables, 1000, ""),
        ("posterior", posteriors, 5000, "another seed"),
        ("anova", tests, 9000, "rows in another order"),
        ("results", tables, 12000, "rows in another order, another start"),
    )
    for kind, count, first_seed, change in clean_runs:
        names = plain[kind]
        for i in range(count):
            what = change or _LIKELIHOOD_CHANGES[(i // len(names) + i) % len(_LIKELIHOOD_CHANGES)]
            tasks.append(_Task(kind, names[i % len(names)], seed + first_seed + i, draws, change=what))
    return tasks


def _careful_tasks(seed: int, draws: int, quick: bool) -> list[_Task]:
    """Faults through thin candidates, and into hard models: whole and, in turn, through one thin candidate."""
    faults, thins = list(enumerate(FAULTS["likelihood"])), list(THIN)
    if quick:
        chosen = [
            (_THIN_BASES[0], position, [thins[place % len(thins)]])
            for place, (position, _) in enumerate(faults[:: len(faults) // len(thins)])
        ]
    else:
        chosen = [(name, position, thins) for name in _THIN_BASES for position, _ in faults]
        chosen += [(name, i, ["", thins[i % len(thins)]]) for name in HARD_BASES for i, _ in faults]
    return [
        _Task("likelihood", name, seed, draws, position, thin=thin)
        for name, position, answered in chosen
        if FAULTS["likelihood"][position].applies(BASES["likelihood"][name].tags)
        for thin in answered
    ]


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
