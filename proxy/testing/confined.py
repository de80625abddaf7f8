"""`python -m proxy.testing.confined`: run Python code in the sandbox of a worker and print what it found.

Place: tests give hostile code on standard input; it runs where a model's code would run (after the libraries, beside
the artifact), with Python's whole reach instead of TorchScript's. It finds `attempt(function)`, which returns "allowed"
or the name of the error, and puts its findings into `findings`, printed as JSON.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from proxy.frames.config import InstanceConfig
from proxy.worker import namespaces
from proxy.worker.serving import confine


def attempt(function: Callable[[], Any]) -> str:
    """Call `function`; return "allowed", or the errno's or exception's name."""
    try:
        function()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    except Exception as error:
        return type(error).__name__
    return "allowed"


def _refuse() -> None:
    """Stand for a kernel that does not permit user namespaces to unprivileged processes."""
    raise PermissionError(errno.EPERM, "Operation not permitted")


def main() -> int:
    """Confine this process as a worker for the given artifact, then run the code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--artifact", required=True)
    parser.add_argument("--format", default="torchscript")
    parser.add_argument("--memory-limit-bytes", type=int, default=4 * 2**30)
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--namespaces", choices=("try", "refuse"), default="try")
    arguments = parser.parse_args()
    if arguments.namespaces == "refuse":
        namespaces.enter = _refuse
    code = compile(sys.stdin.read(), "<hostile>", "exec")
    config = InstanceConfig(arguments.artifact, arguments.format, None, memory_limit_bytes=arguments.memory_limit_bytes)
    _, sandbox = confine(config, os.getppid(), arguments.scratch)
    findings: dict[str, Any] = {"measures": sandbox.measures}
    names = {"attempt": attempt, "findings": findings, "artifact": arguments.artifact, "scratch": arguments.scratch}
    exec(code, names)  # noqa: S102  running strangers' code in the sandbox is this module's purpose
    print(json.dumps(findings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
