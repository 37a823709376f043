"""The third wall: an R process that can neither start programs nor write outside its scratch folder.

The first wall reads formulas, the second lets no name become code; this one is for what gets past both. On Linux the
kernel itself holds it: *Landlock* takes away writing, making and deleting files anywhere but in one folder, *seccomp*
the calls that start programs, change files' attributes, open sockets or get around Landlock. Neither needs privileges
or a library; both are inherited by forked chains and cannot be lifted again. Reading stays: packages load as ever.

Where the system does not offer it (other systems, old kernels, some containers) R runs without, and :func:`status`,
which ``mlmparity doctor`` prints, says so. Switched off only by ``Session(sandbox=False)`` or the environment variable
``MLMPARITY_SANDBOX=off``.
"""

import contextlib
import ctypes
import errno
import json
import os
import platform
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

__all__ = ["Status", "keep_writing_inside", "restrict", "status", "wanted"]


@dataclass(frozen=True)
class Status:
    """What holds in a restricted process: tried there, not inferred.

    Attributes
    ----------
    programs : bool
        It cannot start programs.
    files : bool
        It cannot make, change or delete files outside its scratch folder.
    landlock : int
        Version of the kernel's Landlock interface; 0 where there is none.
    detail : str
        What is missing, and why; empty where both hold.
    """

    programs: bool
    files: bool
    landlock: int
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Whether both hold."""
        return self.programs and self.files

    def __str__(self) -> str:
        if self.holds:
            return (
                f"R can neither start programs nor write outside its scratch folder (Landlock {self.landlock}, seccomp)"
            )
        can = " and ".join(
            what for what, held in (("start programs", self.programs), ("write files anywhere", self.files)) if not held
        )
        return f"R can {can}: {self.detail}"


def wanted() -> bool:
    """Whether the environment variable ``MLMPARITY_SANDBOX`` leaves the sandbox on."""
    return os.environ.get("MLMPARITY_SANDBOX", "").strip().lower() not in ("off", "0", "false", "no")


# -- Landlock: linux/landlock.h ----------------------------------------------------------------------------------------

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446

_EXECUTE, _WRITE_FILE, _REFER, _TRUNCATE, _IOCTL_DEV = 1 << 0, 1 << 1, 1 << 13, 1 << 14, 1 << 15
_REMOVE = 1 << 4 | 1 << 5
_MAKE_DEVICES = 1 << 6 | 1 << 11
_MAKE_OTHERS = 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 12


def _handled(abi: int) -> int:
    """The rights that are taken away: everything but reading, as far as the kernel knows it."""
    rights = _EXECUTE | _WRITE_FILE | _REMOVE | _MAKE_DEVICES | _MAKE_OTHERS
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        rights |= right if abi >= since else 0
    return rights


class _Libc:
    """System calls through the C library."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self._library.syscall.restype = ctypes.c_long

    def call(self, number: int, *args: int | bytes | None) -> int:
        """Make a system call.

        Raises
        ------
        OSError
            It failed.
        """
        passed = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in args]
        result = int(self._library.syscall(ctypes.c_long(number), *passed))
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    def no_new_privileges(self) -> None:
        if self._library.prctl(38, 1, 0, 0, 0) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


def _landlock_abi(libc: _Libc) -> int:
    try:
        return libc.call(_LANDLOCK_CREATE, None, 0, 1)
    except OSError:
        return 0


def _landlock(libc: _Libc, abi: int, scratch: str, files_only: bool = False) -> None:
    handled = _handled(abi)
    # TCP since 4 (bind, connect); abstract Unix sockets and signals to processes outside since 6
    fields = [handled, *([3] if abi >= 4 else []), *([3] if abi >= 6 else [])]
    if files_only:
        handled &= ~(_EXECUTE | _IOCTL_DEV)
        fields = [handled]
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = libc.call(_LANDLOCK_CREATE, attributes, len(attributes), 0)
    try:
        inside = handled & ~(_EXECUTE | _MAKE_DEVICES | _IOCTL_DEV)
        nothing = handled & (_WRITE_FILE | _TRUNCATE | _IOCTL_DEV)
        for path, rights in ((scratch, inside), (os.devnull, nothing)):
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                libc.call(_LANDLOCK_ADD, ruleset, 1, struct.pack("=Qi", rights, descriptor), 0)
            finally:
                os.close(descriptor)
        libc.call(_LANDLOCK_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


# -- seccomp: linux/seccomp.h, linux/filter.h --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Machine:
    """A processor's name in the kernel, and its numbers of system calls."""

    audit: int
    seccomp: int
    clone: int
    ioctl: int
    openat: int
    open: int | None
    denied: Mapping[str, int]


#: Numbers that all processors share.
_COMMON = {
    "pidfd_send_signal": 424, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_getfd": 438,
    "mount_setattr": 442, "fchmodat2": 452, "setxattrat": 463, "removexattrat": 466, "open_tree_attr": 467,
    "file_setattr": 469,
}  # fmt: skip

_MACHINES = {
    "x86_64": _Machine(
        audit=0xC000003E, seccomp=317, clone=56, ioctl=16, openat=257, open=2,
        denied={
            "execve": 59, "execveat": 322, "ptrace": 101, "process_vm_writev": 311, "chmod": 90, "fchmod": 91,
            "fchmodat": 268, "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260, "utime": 132, "utimes": 235,
            "futimesat": 261, "utimensat": 280, "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190,
            "removexattr": 197, "lremovexattr": 198, "fremovexattr": 199, "truncate": 76, "mount": 165, "umount2": 166,
            "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308, "socket": 41, "bpf": 321,
            "perf_event_open": 298, "userfaultfd": 323, "init_module": 175, "finit_module": 313, "delete_module": 176,
            "kexec_load": 246, "kexec_file_load": 320, "reboot": 169, "swapon": 167, "swapoff": 168, "acct": 163,
            "quotactl": 179, "settimeofday": 164, "clock_settime": 227, "sethostname": 170, "setdomainname": 171,
            "syslog": 103, "keyctl": 250, "add_key": 248, "request_key": 249, "open_by_handle_at": 304,
        },
    ),
    "aarch64": _Machine(
        audit=0xC00000B7, seccomp=277, clone=220, ioctl=29, openat=56, open=None,
        denied={
            "execve": 221, "execveat": 281, "ptrace": 117, "process_vm_writev": 271, "fchmod": 52, "fchmodat": 53,
            "fchownat": 54, "fchown": 55, "utimensat": 88, "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7,
            "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16, "truncate": 45, "mount": 40, "umount2": 39,
            "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268, "socket": 198, "bpf": 280,
            "perf_event_open": 241, "userfaultfd": 282, "init_module": 105, "finit_module": 273, "delete_module": 106,
            "kexec_load": 104, "kexec_file_load": 294, "reboot": 142, "swapon": 224, "swapoff": 225, "acct": 89,
            "quotactl": 60, "settimeofday": 170, "clock_settime": 112, "sethostname": 161, "setdomainname": 162,
            "syslog": 116, "keyctl": 219, "add_key": 217, "request_key": 218, "open_by_handle_at": 265,
        },
    ),
}  # fmt: skip

_CLONE3, _OPENAT2 = 435, 437
#: Flags of clone() that make namespaces.
_NAMESPACES = 0x7E020080
#: Requests of ioctl(): type into a terminal, change a file's flags or project.
_IOCTLS = (0x5412, 0x40086602, 0x401C5820)

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW = 0x7FFF0000
_Instruction = tuple[int, int, int, int]


def _error(code: int) -> int:
    return 0x00050000 | code


def _argument(place: int) -> int:
    """Offset of the lower half of an argument (both processors are little-endian)."""
    return 16 + 8 * place


def _filter(machine: _Machine, abi: int) -> Iterator[_Instruction]:
    """Berkeley packet filter over a system call's number and arguments; what nothing stops is allowed."""
    refuse = (_RETURN, 0, 0, _error(errno.EPERM))
    # Numbers mean something else to the machine's older interface (32 bits; on x86 also bit 30): all refused.
    yield from ((_LOAD, 0, 0, 4), (_EQUAL, 1, 0, machine.audit), refuse, (_LOAD, 0, 0, 0))
    yield from ((_AT_LEAST, 0, 1, 0x40000000), refuse)
    for number in (*machine.denied.values(), *_COMMON.values()):
        yield from ((_EQUAL, 0, 1, number), refuse)
    # clone3's arguments are out of sight; the C library then falls back on clone.
    yield from ((_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _error(errno.ENOSYS)))
    allow = (_RETURN, 0, 0, _ALLOW)
    yield from (
        (_EQUAL, 0, 4, machine.clone),
        (_LOAD, 0, 0, _argument(0)),
        (_ANY_BIT, 0, 1, _NAMESPACES),
        refuse,
        allow,
    )
    yield from ((_EQUAL, 0, 2 + 2 * len(_IOCTLS), machine.ioctl), (_LOAD, 0, 0, _argument(1)))
    for request in _IOCTLS:
        yield from ((_EQUAL, 0, 1, request), refuse)
    yield allow
    if abi < 3:
        # Landlock did not know of truncation yet: opening to read, and emptying, would pass.
        yield from ((_EQUAL, 0, 1, _OPENAT2), (_RETURN, 0, 0, _error(errno.ENOSYS)))
        opens = ((machine.openat, 2), *([] if machine.open is None else [(machine.open, 1)]))
        for call, place in opens:
            yield from ((_EQUAL, 0, 5, call), (_LOAD, 0, 0, _argument(place)))
            yield from ((_AND, 0, 0, os.O_TRUNC | os.O_ACCMODE), (_EQUAL, 0, 1, os.O_TRUNC), refuse, allow)
    yield allow


def _seccomp(libc: _Libc, machine: _Machine, abi: int) -> None:
    instructions = b"".join(struct.pack("=HBBI", *instruction) for instruction in _filter(machine, abi))
    code = ctypes.create_string_buffer(instructions, len(instructions))
    program = struct.pack("@HP", len(instructions) // 8, ctypes.addressof(code))
    libc.call(machine.seccomp, 1, 1, program)  # set the filter, for all threads


# -- the whole ---------------------------------------------------------------------------------------------------------


def restrict(scratch: str) -> Status:
    """Restrict this process, its threads to come and its children, for good.

    Parameters
    ----------
    scratch : str
        The folder in which it may write.

    Returns
    -------
    Status
        What holds from now on, tried.
    """
    if sys.platform != "linux":
        return Status(False, False, 0, f"{platform.system()} has neither Landlock nor seccomp")
    missing = []
    abi = 0
    try:
        libc = _Libc()
        libc.no_new_privileges()
        abi = _landlock_abi(libc)
        if abi:
            _landlock(libc, abi, scratch)
        else:
            missing.append(f"the kernel ({platform.release()}) has no Landlock, or it is switched off")
        machine = _MACHINES.get(platform.machine())
        if machine is None or sys.maxsize < 2**32:
            missing.append(f"there is no filter for {platform.machine()}")
        else:
            _seccomp(libc, machine, abi)
    except OSError as error:
        missing.append(f"the system refused it: {error}")
    return Status(not _can_start_programs(), not _can_write(scratch), abi, "; ".join(missing))


def keep_writing_inside(scratch: str) -> bool:
    """Let this process and its children make, change and delete files in one folder only; they may do anything else.

    For code that runs on the user's word (``mlmparity migrate``) and should leave the user's folders as they are.

    Parameters
    ----------
    scratch : str
        The folder in which it may write.

    Returns
    -------
    bool
        Whether it holds from now on; false where the system does not offer it.
    """
    if sys.platform != "linux":
        return False
    try:
        libc = _Libc()
        abi = _landlock_abi(libc)
        if not abi:
            return False
        libc.no_new_privileges()
        _landlock(libc, abi, scratch, files_only=True)
    except OSError:
        return False
    return not _can_write(scratch)


def _can_start_programs() -> bool:
    """Ask for a program at no address: without a filter the kernel complains of the address."""
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return True
    try:
        _Libc().call(machine.denied["execve"], None, None, None)
    except OSError as error:
        return error.errno not in (errno.EPERM, errno.EACCES)
    return True


def _can_write(scratch: str) -> bool:
    """Try to make a file next to the scratch folder."""
    outside = f"{scratch.rstrip(os.sep)}.outside"
    try:
        descriptor = os.open(outside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except PermissionError:
        return False
    except OSError:
        return True
    os.close(descriptor)
    with contextlib.suppress(OSError):
        os.unlink(outside)
    return True


_PROBE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from bridge.sandbox import _probe; _probe(sys.argv[2])"
)


def _probe(scratch: str) -> None:
    print(json.dumps(asdict(restrict(scratch))))


def status() -> Status:
    """Try, in a process of its own and without R, what the sandbox holds on this machine.

    Returns
    -------
    Status
    """
    from bridge.rhome import safe_path

    with tempfile.TemporaryDirectory(prefix="bridge-sandbox-") as folder:
        scratch = os.path.join(folder, "scratch")
        os.mkdir(scratch)
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-c", _PROBE, json.dumps(safe_path()), scratch],
                capture_output=True, text=True, timeout=60, cwd=folder, check=True, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            return Status(**json.loads(done.stdout))
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            return Status(False, False, 0, f"it could not be tried: {error}")
