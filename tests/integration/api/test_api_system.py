"""GET /system: the set-up's state, for people and admin keys; no secret and no path in it."""

from __future__ import annotations

from api_cast import Caller, FakeRuntime
from django.conf import settings


def test_the_state_of_each_part_and_the_worst_of_them(viewer: Caller, runtime: FakeRuntime) -> None:
    runtime.inference_port = 8001  # type: ignore[attr-defined]
    answer = viewer("GET", "/system")
    assert answer.status_code == 200
    body = answer.json()
    by_key = {check["key"]: check for check in body["checks"]}
    assert by_key["database"]["condition"] == "ok"
    assert by_key["data_plane"]["condition"] == "ok"
    assert by_key["sandbox"]["value"] == "1 of 1 walls stand"
    assert by_key["celery"]["condition"] == "warning"
    assert body["condition"] in ("warning", "error")
    assert str(settings.DLPROXY_HOME) not in answer.content.decode()


def test_without_a_data_plane_that_is_the_error(admin: Caller) -> None:
    by_key = {check["key"]: check for check in admin("GET", "/system").json()["checks"]}
    assert by_key["data_plane"]["condition"] == "error"
    assert "script/server" in by_key["data_plane"]["action"]


def test_keys_for_inference_read_nothing_of_it(inference: Caller) -> None:
    assert inference("GET", "/system").status_code == 403
