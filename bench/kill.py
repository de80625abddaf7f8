"""Kill -9 of an instance, of the Celery worker and of the web process under load: what 64 clients saw, counted.

Each client has one request on its way, always; each answer is checked against the model called directly. The load
lasts `--seconds`, the kill comes after a third of it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import Any

import psutil

from bench.digits import Work, digits_work
from bench.harness import HOST, Site, machine, running_site, write_result
from bench.load import Tally, Target, run_load

CONNECTIONS = 64
# part → words of its command line, and how many of its processes are killed.
PARTS = {
    "instance": "proxy.worker",
    "celery worker": "celery --app dlproxy_site.celery:app --quiet worker",
    "web process": "dlproxy_site.web",
}


def victim(site: Site, part: str, model: str) -> psutil.Process:
    """The process to kill; of the instances, the busiest (the load is on one model)."""
    found = site.processes(PARTS[part])
    if not found:
        raise SystemExit(f"no process of the {part} runs")
    if part == "instance":
        return max(found, key=lambda process: sum(process.cpu_times()[:2]))
    return found[0]


async def kill_under_load(site: Site, target: Target, work: Work, part: str, seconds: float) -> dict[str, Any]:
    """One load with one kill in it."""
    load = asyncio.create_task(run_load(target, work.cases, CONNECTIONS, seconds))
    await asyncio.sleep(seconds / 3)
    process = victim(site, part, "digits")
    process.kill()
    killed_s = time.monotonic()
    tally = await load
    return report(part, tally, killed_s)


def report(part: str, tally: Tally, killed_s: float) -> dict[str, Any]:
    """What clients saw. `outage_s`: the longest time without a right answer that lies after the kill."""
    after = sorted(at for at in tally.right_at_s if at >= killed_s)
    gaps = [b - a for a, b in zip([killed_s, *after], after, strict=False)]
    return {
        "killed": part,
        "requests": tally.right + tally.wrong + sum(tally.refused.values()) + tally.connection_errors + tally.timeouts,
        "right": tally.right,
        "wrong": tally.wrong,
        "refused": {str(status): count for status, count in sorted(tally.refused.items())},
        "connections_broken": tally.connection_errors,
        "connections_refused": tally.refused_connections,
        "timeouts": tally.timeouts,
        "outage_s": round(max(gaps), 3) if gaps else None,
        "last_error_after_kill_s": round(max((at - killed_s for at in tally.errors_at_s), default=0.0), 3),
        "p99_ms": round(tally.quantile_ms(0.99), 2),
        "refused_example": tally.refused_example,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        "| killed with SIGKILL | right | wrong | refused | connections broken | longest gap between right answers |"
    ]
    lines.append("|---|--:|--:|---|--:|--:|")
    for row in rows:
        refused = ", ".join(f"{count} × {status}" for status, count in row["refused"].items()) or "0"
        broken = row["connections_broken"] + row["connections_refused"] + row["timeouts"]
        gap = "none came" if row["outage_s"] is None else f"{row['outage_s']:.2f} s"
        lines.append(f"| {row['killed']} | {row['right']:,} | {row['wrong']} | {refused} | {broken} | {gap} |")
    return "\n".join(lines)


def main() -> int:
    """Run every part in turn on one server, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=24)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    arguments = parser.parse_args()
    rows = []
    with running_site(("digits",)) as site:
        key = site.admin_key()
        status, answer = site.api("PATCH", "/api/v1/models/digits/policy", key, {"cache_enabled": False})
        if status != 200:
            raise SystemExit(f"the policy could not be set: {status} {answer}")
        time.sleep(2)
        work = digits_work(site)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {site.first_run['api_key']}"}
        target = Target(HOST, site.inference_port, f"/v2/models/digits/versions/{work.version}/infer", headers)
        for part in arguments.parts:
            rows.append(asyncio.run(kill_under_load(site, target, work, part, arguments.seconds)))
            print(rows[-1], flush=True)
    settings = {"seconds": arguments.seconds, "connections": CONNECTIONS, "cache": "off"}
    path = write_result("kill", {"machine": machine(), "settings": settings, "rows": rows})
    print(f"\n{table(rows)}\n\nkept in {path}")
    return 1 if any(row["wrong"] or row["outage_s"] is None for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
