"""The command line: exit codes, files, messages. The fitting is made up here; tests/whole runs it for real."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bridge import doctor
from tests.validation import comparisons as made
from validation import campaign, cli, commands
from validation.campaign import Work, could_not_compare
from validation.errors import NoRError, UnknownCaseError
from validation.files import write_atomically
from validation.references import choose
from validation.references.choose import Source, choose_source
from validation.verdict import Verdict

LIVE = Source(("live",))
ROOT = Path(__file__).parents[2]


def work(comparison, name="made", fail=None):
    def compare(*, against, progress, seed=349):
        progress("Chain 1: Iteration:  400 / 2000 [ 20%]  (Warmup)")
        progress("judging", 0.9)
        if fail is not None:
            raise fail
        return comparison

    return Work(name, comparison.title, comparison.formula, comparison.kind, compare)


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run the command with these works in place of the cases; gives exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # the width of whoever runs the tests

    def go(*arguments, works=None, reference=LIVE):
        if works is not None:
            monkeypatch.setattr(campaign, "choose", lambda names: works)
        if reference is not None:
            monkeypatch.setattr(choose, "choose_source", lambda against: reference)
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        output = capsys.readouterr()
        return ended.value.code or 0, output.out, output.err

    return go


@pytest.mark.parametrize(
    ("comparisons", "code", "words"),
    [
        ([made.likelihood()], 0, "R and Python agree"),
        ([made.likelihood("a"), made.disagreeing("b")], 1, "R and Python disagree in 1 of 2 comparisons"),
        ([made.likelihood("a"), made.bayes("b")], 3, "Inconclusive"),
        ([made.disagreeing("a"), made.bayes("b")], 1, "disagree"),
    ],
)
def test_exit_codes_and_verdict(run, comparisons, code, words):
    found, out, err = run("validate", works=[work(c) for c in comparisons])
    assert found == code
    assert words in out.splitlines()[-1]
    assert f"[1/{len(comparisons)}] {comparisons[0].title}" in err


def test_files_are_written_where_asked(run, tmp_path):
    code, out, _ = run("validate", "--output", "deep/folder", works=[work(made.likelihood())])
    assert code == 0
    folder = tmp_path / "deep" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]
    assert json.loads((folder / "report.json").read_text())["verdict"] == "agrees"
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    assert "deep/folder/report.html" in out


def test_the_report_says_how_to_repeat_it(run, tmp_path):
    run("validate", "-o", "a folder", works=[work(made.likelihood())])
    assert (
        "<code>mlmparity validate -o &#39;a folder&#39;</code>" in (tmp_path / "a folder" / "report.html").read_text()
    )


def test_default_folder(run, tmp_path):
    run("validate", works=[work(made.likelihood())])
    assert (tmp_path / "mlmparity-report" / "report.html").exists()


def test_quiet_says_the_verdict_only(run):
    code, out, err = run("validate", "--quiet", works=[work(made.disagreeing())])
    assert code == 1
    assert len(out.splitlines()) == 1
    assert err == ""


def test_a_line_for_what_agrees_and_more_for_what_does_not(run):
    works = [work(made.likelihood("good")), work(made.disagreeing("bad")), work(made.likelihood("fine"))]
    lines = run("validate", works=works)[1].splitlines()
    good, bad, fine = (next(i for i, line in enumerate(lines) if name in line) for name in ("good", "bad", "fine"))
    assert bad == good + 1
    assert fine > bad + 5
    assert lines[good].startswith("agrees  good  ")
    opened = "\n".join(lines[bad:fine])
    assert "Likely cause" in opened
    assert "disagrees" in opened
    assert not any("agrees" in line.split() for line in lines[bad:fine])
    full = run("validate", "-v", works=works)[1]
    assert "good: agrees\n" in full
    assert any("agrees" in line.split()[-1:] and "fixef" in line for line in full.splitlines())


def test_all_rows_on_request(run):
    many = work(made.likelihood(levels=40))
    assert "ranef school" not in run("validate", works=[many])[1]
    assert run("validate", "--all", works=[many])[1].count("ranef school") == 40


def test_recorded_references_are_announced_with_the_reason(run):
    recorded = made.likelihood(reference=made.RECORDED)
    reference = Source(("recorded",), "live R cannot be used here (R: not found)")
    code, out, err = run("validate", works=[work(recorded)], reference=reference)
    assert code == 0
    line = "Comparing against recorded references, because live R cannot be used here (R: not found)."
    assert err.splitlines()[0] == line
    assert "Compared against recorded references, not live R, because live R cannot be used here" in out


def test_a_case_that_fails_is_reported_and_the_others_go_on(run, tmp_path):
    from bridge.errors import RCrashError

    works = [work(made.likelihood("a"), fail=RCrashError("R ended (signal 9)")), work(made.likelihood("b"))]
    code, out, _ = run("validate", works=works)
    assert code == 3
    assert "RCrashError: R ended (signal 9)" in out
    assert "agrees  b  " in out
    stored = json.loads((tmp_path / "mlmparity-report" / "report.json").read_text())
    assert [c["verdict"] for c in stored["comparisons"]] == ["inconclusive", "agrees"]


def test_a_model_that_only_one_side_fits_is_a_disagreement():
    from validation.errors import SideError

    assert could_not_compare("t", "f", "likelihood", SideError("Python could not")).verdict is Verdict.DISAGREES
    assert could_not_compare("t", "f", "likelihood", ValueError("x")).verdict is Verdict.INCONCLUSIVE


def test_no_bayes_leaves_bayesian_cases_out(run):
    works = [work(made.likelihood("kept")), work(made.bayes("left out"))]
    code, out, _ = run("validate", "--no-bayes", works=works)
    assert code == 0
    assert "left out" not in out
    code, _, err = run("validate", "--no-bayes", works=works[1:])
    assert code == 2
    assert "every case named is Bayesian" in err


def test_unknown_case(run):
    code, _, err = run("validate", "M11")
    assert code == 2
    assert err.startswith("Error: there is no case 'M11'")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "--against", "nothing"],
        ["validate", "--seed", "-1"],
        ["nonsense"],
        ["compare"],
        ["validate", "--what"],
    ],
)
def test_wrong_usage(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err


def test_output_that_cannot_be_written_is_refused_before_the_work(run, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run("validate", "--output", "file", works=[work(made.likelihood())])
    assert code == 2
    assert "is a file; name a folder" in err
    code, _, err = run("validate", "--output", "file/below", works=[work(made.likelihood())])
    assert code == 2
    assert "cannot be made" in err


def test_live_r_that_is_not_there(run, monkeypatch):
    def refuse(against):
        raise NoRError("live R was asked for and cannot be used here.\nR: not found; apt-get install r-base")

    monkeypatch.setattr(choose, "choose_source", refuse)
    code, _, err = run("validate", "--against", "live", works=[work(made.likelihood())], reference=None)
    assert code == 4
    assert "apt-get install r-base" in err


def diagnosis(ok):
    findings = (
        SimpleNamespace(name="rpy2", status="warning", detail="old", fix=""),
        SimpleNamespace(
            name="R",
            status="ok" if ok else "error",
            detail="not found anywhere. Install it, or set R_HOME.",
            fix="apt-get install r-base",
        ),
    )
    return SimpleNamespace(ok=ok, findings=findings)


def test_the_source_of_references_is_chosen_once(monkeypatch):
    def chosen(asked, found, **more):
        monkeypatch.setattr(choose, "examine_r", lambda: found)
        return choose_source(asked, **more)

    assert chosen("auto", None) == Source(("live",))
    assert chosen("auto", diagnosis(True)) == Source(("live",))
    assert chosen("live", None) == Source(("live",))
    assert chosen("auto", None, certified_first=True).kinds == ("certified", "live")
    found = chosen("auto", diagnosis(False))
    assert found == Source(("recorded",), "live R cannot be used here (R: not found anywhere)")
    with pytest.raises(NoRError, match="asked for"):
        chosen("live", diagnosis(False))
    monkeypatch.setattr(choose, "examine_r", lambda: pytest.fail("R was examined"))
    assert choose_source(found) is found
    assert choose_source("recorded").kinds == ("recorded",)


def test_an_error_that_is_not_ours_is_said_to_be_a_fault(run, monkeypatch):
    def broken(names):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(campaign, "choose", broken)
    code, _, err = run("validate")
    assert code == 3
    assert "Error: ZeroDivisionError: division by zero" in err
    assert "--debug" in err
    assert "Traceback" not in err
    code, _, err = run("validate", "--debug")
    assert code == 3
    assert "Traceback" in err


@pytest.mark.parametrize(
    ("error", "lacks"),
    [
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "processes"),
        (OSError(errno.EMFILE, "Too many open files"), "open files"),
        (OSError(errno.ENOSPC, "No space left on device"), "room on the disk"),
        (MemoryError(), "memory"),
        (RuntimeError("can't start new thread"), "threads"),
    ],
)
def test_what_the_system_refuses_is_no_fault_of_ours(run, monkeypatch, error, lacks):
    def refused(names):
        raise error

    monkeypatch.setattr(campaign, "choose", refused)
    code, _, err = run("validate")
    assert code == 3
    assert f"the system gives this process no more {lacks}" in err
    assert "fault" not in err


def test_without_threads_nothing_is_started_ahead(monkeypatch):
    def none(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", none)
    commands.import_ahead()
    commands.start_r("live", bayes=False)


def test_a_current_folder_that_is_gone(run, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SystemExit) as ended:
        cli.main(["cases"])
    assert ended.value.code == 2


@pytest.mark.skipif(os.name != "posix", reason="closes descriptors")
@pytest.mark.parametrize(("closed", "code"), [([0], 0), ([1], 2), ([2], 0), ([0, 1, 2], 2)])
def test_closed_streams(tmp_path, closed, code):
    """A file that is opened takes the number of a stream that is closed, and gets what is printed there."""
    done = subprocess.run(
        [sys.executable, "-c", "from validation.cli import main; main(['cases'])"],
        cwd=ROOT, preexec_fn=lambda: [os.close(number) for number in closed], check=False,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert ("standard output is closed" in done.stderr) == (closed == [1])


def test_interrupt(run, tmp_path):
    code, _, err = run("validate", works=[work(made.likelihood(), fail=KeyboardInterrupt())])
    assert code == 130
    assert "Interrupted" in err
    assert list((tmp_path / "mlmparity-report").iterdir()) == []


def test_a_backend_that_matplotlib_does_not_know_stops_nothing(run, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    run("--version")
    done = subprocess.run([sys.executable, "-c", "import matplotlib"], check=False, capture_output=True)
    assert done.returncode == 0


def test_version(run):
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("mlmparity ")


@pytest.mark.parametrize(
    ("found", "status", "last"),
    [([], 0, "pyimpl's compiled modules are whole."), (["one is damaged", "another is stale"], 2, "another is stale")],
)
def test_doctor_says_whether_the_compiled_modules_are_whole(run, monkeypatch, found, status, last):
    monkeypatch.setattr("bridge.doctor.examine", doctor.Diagnosis)
    monkeypatch.setattr("pyimpl.extensions.problems", lambda: found)
    code, out, _ = run("doctor")
    assert code == status
    assert out.splitlines()[-max(1, len(found)) :] == (found or [last])


@pytest.mark.parametrize("command", [[], ["validate"], ["compare"], ["doctor"], ["record"], ["cases"]])
def test_help(run, command):
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert "Usage" in out


def test_cases_lists_them_all(run):
    code, out, _ = run("cases")
    assert code == 0
    assert max(map(len, out.splitlines()[:-2])) <= 100
    for name in ("M1 ", "sleepstudy ", "crossed-three "):
        assert sum(line.startswith(name) for line in out.splitlines()) == 1
    names = run("cases", "-q")[1].splitlines()
    assert {"M1-ml", "M3-bayes", "crossed-three-reml"} <= set(names)
    assert len(names) == len(set(names)) > 70
    assert run("cases", "-q", "sleepstudy-ml", "M1-ml")[1].split() == ["M1-ml", "sleepstudy-ml"]
    listed = json.loads(run("cases", "--json", "-")[1])
    assert [one["name"] for one in listed] == names
    assert next(one for one in listed if one["name"] == "Dyestuff-ml")["references"] == ["certified", "recorded"]


def test_an_unknown_case_is_answered_in_few_words(run):
    code, _, err = run("compare", "slepstudy")
    assert code == 2
    assert "did you mean 'sleepstudy'" in err
    assert "`mlmparity cases` lists" in err
    assert len(err) < 200


def test_names_of_cases_are_completed(run, monkeypatch):
    monkeypatch.setenv("_MLMPARITY_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "mlmparity compare Dyestuff2")
    monkeypatch.setenv("COMP_CWORD", "2")
    _, out, _ = run()
    assert out.split() == ["Dyestuff2-ml", "Dyestuff2-reml"]


def test_json_alone_is_on_standard_output_where_it_is_asked_for(run, tmp_path):
    works = [work(made.likelihood("a")), work(made.disagreeing("b"))]
    code, out, err = run("validate", "--json", "-", works=works)
    assert code == 1
    assert [one["title"] for one in json.loads(out)["comparisons"]] == ["a", "b"]
    assert "[1/2] a" in err
    code, _, err = run("validate", "-q", "--json", "-", works=works)
    assert (code, err) == (1, "")
    code, out, _ = run("validate", "--json", "deep/all.json", works=works)
    assert code == 1
    assert "disagree" in out
    assert (tmp_path / "deep" / "all.json").read_text() == (tmp_path / "mlmparity-report" / "report.json").read_text()


def test_doctor_for_programs_and_in_one_line(run, monkeypatch):
    broken = doctor.Diagnosis((doctor.Finding("R", "error", "not found anywhere", "apt-get install r-base"),))
    monkeypatch.setattr("bridge.doctor.examine", lambda: broken)
    monkeypatch.setattr("pyimpl.extensions.problems", list)
    code, out, _ = run("doctor", "--json", "-")
    assert code == 4
    found = json.loads(out)
    assert found["R can be used"] is False
    assert found["findings"][0]["fix"] == "apt-get install r-base"
    code, out, err = run("doctor", "-q")
    assert (code, out.splitlines(), err) == (4, ["R cannot be used: see mlmparity doctor."], "")


def test_choose_by_name():
    assert [w.name for w in campaign.choose(["M1-ml"])] == ["M1-ml"]
    assert len(campaign.choose([])) == 9


def test_what_is_added_is_known_by_its_name(monkeypatch, tmp_path):
    monkeypatch.setattr(campaign, "_added", {})
    added = campaign.Work(
        "mine", "Mine", "y ~ x", "likelihood", lambda **options: made.likelihood(), lambda folder: folder
    )
    campaign.add(added)
    campaign.add(added)  # twice is once
    assert [w.name for w in campaign.choose(["M1-ml", "Mine"])] == ["M1-ml", "mine"]
    assert len(campaign.choose([])) == 10
    assert campaign.record_works(["mine"], directory=tmp_path) == [tmp_path]
    with pytest.raises(UnknownCaseError, match="mine"):
        campaign.choose(["yours"])


def test_write_atomically_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    write_atomically(path, "old")
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new" * 1000)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_lone_surrogates_do_not_stop_the_report(tmp_path):
    write_atomically(tmp_path / "x.html", "a\udc80b")
    assert (tmp_path / "x.html").exists()


# -- In a process of its own ---------------------------------------------------------------------------------------

PROGRAM = """
import sys, time
sys.path[:0] = [{root!r}, {here!r}]  # a package `tests` that someone installed would come before ours
import comparisons as made
from validation import campaign, cli
from validation.references import choose
def compare(*, against, progress, seed=0):
    print("fitting", file=sys.stderr, flush=True)
    time.sleep({seconds})
    return made.{which}()
work = campaign.Work("x", "\\u03b8 and \\u201cquotes\\u201d", "y ~ 1 + (1 | g)", "likelihood", compare)
campaign.choose = lambda names: [work]
choose.choose_source = lambda against: choose.Source(("live",))
cli.main(["validate"])
"""


def start(tmp_path, which="hostile", seconds=0.0, **environment):
    program = PROGRAM.format(root=str(ROOT), here=str(Path(__file__).parent), which=which, seconds=seconds)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_terminals_that_show_ascii_only(tmp_path):
    process = start(tmp_path, PYTHONIOENCODING="ascii", TERM="dumb", PYTHONUTF8="0", LC_ALL="C")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert out.isascii()
    assert err.isascii()
    assert b"theta and" in err
    assert b"Traceback" not in err
    page = (tmp_path / "mlmparity-report" / "report.html").read_text(encoding="utf-8")
    assert "学校" in page


def test_ctrl_c(tmp_path):
    process = start(tmp_path, seconds=60.0)
    while b"fitting" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Interrupted" in err
    assert b"Traceback" not in err
    assert list((tmp_path / "mlmparity-report").iterdir()) == []


def test_a_reader_that_has_seen_enough(tmp_path):
    process = start(tmp_path, which="likelihood")
    process.stdout.close()
    err = process.stderr.read()
    process.wait(timeout=60)
    assert b"Traceback" not in err


# -- Cases of the suite, and certified values ----------------------------------------------------------------------


def test_cases_of_the_suite_against_certified_values(run, tmp_path):
    code, out, _ = run("compare", "anova-6x5", "nasty-ml", "--against", "certified", reference=None)
    assert code == 0
    assert "Compared against: certified values." in out
    stored = json.loads((tmp_path / "mlmparity-report" / "report.json").read_text())
    assert [c["reference"]["kind"] for c in stored["comparisons"]] == ["certified"] * 3


def test_own_data_against_certified_values(run, tmp_path):
    from validation.cases import SUITE

    data = next(case for case in SUITE if case.name == "anova-6x5-ml").load()
    data.to_csv(tmp_path / "scores.csv", index=False)
    own = ("compare", "-d", "scores.csv", "--factor", "group", "-f", "y ~ 1 + (1 | group)", "--against", "certified")
    assert run(*own, reference=None)[0] == 0
    code, _, err = run(*own, "-f", "y ~ 0 + (1 | group)", reference=None)
    assert code == 2
    assert "no certified values of y ~ 0" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nasty", "--against", "recorded"), "only certified values can judge nasty-ml"),
        (("M1-bayes", "--against", "certified"), "no certified reference of M1-bayes"),
        (("nosuch", "--against", "certified"), "there is no case 'nosuch'"),
        (("M1-ml", "--data", "x.csv"), "not both"),
        (("M1-reml", "--ml"), "has its own criterion"),
        (("M1-ml", "--bayes"), "has its own criterion"),
        (("--formula", "y ~ x + (1 | g)"), "--data is missing"),
        (("M1-ml", "--dialect", "1.1-31"), "has its own criterion"),
        (("-d", "x.csv", "-f", "y ~ x + (1 | g)", "--dialect", "debian-9"), "--dialect='debian-9': expected a stack"),
    ],
)
def test_bad_use_of_compare(run, arguments, words):
    code, _, err = run("compare", *arguments, reference=None)
    assert code == 2
    assert words in " ".join(err.split())


@pytest.mark.parametrize(("arguments", "word"), [((), "-2*log(L)"), (("--dialect", "1.1-31"), "deviance")])
def test_python_prints_in_the_words_of_the_version_asked_for(run, tmp_path, arguments, word):
    from validation.cases import SUITE

    data = next(case for case in SUITE if case.name == "anova-6x5-ml").load()
    data.to_csv(tmp_path / "scores.csv", index=False)
    own = ("compare", "-d", "scores.csv", "--factor", "group", "-f", "y ~ 1 + (1 | group)", "--ml")
    assert run(*own, "--against", "certified", *arguments, reference=None)[0] == 0
    stored = json.loads((tmp_path / "mlmparity-report" / "report.json").read_text())
    assert word in stored["comparisons"][0]["printed"]["candidate"]


def test_several_formulas_are_compared_by_their_tests(run, tmp_path):
    from validation.cases import SUITE

    data = next(case for case in SUITE if case.name == "sleepstudy-ml").load("recorded")
    data.to_csv(tmp_path / "sleep.csv", index=False)
    models = [f"Reaction ~ Days + (Days {bar} Subject)" for bar in ("|", "||")]
    code, out, err = run("compare", "-d", "sleep.csv", "--factor", "Subject", "--ml", "--against", "certified",
                         *(part for model in models for part in ("-f", model)), reference=None)  # fmt: skip
    assert code == 0, out + err
    assert "agrees  anova: Reaction" in out
    assert "[3/3] anova: " in err
