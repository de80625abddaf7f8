"""Whether everything that a set-up needs is there and well: one row each with a reason and what to do. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _

from models_admin.selectors.setup_facts import Facts, Ping
from proxy.core.words import parts_of, readable

# Below these shares of free disk. Larger: earlier.
WARN_FREE_RATIO = 0.10
BAD_FREE_RATIO = 0.05
SLOW_PING_MS = 100.0


class Condition(StrEnum):
    """How something stands."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing. `value` is what is there, `reason` why it is not well, `action` what to do about it."""

    key: str
    name: str
    condition: Condition
    value: str
    reason: str = ""
    action: str = ""


def checks(facts: Facts) -> list[Check]:
    """All of them, in the order in which a person would look."""
    return [
        *_serving(facts),
        _pinged("database", _("Database"), facts.database, _("Start it; check DATABASE_URL. Serving goes on without.")),
        _pinged("broker", _("Broker"), facts.broker, _("Start it; check REDIS_URL. Uploads wait to be validated.")),
        *_parts(facts),
        _second_level(facts),
        _disk(facts),
        *_sandbox(facts),
        *(Check(f"version.{name}", name, Condition.OK, number) for name, number in facts.versions),
    ]


def worst(found: list[Check]) -> Condition:
    """The worst condition among `found`."""
    order = list(Condition)
    return max((check.condition for check in found), key=order.index, default=Condition.OK)


def _serving(facts: Facts) -> Iterator[Check]:
    start = _("Start the server with script/server; its log says why it stopped.")
    if facts.report is None:
        reason = _("No data plane has reported in this process: nothing is served.")
        yield Check("data_plane", _("Data plane"), Condition.ERROR, _("not running"), reason, start)
    else:
        value = _("running, generation {number}").format(number=facts.report.generation)
        yield Check("data_plane", _("Data plane"), Condition.OK, value)
    if facts.inference_port is None:
        reason = _("Clients cannot reach the fast route.")
        yield Check("inference_port", _("Inference port"), Condition.ERROR, _("not open"), reason, start)
    else:
        yield Check("inference_port", _("Inference port"), Condition.OK, str(facts.inference_port))


def _pinged(key: str, name: str, ping: Ping, action: str) -> Check:
    if ping.error:
        reason = _("It does not answer: {error}.").format(error=ping.error)
        return Check(key, name, Condition.ERROR, ping.name, reason, action)
    value = f"{ping.name}, {ping.took_ms:.1f} ms" if ping.took_ms else ping.name
    if ping.took_ms > SLOW_PING_MS:
        reason = _("It took {time:.0f} ms to answer.").format(time=ping.took_ms)
        return Check(key, name, Condition.WARNING, value, reason, _("Look at its load and at the network between."))
    return Check(key, name, Condition.OK, value)


def _parts(facts: Facts) -> Iterator[Check]:
    known = {node.name: node for node in facts.nodes}
    action = _("Restart the server; it starts both. Serving goes on with the last decisions meanwhile.")
    if facts.broker.error:
        action = _("It waits for the broker and goes on by itself once that answers.")
    beat = known.get("beat")
    beat_is_silent = beat is None or beat.late
    for key, name in (("celery", _("Celery worker")), ("beat", _("Celery beat"))):
        node = known.get(key)
        if key == "celery" and node is not None and node.late and beat_is_silent:
            reason = _("Beat, which asks it for signs of life, is silent: whether it runs is not known.")
            yield Check(key, name, Condition.WARNING, _("not known"), reason, action)
        elif node is None:
            reason = _("It has not been heard of.")
            yield Check(key, name, Condition.WARNING, _("not running"), reason, action)
        elif node.late:
            reason = _("It has been silent for {seconds:.0f} s.").format(seconds=node.age_s)
            yield Check(key, name, Condition.WARNING, _("silent"), reason, action)
        else:
            yield Check(key, name, Condition.OK, _("heard of {seconds:.0f} s ago").format(seconds=node.age_s))


def _second_level(facts: Facts) -> Check:
    name = _("Shared cache")
    if facts.second_level is None:
        return Check("second_level", name, Condition.OK, _("not configured"))
    action = _("Start it; check DLPROXY_CACHE_REDIS_URL. Answers come from this node’s own cache meanwhile.")
    return _pinged("second_level", name, facts.second_level, action)


def _disk(facts: Facts) -> Check:
    ratio = facts.disk_free_bytes / facts.disk_total_bytes if facts.disk_total_bytes else 1.0
    value = _("{percent:.1f}% free, {gib:.1f} GiB").format(percent=100 * ratio, gib=facts.disk_free_bytes / 2**30)
    condition = Condition.OK
    if ratio < BAD_FREE_RATIO or facts.disk_free_bytes < facts.least_free_bytes:
        condition = Condition.ERROR
    elif ratio < WARN_FREE_RATIO:
        condition = Condition.WARNING
    if condition is Condition.OK:
        return Check("disk", _("Artifact store"), condition, value)
    reason = _("Uploads are refused when it is full, and the database may follow.")
    return Check("disk", _("Artifact store"), condition, value, reason, _("Delete archived versions, or enlarge it."))


def _sandbox(facts: Facts) -> Iterator[Check]:
    """One row for all walls around model code, and one more for each that is not there."""
    walls = {wall for version in (facts.report.versions if facts.report else ()) for wall in version.sandbox.items()}
    missing = sorted(wall for wall in walls if wall[1].startswith("inactive"))
    name = _("Sandbox")
    if not walls:
        yield Check("sandbox", name, Condition.OK, _("not known before an instance has started"))
        return
    value = _("{active} of {all} walls stand").format(active=len(walls) - len(missing), all=len(walls))
    yield Check("sandbox", name, Condition.OK, value)
    action = _("Take model code only from people you trust, or run on a kernel and as a user that allow it.")
    for wall, words in missing:
        why = words.removeprefix("inactive: ")
        reason = readable(parts_of(why), _, why)
        label = _("Sandbox: {wall}").format(wall=wall)
        yield Check(f"sandbox.{wall}", label, Condition.WARNING, _("inactive"), reason, action)
