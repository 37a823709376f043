"""Proof of power: plant every fault into right fits, see that each is caught and named, and count false alarms.

Without R: the right fits are ``pyimpl``'s, on simulated data. A fault that slips through or gets another name is a
defect of the judge, and so are more false alarms than the stated rate allows.
"""

import time
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from itertools import cycle, groupby
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.optimize
from joblib import Parallel, delayed
from rich import box
from rich.table import Table
from rich.text import Text
from scipy.stats import binomtest

from validation.algebra import pieces_of, solve
from validation.comparison import Comparison
from validation.faults import FAULTS, Fault, FaultSize, at_theta
from validation.faults.bases import BASES, HARD_BASES, BaseFit, base_fit, sample
from validation.faults.fault import changes
from validation.faults.thin import CAREFUL, THIN, compare_thinly, right_cause
from validation.options import DEFAULT_SEED, Progress
from validation.references.recorded import RecordedLmerFit
from validation.tolerances import FALSE_ALARM_RATE
from validation.verdict import Verdict

#: What is compared, in words, and the probability that a comparison of two right ones fails: likelihood fits and the
#: tests between them are deterministic, so never; of posteriors gates 3 and 5 may each fail with the stated rate.
_KINDS = {
    "likelihood": ("likelihood fits", 0.0),
    "posterior": ("posteriors", 2 * FALSE_ALARM_RATE),
    "anova": ("likelihood-ratio tests", 0.0),
    "results": ("means and predictions", 0.0),
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
    rate: float
    interval: tuple[float, float]  # of the rate, 95% (Clopper and Pearson)


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
            f"{fault} ({_KINDS[kind][0]}): changes nothing in any base model"
            for kind, fault in dict.fromkeys((o.kind, o.fault) for o in self.outcomes)
            if not any(o.changed for o in self.outcomes if (o.kind, o.fault) == (kind, fault))
        ]
        if not self.outcomes:
            found.append("no fault was planted")
        for kind, (rate, alarms, runs, *_) in self.false_alarms.items():
            if binomtest(alarms, runs, rate, alternative="greater").pvalue < _ALPHA:
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

    @cached_property
    def false_alarms(self) -> dict[str, FalseAlarms]:
        """False alarms of each kind that was compared, and their rate."""
        found = {}
        for kind, (_, stated) in _KINDS.items():
            if runs := [run for run in self.clean if run.kind == kind]:
                alarms, inconclusive = (
                    sum(run.alarm for run in runs),
                    sum(run.verdict == "inconclusive" for run in runs),
                )
                low, high = binomtest(alarms, len(runs)).proportion_ci(0.95)
                rate, interval = alarms / len(runs), (float(low), float(high))
                found[kind] = FalseAlarms(stated, alarms, len(runs), inconclusive, rate, interval)
        return found

    def to_json(self) -> dict[str, object]:
        """Everything, as plain data."""
        return {
            "ok": self.ok,
            "problems": self.problems,
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "planted": [{**asdict(o), "named": o.named} for o in self.outcomes],
            "false_alarms": {kind: found._asdict() for kind, found in self.false_alarms.items()},
            "clean": [asdict(run) for run in self.clean],
        }

    def table(self) -> Table:
        """The outcomes by fault, as a rich table."""
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
        for kind, (stated, alarms, runs, inconclusive, rate, interval) in self.false_alarms.items():
            lines.append(
                f"{runs} clean comparisons of {_KINDS[kind][0]}: {alarms} false alarms, {rate:.1%} (95% interval "
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
            smallest = _smallest(lambda size: judged(fault.plant(base, size)).verdict.failed, sized)
    except Exception as error:  # a fault that cannot be planted is a defect of the self-test, and is shown as one
        return replace(outcome, error=f"{type(error).__name__}: {error}")
    causes = tuple(cause.name for cause in comparison.causes)
    return replace(outcome, caught=comparison.verdict.failed, causes=causes, smallest=smallest, changed=changed)


def _smallest(caught: Callable[[float], bool], sized: FaultSize) -> float:
    """Smallest size that is caught, of those from the least on that double up to the one planted, which is."""
    doublings = int(np.ceil(np.log2(sized.planted / sized.least)))
    sizes = np.geomspace(sized.least, sized.planted, doublings + 1).tolist()
    return float(sizes[bisect_left(sizes, True, hi=doublings, key=caught)])


# ---------------------------------------------------------------------------------------------------- clean runs


def _with_threads(base: BaseFit[RecordedLmerFit], rng: np.random.Generator) -> RecordedLmerFit:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=2):
        return base.refit(data=base.data.assign(unused=pd.Series(rng.normal(size=len(base.data)), base.data.index)))


def _by_judge(base: BaseFit[RecordedLmerFit], rng: np.random.Generator) -> RecordedLmerFit:
    pieces = pieces_of(base.fit)
    return _by_nelder_mead(base, lambda theta: solve(pieces, theta, base.reml).objective)


def _tested_again(base: BaseFit[Any], rng: np.random.Generator) -> list[Any]:
    data = _shuffled(base.data, rng)  # all models on the same data
    return [fit.update(data=data) for fit in base.fit]


def _reported_again(base: BaseFit[pd.DataFrame], rng: np.random.Generator) -> pd.DataFrame:
    import pyimpl

    report = BASES["results"][base.name].report
    assert report is not None  # all of that kind have one
    return report(pyimpl.lmer(base.formula, _shuffled(base.data, rng), start=[0.3]))


def _shuffled(data: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return data.sample(frac=1.0, random_state=int(rng.integers(2**31)))


#: How else a right fit (or right tests, or tables) is made of a base model's data, by kind and name of what differs.
CHANGES: dict[str, dict[str, Callable[[BaseFit[Any], np.random.Generator], Any]]] = {
    "likelihood": {
        "another start": lambda base, rng: base.refit(
            start=base.fit.theta.to_numpy() * np.exp(rng.normal(0, 0.7, len(base.fit.theta))) + 0.05
        ),
        "another optimizer": lambda base, rng: _by_nelder_mead(base, base.fit.devfun),
        "another program": _by_judge,
        "rows in another order": lambda base, rng: base.refit(data=_shuffled(base.data, rng)),
        "threads": _with_threads,
    },
    "posterior": {
        "another seed": lambda base, rng: sample(base.formula, base.data, base.seed + 500_000, base.draws),
    },
    "anova": {"rows in another order": _tested_again},
    "results": {"rows in another order, another start": _reported_again},
}


def clean_run(kind: str, name: str, change: str, seed: int, draws: int = 1000) -> CleanRun:
    """Compare two right fits (or tests) of data of their own."""
    base: BaseFit = base_fit.__wrapped__(kind, name, seed, draws)  # fresh data each time: nothing of them is kept
    rng = np.random.default_rng([seed, zlib.crc32(change.encode())])
    comparison = _compared(kind, base, CHANGES[kind][change](base, rng), seed)
    failed = tuple(check.id for check in comparison.checks if check.verdict.failed)
    return CleanRun(kind, name, change, seed, str(comparison.verdict), failed)


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


def _planted(kind: str, place: int, name: str, seed: int, draws: int, search: bool, thin: str) -> Outcome:
    return plant(FAULTS[kind][place], base_fit(kind, name, seed, draws), search, thin)


def _thins(name: str, turn: int, quick: bool) -> list[str]:
    """The thin candidates that answer of a fault in a model of likelihood fits: all, none, or one in turn."""
    if quick or name in HARD_BASES:
        return [[*THIN][turn % len(THIN)]]
    return [*THIN] if name in _THIN_BASES else []


#: Kinds of the clean comparisons, in turn.
_TURNS = ("likelihood", "posterior", "likelihood", "anova", "likelihood", "posterior", "likelihood", "results",
          "likelihood", "posterior")  # fmt: skip


def _tasks(seed: int, quick: bool, clean: int) -> Iterator[Callable[[], Outcome | CleanRun]]:
    """Every fault in the models that can have it, whole and through thin candidates; then the clean comparisons.

    To be quick: of each row one fault, in one model, through one thin candidate in turn.
    """
    draws = 500 if quick else 1000
    for kind, faults in FAULTS.items():
        first_of_row = {fault.number: place for place, fault in reversed([*enumerate(faults)])}
        for turn, place in enumerate(sorted(first_of_row.values()) if quick else range(len(faults))):
            names = [name for name, base in BASES[kind].items() if faults[place].applies(base.tags)]
            for name in names[:1] if quick else names:
                for thin in ["", *(_thins(name, turn, quick) if kind == "likelihood" else [])]:
                    search = not (quick or thin) and name == names[0]
                    yield partial(_planted, kind, place, name, seed, draws, search, thin)
    kinds = [kind for kind, _ in zip(cycle(_TURNS), range(clean), strict=False)]
    for number, (kind, bases) in enumerate(BASES.items()):
        names, ways = [name for name in bases if name not in HARD_BASES], list(CHANGES[kind])
        for i in range(kinds.count(kind)):
            name, change = names[i % len(names)], ways[(i // len(names) + i) % len(ways)]
            yield partial(clean_run, kind, name, change, seed + 1000 + 4000 * number + i, draws)


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
    tasks = list(_tasks(seed, quick, clean))
    began = time.perf_counter()
    results: list[Outcome | CleanRun] = []
    for found in Parallel(n_jobs=jobs, return_as="generator")(delayed(task)() for task in tasks):
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
