"""The pytest plugin, installed with mlmparity: conformance as tests, one for each case and tier.

``pytest --mlm-candidate=package.module:function`` adds the tests; without that option the plugin adds nothing but the
fixtures ``mlm_agreement`` and ``mlm_compare`` and the marker ``mlm``. It imports nothing but pytest until it is used.
"""

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from validation.comparison import Check, Comparison
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
    """Register the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Count what is judged; with xdist this process collects nothing, and hears of all tests."""
    if _option(session.config, "candidate") and not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(_Judged(), "mlmparity-judged")


@pytest.hookimpl(tryfirst=True)  # before -k, -m and --lf choose
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the conformance tests, where a candidate is named."""
    if _option(config, "candidate"):
        _judge(config)  # bad options are usage errors
        items.extend(session.genitems(_Suite.from_parent(session, name="mlmparity", nodeid="mlmparity")))


class _Judge:
    """The candidate, its cases and their results, each judged once."""

    def __init__(self, config: pytest.Config) -> None:
        from validation.conformance.candidate import words
        from validation.conformance.deviations import read_deviations
        from validation.conformance.isolated import isolated_candidate
        from validation.conformance.output import claimed_cases
        from validation.references.choose import choose_source
        from validation.suite import with_reference

        try:
            self.candidate = isolated_candidate(
                _option(config, "candidate"), _option(config, "can") or None, _option(config, "missing") or None
            )
            self.source = choose_source(_option(config, "reference"), certified_first=True)
            self.cases = with_reference(self.source, words(_option(config, "cases")))
            path = _option(config, "known-deviations")
            self.deviations = read_deviations(config.invocation_params.dir / path) if path else ()
            self.could = claimed_cases(self.candidate, self.source)
        except (ValueError, LookupError, RuntimeError) as error:  # ours: each says what to do
            raise pytest.UsageError(f"mlmparity: {error}") from None
        self._results: dict[str, Result] = {}

    def result(self, case: Any) -> "Result":
        if case.name not in self._results:
            from validation.conformance.run import judge_case

            self._results[case.name] = judge_case(self.candidate, case, self.source, deviations=self.deviations)
        return self._results[case.name]


_JUDGE: pytest.StashKey[_Judge] = pytest.StashKey()


def _judge(config: pytest.Config) -> _Judge:
    if _JUDGE not in config.stash:
        config.stash[_JUDGE] = _Judge(config)
    return config.stash[_JUDGE]


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
    """The parent of the conformance tests."""

    def collect(self) -> Iterator[pytest.Item]:
        from validation.tolerances import TITLES

        judge = _judge(self.config)
        for case in judge.cases:
            steps = "gate" if case.kind == "bayes" else "tier"
            for check in ("fit", *(check for check in TITLES if check.startswith(steps))):
                yield _CaseItem.from_parent(self, name=f"{case.name}[{check}]", case=case, check=check)
        for deviation in judge.deviations:
            yield _DeviationItem.from_parent(self, name=f"known-deviation[{deviation.number}]", deviation=deviation)


class _Item(pytest.Item):
    def reportinfo(self) -> tuple[str, None, str]:
        return "mlmparity", None, self.name


class _CaseItem(_Item):
    """One tier of one case."""

    def __init__(self, *, case: Any, check: str, **more: Any) -> None:
        super().__init__(**more)
        self.case, self.check = case, check
        self.extra_keyword_matches.update(case.needs)  # -k "slopes and not crossed"

    def runtest(self) -> None:
        from validation.conformance.output import properties
        from validation.conformance.run import Status
        from validation.verdict import Verdict

        result = _judge(self.config).result(self.case)
        if result.status in (Status.NOT_CLAIMED, Status.NOT_SUPPORTED, Status.NO_REFERENCE):
            pytest.skip(f"{result.status}: {result.reason}")
        self.user_properties.extend(properties(result, self.check))
        if self.check == "fit":
            self.user_properties.extend(("warning", text) for text in result.warnings)
            if result.status is Status.RAISED:
                needs = ", ".join(sorted(self.case.needs))
                said = f"{self.case.name} needs {needs}, which the candidate claims; it raised {result.error}"
                pytest.fail(said, pytrace=False)
            return
        if result.comparison is None:
            pytest.skip(f"not fitted: {result.reason}")
        check = next((check for check in result.comparison.checks if check.id == self.check), None)
        if check is None:
            pytest.skip("not judged: nothing of it is offered")
        if check.verdict is Verdict.INCONCLUSIVE:
            pytest.skip(f"inconclusive: {check.summary}")
        if check.verdict.failed:
            pytest.fail(_explain(result.comparison, check), pytrace=False)


class _DeviationItem(_Item):
    """One entry of the file of known deviations: it must still apply, and be no wider than it need be."""

    def __init__(self, *, deviation: Any, **more: Any) -> None:
        super().__init__(**more)
        self.deviation = deviation

    def runtest(self) -> None:
        from validation.conformance.deviations import problems_of

        judge = _judge(self.config)
        concerned = [case for case in judge.cases if self.deviation.covers_case(case.name)]
        results = [judge.result(case) for case in concerned]
        if not any(result.judged for result in results) and any(map(self.deviation.covers_case, judge.could)):
            pytest.skip("none of its cases is judged in this run")
        problems = problems_of(self.deviation, results, judge.could)
        if problems:
            pytest.fail("\n".join(problems), pytrace=False)


def _explain(comparison: "Comparison", check: "Check | None" = None) -> str:
    """What failed, of one check where that is asked for: as a terminal shows it, without notes."""
    from dataclasses import replace

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
    own = _Own(request)
    return lambda formula, data, **options: own.judged(formula, data, options)


@pytest.fixture
def mlm_agreement(request: pytest.FixtureRequest) -> Callable[..., "Comparison"]:
    """Demand agreement on a model of one's own: as ``mlm_compare``, and fails with the reasons where they differ.

    What is inconclusive fails as well, and so does what the candidate says it does not support: neither is agreement.
    """
    own = _Own(request)

    def agreement(formula: str, data: Any, **options: Any) -> "Comparison":
        comparison = own.judged(formula, data, options, demanded=True)
        if comparison.verdict.failed:
            pytest.fail(_explain(comparison), pytrace=False)
        if not comparison.agrees:
            said = "; ".join(check.summary for check in comparison.checks if check.verdict == comparison.verdict)
            pytest.fail(f"{formula}: inconclusive. {said}", pytrace=False)
        return comparison

    return agreement


class _Own:
    """The candidate of a test of one's own; the test is skipped where it does not claim what the test needs."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        from validation.conformance.candidate import candidate_of, words
        from validation.conformance.isolated import isolated_candidate

        self.request = request
        self.settings: dict[str, Any] = {}  # what the markers say, the closest first
        for marker in request.node.iter_markers("mlm"):
            unknown = sorted(marker.kwargs.keys() - {"candidate", "can", "missing", "reference", "needs"})
            if given := ", ".join(unknown) or ", ".join(map(repr, marker.args)):
                known = "candidate=, can=, missing=, reference= and needs="
                raise pytest.UsageError(f"@pytest.mark.mlm takes {known}; not {given}")
            self.settings = {**marker.kwargs, **self.settings}
        target = self._setting("candidate")
        if not target:
            raise pytest.UsageError(
                "no candidate: run pytest with --mlm-candidate=package.module:function, or mark the test with "
                "@pytest.mark.mlm(candidate=...)"
            )
        if isinstance(target, str):
            candidate = isolated_candidate(target, self._setting("can") or None, self._setting("missing") or None)
        else:  # the command line speaks of another
            candidate = candidate_of(target, self.settings.get("can"), self.settings.get("missing"))
        lacking = candidate.unclaimed(words(self.settings.get("needs")))
        if lacking:
            pytest.skip(f"{candidate.name} does not claim {', '.join(lacking)}")
        self.candidate = candidate

    def _setting(self, name: str) -> Any:
        return self.settings.get(name) or _option(self.request.config, name)

    def judged(self, formula: str, data: Any, options: dict[str, Any], demanded: bool = False) -> "Comparison":
        from dataclasses import replace

        from validation.cases import Case
        from validation.conformance.output import properties
        from validation.conformance.run import Status, judge_case
        from validation.references.choose import choose_source

        source = choose_source(self._setting("reference"), certified_first=True)
        bayes, reml = bool(options.pop("bayes", False)), bool(options.pop("REML", True))
        node = self.request.node
        case = replace(Case.of(node.name, formula, data, bayes=bayes, REML=reml), options=options)
        result = judge_case(self.candidate, case, source)
        node.user_properties.extend(properties(result))
        if result.status is Status.RAISED:
            pytest.fail(f"{self.candidate.name} raised {result.error}", pytrace=False)
        if result.status is Status.NOT_SUPPORTED:
            (pytest.fail if demanded else pytest.skip)(f"{result.status}: {result.error}")
        if result.comparison is None:
            pytest.fail(f"{result.status}: {result.reason}", pytrace=False)
        return result.comparison
