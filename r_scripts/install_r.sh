#!/bin/sh
# Installs R with lme4, rstanarm and mlmRev where they are missing (Debian, Ubuntu and their kin), and says what to
# install elsewhere. Nothing missing: takes a second. Exit 0: R is there; 4: it cannot be had.
set -u

say() { printf '%s\n' "$*"; }

have_r() {
  command -v Rscript >/dev/null 2>&1 || return 1
  # Files only: starting R to ask takes longer than looking.
  home=$(R RHOME 2>/dev/null | tail -n 1) || return 1
  [ -e "$home/lib/libR.so" ] || [ -e "$home/lib/libR.dylib" ] || return 1
  [ -e "$home/../../share/R/include/R.h" ] || [ -e "$home/include/R.h" ] || [ -e /usr/share/R/include/R.h ] || return 1
  # rpy2 is compiled against R when it is installed.
  command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || return 1
  if [ "$home" = /usr/lib/R ] && command -v dpkg-query >/dev/null 2>&1; then
    dpkg-query -W -f '${Status}' r-base-dev 2>/dev/null | grep -q 'install ok installed' || return 1
  fi
  for package in lme4 rstanarm mlmRev; do
    Rscript -e "if (!nzchar(system.file(package = '$package'))) quit(status = 1)" >/dev/null 2>&1 || return 1
  done
}

if have_r; then
  say "R is there: $(Rscript -e 'cat(R.version.string)' 2>/dev/null)"
  exit 0
fi

if ! command -v apt-get >/dev/null 2>&1; then
  say "R, or one of its packages lme4, rstanarm, mlmRev, is missing, and this is not Debian or Ubuntu. Install:"
  say "  macOS:  brew install r"
  say "  conda:  conda install -c conda-forge r-base r-lme4 r-rstanarm r-mlmrev"
  say "  Fedora: dnf install R-core R-core-devel"
  say "  then in R: install.packages(c(\"lme4\", \"rstanarm\", \"mlmRev\"))"
  exit 4
fi

if [ "$(id -u)" -eq 0 ]; then
  sudo=""
elif command -v sudo >/dev/null 2>&1; then
  sudo="sudo"
else
  say "R is missing, and installing it needs root or sudo. As root, run:"
  say "  apt-get install -y r-base-dev r-recommended r-cran-lme4 r-cran-rstanarm r-cran-mlmrev"
  exit 4
fi

log=$(mktemp) || exit 4
trap 'rm -f "$log"' EXIT INT TERM

# Runs a command quietly, with a line every ten seconds, and its last words where it fails.
quietly() {
  what=$1
  shift
  say "$what ..."
  "$@" >"$log" 2>&1 &
  job=$!
  waited=0
  while kill -0 "$job" 2>/dev/null; do
    sleep 1
    waited=$((waited + 1))
    if [ $((waited % 10)) -eq 0 ]; then
      say "  ${waited} s: $(grep -E '^(Get|Unpacking|Setting up|Fetched)' "$log" | tail -n 1 | cut -c 1-100)"
    fi
  done
  if ! wait "$job"; then
    say "  failed: $(tail -n 3 "$log")"
    return 1
  fi
}

export DEBIAN_FRONTEND=noninteractive
quietly "Reading the list of packages" $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -q ||
  say "  going on with the list that is there"
quietly "Installing R, lme4, rstanarm and mlmRev (some minutes)" \
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
  r-base-dev r-recommended r-cran-lme4 r-cran-rstanarm r-cran-mlmrev || {
  say "R could not be installed."
  exit 4
}

if have_r; then
  say "R is there: $(Rscript -e 'cat(R.version.string)' 2>/dev/null)"
  exit 0
fi
say "R was installed, but a package or its shared library is still missing; see: mlmparity doctor"
exit 4
