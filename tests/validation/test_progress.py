import io
import time

import pytest
from rich.console import Console

from validation import progress
from validation.progress import chain_fraction, tracker


def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=100, _environ={"TERM": "xterm"})


def log():
    return Console(file=io.StringIO(), force_terminal=False, width=100)


def test_chain_fraction():
    assert chain_fraction({}) == 0.0
    assert chain_fraction({1: 1.0, 2: 0.5}) == pytest.approx(0.375)
    assert chain_fraction({1: 1.0}, expected=1) == 1.0
    assert chain_fraction(dict.fromkeys(range(1, 9), 1.0)) == 1.0


def test_a_log_has_few_lines():
    console = log()
    with tracker(2, console=console) as track:
        for title in ("first", "second"):
            track.start(title)
            for number in range(500):
                track(f"step {number}", number / 500)
            track.finish()
    assert console.file.getvalue().splitlines() == ["[1/2] first", "[2/2] second"]


def test_a_log_shows_life_in_long_silence(monkeypatch):
    monkeypatch.setattr(progress, "_HEARTBEAT", 0.05)
    console = log()
    with tracker(1, console=console) as track:
        track.start("long")
        track("Chain 3: Iteration:  1000 / 2000 [ 50%]  (Warmup)")
        track("Chain 3:")
        track("Chain 3: Gradient evaluation took 0.0003 seconds")
        time.sleep(0.3)
    text = console.file.getvalue()
    assert "sampling: chain 3, iteration 1000 of 2000 (12%)" in text


def test_a_terminal_shows_title_and_percent():
    console = terminal()
    with tracker(3, console=console) as track:
        track.start("M1 [bold]")
        track("tier 2", 0.5)
        time.sleep(0.3)
    text = console.file.getvalue()
    assert "[1/3] M1 [bold]" in text
    assert "50%" in text
    assert "tier 2" in text


def test_long_titles_leave_room_for_the_percentage():
    console = terminal()
    with tracker(1, console=console) as track:
        track.start("a title " * 20)
        track("what is being done " * 20, 0.25)
        time.sleep(0.3)
    assert "25%" in console.file.getvalue()


def test_quiet_says_nothing():
    console = terminal()
    with tracker(1, quiet=True, console=console) as track:
        track.start("x")
        track("y", 0.1)
        track.finish()
    assert console.file.getvalue() == ""


def test_the_thread_ends_with_an_error():
    threads = []

    def interrupted():
        with tracker(1, console=log()) as track:
            track.start("x")
            threads.append(track._thread)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not threads[0].is_alive()
