"""What of R is there, what is missing or does not fit, and the command that mends it.

Works without R and without rpy2, and imports neither: rpy2 is asked in a process of its own.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge import sandbox
from bridge.errors import RNotFoundError
from bridge.rhome import find_r_home, install_hint, worker_environment
from r_scripts.dialect import PACKAGES, STACKS, Dialect, at_least, changes_between
from r_scripts.installing import install_command
from r_scripts.programs import find_program, new_scratch_folder

__all__ = ["MINIMUM_VERSIONS", "Diagnosis", "Finding", "examine", "rpy2_command"]

#: Oldest R and R packages that the bridge is written for; ``r_scripts/packages.R`` has the same list.
MINIMUM_VERSIONS = {
    "R": "4.1.0",
    "lme4": "1.1-27",
    "mlmRev": "1.0-7",
    "rstanarm": "2.21.1",
    "rstan": "2.21.1",
}

#: Packages that a few verbs use; their absence is said, and is no fault.
_OPTIONAL = ("lmerTest", "pbkrtest")

#: Comes with rstanarm; asked for its version, which decides what loo() prints.
_BESIDES = ("loo",)

#: What R answers in place of a version where a folder has a package's name and is none.
_BROKEN = "!"

#: rpy2-rinterface from this release on uses R_getVar(), which R has since 4.5.
_RPY2_NEEDS_R45 = (3, 6, 6)


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes
    ----------
    name : str
        ``"R"``, ``"R shared library"``, ``"lme4"``, ``"rpy2"``, ...
    status : str
        ``"ok"``, ``"warning"`` or ``"error"``.
    detail : str
        What was found.
    fix : str
        The command that mends it; empty where nothing is wrong.
    """

    name: str
    status: str
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All findings.

    Attributes
    ----------
    findings : tuple of Finding
    versions : mapping of str to str
        Versions of R, lme4, rstanarm, loo and lmerTest that were found; those that are missing are not in it.
    """

    findings: tuple[Finding, ...] = field(default_factory=tuple)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether live R can be used (warnings do not stop it)."""
        return all(finding.status != "error" for finding in self.findings)

    def __getitem__(self, name: str) -> Finding:
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)

    def __str__(self) -> str:
        marks = {"ok": "ok     ", "warning": "warning", "error": "ERROR  "}
        width = max((len(finding.name) for finding in self.findings), default=0)
        lines = []
        for finding in self.findings:
            lines.append(f"{marks[finding.status]}  {finding.name:<{width}}  {finding.detail}")
            if finding.fix:
                lines.append(f"{'':9}{'':{width}}  fix: {finding.fix}")
        lines += tested_lines(self.versions)
        lines.append("R can be used." if self.ok else "R cannot be used yet: see the lines marked ERROR.")
        return "\n".join(lines)


def tested_lines(versions: Mapping[str, str]) -> list[str]:
    """Say which versions mlmparity was tested with, and what is known to differ in those at hand.

    Parameters
    ----------
    versions : mapping of str to str
        Versions that are there, of `r_scripts.dialect.PACKAGES`; none where R is not there.

    Returns
    -------
    list of str
        Lines for people. A difference is told from the newest versions that were tested: pyimpl prints as those do
        unless its ``dialect`` says otherwise.
    """
    lines = ["Tested with:"]
    for stack, tested in STACKS.items():
        named = ", ".join(f"{package} {tested[package]}" for package in PACKAGES)
        here = versions and all(tested[package] == version for package, version in versions.items())
        lines.append(f"  {stack}: {named}{'  <- these are here' if here else ''}")
    if not versions:
        return lines
    untested = {
        package: version
        for package, version in versions.items()
        if all(tested[package] != version for tested in STACKS.values())
    }
    newest = Dialect.of(None)
    for package, version in untested.items():
        if at_least(version, newest.versions[package]):
            lines.append(f"{package} {version} is newer than any tested: what it changed is not known here.")
        else:
            lines.append(f"{package} {version} is none of these; what is known of the releases before it holds.")
    changes = changes_between(Dialect.of(versions), newest).values()
    for package in PACKAGES:
        rows = sorted((row for row in changes if row.package == package), key=lambda row: _numbers(row.since))
        if rows:
            lines.append(f"{package} {versions[package]} is here; later releases changed (see dialect= in pyimpl):")
            lines.extend(f"  {row.since}: {row.what}" for row in rows)
    return lines


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _run(command: Sequence[str], env: dict[str, str] | None = None, timeout: float = 60.0) -> tuple[int, str, str]:
    folder = None
    try:
        folder = new_scratch_folder("bridge-doctor-")
        done = subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**(os.environ if env is None else env), "TMPDIR": folder},
            stdin=subprocess.DEVNULL,
            check=False,
            errors="replace",
            cwd=os.path.abspath(os.sep),  # no .Rprofile or .Renviron of the current folder
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, "", str(error)
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
    return done.returncode, done.stdout, done.stderr


def _pip(*requirements: str) -> str:
    return install_command(*requirements, python=sys.executable)


def rpy2_command(r_version: str | None) -> str:
    """Return the command that installs the rpy2 which fits an R version.

    Parameters
    ----------
    r_version : str or None
        None where R is not known.
    """
    if r_version is not None and _numbers(r_version) >= (4, 5):
        return _pip("rpy2-rinterface>=3.6.6", "rpy2-robjects>=3.6.4")
    return _pip("rpy2-rinterface==3.6.5", "rpy2-robjects==3.6.4")


def _package_fix(packages: Sequence[str]) -> str:
    if sys.platform.startswith("linux") and find_program("apt-get") and "CONDA_PREFIX" not in os.environ:
        sudo = "" if hasattr(os, "geteuid") and os.geteuid() == 0 else "sudo "
        return f"{sudo}apt-get install -y " + " ".join(f"r-cran-{package.lower()}" for package in packages)
    if "CONDA_PREFIX" in os.environ:
        return "conda install -c conda-forge " + " ".join(f"r-{package.lower()}" for package in packages)
    names = ", ".join(f'"{package}"' for package in packages)
    return f"Rscript -e 'chooseCRANmirror(ind = 1); install.packages(c({names}))'"


def _examine_r(findings: list[Finding]) -> tuple[str | None, str | None]:
    """Return R's home and version."""
    try:
        home = find_r_home()
    except RNotFoundError as error:
        configured = os.environ.get("R_HOME")
        fix = "unset R_HOME" if configured else install_hint()
        findings.append(Finding("R", "error", str(error).split(" Run: ")[0], fix))
        return None, None
    rscript = str(Path(home) / "bin" / "Rscript")
    if not os.path.exists(rscript):
        rscript = find_program("Rscript") or rscript
    status, out, err = _run([rscript, "--vanilla", "-e", "cat(as.character(getRversion()))"], _r_environment(home))
    version = out.strip().splitlines()[-1] if status == 0 and out.strip() else None
    if version is None:
        findings.append(Finding("R", "error", f"R at {home} does not run: {err.strip()[-300:]}", install_hint()))
        return home, None
    if _numbers(version) < _numbers(MINIMUM_VERSIONS["R"]):
        findings.append(
            Finding("R", "error", f"R {version} at {home} is older than {MINIMUM_VERSIONS['R']}", install_hint())
        )
    else:
        findings.append(Finding("R", "ok", f"R {version} at {home}"))
    return home, version


def _r_environment(home: str) -> dict[str, str]:
    return worker_environment(home)


def _examine_library(home: str, findings: list[Finding]) -> None:
    names = ("libR.so", "libR.dylib", "R.dll")
    places = [Path(home) / "lib", Path(home) / "bin" / "x64"]
    if home.startswith("/usr/"):
        places += [Path("/usr/lib"), Path("/usr/lib64")]
    for place in places:
        for name in names:
            if (place / name).exists():
                findings.append(Finding("R shared library", "ok", str(place / name)))
                return
    fix = install_hint() if find_program("apt-get") else "build R with ./configure --enable-R-shlib"
    findings.append(Finding("R shared library", "error", f"no libR in {home}/lib; rpy2 embeds R through it", fix))


def _examine_packages(home: str, findings: list[Finding]) -> dict[str, str]:
    """Return the versions of the packages that are there."""
    wanted = [name for name in MINIMUM_VERSIONS if name != "R"] + list(_OPTIONAL)
    code = (
        "for (p in commandArgs(TRUE)) {"
        " f <- system.file(package = p);"
        # a folder of that name, which R's library() calls no valid installed package
        f" v <- if (!nzchar(f)) '-' else if (!file.exists(file.path(f, 'Meta', 'package.rds'))) '{_BROKEN}'"
        " else packageDescription(p)$Version;"
        " cat('@', p, v, dirname(f), '\\n') }"
    )
    rscript = str(Path(home) / "bin" / "Rscript")
    status, out, err = _run([rscript, "--no-save", "-e", code, *wanted, *_BESIDES], _r_environment(home))
    found: dict[str, tuple[str, str]] = {}
    for line in out.splitlines():
        parts = line.split(maxsplit=3)
        if len(parts) >= 3 and parts[0] == "@":
            found[parts[1]] = (parts[2], parts[3].strip() if len(parts) > 3 else "")
    if status != 0 and not found:
        findings.append(Finding("R packages", "error", f"R could not list its packages: {err.strip()[-300:]}"))
        return {}
    for name in wanted:
        version, place = found.get(name, ("-", ""))
        needed = MINIMUM_VERSIONS.get(name)
        if version == "-":
            status_word = "warning" if name in _OPTIONAL else "error"
            detail = "not installed" + (
                " (only a few verbs use it)" if name in _OPTIONAL else f"; {needed} or later is needed"
            )
            findings.append(Finding(name, status_word, detail, _package_fix([name])))
        elif version == _BROKEN:
            status_word = "warning" if name in _OPTIONAL else "error"
            detail = f"the folder {name} in {place} is no installed package, and R finds it first: remove it"
            findings.append(Finding(name, status_word, detail, _package_fix([name])))
        elif needed is not None and _numbers(version) < _numbers(needed):
            findings.append(Finding(name, "error", f"{version} is older than {needed}", _package_fix([name])))
        else:
            findings.append(Finding(name, "ok", f"{version} in {place}"))
    return {name: version for name, (version, _) in found.items() if version not in ("-", _BROKEN)}


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _examine_rpy2(home: str | None, r_version: str | None, findings: list[Finding]) -> None:
    version = _installed("rpy2-rinterface")
    fix = rpy2_command(r_version)
    if version is None:
        older = _installed("rpy2")
        detail = f"not installed for {sys.executable}"
        if older is not None:
            detail = f"rpy2 {older} is there without rpy2-rinterface"
        findings.append(Finding("rpy2", "error", detail, fix))
        return
    robjects = _installed("rpy2-robjects")
    named = f"rpy2-rinterface {version}" + (f", rpy2-robjects {robjects}" if robjects else "")
    if r_version is not None and _numbers(version) >= _RPY2_NEEDS_R45 and _numbers(r_version) < (4, 5):
        findings.append(
            Finding(
                "rpy2",
                "error",
                f"{named} needs R 4.5 or later (it calls R_getVar), and this is R {r_version}",
                fix,
            )
        )
        return
    if home is None:
        findings.append(Finding("rpy2", "warning", f"{named}; cannot be tried without R"))
        return
    code = "import rpy2.rinterface as r; r.initr(interactive=False); print('@', r.evalr('R.version$major')[0])"
    # -P: an rpy2.py of the current folder is not the rpy2 that is installed
    status, out, err = _run([sys.executable, "-P", "-c", code], _r_environment(home))
    if status == 0 and "@" in out:
        findings.append(Finding("rpy2", "ok", f"{named}, starts R"))
    else:
        last = (err.strip().splitlines() or ["no message"])[-1][:300]
        findings.append(Finding("rpy2", "error", f"{named} cannot start R: {last}", fix + " --force-reinstall"))


def _examine_compilers(findings: list[Finding]) -> None:
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := find_program(name))), None)
    if compiler:
        findings.append(Finding("C compiler", "ok", compiler))
    else:
        fix = "xcode-select --install" if sys.platform == "darwin" else "apt-get install -y build-essential r-base-dev"
        detail = "none found; rpy2 and pyimpl's kernels are built with one"
        findings.append(Finding("C compiler", "warning", detail, fix))
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if header.exists():
        findings.append(Finding("Python.h", "ok", str(header)))
    else:
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        fix = f"apt-get install -y {python}-dev" if find_program("apt-get") else f"install the headers of {python}"
        detail = f"not in {header.parent}; rpy2 and pyimpl's kernels are built with it"
        findings.append(Finding("Python.h", "warning", detail, fix))


def _examine_sandbox(findings: list[Finding]) -> None:
    if not sandbox.wanted():
        findings.append(
            Finding("sandbox", "warning", "switched off by MLMPARITY_SANDBOX", "unset the variable to switch it on")
        )
        return
    held = sandbox.status()
    findings.append(Finding("sandbox", "ok" if held.holds else "warning", str(held)))


def examine() -> Diagnosis:
    """Look at R, its shared library and packages, rpy2, and what those are built with.

    Returns
    -------
    Diagnosis
        Prints as a table; ``.ok`` tells whether live R can be used.
    """
    findings: list[Finding] = []
    versions: dict[str, str] = {}
    home, version = _examine_r(findings)
    if home is not None and version is not None:
        _examine_library(home, findings)
        packages = _examine_packages(home, findings)
        versions = {name: found for name, found in {"R": version, **packages}.items() if name in PACKAGES}
    _examine_rpy2(home if version is not None else None, version, findings)
    _examine_compilers(findings)
    _examine_sandbox(findings)
    return Diagnosis(tuple(findings), versions)
