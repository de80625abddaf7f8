"""`python -m bench.waiting_worker`: an instance that waits as long as a request says, after the start of a real one."""

from __future__ import annotations

import sys

import torch  # noqa: F401  what a real instance needs most of its start for

from proxy.testing.misbehaving_worker import main

if __name__ == "__main__":
    sys.exit(main())
