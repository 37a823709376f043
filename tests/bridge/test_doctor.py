"""The doctor, on machines where something is missing."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bridge import doctor, rhome, session
from bridge.errors import RNotFoundError, Rpy2Error
from bridge.session import Session

INSTALLER = Path(__file__).parents[2] / "r_scripts" / "install_r.sh"


def make_program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def no_r(monkeypatch, tmp_path):
    monkeypatch.delenv("R_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(rhome, "_USUAL_PLACES", ())


@pytest.mark.r
def test_all_is_well_here():
    diagnosis = doctor.examine()
    assert diagnosis.ok, str(diagnosis)
    assert {"R", "R shared library", "lme4", "mlmRev", "rstanarm", "rstan", "rpy2"} <= {
        f.name for f in diagnosis.findings
    }
    assert all(finding.fix == "" for finding in diagnosis.findings if finding.status == "ok")
    assert str(diagnosis).endswith("R can be used.")


def test_no_r(no_r):
    diagnosis = doctor.examine()
    assert not diagnosis.ok
    assert diagnosis["R"].status == "error"
    assert "not found" in diagnosis["R"].detail
    assert diagnosis["R"].fix
    assert "fix: " in str(diagnosis)
    with Session() as r, pytest.raises(RNotFoundError, match="Run: "):
        r.call("echo", x=1)


def test_a_wrong_R_HOME_is_explained(monkeypatch, tmp_path):
    monkeypatch.setenv("R_HOME", str(tmp_path))
    diagnosis = doctor.examine()
    assert not diagnosis.ok
    assert str(tmp_path) in diagnosis["R"].detail
    assert diagnosis["R"].fix == "unset R_HOME"
    with Session() as r, pytest.raises(RNotFoundError, match="R_HOME is set to"):
        r.call("echo", x=1)


def fake_r(tmp_path: Path, version: str, packages: dict[str, str], shared: bool = True) -> Path:
    home = tmp_path / "R"
    (home / "lib").mkdir(parents=True)
    if shared:
        (home / "lib" / "libR.so").touch()
    make_program(home / "bin", "R", f"echo {home}\n")
    lines = "\n".join(f"echo '@ {name} {found} /library'" for name, found in packages.items())
    make_program(
        home / "bin", "Rscript", f'case "$*" in *getRversion*) printf {version};; *) {lines or "true"};; esac\n'
    )
    return home


def test_old_r_old_and_missing_packages_no_library(monkeypatch, tmp_path):
    packages = {"lme4": "1.1-20", "mlmRev": "1.0-8", "rstanarm": "-", "rstan": "2.21.7", "lmerTest": "-"}
    monkeypatch.setenv("R_HOME", str(fake_r(tmp_path, "3.5.1", packages, shared=False)))
    diagnosis = doctor.examine()
    assert not diagnosis.ok
    assert "3.5.1" in diagnosis["R"].detail
    assert "older than 4.1.0" in diagnosis["R"].detail
    assert diagnosis["R shared library"].status == "error"
    assert "1.1-20 is older than 1.1-27" in diagnosis["lme4"].detail
    assert "lme4" in diagnosis["lme4"].fix
    assert diagnosis["mlmRev"].status == "ok"
    assert diagnosis["rstanarm"].status == "error"
    assert "not installed" in diagnosis["rstanarm"].detail
    assert diagnosis["lmerTest"].status == "warning"
    for finding in diagnosis.findings:
        assert (finding.status == "ok") == (finding.fix == ""), finding


@pytest.mark.r
def test_a_folder_that_has_a_packages_name_and_is_none(monkeypatch, tmp_path):
    """R finds it first and can't load it; its DESCRIPTION says any version."""
    library = tmp_path / "with a space"
    (library / "lme4").mkdir(parents=True)
    (library / "lme4" / "DESCRIPTION").write_text("Package: lme4\nVersion: 9.9\n")
    monkeypatch.setenv("R_LIBS", str(library))
    diagnosis = doctor.examine()
    assert not diagnosis.ok
    assert "is no installed package" in diagnosis["lme4"].detail
    assert str(library) in diagnosis["lme4"].detail
    assert "lme4" not in diagnosis.versions


@pytest.mark.parametrize(
    ("r", "rpy2", "fits"), [("4.2.2", "3.6.6", False), ("4.5.0", "3.6.6", True), ("4.2.2", "3.6.5", True)]
)
def test_the_mismatch_of_rpy2_and_r(monkeypatch, tmp_path, r, rpy2, fits):
    monkeypatch.setenv("R_HOME", str(fake_r(tmp_path, r, {})))
    monkeypatch.setattr(doctor, "_installed", {"rpy2-rinterface": rpy2, "rpy2-robjects": "3.6.4"}.get)
    finding = doctor.examine()["rpy2"]
    assert ("R_getVar" in finding.detail) is not fits
    if not fits:
        assert finding.status == "error"
        assert "rpy2-rinterface==3.6.5" in finding.fix
        assert "rpy2-robjects==3.6.4" in finding.fix


def test_rpy2_missing(monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda name: None)
    finding = doctor.examine()["rpy2"]
    assert finding.status == "error"
    assert "install" in finding.fix
    assert sys.executable in finding.detail


def test_the_fix_follows_the_version_of_r():
    assert "rpy2-rinterface==3.6.5" in doctor.rpy2_command("4.4.3")
    assert "rpy2-rinterface>=3.6.6" in doctor.rpy2_command("4.5.1")
    assert "rpy2-rinterface==3.6.5" in doctor.rpy2_command(None)


def test_the_doctor_and_the_bridge_import_neither_rpy2_nor_other_heavy_things():
    code = (
        "import sys, bridge, bridge.doctor, bridge.errors\n"
        "assert not [m for m in sys.modules if m.split('.')[0] in ('rpy2', 'pandas', 'numpy', 'arviz', 'xarray')]\n"
        "from bridge import lme4, rstanarm, mlmRev, datasets, stats, session\n"
        "names = ('rpy2', 'arviz', 'xarray', 'pymc', 'matplotlib', 'scipy')\n"
        "heavy = [m for m in sys.modules if m.split('.')[0] in names]\n"
        "assert not heavy, heavy\n"
        "assert not session._sessions"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_rpy2_missing_in_the_worker_is_told(monkeypatch):
    broken = session._BOOTSTRAP.replace("from bridge.worker", "sys.modules['rpy2'] = None; from bridge.worker")
    monkeypatch.setattr(session, "_BOOTSTRAP", broken)
    with Session() as r, pytest.raises(Rpy2Error, match="rpy2"):
        r.call("echo", x=1)


def run_installer(path: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["/bin/sh", str(INSTALLER)], env={"PATH": path}, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.r
def test_installer_has_nothing_to_do_here():
    done = run_installer(os.environ["PATH"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("setup: R is there: R version")


def test_installer_says_what_to_install_where_there_is_no_apt(tmp_path):
    done = run_installer(str(tmp_path))
    assert done.returncode == 4
    assert "brew install r" in done.stdout
    assert "lme4" in done.stdout


def test_installer_uses_sudo_where_not_root_and_fails_with_4(tmp_path):
    for name in ("mktemp", "rm", "sleep", "grep", "tail", "cut", "env", "cat", "true", "sed", "tr"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    calls = tmp_path / "calls"
    make_program(tmp_path, "id", "echo 1000\n")
    make_program(tmp_path, "apt-get", f'echo "apt-get $*" >> {calls}\n')
    done = run_installer(str(tmp_path))
    assert done.returncode == 4
    assert "as root, run:" in done.stdout
    make_program(tmp_path, "sudo", f'echo sudo >> {calls}; shift; exec "$@"\n')
    done = run_installer(str(tmp_path))
    assert done.returncode == 4
    assert "installing R" in done.stdout
    assert calls.read_text().split("\n")[:2] == ["sudo", "sudo"]
    assert "r-base-dev r-recommended r-cran-lme4 r-cran-rstanarm r-cran-mlmrev" in calls.read_text()
    make_program(tmp_path, "apt-get", "echo no such package; exit 100\n")
    done = run_installer(str(tmp_path))
    assert done.returncode == 4
    assert "no such package" in done.stdout


def test_what_differs_in_the_versions_at_hand_is_told():
    said = "\n".join(doctor.tested_lines({"R": "4.2.2", "lme4": "1.1-37", "rstanarm": "2.32.1", "loo": "2.99.0"}))
    for stack in ("debian-12: R 4.2.2, lme4 1.1-31", "debian-13: R 4.5.0, lme4 1.1-37", "debian-sid: "):
        assert stack in said
    assert "<- these are here" not in said
    assert "loo 2.99.0 is newer than any tested" in said
    later = said.split("lme4 1.1-37 is here; later releases changed")[1]
    assert "2.0-1: profile and confint" in later
    assert "-2*log(L)" not in said  # 1.1-37 has it
    assert "lmerTest 3.1-3 is here" not in said  # not installed: nothing is said of it


def test_versions_that_were_tested_are_recognised_and_no_versions_are_no_error():
    from r_scripts.dialect import STACKS

    for stack, versions in STACKS.items():
        (line,) = (line for line in doctor.tested_lines(versions) if "these are here" in line)
        assert line.strip().startswith(f"{stack}:")
    assert not any("later releases" in line for line in doctor.tested_lines(STACKS["debian-sid"]))
    assert doctor.tested_lines({})[0] == "Tested with:"
    assert "none of these" in "\n".join(doctor.tested_lines({"lme4": "1.1-34"}))
