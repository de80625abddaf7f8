"""What people call what the audit log writes by code names: actions, things, parts of the system, details. Pure.

Rule: every action that the code can write is in ACTIONS (tests/architecture/test_audit_words.py reads the source). The
exports and the API keep the code names, which programs rely on.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

ACTIONS = {
    "model.create": gettext_lazy("Model created"),
    "model.update": gettext_lazy("Description changed"),
    "model.load": gettext_lazy("Model loaded"),
    "model.unload": gettext_lazy("Model unloaded"),
    "model.set_instances": gettext_lazy("Number of instances set"),
    "model.scale": gettext_lazy("Number of instances scaled by load"),
    "model.wake": gettext_lazy("Model woken by a request"),
    "model.purge_cache": gettext_lazy("Cached answers of a model dropped"),
    "model.delete": gettext_lazy("Model deleted"),
    "model.undelete": gettext_lazy("Model restored"),
    "model.remove": gettext_lazy("Model removed for good"),
    "policy.update": gettext_lazy("Policy changed"),
    "version.create": gettext_lazy("Version uploaded"),
    "version.validate": gettext_lazy("Validation asked for"),
    "version.ready": gettext_lazy("Version passed validation"),
    "version.failed": gettext_lazy("Version failed validation"),
    "version.default": gettext_lazy("Version became the default by itself"),
    "version.promote": gettext_lazy("Version made the default"),
    "version.roll_back": gettext_lazy("Rolled back to a version"),
    "version.archive": gettext_lazy("Version archived"),
    "version.restore": gettext_lazy("Version taken out of the archive"),
    "version.keep_loaded": gettext_lazy("Version kept loaded"),
    "version.let_go": gettext_lazy("Version no longer kept loaded"),
    "version.update": gettext_lazy("Notes changed"),
    "version.try_again": gettext_lazy("Quarantine lifted"),
    "version.delete": gettext_lazy("Version deleted"),
    "version.undelete": gettext_lazy("Version restored"),
    "version.remove": gettext_lazy("Version removed for good"),
    "upload.begin": gettext_lazy("Upload begun"),
    "upload.cancel": gettext_lazy("Upload cancelled"),
    "upload.expire": gettext_lazy("Upload given up"),
    "upload.refuse": gettext_lazy("Upload refused"),
    "golden.add": gettext_lazy("Golden sample added"),
    "golden.remove": gettext_lazy("Golden sample removed"),
    "golden.check": gettext_lazy("Golden samples checked"),
    "golden.inherit": gettext_lazy("Golden samples taken over"),
    "label.set": gettext_lazy("Label set"),
    "label.remove": gettext_lazy("Label removed"),
    "rollout.start": gettext_lazy("Rollout started"),
    "rollout.advance": gettext_lazy("Rollout went a step on"),
    "rollout.weight": gettext_lazy("Weight of a rollout set"),
    "rollout.hold": gettext_lazy("Rollout held"),
    "rollout.resume": gettext_lazy("Rollout resumed"),
    "rollout.promote": gettext_lazy("Rollout ended: candidate promoted"),
    "rollout.aborted": gettext_lazy("Rollout aborted"),
    "rollout.cancelled": gettext_lazy("Rollout cancelled"),
    "tuning.freeze": gettext_lazy("Tuning frozen"),
    "tuning.unfreeze": gettext_lazy("Tuning resumed"),
    "tuning.try": gettext_lazy("Tuning tries a change"),
    "tuning.kept": gettext_lazy("Tuning kept a change"),
    "tuning.undone": gettext_lazy("Change by tuning undone"),
    "tuning.inconclusive": gettext_lazy("Change by tuning undone: nothing to conclude"),
    "tuning.dismissed": gettext_lazy("Trial of tuning ended by a person’s change"),
    "tuning.dismiss": gettext_lazy("Proposal of tuning dismissed"),
    "instance.restart": gettext_lazy("Instance restarted"),
    "instance.drain": gettext_lazy("Instance drained"),
    "cache.purge": gettext_lazy("All cached answers dropped"),
    "key.create": gettext_lazy("API key created"),
    "key.revoke": gettext_lazy("API key revoked"),
    "user.create": gettext_lazy("Account created"),
    "user.role": gettext_lazy("Role changed"),
    "user.activate": gettext_lazy("Account switched on"),
    "user.deactivate": gettext_lazy("Account switched off"),
    "user.password": gettext_lazy("New password given to an account"),
    "user.own_password": gettext_lazy("Own password changed"),
    "first_run.delete": gettext_lazy("First passwords’ file deleted"),
}
"""Every action in words, in the order in which the page's filter lists them."""
KINDS = {
    "model": gettext_lazy("Model"),
    "version": gettext_lazy("Version"),
    "upload": gettext_lazy("Upload"),
    "label": gettext_lazy("Label"),
    "rollout": gettext_lazy("Rollout"),
    "instance": gettext_lazy("Instance"),
    "tuning": gettext_lazy("Tuning"),
    "cache": gettext_lazy("Cache"),
    "key": gettext_lazy("API key"),
    "user": gettext_lazy("Account"),
    "system": gettext_lazy("System"),
}
"""What an event is about."""
PARTS = {
    "autoscaler": gettext_lazy("scaling"),
    "bootstrap": gettext_lazy("first start"),
    "housekeeping": gettext_lazy("housekeeping"),
    "rollout": gettext_lazy("rollout control"),
    "tuner": gettext_lazy("tuning"),
    "validation": gettext_lazy("validation"),
    "wake": gettext_lazy("waking"),
}
"""Parts of the system that act by themselves."""
DETAILS = {
    "name": gettext_lazy("Name"),
    "role": gettext_lazy("Role"),
    "scope": gettext_lazy("Scope"),
    "all_models": gettext_lazy("Every model"),
    "models": gettext_lazy("Models"),
    "may_upload_code": gettext_lazy("May upload model code"),
    "tenant": gettext_lazy("Tenant"),
    "weight": gettext_lazy("Weight"),
    "requests_per_s": gettext_lazy("Requests a second"),
    "superuser": gettext_lazy("Admin"),
    "format": gettext_lazy("Format"),
    "size_bytes": gettext_lazy("Size"),
    "digest": gettext_lazy("SHA-256"),
    "versions": gettext_lazy("Versions"),
    "version": gettext_lazy("Version"),
    "candidate": gettext_lazy("Candidate"),
    "steps": gettext_lazy("Steps"),
    "count": gettext_lazy("Instances"),
    "knob": gettext_lazy("Parameter"),
    "to": gettext_lazy("Instances"),
    "undone": gettext_lazy("Trials undone"),
    "became_default": gettext_lazy("Became the default"),
    "sample": gettext_lazy("Sample"),
    "samples": gettext_lazy("Samples"),
    "faults": gettext_lazy("Samples that were not reproduced"),
    "source": gettext_lazy("Source"),
    "of": gettext_lazy("Taken from"),
    "reason": gettext_lazy("Reason"),
    "outcome": gettext_lazy("Outcome"),
    "code": gettext_lazy("Reason"),
}
"""Details that are shown, in this order; others stand in the whole of what was written."""
CHANGED = {
    "user.role": gettext_lazy("Role"),
    "version.default": gettext_lazy("Version became the default by itself"),
    "version.promote": gettext_lazy("Default version"),
    "version.roll_back": gettext_lazy("Default version"),
    "label.set": gettext_lazy("Version"),
    "label.remove": gettext_lazy("Version"),
    "rollout.advance": gettext_lazy("Share of the traffic"),
    "rollout.weight": gettext_lazy("Share of the traffic"),
}
"""What the `before` and `after` of an action are."""


def action_words(action: str) -> str:
    """The action in words; one that older code wrote keeps its name, made readable."""
    return str(ACTIONS.get(action) or capfirst(action.replace(".", ": ").replace("_", " ")))


def kind_words(object_type: str) -> str:
    """What kind of thing an event is about."""
    return str(KINDS.get(object_type) or capfirst(object_type))


def actor_words(label: str) -> tuple[str, str]:
    """(what it is, its name) of an actor such as `user:ann`, `key:ci` or `system:tuner`."""
    kind, separator, name = label.partition(":")
    if not separator:
        return "", label
    if kind == "system":
        return _("the system"), str(PARTS.get(name, name))
    return {"user": "", "key": _("API key")}.get(kind, kind), name


def choices(written: Iterable[str], chosen: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Actions for the filter as (kind, [(action, words)]): those that were written ever, and the one that is chosen."""
    known = {*written, *filter(None, [chosen])}
    order = [*(action for action in ACTIONS if action in known), *sorted(known - set(ACTIONS))]
    groups: dict[str, list[tuple[str, str]]] = {}
    for action in order:
        groups.setdefault(action.partition(".")[0], []).append((action, action_words(action)))
    return [(_group_words(group), rows) for group, rows in groups.items()]


def _group_words(group: str) -> str:
    return {"policy": _("Policy"), "golden": _("Golden samples"), "first_run": _("First start")}.get(
        group
    ) or kind_words(group)
