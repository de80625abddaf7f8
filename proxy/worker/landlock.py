"""Which files a worker may touch, as Landlock rules (Linux 5.13 and later).

Source: https://docs.kernel.org/userspace-api/landlock.html. Rights that the kernel does not know yet are left out,
so that an older kernel gives fewer, never no, restrictions.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from proxy.worker import linux

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_FS_BITS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15}
_NEWEST_FS_BITS = 16
_NET_TCP = 0b11
_SCOPE_ABSTRACT_UNIX_AND_SIGNALS = 0b11
_ABI_WITH_NET, _ABI_WITH_SCOPES = 4, 6

READ = _EXECUTE | _READ_FILE | _READ_DIR
DEVICE = _READ_FILE | _WRITE_FILE | _IOCTL_DEV
EVERYTHING = (1 << _NEWEST_FS_BITS) - 1


@dataclass(frozen=True, slots=True)
class Rule:
    """`rights` on `path` and, if it is a directory, on everything beneath. A missing path is no rule."""

    path: str
    rights: int


def restrict(rules: Iterable[Rule]) -> str:
    """Deny this thread (and those it starts) every file but the rules' ones. Returns what is active. Raises OSError."""
    abi = linux.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    handled = (1 << _FS_BITS_BY_ABI.get(abi, _NEWEST_FS_BITS)) - 1
    net = _NET_TCP if abi >= _ABI_WITH_NET else 0
    scopes = _SCOPE_ABSTRACT_UNIX_AND_SIGNALS if abi >= _ABI_WITH_SCOPES else 0
    size = 24 if scopes else 16 if net else 8
    attributes = ctypes.create_string_buffer(struct.pack("<QQQ", handled, net, scopes)[:size], size)
    ruleset = linux.syscall(_CREATE_RULESET, attributes, size, 0)
    try:
        for rule in rules:
            _add(ruleset, rule, handled)
        linux.syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return f"active (Landlock ABI {abi})"


def _add(ruleset: int, rule: Rule, handled: int) -> None:
    try:
        path = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rights = rule.rights & handled
        if not stat.S_ISDIR(os.fstat(path).st_mode):
            rights &= _FILE_RIGHTS
        packed = ctypes.create_string_buffer(struct.pack("<Qi", rights, path), 12)
        linux.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, packed, 0)
    finally:
        os.close(path)
