"""Which system calls a worker may not make, as a seccomp filter.

A deny list rather than an allow list: the libraries of models (torch, CUDA, onnxruntime) need many calls that change
with versions. Denied is what reaches other processes, the network or the kernel's administration. A denied call
returns an error, so that libraries take their fall-backs. Source: seccomp(2), linux/filter.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

from proxy.core.words import say
from proxy.worker import linux

_SET_MODE_FILTER = 1
_FLAG_TSYNC = 1
_RETURN_ALLOW = 0x7FFF_0000
_RETURN_ERRNO = 0x0005_0000
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NR_AT, _ARCH_AT, _ARG0_AT = 0, 4, 16
_CLONE_THREAD = 0x0001_0000
_X32_BIT = 0x4000_0000

# name: (x86_64, aarch64); None where the architecture lacks the call.
_DENIED: dict[str, tuple[int, int | None]] = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424), "kcmp": (312, 272), "fork": (57, None), "vfork": (58, None),
    "execve": (59, 221), "execveat": (322, 281), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "syslog": (103, 116),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "sethostname": (170, 161), "setdomainname": (171, 162), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "personality": (135, 92), "lookup_dcookie": (212, 18), "fanotify_init": (300, 262), "mknod": (133, None),
    "mknodat": (259, 33), "shmget": (29, 194), "shmat": (30, 196), "msgget": (68, 186), "semget": (64, 190),
    "mq_open": (240, 180), "iopl": (172, None), "ioperm": (173, None), "vhangup": (153, 58), "nfsservctl": (180, 42),
}  # fmt: skip
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_ONLY_ON_SELF = {"kill": (62, 129), "tgkill": (234, 131)}
_PRLIMIT = (302, 261)
_SECCOMP = (317, 277)
_ARCHITECTURES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}


class Unsupported(Exception):
    """No table of system calls for this machine."""


def restrict() -> str:
    """Install the filter on every thread of this process. Returns what is active. Raises OSError, Unsupported."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise Unsupported(say("no table of system calls for %(machine)s", machine=machine))
    column, audit = _ARCHITECTURES[machine]
    program = build(column, audit, os.getpid())
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: unsigned short count, padding, pointer.
    header = struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    pointer = ctypes.create_string_buffer(header, len(header))
    stranger = linux.syscall(_SECCOMP[column], _SET_MODE_FILTER, _FLAG_TSYNC, pointer)
    if stranger:
        raise OSError(errno.EBUSY, f"thread {stranger} could not be joined to the filter")
    return f"active ({len(_DENIED) + 4} rules)"


def build(column: int, audit_architecture: int, pid: int) -> bytes:
    """Return the filter's instructions. Pure."""
    deny = _RETURN_ERRNO | errno.EPERM
    code = [
        _op(_LOAD, _ARCH_AT),
        _op(_JUMP_EQUAL, audit_architecture, 1, 0),
        _op(_RETURN, deny),
        _op(_LOAD, _NR_AT),
    ]
    if column == 0:
        code += [_op(_JUMP_GREATER_EQUAL, _X32_BIT, 0, 1), _op(_RETURN, deny)]
    for numbers in _DENIED.values():
        number = numbers[column]
        if number is not None:
            code += [_op(_JUMP_EQUAL, number, 0, 1), _op(_RETURN, deny)]
    # ENOSYS: glibc then uses clone, whose flags the filter can read.
    code += [_op(_JUMP_EQUAL, _CLONE3[column], 0, 1), _op(_RETURN, _RETURN_ERRNO | errno.ENOSYS)]
    code += _if_argument(_CLONE[column], _op(_JUMP_SET, _CLONE_THREAD, 1, 0), deny)
    for numbers in _ONLY_ON_SELF.values():
        code += _if_argument(numbers[column], _op(_JUMP_EQUAL, pid, 1, 0), deny)
    code += [
        _op(_JUMP_EQUAL, _PRLIMIT[column], 0, 5),
        _op(_LOAD, _ARG0_AT),
        _op(_JUMP_EQUAL, 0, 2, 0),
        _op(_JUMP_EQUAL, pid, 1, 0),
        _op(_RETURN, deny),
        _op(_RETURN, _RETURN_ALLOW),
        _op(_RETURN, _RETURN_ALLOW),
    ]
    return b"".join(code)


def _if_argument(number: int, test: bytes, deny: int) -> list[bytes]:
    """Allow call `number` only if `test` holds for the low half of its first argument (a jump over the denial)."""
    return [
        _op(_JUMP_EQUAL, number, 0, 4),
        _op(_LOAD, _ARG0_AT),
        test,
        _op(_RETURN, deny),
        _op(_RETURN, _RETURN_ALLOW),
    ]


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)
