"""The rule for tests that need R.

`make test` sets ``MLMPARITY_REQUIRE_R=1``: there a missing R is an error. A bare ``pytest`` on a machine without R
skips those tests and says so. A test that needs more of R than the project does says so with
``@pytest.mark.r_packages("emmeans")``; where R is required, it fails without the package unless apt does not have it.
"""

import os
import shutil
import signal
import subprocess
from functools import cache

import pytest

from r_scripts.dialect import PACKAGES, Dialect

REQUIRE_R = os.environ.get("MLMPARITY_REQUIRE_R", "") not in ("", "0")


@cache
def _r_versions() -> dict[str, str]:
    """Versions of R and of every package that it has."""
    script = """
    cat("R", as.character(getRversion()), "\n")
    found <- installed.packages()[, "Version"]
    cat(sprintf("%s %s\n", names(found), found), sep = "")
    """
    out = subprocess.run(["Rscript", "--vanilla", "-"], input=script, capture_output=True, text=True, check=True)
    return dict(reversed([line.split() for line in out.stdout.splitlines()]))  # the first library that has it counts


@pytest.fixture(scope="session")
def r_versions() -> dict[str, str]:
    """Versions of R (named ``R``) and of its packages at hand."""
    return _r_versions()


@pytest.fixture(scope="session")
def live_dialect(r_versions: dict[str, str]) -> Dialect:
    """The dialect of the R at hand: what is compared with live R speaks it."""
    return Dialect.of({name: r_versions[name] for name in PACKAGES if name in r_versions})


def _apt_has(package: str) -> bool:
    """Whether the system's packages include this one of R."""
    if not shutil.which("apt-cache"):
        return False
    asked = ["apt-cache", "policy", f"r-cran-{package.lower()}"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False, env=os.environ | {"LC_ALL": "C"})
    return any(line.split()[:1] == ["Candidate:"] and "(none)" not in line for line in told.stdout.splitlines())


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("r_packages"):
        for package in (name for name in mark.args if name not in _r_versions()):
            if REQUIRE_R and _apt_has(package):
                pytest.fail(f"R's package {package} is missing, which this system has: sh setup.sh dev", pytrace=False)
            pytest.skip(f"R has no package {package} here, nor has apt")


def _r_is_there() -> bool:
    return shutil.which("R") is not None or bool(os.environ.get("R_HOME"))


def _refuse_stale_modules() -> None:
    """Compiled modules are those of the sources that are there: else what is tested is not what is read."""
    try:
        from pyimpl.extensions import problems

        found = problems()
    except ImportError as error:
        found = [str(error)]
    if found:
        raise pytest.UsageError("\n".join(found))


def pytest_sessionstart(session: pytest.Session) -> None:
    # A shell starts background jobs with SIGINT ignored, and Python keeps that: the tests of Ctrl-C need it back.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # the workers of pytest-xdist start after this, and use what is left
    if not hasattr(session.config, "workerinput"):
        _refuse_stale_modules()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # A worker takes a file at a time, in this order: the few long ones first, so that none runs on alone at the end.
    items.sort(key=lambda item: item.path.parent.name not in ("whole", "validation"))
    needing_r = [item for item in items if item.get_closest_marker("r")]
    if not needing_r or _r_is_there():
        return
    if REQUIRE_R:
        raise pytest.UsageError(
            f"{len(needing_r)} tests need live R, and MLMPARITY_REQUIRE_R is set, but there is no R on PATH or in "
            "R_HOME; `sh r_scripts/install_r.sh` installs it"
        )
    for item in needing_r:
        item.add_marker(pytest.mark.skip(reason="no R on this machine"))
