"""The tuning tick: lease, last minutes of measurements, pure decision, then a trial or a proposal.

Rules: as for scaling (models_admin/tasks/scaling.py): one controller acts at a time, each look starts from the
database, and a stale controller's write is refused. Without looks nothing changes; a trial that ran when the last one
died is judged at the next look if its seconds are still there, and undone if not. Models are tuned one at a time: they
share the machine, and two changes at once could not be told apart. A tick costs a fixed number of queries and what
changes cost; models that had to wait in one go first in the next.
"""

from __future__ import annotations

import logging
import os
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import shared_task
from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone

from models_admin.models import Decision, Model, TuningState
from models_admin.models.control import DecisionStatus
from models_admin.selectors import tuning as selectors
from models_admin.services import leases, tuning_trials
from models_admin.services.errors import Conflict, Invalid, NotFound
from models_admin.services.tuning_writing import LEASE
from models_admin.tasks.outages import DATABASE_AWAY, through_outages
from models_admin.tasks.tuning_cards import no_longer_true, still_true
from models_admin.tasks.tuning_views import interruption, view_of
from proxy.core.words import parts_of, say
from proxy.tuner.tried import load_bucket
from proxy.tuner.tuning import next_step
from proxy.tuner.tuning_view import (
    SETTLE_S,
    WINDOW_S,
    Advise,
    Begin,
    Hold,
    Keep,
    Measure,
    Proposal,
    Step,
    TuningView,
    Undo,
    Why,
)
from proxy.tuner.windows import between, window_from

log = logging.getLogger(__name__)

LEASE_S = 15.0
"""Three ticks: a controller that missed three is replaced by another."""
REST_AFTER_A_PERSON_S = 300
"""Rest of a model whose trial a person ended by a value of their own. Larger: people's values stay untouched longer."""


@shared_task(name="models_admin.tune")
@through_outages
def tune() -> None:
    """Look at every model that is worth it."""
    run_tick(holder=f"{socket.gethostname()}:{os.getpid()}", now=timezone.now())


def run_tick(*, holder: str, now: datetime) -> None:
    """One tick as `holder`; does nothing while another holds the lease."""
    fence = leases.acquire(name=LEASE, holder=holder, ttl_s=LEASE_S, now=now)
    if fence is None:
        return
    models = selectors.worth_a_look(now)
    if not models:
        return
    tick = _Tick(fence, now, models)
    try:
        for model in models:
            tick.look_at(model)
        tuning_trials.note_looks(fence=fence, looks=tick.looks)
    except Conflict as lost:
        log.warning("the tuning lease was lost during the tick: %s", lost)


class _Tick:
    """One round over the models. `busy_with`: whose trial runs or has just ended; `looks`: what was seen of each."""

    def __init__(self, fence: int, now: datetime, models: list[Model]) -> None:
        self.fence, self.now, self.now_unix_s = fence, now, now.timestamp()
        self.measured, self.frozen = selectors.measure(models, now), selectors.is_frozen()
        self.busy_with = next((model.name for model in models if selectors.trial_of(model) is not None), "")
        self.looks: dict[TuningState, dict[str, Any]] = {}

    def look_at(self, model: Model) -> None:
        """Decide and act; a fault here costs no other model its look. Conflict if the lease is lost."""
        try:
            if getattr(model, "tuning", None) is None:
                model.tuning = tuning_trials.state_of(model)
            self._decide(model)
        except (NotFound, ObjectDoesNotExist):
            log.info("%s was deleted during the tick", model.name)
        except (Conflict, *DATABASE_AWAY):
            raise
        except Exception:
            log.exception("%s could not be looked at; nothing of it is changed", model.name)

    def _decide(self, model: Model) -> None:
        if selectors.trial_of(model) is not None and self._call_off(model):
            return
        try:
            view = view_of(model, self.measured, frozen=self.frozen)
        except ValueError as error:
            self._note(
                model,
                Hold(
                    Why.ABSURD_METRICS,
                    say("The measurements cannot be read (%(error)s); nothing changes.", error=error),
                ),
            )
            return
        step = self._taken_in_turns(model, view, next_step(view, self.now_unix_s))
        confirmed = {**model.tuning.look.get("confirmed_at", {})}
        self._act(model, view, step)
        confirmed |= dict.fromkeys(still_true(view, step, self.now_unix_s), self.now_unix_s)
        cards = self.measured.cards.get(model.pk, ())
        for knob, words in no_longer_true(model, cards, confirmed, self.now_unix_s).items():
            tuning_trials.expire(fence=self.fence, model=model, knob=knob, words=words)
        self._note(model, step, confirmed)

    def _call_off(self, model: Model) -> bool:
        """True if the running trial cannot be judged any more and was ended."""
        ended = interruption(model, self.measured, frozen=self.frozen)
        if ended is None:
            return False
        status, words = ended
        rest_s = REST_AFTER_A_PERSON_S if status == DecisionStatus.DISMISSED else SETTLE_S + WINDOW_S
        until = self.now + timedelta(seconds=rest_s)
        tuning_trials.call_off(
            fence=self.fence, model=model, trial=model.tuning.trial, words=words, status=status, cooldown_until=until
        )
        self._note(model, Hold(Why.COOLING_DOWN, words))
        return True

    def _taken_in_turns(self, model: Model, view: TuningView, step: Step) -> Step:
        """The step, or a hold where a change now could not be told apart from another one."""
        if view.frozen or view.running is not None:
            return step
        if model.pk in self.measured.rolling_out:
            return Hold(Why.UNSTEADY_LOAD, say("A version is being rolled out; tuning waits for its end."))
        if isinstance(step, Begin) and self.busy_with:
            words = say("%(model)s is being measured; models share the machine and take turns.", model=self.busy_with)
            return Hold(Why.COOLING_DOWN, words, step.by_knob)
        return step

    def _act(self, model: Model, view: TuningView, step: Step) -> None:
        match step:
            case Begin(proposal=proposal):
                self._begin(model, view, proposal)
            case Advise(proposal=proposal):
                tuning_trials.advise(fence=self.fence, card=self._row(model, view, proposal))
            case Keep() | Undo():
                until = datetime.fromtimestamp(step.cooldown_until_unix_s, UTC)
                ended = tuning_trials.conclude(
                    fence=self.fence, model=model, trial=model.tuning.trial, step=step, cooldown_until=until
                )
                if ended is not None:
                    log.info("%s: %s %s: %s", model.name, ended.knob, ended.status, ended.outcome)

    def _begin(self, model: Model, view: TuningView, proposal: Proposal) -> None:
        row = self._row(model, view, proposal)
        try:
            begun = tuning_trials.begin_trial(fence=self.fence, decision=row, proposal=proposal, now=self.now)
        except Invalid as refused:
            log.warning("%s: %s may not be %s: %s", model.name, proposal.knob, proposal.to_value, refused)
            return
        if begun is not None:
            self.busy_with = model.name
            log.info("%s: %s %s → %s: %s", model.name, begun.knob, begun.from_value, begun.to_value, begun.explanation)

    def _row(self, model: Model, view: TuningView, proposal: Proposal) -> Decision:
        window = window_from(between(view.seconds, self.now_unix_s - WINDOW_S, self.now_unix_s))
        load = load_bucket(window.arrivals_per_s if window is not None else 0.0)
        return tuning_trials.row_of(model, proposal, load=load, fence=self.fence)

    def _note(self, model: Model, step: Step, confirmed: dict[str, float] | None = None) -> None:
        self.looks[model.tuning] = _said(step) | {"at": self.now.isoformat(), "confirmed_at": confirmed or {}}


def _said(step: Step) -> dict[str, Any]:
    """The step as the page shows it: what kind, why, in words, and what there is to say of each knob."""
    said: dict[str, Any] = {"step": type(step).__name__.lower()}
    match step:
        case Hold(why=why, words=words, by_knob=by_knob):
            said |= {"why": why.value, "words": words, "by_knob": _by_name(by_knob)}
        case Begin(proposal=proposal, by_knob=by_knob) | Advise(proposal=proposal, by_knob=by_knob):
            said |= {"why": proposal.why.value, "words": proposal.words, "by_knob": _by_name(by_knob)}
        case Measure(words=words, until_unix_s=until_unix_s):
            said |= {"why": "measuring", "words": words, "until_unix_s": until_unix_s}
        case Keep(verdict=verdict) | Undo(verdict=verdict):
            said |= {"why": verdict.outcome.value, "words": verdict.words}
    # What the words are made of stands beside them, so that pages say them in the reader's language.
    by_knob = said.get("by_knob", {})
    parts = {"words": parts_of(said.get("words", "")), **{name: parts_of(words) for name, words in by_knob.items()}}
    return said | {"said": parts}


def _by_name(words: Any) -> dict[str, str]:
    return {knob.value: said for knob, said in words.items()}
