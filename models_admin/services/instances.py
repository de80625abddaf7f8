"""Orders to single instances of this node: restart, drain. Audited; what an instance accepted is never lost by them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from models_admin.services import writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict, NotFound
from proxy import gateway
from proxy.core.instance_reports import OrderOutcome
from proxy.core.words import Words, say

WORDS: dict[OrderOutcome, Promise] = {
    OrderOutcome.BESIDE: _("Another instance is started beside it. Once that one is ready, it finishes and ends."),
    OrderOutcome.REPLACED: _("It takes no new work, finishes and ends. As many are wanted as before: another starts."),
    OrderOutcome.NOT_REPLACED: _("It takes no new work, finishes and ends. Fewer are wanted, so none follows."),
    OrderOutcome.ENDING: _("It is ending already; nothing was done."),
}

# By the verb of an order: why the instance ended, as the list of those that did shows it.
_ORDERED: dict[str, Callable[[str], Words]] = {
    "restart": lambda who: say("%(actor)s ordered a restart.", actor=who),
    "drain": lambda who: say("%(actor)s had it drained.", actor=who),
}


@dataclass(frozen=True, slots=True)
class Ordered:
    """Which instance was told something, and what comes of it."""

    instance_id: str
    outcome: OrderOutcome

    @property
    def words(self) -> str:
        """The outcome for people."""
        return str(WORDS[self.outcome])


def restart(*, actor: Actor, number: int, expected_id: str = "") -> Ordered:
    """Replace one instance; `expected_id` guards against a page that is older than the server's last start."""
    return _order(actor, "restart", number, expected_id, gateway.restart_instance)


def drain(*, actor: Actor, number: int, expected_id: str = "") -> Ordered:
    """Let one instance finish and end."""
    return _order(actor, "drain", number, expected_id, gateway.drain_instance)


@transaction.atomic
def _order(
    actor: Actor, verb: str, number: int, expected_id: str, order: Callable[[int, str], OrderOutcome]
) -> Ordered:
    """The event is written first, so that no order goes unrecorded; one that finds no instance takes it back."""
    instance_id = _id_of(number)
    if expected_id and expected_id != instance_id:
        raise Conflict(
            _("Instance %(number)s is %(instance_id)s now. Open the list of instances again.")
            % {"number": number, "instance_id": instance_id}
        )
    writing.audit(actor, f"instance.{verb}", "instance", instance_id)
    outcome = order(number, _ORDERED[verb](actor.label))
    if outcome is OrderOutcome.GONE:
        raise NotFound(_("Instance %(number)s has just ended.") % {"number": number})
    return Ordered(instance_id, outcome)


def _id_of(number: int) -> str:
    report = gateway.latest_report()
    for instance in report.instances if report is not None else ():
        if instance.instance_id.rpartition("#")[2] == str(number):
            return instance.instance_id
    raise NotFound(_("There is no instance %(number)s; it may have ended.") % {"number": number})
