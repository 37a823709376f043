"""Live R for the tests of pyimpl: one Rscript process for a whole batch (pyimpl itself knows no R)."""

import subprocess
from collections.abc import Callable

import pytest


def _run(script: str, timeout: float = 240.0) -> str:
    done = subprocess.run(
        ["Rscript", "--vanilla", "-"], input=script, capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode:
        raise RuntimeError(f"Rscript failed:\n{done.stderr[-4000:]}")
    return done.stdout


@pytest.fixture(scope="session")
def rscript() -> Callable[..., str]:
    """Run an R script in a fresh process and return what it printed; an R error is an error here."""
    return _run
