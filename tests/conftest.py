"""The rule for tests that need R.

`make test` sets ``MLMPARITY_REQUIRE_R=1``: there a missing R is an error. A bare ``pytest`` on a machine without R
skips those tests and says so.
"""

import os
import shutil
import signal
import subprocess

import pytest

from r_scripts.dialect import PACKAGES, Dialect

# here and in processes that tests start: kernels say if Python gives them what machine code does not take
os.environ.setdefault("MLMPARITY_STRICT_KERNELS", "1")

REQUIRE_R = os.environ.get("MLMPARITY_REQUIRE_R", "") not in ("", "0")


@pytest.fixture(scope="session")
def live_dialect() -> Dialect:
    """The dialect of the R at hand: what is compared with live R speaks it."""
    asked = ", ".join(f'"{name}"' for name in PACKAGES if name != "R")
    script = f"""
    cat("R", as.character(getRversion()), "\n")
    for (p in c({asked})) if (requireNamespace(p, quietly = TRUE)) cat(p, packageDescription(p)$Version, "\n")
    """
    out = subprocess.run(["Rscript", "--vanilla", "-"], input=script, capture_output=True, text=True, check=True)
    return Dialect.of(dict(line.split() for line in out.stdout.splitlines()))


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
        from pyimpl.precompile import drop_stale_kernels

        drop_stale_kernels()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
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
