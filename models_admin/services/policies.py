"""Changes of a model's policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models, transaction
from django.utils.translation import gettext as _

from models_admin.models import Decision, Model, Policy, PolicyRevision
from models_admin.models.policy_words import in_language, label_words, value_words
from models_admin.services import scaling, versions, writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict, Invalid, NotFound
from proxy.core.words import say

FIXED_FIELDS = frozenset({"id", "model", "revision", "updated_at"})
EDITABLE_FIELDS = tuple(field.name for field in Policy._meta.fields if field.name not in FIXED_FIELDS)
"""What an operator may set, in the order of the table."""
MOST_SHOWN = 60
"""Characters of a value in a Decision row: its column's width."""
REVISION = "policy_revision"
"""Key in a Decision's evidence: the revision that the change made, whose PolicyRevision has the values as they are."""


@transaction.atomic
def update_policy(*, actor: Actor, model: Model, expected_revision: int | None = None, **fields: Any) -> Policy:
    """Set some of the policy's fields (EDITABLE_FIELDS); all rules are checked on the result.

    Each change is a Decision with the reason `operator`. New bounds of the number of instances take effect at once: the
    wanted number moves into them, as a Decision.
    """
    row = locked(model, expected_revision)
    _change(actor, row, fields, say("%(actor)s changed the policy.", actor=actor.label))
    return row


@transaction.atomic
def revert(*, actor: Actor, model: Model, revision: int, expected_revision: int | None = None) -> Policy:
    """Go back to what the policy was at `revision`, as a new revision. Fields that there were not then stay."""
    row = locked(model, expected_revision)
    words = say("%(actor)s went back to the policy's revision %(revision)s.", actor=actor.label, revision=revision)
    _change(actor, row, values_at(model, revision), words)
    return row


@transaction.atomic
def exchange(*, actor: Actor, model: Model, pairs: Mapping[str, tuple[Any, Any]]) -> Policy:
    """Set fields as {name: (read as, wanted)}; Conflict, and nothing set, where one of them is neither by now.

    So a form that was read a while ago changes what its person changed and leaves alone what was moved meanwhile, by
    tuning above all.
    """
    row = locked(model)
    _require_as_read(row, pairs)
    wanted = {name: to for name, (_from, to) in pairs.items()}
    _change(actor, row, wanted, say("%(actor)s changed the policy.", actor=actor.label))
    return row


@transaction.atomic
def undo_change(*, actor: Actor, model: Model, revision: int) -> Policy:
    """Set back what the change that made `revision` set, as a new revision; what was changed elsewhere since stays.

    NotFound where the change is not kept; Conflict where one of its fields was changed since.
    """
    row = locked(model)
    made = PolicyRevision.objects.filter(model=model, revision=revision).first()
    if made is None:
        raise _not_kept(model, revision)
    pairs = {name: (to, before) for name, (before, to) in made.changes.items() if name in EDITABLE_FIELDS}
    _require_as_read(row, pairs)
    words = say("%(actor)s undid the change that made revision %(revision)s.", actor=actor.label, revision=revision)
    _change(actor, row, {name: before for name, (_to, before) in pairs.items()}, words)
    return row


def moved_since(policy: Policy, pairs: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """Which fields of {name: (read as, wanted)} are neither any more, with what they are."""
    now = {name: getattr(policy, name) for name in pairs}
    return {name: value for name, value in now.items() if value not in pairs[name]}


def _require_as_read(policy: Policy, pairs: Mapping[str, tuple[Any, Any]]) -> None:
    moved = moved_since(policy, pairs)
    if not moved:
        return
    name, value = next(iter(moved.items()))
    changes = PolicyRevision.objects.filter(model=policy.model, changes__has_key=name).order_by("-revision")
    by = changes.values_list("actor", flat=True).first()
    raise Conflict(
        _("%(actor)s set “%(field)s” to %(value)s meanwhile.")
        % {
            "actor": by or _("Someone"),
            "field": in_language(label_words(name)),
            "value": in_language(value_words(name, value)),
        },
        field=name,
        code="changed_meanwhile",
    )


def as_of(model: Model, revision: int | None) -> Policy:
    """The policy as it was at `revision`, not to be saved; as it is now for None. NotFound where it is not kept."""
    policy = Policy.objects.get(model=model)
    if revision is not None and revision != policy.revision:
        for name, value in values_at(model, revision).items():
            setattr(policy, name, value)
    return policy


def values_at(model: Model, revision: int) -> dict[str, Any]:
    """What was set at `revision`: as kept with it, or else what the change that followed it began with."""
    kept = (
        PolicyRevision.objects.filter(model=model, revision__in=(revision, revision + 1)).order_by("revision").first()
    )
    if kept is None:
        raise _not_kept(model, revision)
    values = dict(kept.values)
    if kept.revision != revision:
        values |= {name: before for name, (before, _to) in kept.changes.items()}
    return {name: value for name, value in values.items() if name in EDITABLE_FIELDS}


def _not_kept(model: Model, revision: int) -> NotFound:
    return NotFound(
        _("Revision %(revision)s of the policy of %(name)s is not kept.") % {"revision": revision, "name": model.name},
        field="revision",
    )


def locked(model: Model, expected_revision: int | None = None) -> Policy:
    """The policy as it stands now, locked until the transaction ends, and before it the model's row."""
    writing.hold(model)
    return writing.lock(Policy.objects.get(model=model), expected_revision)


def record(actor: Actor, policy: Policy, changes: Mapping[str, list[Any]]) -> None:
    """Save a locked policy on which `changes` are set: next revision, history, audit event, publication.

    The Decisions that say why are the caller's. Part of a transaction.
    """
    policy.revision += 1
    policy.save()
    PolicyRevision.objects.create(
        model_id=policy.model_id,
        revision=policy.revision,
        actor=actor.label[:200],
        changes=changes,
        values=values_of(policy),
    )
    writing.audit(actor, "policy.update", "model", policy.model.name, changes=changes)
    writing.publish()


def _change(actor: Actor, row: Policy, fields: Mapping[str, Any], words: str) -> None:
    changes = changes_of(row, fields)
    if not changes:
        return
    record(actor, row, changes)
    scaling.keep_within(actor=actor, policy=row)
    if "version_policy" in changes:  # a ready version may have waited for a lower number, which `latest` does not
        versions.settle_first(Model.objects.get(pk=row.model_id), actor)
    Decision.objects.bulk_create(_decision(actor, row, name, words, *pair) for name, pair in changes.items())


def values_of(policy: Policy) -> dict[str, Any]:
    """Every field that can be set, as it is."""
    return {name: getattr(policy, name) for name in EDITABLE_FIELDS}


def changes_of(policy: Policy, fields: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What `fields` change, as {name: [from, to]}; they are set on `policy`, which is not saved. Raises Invalid."""
    changes = {}
    for name, value in fields.items():
        if name not in EDITABLE_FIELDS:
            raise Invalid(
                _("%(name)s is not a field of the policy.") % {"name": name}, field=name, code="unknown_field"
            )
        cleaned = _typed(Policy._meta.get_field(name), name, value)
        if cleaned != getattr(policy, name):
            changes[name] = [getattr(policy, name), cleaned]
            setattr(policy, name, cleaned)
    if changes:
        writing.check(policy)
    return changes


def _decision(actor: Actor, policy: Policy, name: str, words: str, before: Any, after: Any) -> Decision:
    return Decision(
        model_id=policy.model_id,
        knob=name,
        from_value=in_column(before),
        to_value=in_column(after),
        reason=scaling.OPERATOR,
        actor=actor.label[:200],
        evidence={REVISION: policy.revision},
    ).put(explanation=words)


def in_column(value: Any) -> str:
    """A value as a Decision's column keeps it."""
    words = (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)
    return words if len(words) <= MOST_SHOWN else f"{words[: MOST_SHOWN - 1]}…"


def _typed(field: Any, name: str, value: Any) -> Any:
    """The value in the field's type; no number is rounded and no truth value taken for a number (A9)."""
    if isinstance(field, models.BooleanField):
        if isinstance(value, bool):
            return value
    elif isinstance(field, models.FloatField):
        if isinstance(value, int | float) and not isinstance(value, bool) and float("-inf") < value < float("inf"):
            return float(value)
    elif isinstance(field, models.IntegerField):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif isinstance(field, models.JSONField):
        if isinstance(value, list | tuple | dict):
            return dict(value) if isinstance(value, dict) else list(value)
    elif isinstance(value, str):
        return value
    raise Invalid(
        _("%(name)s: %(value)s is not a valid value.") % {"name": name, "value": f"{value!r:.60}"}, field=name
    )
