#!/bin/sh
# Sets up what is missing, and nothing else: R with its packages, a Python that fits, the virtual environment.
#
#   sh setup.sh            for `make validate`: R, .venv, mlmparity
#   sh setup.sh dev        for `make test`: the same, with the test and lint tools and (on apt systems) Chromium
#
# Exit codes: 0 all set, 2 no fit Python or an installation failed. R that can't be had is no failure here: mlmparity
# then compares against recorded references and says so.
#
# PYTHON=/path/to/python chooses the interpreter; VENV=.venv the environment.
set -eu
cd "$(dirname "$0")"

extras=${1:-}
VENV=${VENV:-.venv}
say() { printf '%s\n' "setup: $*"; }
die() { printf '%s\n' "setup: $*" >&2; exit 2; }
case $extras in
    ''|dev) ;;
    *) die "unknown argument '$extras'. Usage: sh setup.sh [dev]    (dev: with the tools for tests and lint)" ;;
esac

# ---- R -------------------------------------------------------------------------------------------------------------
has_r=yes
sh r_scripts/install_r.sh || has_r=no
if [ "$has_r" = yes ]; then
    r_version=$(R --slave --vanilla -e 'cat(as.character(getRversion()))' 2>/dev/null) || has_r=no
fi
if [ "$has_r" = yes ]; then
    # rpy2-rinterface 3.6.6 and later call R_getVar, which R has only since 4.5.
    case $r_version in
        [0-3].*|4.[0-4].*) rpy2_pins=constraints/rpy2-for-r-before-4.5.txt ;;
        *) rpy2_pins=constraints/rpy2-for-r-4.5.txt ;;
    esac
    extras=${extras:+$extras,}r
else
    r_version=none
    rpy2_pins=/dev/null
fi

# ---- what the tests compare with besides: lmerTest and pbkrtest, and Chromium, in which they read the report -----------
case $extras in *dev*)
    if command -v apt-get >/dev/null 2>&1; then
        sudo=
        [ "$(id -u)" = 0 ] || sudo="sudo -n"
        wanted=
        command -v chromium >/dev/null 2>&1 || wanted=chromium
        for package in r-cran-lmertest r-cran-pbkrtest; do
            dpkg -s "$package" >/dev/null 2>&1 || wanted="$wanted $package"
        done
        if [ -n "$wanted" ]; then
            say "installing for the tests: $wanted"
            # shellcheck disable=SC2086  # several packages
            $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $wanted >/dev/null 2>&1 ||
                { $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
                    --no-install-recommends $wanted; } >/dev/null 2>&1 ||
                say "that failed: the tests that need them will say so"
        fi
    fi ;;
esac

# ---- a fit Python: the one named, then PATH, then pyenv --------------------------------------------------------------
fits() { "$1" -c 'import sys, ctypes, venv; sys.exit(not (3, 12) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1; }
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        command -v "$PYTHON"
        return
    fi
    pyenv_root=${PYENV_ROOT:-$HOME/.pyenv}
    for candidate in python3.13 python3.12 python3.14 python3 python \
        "$pyenv_root"/versions/3.13*/bin/python "$pyenv_root"/versions/3.12*/bin/python \
        "$pyenv_root"/versions/3.14*/bin/python; do
        if fits "$candidate"; then
            # The interpreter itself, not a pyenv shim, whose answer depends on the folder it is called from.
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

[ -z "${PYTHON:-}" ] || fits "$PYTHON" || die "PYTHON=$PYTHON is no Python 3.12, 3.13 or 3.14 with ctypes and venv"

# Machine code for pyimpl's kernels, anew where their sources changed. A failure is none: the first fit would do it.
kernels() { "$VENV/bin/python" -m pyimpl.precompile >/dev/null || true; }

# What the environment was made from; unchanged means there is nothing to do.
stamp=$VENV/.mlmparity-setup
inputs=$(cat setup.sh pyproject.toml constraints/base.txt "$rpy2_pins" | cksum)
wanted="$inputs R=$r_version extras=$extras"
# A set-up with more extras serves one with fewer.
if [ -x "$VENV/bin/mlmparity" ] && [ -f "$stamp" ]; then
    have=$(cat "$stamp")
    if [ "$have" = "$wanted" ] || [ "$have" = "$inputs R=$r_version extras=dev${extras:+,$extras}" ]; then
        kernels
        exit 0
    fi
fi

if [ -x "$VENV/bin/python" ] && fits "$VENV/bin/python"; then
    python=
else
    python=$(find_python) || die "no Python 3.12 to 3.14 on PATH or under pyenv. Install one, for example
setup:   sudo apt-get install python3.12 python3.12-venv    (Debian 13, Ubuntu 24.04 and later)
setup:   pyenv install 3.13        or        uv python install 3.13
setup: or name one: make validate PYTHON=/path/to/python3.13"
fi

# uv installs the whole stack in seconds; pip does the same slowly where uv can't be had.
if [ -n "$python" ]; then
    if [ -e "$VENV" ] && [ ! -f "$VENV/pyvenv.cfg" ] && [ -n "$(ls -A "$VENV")" ]; then
        die "VENV=$VENV is there and is no virtual environment; nothing was removed. Name another folder"
    fi
    say "making $VENV with $("$python" --version)"
    rm -rf "$VENV"
    "$python" -m venv "$VENV" || die "python -m venv failed; on Debian and Ubuntu: sudo apt-get install python3-venv"
fi
# PyMC alone is a thousand modules: without their compiled form every start would take seconds, and some machines
# (PYTHONDONTWRITEBYTECODE) would never write it by themselves.
if "$VENV/bin/python" -m pip install --quiet uv >/dev/null 2>&1; then
    install() { VIRTUAL_ENV=$VENV "$VENV/bin/uv" pip install --compile-bytecode "$@"; }
else
    install() { "$VENV/bin/python" -m pip install "$@"; }
fi
say "installing mlmparity${extras:+[$extras]} and what it needs (R $r_version)"
[ -t 1 ] || quiet=--quiet
install ${quiet:-} --constraint constraints/base.txt --constraint "$rpy2_pins" --editable ".${extras:+[$extras]}" ||
    die "the installation failed; the lines above say why"
env -u PYTHONDONTWRITEBYTECODE "$VENV/bin/python" -m compileall -q bridge pyimpl validation r_scripts || true
kernels
printf '%s' "$wanted" > "$stamp"
say "done"
