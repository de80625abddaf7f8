"""Routes, rights and media types, the same on both ports."""

from __future__ import annotations

import json
import re

import pytest
from v2_rig import EXPIRED_KEY, KEY, RESTRICTED_KEY, Client, Rig, infer_body, request

from proxy.core.request_reports import RequestQuery

CONFIG = {
    "name",
    "platform",
    "backend",
    "version_policy",
    "max_batch_size",
    "input",
    "output",
    "instance_group",
    "response_cache",
    "dynamic_batching",
}
GOOD = infer_body([1, 2, 3, 4], [5, 6, 7, 8], id="r")


def ask(port: int, data: bytes, *, to_head: bool = False):
    with Client(port) as client:
        client.send(data)
        return client.read(to_head=to_head)


def test_an_inference_is_answered(port: int) -> None:
    reply = ask(port, request(body=GOOD))
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == {
        "model_name": "echo",
        "model_version": "2",
        "id": "r",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 4], "data": [1, 2, 3, 4, 5, 6, 7, 8]}],
    }


@pytest.mark.parametrize("number", ["1", "2"])
def test_a_version_can_be_named(port: int, number: str) -> None:
    reply = ask(port, request(target=f"/v2/models/echo/versions/{number}/infer", body=GOOD))
    assert (reply.status, reply.json["model_version"]) == (200, number)


@pytest.mark.parametrize(
    ("target", "status", "keys"),
    [
        ("/v2/health/live", 200, {"live"}),
        ("/v2/health/ready", 200, {"live", "ready"}),
        ("/v2", 200, {"name", "version", "extensions"}),
        ("/v2?x=1", 200, {"name", "version", "extensions"}),
        ("/v2/models", 401, {"error"}),
        ("/v2/models/echo", 401, {"error"}),
        ("/v2/models/echo/ready", 401, {"error"}),
        ("/v2/models/nosuch", 401, {"error"}),
        ("/metrics", 401, {"error"}),
    ],
)
def test_only_health_and_server_metadata_need_no_key(port: int, target: str, status: int, keys: set) -> None:
    reply = ask(port, request("GET", target, headers={"Authorization": None}))
    assert reply.status == status
    assert set(reply.json) == keys
    assert ("www-authenticate" in reply.headers) == (status == 401)


@pytest.mark.parametrize(
    ("target", "keys"),
    [
        ("/v2/models", {"models"}),
        ("/v2/models/echo", {"name", "versions", "platform", "inputs", "outputs"}),
        ("/v2/models/echo/versions/1", {"name", "versions", "platform", "inputs", "outputs"}),
        ("/v2/models/echo/ready", {"name", "ready"}),
        ("/v2/models/echo/versions/1/ready", {"name", "ready"}),
        ("/v2/models/echo/versions/1/config", CONFIG),
        ("/v2/models/echo/config", CONFIG),
    ],
)
def test_metadata_is_given_to_a_key(port: int, target: str, keys: set) -> None:
    reply = ask(port, request("GET", target))
    assert reply.status == 200
    assert set(reply.json) == keys


def test_metrics_are_prometheus_text_for_a_key_of_all_models(port: int) -> None:
    reply = ask(port, request("GET", "/metrics"))
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    assert b"dlproxy_" in reply.body
    assert ask(port, request("GET", "/metrics", headers={"Authorization": f"Bearer {RESTRICTED_KEY}"})).status == 403


@pytest.mark.parametrize(
    "credential",
    [None, "", "Bearer", "Basic x", f"Bearer {EXPIRED_KEY}", "Bearer dlp_" + "Z" * 43, KEY, f"Bearer {KEY}x"],
)
def test_an_inference_needs_a_good_key(port: int, credential: str | None) -> None:
    reply = ask(port, request(body=GOOD, headers={"Authorization": credential}))
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert KEY not in reply.error


def test_a_restricted_key_cannot_tell_a_hidden_model_from_none(port: int) -> None:
    header = {"Authorization": f"Bearer {RESTRICTED_KEY}"}
    for suffix in ("", "/ready", "/versions/1", "/versions/1/ready"):
        hidden = ask(port, request("GET", f"/v2/models/secret{suffix}", headers=header))
        absent = ask(port, request("GET", f"/v2/models/absent{suffix}", headers=header))
        assert hidden.status == absent.status == 404
        assert hidden.error.replace("secret", "absent") == absent.error
    hidden = ask(port, request(target="/v2/models/secret/infer", body=GOOD, headers=header))
    assert hidden.status == 404
    assert hidden.error.replace("secret", "absent") == absent.error
    assert [m["name"] for m in ask(port, request("GET", "/v2/models", headers=header)).json["models"]] == ["echo"]
    assert ask(port, request(body=GOOD, headers=header)).status == 200


@pytest.mark.parametrize("method", ["HEAD", "TRACE", "PUT", "DELETE", "PATCH", "OPTIONS", "GET", "PROPFIND"])
def test_r31_inference_answers_post_only(port: int, method: str) -> None:
    reply = ask(port, request(method), to_head=method == "HEAD")
    assert reply.status == 405
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize("method", ["HEAD", "TRACE", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("target", ["/v2", "/v2/models", "/v2/models/echo", "/v2/health/live", "/metrics"])
def test_r31_everything_else_answers_get_only(port: int, method: str, target: str) -> None:
    reply = ask(port, request(method, target), to_head=method == "HEAD")
    assert reply.status == 405
    assert reply.headers["allow"] == "GET"


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_r31_method_overrides_have_no_effect(port: int, name: str) -> None:
    assert ask(port, request("GET", headers={name: "POST"})).status == 405
    assert ask(port, request(body=GOOD, headers={name: "DELETE"})).status == 200


NAMES = [
    "Echo",
    "ECHO",
    "echo.",
    "echo%20",
    "%65cho",
    "ech%6f",
    "echo%00",
    "echo;x",
    "echo,secret",
    "*",
    ".",
    "..",
    "...",
    "%2e%2e",
    "%2e%2e%2f",
    "..%2fecho",
    "..%5cecho",
    "%252e%252e",
    "..;",
    "~",
    "~root",
    "$HOME",
    "C:",
    "echo%2finfer",
    "echo%2Fversions%2F1",
    "echo%3f",
    "a" * 128,
    "a" * 3_900,
    "echo\\infer",
    "'",
    '"',
    "<script>",
    "{name}",
    "echo%c0%ae",
    "%e2%80%aeecho",
    "echo:1",
    "echo@1",
    "-echo",
    "echo-",
    "_",
    "null",
    "None",
    "0",
]


@pytest.mark.parametrize("name", NAMES)
def test_r29_a_name_matches_byte_for_byte_or_not_at_all(port: int, name: str) -> None:
    for data in (request(target=f"/v2/models/{name}/infer", body=GOOD), request("GET", f"/v2/models/{name}")):
        reply = ask(port, data)
        assert reply.status == 404
        assert len(reply.error) < 300


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/v1",
        "/v2/",
        "//v2",
        "/v2//models",
        "/v2/models/",
        "/v2/models//infer",
        "/v2/models/echo/",
        "/V2/models/echo",
        "/v2/models/echo/infer/",
        "/v2/models/echo/infer/x",
        "/v2/models/echo/versions",
        "/v2/models/echo/versions/",
        "/v2/models/../models/echo/infer",
        "/v2/./models/echo/infer",
        "/v2/models/echo/../echo/infer",
        "/v2/models/echo//infer",
        "/v2/models/echo/versions/1/infer/..",
        "/v2/health",
        "/v2/health/",
        "/metrics/",
        "/metrics/x",
        "/v2%2fmodels/echo/infer",
        "/v2/models%2fecho%2finfer",
        "/v2/models/echo/%69nfer",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_r29_other_paths_are_unknown(port: int, target: str, method: str) -> None:
    body = GOOD if method == "POST" else None
    assert ask(port, request(method, target, body)).status in (404, 405)


@pytest.mark.parametrize("number", ["0", "3", "-1", "01", "1.0", "1e0", "+1", "%31", "latest", "9" * 400, "1 "])
def test_r29_versions_match_exactly(port: int, number: str) -> None:
    number = number.replace(" ", "%20")
    for suffix in ("", "/ready"):
        assert ask(port, request("GET", f"/v2/models/echo/versions/{number}{suffix}")).status == 404
    assert ask(port, request(target=f"/v2/models/echo/versions/{number}/infer", body=GOOD)).status == 404


def test_r29_a_path_with_bytes_beyond_ascii_is_refused(port: int) -> None:
    assert ask(port, request("GET", "/v2/models/ech\xf3")).status == 400
    assert ask(port, request("GET", "/v2/models/echo/versions/\xb2")).status == 400


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/x-pickle",
        "application/octet-stream",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; charset=utf-8; x=y",
        "application/jsonx",
        "application/json, text/plain",
        "*/*",
    ],
)
def test_r32_other_media_types_are_refused(port: int, kind: str | None) -> None:
    assert ask(port, request(body=GOOD, headers={"Content-Type": kind})).status == 415


@pytest.mark.parametrize(
    "kind",
    [
        None,  # Triton's own clients name no type
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
    ],
)
def test_r32_json_in_utf8_is_read(port: int, kind: str) -> None:
    assert ask(port, request(body=GOOD, headers={"Content-Type": kind})).status == 200


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "identity, gzip", "x", "gzip,"])
def test_r20_unknown_and_double_codings_are_refused(port: int, coding: str) -> None:
    reply = ask(port, request(body=b"\x1f\x8b" + bytes(50), headers={"Content-Encoding": coding}))
    assert reply.status == 415
    assert "Content-Encoding" in reply.error


def test_r20_identity_is_read_and_a_lie_about_it_is_refused(port: int) -> None:
    assert ask(port, request(body=GOOD, headers={"Content-Encoding": "identity"})).status == 200
    assert ask(port, request(body=b"\x1f\x8b" + bytes(50), headers={"Content-Encoding": "identity"})).status == 400


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'{"inputs":[]}', b"[" * 100_000, b"\xff\xfe", json.dumps({"inputs": 1}).encode()],
)
def test_r01_wrong_bodies_are_400_over_a_socket(port: int, body: bytes) -> None:
    reply = ask(port, request(body=body))
    assert reply.status == 400
    assert "/" not in reply.error.replace("Content-Length", "")


@pytest.mark.parametrize(
    "field",
    [
        {"shape": [-1, 4]},
        {"shape": [2**62, 4]},
        {"shape": [1, 4, 1]},
        {"datatype": "FP64"},
        {"name": "z"},
        {"data": [1, 2, 3]},
        {"data": ["1"] * 4},
        {"data": [[1, 2], [3]]},
        {"parameters": {"binary_data_size": 16}},
        {"shape": [0, 4], "data": []},
    ],
)
def test_wrong_inputs_are_400_and_name_their_field(port: int, field: dict) -> None:
    item = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4], **field}
    reply = ask(port, request(body=json.dumps({"inputs": [item]}).encode()))
    assert reply.status == 400
    assert reply.error.startswith("inputs[0]." + next(iter(field)))


def test_r23_forwarding_headers_have_no_effect(port: int) -> None:
    headers = {"X-Forwarded-For": "10.0.0.1", "X_Forwarded_For": "10.0.0.2", "X-Tenant": "a", "X_Tenant": "b"}
    assert ask(port, request(body=GOOD, headers=headers)).status == 200


def test_the_callers_request_id_comes_back_whatever_the_answer(port: int) -> None:
    wrong = infer_body([1, 2, 3, 4], id="r", parameters={"nosuch": 1})
    for number, (body, target, status) in enumerate(
        [(GOOD, "infer", 200), (wrong, "infer", 400), (GOOD, "nosuch", 404), (GOOD, "versions/9/infer", 404)]
    ):
        sent = request(target=f"/v2/models/echo/{target}", body=body, headers={"X-Request-Id": f"t-{number}"})
        reply = ask(port, sent)
        assert (reply.status, reply.headers["x-request-id"]) == (status, f"t-{number}")
    assert ask(port, request("GET", "/v2/health/live", headers={"X-Request-Id": "live:1"})).headers["x-request-id"] == (
        "live:1"
    )


def test_an_error_has_an_id_of_ours_where_the_caller_gave_none_that_can_be_repeated(port: int, rig: Rig) -> None:
    assert "x-request-id" not in ask(port, request(body=GOOD)).headers
    evil = request(body=b"{", headers={"X-Request-Id": "a b<script>"})
    carried = ask(port, evil).headers["x-request-id"]
    assert re.fullmatch(r"auto-[0-9a-f]{6}-[0-9]+", carried)
    (kept,) = rig.runtime.requests(RequestQuery(text=carried))
    assert (kept.status, kept.request_id) == (400, carried)
    mine, theirs = f"mine-{port}", f"theirs-{port}"
    asked = request(body=infer_body(id=mine), headers={"X-Request-Id": theirs})
    found: list = [[]]
    while not all(found):  # of a busy second not every request is kept in detail
        assert ask(port, asked).status == 200
        found = [rig.runtime.requests(RequestQuery(text=text))[:1] for text in (mine, theirs)]
    assert [[(one.request_id, one.other_ids) for one in of] for of in found] == [[(theirs, (mine,))]] * 2


def test_r23_a_credential_given_twice_is_refused(port: int) -> None:
    twice = request(body=GOOD).replace(b"Host:", f"Authorization: Bearer {RESTRICTED_KEY}\r\nHost:".encode(), 1)
    assert ask(port, twice).status == 400


def test_r21_a_declared_length_over_the_cap_is_refused_before_it_is_sent(port: int) -> None:
    reply = ask(port, request(headers={"Content-Length": str(65 * 2**20), "Content-Type": "application/json"}))
    assert reply.status == 413
    assert "67108864" in reply.error


def test_r37_a_deadline_of_one_microsecond_is_answered_at_once(port: int, rig: Rig) -> None:
    assert ask(port, request(body=infer_body(parameters={"timeout": 1}))).status in (503, 504)


def test_r37_a_timeout_beyond_the_ceiling_is_served_within_it(port: int) -> None:
    assert ask(port, request(body=infer_body(parameters={"timeout": 2**63 - 1}))).status == 200


def test_r34_more_rows_than_a_batch_are_answered_in_order(port: int) -> None:
    rows = [[float(i), 0.0, 1.0, 2.0] for i in range(500)]
    reply = ask(port, request(body=infer_body(*rows)))
    assert reply.json["outputs"][0]["data"] == [v for row in rows for v in row]
