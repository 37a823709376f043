#!/bin/sh
# Sets up what is missing, and nothing else: a Python that fits, R with its packages, the virtual environment.
#
#   sh setup.sh            for `make validate`: R, .venv, mlmparity
#   sh setup.sh dev        for `make test`: the same, with the test and lint tools and (on apt systems) Chromium
#
# Exit codes: 0 all set, 2 no fit Python or an installation failed, 130 interrupted. R or rpy2 that can't be had is no
# failure here: mlmparity then compares against recorded references and says so.
#
# PYTHON=/path/to/python chooses the interpreter; VENV=.venv the environment.
set -eu
cd "$(dirname "$0")"
. r_scripts/steps.sh

die() { printf '%s\n' "setup: $*" >&2; exit 2; }

extras=${1:-}
VENV=${VENV:-.venv}
case $extras in
    ''|dev) ;;
    *) die "unknown argument '$extras'. Usage: sh setup.sh [dev]    (dev: with the tools for tests and lint)" ;;
esac
stamp=$VENV/.mlmparity-setup
unfinished=$VENV/.mlmparity-unfinished
if [ -e "$VENV" ] && [ ! -f "$VENV/pyvenv.cfg" ] && [ ! -f "$unfinished" ] && [ -n "$(ls -A "$VENV")" ]; then
    die "VENV=$VENV is there and is no virtual environment; nothing was removed. Name another folder"
fi

# ---- a fit Python: the one named, then PATH, then pyenv; on apt systems with what Debian leaves out of it --------------
fits() { "$1" -c 'import sys, ctypes, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1; }
# Debian and Ubuntu have ensurepip in pythonX.Y-venv, and Python.h, for rpy2 and the compiled modules, in pythonX.Y-dev.
has_pip_maker() { command -v uv >/dev/null 2>&1 || "$1" -c 'import ensurepip' >/dev/null 2>&1; }
has_headers() {
    "$1" -c 'import os, sysconfig as s; raise SystemExit(not os.path.exists(s.get_path("include") + "/Python.h"))' \
        >/dev/null 2>&1
}
complete() { fits "$1" && has_pip_maker "$1" && has_headers "$1"; }
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

# first_python TEST: the first interpreter that passes.
first_python() {
    pyenv_root=${PYENV_ROOT:-${HOME:-/root}/.pyenv}
    for candidate in "${PYTHON:-python3.13}" python3.12 python3.14 \
        "$pyenv_root"/versions/3.13*/bin/python "$pyenv_root"/versions/3.12*/bin/python \
        "$pyenv_root"/versions/3.14*/bin/python python3.11 python3 python "$pyenv_root"/versions/3.11*/bin/python; do
        if "$1" "$candidate"; then
            # The interpreter itself, not a pyenv shim, whose answer depends on the folder it is called from.
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
        [ -z "${PYTHON:-}" ] || break
    done
    return 1
}
find_python() { first_python complete || first_python fits; }

# The newest Python that apt has, of those that fit.
python_from_apt() {
    has_apt && become_root || return 1
    read_apt_lists
    for version in 3.13 3.12 3.14 3.11; do
        if apt-cache show "python$version-venv" >/dev/null 2>&1; then
            apt_install "installing Python $version" "python$version" "python$version-venv" "python$version-dev"
            return
        fi
    done
    return 1
}

# A Python of its own for this user, which uv fetches from where its makers publish it; uv comes from PyPI.
python_from_uv() {
    uv=$(command -v uv) || {
        scratch=$(mktemp -d) || return 1
        python3 -m venv "$scratch/uv" >/dev/null 2>&1 || return 1
        step "fetching uv, which can fetch a Python" "$scratch/uv/bin/python" -m pip install --quiet uv || return 1
        uv=$scratch/uv/bin/uv
    }
    step "fetching Python 3.13 (into your own folder, not the system's)" "$uv" python install 3.13 || return 1
    python=$("$uv" python find --managed-python 3.13)
}

# Sets $python, or ends with a sentence that says what to install.
need_python() {
    if [ -n "${PYTHON:-}" ] && ! fits "$PYTHON"; then
        die "PYTHON=$PYTHON is no Python 3.11 to 3.14 with ctypes and venv"
    fi
    python=$(find_python) || {
        say "no Python 3.11 to 3.14 on PATH or under pyenv"
        if python_from_apt; then
            python=$(find_python) || python=
        elif ! python_from_uv; then
            python=
        fi
    }
    [ -n "$python" ] || die "no Python 3.11 to 3.14 could be had. Install one, for example
setup:   sudo apt-get install python3 python3-venv python3-dev    (Debian 12, Ubuntu 24.04 and later)
setup:   pyenv install 3.13        or        uv python install 3.13
setup: or name one: make validate PYTHON=/path/to/python3.13"
    version=$(version_of "$python")
    if ! complete "$python" && has_apt && dpkg-query -S "$(readlink -f "$python")" >/dev/null 2>&1; then
        apt_install "installing what Python $version needs for environments and extensions" \
            "python$version-venv" "python$version-dev" || true
    fi
    has_pip_maker "$python" || die "$python makes no environments, for want of its module ensurepip. Install it:
setup:   apt-get install python$version-venv    (Debian and Ubuntu, as root)
setup: or uv (https://docs.astral.sh/uv), or name another Python: make validate PYTHON=/path/to/python3"
    has_headers "$python" || die "$python has no Python.h, which pyimpl's compiled modules are built with. Install it:
setup:   apt-get install python$version-dev    (Debian and Ubuntu, as root)
setup: or name another Python: make validate PYTHON=/path/to/python3"
}

# pyimpl's compiled modules are built with a C compiler.
has_compiler() { command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || command -v clang >/dev/null 2>&1; }
need_compiler() {
    has_compiler && return
    ! has_apt || apt_install "installing a C compiler" gcc libc6-dev || true
    has_compiler || die "no C compiler (cc, gcc or clang), which pyimpl's compiled modules are built with. Install one:
setup:   apt-get install gcc libc6-dev    (Debian and Ubuntu, as root)
setup:   xcode-select --install           (macOS)"
}

# ---- an environment that was never finished is no environment ----------------------------------------------------------
can_be_used() { [ -x "$VENV/bin/python" ] && fits "$VENV/bin/python" && "$VENV/bin/python" -c 'import pip' >/dev/null 2>&1; }
python=
if [ -f "$unfinished" ]; then
    say "$VENV was left unfinished by an earlier set-up: it is made anew"
    rm -rf "$VENV"
elif [ -e "$VENV/pyvenv.cfg" ] && [ ! -f "$stamp" ] && ! can_be_used && ! command -v uv >/dev/null 2>&1; then
    [ "$VENV" = .venv ] || die "VENV=$VENV has no pip, or its Python does not run. Mend it, or name another folder"
    say "$VENV has no pip, or its Python does not run: it is made anew"
    rm -rf "$VENV"
fi
# Before R, which takes minutes: what Python lacks is known in a second.
if [ ! -x "$VENV/bin/python" ] || ! fits "$VENV/bin/python"; then
    need_python
fi

# ---- R -------------------------------------------------------------------------------------------------------------
has_r=yes
sh r_scripts/install_r.sh || case $? in 130) exit 130 ;; *) has_r=no ;; esac
if [ "$has_r" = yes ]; then
    r_version=$(R --slave --vanilla -e 'cat(as.character(getRversion()))' 2>/dev/null) || has_r=no
fi
without_r=$extras
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

# ---- what the tests compare with besides: more of R's packages, and Chromium, in which they read the report -----------
# The one list of them. A test (@pytest.mark.r_packages) that needs one fails where apt has it and it was not installed.
TEST_PACKAGES="lmerTest pbkrtest emmeans broom.mixed"
case $extras in *dev*)
    if has_apt; then
        wanted=
        command -v chromium >/dev/null 2>&1 || wanted=chromium
        if [ "$has_r" = yes ]; then
            for package in $TEST_PACKAGES; do
                package=r-cran-$(printf '%s' "$package" | tr '[:upper:]' '[:lower:]')
                is_installed "$package" || wanted="$wanted $package"
            done
        fi
        # What this release has not must not keep the others away.
        there=
        [ -z "$wanted" ] || has_candidate r-base-core || ! become_root || read_apt_lists  # an image without lists
        for package in $wanted; do
            if has_candidate "$package"; then
                there="$there $package"
            else
                say "this release of the system has no package $package: tests that need it are skipped"
            fi
        done
        # shellcheck disable=SC2086  # several packages
        [ -z "$there" ] || apt_install "installing for the tests:$there" $there ||
            say "going on: the tests that need them will say so"
    fi ;;
esac

# ---- the environment -----------------------------------------------------------------------------------------------
# PyMC alone is a thousand modules: without their compiled form every start would take seconds, and some machines
# (PYTHONDONTWRITEBYTECODE) would never write it by themselves.
install_editable() {
    for_what=$1
    shift
    if [ -x "$VENV/bin/uv" ]; then
        set -- "$VENV/bin/uv" pip install --compile-bytecode "$@"
    elif command -v uv >/dev/null 2>&1; then
        set -- uv pip install --compile-bytecode "$@"
    else
        set -- "$VENV/bin/python" -m pip install "$@"
    fi
    step "$for_what" env VIRTUAL_ENV="$VENV" "$@"
}

# pyimpl's compiled modules, anew where their sources changed or they are damaged.
compiled_modules() {
    "$VENV/bin/python" -c 'from pyimpl.extensions import problems; raise SystemExit(len(problems()))' >/dev/null 2>&1 &&
        return
    need_compiler
    install_editable "compiling pyimpl's modules" --no-deps --editable . ||
        die "they could not be compiled; the lines above say why"
}

without_rpy2() {
    say "rpy2 could not be built, so R can not be asked: mlmparity compares with recorded references of R."
    say "  what it said is in $VENV/rpy2-build.log; install what is missing there and run this again"
}

# What the environment was made from; unchanged means there is nothing to do.
inputs=$(cat setup.sh setup.py pyproject.toml constraints/base.txt "$rpy2_pins" | cksum)
wanted="$inputs R=$r_version extras=$extras"
builder() { printf 'cc=%s headers=%s' "$(command -v cc || command -v gcc)" "$(has_headers "$VENV/bin/python" && echo yes)"; }
if [ -x "$VENV/bin/mlmparity" ] && [ -f "$stamp" ]; then
    have=$(cat "$stamp")
    case $have in
        # A set-up with more extras serves one with fewer.
        "$wanted" | "$inputs R=$r_version extras=dev${extras:+,$extras}")
            compiled_modules
            exit 0 ;;
        "$wanted without rpy2: $(builder)" | "$inputs R=$r_version extras=dev${extras:+,$extras} without rpy2: $(builder)")
            without_rpy2
            compiled_modules
            exit 0 ;;
    esac
fi

need_compiler
if [ -n "$python" ]; then
    say "making $VENV with $("$python" --version)"
    rm -rf "$VENV"
    half_made=$VENV
    mkdir -p "$VENV"
    : >"$unfinished"
    if "$python" -c 'import ensurepip' >/dev/null 2>&1; then
        step "making the environment" "$python" -m venv "$VENV" || die "python -m venv failed; the lines above say why"
    else
        step "making the environment" uv venv --allow-existing --python "$python" "$VENV" ||
            die "uv venv failed; the lines above say why"
    fi
fi
rm -f "$stamp"
# uv installs the whole stack in seconds; pip does the same slowly where uv can't be had.
if "$VENV/bin/python" -c 'import pip' >/dev/null 2>&1; then
    step "fetching uv, which installs faster than pip" "$VENV/bin/python" -m pip install --quiet --retries 2 uv ||
        say "  going on with pip"
fi
install() {
    install_editable "installing mlmparity${with:+[$with]} and what it needs (R $r_version)" \
        --constraint constraints/base.txt --constraint "$rpy2_pins" --editable ".[${with:+$with,}files,report]"  # the report has pictures
}
with=$extras
built=
if ! install; then
    [ "$has_r" = yes ] || die "the installation failed; the lines above say why"
    cp "$log" "$VENV/rpy2-build.log"
    with=$without_r
    install || die "the installation failed; the lines above say why"
    without_rpy2
    built=" without rpy2: $(builder)"
fi
step "compiling Python's modules" env -u PYTHONDONTWRITEBYTECODE \
    "$VENV/bin/python" -m compileall -q mlmparity bridge pyimpl validation r_scripts || true
printf '%s' "$wanted$built" >"$stamp"
rm -f "$unfinished"
half_made=
compiled_modules
say "done"
