"""What the protocol's extensions need beside the line of inference: totals of versions, and loading and unloading.

Place: made by the runtime, read by `routes` of both ports. Changing what is loaded is the control plane's: `set_loaded`
is injected, runs in a thread, and gives the generation of the wanted state that holds the change.
Rules: a change is answered when it shows (or failed, or took too long), as Triton does; only admin keys see or change
the repository.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from proxy.core.clock import Clock
from proxy.core.errors import ExecutionFailed, Forbidden, InvalidRequest, NotReady, ProxyError, Reason
from proxy.core.principals import Principal
from proxy.core.reports import InstanceReport, SecondReport, VersionReport
from proxy.core.requests import Answer
from proxy.core.snapshot import Snapshot
from proxy.core.totals import VersionTotals
from proxy.core.units import NS_PER_S
from proxy.model_manager.lifecycle import COMING, LoadState
from proxy.protocol import v2_repository, v2_statistics
from proxy.protocol.v2_repository import IndexEntry
from proxy.protocol.v2_statistics import VersionStatistics

if TYPE_CHECKING:
    from proxy.model_manager.model_manager import ModelManager

log = logging.getLogger(__name__)

# `set_loaded(principal, model, loaded)`: blocking; raises ProxyError.
SetLoaded = Callable[[Principal, str, bool], int]


def no_control_plane(principal: Principal, model: str, loaded: bool) -> int:
    """`SetLoaded` of a data plane whose wanted state comes from elsewhere. Raises NotReady."""
    del principal, model, loaded
    raise NotReady(Reason.NOT_READY, "What is loaded cannot be changed through this server.")


LONGEST_CHANGE_NS = 60 * NS_PER_S  # a client's own patience is seldom longer; the change itself goes on
LOOK_EACH_S = 0.02
UNLOADED = LoadState.UNLOADED.value
BROKEN = (LoadState.FAILED, LoadState.QUARANTINED)
SETTLED = (LoadState.READY, LoadState.ASLEEP, *BROKEN)
_STATES = {
    LoadState.READY: "READY",
    LoadState.ASLEEP: "READY",  # a request is answered, after the wake
    **dict.fromkeys(COMING, "LOADING"),
    LoadState.DRAINING: "UNLOADING",
}


class View(Protocol):
    """What is read of the pipeline."""

    @property
    def snapshot(self) -> Snapshot:
        """The wanted state."""
        ...

    @property
    def latest_report(self) -> SecondReport | None:
        """The last second's measurements."""
        ...


class Extensions:
    """See the module. Everything runs on the event loop."""

    def __init__(
        self,
        view: View,
        manager: ModelManager,
        totals: Mapping[str, VersionTotals],
        clock: Clock,
        set_loaded: SetLoaded,
        feed_soon: Callable[[], None],
    ) -> None:
        self._view = view
        self._manager = manager
        self._totals = totals
        self._clock = clock
        self._set_loaded = set_loaded
        self._feed_soon = feed_soon
        self._tasks: set[asyncio.Task[None]] = set()

    def statistics(self, principal: Principal, model: str | None, number: int | None) -> bytes:
        """Totals of one version, of one model's versions, or of all that the caller may ask."""
        names = sorted(self._view.snapshot.models) if model is None else [model]
        report = self._view.latest_report
        instances = report.instances if report is not None else ()
        return v2_statistics.encode(
            VersionStatistics(name, version, self._totals.get(f"{name}/{version}", VersionTotals()), memory_bytes)
            for name in names
            if principal.may_infer(name)
            for version in sorted(self._view.snapshot.models[name].versions)
            if number is None or version == number
            for memory_bytes in (_memory_bytes(instances, name, version),)
        )

    def index(self, principal: Principal, body: bytes) -> bytes:
        """Every version that is wanted or still here, and every model without one."""
        check_admin(principal)
        ready_only = v2_repository.wants_ready_only(body)
        entries = (e for e in self._entries() if not ready_only or e.state == "READY")
        return v2_repository.index(entries)

    def change(
        self, principal: Principal, model: str, *, loaded: bool, respond: Callable[[Answer | ProxyError], None]
    ) -> Callable[[], None]:
        """Load or unload; `respond` is called once, unless the returned function is called before. The change stays."""
        task = asyncio.get_running_loop().create_task(self._change(principal, model, loaded, respond))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return lambda: _cancel(task)

    def _entries(self) -> Iterator[IndexEntry]:
        models = self._view.snapshot.models
        reports = {(r.model, r.version): r for r in self._manager.statistics()}
        wanted = {(name, number) for name, model in models.items() for number in model.versions}
        for name, number in sorted(wanted | reports.keys()):
            yield _entry(name, number, reports.get((name, number)))
        with_versions = {name for name, _ in wanted | reports.keys()}
        for name in sorted(models.keys() - with_versions):
            yield IndexEntry(name, None, "UNAVAILABLE", UNLOADED)

    async def _change(
        self, principal: Principal, model: str, loaded: bool, respond: Callable[[Answer | ProxyError], None]
    ) -> None:
        try:
            generation = await asyncio.to_thread(self._set_loaded, principal, model, loaded)
            self._feed_soon()
            await self._until_it_shows(generation, model, loaded=loaded)
        except ProxyError as error:
            respond(error)
        except Exception:
            log.exception("%s could not be %s", model, "loaded" if loaded else "unloaded")
            respond(ExecutionFailed(Reason.INTERNAL, "The server failed; its log says why."))
        else:
            respond(Answer(200, v2_repository.DONE))

    async def _until_it_shows(self, generation: int, model: str, *, loaded: bool) -> None:
        """Return when the change is in force. Raises ProxyError if it cannot be, or takes too long."""
        give_up_ns = self._clock.now_ns() + LONGEST_CHANGE_NS
        while self._view.snapshot.generation < generation or not self._is_done(model, loaded=loaded):
            if self._clock.now_ns() > give_up_ns:
                message = f"{model} is not {'loaded' if loaded else UNLOADED} yet; it goes on."
                raise NotReady(Reason.NOT_READY, message, NS_PER_S)
            await asyncio.sleep(LOOK_EACH_S)

    def _is_done(self, model: str, *, loaded: bool) -> bool:
        """True if every version of the model answers or has failed; or, unloading, if none answers any more."""
        known = self._view.snapshot.models.get(model)
        states = {r.version: r.state for r in self._manager.statistics() if r.model == model}
        if not loaded:
            return LoadState.READY not in states.values()
        if known is None or known.default_version is None:
            message = f"{model} has no version to serve: upload one, or promote a ready one."
            raise InvalidRequest(Reason.INVALID_REQUEST, message)
        if states.get(known.default_version) in BROKEN:
            raise self._failure(model, known.default_version)
        return all(states.get(number) in SETTLED for number in known.versions)

    def _failure(self, model: str, version: int) -> InvalidRequest:
        words = [r.message for r in self._manager.statistics() if (r.model, r.version) == (model, version)]
        return InvalidRequest(Reason.INVALID_REQUEST, f"{model} version {version} could not be loaded: {words[0]}")


def check_admin(principal: Principal) -> None:
    """The repository is administration. Raises Forbidden."""
    if not principal.is_admin:
        raise Forbidden(Reason.FORBIDDEN, "The model repository needs a key of scope admin.")


def _entry(name: str, number: int, report: VersionReport | None) -> IndexEntry:
    if report is None:
        return IndexEntry(name, number, "LOADING")
    state = _STATES.get(LoadState(report.state), "UNAVAILABLE")
    return IndexEntry(name, number, state, report.message or (UNLOADED if report.state == UNLOADED else ""))


def _memory_bytes(instances: tuple[InstanceReport, ...], model: str, version: int) -> int:
    return sum(i.memory_bytes for i in instances if i.model == model and i.version == version)


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
