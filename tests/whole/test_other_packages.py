"""Fits in marginaleffects, maketables and python-docx, which need other releases of packages than the tests have.

They are installed into a folder of their own, which stands before the environment's packages; there the tests that are
skipped without them run, and none may be skipped.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = "tests/pyimpl/test_tables_and_effects.py"
WANTED = "marginaleffects or maketables or word"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fits_work_in_packages_that_are_not_here(tmp_path: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    packages = [*extras["marginaleffects"], *extras["word"], "maketables>=0.1"]
    uv = Path(sys.prefix) / "bin" / "uv"
    install = [str(uv), "pip", "install"] if uv.exists() else [sys.executable, "-m", "pip", "install"]
    if not uv.exists() and shutil.which("uv"):
        install = ["uv", "pip", "install", "--python", sys.executable]
    done = subprocess.run(
        [*install, "--quiet", "--target", tmp_path / "packages", *packages],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in ("numpy", "scipy", "pandas"):  # the environment's own: the compiled modules were built with them
        for path in (tmp_path / "packages").glob(f"{name}*"):
            shutil.rmtree(path)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", TESTS, "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-k", WANTED],
        cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path / "packages"), str(ROOT)])},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:]
    passed = re.search(r"(\d+) passed", ran.stdout)
    assert passed is not None
    assert int(passed[1]) >= 3, ran.stdout
    assert "skipped" not in ran.stdout, ran.stdout
