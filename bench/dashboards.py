"""What open dashboards cost inference: one load, by turns with none and with many live sockets, in one run.

Each round has three turns: none, none once more (how far two equal turns differ on this machine), and all sockets open.
The sockets belong to one process (bench/watchers.py), whose own processor time is told: on few cores it takes from the
server what browsers elsewhere would not.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil

from bench import wrk
from bench.digits import digits_work
from bench.harness import HOST, ROOT, Site

Row = dict[str, Any]
DASHBOARDS = 200
CONNECTIONS = 16
SETTLE_S = 1.5
"""After the last snapshot is sent, so that connecting is not measured."""

_COOKIES = """
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
for number in range({count}):
    user = User.objects.create(username=f"watcher-{{number}}", password="!")
    store = SessionStore()
    store[SESSION_KEY], store[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
    store[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    store.save()
    print(f"COOKIE {{settings.SESSION_COOKIE_NAME}}={{store.session_key}}")
"""


def cookies(site: Site, count: int) -> list[str]:
    """A login of its own for each of `count` people, as the Cookie header has it."""
    lines = site.manage("shell", "--command", _COOKIES.format(count=count)).splitlines()
    return [line.removeprefix("COOKIE ") for line in lines if line.startswith("COOKIE ")]


@contextlib.contextmanager
def watching(site: Site, logins: list[str]) -> Iterator[Row]:
    """A live socket for each login while the block runs; the row is filled in when it ends."""
    command = [sys.executable, "-m", "bench.watchers", str(site.port)]
    told: Row = {}
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(logins) + "\n")
        process.stdin.flush()
        if process.stdout.readline().strip() != "READY":
            raise RuntimeError("the sockets could not be opened")
        began_s = time.monotonic()
        yield told
        seconds = time.monotonic() - began_s
        process.stdin.write("\n")
        process.stdin.flush()
        told.update(json.loads(process.stdout.readline()), seconds=seconds)


def measure(site: Site, rounds: int, seconds: float, count: int = DASHBOARDS) -> Row:
    """Interleaved turns; medians, and the medians of each round's ratios to its turn without sockets."""
    site.api("PATCH", "/api/v1/models/digits/policy", site.admin_key(), {"cache_enabled": False})
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {site.first_run['api_key']}"}
    url = f"http://{HOST}:{site.inference_port}/v2/models/digits/infer"
    shot = wrk.Shot(url, digits_work(site).cases[0].body, headers)
    logins = cookies(site, count)
    web = site.processes("dlproxy_site.web")[0]
    wrk.load(shot, CONNECTIONS, 3)
    turns: dict[str, list[Row]] = {"none": [], "none again": [], "all": []}
    for number in range(rounds):
        order = list(turns) if number % 2 == 0 else list(reversed(turns))
        for name in order:
            with watching(site, logins) if name == "all" else contextlib.nullcontext({}) as told:
                time.sleep(SETTLE_S)
                row = _turn(web, shot, seconds)
            turns[name].append(row | ({"watchers": dict(told)} if told else {}))
            print(f"dashboards  {name}: {turns[name][-1]}", flush=True)
    idle = _idle_cost(site, web, logins, seconds)
    return {
        "sockets": count,
        "connections": CONNECTIONS,
        "turns": turns,
        **_summary(turns, count),
        "without_load": idle,
    }


def _turn(web: psutil.Process, shot: wrk.Shot, seconds: float) -> Row:
    before_s, began_s = _used_s(web), time.monotonic()
    row = wrk.load(shot, CONNECTIONS, seconds)
    taken_s = time.monotonic() - began_s
    cores = (_used_s(web) - before_s) / taken_s
    return row | {"web_cores": round(cores, 3), "web_us_a_request": round(cores * 1e6 / row["requests_per_s"], 1)}


def _idle_cost(site: Site, web: psutil.Process, logins: list[str], seconds: float) -> Row:
    """The web process's time for the sockets where nothing else is asked of it, a second and a socket."""
    shares = {}
    for name, opened in (("none", []), ("all", logins)):
        with watching(site, opened) if opened else contextlib.nullcontext({}) as told:
            time.sleep(SETTLE_S)
            before_s, began_s = _used_s(web), time.monotonic()
            time.sleep(2 * seconds)
            shares[name] = (_used_s(web) - before_s) / (time.monotonic() - began_s)
    us = (shares["all"] - shares["none"]) / len(logins) * 1e6
    return {"web_us_a_socket_and_second": round(us, 1), "watchers": dict(told)}


def _used_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _summary(turns: dict[str, list[Row]], count: int) -> Row:
    names = ("p99_ms", "p50_ms", "requests_per_s", "web_cores", "web_us_a_request")
    medians = {turn: {name: _median([row[name] for row in rows]) for name in names} for turn, rows in turns.items()}
    ratios = {
        turn: {
            name: _median([row[name] / base[name] for row, base in zip(turns[turn], turns["none"], strict=True)])
            for name in ("p99_ms", "requests_per_s")
        }
        for turn in ("none again", "all")
    }
    watchers = [row["watchers"] for row in turns["all"]]
    share = _median([one["cpu_s"] / one["seconds"] for one in watchers])
    lost = sum(count - one["open"] for one in watchers)
    errors = sum(row["errors"] for rows in turns.values() for row in rows)
    return {"medians": medians, "ratios": ratios, "watchers_cores": share, "sockets_lost": lost, "errors": errors}


def _median(values: list[float]) -> float:
    return round(statistics.median(values), 3)
