"""``setup.sh`` refuses what it would otherwise harm or misread."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _setup(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        ["sh", str(ROOT / "setup.sh"), *arguments], capture_output=True, text=True, env=environment, timeout=60
    )


def test_an_unknown_argument_is_refused_with_the_usage() -> None:
    done = _setup("--help")
    assert done.returncode == 2
    assert "Usage: sh setup.sh [dev]" in done.stderr


def test_a_folder_that_is_no_environment_is_not_removed(tmp_path: Path) -> None:
    kept = tmp_path / "thesis.txt"
    kept.write_text("years of work")
    done = _setup(VENV=str(tmp_path))
    assert done.returncode == 2, done
    assert "is no virtual environment" in done.stderr
    assert kept.read_text() == "years of work"
