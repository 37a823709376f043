"""What the selftest found: of each planted fault whether it was caught and named, and the false alarms."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from scipy.stats import binomtest

from validation.faults.thin import CAREFUL, THIN, right_cause
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
_MISSED, _MISNAMED = "not caught", "misnamed"


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
        if not self.changed:
            return ""
        if self.careful:
            wrong = self.caught and not self.named and bool(self.causes) and self.causes[0] not in CAREFUL
            return self.error or (f"a wrong cause, {self.causes[0]}" if wrong else "")
        return self.error or ("" if self.named else _MISNAMED if self.caught else _MISSED)


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


@dataclass(frozen=True)
class SelfTest:
    """A whole self-test."""

    outcomes: tuple[Outcome, ...]
    clean: tuple[CleanRun, ...]
    seed: int
    seconds: float = 0.0
    problems: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
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
            alarms, runs = (self.false_alarms(kind)[what] for what in ("alarms", "comparisons"))
            if runs and binomtest(alarms, runs, rate, alternative="greater").pvalue < _ALPHA:
                found.append(f"{alarms} false alarms in {runs} clean comparisons ({kind}); the stated rate is {rate:g}")
        object.__setattr__(self, "problems", tuple(found))

    @property
    def ok(self) -> bool:
        """Whether every fault was caught and named, and clean runs raised no more alarms than stated."""
        return not self.problems

    @property
    def _planted(self) -> list[Outcome]:
        """The outcomes of faults that change something."""
        return [o for o in self.outcomes if o.changed]

    def false_alarms(self, kind: str) -> dict[str, Any]:
        """False alarms of a kind, and their rate with its 95% confidence interval (Clopper and Pearson)."""
        runs = [run for run in self.clean if run.kind == kind]
        alarms = sum(run.alarm for run in runs)
        interval = binomtest(alarms, len(runs)).proportion_ci(0.95) if runs else None
        return {
            "stated_rate": STATED_RATES[kind],
            "alarms": alarms,
            "comparisons": len(runs),
            "inconclusive": sum(run.verdict == "inconclusive" for run in runs),
            "rate": alarms / len(runs) if runs else None,
            "interval": [float(interval.low), float(interval.high)] if interval else None,
        }

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {
            "ok": self.ok,
            "problems": list(self.problems),
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
            "planted": [{**asdict(o), "causes": list(o.causes), "named": o.named} for o in self.outcomes],
            "false_alarms": {kind: self.false_alarms(kind) for kind in STATED_RATES},
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
        for fault, outcomes in _by_fault([o for o in self._planted if not o.careful]):
            caught, named = sum(o.caught for o in outcomes), sum(o.named for o in outcomes)
            smallest = [o.smallest for o in outcomes if o.smallest is not None]
            size = f"{min(smallest):.2g} {outcomes[0].unit}" if smallest else ""
            wrong = [o for o in outcomes if not o.named]
            words = f"{named} of {len(outcomes)}: {outcomes[0].expected}"
            if wrong:
                words += "; " + "; ".join(
                    f"{o.base}: {o.error or ', '.join(o.causes[:2]) or 'no cause'}" for o in wrong
                )
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
        planted, caught = len(plain), sum(o.caught for o in plain)
        named = sum(o.named for o in plain)
        faults = len({(o.kind, o.fault) for o in plain})
        lines = [
            f"{faults} faults planted {planted} times: {caught} caught, {named} named rightly (cause ranked first); "
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
        for kind, rate in STATED_RATES.items():
            one = self.false_alarms(kind)
            if one["comparisons"]:
                low, high = one["interval"]
                lines.append(
                    f"{one['comparisons']} clean comparisons of {_KINDS[kind]}: {one['alarms']} false alarms, "
                    f"{one['rate']:.1%} (95% interval {low:.1%} to {high:.1%}; stated rate {rate:.0%})"
                    + (f", {one['inconclusive']} inconclusive" if one["inconclusive"] else "")
                    + "."
                )
        lines += [f"Problem: {problem}." for problem in self.problems]
        lines.append("The self-test passed." if self.ok else "The self-test FAILED.")
        return "\n".join(lines)


def _by_fault(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, list[Outcome]]]:
    groups: dict[tuple[int, str, str], list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda o: (o.row, o.kind)):
        groups.setdefault((outcome.row, outcome.kind, outcome.fault), []).append(outcome)
    for (_, _, fault), group in groups.items():
        yield fault, group
