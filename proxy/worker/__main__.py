"""`python -m proxy.worker`: the process behind an instance, started by a parent from which it inherits descriptors."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import socket
import sys
from typing import Any

from proxy.worker.loop import Link, ParentGone
from proxy.worker.serving import run


class DroppingWriter(io.RawIOBase):
    """Standard output that never blocks: what the pipe cannot take is dropped, so a chatty model cannot hang itself."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        with contextlib.suppress(OSError):  # full or closed: lost text is the lesser evil
            os.write(self._descriptor, view)
        return len(view)


def main() -> int:
    """Read the arguments, take over the channel, serve. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="proxy.worker")
    parser.add_argument("--channel-fd", type=int, required=True)
    parser.add_argument("--request-fd", type=int, required=True)
    parser.add_argument("--response-fd", type=int, required=True)
    parser.add_argument("--parent-pid", type=int, required=True)
    parser.add_argument("--scratch", required=True)
    arguments = parser.parse_args()
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.set_blocking(descriptor, False)
        setattr(sys, name, io.TextIOWrapper(DroppingWriter(descriptor), "utf-8", "replace", write_through=True))
    channel = socket.socket(fileno=arguments.channel_fd)
    channel.setblocking(True)
    link = Link(channel, arguments.request_fd, arguments.response_fd)
    try:
        return run(link, arguments.parent_pid, arguments.scratch)
    except ParentGone:
        return 0


if __name__ == "__main__":
    sys.exit(main())
