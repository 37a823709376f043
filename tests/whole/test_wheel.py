"""The wheel, built and tried in an empty environment, away from the source tree."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED_SUFFIXES = {".py", ".R", ".sh", ".json", ".csv", ".typed", ".css", ".js", ".j2", ".html", ".npz", ".pxd"}


def _run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _uv() -> Path:
    uv = Path(sys.prefix) / "bin" / "uv"
    assert uv.exists(), "set-up installs uv into the environment; without it run `pip install uv` there"
    return uv


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run(_uv(), "build", "--wheel", "--quiet", "--python", sys.executable, "--out-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    _run(_uv(), "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    constraints = ROOT / "constraints" / "base.txt"
    python = folder / "venv" / "bin" / "python"
    _run(_uv(), "pip", "install", "--quiet", "--python", python, "--constraint", constraints, wheel, cwd=folder)
    return folder


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "bridge", "pyimpl", "validation", "r_scripts"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert len(tracked) > 20
    assert [name for name in tracked if name not in inside] == []
    assert {Path(name).suffix for name in tracked if not name.endswith("md")} <= SHIPPED_SUFFIXES
    assert any(name.startswith("r_scripts/") and name.endswith(".R") for name in inside)
    assert any(name.startswith("validation/references/") and name.endswith(".json") for name in inside)


def test_the_compiled_modules_are_inside_and_the_wheel_says_its_platform(wheel: Path) -> None:
    assert not wheel.stem.endswith("none-any")
    inside = zipfile.ZipFile(wheel)
    (record,) = [name for name in inside.namelist() if name.startswith("pyimpl/compiled.") and name.endswith(".json")]
    files = [file for entry in json.loads(inside.read(record)).values() for file in entry["files"]]
    assert len(files) > 3
    assert sorted(files) == sorted(name for name in inside.namelist() if name.endswith((".so", ".pyd")))


@pytest.mark.slow  # 48 s; the wheel's files and its first fit are looked at in the quick suite
def test_the_command_runs_against_recorded_references(environment: Path) -> None:
    command = environment / "venv" / "bin" / "mlmparity"
    assert "0." in _run(command, "--version", cwd=environment)
    printed = _run(command, "validate", "M1", "--no-bayes", "--against", "recorded", cwd=environment)
    assert "recorded" in printed
    page = environment / "mlmparity-report" / "report.html"
    assert page.stat().st_size > 10_000


def test_pyimpl_needs_neither_r_nor_rpy2(environment: Path) -> None:
    program = (
        "import sys, numpy as np, pandas as pd\n"
        "from pyimpl import lmer\n"
        "rng = np.random.default_rng(1)\n"
        "g = np.repeat(np.arange(20), 10)\n"
        "data = pd.DataFrame({'y': rng.normal(size=200) + rng.normal(size=20)[g], "
        "'g': pd.Categorical(g.astype(str))})\n"
        "print(lmer('y ~ 1 + (1 | g)', data).fixef())\n"
        "loaded = {'numba', 'llvmlite', 'rpy2', "
        "'pymc', 'arviz', 'matplotlib', 'bridge', 'validation'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    assert "(Intercept)" in _run(environment / "venv" / "bin" / "python", "-c", program, cwd=environment)
