"""Events of the audit log as the page shows them: in words, with the thing's address and what was changed from what to
what. What was written stays beside it as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import IntegerField
from django.urls import reverse
from django.utils.translation import gettext as _

from models_admin.dashboard.audit_words import CHANGED, DETAILS, action_words, actor_words, kind_words
from models_admin.dashboard.policy_fields import label_of, value_with_unit
from models_admin.models import ApiKey, AuditEvent, Decision, Model, Policy
from models_admin.models.access import KeyScope
from models_admin.models.registry import ArtifactFormat
from models_admin.models.rollouts import RolloutModeChoice
from models_admin.services.policies import EDITABLE_FIELDS
from models_admin.services.users import Role
from models_admin.templatetags.ui import said, size

SHOWN_DIGEST_CHARACTERS = 12
_TOLD_BY_DECISION = frozenset({"knob", "to", "count", "reason", "outcome"})
_ROLLOUT = re.compile(r"(?P<model>\S+) rollout \d+")
_SHARE = re.compile(r"(?P<mode>\w+) (?P<percent>\S+) %")


@dataclass(frozen=True, slots=True)
class Detail:
    """One line of what happened: `before` is None where nothing was replaced."""

    label: str
    value: str
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One event. `url` is the thing's page, empty where it has none (any more)."""

    event: AuditEvent
    action: str
    actor_kind: str
    actor: str
    kind: str
    thing: str
    url: str
    details: list[Detail]


def rows_of(events: Iterable[AuditEvent]) -> list[Row]:
    """All of a page's events, with three look-ups for all of them."""
    found = list(events)
    names = {event.pk: _model_name(event) for event in found}
    models = set(Model.objects.filter(name__in=filter(None, names.values())).values_list("name", flat=True))
    numbers = [int(event.object_id) for event in found if event.object_type == "key" and event.object_id.isdecimal()]
    keys = dict(ApiKey.objects.filter(pk__in=numbers).values_list("pk", "name"))
    decisions = Decision.objects.in_bulk([one for event in found if isinstance(one := _decision(event), int)])
    rows = []
    for event in found:
        kind, actor = actor_words(event.actor)
        thing = event.object_id
        if event.object_type == "key" and thing.isdecimal():
            thing = keys.get(int(thing)) or str(event.details.get("name") or thing)
        rows.append(
            Row(
                event=event,
                action=action_words(event.action),
                actor_kind=kind,
                actor=actor,
                kind=kind_words(event.object_type),
                thing=_thing_words(event, thing),
                url=_url(event, names[event.pk] if names[event.pk] in models else "", thing),
                details=[
                    detail
                    for detail in details_of(
                        event.action, event.object_id, event.details, decisions.get(_decision(event) or 0)
                    )
                    if detail.value != thing or detail.before is not None  # its name stands beside it
                ],
            )
        )
    return rows


def details_of(
    action: str, object_id: str, details: Mapping[str, Any], decision: Decision | None = None
) -> list[Detail]:
    """What an event says besides, in words and with units; the decision tells its reason in the reader's language."""
    shown = [_policy_change(name, pair) for name, pair in _pairs(details.get("changes"))]
    if action in CHANGED and ("before" in details or "after" in details):
        before, after = details.get("before"), details.get("after", _number_of(object_id, action))
        shown.append(Detail(str(CHANGED[action]), _value(action, after), _value(action, before)))
    if decision is not None:
        shown.append(_moved(decision))
    for name, label in DETAILS.items():
        value = details.get(name)
        if value in (None, "", [], False) or (decision is not None and name in _TOLD_BY_DECISION):
            continue
        if name == "reason" and value == "operator":  # the actor says so
            continue
        told = said(value, details["said"]) if name == "reason" and "said" in details else _detail(name, value)
        shown.append(Detail(str(label), told))
    if decision is not None:
        shown.append(_why(decision, has_ended=bool(details.get("outcome"))))
    return shown


def _moved(decision: Decision) -> Detail:
    to, before = (_typed(decision.knob, text) for text in (decision.to_value, decision.from_value))
    return Detail(label_of(decision.knob), to, before)


def _why(decision: Decision, *, has_ended: bool) -> Detail:
    kept, text = ("outcome", decision.outcome) if has_ended else ("explanation", decision.explanation)
    return Detail(str(DETAILS["outcome" if has_ended else "reason"]), said(text, decision.said.get(kept)))


def _policy_change(name: str, pair: list[Any]) -> Detail:
    before, after = pair
    if name not in EDITABLE_FIELDS:  # a field of older code
        return Detail(name, str(after), str(before))
    return Detail(label_of(name), value_with_unit(name, after), value_with_unit(name, before))


def _pairs(changes: object) -> list[tuple[str, list[Any]]]:
    if not isinstance(changes, Mapping):
        return []
    return [(name, pair) for name, pair in changes.items() if isinstance(pair, list) and len(pair) == 2]


def _detail(name: str, value: Any) -> str:
    if name == "size_bytes":
        return size(value)
    if name == "digest":
        return str(value)[:SHOWN_DIGEST_CHARACTERS] + "…"
    if name == "format":
        return str(dict(ArtifactFormat.choices).get(value, value))
    if name == "scope":
        return str(dict(KeyScope.choices).get(value, value))
    if name == "role":
        return str(dict(Role.choices).get(value, value))
    if name == "knob":
        return label_of(value)
    if value is True:
        return _("yes")
    if isinstance(value, list):
        return ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _value(action: str, value: Any) -> str:
    if value is None or value == "":
        return _("none")
    if action == "user.role":
        return str(dict(Role.choices).get(value, value))
    if action.startswith("rollout.") and (share := _SHARE.fullmatch(str(value))):
        mode = dict(RolloutModeChoice.choices).get(share["mode"], share["mode"])
        return f"{mode} {share['percent']}%"
    return str(value)


def _typed(knob: str, text: str) -> str:
    """A knob's value, which a decision keeps as text."""
    if knob not in EDITABLE_FIELDS:
        return text
    field = Policy._meta.get_field(knob)
    return value_with_unit(knob, int(text) if isinstance(field, IntegerField) and text.isdecimal() else text)


def _number_of(object_id: str, action: str) -> str | None:
    """The version that an event is about, where it became what `before` was."""
    return object_id.rpartition("/")[2] if action.startswith("version.") else None


def _decision(event: AuditEvent) -> int | None:
    number = event.details.get("decision")
    return number if isinstance(number, int) else None


def _model_name(event: AuditEvent) -> str:
    """The model that an event is about; empty where it is about none."""
    kind, name = event.object_type, event.object_id
    if kind == "model":
        return name
    if kind in ("version", "label"):
        return name.partition("/")[0]
    if kind == "upload":
        return name.partition(":")[0]
    rollout = _ROLLOUT.fullmatch(name)
    return rollout["model"] if kind == "rollout" and rollout else ""


def _thing_words(event: AuditEvent, thing: str) -> str:
    if event.object_type in ("rollout", "upload"):
        return _model_name(event) or thing
    if event.object_type == "cache":
        return _("of every model")
    return "" if event.object_type == "tuning" else thing


def _url(event: AuditEvent, model: str, thing: str) -> str:
    kind = event.object_type
    if kind == "key":
        return f"{reverse('keys')}?{urlencode({'name': thing})}"
    if kind in ("tuning", "system"):
        return reverse(kind)
    if kind == "user":
        return reverse("users")
    if not model:
        return ""
    if kind == "version":
        return _version_url(event.object_id, model)
    if kind in ("upload", "label", "rollout"):
        return reverse("model-versions", args=[model])
    if event.action == "policy.update":
        return reverse("model-policy-history", args=[model])
    if event.action.startswith("tuning."):
        return reverse("model-tuning", args=[model])
    return reverse("model", args=[model])


def _version_url(object_id: str, model: str) -> str:
    number = object_id.rpartition("/")[2]
    if not number.isdecimal():
        return reverse("model-versions", args=[model])
    return reverse("version", args=[model, int(number)])
