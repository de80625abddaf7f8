"""The few Linux calls that Python does not offer, through ctypes."""

from __future__ import annotations

import ctypes
import os
from functools import cache

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def prctl(option: int, argument: int = 0) -> None:
    """Set an attribute of this process. Raises OSError."""
    zero = ctypes.c_ulong(0)
    _check(_libc().prctl(ctypes.c_int(option), ctypes.c_ulong(argument), zero, zero, zero), "prctl")


def syscall(number: int, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    """Make any system call, with integers and buffers. Raises OSError."""
    passed = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    function = _libc().syscall
    function.restype = ctypes.c_long
    result: int = function(ctypes.c_long(number), *passed)
    return _check(result, f"system call {number}")


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` name. Raises OSError."""
    _check(_libc().unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None) -> None:
    """Attach a file system. Raises OSError."""
    encoded = [None if text is None else text.encode() for text in (source, target, kind)]
    data = None if options is None else options.encode()
    _check(_libc().mount(*encoded, ctypes.c_ulong(flags), data), "mount")


def drop_capabilities() -> None:
    """Give up every capability, in this process and for what it could execute. Raises OSError."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break  # EINVAL: beyond the kernel's last capability; EPERM: none held, so nothing to drop
    version_3 = 0x2008_0522
    header = ctypes.create_string_buffer(version_3.to_bytes(4, "little") + bytes(4), 8)
    nothing = ctypes.create_string_buffer(bytes(24), 24)
    _check(_libc().capset(header, nothing), "capset")


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
