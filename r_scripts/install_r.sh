#!/bin/sh
# Installs R with lme4, rstanarm and mlmRev where they are missing (Debian, Ubuntu and their kin), and says what to
# install elsewhere. Nothing missing: takes a second. Exit 0: R is there; 4: it cannot be had; 130: interrupted.
set -u
case $0 in */*) here=${0%/*} ;; *) here=. ;; esac
# shellcheck source=r_scripts/steps.sh
. "$here/steps.sh"

have_r() {
    command -v Rscript >/dev/null 2>&1 || return 1
    # Files only: starting R to ask takes longer than looking.
    home=$(R RHOME 2>/dev/null | tail -n 1) || return 1
    [ -e "$home/lib/libR.so" ] || [ -e "$home/lib/libR.dylib" ] || return 1
    [ -e "$home/../../share/R/include/R.h" ] || [ -e "$home/include/R.h" ] || [ -e /usr/share/R/include/R.h ] || return 1
    # rpy2 is compiled against R when it is installed.
    command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || return 1
    if [ "$home" = /usr/lib/R ] && command -v dpkg-query >/dev/null 2>&1; then
        is_installed r-base-dev || return 1
    fi
    for package in lme4 rstanarm mlmRev; do
        Rscript -e "if (!nzchar(system.file(package = '$package'))) quit(status = 1)" >/dev/null 2>&1 || return 1
    done
}

if have_r; then
    say "R is there: $(Rscript -e 'cat(R.version.string)' 2>/dev/null)"
    exit 0
fi

if ! has_apt; then
    say "R, or one of its packages lme4, rstanarm, mlmRev, is missing, and this is not Debian or Ubuntu. Install:"
    say "  macOS:  brew install r"
    say "  conda:  conda install -c conda-forge r-base r-lme4 r-rstanarm r-mlmrev"
    say "  Fedora: dnf install R-core R-core-devel"
    say "  then in R: install.packages(c(\"lme4\", \"rstanarm\", \"mlmRev\"))"
    exit 4
fi

apt_install "installing R, lme4, rstanarm and mlmRev (some minutes)" \
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
