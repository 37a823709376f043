# Words and steps that setup.sh and install_r.sh share; read with `.`, not run.
# shellcheck shell=sh

say() { printf '%s\n' "setup: $*"; }

# Everything made in part goes with the shell that made it: `half_made` and `scratch` name it, `job` is what still runs.
half_made=
scratch=
job=
log=
on_exit() {
    status=$?
    trap - EXIT HUP INT TERM
    for made in "$half_made" "$scratch" "$log"; do
        [ -z "$made" ] || rm -rf "$made"
    done
    exit "$status"
}
on_signal() {
    trap '' HUP INT TERM
    if [ -n "$job" ] && kill -0 "$job" 2>/dev/null; then
        if grep -qE '^(Preparing to unpack|Unpacking|Setting up) ' "$log" 2>/dev/null; then
            # A package that is half unpacked would have to be mended by hand.
            say "stopping as soon as the packages that are being unpacked are whole"
        else
            kill -TERM "-$job" 2>/dev/null || kill -TERM "$job" 2>/dev/null || true
        fi
        wait "$job" 2>/dev/null || true
    fi
    say "stopped; nothing was left half-made. The same command goes on from here"
    exit 130
}
trap on_exit EXIT
trap on_signal HUP INT TERM

# Why the step that wrote $log failed, where that can be told.
explain() {
    if grep -qiE 'no space left on device|enough free space|disk quota exceeded' "$log"; then
        say "the disk is full: R and its packages take some 2.5 GB under /usr, the Python environment 1.5 GB here"
    elif grep -qE 'Could not get lock|is another process using it|Unable to (acquire|lock)' "$log"; then
        say "another apt or dpkg is at work (an automatic update?): run this again when it has ended"
    elif grep -qiE 'temporary failure (in name resolution|resolving)|could not resolve|network is unreachable|name or service not known|could not connect|connection refused|connection timed out|failed to fetch|dns error|error sending request|failed to establish a new connection|no route to host' "$log"; then
        say "the package server could not be reached: is there a network, and does it need a proxy (https_proxy)?"
    elif grep -qE 'Unable to locate package|has no installation candidate' "$log"; then
        say "this release of the system has no such package, or its list of packages lacks a component (universe?)"
    fi
}

# step WHAT COMMAND...: runs the command quietly, with a line every ten seconds, and its last words where it fails.
step() {
    what=$1
    shift
    say "$what ..."
    [ -n "$log" ] || log=$(mktemp) || return 1
    # A group of its own, so that whatever the command started ends with it; not sudo, which remembers by terminal.
    if [ "$1" != sudo ] && command -v setsid >/dev/null 2>&1; then
        set -- setsid "$@"
    fi
    "$@" >"$log" 2>&1 </dev/null &
    job=$!
    started=$(date +%s)
    told=0
    while kill -0 "$job" 2>/dev/null; do
        sleep 0.1 2>/dev/null || sleep 1  # POSIX knows whole seconds only
        waited=$(($(date +%s) - started))
        if [ "$waited" -ge $((told + 10)) ]; then
            told=$waited
            say "  ${waited} s: $(grep -E '[[:alnum:]]' "$log" | tail -n 1 | tr -d '\r' | cut -c 1-100)"
        fi
    done
    result=0
    wait "$job" || result=$?
    job=
    if [ "$result" -ne 0 ]; then
        say "  that failed:"
        grep -E '[[:alnum:]]' "$log" | tail -n 4 | sed 's/^/setup:     /'
        explain
    fi
    return "$result"
}

# ---- apt --------------------------------------------------------------------------------------------------------------
has_apt() { command -v apt-get >/dev/null 2>&1; }

# Sets $sudo to what makes a command root; false where nothing does. A password is asked for here, once, and not later.
become_root() {
    sudo=
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null 2>&1 || return 1
    sudo="sudo -n"
    sudo -n true >/dev/null 2>&1 && return 0
    [ -t 0 ] && [ -t 1 ] && say "installing packages needs your password for sudo" && sudo -v
}

# step_apt WHAT ARGUMENT...: a lock that another apt holds is waited for, two minutes at most.
step_apt() {
    what=$1
    shift
    # shellcheck disable=SC2086  # nothing, or two words
    step "$what" $sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get -o DPkg::Lock::Timeout=120 -q "$@"
}

# Reads the list of packages, once for all scripts of a set-up.
apt_lists=${apt_lists:-}
read_apt_lists() {
    [ -z "$apt_lists" ] || return 0
    apt_lists=read
    export apt_lists
    step_apt "reading the list of packages" update || say "  going on with the list that is there"
}

is_installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }

# Whether apt could install it.
has_candidate() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep -qE '^ *Candidate: [0-9]'; }

# apt_install WHAT PACKAGE...: false where they could not be installed; says the command where nobody is root.
apt_install() {
    for_what=$1
    shift
    if ! become_root; then
        say "missing: $*. Installing needs root; as root, run:"
        say "  apt-get update && apt-get install -y --no-install-recommends $*"
        return 1
    fi
    read_apt_lists
    step_apt "$for_what" install -y --no-install-recommends "$@" && return 0
    grep -q 'dpkg was interrupted' "$log" || return 1
    # An earlier installation was cut off; dpkg ends it, and names this very command.
    step "ending an installation that was interrupted" $sudo dpkg --configure -a || return 1
    step_apt "$for_what" install -y --no-install-recommends "$@"
}
