"""How soon pages are there and how long their frames take; or, with --screens, pictures of every page.

The list of 1,000 models: the server's processor time for the page, and the browser's time for a second's frame.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import threading
import time
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dlproxy_site.settings.default")
import django

from bench.harness import HOST, ROOT, Site, running_site

MANY = 1_000
VALUES = {"name": ["digits"], "number": ["1"]}
SCREENS = ROOT / "docs/screens"
SETTLE_MS = 3_000
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
# Work of the main thread in five live seconds: the longest task, and the busiest frame's share.
FRAMES = """async () => {
  const long = [];
  const watcher = new PerformanceObserver((list) => list.getEntries().forEach((one) => long.push(one.duration)));
  watcher.observe({ type: "longtask" });
  const late = [];
  let before = performance.now();
  const end = before + 5000;
  await new Promise((resolve) => {
    const frame = (now) => {
      late.push(now - before);
      before = now;
      now < end ? requestAnimationFrame(frame) : resolve();
    };
    requestAnimationFrame(frame);
  });
  return { longest_task_ms: Math.max(0, ...long), longest_frame_ms: Math.max(...late.slice(1)) };
}"""


def main() -> int:
    """Measure or picture, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screens", action="store_true", help=f"write a picture of every page to {SCREENS.name}/")
    parser.add_argument("--to", type=Path, default=SCREENS, help="folder of the pictures")
    asked = parser.parse_args()
    django.setup()
    with running_site(("digits",)) as site:
        if asked.screens:
            take_pictures(site, asked.to)
        else:
            sys.stdout.write(json.dumps(measure(site), indent=2) + "\n")
    return 0


def measure(site: Site) -> dict[str, object]:
    """First contentful paint of each page from a cold cache, and the list of many models."""
    from bench import browser as browsers

    with browsers.chromium() as browser:
        person = browsers.log_in(browser, site)
        paints = {}
        for address in browsers.pages(site, person, VALUES):
            context = browsers.window(browser, site, person, language="en", width=1440, theme="light")
            page = context.new_page()
            page.goto(address)
            page.wait_for_timeout(500)
            paints[address] = round(page.evaluate(PAINT) or 0)
            context.close()
        site.manage("shell", "--command", _MANY_MODELS)
        cookie = "; ".join(f"{one['name']}={one['value']}" for one in person.cookies)
        server_ms = [_server_ms(site, cookie) for _ in range(15)]
        context = browsers.window(browser, site, person, language="en", width=1440, theme="light")
        page = context.new_page()
        page.goto("/")
        page.wait_for_timeout(SETTLE_MS)
        frames = page.evaluate(FRAMES)
        context.close()
    many = {"models": MANY, "page_ms_median": round(statistics.median(server_ms), 1), **frames}
    return {"first_contentful_paint_ms": paints, "list": many}


_MANY_MODELS = f"""
from models_admin.models import Model, Policy, ScalingState
made = Model.objects.bulk_create(Model(name=f"model-{{number:04d}}") for number in range({MANY}))
Policy.objects.bulk_create(Policy(model=model) for model in made)
ScalingState.objects.bulk_create(ScalingState(model=model) for model in made)
"""


def _server_ms(site: Site, cookie: str) -> float:
    """From the request to the answer's last byte, on a connection that is open."""
    import http.client

    connection = http.client.HTTPConnection(HOST, site.port, timeout=60)
    connection.request("GET", "/keys/", headers={"Cookie": cookie})
    connection.getresponse().read()
    began_s = time.perf_counter()
    connection.request("GET", "/", headers={"Cookie": cookie})
    connection.getresponse().read()
    taken_s = time.perf_counter() - began_s
    connection.close()
    return taken_s * 1_000


def take_pictures(site: Site, folder: Path) -> None:
    """Every page under load: light and wide; the main ones dark, narrow and in Chinese, too."""
    from bench import browser as browsers

    folder.mkdir(parents=True, exist_ok=True)
    looks = [("en", 1440, "light"), ("en", 1440, "dark"), ("en", 390, "light"), ("zh-hans", 1440, "light")]
    main_pages = {"/", "/models/digits/", "/models/digits/policy/", "/tuning/"}
    with browsers.chromium() as browser, _load(site):
        person = browsers.log_in(browser, site)
        for language, width, theme in looks:
            context = browsers.window(browser, site, person, language=language, width=width, theme=theme)
            for address in browsers.pages(site, person, VALUES):
                if (language, width, theme) != looks[0] and address not in main_pages:
                    continue
                page = context.new_page()
                page.goto(address)
                page.wait_for_timeout(SETTLE_MS)
                name = address.strip("/").replace("/", "-") or "overview"
                words = [] if (language, width, theme) == looks[0] else [language, str(width), theme]
                page.screenshot(path=folder / f"{'-'.join([name, *words])}.png", animations="disabled")
                page.close()
            context.close()


class _load:  # noqa: N801  reads as a block
    """Eight clients on `digits` while the block runs, with the cache off, so that every chart has something to show."""

    def __init__(self, site: Site) -> None:
        from bench.digits import digits_work
        from bench.load import Target

        site.api("PATCH", "/api/v1/models/digits/policy", site.admin_key(), {"cache_enabled": False})
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {site.first_run['api_key']}"}
        self.target = Target(HOST, site.inference_port, "/v2/models/digits/infer", headers)
        self.cases = digits_work(site).cases
        self.goes_on = True
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        from bench.load import run_load

        while self.goes_on:
            asyncio.run(run_load(self.target, self.cases, connections=8, seconds=2))

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.goes_on = False
        self.thread.join()


if __name__ == "__main__":
    sys.exit(main())
