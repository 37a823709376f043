"""Write down what ran on what: ``python tests/run_record.py NAME COMMAND=EXIT:SECONDS ...`` prints a record as JSON.

Where ``make test`` was among the commands, its counts and the names of what failed are read from ``test-debian.xml``
in the current folder. ``python docs/generate.py --record FILE`` puts a record into docs/compatibility.md.
"""

import datetime
import importlib.metadata
import json
import platform
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Python packages whose versions decide results.
PACKAGES = ("numpy", "scipy", "pandas", "pymc", "arviz-stats", "nutpie", "xarray", "rpy2-rinterface")
#: R packages likewise.
R_PACKAGES = ("lme4", "rstanarm", "rstan", "loo", "Matrix", "lmerTest", "pbkrtest")
JUNIT = Path("test-debian.xml")


def run_of(told: str) -> dict[str, int]:
    """Exit code and seconds of a command, told as ``EXIT:SECONDS``."""
    code, _, seconds = told.partition(":")
    return {"exit": int(code), "seconds": int(seconds)}


def counts_of(junit: Path) -> dict[str, int]:
    """Counts of a test run from its JUnit XML."""
    suites = list(ET.parse(junit).getroot().iter("testsuite"))
    total = {key: sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors", "skipped")}
    failed = total["failures"] + total["errors"]
    return {"passed": total["tests"] - failed - total["skipped"], "failed": failed, "skipped": total["skipped"]}


def failures_of(junit: Path) -> list[str]:
    """Names of the tests that failed, as ``file.py::test``."""
    names = []
    for case in ET.parse(junit).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            module = [part for part in case.get("classname", "").split(".") if not part[:1].isupper()]
            names.append(f"{'/'.join(module)}.py::{case.get('name', '')}")
    return sorted(names)


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def system() -> str:
    """Name and release of the system."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.platform())
    except OSError:
        return platform.platform()


def python_versions() -> dict[str, str]:
    """Versions of the Python packages that are there."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def r_versions() -> dict[str, str]:
    """Versions of R and its packages; empty where there is no R."""
    code = (
        "cat('R', as.character(getRversion()), '\\n'); for (p in commandArgs(TRUE)) "
        "if (nzchar(system.file(package = p))) cat(p, packageDescription(p)$Version, '\\n')"
    )
    try:
        done = subprocess.run(
            ["Rscript", "-e", code, *R_PACKAGES], capture_output=True, text=True, timeout=120, check=False
        )
    except OSError:
        return {}
    return dict(line.split()[:2] for line in done.stdout.splitlines() if len(line.split()) == 2)


def commit() -> str:
    """The commit that ran, shortened; empty outside a clone."""
    done = subprocess.run(["git", "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def record(name: str, told: Sequence[str]) -> dict[str, Any]:
    """The record of a run."""
    runs: dict[str, dict[str, Any]] = {}
    for command, _, rest in (word.partition("=") for word in told):
        runs[command] = run_of(rest)
    if "test" in runs and JUNIT.exists():
        runs["test"].update(counts_of(JUNIT))
        runs["test"]["failures"] = failures_of(JUNIT)
    return {
        "name": name,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "system": system(),
        "machine": platform.machine(),
        "processor": processor(),
        "python": platform.python_version(),
        "python packages": python_versions(),
        "R": r_versions(),
        "runs": runs,
    }


if __name__ == "__main__":
    print(json.dumps(record(sys.argv[1], sys.argv[2:]), indent=1))
