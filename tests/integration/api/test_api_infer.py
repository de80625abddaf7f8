"""Inference through the admin API: the same door as the inference port, the answer passed on as it is."""

from __future__ import annotations

import pytest
from api_cast import ROOT, Caller, FakeRuntime

from models_admin.api.parsers import MAX_INFERENCE_BYTES
from models_admin.models import ApiKey, Model
from models_admin.services import keys
from proxy.core.requests import Answer

pytestmark = pytest.mark.django_db
BODY = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1e0]}]}'


def test_the_body_goes_through_byte_by_byte_and_the_answer_comes_back_as_it_is(
    inference: Caller, runtime: FakeRuntime, inference_key: tuple[ApiKey, str]
) -> None:
    runtime.answer = Answer(
        503, b'{"error":"queue full"}', ((b"content-type", b"application/json"), (b"retry-after", b"3"))
    )
    answer = inference("POST", "/models/digits/infer", BODY)
    assert (answer.status_code, answer.content) == (503, b'{"error":"queue full"}')
    assert (answer.headers["Content-Type"], answer.headers["Retry-After"]) == ("application/json", "3")
    ((principal, model, version, body),) = runtime.asked
    assert (model, version, body) == ("digits", None, BODY)
    assert (principal.label, principal.models, principal.is_admin) == ("app", None, False)


def test_the_callers_request_id_goes_through_and_an_errors_comes_back(inference: Caller, runtime: FakeRuntime) -> None:
    answer = inference("POST", "/models/digits/infer", BODY, X_Request_Id="trace-1")
    assert (runtime.headers[b"x-request-id"], answer.headers["X-Request-Id"]) == (b"trace-1", "trace-1")
    answer = inference("POST", "/models/digits/infer", BODY, X_Request_Id="<b>")
    assert "<" not in answer.headers["X-Request-Id"]
    runtime.answer = Answer(500, b"{}", ((b"x-request-id", b"auto-1f-2"),))
    assert inference("POST", "/models/digits/infer", BODY).headers["X-Request-Id"] == "auto-1f-2"


def test_a_version_may_be_named(staff: Caller, runtime: FakeRuntime) -> None:
    assert staff("POST", "/models/digits/versions/2/infer", BODY).status_code == 200
    assert runtime.asked[0][1:3] == ("digits", "2")


def test_a_dashboard_user_may_ask_every_model(viewer: Caller, runtime: FakeRuntime) -> None:
    assert viewer("POST", "/models/digits/infer", BODY).status_code == 200
    principal = runtime.asked[0][0]
    assert (principal.label, principal.models, principal.is_admin) == ("user:vera", None, False)


def test_a_key_is_held_to_its_models_by_the_data_plane(runtime: FakeRuntime, digits: Model) -> None:
    _, secret = keys.create_key(actor=ROOT, name="one", scope="inference", all_models=False, models=[digits])
    Caller(secret=secret)("POST", "/models/other/infer", BODY)
    principal = runtime.asked[0][0]
    assert principal.models == frozenset({"digits"})
    assert principal.requests_per_s == 0
    assert not principal.may_infer("other")


def test_a_keys_tenant_and_rate_hold_here_too(runtime: FakeRuntime, digits: Model) -> None:
    _, secret = keys.create_key(actor=ROOT, name="one", scope="inference", tenant="shop", requests_per_s=7)
    Caller(secret=secret)("POST", "/models/digits/infer", BODY)
    principal = runtime.asked[0][0]
    assert (principal.tenant, principal.requests_per_s) == ("tenant:shop", 7)


def test_an_empty_body_is_the_data_planes_to_refuse(inference: Caller, runtime: FakeRuntime) -> None:
    inference("POST", "/models/digits/infer", b"")
    assert runtime.asked[0][3] == b""


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "x"]
)
def test_r32_another_content_type_is_refused(content_type: str, staff: Caller, runtime: FakeRuntime) -> None:
    assert staff("POST", "/models/digits/infer", BODY, Content_Type=content_type).status_code == 415
    assert runtime.asked == []


def test_r20_a_compressed_body_is_refused(inference: Caller, runtime: FakeRuntime) -> None:
    assert inference("POST", "/models/digits/infer", BODY, Content_Encoding="gzip").status_code == 415
    assert runtime.asked == []


def test_a_body_over_the_limit_is_refused(inference: Caller, runtime: FakeRuntime) -> None:
    assert inference("POST", "/models/digits/infer", b" " * MAX_INFERENCE_BYTES).status_code == 200
    assert inference("POST", "/models/digits/infer", b" " * (MAX_INFERENCE_BYTES + 1)).status_code == 413
    assert len(runtime.asked) == 1


def test_without_a_data_plane_the_refusal_says_so(inference: Caller) -> None:
    answer = inference("POST", "/models/digits/infer", BODY)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "name", ["..%2f..%2fetc", "digits%00", "d%C4%B1gits", "digits%20", "digits.", "x" * 4_000, "%0a"]
)
def test_r29_a_name_that_no_model_can_have_is_no_route(name: str, staff: Caller, runtime: FakeRuntime) -> None:
    assert staff("POST", f"/models/{name}/infer", BODY).status_code == 404
    assert runtime.asked == []


def test_raw_tensors_go_through_with_the_header_that_says_where_they_begin(
    inference: Caller, runtime: FakeRuntime
) -> None:
    raw_answer = (b"content-type", b"application/octet-stream"), (b"inference-header-content-length", b"2")
    runtime.answer = Answer(200, b"{}\x00\xff", raw_answer)
    headers = {"Content_Type": "application/octet-stream", "Inference_Header_Content_Length": "2"}
    answer = inference("POST", "/models/digits/infer", b"{}\xff\x00", **headers)
    assert runtime.asked[0][3] == b"{}\xff\x00"
    assert runtime.headers[b"inference-header-content-length"] == b"2"
    assert answer.content == b"{}\x00\xff"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Inference-Header-Content-Length"] == "2"
