"""R killed at random, in threads, forks, asyncio, notebooks: no answer of another question, no leak, clear errors.

``MLMPARITY_LOSSES`` sets the number of rounds (500 in ``make test-slow``).
"""

import asyncio
import contextlib
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import BridgeError, HandleError, RCrashError
from bridge.session import Session

pytestmark = [pytest.mark.r]

ROUNDS = int(os.environ.get("MLMPARITY_LOSSES", "500"))


def ask(session: Session, number: int, counts: Counter, tries: int = 4) -> None:
    """Keep a value in R and ask for it: it comes back, or one clear error does."""
    held = None
    for attempt in range(tries):
        try:
            if held is None:
                mine = number * 1000 + attempt
                held = session.keep(session.call("keep_value", x=mine).value)
            answer = session.call("value_of", object=held).value
            counts["right" if answer == mine else "WRONG"] += 1
            if random.random() < 0.5:
                held = None
        except (RCrashError, HandleError) as error:
            counts[type(error).__name__ if len(str(error)) > 30 else "UNCLEAR"] += 1
            held = None
        except BridgeError as error:
            counts[f"UNEXPECTED {error!r}"] += 1


def kill_soon(session: Session, rng: random.Random) -> None:
    time.sleep(rng.uniform(0, 0.05))
    pid = session.pid
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def threads(session: Session, rng: random.Random, counts: Counter) -> None:
    working = [threading.Thread(target=ask, args=(session, k, counts)) for k in range(5)]
    working.append(threading.Thread(target=kill_soon, args=(session, rng)))
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()


def asynchronous(session: Session, rng: random.Random, counts: Counter) -> None:
    async def all_of_them() -> None:
        tasks = [asyncio.to_thread(ask, session, k, counts) for k in range(5)]
        await asyncio.gather(*tasks, asyncio.to_thread(kill_soon, session, rng))

    asyncio.run(all_of_them())


def in_child(session: Session, mine: int, held: object, seed: int) -> None:
    """In a forked process: the parent's object is out of reach, an R of its own answers, and may be killed."""
    counts: Counter = Counter()
    try:
        session.call("value_of", object=held)
        counts["WRONG"] += 1
    except HandleError:
        pass
    rng = random.Random(seed)
    if rng.random() < 0.5:
        threading.Thread(target=kill_soon, args=(session, rng)).start()
    ask(session, mine, counts)
    session.close()
    bad = [key for key in counts if key.isupper() or key.startswith("UNEXPECTED")]
    os._exit(1 if bad else 0)


def forks(session: Session, rng: random.Random, counts: Counter) -> None:
    # the R that was killed at the end of the round before may die in this very call
    with contextlib.suppress(RCrashError):
        session.call("echo", x=1)
    held = session.keep(session.call("keep_value", x=77).value)
    child = os.fork()
    if child == 0:
        try:
            in_child(session, 5, held, rng.randrange(10**6))
        finally:
            os._exit(2)
    assert session.call("value_of", object=held).value == 77
    threads(session, rng, counts)
    _, status = os.waitpid(child, 0)
    counts["child fine" if status == 0 else f"UNEXPECTED child {status}"] += 1


def spawned(number: int) -> None:
    counts: Counter = Counter()
    with Session() as session:
        ask(session, number, counts)
    sys.exit(0 if counts["right"] == 4 else 1)


def processes(session: Session, rng: random.Random, counts: Counter) -> None:
    other = multiprocessing.get_context("spawn").Process(target=spawned, args=(rng.randrange(100),))
    other.start()
    threads(session, rng, counts)
    other.join()
    counts["child fine" if other.exitcode == 0 else f"UNEXPECTED process {other.exitcode}"] += 1


class Kernel:
    """A Jupyter kernel with an R of its own: an event loop in the main thread, cells one after the other."""

    def __init__(self, folder: Path) -> None:
        client = pytest.importorskip("jupyter_client")
        pytest.importorskip("ipykernel")
        self.manager, self.client = client.manager.start_new_kernel(kernel_name="python3", cwd=str(folder))
        root = str(Path(__file__).resolve().parents[2])
        self.run(
            f"import os, signal, sys; sys.path.append({root!r}); from bridge.session import default; r = default()"
        )
        self.run("import random; from collections import Counter; from tests.bridge.test_losses import ask, kill_soon")
        self.run("import asyncio, threading, time")

    def run(self, code: str) -> str:
        """What a cell prints, or the name of its exception; what the kernel's own libraries grumble is not it."""
        said: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            content = message["content"]
            if content.get("name") != "stderr" or "bridge" in content["text"]:
                said.append(content.get("text", content.get("ename", "")))

        self.client.execute_interactive(code, timeout=120, output_hook=hear)
        return "".join(said)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


_CELLS = """
counts = Counter()
killer = threading.Thread(target=kill_soon, args=(r, random.Random({seed})))
killer.start()
"""
_ASKING = {
    "plain": "ask(r, {number}, counts)",
    "awaited": "await asyncio.gather(*[asyncio.to_thread(ask, r, k, counts) for k in range(3)])",
}


def in_kernel(kernel: Kernel, rng: random.Random, counts: Counter) -> None:
    """Cells of a notebook while its R is killed: what is kept in one cell is asked for in the next."""
    seed = rng.randrange(10**6)
    said = kernel.run(f"held = None; held = r.keep(r.call('keep_value', x={seed}).value)")
    said += kernel.run(_CELLS.format(seed=seed))
    said += kernel.run(_ASKING[rng.choice(list(_ASKING))].format(number=rng.randrange(100)))
    said += kernel.run("killer.join()")
    after = kernel.run("print(r.call('value_of', object=held).value)").strip()
    # R was killed at the end of the round before, perhaps, and was missed in the first cell: nothing is kept then
    lost = after in ("HandleError", "RCrashError") or (after == "TypeError" and said == "RCrashError")
    counts["right" if after == str(seed) else "lost in a notebook" if lost else f"WRONG {after!r} {said!r}"] += 1
    for key, count in eval(kernel.run("print(dict(counts))")).items():
        counts[key] += count
    if said not in ("", "RCrashError"):
        counts[f"UNEXPECTED {said}"] += 1


def alive(folder: str) -> list[int]:
    """Processes, zombies apart, that were started with R's folders under ``folder``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if folder.encode() in command:
                found.append(int(entry.name))
    return found


def play(rounds: int, folder: Path, seed: int = 1) -> Counter:
    rng = random.Random(seed)
    counts: Counter = Counter()
    kernel = Kernel(folder)

    def notebook(session: Session, rng: random.Random, counts: Counter) -> None:
        in_kernel(kernel, rng, counts)

    ways = [threads, notebook, threads, asynchronous, notebook, forks, threads, asynchronous, threads, processes]
    with contextlib.closing(kernel), Session() as session:
        session.call("echo", x=1)
        processes(session, rng, Counter())  # what Python opens once is open now
        session.call("echo", x=1)
        before = len(os.listdir("/proc/self/fd"))
        for number in range(rounds):
            ways[number % len(ways)](session, rng, counts)
        assert session.call("echo", x=5).value == [5]
        assert session.live_handles() <= 1
        assert len(os.listdir("/proc/self/fd")) <= before, "files were left open"
    deadline = time.monotonic() + 20
    while (alive(str(folder)) or list(folder.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not alive(str(folder)), "processes were left"
    assert not [entry.name for entry in folder.iterdir() if entry.name.startswith("bridge-r-")], "folders were left"
    return counts


def check(counts: Counter) -> None:
    bad = {key: count for key, count in counts.items() if key.split()[0].isupper() and key != "right"}
    assert not bad, counts
    assert counts["right"] > 0
    assert counts["RCrashError"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    "rounds", [12, pytest.param(ROUNDS, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])], ids=["few", "many"]
)
def test_no_answer_of_another_question(rounds, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    counts = play(rounds, tmp_path)
    with capsys.disabled():
        print(f"\n{rounds} rounds: {dict(counts)}")
    check(counts)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    with Session() as session, pytest.raises(BridgeError, match="set TMPDIR"):
        session.call("echo", x=1)


def test_ends_of_children_that_are_ignored():
    """As some supervisors leave it to what they start: R's process waits for children of its own."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with Session() as r:
            assert r.call("echo", x=1).value == 1
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_closed_while_it_starts():
    session = Session()
    told: list[BaseException] = []

    def start() -> None:
        try:
            session.call("echo", x=1)
        except BridgeError as error:
            told.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    time.sleep(0.2)
    session.close()
    thread.join()
    assert len(told) == 1
    assert session.pid is None


def test_in_a_kernel(tmp_path):
    with contextlib.closing(Kernel(tmp_path)) as kernel:
        kernel.run("a = r.keep(r.call('keep_value', x=7).value)")
        assert kernel.run("print(r.call('value_of', object=a).value)") == "7\n"
        kernel.run("os.kill(r.pid, signal.SIGKILL)")
        # a call that meets R as it dies says so; the next one has a fresh R
        made = [kernel.run("c = r.keep(r.call('keep_value', x=8).value)") for _ in range(2)]
        assert set(made) <= {"", "RCrashError"}
        assert made[1] == ""
        assert "HandleError" in kernel.run("r.call('value_of', object=a)")
        assert kernel.run("print(r.call('value_of', object=c).value)") == "8\n"
