"""Where R is: ``R_HOME``, then ``R`` on the PATH, then the usual places."""

import os
import subprocess
import sys
from pathlib import Path

from bridge.errors import RNotFoundError
from r_scripts.programs import find_program, named_places, search_path

__all__ = ["UNREAD", "find_r_home", "install_hint", "safe_path", "worker_environment"]

_USUAL_PLACES = (
    "/usr/lib/R",
    "/usr/lib64/R",
    "/usr/local/lib/R",
    "/usr/local/lib64/R",
    "/opt/R/current/lib/R",
    "/Library/Frameworks/R.framework/Resources",
    "/opt/homebrew/lib/R",
)

#: What R's heap begins with: what lme4 and its packages fill. From R's own beginnings it grows there by collecting
#: garbage again and again: .3 of the 1.3 s of processor time that loading lme4 takes, for no less memory in the end.
_HEAP = {"R_NSIZE": "3000000", "R_VSIZE": "64M"}

#: What R's process does not get: files that R would run as it starts (``R CMD check`` sets ``R_TESTS``, relative to its
#: own folder), fewer packages than ours needs, and what leads Rscript or R's start script to another R than this one.
UNREAD = ("R_PROFILE", "R_PROFILE_USER", "R_TESTS", "R_DEFAULT_PACKAGES", "R_ARCH", "RHOME")


def _looks_like_r(home: Path) -> bool:
    return (home / "bin" / "R").is_file() or (home / "bin" / "R.exe").is_file()


def install_hint() -> str:
    """Return the command that installs R with the packages on this platform."""
    if sys.platform == "darwin":
        return 'brew install r && Rscript -e \'install.packages(c("lme4", "rstanarm", "mlmRev"))\''
    if "CONDA_PREFIX" in os.environ:
        return "conda install -c conda-forge r-base r-lme4 r-rstanarm r-mlmrev"
    if find_program("apt-get"):
        sudo = "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "sudo "
        return f"{sudo}apt-get install -y r-base-dev r-cran-lme4 r-cran-rstanarm r-cran-mlmrev"
    return "install R (https://www.r-project.org), then in R: install.packages(c('lme4', 'rstanarm', 'mlmRev'))"


def find_r_home() -> str:
    """Return R's home directory.

    Raises
    ------
    RNotFoundError
        Where ``R_HOME`` is set but holds no R, or no R is found at all.
    """
    configured = os.environ.get("R_HOME")
    if configured:
        if _looks_like_r(Path(configured)):
            return os.path.abspath(configured)
        raise RNotFoundError(
            f"R_HOME is set to {configured!r}, but there is no bin/R in it. Unset R_HOME to let R be found on the "
            "PATH, or set it to what the command `R RHOME` prints."
        )
    executable = find_program("R")
    if executable:
        try:
            found = subprocess.run(
                [executable, "RHOME"],
                capture_output=True,
                text=True,
                timeout=30,
                stdin=subprocess.DEVNULL,
                check=False,
                env={**os.environ, "PATH": search_path()},
            )
            lines = [line.strip() for line in found.stdout.splitlines() if line.strip()]
            if lines and _looks_like_r(Path(lines[-1])):
                return lines[-1]
        except (OSError, subprocess.TimeoutExpired):
            pass  # a broken R on the PATH: look in the usual places
    for place in _USUAL_PLACES:
        if _looks_like_r(Path(place)):
            return place
    raise RNotFoundError(
        "R was not found: R_HOME is not set, there is no working R on the PATH, nor in the usual places. "
        f"Run: {install_hint()}"
    )


def worker_environment(r_home: str, threads: int = 1) -> dict[str, str]:
    """Return the environment of the R process.

    The locale is fixed, whatever the user's: UTF-8 characters, strings sorted by code point (so
    ``factor(c("b", "A"))`` has the levels ``A``, ``b`` on every machine), English messages; the time zone is UTC.
    BLAS and OpenMP get ``threads`` threads.

    Parameters
    ----------
    r_home : str
    threads : int
    """
    env = dict(os.environ)
    for name in [name for name in env if name.startswith("LC_")] + ["LANG", "LANGUAGE"]:
        env.pop(name, None)
    utf8 = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
    env.update(LANG=utf8, LC_CTYPE=utf8, LC_MESSAGES=utf8, LC_COLLATE="C", LC_NUMERIC="C", LANGUAGE="en", TZ="UTC")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"):
        env[name] = str(threads)
    env["R_HOME"] = r_home
    env["PATH"] = search_path()  # R and its scripts start programs
    library = "DYLD_FALLBACK_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
    env[library] = os.pathsep.join(filter(None, [str(Path(r_home) / "lib"), env.get(library)]))
    # rpy2 asks nothing at the console and R must not start its own helpers.
    env["PYTHONIOENCODING"] = "utf-8"
    for name, size in _HEAP.items():
        env.setdefault(name, size)
    for name in UNREAD:
        env.pop(name, None)
    # R would read .Renviron of the current folder; a library that is named relative to it is meant.
    env.setdefault("R_ENVIRON_USER", os.path.expanduser("~/.Renviron"))
    for name in ("R_LIBS", "R_LIBS_USER", "R_LIBS_SITE"):
        if env.get(name):
            env[name] = os.pathsep.join(
                place if place.startswith(("%", "~")) else os.path.abspath(place)
                for place in env[name].split(os.pathsep)
                if place
            )
    return env


def safe_path() -> list[str]:
    """Return the places from which a process of ours imports: this process's, without the current folder.

    Python puts the current folder, or that of the script, first on its path; a ``json.py`` that happens to lie there
    would run in every process that we start. Where ``PYTHONPATH`` names the folder outright it is meant, and stays.
    Our own packages come last where nothing else has them (a checkout that is not installed).

    Returns
    -------
    list of str
        Absolute paths.
    """
    here = os.path.realpath(os.getcwd())
    named = {os.path.realpath(place) for place in named_places()}
    path = []
    for place in sys.path:
        real = os.path.realpath(place)
        if place and (real != here or real in named):
            path.append(os.path.abspath(place))
    ours = str(Path(__file__).resolve().parent.parent)
    return path if ours in path else [*path, ours]
