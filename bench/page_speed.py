"""How soon pages are there, what moves in them, and what the list of 1,000 models costs server and browser."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from typing import Any

import psutil
from playwright.sync_api import Browser, Page, WebSocketRoute

from bench import browser as browsers
from bench.browser import Person
from bench.harness import HOST, Site

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

    `frame_ms`: the main thread's time for one update: reading the message, scripts, style, layout and paint.
    """
    context = browsers.window(browser, site, person, language="en", width=1440, theme="light")
    page = context.new_page()
    sockets: list[WebSocketRoute] = []

    def take(socket: WebSocketRoute) -> None:
        sockets.append(socket)

    page.route_web_socket("**/ws/live/", take)
    page.goto("/")
    page.wait_for_function("document.readyState === 'complete'")
    while not sockets:
        page.wait_for_timeout(50)
    message = _snapshot()
    sockets[0].send(json.dumps(message))
    page.wait_for_timeout(1_000)
    client = context.new_cdp_session(page)
    client.send("Performance.enable")
    idle = _busy_of(page, client, lambda: page.wait_for_timeout(200 * UPDATES))
    busy = _busy_of(page, client, lambda: _updates(page, sockets[0]))
    shown = page.locator("[data-total=requests]").inner_text()
    context.close()
    if shown != str(_second(UPDATES)["requests"]):
        raise RuntimeError(f"the page does not follow its socket: {shown}")
    kib = len(json.dumps(_delta(1))) / 1_024
    frame_ms = {name: round((busy[name] - idle[name]) * 1e3 / UPDATES, 2) for name in busy}
    return {
        "models_changed": MANY,
        "message_kib": round(kib, 1),
        "frame_ms": frame_ms["TaskDuration"],
        "of_it": {name.removesuffix("Duration").lower(): value for name, value in frame_ms.items()},
        "updates": UPDATES,
    }


def _busy_of(page: Page, client: Any, work: Any) -> dict[str, float]:
    """Seconds that the main thread spent during `work`, by kind (Chromium's own counters)."""
    names = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
    before = {one["name"]: one["value"] for one in client.send("Performance.getMetrics")["metrics"]}
    work()
    after = {one["name"]: one["value"] for one in client.send("Performance.getMetrics")["metrics"]}
    return {name: after[name] - before[name] for name in names}


def _updates(page: Page, socket: Any) -> None:
    for number in range(1, UPDATES + 1):
        socket.send(json.dumps(_delta(number)))
        page.wait_for_timeout(200)


def _second(number: int) -> Row:
    figures = dict.fromkeys(("errors", "rejections", "cache_misses", "coalesced", "inferences", "executions"), number)
    times = dict.fromkeys(("p50_ms", "p95_ms", "p99_ms", "mean_ms", "queue_mean_ms"), 1.5 + number / 7)
    counts = {"requests": 10 + number, "cache_hits": 7 + number, "queue_depth": number, "instances": 1}
    return {**counts, **figures, **times}


def _snapshot() -> Row:
    names = [f"model-{number:04d}" for number in range(MANY)]
    machine = {"cpu_percent": 50.0, "per_core_percent": [50.0, 50.0], "memory_used_bytes": 1, "memory_total_bytes": 2}
    return {
        "type": "snapshot",
        "sequence": 0,
        "at": 1,
        "generation": 1,
        "total": _second(0),
        "models": {name: _second(0) for name in names},
        "versions": [],
        "instances": [],
        "machine": machine | {"gpus": [], "gpu_note": ""},
        "recent": {"total": [1] * 120, "models": {name: [number % 7 for number in range(120)] for name in names}},
    }


def _delta(number: int) -> Row:
    changed = {name: _second(number) for name in _snapshot()["models"]}
    state = {"sequence": number, "at": number, "total": _second(number), "models": changed, "removed": []}
    return {"type": "delta", "previous": number - 1, **state}


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
