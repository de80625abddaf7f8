"""A machine on a clock that stands still: plays the traces of its models (proxy.testing.tuning_model) second by second.

Instances that run at once share the machine's cores: with more of them than cores, each is slower by that ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

from proxy.core.units import NS_PER_MS, NS_PER_S
from proxy.testing.tuning_model import HIT_NS, Instance, SimulatedModel
from proxy.testing.tuning_traces import Request
from proxy.tuner.windows import TuningSecond


class Machine:
    """Models that share `cores`. `run_second` plays one second of every model's trace."""

    def __init__(self, models: Sequence[SimulatedModel], cores: int = 64) -> None:
        self.models = models
        self.cores = cores
        self.second = 0
        self._events: list[tuple[int, int, int, object]] = []
        self._sequence = 0
        self._running = 0
        self._began: dict[int, tuple[SimulatedModel, int]] = {}

    def run_second(self) -> list[TuningSecond]:
        """One second on, and what was measured of each model in it."""
        arrivals = [
            (request.at_ns, number, request)
            for number, model in enumerate(self.models)
            for request in model.trace.second(self.second, model.seed)
        ]
        if len(self.models) > 1:
            arrivals.sort(key=lambda one: one[0])
        events = self._events
        for at_ns, number, request in arrivals:
            while events and events[0][0] <= at_ns:
                self._event(*heappop(events))
            self._arrive(self.models[number], number, request, at_ns)
        self.second += 1
        end_ns = self.second * NS_PER_S
        while events and events[0][0] <= end_ns:
            self._event(*heappop(events))
        found = []
        for model in self.models:
            model.become_ready(end_ns)
            running_ns = sum(end_ns - began for owner, began in self._began.values() if owner is model)
            found.append(model.tell(self.second, end_ns, running_ns))
        return found

    def _arrive(self, model: SimulatedModel, number: int, request: Request, now_ns: int) -> None:
        if model.cache.look_up(request.key, now_ns):
            model.hits += 1
            model.answered(HIT_NS)
            return
        if model.refuse(request, now_ns):
            model.rejections += 1
            return
        model.enqueue(request, now_ns)
        self._pump(model, number, now_ns)

    def _event(self, at_ns: int, _sequence: int, number: int, what: object) -> None:
        model = self.models[number]
        if what is None:
            if model.timer_ns == at_ns:
                model.timer_ns = 0
                self._pump(model, number, at_ns)
            return
        self._finished(model, number, what, at_ns)  # type: ignore[arg-type]

    def _pump(self, model: SimulatedModel, number: int, now_ns: int) -> None:
        while model.queue:
            if model.running >= len(model.instances) and model.running:
                return
            idle = [one for one in model.instances if one.idle]
            if not idle:
                return
            instance = model.choose(idle, now_ns)
            if instance is None:
                return
            batch = model.next_batch(len(idle), now_ns)
            if isinstance(batch, int):
                if not model.timer_ns or batch < model.timer_ns:
                    model.timer_ns = max(batch, now_ns + 1)
                    self._push(model.timer_ns, number, None)
                return
            self._start(model, number, instance, batch, now_ns)

    def _start(self, model: SimulatedModel, number: int, instance: Instance, batch: list[Request], now_ns: int) -> None:
        kind = model.kind
        rows = sum(request.rows for request in batch)
        self._running += 1
        model.running += 1
        model.in_flight += len(batch)
        crowd = max(self._running / self.cores, 1.0)
        noise = 1 + kind.noise * (2 * model.chance.random() - 1)
        service_ns = int((kind.fixed_ms + kind.row_ms * rows) * instance.slowness * noise * crowd * NS_PER_MS)
        instance.idle, instance.outstanding = False, 1
        record = model.records.of(instance, model.instances)  # type: ignore[arg-type]
        model.turn += 1
        record.last_turn = model.turn
        model.queue_ns += sum(now_ns - request.at_ns for request in batch)
        self._began[id(instance)] = (model, now_ns)
        self._push(now_ns + service_ns, number, (instance, batch, rows, service_ns))

    def _finished(
        self, model: SimulatedModel, number: int, what: tuple[Instance, list[Request], int, int], now_ns: int
    ) -> None:
        instance, batch, rows, service_ns = what
        instance.idle, instance.outstanding = True, 0
        self._running -= 1
        model.running -= 1
        model.in_flight -= len(batch)
        _, began_ns = self._began.pop(id(instance))
        model.busy_ns += now_ns - began_ns
        pace = model.pace
        pace.observe(rows, service_ns)
        model.callers.answered(len(batch), pace.alpha_ns, now_ns)
        ratio = service_ns / max(pace.predict_ns(rows), 1)
        instance.service_ms += 0.1 * (ratio * pace.mean_ns / NS_PER_MS - instance.service_ms)
        if len(model.instances) > 1:
            model.records.of(instance, model.instances).response.observe(ratio, now_ns)  # type: ignore[arg-type]
        model.executions += 1
        model.rows += rows
        bits = (rows - 1).bit_length()
        model.rows_by_bits[bits] = model.rows_by_bits.get(bits, 0) + 1
        self._pump(model, number, now_ns)
        saved_ns = service_ns // len(batch)
        model.compute_ns += service_ns * len(batch)
        for request in batch:
            model.answered(now_ns - request.at_ns)
            model.cache.insert(request.key, request.answer_bytes, saved_ns, now_ns)

    def _push(self, at_ns: int, number: int, what: object) -> None:
        self._sequence += 1
        heappush(self._events, (at_ns, self._sequence, number, what))
