"""The server as a program sees it, for journeys: what was done on a page is looked up over the API."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx

from bench.harness import HOST, Site

PATIENCE_S = 60.0
LOOK_EACH_S = 0.1
LATELY_S = 120
PIXELS = 64
# An open proposal, so that a journey does not depend on what this machine's load makes worth trying.
ADVISE = """
from datetime import timedelta
from django.utils import timezone
from models_admin.models import Model
from models_admin.models.control import DecisionStatus
from models_admin.services import tuning_trials
from proxy.core.policies import Knob
from proxy.tuner.tuning_view import Expectation, Proposal, Why
model = Model.objects.get(name="digits")
expectation = Expectation("p99_ms", 12.0, 9.0, True, "more rows an execution, so fewer executions to wait for")
state = tuning_trials.state_of(model)
state.cooldown_until = timezone.now() + timedelta(hours=1)
state.save(update_fields=["cooldown_until"])
was = model.policy.max_batch_rows
why = (Why.BATCHES_FULL, "Batches are full.")
proposal = Proposal(Knob.BATCH_ROWS, was, was + 1, *why, expectation, settle_s=300.0)
card = tuning_trials.row_of(model, proposal, load=8, fence=0)
card.status = DecisionStatus.ADVISED
card.save()
print("CARD", card.pk)
"""


class Rig:
    """Calls with an administrator's key, made once: each takes a start of Django."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.key = site.admin_key()

    def api(self, method: str, path: str, content: Any = None) -> Any:
        """What the admin API answers, below /api/v1/; AssertionError where it refuses."""
        status, answer = self.site.api(method, f"/api/v1/{path}", self.key, content)
        assert status < 300, (method, path, status, answer)
        return answer

    def rows(self, path: str) -> list[dict[str, Any]]:
        """The first page of a list."""
        found: list[dict[str, Any]] = self.api("GET", path)["results"]
        return found

    def ask(self, name: str, values: list[float] | None = None) -> dict[str, Any]:
        """Ask digits under this request id, for a picture that nobody has asked for unless `values` are given."""
        data = values or [round(random.random(), 6) for _ in range(PIXELS)]
        tensor = {"name": "image", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": data}
        answer = httpx.post(
            f"http://{HOST}:{self.site.inference_port}/v2/models/digits/infer",
            headers={"Authorization": f"Bearer {self.key}"},
            json={"id": name, "inputs": [tensor]},
            timeout=PATIENCE_S,
        )
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def lately(self) -> dict[str, Any]:
        """The last minutes of digits by the second, as columns."""
        now = int(time.time())
        return dict(self.api("GET", f"metrics/history?model=digits&start={now - LATELY_S}&end={now}"))

    def opens(self, secret: str, path: str = "/v2/models/digits") -> int:
        """The status that a key is answered with on the inference port."""
        url = f"http://{HOST}:{self.site.inference_port}{path}"
        return httpx.get(url, headers={"Authorization": f"Bearer {secret}"}, timeout=PATIENCE_S).status_code

    def forget(self, model: str) -> None:
        """Remove a model that a journey has made, for good."""
        self.api("POST", f"models/{model}/unload")
        self.api("DELETE", f"models/{model}")
        self.api("DELETE", f"models/{model}?for_good=true")

    def card(self) -> int:
        """The number of a proposal that waits for a person, made now: one that waited for long would be out of date."""
        said = self.site.manage("shell", "--command", ADVISE)
        return next(int(line.removeprefix("CARD ")) for line in said.splitlines() if line.startswith("CARD "))


def fresh(word: str) -> str:
    """A name that nothing has yet."""
    return f"{word}-{secrets.token_hex(4)}"


def until(holds: Callable[[], object]) -> None:
    """Return when it holds; AssertionError when that takes too long."""
    give_up_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up_s, "it never came to hold"
        time.sleep(LOOK_EACH_S)
