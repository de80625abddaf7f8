"""A supervisor of small children for test_site_supervisor.py.

Arguments: a JSON list of [name, argv, required at start]; the grace in seconds; "ready", "starting" or "asking", which
is a node whose readiness is being asked for without an answer.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time

from dlproxy_site.supervisor import ChildSpec, Supervisor


def main() -> int:
    specs = [ChildSpec(name, argv, required_at_start=required) for name, argv, required in json.loads(sys.argv[1])]

    def is_ready() -> bool:
        if sys.argv[3] == "asking":
            with contextlib.suppress(Exception):  # as the handler of a log does
                print("server|asking", flush=True)
                time.sleep(3600)
            time.sleep(3600)
        return sys.argv[3] == "ready"

    return Supervisor(
        specs,
        lambda name, line: print(f"{name}|{line}", flush=True),
        on_tick=is_ready,
        grace_s=float(sys.argv[2]),
    ).run()


if __name__ == "__main__":
    sys.exit(main())
