"""The pages of requests and instances: what they show, that all of it is escaped, and orders from the page."""

from __future__ import annotations

import csv
import re

import pytest
from api_cast import FakeRuntime
from django.contrib.messages import get_messages
from django.test import Client

from models_admin.models import AuditEvent, Model
from proxy.core.instance_reports import ExitReport, OrderOutcome
from proxy.core.request_reports import Companion, RequestReport, Sort

EVIL = '<img src=x onerror="alert(1)">'


def kept(number: int = 7, **values: object) -> RequestReport:
    fields: dict[str, object] = {
        "number": number,
        "request_id": EVIL,
        "model": "digits",
        "version": 1,
        "principal_id": "key:99",
        "at_unix_s": 1_800_000_000.5,
        "status": 200,
        "total_ms": 3.0,
        "parts_ms": (("queue", 1.0), ("compute", 2.0)),
        "rows": 4,
        "instance_id": "digits/1#3",
        "batch_rows": 8,
        "batch_requests": 3,
        "companions": (Companion(8, EVIL),),
        **values,
    }
    return RequestReport(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["/requests/", "/requests/?open=7", "/models/digits/requests/?open=7"])
def test_an_id_with_markup_is_text_everywhere(
    staff: Client,
    digits: Model,
    runtime: FakeRuntime,
    url: str,
) -> None:
    runtime.kept = (kept(),)
    html = staff.get(url).content.decode()
    assert "<img" not in html
    assert "&lt;img src=x onerror=" in html
    assert not re.search(r"\sstyle=\"", html)


def test_an_opened_request_says_where_its_time_went_and_who_shared_its_batch(
    viewer: Client,
    digits: Model,
    runtime: FakeRuntime,
) -> None:
    runtime.kept = (kept(request_id="mine", companions=(Companion(8, "theirs"),)),)
    html = viewer.get("/requests/?open=7").content.decode()
    assert "8 rows of 3 requests" in html
    assert re.search(r'href="\?open=8">theirs</a>\s+and 1 that is not kept', html)
    assert "2.000 ms" in html
    assert "no instance was free" in html


def test_the_requests_are_a_file_whose_parts_add_up_and_whose_cells_are_no_formulas(
    viewer: Client, digits: Model, runtime: FakeRuntime
) -> None:
    runtime.kept = (kept(request_id="=cmd()"), kept(8, status=503, reason="queue_full", parts_ms=(("queue", 3.0),)))
    answer = viewer.get("/models/digits/requests/?form=csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="requests.csv"'
    first, second = csv.DictReader(answer.content.decode().splitlines())
    assert (first["id"], first["at"], first["status"]) == ("'=cmd()", "2027-01-15T08:00:00.500+00:00", "200")
    assert float(first["queue_ms"]) + float(first["compute_ms"]) == float(first["total_ms"])
    assert (second["reason"], second["compute_ms"], second["queue_ms"]) == ("queue_full", "", "3.0")
    assert "?form=csv" in viewer.get("/models/digits/requests/").content.decode()


def test_an_opened_request_stands_first_and_one_that_is_gone_is_said_so(
    viewer: Client, digits: Model, runtime: FakeRuntime
) -> None:
    runtime.kept = (kept(9, request_id="newer"), kept(7, request_id="opened-one"))
    html = viewer.get("/requests/?open=7").content.decode()
    assert html.index("name-7") < html.index("name-9")
    assert html.count('id="name-7"') == 1
    assert "Request number 5 is no longer kept" in viewer.get("/requests/?open=5").content.decode()


def test_a_hit_shows_no_compute(viewer: Client, digits: Model, runtime: FakeRuntime) -> None:
    parts = (("body", 0.1), ("cache", 0.2), ("write", 0.1))
    runtime.kept = (kept(cache="hit", parts_ms=parts, batch_requests=0, companions=()),)
    html = viewer.get("/requests/?open=7").content.decode()
    assert "Cache hit" in html
    assert 'class="part part--compute" x=' not in html


def test_the_state_is_in_the_address_and_reaches_the_data_plane(
    viewer: Client,
    digits: Model,
    runtime: FakeRuntime,
) -> None:
    html = viewer.get("/models/digits/requests/?sort=slowest&status=error&id=abc&scale=own").content.decode()
    query = runtime.queries[0]
    assert (query.model, query.sort, query.only_errors, query.text) == ("digits", Sort.SLOWEST, True, "abc")
    assert 'value="abc"' in html
    assert "sort=recent&amp;" in html or "sort=recent" in html


def test_an_empty_page_teaches_how_to_send_one(viewer: Client, digits: Model, runtime: FakeRuntime) -> None:
    html = viewer.get("/models/digits/requests/").content.decode()
    assert "curl http://testserver:8601/v2/models/digits/infer" in html
    assert "curl" in html
    assert "No kept request matches" in viewer.get("/requests/?id=nothing").content.decode()


def test_htmx_gets_the_list_alone(viewer: Client, digits: Model, runtime: FakeRuntime) -> None:
    runtime.kept = (kept(),)
    for url in ("/requests/", "/models/digits/requests/", "/instances/", "/instances/1/"):
        html = viewer.get(url, headers={"HX-Request": "true"}).content.decode()
        assert "<html" not in html


def test_instances_their_log_and_how_others_ended(staff: Client, digits: Model, runtime: FakeRuntime) -> None:
    runtime.exits = (ExitReport("digits/1#8", 1_800_000_000.0, f"It crashed: {EVIL}", False, 3.5, 12, EVIL),)
    runtime.orders.output = b"loaded <script>alert(1)</script> password=hunter2\n"
    listed = staff.get("/instances/").content.decode()
    assert "digits/1#1" in listed
    assert "It crashed: &lt;img" in listed
    alive = staff.get("/instances/1/").content.decode()
    assert "loaded &lt;script&gt;" in alive
    assert "hunter2" not in alive
    assert 'action="/instances/1/restart/"' in alive
    ended = staff.get("/instances/8/").content.decode()
    assert "It has ended" in ended
    assert 'action="/instances/8/restart/"' not in ended
    assert "<img" not in ended
    assert staff.get("/instances/55/").status_code == 404


def test_a_models_own_instances_have_their_last_lines_and_orders(
    staff: Client, viewer: Client, digits: Model, runtime: FakeRuntime
) -> None:
    runtime.exits = tuple(
        ExitReport(f"{name}/1#{number}", 1_800_000_000.0, f"The end of {name}", False, 3.5, 12, "")
        for name, number in (("digits", 8), ("other", 9))
    )
    runtime.orders.output = b"loaded <script>alert(1)</script>\n"
    page = staff.get("/models/digits/processes/?log=1").content.decode()
    assert "digits/1#1" in page
    assert "The end of digits" in page
    assert "The end of other" not in page
    assert "loaded &lt;script&gt;" in page
    assert 'action="/instances/1/restart/"' in page
    assert 'action="/instances/1/drain/"' in page
    assert "digits/1#1" not in staff.get("/models/digits/processes/?version=7").content.decode()
    assert "/restart/" not in viewer.get("/models/digits/processes/?log=1").content.decode()
    assert viewer.get("/models/nosuch/processes/").status_code == 404


def test_a_versions_own_page_lists_its_instances_and_no_others(
    viewer: Client, digits: Model, runtime: FakeRuntime
) -> None:
    page = viewer.get("/models/digits/versions/1/").content.decode()
    for number, words in ((1, "12 s"), (2, "0 s")):
        assert f'href="/instances/{number}/">#{number}</a>' in page
        assert words in page
    assert 'href="/models/digits/processes/?version=1"' in page
    assert "/instances/" not in viewer.get("/models/digits/versions/5/").content.decode().partition("<main")[2]


def test_viewers_see_logs_and_no_orders(viewer: Client, digits: Model, runtime: FakeRuntime) -> None:
    html = viewer.get("/instances/1/").content.decode()
    assert "restart" not in html
    assert viewer.post("/instances/1/restart/").status_code == 403
    assert not runtime.orders.given


def test_orders_from_the_page_are_given_once_audited_and_answered(
    staff: Client,
    digits: Model,
    runtime: FakeRuntime,
) -> None:
    runtime.orders.outcome = OrderOutcome.REPLACED
    response = staff.post("/instances/1/drain/", {"instance": "digits/1#1"})
    said = " ".join(str(message) for message in get_messages(response.wsgi_request))
    assert "another starts" in said
    assert AuditEvent.objects.get(action="instance.drain").object_id == "digits/1#1"


def test_a_page_older_than_the_servers_start_orders_nothing(
    staff: Client,
    digits: Model,
    runtime: FakeRuntime,
) -> None:
    response = staff.post("/instances/1/restart/", {"instance": "other/1#1"})
    assert "Open the list of instances again" in " ".join(str(m) for m in get_messages(response.wsgi_request))
    assert not runtime.orders.given
