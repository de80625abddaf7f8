"""Answers shared with other servers through a Redis that may be slow, dead, emptied or written to by strangers (F15).

Place: asked after this server's own cache, by the one request that leads its flight; filled behind what the own cache
keeps. Rules: a look-up ends within `BUDGET_S`, whatever Redis does; look-ups that wait together are one command; while
the breaker is not closed nobody waits for Redis, and the trials that close it are made beside the requests. A purge
gives the model another epoch: entries of the former one are never met again, whoever wrote them, and until Redis has
taken the new one the model is not looked up.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from proxy.cache import second_level_codec as codec
from proxy.cache.breaker import Breaker, BreakerState
from proxy.cache.second_level_model import SharedAnswer, SharedModel
from proxy.cache.second_level_writing import FAILURES, PATIENCE_S, Write, Writing
from proxy.core.batches import BatchOutputs
from proxy.core.clock import Clock
from proxy.core.outage import in_words
from proxy.core.policies import CachePolicy
from proxy.core.reports import SecondLevelReport
from proxy.core.units import NS_PER_S

log = logging.getLogger(__name__)

# Longest that a request waits here. Larger: a slower Redis is still used, and every miss pays for it.
BUDGET_S = 0.005
# How often a breaker that is not closed is looked after, and Redis asked whether it is well while it is.
KEEPER_S = 0.25
WELL_S = 1.0
# Look-ups waiting at once, and sent in one command. Beyond the first a request goes to the model at once.
MOST_WAITING = 1_024
MOST_TOGETHER = 64

Found = Callable[[SharedAnswer | None], None]


class _Wanted:
    """One look-up on its way; `found` is None once it has ended."""

    __slots__ = ("began_ns", "found", "model", "name", "purges", "timer")

    def __init__(self, model: SharedModel, name: bytes, found: Found, began_ns: int) -> None:
        self.model = model
        self.name = name
        self.found: Found | None = found
        self.began_ns = began_ns
        self.purges = model.purges
        self.timer: asyncio.TimerHandle | None = None


class SecondLevel:
    """The shared cache as this server uses it. All methods run on the event loop."""

    def __init__(self, url: str, secret: bytes, clock: Clock, unix_time_s: Callable[[], float]) -> None:
        self._secret = secret
        self._clock, self._unix_time_s = clock, unix_time_s
        self._reader, self._writer = _client(url), _client(url)
        self._breaker = Breaker()
        self._models: dict[str, SharedModel] = {}  # that share
        self._resting: dict[str, SharedModel] = {}  # that do not now: what was purged meanwhile stays so
        self._writing = Writing(self._writer, secret, self._breaker, self._models.values)
        self._failed_ns = 0  # when the last failure was counted
        self._wanted: deque[_Wanted] = deque()
        self._fetching: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_stopping = False

    def start(self) -> None:
        """Connect, and begin to look after the connection."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        """End what is under way; look-ups end as misses, queued writes are dropped."""
        self._is_stopping = True  # a client that has its answer just then may swallow a cancellation
        tasks = [task for task in (self._keeper, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._writing.stop()
        for client in (self._reader, self._writer):
            await client.aclose()

    @property
    def state(self) -> BreakerState:
        """Whether Redis is used."""
        return self._breaker.state

    def configure(self, name: str, policy: CachePolicy) -> None:
        """Share the model's answers, or no longer."""
        model = self._models.pop(name, None) or self._resting.pop(name, None)
        if model is None:
            model = SharedModel(codec.epoch_name(self._secret, name))
        (self._models if policy.enabled and policy.second_level else self._resting)[name] = model
        model.ttl_ns = policy.ttl_ns
        self._writing.go_on()

    def forget(self, name: str) -> None:
        """The model is gone."""
        self._models.pop(name, None)
        self._resting.pop(name, None)

    def look_up(self, name: str, key: bytes, service_ns: float | None, found: Found) -> bool:
        """Look for the answer to the request with this key. True: `found` is called once, within the budget.

        False: it is not worth it (`service_ns`, what the model takes, is less than a look-up), or Redis is left alone.
        """
        model = self._models.get(name)
        is_shut = self._breaker.state is not BreakerState.CLOSED or len(self._wanted) >= MOST_WAITING
        if model is None or model.must_purge or is_shut or not model.is_worth_it(service_ns):
            return False
        wanted = _Wanted(model, codec.entry_name(self._secret, key), found, self._clock.now_ns())
        loop = asyncio.get_running_loop()
        wanted.timer = loop.call_later(BUDGET_S, self._too_late, wanted)
        self._wanted.append(wanted)
        if self._fetching is None:
            self._fetching = loop.create_task(self._fetch())
        return True

    def put(self, name: str, key: bytes, outputs: BatchOutputs, saved_ns: int) -> None:
        """Leave an answer for others, some time soon, if there is room for it in the queue."""
        model = self._models.get(name)
        if model is not None:
            now_ms = round(self._unix_time_s() * 1_000)
            entry_name = codec.entry_name(self._secret, key)
            self._writing.add(Write(model, entry_name, outputs, saved_ns, now_ms, model.purges))

    def purge(self, name: str | None = None) -> None:
        """Let nobody meet what is there of the model (None: of any) any more."""
        for models in (self._models, self._resting):
            for model_name, model in models.items():
                if name in (None, model_name):
                    model.purge()
        self._writing.go_on()

    def report(self, name: str) -> SecondLevelReport | None:
        """The shared cache as this model meets it; None where it does not share."""
        model = self._models.get(name)
        return None if model is None else model.report(self._breaker.state.value, self._breaker.message)

    async def _fetch(self) -> None:
        """Look up what is wanted, as many as wait in one command, until nothing is."""
        batch: list[_Wanted] = []
        try:
            while self._wanted and self._breaker.state is BreakerState.CLOSED:
                waiting = [self._wanted.popleft() for _ in range(min(len(self._wanted), MOST_TOGETHER))]
                batch = [wanted for wanted in waiting if wanted.found is not None]
                if batch:
                    await self._fetch_batch(batch)
        finally:
            self._fetching = None
            for wanted in (*batch, *self._wanted):  # the breaker has opened, or the server stops
                self._end(wanted, None, is_error=True)
            self._wanted.clear()

    async def _fetch_batch(self, batch: list[_Wanted]) -> None:
        epoch_names = list({wanted.model.epoch_name for wanted in batch})
        began_ns = self._clock.now_ns()
        try:
            async with asyncio.timeout(BUDGET_S):
                values = await self._reader.mget(epoch_names + [wanted.name for wanted in batch])
            if len(values) != len(epoch_names) + len(batch):
                raise ValueError(f"{len(values)} values for {len(epoch_names) + len(batch)} names")
        except FAILURES as error:
            self._failed(error, began_ns)
            for wanted in batch:
                self._end(wanted, None, is_error=True)
            return
        self._breaker.worked()
        found = [value if isinstance(value, bytes) else None for value in values]
        epochs = dict(zip(epoch_names, found, strict=False))
        for wanted, value in zip(batch, found[len(epoch_names) :], strict=True):
            self._read(wanted, epochs[wanted.model.epoch_name], value)

    def _read(self, wanted: _Wanted, epoch: bytes | None, value: bytes | None) -> None:
        """End the look-up by what Redis had under its name, unless that was before a purge."""
        if wanted.found is None:
            return
        model, now_unix_ns = wanted.model, round(self._unix_time_s() * NS_PER_S)
        model.took(self._clock.now_ns() - wanted.began_ns)
        if model.purges == wanted.purges:
            model.epoch = epoch
        else:
            value = None
        self._end(wanted, model.judge(self._secret, wanted.name, value, now_unix_ns))

    def _too_late(self, wanted: _Wanted) -> None:
        wanted.model.took(self._clock.now_ns() - wanted.began_ns)
        self._failed(TimeoutError(), wanted.began_ns)
        self._end(wanted, None, is_error=True)

    def _end(self, wanted: _Wanted, answer: SharedAnswer | None, *, is_error: bool = False) -> None:
        """Tell who asked, once."""
        found, wanted.found = wanted.found, None
        if found is None:
            return
        if wanted.timer is not None:
            wanted.timer.cancel()
        wanted.model.errors += is_error
        try:
            found(answer)
        except Exception:
            log.exception("a request could not go on after its look-up in the shared cache")

    async def _keep(self) -> None:
        """Make the first connection; then ask now and then whether Redis is well, which closes an open breaker."""
        well_ns = 0
        while not self._is_stopping:
            now_ns = self._clock.now_ns()
            is_due = self.state is BreakerState.CLOSED and now_ns - well_ns >= WELL_S * NS_PER_S
            if is_due or self._breaker.may_try(now_ns):
                well_ns = now_ns
                await self._try()
            self._writing.go_on()
            await asyncio.sleep(KEEPER_S)

    async def _try(self) -> None:
        """Connect with patience, then see whether an answer comes within the budget."""
        was, began_ns = self._breaker.state, self._clock.now_ns()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._reader.ping()
            async with asyncio.timeout(BUDGET_S):
                await self._reader.ping()
        except FAILURES as error:
            self._failed(error, began_ns)
            return
        self._breaker.worked()
        if was is not BreakerState.CLOSED and self._breaker.state is BreakerState.CLOSED:
            log.info("the shared cache is used again")

    def _failed(self, error: Exception, began_ns: int) -> None:
        """Count the failure of what began then, unless a failure since has been counted: one lull is one failure."""
        is_late = isinstance(error, TimeoutError)
        if is_late and began_ns < self._failed_ns:
            return
        text = f"no answer within {BUDGET_S * 1_000:.0f} ms" if is_late else in_words(error)
        was, self._failed_ns = self._breaker.state, self._clock.now_ns()
        self._breaker.failed(text, self._failed_ns)
        if was is BreakerState.CLOSED and self._breaker.state is BreakerState.OPEN:
            log.warning("the shared cache is left alone: %s", text)


def _client(url: str) -> Redis:
    return Redis.from_url(
        url,
        protocol=2,  # works with every server; nothing here needs what came later
        retry=Retry(NoBackoff(), 0),
        socket_timeout=PATIENCE_S,
        socket_connect_timeout=PATIENCE_S,
    )
