"""R in a process of its own: crashes, time-outs, Ctrl-C, threads, forks, handles."""

import copy
import gc
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bridge import session as sessions
from bridge.errors import BridgeError, HandleError, RCrashError, RError, RTimeoutError
from bridge.rhome import find_r_home, worker_environment
from bridge.session import Session

pytestmark = pytest.mark.r


@pytest.fixture(scope="module")
def r():
    with Session() as session:
        yield session


def test_plain_data_there_and_back(r):
    sent = {
        "nothing": None,
        "strings": ["a", None, "ä€😀"],
        "numbers": np.array([1.5, np.nan, np.inf, -0.0]),
        "integers": np.array([1, -2, 2**31 - 1]),
        "large": np.array([2**40]),
        "truth": np.array([True, False]),
        "matrix": np.arange(6.0).reshape(2, 3),
        "cube": np.arange(24.0).reshape(2, 3, 4),
        "empty": np.array([]),
        "nested": {"x": np.array([1.0])},
    }
    got = r.call("echo", x=sent).value
    assert got["nothing"] is None
    assert got["strings"] == sent["strings"]
    for name in ("numbers", "integers", "truth", "matrix", "cube", "empty"):
        np.testing.assert_array_equal(got[name], sent[name])
    np.testing.assert_array_equal(got["large"], [2.0**40])
    np.testing.assert_array_equal(got["nested"]["x"], [1.0])


def test_conditions_and_output_are_captured_and_do_not_touch_the_pipe(r, capfd):
    reply = r.call("noisy")
    assert reply.value == 42
    assert reply.warnings == ("a warning",)
    assert reply.messages == ("a message",)
    assert "to the console" in reply.output
    assert "[1] 1 2 3" in reply.output
    assert r.call("echo", x=1).value == np.array([1])
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""


def test_output_of_programs_touches_nothing_of_ours(capfd):
    with Session(sandbox=False) as r:
        assert r.call("noisy_program").value == 42
        assert r.call("echo", x=1).value == np.array([1])
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""


def test_error_carries_message_and_call(r):
    with pytest.raises(RError) as caught:
        r.call("failing", text="no such luck")
    assert caught.value.message == "no such luck"
    assert "failing" in caught.value.call
    assert "simpleError" in caught.value.classes


def test_unknown_function_is_an_error(r):
    with pytest.raises(RError, match="no_such_function"):
        r.call("no_such_function")


def test_random_state_is_left_alone(r):
    # a state is there from the first seeded draw on; each call then finds it as it was
    first = r.call("seeded", seed=3).value
    assert r.call("seeded", seed=3).value == first
    assert r.call("has_random_state").value is False


def test_timeout_interrupts_r_and_keeps_it(r):
    pid = r.pid
    started = time.monotonic()
    with pytest.raises(RTimeoutError, match=r"0\.3 s"):
        r.call("busy", seconds=60, timeout=0.3)
    assert time.monotonic() - started < 4
    assert r.pid == pid
    assert r.call("echo", x=5).value == [5]


def test_timeout_ends_an_r_that_does_not_listen(monkeypatch):
    monkeypatch.setattr(sessions, "_GRACE", 0.5)
    with Session() as r:
        kept = r.keep(r.call("keep_something").value)
        pid = r.pid
        with pytest.raises(RTimeoutError):
            r.call("deaf", seconds=60, timeout=1.5)  # on a loaded machine R is not deaf at once
        assert not kept.alive
        with pytest.raises(HandleError, match="fit the model again"):
            r.call("echo", x=kept)
        assert r.call("echo", x=5).value == [5]
        assert r.pid != pid


def test_killed_in_the_middle_is_an_error_and_the_next_call_works():
    with Session() as r:
        kept = r.keep(r.call("keep_something").value)
        threading.Timer(0.4, lambda: os.kill(r.pid, signal.SIGKILL)).start()
        with pytest.raises(RCrashError, match="SIGKILL"):
            r.call("busy", seconds=60)
        assert not kept.alive
        assert r.call("echo", x=5).value == [5]


def test_killed_between_calls():
    with Session() as r:
        r.call("echo", x=1)
        os.kill(r.pid, signal.SIGKILL)
        time.sleep(0.2)
        assert r.call("echo", x=5).value == [5]


def test_keyboard_interrupt_stops_r_and_the_next_call_works(r):
    kept = r.keep(r.call("keep_something").value)
    threading.Timer(0.4, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        r.call("busy", seconds=60)
    assert time.monotonic() - started < 4
    assert kept.alive
    assert r.call("echo", x=5).value == [5]


def test_the_terminals_interrupt_does_not_reach_the_worker(r):
    r.call("echo", x=1)
    assert os.getsid(r.pid) != os.getsid(os.getpid())
    os.kill(r.pid, signal.SIGINT)
    assert r.call("echo", x=5).value == [5]


def test_an_error_in_the_progress_callback_stops_the_work(r):
    def refuse(line: str) -> None:
        raise ValueError(line)

    with pytest.raises(ValueError, match="to the console"):
        r.call("noisy", progress=refuse)
    assert r.call("echo", x=5).value == [5]


def test_progress_lines(r):
    lines: list[str] = []
    r.call("noisy", progress=lines.append)
    assert lines[0] == "to the console"
    assert "[1] 1 2 3" in lines


def test_r_is_not_called_in_the_middle_of_its_own_call(r):
    """By a progress callback, a signal's handler or a finalizer: it would wait for itself without end."""
    held = r.keep(r.call("keep_value", x=7).value)
    told: list[object] = []

    def ask(*_: object) -> None:
        try:
            told.append(r.call("value_of", object=held).value)
        except BridgeError as error:
            told.append(str(error))

    r.call("noisy", progress=ask)
    assert told
    assert all("in the middle of another call" in str(one) for one in told)
    told.clear()
    before = signal.signal(signal.SIGALRM, ask)
    signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
    try:
        answers = [r.call("echo", x=number).value for number in range(300)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert answers == list(range(300))
    assert told
    assert {7} >= {one for one in told if not isinstance(one, str)}
    assert all("in the middle of another call" in one for one in told if isinstance(one, str))
    assert r.call("value_of", object=held).value == 7


def test_a_finalizer_that_calls_r_waits_for_nobody(r):
    """It runs in whatever thread the garbage is collected in: the one that reads R's answers, for one."""
    told: list[object] = []

    class Held:
        def __init__(self) -> None:
            self.handle, self.me = r.keep(r.call("keep_value", x=7).value), self

        def __del__(self) -> None:
            try:
                told.append(r.call("value_of", object=self.handle).value)
            except BridgeError:  # in the middle of a call; or R has let go of it already
                told.append("refused")

    before = gc.get_threshold()
    gc.set_threshold(50)
    try:
        for number in range(60):
            Held()
            assert r.call("value_of", object=r.keep(r.call("keep_value", x=number).value)).value == number
    finally:
        gc.set_threshold(*before)
    gc.collect()
    assert len(told) == 60
    assert set(told) <= {7, "refused"}


def test_ctrl_c_as_the_reader_starts_stays_ctrl_c(monkeypatch):
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if thread.name == "bridge-replies":
            raise KeyboardInterrupt  # before it is known to run
        start(thread)

    with Session() as session:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", interrupted)
            with pytest.raises(KeyboardInterrupt):
                session.call("echo", x=1)
        assert session.pid is None
        assert session.call("echo", x=1).value == 1


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_neither_sessions_nor_handles_are_copied(r, make):
    """Two sessions with one R would number their calls alike, and get each other's answers."""
    for one in (r, r.keep(r.call("keep_value", x=1).value)):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            make(one)


def test_handles_are_freed_with_their_python_objects(r):
    before = r.live_handles()
    kept = [r.keep(r.call("keep_something").value) for _ in range(3)]
    assert r.live_handles() == before + 3
    kept.clear()
    gc.collect()
    assert r.live_handles() == before


def test_a_handle_of_another_session_is_refused(r):
    with Session() as other:
        kept = other.keep(other.call("keep_something").value)
        with pytest.raises(HandleError, match="another R session"):
            r.call("echo", x=kept)


def test_sessions_side_by_side(r):
    with Session() as other:
        assert r.call("echo", x=1).value == [1]
        assert other.call("echo", x=2).value == [2]
        assert other.pid != r.pid


def test_threads_take_turns(r):
    answers: dict[int, int] = {}

    def ask(number: int) -> None:
        for _ in range(20):
            answers[number] = int(r.call("echo", x=number).value[0])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: number for number in range(6)}


def test_started_ahead_it_is_there_with_its_packages():
    with Session() as session:
        session.start_ahead(["lme4", "no.such.package"])
        deadline = time.monotonic() + 120
        while session.pid is None and time.monotonic() < deadline:
            time.sleep(0.02)
        pid = session.pid
        assert pid is not None
        assert session.information["R"]
        assert session.pid == pid  # one R, not two
        maps = Path(f"/proc/{pid}/maps")
        assert not maps.exists() or "libs/lme4.so" in maps.read_text()


def test_what_goes_wrong_ahead_is_said_by_the_first_call(monkeypatch):
    monkeypatch.setattr(sessions, "_BOOTSTRAP", "raise SystemExit(3)")
    with Session() as session:
        session.start_ahead(["lme4"])
        with pytest.raises(BridgeError):
            session.call("r_information")


def test_a_closed_session_says_so():
    session = Session()
    session.call("echo", x=1)
    pid = session.pid
    folder = session._process.folder
    assert os.path.isdir(folder)
    session.close()
    assert not os.path.exists(folder)
    with pytest.raises(BridgeError, match="closed"):
        session.call("echo", x=1)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_default_session_restarts_after_close():
    first = sessions.default()
    assert sessions.default() is first
    with Session() as other, sessions.use(other):
        assert sessions.default() is other
    assert sessions.default() is first


SCRIPT = """
import os, sys, json
from bridge.session import Session, default
r = default()
kept = r.keep(r.call("keep_something").value)
parent_r = r.pid
child = os.fork()
if child == 0:
    try:
        told = {"value": int(r.call("echo", x=7).value[0]), "own": r.pid != parent_r, "alive": kept.alive}
    except BaseException as error:
        told = {"error": repr(error)}
    with open(sys.argv[1], "w") as file:
        json.dump(told, file)
    r.close()
    os._exit(0)
os.waitpid(child, 0)
assert kept.alive and r.pid == parent_r
print(int(r.call("echo", x=8).value[0]), flush=True)
"""


def test_fork_and_a_script_without_main_guard(tmp_path):
    told = tmp_path / "told.json"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script), str(told)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        check=False,
    )
    assert done.stdout == "8\n", done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(told.read_text()) == {"value": 7, "own": True, "alive": False}


def test_ctrl_c_in_a_terminal_reaches_r_once(tmp_path):
    """The terminal sends SIGINT to the whole foreground group; only Python is in it."""
    code = (
        "from bridge.session import default; r = default(); r.call('echo', x=1); print('ready', flush=True)\n"
        "try:\n    r.call('busy', seconds=60)\n"
        "except KeyboardInterrupt:\n    print('stopped', int(r.call('echo', x=7).value[0]), flush=True)"
    )
    script = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert script.stdout.readline() == "ready\n"
    time.sleep(0.3)
    os.killpg(script.pid, signal.SIGINT)
    out, err = script.communicate(timeout=30)
    assert out == "stopped 7\n", err
    assert script.returncode == 0


def test_r_ends_with_its_parent(tmp_path):
    code = (
        "import os, signal; from bridge.session import default; r = default(); r.call('echo', x=1);"
        "print(r.pid, r._process.folder, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    number, folder = done.stdout.split()
    pid = int(number)
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            assert not os.path.exists(folder)
            return
        with open(f"/proc/{pid}/stat") as file:  # a zombie waits for init to collect it
            if file.read().split(")")[1].split()[0] == "Z":
                assert not os.path.exists(folder)
                return
        time.sleep(0.1)
    pytest.fail("R outlived its parent")


def test_locale_and_threads_are_fixed(monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    with Session() as r:
        assert "LC_COLLATE=C;" in r.information["locale"]
        with pytest.raises(RError, match="non-numeric argument"):
            r.call("busy", seconds="x")


def test_none_outlives_what_rpy2_gives_back():
    """On Python 3.11 a worker of R ended in "deallocating None" in the middle of a long run."""
    program = "import sys; from bridge.worker import keep_none; keep_none(); print(sys.getrefcount(None) > 1 << 30)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "True", done.stderr


def test_no_second_r_is_started(tmp_path, monkeypatch, r):
    libraries = r.call("r_information").value["libraries"]
    real = Path(find_r_home())
    home, marker = tmp_path / "R", tmp_path / "started"
    (home / "bin").mkdir(parents=True)
    for entry in real.iterdir():
        if entry.name != "bin":
            (home / entry.name).symlink_to(entry)
    for entry in (real / "bin").iterdir():
        if entry.name not in ("R", "Rscript"):
            (home / "bin" / entry.name).symlink_to(entry)
    for name in ("R", "Rscript"):
        (home / "bin" / name).write_text(f'#!/bin/sh\necho {name} "$@" >> "{marker}"\nexec "{real}/bin/{name}" "$@"\n')
        (home / "bin" / name).chmod(0o755)
    monkeypatch.setenv("R_HOME", str(home))
    subprocess.run([home / "bin" / "Rscript", "-e", "0"], capture_output=True, check=True)
    assert marker.read_text() == "Rscript -e 0\n"  # who starts one is seen
    marker.unlink()
    with Session(sandbox=False) as session:
        information = session.call("r_information").value
    assert information["libraries"] == libraries
    # R's start script is asked for its variables, but starts none
    assert marker.read_text().splitlines() == ["R CMD env -0"]


def test_the_heap_begins_large_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setenv("R_NSIZE", "400000")
    monkeypatch.delenv("R_VSIZE", raising=False)
    environment = worker_environment(find_r_home())
    assert (environment["R_NSIZE"], environment["R_VSIZE"]) == ("400000", "64M")
