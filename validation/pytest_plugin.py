"""The pytest plugin, installed with mlmparity: conformance as tests, one for each case and tier.

``pytest --mlm-candidate=package.module:function`` adds the tests; without that option the plugin adds nothing but the
fixtures ``mlm_agreement`` and ``mlm_compare`` and the marker ``mlm``. It imports nothing but pytest until it is used.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from validation.cases import Case
    from validation.comparison import Check, Comparison
    from validation.conformance.deviations import Deviation
    from validation.conformance.run import Result

_MARKER = (
    "mlm(candidate=None, can=None, missing=None, reference=None, needs=()): what mlm_agreement and mlm_compare judge "
    "(mlmparity); needs: features without which the test is skipped"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options ``--mlm-*`` (and ``mlm_*`` in the ini file)."""
    group = parser.getgroup("mlmparity", "mlmparity: does a package of mixed models agree with R?")
    for name, default, text in _OPTIONS:
        group.addoption(f"--mlm-{name}", default=None, metavar=name.upper(), help=text)
        parser.addini(f"mlm_{name.replace('-', '_')}", text, default=default)


_OPTIONS = (
    ("candidate", "", "package.module:function, or an adapter that ships with mlmparity; adds the conformance tests"),
    ("reference", "auto", "certified, recorded, live, several as in certified+live, or the best for each case (auto)"),
    ("can", "", "what the candidate can do: reml,slopes,... (`mlmparity conformance --features` lists all)"),
    ("missing", "", "quantities that it does not offer: condsd,design,..."),
    ("known-deviations", "", "TOML file of known deviations; an entry that no longer applies fails"),
    ("cases", "", "names of cases: M1,sleepstudy-ml,...; all that the reference has where none is given"),
)


def _option(config: pytest.Config, name: str) -> str:
    given = config.getoption(f"--mlm-{name}")
    return str(given if given is not None else config.getini(f"mlm_{name.replace('-', '_')}"))


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and count what is judged."""
    config.addinivalue_line("markers", _MARKER)
    if _option(config, "candidate"):
        config.pluginmanager.register(_Judged(), "mlmparity-judged")


@pytest.hookimpl(tryfirst=True)  # before -k, -m and --lf choose
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the conformance tests, where a candidate is named."""
    if _option(config, "candidate"):
        items.extend(session.genitems(_Suite.from_parent(session, name="mlmparity", nodeid="mlmparity")))


class _Judged:
    """Whether anything was judged: where all tiers were skipped, pytest by itself ends with 0."""

    _TIER = re.compile(r"^mlmparity::.*\[(?:tier|gate)-\d\]$")

    def __init__(self) -> None:
        self.outcomes: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._TIER.match(report.nodeid) and (report.when == "call" or report.outcome != "passed"):
            self.outcomes.add(report.outcome)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.outcomes == {"skipped"} and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.outcomes == {"skipped"}:
            terminalreporter.write_line(
                "mlmparity: nothing of the candidate was judged (all tiers were skipped): that is no agreement",
                red=True,
            )


class _Suite(pytest.Collector):
    """The conformance tests of a candidate: its cases, each judged once; bad options are usage errors."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        from validation.conformance.candidate import words
        from validation.conformance.deviations import read_deviations
        from validation.conformance.isolated import isolated_candidate
        from validation.conformance.output import claimed_cases
        from validation.references.choose import choose_source
        from validation.suite import with_reference

        target, can, missing, reference, cases, path = (
            _option(self.config, name)
            for name in ("candidate", "can", "missing", "reference", "cases", "known-deviations")
        )
        try:
            self.candidate = isolated_candidate(target, can or None, missing or None)
            self.source = choose_source(reference, certified_first=True)
            self.cases = with_reference(self.source, words(cases))
            self.deviations = read_deviations(self.config.invocation_params.dir / path) if path else ()
            self.could = claimed_cases(self.candidate, self.source)
        except (ValueError, LookupError, RuntimeError) as error:  # ours: each says what to do
            raise pytest.UsageError(f"mlmparity: {error}") from None
        self._results: dict[str, Result] = {}

    def collect(self) -> Iterator[pytest.Item]:
        from validation.tolerances import TITLES

        for case in self.cases:
            steps = "gate" if case.kind == "bayes" else "tier"
            for check in ("fit", *(check for check in TITLES if check.startswith(steps))):
                judge = partial(self._judge_check, case=case, check=check)
                yield _Item.from_parent(self, name=f"{case.name}[{check}]", judge=judge, needs=case.needs)
        for deviation in self.deviations:
            judge = partial(self._judge_deviation, deviation=deviation)
            yield _Item.from_parent(self, name=f"known-deviation[{deviation.number}]", judge=judge)

    def _result(self, case: "Case") -> "Result":
        from validation.conformance.run import judge_case

        if case.name not in self._results:
            self._results[case.name] = judge_case(self.candidate, case, self.source, deviations=self.deviations)
        return self._results[case.name]

    def _judge_check(self, item: pytest.Item, case: "Case", check: str) -> None:
        """One tier of one case, or whether the candidate fits it at all."""
        from validation.conformance.output import properties
        from validation.conformance.run import Status
        from validation.verdict import Verdict

        result = self._result(case)
        if result.status in (Status.NOT_CLAIMED, Status.NOT_SUPPORTED, Status.NO_REFERENCE):
            pytest.skip(f"{result.status}: {result.reason}")
        item.user_properties.extend(properties(result, check))
        if check == "fit":
            item.user_properties.extend(("warning", text) for text in result.warnings)
            if result.status is Status.RAISED:
                needs = ", ".join(sorted(case.needs))
                said = f"{case.name} needs {needs}, which the candidate claims; it raised {result.error}"
                pytest.fail(said, pytrace=False)
            return
        if result.comparison is None:
            pytest.skip(f"not fitted: {result.reason}")
        found = next((one for one in result.comparison.checks if one.id == check), None)
        if found is None:
            pytest.skip("not judged: nothing of it is offered")
        if found.verdict is Verdict.INCONCLUSIVE:
            pytest.skip(f"inconclusive: {found.summary}")
        if found.verdict.failed:
            pytest.fail(_explain(result.comparison, found), pytrace=False)

    def _judge_deviation(self, item: pytest.Item, deviation: "Deviation") -> None:
        """One entry of the file of known deviations: it must still apply, and be no wider than it need be."""
        from validation.conformance.deviations import problems_of

        results = [self._result(case) for case in self.cases if deviation.covers_case(case.name)]
        if not any(result.judged for result in results) and any(map(deviation.covers_case, self.could)):
            pytest.skip("none of its cases is judged in this run")
        if problems := problems_of(deviation, results, self.could):
            pytest.fail("\n".join(problems), pytrace=False)


class _Item(pytest.Item):
    """A conformance test, with what a case needs among its keywords: ``-k "slopes and not crossed"``."""

    def __init__(self, *, judge: Callable[[pytest.Item], None], needs: Iterable[str] = (), **more: Any) -> None:
        super().__init__(**more)
        self._judge = judge
        self.extra_keyword_matches.update(needs)

    def runtest(self) -> None:
        self._judge(self)

    def reportinfo(self) -> tuple[str, None, str]:
        return "mlmparity", None, self.name


def _explain(comparison: "Comparison", check: "Check | None" = None) -> str:
    """What failed, of one check where that is asked for: as a terminal shows it, without notes."""
    from validation.report.text import render_text

    if check is not None:
        table = comparison.table[comparison.table["check"] == check.id]
        comparison = replace(comparison, checks=(check,), table=table)
    return render_text(replace(comparison, notes=()), brief=True)


# ---------------------------------------------------------------------------------------------------- one's own cases


@pytest.fixture
def mlm_compare(request: pytest.FixtureRequest) -> Callable[..., "Comparison"]:
    """Judge a model of one's own: ``mlm_compare(formula, data, REML=True, bayes=False, **options)`` -> Comparison.

    The candidate and the reference are those of ``@pytest.mark.mlm(...)``, else those of the command line. Options
    (``weights``, ``offset``, ``contrasts``) go to both sides. An exception of the candidate is raised as it is.
    """
    return _judging(request, pytest.skip)


@pytest.fixture
def mlm_agreement(request: pytest.FixtureRequest) -> Callable[..., "Comparison"]:
    """Demand agreement on a model of one's own: as ``mlm_compare``, and fails with the reasons where they differ.

    What is inconclusive fails as well, and so does what the candidate says it does not support: neither is agreement.
    """
    judged = _judging(request, pytest.fail)

    def agreement(formula: str, data: Any, **options: Any) -> "Comparison":
        comparison = judged(formula, data, **options)
        if comparison.verdict.failed:
            pytest.fail(_explain(comparison), pytrace=False)
        if not comparison.agrees:
            said = "; ".join(check.summary for check in comparison.checks if check.verdict == comparison.verdict)
            pytest.fail(f"{formula}: inconclusive. {said}", pytrace=False)
        return comparison

    return agreement


def _judging(request: pytest.FixtureRequest, not_supported: Callable[[str], object]) -> Callable[..., "Comparison"]:
    """What judges a model of a test of one's own; the test is skipped where the candidate does not claim its needs.

    ``not_supported`` is told what the candidate says it does not support.
    """
    from validation.cases import Case
    from validation.conformance.candidate import candidate_of, words
    from validation.conformance.isolated import isolated_candidate
    from validation.conformance.output import properties
    from validation.conformance.run import Status, judge_case
    from validation.references.choose import choose_source

    marked: dict[str, Any] = {}  # what the markers say, the closest first
    for marker in request.node.iter_markers("mlm"):
        unknown = sorted(marker.kwargs.keys() - {"candidate", "can", "missing", "reference", "needs"})
        if given := ", ".join(unknown) or ", ".join(map(repr, marker.args)):
            known = "candidate=, can=, missing=, reference= and needs="
            raise pytest.UsageError(f"@pytest.mark.mlm takes {known}; not {given}")
        marked = {**marker.kwargs, **marked}
    target, can, missing, reference = (
        marked.get(name) or _option(request.config, name) for name in ("candidate", "can", "missing", "reference")
    )
    if not target:
        raise pytest.UsageError(
            "no candidate: run pytest with --mlm-candidate=package.module:function, or mark the test with "
            "@pytest.mark.mlm(candidate=...)"
        )
    if isinstance(target, str):
        candidate = isolated_candidate(target, can or None, missing or None)
    else:  # the command line speaks of another
        candidate = candidate_of(target, marked.get("can"), marked.get("missing"))
    if lacking := candidate.unclaimed(words(marked.get("needs"))):
        pytest.skip(f"{candidate.name} does not claim {', '.join(lacking)}")

    def judged(formula: str, data: Any, *, bayes: bool = False, REML: bool = True, **options: Any) -> "Comparison":
        source = choose_source(reference, certified_first=True)
        case = replace(Case.of(request.node.name, formula, data, bayes=bayes, REML=REML), options=options)
        result = judge_case(candidate, case, source)
        request.node.user_properties.extend(properties(result))
        if result.status is Status.RAISED:
            pytest.fail(f"{candidate.name} raised {result.error}", pytrace=False)
        if result.status is Status.NOT_SUPPORTED:
            not_supported(f"{result.status}: {result.error}")
        if result.comparison is None:
            pytest.fail(f"{result.status}: {result.reason}", pytrace=False)
        return result.comparison

    return judged
