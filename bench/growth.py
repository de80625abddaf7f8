"""How our server holds as things grow: registered models, loaded models, tensor sizes, connections.

`tiny`, JSON, cache off, 64 connections, unless the row is about one of these. Loaded models are small ones, as many as
free memory allows; sizes go in and out as binary tensors where the server announces the extension, else as JSON, with
4 connections. Every part starts the server anew with a data directory of its own.
"""

from __future__ import annotations

import argparse
import http.client
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psutil

from bench import registry, wrk
from bench.fleet import memory
from bench.harness import HOST, Site, is_up, machine, write_result
from bench.ours import Home, OurServer, prepared
from bench.peers.wire import V2_BINARY, V2_JSON
from bench.target import count_wrong, is_close

Row = dict[str, Any]
REGISTERED = (1, 10, 100, 1_000)
LOADED = (1, 5, 20, 50)
SIZES = (256, 4_096, 65_536, 1_048_576, 16_777_216)
CONNECTIONS = (1, 10, 100, 500, 1_000, 2_000)
# One small torch model takes about this much; the rest of the machine keeps twice as much as one.
_MODEL_MIB = 250
_LOAD_LIMIT_S = 120


def registered(home: Home, seconds: float) -> Iterator[Row]:
    """Models known to the server, one of them loaded and asked."""
    with OurServer(home) as server:
        shot, known = _warm(server), 1
        for count in REGISTERED:
            if count > known:
                registry.add_models(server.site, known, count)
                known = count
            yield _cell(server, count, shot, 64, seconds)


def loaded(home: Home, seconds: float, most: int = LOADED[-1]) -> Iterator[Row]:
    """Models with an instance each, one of them asked."""
    with OurServer(home) as server:
        shot, known = _warm(server), 1
        for count in (count for count in LOADED if count <= most):
            if count > LOADED[0] and psutil.virtual_memory().available / 2**20 < (count - known + 2) * _MODEL_MIB:
                yield {"value": count, "left_out": "not enough free memory"}
                continue
            if count > known:
                registry.add_models(server.site, known, count, loaded=True)
                known = count
                if not _settled(server.site):
                    yield {"value": count, "left_out": f"not loaded within {_LOAD_LIMIT_S} s"}
                    continue
            yield _cell(server, count, shot, 64, seconds) | {"instances": server.instances()}


def sizes(home: Home, seconds: float) -> Iterator[Row]:
    """Bytes of one tensor, in and out."""
    wire = V2_BINARY if "binary_tensor_data" in home.extensions else V2_JSON
    with OurServer(home, wire) as server:
        for size_bytes in SIZES:
            values = [float(index % 251) for index in range(size_bytes // 4)]
            status, got = server.endpoint.ask(values)
            wrong = status != 200 or isinstance(got, str) or not is_close(got, [value + 1 for value in values])
            row = _cell(server, size_bytes, server.endpoint.shot_of(values), 4, seconds)
            row |= {"wrong": int(wrong), "mb_per_s": round(row["requests_per_s"] * size_bytes / 1e6, 1)}
            yield row | {"wire": "binary" if wire is V2_BINARY else "JSON"}


def connections(home: Home, seconds: float) -> Iterator[Row]:
    """Open keep-alive connections, each with a request on its way; the queue may hold them all (default: 1,000)."""
    with OurServer(home) as server:
        registry.set_policy(server.site, server.admin_key, "tiny", max_queue_requests=2 * max(CONNECTIONS))
        shot = _warm(server)
        for count in CONNECTIONS:
            yield _cell(server, count, shot, count, seconds)


PARTS: dict[str, tuple[str, Callable[[Home, float], Iterator[Row]]]] = {
    "registered": ("tiny", registered),
    "loaded": ("tiny", loaded),
    "sizes": ("any", sizes),
    "connections": ("tiny", connections),
}


def _warm(server: OurServer) -> wrk.Shot:
    wrong, example = count_wrong(server.endpoint, "tiny")
    if wrong:
        raise RuntimeError(f"{wrong} wrong answers before any load: {example}")
    shot = server.endpoint.shot("tiny")
    wrk.load(shot, 64, 2)
    return shot


def _cell(server: OurServer, value: int, shot: wrk.Shot, count: int, seconds: float) -> Row:
    row = {"value": value, **wrk.load(shot, count, seconds)}
    return row | {"web_resident_mib": memory(server)["resident_mib"]}


def _settled(site: Site) -> bool:
    """Wait until every model answers."""
    end_s = time.monotonic() + _LOAD_LIMIT_S
    while time.monotonic() < end_s:
        if is_up(site) and _all_ready(site):
            return True
        time.sleep(0.5)
    return False


def _all_ready(site: Site) -> bool:
    connection = http.client.HTTPConnection(HOST, site.inference_port, timeout=10)
    try:
        connection.request("GET", "/v2/models", headers={"Authorization": f"Bearer {site.first_run['api_key']}"})
        return b'"ready":false' not in connection.getresponse().read()
    finally:
        connection.close()


def table(part: str, rows: list[Row]) -> str:
    """One part as Markdown."""
    unit = {"registered": "registered models", "loaded": "loaded models", "sizes": "bytes a tensor"}
    with_bytes = part == "sizes"
    head = [unit.get(part, part), "requests/s", *(["MB/s each way"] if with_bytes else []), "p50 ms", "p99 ms"]
    lines = [f"| {' | '.join([*head, 'errors', 'web process, MiB'])} |", "|" + "--:|" * (len(head) + 2)]
    for row in rows:
        if "left_out" in row:
            lines.append(f"| {row['value']:,} | {row['left_out']} |" + " |" * len(head))
            continue
        cells = [f"{row['value']:,}", f"{row['requests_per_s']:,.0f}"]
        cells += [f"{row['mb_per_s']:,.0f}"] if with_bytes else []
        cells += [f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}", str(row["errors"]), f"{row['web_resident_mib']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Parse arguments, measure part by part, print, keep; status 1 where a request failed or an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--seconds", type=float, default=3, help="of each cell")
    parser.add_argument("--most-loaded", type=int, default=LOADED[-1], help="most models with instances (default 50)")
    parser.add_argument("--name", default="growth", help="of the result: bench/results/<date>-<name>.json")
    arguments = parser.parse_args()
    wrk.require_wrk()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    results: dict[str, list[Row]] = {}
    parts = {**PARTS, "loaded": ("tiny", partial(loaded, most=arguments.most_loaded))}
    for part in arguments.parts:
        workload, measure = parts[part]
        print(f"{part}: preparing", flush=True)
        with prepared(workload) as home:
            for row in measure(home, arguments.seconds):
                results.setdefault(part, []).append(row)
                print(f"  {row}", flush=True)
    path = write_result(arguments.name, {"machine": machine(), "settings": vars(arguments), "parts": results})
    text = "\n\n".join(f"## {part}\n\n{table(part, rows)}" for part, rows in results.items()) + "\n"
    path.with_suffix(".md").write_text(text)
    print(f"\n{text}\nkept in {path}")
    return int(any(row.get("errors") or row.get("wrong") for rows in results.values() for row in rows))


if __name__ == "__main__":
    sys.exit(main())
