"""How soon pages are there, what moves in them, and what the list of 1,000 models costs server and browser."""

from __future__ import annotations

import http.client
import statistics
import time
from dataclasses import replace
from typing import Any

import psutil
from playwright.sync_api import Browser, Page

from bench import browser as browsers
from bench import live_feed
from bench.browser import Person
from bench.harness import HOST, Site
from proxy.core.reports import InstanceReport, MachineReport, ModelSecond, SecondReport, VersionReport

Row = dict[str, Any]
MANY = 1_000
UPDATES = 20
VALUES = {"name": ["digits"], "number": ["1"]}
PATIENCE_MS = 60_000
LATER_MS = 1_200
"""After the first live figures: whatever comes late and moves something."""
_LOADS = 30

_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
_MANY_MODELS = f"""
from models_admin.models import Model, Policy, ScalingState
made = Model.objects.bulk_create(Model(name=f"model-{{number:04d}}") for number in range({MANY}))
Policy.objects.bulk_create(Policy(model=model) for model in made)
ScalingState.objects.bulk_create(ScalingState(model=model) for model in made)
"""


def first_paints(browser: Browser, site: Site, person: Person) -> dict[str, Row]:
    """Each page in a window of its own, whose cache is empty: first contentful paint in ms, and the layout's shift."""
    found = {}
    for address in browsers.pages(site, person, VALUES):
        context = browsers.window(browser, site, person, language="en", width=1440, theme="light")
        context.add_init_script(browsers.SHIFT_OBSERVER)
        page = context.new_page()
        page.goto(address)
        page.wait_for_function(browsers.IS_SETTLED, timeout=PATIENCE_MS)
        page.wait_for_timeout(LATER_MS)
        found[address] = {
            "first_contentful_paint_ms": round(page.evaluate(_PAINT)),
            "layout_shift": round(page.evaluate("window.__shift"), 4),
        }
        context.close()
    return found


def add_many_models(site: Site) -> None:
    """1,000 models without a version, beside those that are there."""
    site.manage("shell", "--command", _MANY_MODELS)


def list_on_the_server(site: Site, person: Person) -> Row:
    """The overview's list of 1,000 models, again and again: wall time, and the web process's processor time."""
    cookie = "; ".join(f"{one['name']}={one['value']}" for one in person.cookies)
    web = site.processes("dlproxy_site.web")[0]
    connection = http.client.HTTPConnection(HOST, site.port, timeout=60)
    for _ in range(3):
        _get(connection, "/", cookie)
    idle_cores = _cores(web, lambda: time.sleep(3))
    taken_s: list[float] = []
    used_s = _used_s(web)
    size_bytes = 0
    for _ in range(_LOADS):
        began_s = time.perf_counter()
        size_bytes = _get(connection, "/", cookie)
        taken_s.append(time.perf_counter() - began_s)
    used_s = _used_s(web) - used_s - idle_cores * sum(taken_s)
    connection.close()
    return {
        "models": MANY,
        "page_ms_median": round(statistics.median(taken_s) * 1e3, 1),
        "page_ms_largest": round(max(taken_s) * 1e3, 1),
        "page_cpu_ms": round(used_s / _LOADS * 1e3, 1),
        "page_kib": round(size_bytes / 1_024, 1),
    }


def live_update(browser: Browser, site: Site, person: Person) -> Row:
    """The overview's own scripts with a socket that says each time that all 1,000 models have changed.

    `frame_ms`: the main thread's time for one update: reading the message, scripts, style, layout and paint. The page
    reads a real websocket, whose messages the server's own code makes for what the page asked to see.
    """
    context = browsers.window(browser, site, person, language="en", width=1440, theme="light", csp=False)
    page = context.new_page()
    with live_feed.feeding() as feed:
        page.add_init_script(feed.script)
        page.goto("/")
        while not feed.sockets:
            page.wait_for_timeout(50)
        feed.say(_report(0))
        page.wait_for_timeout(1_000)
        client = context.new_cdp_session(page)
        client.send("Performance.enable")
        idle = _busy_of(client, lambda: page.wait_for_timeout(200 * UPDATES))
        busy = _busy_of(client, lambda: _updates(page, feed))
        shown = page.locator("[data-total=requests]").inner_text()
        row = page.locator("tr[data-model=model-0001] [data-field=requests]").inner_text()
        context.close()
    if shown != f"{MANY * _second(UPDATES).requests:,}" or row != str(_second(UPDATES).requests):
        raise RuntimeError(f"the page does not follow its socket: {shown}, {row}")
    frame_ms = {name: round((busy[name] - idle[name]) * 1e3 / UPDATES, 2) for name in busy}
    return {
        "models_changed": MANY,
        "message_kib": round(feed.sent_bytes / (UPDATES + 1) / 1_024, 1),
        "frame_ms": frame_ms["TaskDuration"],
        "of_it": {name.removesuffix("Duration").lower(): value for name, value in frame_ms.items()},
        "updates": UPDATES,
    }


def _busy_of(client: Any, work: Any) -> dict[str, float]:
    """Seconds that the main thread spent during `work`, by kind (Chromium's own counters)."""
    names = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
    before = {one["name"]: one["value"] for one in client.send("Performance.getMetrics")["metrics"]}
    work()
    after = {one["name"]: one["value"] for one in client.send("Performance.getMetrics")["metrics"]}
    return {name: after[name] - before[name] for name in names}


def _updates(page: Page, feed: live_feed.Feed) -> None:
    for number in range(1, UPDATES + 1):
        feed.say(_report(number))
        page.wait_for_timeout(200)


def _second(number: int) -> ModelSecond:
    """Figures of a busy model that all differ from those of the second before."""
    counts = ("errors", "rejections", "cache_misses", "coalesced", "inferences", "executions", "queue_depth")
    times = ("p50_ms", "p95_ms", "p99_ms", "mean_ms", "queue_mean_ms", "compute_mean_ms")
    figures = {**dict.fromkeys(counts, number), **dict.fromkeys(times, 1.5 + number / 7)}
    return ModelSecond(requests=10 + number, cache_hits=7 + number, instances=1, **figures)  # type: ignore[arg-type]


def _report(number: int) -> SecondReport:
    """A second in which all models changed."""
    names = [f"model-{index:04d}" for index in range(MANY)]
    one = _second(number)
    total = replace(one, requests=one.requests * MANY)
    machine = MachineReport(50.0 + number / 10, (50.0, 50.0 + number / 10), 1, 2)
    versions = tuple(VersionReport(name, 1, "ready", True, 1, 1, 0) for name in names)
    instances = tuple(
        InstanceReport(f"{name}#1", name, 1, 4_000, "ready", "cpu", 60.0 + number, 1 << 28, 100 + number, 1.5)
        for name in names
    )
    return SecondReport(number, number + 1.0, 1, total, dict.fromkeys(names, one), versions, instances, machine)


def _get(connection: http.client.HTTPConnection, path: str, cookie: str) -> int:
    connection.request("GET", path, headers={"Cookie": cookie})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path} answers {answer.status}")
    return len(body)


def _used_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _cores(process: psutil.Process, work: Any) -> float:
    used_s, began_s = _used_s(process), time.monotonic()
    work()
    return (_used_s(process) - used_s) / (time.monotonic() - began_s)
