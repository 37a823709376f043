#!/bin/sh
# The project as a new user of a Debian finds it: a minimal system with git, make and python3 is made, HEAD is cloned
# into it, and both commands are run there.
#
#   make test-debian SUITE=trixie      a fresh Debian 13; bookworm is 12, sid what comes
#   make test-debian SUITE=here        no other system: a clone of HEAD on this one
#
# Variables: ROOT, where the system is made (2 to 5 GB; removed at the end unless KEEP=yes); RUN, other commands than
# "validate test"; LOGS, where what they said is kept (default debian-runs/SUITE). Each run leaves a record there, which
# `python docs/generate.py --record FILE` puts into docs/compatibility.md.
#
# Needs Debian or Ubuntu, root and debootstrap. Packages come from where this machine has its own.
# Exit codes: 0 all commands succeeded, 1 one failed, 2 the system could not be made, 130 interrupted.
set -eu
cd "$(dirname "$0")/.."
. r_scripts/steps.sh
die() { printf '%s\n' "test-debian: $*" >&2; exit 2; }

suite=${1:-}
case $suite in
    ''|-*|*/*) die "which system? For example: make test-debian SUITE=trixie (bookworm, trixie, sid; here for this one)" ;;
esac
commands=${RUN:-validate test}
project=$(pwd)
logs=${LOGS:-debian-runs/$suite}
mkdir -p "$logs"
logs=$(cd "$logs" && pwd)
[ -z "$(git status --porcelain)" ] || say "note: only what is committed is tried"

root=
mounted() { grep -q " $root/" /proc/mounts; }
leave() {
    [ -n "$root" ] || return 0
    for place in dev/shm dev/pts dev sys proc; do
        ! grep -q " $root/$place " /proc/mounts || umount -l "$root/$place"
    done
    # Never through a mount into this system's own folders.
    if [ "${KEEP:-no}" != yes ] && ! mounted; then
        rm -rf --one-file-system "$root"
    fi
}
trap 'leave; on_exit' EXIT

make_system() {
    [ "$(id -u)" = 0 ] || die "making a system of its own needs root: sudo make test-debian SUITE=$suite"
    command -v debootstrap >/dev/null 2>&1 || die "debootstrap is missing: apt-get install debootstrap"
    mirror=$(sed -nE 's/^URIs: *//p; s/^deb (\[[^]]*\] )?([^ ]+) .*/\2/p' /etc/apt/sources.list.d/*.sources \
        /etc/apt/sources.list.d/*.list /etc/apt/sources.list 2>/dev/null | grep -v security | head -n 1) || true
    [ -n "$mirror" ] || die "no source of packages found under /etc/apt"
    root=$(realpath -m "${ROOT:-/var/tmp/mlmparity-$suite}")
    [ ! -e "$root" ] || die "$root is there already. Remove it, or name another: ROOT=/some/folder"
    keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    [ -e "$keyring" ] || die "$keyring is missing: apt-get install debian-archive-keyring"
    step "making a minimal $suite" debootstrap --variant=minbase --keyring="$keyring" \
        --include=git,make,ca-certificates,python3 "$suite" "$root" "$mirror" || die "debootstrap failed"
    for place in proc sys dev dev/pts dev/shm; do
        mkdir -p "$root/$place"
        mount --bind "/$place" "$root/$place"
    done
    # The network, and the settings of apt and pip, are this machine's.
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf /etc/xdg/pip /etc/ssl/certs /root/.config/pip \
        /root/.config/uv /etc/uv /etc/apt/apt.conf.d/99*; do
        [ -e "$file" ] || continue
        mkdir -p "$root$(dirname "$file")"
        rm -rf "${root:?}$file"
        cp -rL "$file" "$root$file"
    done
    rm -f "$root"/etc/apt/sources.list.d/*
    echo "deb $mirror $suite main" >"$root/etc/apt/sources.list"
    git clone -q "$project" "$root/root/mlmparity"
    folder=$root/root/mlmparity
}

inside() {
    if [ -n "$root" ]; then
        chroot "$root" /usr/bin/env -u VENV -u PYTHON -u VIRTUAL_ENV -u R_HOME -u MAKEFLAGS -u MAKELEVEL -u MFLAGS \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
            sh -c 'cd /root/mlmparity && exec "$@"' sh "$@"
    else
        (cd "$folder" && env -u VENV -u MAKEFLAGS -u MAKELEVEL -u MFLAGS "$@")
    fi
}

if [ "$suite" = here ]; then
    scratch=$(mktemp -d)
    folder=$scratch/mlmparity
    git clone -q "$project" "$folder"
else
    make_system
fi

status=0
told=
for command in $commands; do
    arguments=
    [ "$command" != test ] || arguments="ARGS=--junitxml=test-debian.xml"
    say "$suite: make $command ... (what it says: $logs/$command.log)"
    start=$(date +%s)
    code=0
    # shellcheck disable=SC2086  # nothing, or one word
    inside make "$command" $arguments >"$logs/$command.log" 2>&1 </dev/null || code=$?
    seconds=$(($(date +%s) - start))
    say "$suite: make $command: exit $code after $seconds s"
    tail -n 3 "$logs/$command.log" | sed 's/^/    /'
    [ "$code" = 0 ] || status=1
    told="$told $command=$code:$seconds"
done
# shellcheck disable=SC2086  # several words
if inside .venv/bin/python tests/run_record.py "$suite" $told >"$logs/$suite.json"; then
    say "$suite: record in $logs/$suite.json (for docs/compatibility.md: python docs/generate.py --record $logs/$suite.json)"
else
    say "$suite: no record, for there is no environment that could make one"
    rm -f "$logs/$suite.json"
    status=1
fi
exit "$status"
