"""The one door through which Django meets the data plane.

Place: `models_admin` and `dlproxy_site` import this (and `proxy.core`), nothing deeper.
Rules: every call is safe from any thread; before the runtime has started `current()` is None and callers say so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from proxy.core.errors import NotReady, Reason
from proxy.core.instance_reports import ExitReport, InstanceLog, OrderOutcome
from proxy.core.reports import SecondReport
from proxy.core.request_reports import RequestQuery, RequestReport
from proxy.core.requests import Answer
from proxy.instance_orders import number_of
from proxy.instances.log import in_words

if TYPE_CHECKING:
    from proxy.core.principals import Principal
    from proxy.runtime import Runtime

# A snapshot is read in about 10 ms. Longer: calls of the admin API hang longer while the database is slow.
APPLY_LIMIT_S = 2.0
_APPLY_LOOK_S = 0.002
_SERVING_LOOK_S = 0.02
_OLD_NEWS_S = 2.5  # until then a report may be of the time before the change
_GIVEN_UP = ("failed", "quarantined")

T = TypeVar("T")
Headers = Iterable[tuple[bytes, bytes]]
_runtime: Runtime | None = None


def attach(runtime: Runtime | None) -> None:
    """Make `runtime` the one that this process answers with (None: stopped)."""
    global _runtime  # noqa: PLW0603  one runtime a process, set once by the site's ASGI application
    _runtime = runtime


def current() -> Runtime | None:
    """The running data plane of this process, or None (a Celery worker, a management command)."""
    return _runtime


def latest_report() -> SecondReport | None:
    """The last second's measurements, or None where no data plane runs in this process."""
    return _runtime.latest_report if _runtime else None


def subscribe(callback: Callable[[SecondReport], Any]) -> Callable[[], None]:
    """Call `callback(report)` on the event loop after each second; returns the function that ends it.

    Raises NotReady where no data plane runs in this process.
    """
    return _require().subscribe(callback)


def configuration_changed() -> None:
    """Tell the data plane to read the wanted state now rather than at its next look. Does nothing elsewhere."""
    if _runtime is not None:
        _runtime.feed_soon()


def wait_until_applied(generation: int, limit_s: float = APPLY_LIMIT_S) -> bool:
    """Block until the data plane of this process acts on `generation` (True), or for `limit_s` at most.

    With it an answer of the admin API is an acknowledgement: no request that is sent later meets what was before. False
    where no data plane runs in this process; it follows by itself. Not for the event loop's thread.
    """
    runtime, end_s = _runtime, time.monotonic() + limit_s
    while runtime is not None and time.monotonic() < end_s:
        if runtime.pipeline.snapshot.generation >= generation:
            return True
        time.sleep(_APPLY_LOOK_S)
    return False


def wait_until_serving(model: str, number: int, limit_s: float) -> bool:
    """Block until requests that name no version are answered by this one (True), or for `limit_s` at most.

    It ends early where the version was given up. False where no data plane runs in this process. Not for the event
    loop's thread.
    """
    runtime, begun_s = _runtime, time.monotonic()
    while runtime is not None and (waited_s := time.monotonic() - begun_s) < limit_s:
        if runtime.serving(model) == number:
            return True
        if waited_s > _OLD_NEWS_S and _is_given_up(runtime.latest_report, model, number):
            return False
        time.sleep(_SERVING_LOOK_S)
    return False


def _is_given_up(report: SecondReport | None, model: str, number: int) -> bool:
    versions = report.versions if report is not None else ()
    return any((v.model, v.version) == (model, number) and v.state in _GIVEN_UP for v in versions)


def key_holder(authorization: bytes) -> Principal | None:
    """Whose key this `Authorization` header carries, if it is valid now: to refuse early, never a right by itself."""
    return _runtime.key_holder(authorization) if _runtime is not None else None


def requests(query: RequestQuery) -> tuple[RequestReport, ...]:
    """Remembered requests, none where no data plane runs. Reads copies: the event loop is not held up."""
    return _runtime.requests(query) if _runtime is not None else ()


def instance_exits() -> tuple[ExitReport, ...]:
    """How instances ended lately, the newest first; none where no data plane runs."""
    return _runtime.instance_exits() if _runtime is not None else ()


def instance_log(number: int, lines: int) -> InstanceLog | None:
    """The last lines that an instance printed, or that it left; None if it is not known. Not for the loop's thread."""
    runtime = _require()
    living = _on_loop(runtime, partial(runtime.orders.printed, number))
    if living is not None:
        return InstanceLog(living[0], in_words(living[1], lines), is_alive=True)
    for report in runtime.instance_exits():
        if number_of(report.instance_id) == number:
            return InstanceLog(report.instance_id, report.log, is_alive=False)
    return None


def restart_instance(number: int, why: str) -> OrderOutcome:
    """Replace one instance by another that is started beside it. Not for the event loop's thread."""
    runtime = _require()
    return _on_loop(runtime, partial(runtime.orders.restart, number, why))


def drain_instance(number: int, why: str) -> OrderOutcome:
    """Let one instance finish and end. Not for the event loop's thread."""
    runtime = _require()
    return _on_loop(runtime, partial(runtime.orders.drain, number, why))


def purge_cache(model: str | None = None, version_digest: str | None = None) -> None:
    """Drop cached answers of `model` (or of one of its artifacts), or of all. Does nothing where no data plane runs."""
    if _runtime is not None:
        _runtime.purge_cache(model, version_digest)


async def infer(principal: Principal, model: str, version: str | None, body: bytes, headers: Headers = ()) -> Answer:
    """Answer a V2 inference body for an already authenticated caller. Errors come back as answers, too.

    `headers` (names in lower case) say how the body is to be read; without them it is JSON.
    """
    return await _require().infer(principal, model, version, body, headers)


def infer_from_thread(
    principal: Principal, model: str, version: str | None, body: bytes, headers: Headers = ()
) -> Answer:
    """As `infer`, from a thread other than the event loop's (a synchronous view); blocks until the answer."""
    runtime = _require()
    future = asyncio.run_coroutine_threadsafe(runtime.infer(principal, model, version, body, headers), runtime.loop)
    try:
        return future.result(timeout=runtime.longest_wait_s)
    except FutureTimeoutError:
        future.cancel()
        raise NotReady(Reason.NOT_READY, "The data plane did not answer in time.") from None


def _on_loop(runtime: Runtime, function: Callable[[], T]) -> T:
    try:
        return runtime.on_loop(function)
    except FutureTimeoutError:
        raise NotReady(Reason.NOT_READY, "The data plane did not answer in time.") from None


def _require() -> Runtime:
    if _runtime is None:
        raise NotReady(Reason.NOT_READY, "No data plane runs in this process; start the server with script/server.")
    return _runtime
