"""``setup.sh`` on machines where something is missing: programs that only note what they were asked stand in."""

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: What a shell script needs besides the shell.
TOOLS = """
awk cat chmod cksum cp cut date dirname env grep head id ls mkdir mktemp mv printf readlink rm sed setsid sh sleep sort
tail touch tr uname
"""

#: A Python of which the machine's state decides what it has: a file ``ensurepip``, ``Python.h``, ``version``, ...
PYTHON = """
state={state}
case "$*" in
    *"sys.executable"*) echo "$0" ;;
    *"exit(not"*) [ "$(cat $state/fits)" = yes ] ;;
    *"import ensurepip"*) [ -e $state/ensurepip ] ;;
    *"sysconfig"*) [ -e $state/headers ] ;;
    *"sys.version_info"*) echo 3.11 ;;
    *"import pip"*) [ -e "${{0%/*}}/pip-is-there" ] ;;
    *"-m venv"*)
        [ -e $state/ensurepip ] || exit 1
        for target in "$@"; do :; done
        mkdir -p "$target/bin"
        touch "$target/pyvenv.cfg" "$target/bin/pip-is-there"
        cp "$0" "$target/bin/python"
        echo "venv $target" >>$state/calls ;;
    *"-m pip install --quiet"*) exit 1 ;;
    *"-m pip install"*)
        echo "install $*" >>$state/calls
        case "$*" in *"[r]"*|*"[r,"*|*",r]"*|*",r,"*)
            [ ! -e $state/no-rpy2 ] || {{ echo "fatal error: Python.h: No such file"; exit 1; }} ;;
        esac
        if [ -e $state/install-fails ]; then cat $state/install-fails; exit 1; fi
        [ ! -e $state/install-hangs ] || sleep 60
        cp "$0" "${{0%/*}}/mlmparity" ;;
    *"problems()"*) [ ! -e $state/stale ] ;;
    --version) echo "Python 3.11.2" ;;
esac
"""

#: apt-get that makes of each package what it brings.
APT = """
state={state}
echo "apt-get $*" >>$state/calls
[ ! -e $state/apt-fails ] || {{ cat $state/apt-fails; exit 100; }}
case "$*" in *install*-venv*) touch $state/ensurepip ;; esac
case "$*" in *install*python*-dev*) touch $state/headers ;; esac
case "$*" in *install*gcc*) printf '#!/bin/sh\n' >{state}/../bin/gcc; chmod +x {state}/../bin/gcc ;; esac
"""

#: Says what apt has, all but what the file "unknown" names.
POLICY = """
[ "$1" = policy ] || exit 0
! grep -qx "$2" {state}/unknown 2>/dev/null || exit 0
printf '%s:\\n  Installed: (none)\\n  Candidate: 1.8.4-1\\n' "$2"
"""


@dataclass
class Machine:
    """A project folder with ``setup.sh``, a PATH, and what was called."""

    project: Path
    bin: Path
    state: Path

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text("#!/bin/sh\n" + text.format(state=self.state))
        path.chmod(0o755)

    def has(self, name: str, text: str = "") -> None:
        (self.state / name).write_text(text)

    def lacks(self, name: str) -> None:
        (self.state / name).unlink(missing_ok=True)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        environment = {"PATH": str(self.bin), "HOME": str(self.state), **variables}
        return subprocess.Popen(
            ["/bin/sh", str(self.project / "setup.sh"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *arguments: str, **variables: str) -> tuple[int, str]:
        """Exit code and all that was said."""
        process = self.start(*arguments, **variables)
        said, _ = process.communicate(timeout=120)
        return process.returncode, said

    @property
    def calls(self) -> str:
        path = self.state / "calls"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Debian with a bare python3 that fits, and with R and all its packages: nothing else is missing."""
    project, binaries, state = (tmp_path / name for name in ("project", "bin", "state"))
    for folder in (project / "r_scripts", binaries, state):
        folder.mkdir(parents=True)
    for name in ("setup.sh", "setup.py", "pyproject.toml", "constraints", "r_scripts/steps.sh"):
        source, target = ROOT / name, project / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
    for tool in TOOLS.split():
        if found := shutil.which(tool):
            (binaries / tool).symlink_to(found)
    made = Machine(project, binaries, state)
    made.has("fits", "yes")
    made.program("id", "echo 0\n")
    made.program("python3", PYTHON)
    made.program("apt-get", APT)
    made.program("apt-cache", POLICY)
    made.program("dpkg-query", 'case "$1" in -S) ;; *) echo "install ok installed" ;; esac\n')
    made.program("R", "printf 4.5.0\n")
    made.program("chromium", "")
    made.program("cc", "")
    (project / "r_scripts" / "install_r.sh").write_text(f"echo R >>{state}/calls\nexit ${{R_STATUS:-0}}\n")
    return made


def test_an_unknown_argument_is_refused_with_the_usage(machine: Machine) -> None:
    status, said = machine.run("--help")
    assert status == 2
    assert "Usage: sh setup.sh [dev]" in said


def test_a_folder_that_is_no_environment_is_not_removed(machine: Machine, tmp_path: Path) -> None:
    kept = tmp_path / "mine" / "thesis.txt"
    kept.parent.mkdir()
    kept.write_text("years of work")
    status, said = machine.run(VENV=str(kept.parent))
    assert status == 2, said
    assert "is no virtual environment" in said
    assert kept.read_text() == "years of work"


def test_what_python_lacks_is_installed_before_r(machine: Machine) -> None:
    status, said = machine.run()
    assert status == 0, said
    order = [line for line in machine.calls.splitlines() if "update" not in line]
    assert "install" in order[0]
    assert order[0].endswith("python3.11-venv python3.11-dev")
    assert order[1] == "R"
    assert order[2].startswith("venv ")
    assert machine.project.joinpath(".venv", "bin", "mlmparity").exists()


def test_a_second_set_up_has_nothing_to_do(machine: Machine) -> None:
    assert machine.run("dev")[0] == 0
    before = machine.calls
    for extras in (("dev",), ()):  # the environment with the tools serves one without them
        assert machine.run(*extras)[0] == 0
    assert machine.calls.replace("R\n", "") == before.replace("R\n", "")


def test_the_tests_packages_of_r_are_installed_all_but_what_the_release_lacks(machine: Machine) -> None:
    machine.program("dpkg-query", 'case "$1" in -S) ;; *) false ;; esac\n')
    machine.has("unknown", "r-cran-broom.mixed\n")
    status, said = machine.run("dev")
    assert status == 0, said
    assert "no package r-cran-broom.mixed" in said
    installed = [line for line in machine.calls.splitlines() if "r-cran-lmertest" in line]
    assert len(installed) == 1
    assert "r-cran-emmeans" in installed[0]
    assert "broom" not in installed[0]


def test_compiled_modules_that_are_not_those_of_their_sources_are_built_again(machine: Machine) -> None:
    assert machine.run()[0] == 0
    machine.lacks("calls")
    machine.has("stale")
    status, said = machine.run()
    assert status == 0, said
    assert "compiling pyimpl's modules" in said
    assert "--no-deps --editable ." in machine.calls
    machine.has("install-fails", "error: command 'cc' failed")
    status, said = machine.run()
    assert status == 2
    assert "could not be compiled" in said
    assert "error: command 'cc' failed" in said


def test_a_missing_compiler_is_installed_or_named(machine: Machine) -> None:
    (machine.bin / "cc").unlink()
    machine.has("ensurepip")
    machine.has("headers")
    machine.has("apt-fails", "E: Unable to locate package gcc")
    status, said = machine.run()
    assert status == 2
    assert "no C compiler" in said
    assert "apt-get install gcc libc6-dev" in said
    machine.lacks("apt-fails")
    status, said = machine.run()
    assert status == 0, said
    assert "gcc libc6-dev" in machine.calls


def test_without_root_the_commands_are_said_and_nothing_is_made(machine: Machine) -> None:
    machine.program("id", "echo 1000\n")
    status, said = machine.run()
    assert status == 2
    assert "apt-get install -y --no-install-recommends python3.11-venv python3.11-dev" in said
    assert "ensurepip" in said
    assert machine.calls == ""
    assert not machine.project.joinpath(".venv").exists()


def test_sudo_that_would_ask_nobody_is_not_used(machine: Machine) -> None:
    machine.program("id", "echo 1000\n")
    machine.program("sudo", 'echo "sudo $*" >>{state}/calls; exit 1\n')
    status, said = machine.run()
    assert status == 2
    assert "as root, run:" in said
    assert machine.calls.splitlines() == ["sudo -n true"]


def test_an_installation_that_fails_leaves_no_environment(machine: Machine) -> None:
    machine.has("install-fails", "error: No space left on device (os error 28)\n")
    status, said = machine.run()
    assert status == 2
    assert "No space left on device" in said
    assert "the disk is full" in said
    assert not machine.project.joinpath(".venv").exists()
    machine.lacks("install-fails")
    assert machine.run()[0] == 0


def test_an_environment_that_was_cut_off_is_made_anew(machine: Machine) -> None:
    assert machine.run()[0] == 0
    environment = machine.project / ".venv"
    (environment / ".mlmparity-setup").unlink()
    (environment / ".mlmparity-unfinished").touch()
    (environment / "left").touch()
    status, said = machine.run()
    assert status == 0
    assert "made anew" in said
    assert not (environment / "left").exists()


def test_an_environment_without_pip_is_made_anew_but_only_ours(machine: Machine, tmp_path: Path) -> None:
    """What ``python -m venv`` leaves behind where ensurepip is missing."""
    for environment in (machine.project / ".venv", tmp_path / "mine"):
        (environment / "bin").mkdir(parents=True)
        (environment / "pyvenv.cfg").touch()
        shutil.copy(machine.bin / "python3", environment / "bin" / "python")
    status, said = machine.run(VENV=str(tmp_path / "mine"))
    assert status == 2
    assert "has no pip" in said
    assert (tmp_path / "mine" / "pyvenv.cfg").exists()
    status, said = machine.run()
    assert status == 0, said
    assert "made anew" in said


def test_where_rpy2_cannot_be_built_recorded_references_are_left(machine: Machine) -> None:
    machine.has("no-rpy2")
    status, said = machine.run()
    assert status == 0, said
    assert "recorded references" in said
    assert "Python.h" in machine.project.joinpath(".venv", "rpy2-build.log").read_text()
    before = machine.calls
    status, said = machine.run()  # said again, not tried again
    assert status == 0
    assert "recorded references" in said
    assert machine.calls == before + "R\n"
    machine.lacks("no-rpy2")
    machine.program("gcc", "")
    (machine.bin / "cc").unlink()
    assert machine.run()[0] == 0  # another compiler: tried again
    assert machine.calls.rstrip().endswith(".[r,files,report]")


def test_without_r_the_environment_has_no_rpy2(machine: Machine) -> None:
    status, said = machine.run(R_STATUS="4")
    assert status == 0, said
    assert "--editable ." in machine.calls
    assert ".[r]" not in machine.calls


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt-get)", "another apt or dpkg"),
        ("Temporary failure resolving 'deb.debian.org'", "could not be reached"),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "the disk is full"),
        ("E: Unable to locate package python3.11-venv", "no such package"),
    ],
)
def test_what_apt_means_is_said(machine: Machine, message: str, meaning: str) -> None:
    machine.has("apt-fails", message + "\n")
    status, said = machine.run()
    assert status == 2
    assert meaning in said
    assert message in said


def test_an_interrupted_dpkg_is_mended(machine: Machine) -> None:
    machine.has("apt-fails", "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct it.\n")
    machine.program("dpkg", 'echo "dpkg $*" >>{state}/calls; rm -f {state}/apt-fails\n')
    status, said = machine.run()
    assert status == 0, said
    assert "dpkg --configure -a" in machine.calls


def test_a_python_that_is_too_old_is_replaced_by_one_of_apt(machine: Machine) -> None:
    machine.has("fits", "no")
    machine.program("apt-cache", 'case "$*" in *3.12*) ;; *) exit 1 ;; esac\n')
    machine.program("new", PYTHON.replace('[ "$(cat $state/fits)" = yes ]', "true").replace("echo 3.11", "echo 3.12"))
    machine.program(
        "apt-get",
        APT
        + 'case "$*" in *"python3.12 "*) cp {bin}/new {bin}/python3.12 ;; esac\n'.replace("{bin}", str(machine.bin)),
    )
    status, said = machine.run()
    assert status == 0, said
    assert "python3.12 python3.12-venv python3.12-dev" in machine.calls


def test_no_python_that_fits_ends_before_r_with_what_to_install(machine: Machine) -> None:
    machine.has("fits", "no")
    machine.program("apt-cache", "exit 1\n")
    status, said = machine.run()
    assert status == 2
    assert "no Python 3.11 to 3.14 could be had" in said
    assert "R\n" not in machine.calls


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_half_made(machine: Machine, sent: signal.Signals) -> None:
    machine.has("install-hangs")
    process = machine.start()
    environment = machine.project / ".venv"
    deadline = time.monotonic() + 60
    while "-m pip install" not in machine.calls and time.monotonic() < deadline:
        time.sleep(0.1)
    assert environment.exists()
    os.killpg(process.pid, sent)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "nothing was left half-made" in said
    assert not environment.exists()


def test_a_long_step_tells_the_time(machine: Machine) -> None:
    machine.program("apt-get", 'case "$*" in *" install "*) echo "Unpacking r-base-core"; sleep 11 ;; esac\n' + APT)
    status, said = machine.run()
    assert status == 0, said
    assert "10 s: Unpacking r-base-core" in said
