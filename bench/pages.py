"""What the dashboard costs: first paint of every page, the list of 1,000 models, 200 open dashboards; or pictures.

Parts: `paints` (each page from a cold cache: first contentful paint, layout shift), `list` (the overview with 1,000
models on the server, and one live update of it in the browser), `dashboards` (inference with none and with 200 live
sockets by turns). `--screens` writes a picture of every page instead.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlproxy_site.settings.default")
import django

from bench import page_goals, wrk
from bench.harness import ROOT, Site, machine, running_site, write_result

Row = dict[str, Any]
PARTS = ("paints", "list", "dashboards")
SCREENS = ROOT / "docs/screens"


def main() -> int:
    """Measure or picture, print, keep; status 1 where a request failed or a socket was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--rounds", type=int, default=4, help="of the part `dashboards` (default 4)")
    parser.add_argument("--seconds", type=float, default=6, help="of each turn (default 6)")
    parser.add_argument("--screens", action="store_true", help="write a picture of every page, and measure nothing")
    parser.add_argument("--every", action="store_true", help="with --screens: every page in every look")
    parser.add_argument("--to", type=Path, default=SCREENS, help="folder of the pictures (default docs/screens)")
    asked = parser.parse_args()
    django.setup()
    if asked.screens:
        from bench import pictures

        pictures.require_chinese_font()
        with running_site(("digits",)) as site:
            print(f"{pictures.take(site, asked.to, every=asked.every)} pictures in {asked.to}")
        return 0
    wrk.require_wrk()
    began_s = time.monotonic()
    settings = {"parts": asked.parts, "rounds": asked.rounds, "seconds": asked.seconds}
    content: Row = {"machine": machine(), "settings": settings}
    try:
        with running_site(("digits",)) as site:
            for found in measure(site, asked.parts, asked.rounds, asked.seconds):
                content |= found
    finally:
        # Minutes of a part that ended are not lost by a fault of a later one.
        path = write_result("pages", content)
        path.with_suffix(".md").write_text(markdown(content))
        print(f"\n{markdown(content)}\nkept in {path} after {time.monotonic() - began_s:.0f} s")
    dashboards = content.get("dashboards", {})
    return int(bool(dashboards.get("errors") or dashboards.get("sockets_lost")))


def measure(site: Site, parts: list[str], rounds: int, seconds: float) -> Iterator[Row]:
    """Each part's finds as it ends, on one server; the sockets' first, while it has two models and not 1,000."""
    from bench import browser as browsers
    from bench import dashboards, page_speed

    if "dashboards" in parts:
        yield {"dashboards": dashboards.measure(site, rounds, seconds)}
    if not {"paints", "list"} & set(parts):
        return
    with browsers.chromium() as browser:
        person = browsers.log_in(browser, site)
        if "paints" in parts:
            yield {"paints": page_speed.first_paints(browser, site, person)}
        if "list" in parts:
            page_speed.add_many_models(site)
            listed = page_speed.list_on_the_server(site, person)
            yield {"list": listed, "update": page_speed.live_update(browser, site, person)}


def markdown(content: Row) -> str:
    """The tables."""
    computer = content["machine"]
    what = f"{computer['processor']}, {computer['cores']} cores, {computer['memory_gib']} GiB"
    parts = [f"# The dashboard at commit {computer['commit']}", f"{what}, Python {computer['python']}."]
    parts += ["## Goals", page_goals.table(content)]
    if "list" in content:
        parts += ["## 1,000 models", _list_table(content["list"], content["update"])]
    if "dashboards" in content:
        parts += [f"## {content['dashboards']['sockets']} open dashboards", _dashboards_table(content["dashboards"])]
    if "paints" in content:
        parts += ["## First contentful paint, cold cache", _paints_table(content["paints"])]
    return "\n\n".join(parts) + "\n"


def _list_table(listed: Row, update: Row) -> str:
    changed = f"all {update['models_changed']:,} models changed ({update['message_kib']} KiB)"
    parts = ", ".join(str(update["of_it"][name]) for name in ("script", "recalcstyle", "layout"))
    lines = [
        "| what | measured | goal |",
        "|---|--:|--:|",
        f"| overview on the server, wall time, median | {listed['page_ms_median']} ms | < 100 ms |",
        f"| the web process's processor time for it | {listed['page_cpu_ms']} ms | |",
        f"| size of the page | {listed['page_kib']} KiB | |",
        f"| browser's main thread for one live update, {changed} | {update['frame_ms']} ms | < 30 ms |",
        f"| of it scripts, style and layout | {parts} ms | |",
    ]
    return "\n".join(lines)


def _dashboards_table(found: Row) -> str:
    head = "| turn | p99 ms | p50 ms | requests/s | web process, cores | us a request |\n|---|--:|--:|--:|--:|--:|"
    lines = [head]
    for name, row in found["medians"].items():
        cells = [f"{row[key]:,}" for key in ("p99_ms", "p50_ms", "requests_per_s", "web_cores", "web_us_a_request")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    ratios = found["ratios"]
    told = [
        f"{name}: p99 {row['p99_ms']:.2f} times, requests/s {row['requests_per_s']:.2f} times those of none"
        for name, row in ratios.items()
    ]
    words = (
        f"Medians of the rounds' own ratios: {'; '.join(told)}. {found['connections']} connections of wrk. "
        f"The sockets' own process took {found['watchers_cores']:.3f} of a core on the same machine; lost sockets: "
        f"{found['sockets_lost']}, failed requests: {found['errors']}. Without load a socket costs the web process "
        f"{found['without_load']['web_us_a_socket_and_second']} us a second."
    )
    return "\n".join([*lines, "", words])


def _paints_table(paints: dict[str, Row]) -> str:
    lines = ["| page | first contentful paint, ms | layout shift |", "|---|--:|--:|"]
    for address, row in paints.items():
        lines.append(f"| `{address}` | {row['first_contentful_paint_ms']} | {row['layout_shift']} |")
    worst = max(row["first_contentful_paint_ms"] for row in paints.values())
    shift = max(row["layout_shift"] for row in paints.values())
    return "\n".join([*lines, f"| worst (goals: 1,000 ms, 0.05) | {worst} | {shift} |"])


if __name__ == "__main__":
    sys.exit(main())
