"""A supervisor of small children for test_site_supervisor.py.

Arguments: a JSON list of [name, argv, stop order, required at start]; the grace in seconds; "ready" or "starting".
"""

from __future__ import annotations

import json
import sys

from dlproxy_site.supervisor import ChildSpec, Supervisor


def main() -> int:
    specs = [
        ChildSpec(name, argv, stop_order=order, required_at_start=required)
        for name, argv, order, required in json.loads(sys.argv[1])
    ]
    ready = sys.argv[3] == "ready"
    return Supervisor(
        specs,
        lambda name, line: print(f"{name}|{line}", flush=True),
        on_tick=lambda: ready,
        grace_s=float(sys.argv[2]),
    ).run()


if __name__ == "__main__":
    sys.exit(main())
