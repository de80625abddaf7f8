"""Which proposals that wait for a person are no longer true. Reads and writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from models_admin.models import Decision, Model
from models_admin.selectors.tuning import mode_of
from models_admin.services.policies import in_column
from models_admin.services.tuning_trials import proposal_of
from proxy.core.policies import Knob, TuningMode
from proxy.core.words import say
from proxy.tuner.tuning_proposals import propose
from proxy.tuner.tuning_view import WINDOW_S, Advise, Begin, Hold, Step, TuningView
from proxy.tuner.windows import between, window_from

LIFE_S = 600.0
"""How long a card stays that no look has confirmed, seconds. Larger: advice outlives the load that it was made for."""


def still_true(view: TuningView, step: Step, now_unix_s: float) -> set[Knob]:
    """Knobs whose open card would be made again now. Empty while that cannot be told: during trials, without load."""
    looked = isinstance(step, Advise | Begin) or (isinstance(step, Hold) and step.by_knob)
    window = window_from(between(view.seconds, now_unix_s - WINDOW_S, now_unix_s)) if looked and view.advised else None
    if window is None:
        return set()
    proposals, _ = propose(view, window)
    return {one.knob for one in proposals if one.knob in view.advised and one.gain_ratio > 0}


def no_longer_true(
    model: Model, cards: Iterable[Decision], confirmed_at_unix_s: Mapping[str, float], now_unix_s: float
) -> dict[str, str]:
    """Why each card that is not true any more is not, by knob. Those of the number of instances are scaling's."""
    reasons = {}
    for card in cards:
        if card.knob == Knob.INSTANCES:
            continue
        proposal, value = proposal_of(card), getattr(model.policy, card.knob)
        if proposal is None or value != proposal.from_value:
            reasons[card.knob] = say("It is %(value)s by now.", value=in_column(value))
        elif mode_of(model.policy, card.knob) != TuningMode.ADVISE:
            reasons[card.knob] = say("Its mode is another one by now.")
        elif not model.loaded:
            reasons[card.knob] = say("The model was unloaded.")
        elif now_unix_s - confirmed_at_unix_s.get(card.knob, card.at.timestamp()) > LIFE_S:
            reasons[card.knob] = say(
                "Nothing measured in the last %(minutes)s minutes spoke for it any more.", minutes=f"{LIFE_S / 60:.0f}"
            )
    return reasons
