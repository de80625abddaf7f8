"""What a rollout may be: its candidate, mode, steps and bounds. Raises Invalid or Conflict; changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from django.utils.translation import gettext as _

from models_admin.models import Model, ModelVersion, Rollout
from models_admin.models.registry import VersionState
from models_admin.models.rollouts import RolloutModeChoice
from models_admin.services.errors import Conflict, Invalid

MAX_STEPS = 20
MAX_HOLD_S = 604_800
BOUNDS = ("max_error_percent", "max_p99_ratio", "max_differing_percent", "tolerance", "instances")
SHADOW_STEPS = ({"weight_percent": 100, "hold_s": 300},)


def check_candidate(model: Model, version: ModelVersion) -> None:
    """Conflict unless the version can be compared with the model's default and take its traffic."""
    default = model.default_version
    if version.model_id != model.pk:
        raise Conflict(
            _("%(version)s is not a version of %(name)s.") % {"version": version, "name": model.name},
            field="candidate",
            code="other_model",
        )
    if version.state != VersionState.READY:
        raise Conflict(
            _("%(version)s is %(state)s; only a ready version can be rolled out.")
            % {"version": version, "state": version.get_state_display().lower()},
            code="state",
        )
    if default is None:
        raise Conflict(
            _("%(name)s has no default version to be compared with; promote one.") % {"name": model.name},
            code="no_default",
        )
    if default.pk == version.pk:
        raise Conflict(
            _("%(version)s is the default version already.") % {"version": version},
            field="candidate",
            code="is_default",
        )
    if _inputs(default) != _inputs(version):
        raise Conflict(
            _(
                "%(version)s takes other inputs than %(default)s: clients that name no version would "
                "be refused. Promote it when they are ready."
            )
            % {"version": version, "default": default},
            field="candidate",
            code="signature",
        )


def check_mode(mode: Any) -> str:
    """The mode."""
    if mode not in RolloutModeChoice.values:
        raise Invalid(_("mode: use %(names)s.") % {"names": " or ".join(RolloutModeChoice.values)}, field="mode")
    return str(mode)


def check_steps(steps: Any, mode: Any, *, given: bool = True) -> list[dict[str, float]]:
    """Steps with weights that rise (a shadow's are shares of copied requests)."""
    if not given and mode == RolloutModeChoice.SHADOW:
        steps = SHADOW_STEPS
    if not isinstance(steps, Sequence) or isinstance(steps, str) or not 1 <= len(steps) <= MAX_STEPS:
        raise Invalid(
            _("steps: a list of 1 to %(max_steps)s steps is needed.") % {"max_steps": MAX_STEPS}, field="steps"
        )
    checked: list[dict[str, float]] = []
    for step in steps:
        if not isinstance(step, dict) or set(step) != {"weight_percent", "hold_s"}:
            raise Invalid(_('steps: each is {"weight_percent": …, "hold_s": …}.'), field="steps")
        weight, hold_s = check_weight(step["weight_percent"], "steps"), step["hold_s"]
        if not _is_number(hold_s) or not 1 <= hold_s <= MAX_HOLD_S:
            raise Invalid(
                _("steps: hold_s is a number of seconds from 1 to %(max_hold_s)s.") % {"max_hold_s": MAX_HOLD_S},
                field="steps",
            )
        if checked and weight < checked[-1]["weight_percent"]:
            raise Invalid(_("steps: weights rise from step to step."), field="steps")
        checked.append({"weight_percent": weight, "hold_s": float(hold_s)})
    return checked


def check_weight(value: Any, field: str = "weight_percent") -> float:
    """A share in percent."""
    if not _is_number(value) or not 0 <= value <= 100:
        raise Invalid(_("%(field)s: a weight is a number from 0 to 100 percent.") % {"field": field}, field=field)
    return float(value)


def check_bounds(bounds: dict[str, Any]) -> dict[str, Any]:
    """Only known bounds, and only numbers; the table's own rules say from where to where."""
    for name, value in bounds.items():
        if name not in BOUNDS:
            raise Invalid(_("%(name)s is no bound of a rollout.") % {"name": name}, field=name, code="unknown_field")
        whole = name == "instances"
        if not _is_number(value) or (whole and not isinstance(value, int)):
            words = _("%(name)s: a whole number is needed.") if whole else _("%(name)s: a number is needed.")
            raise Invalid(words % {"name": name}, field=name)
    return bounds


def as_policy(row: Rollout) -> tuple[tuple[float, float], ...]:
    """The steps as the pure decision takes them."""
    return tuple((float(step["weight_percent"]), float(step["hold_s"])) for step in row.steps)


def _inputs(version: ModelVersion) -> Any:
    return (version.signature or {}).get("inputs")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
