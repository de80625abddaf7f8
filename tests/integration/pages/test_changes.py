"""What staff change from the pages: it goes through the services, and refusals come back as words."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from pytest_django.fixtures import Settings

from models_admin.models import ApiKey, AuditEvent, Model, ModelVersion, Policy
from models_admin.models.registry import VersionState
from models_admin.services.policies import EDITABLE_FIELDS


def words(response: object) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))  # type: ignore[attr-defined]


def policy_form(model: Model, **changes: object) -> dict[str, object]:
    policy = Policy.objects.get(model=model)
    form = {name: getattr(policy, name) for name in EDITABLE_FIELDS}
    form = {name: "on" if value is True else value for name, value in form.items() if value is not False}
    return {**form, "revision": policy.revision, **changes}


def test_a_new_model_leads_to_its_first_upload(staff: Client) -> None:
    response = staff.post("/models/new", {"name": "ranker", "description": "Ranks."})
    assert response.headers["Location"] == "/models/ranker/versions/"
    assert AuditEvent.objects.get(action="model.create").actor == "user:alice"


@pytest.mark.parametrize("name", ["", "a/b", "..", "digits", "x" * 129, "new\n", "<b>"])
def test_a_bad_or_taken_name_stays_on_the_form_with_words(staff: Client, digits: Model, name: str) -> None:
    before = Model.objects.count()
    response = staff.post("/models/new", {"name": name})
    if response.status_code == 302:
        assert name.strip() == "new"
        return
    assert response.status_code in {400, 409}
    assert 'role="alert"' in response.content.decode()
    assert Model.objects.count() == before


def test_promote_archive_restore_and_keep(staff: Client, digits: Model) -> None:
    staff.post("/models/digits/versions/5/promote/")
    assert Model.objects.get(name="digits").default_version.number == 5
    staff.post("/models/digits/versions/1/archive/")
    assert ModelVersion.objects.get(number=1).state == VersionState.ARCHIVED
    staff.post("/models/digits/versions/1/restore/")
    staff.post("/models/digits/versions/1/keep/", {"keep": "true"})
    assert ModelVersion.objects.get(number=1).keep_loaded


def test_a12_promoting_a_failed_version_is_refused_in_words(staff: Client, digits: Model) -> None:
    response = staff.post("/models/digits/versions/2/promote/")
    assert "only a ready version can be promoted" in words(response)
    assert Model.objects.get(name="digits").default_version.number == 1


def test_a11_the_default_version_is_not_deleted(staff: Client, digits: Model) -> None:
    response = staff.post("/models/digits/versions/1/delete/")
    assert "Promote another version first" in words(response)
    assert ModelVersion.objects.filter(number=1).exists()


def test_a11_a_form_made_from_an_older_revision_is_refused(staff: Client, digits: Model) -> None:
    staff.post("/models/digits/describe/", {"description": "first", "revision": digits.revision})
    response = staff.post("/models/digits/describe/", {"description": "second", "revision": digits.revision})
    assert "Someone changed this model" in words(response)
    assert Model.objects.get(name="digits").description == "first"


def test_the_policy_is_saved_and_says_when_nothing_changed(staff: Client, digits: Model) -> None:
    response = staff.post("/models/digits/policy/save/", policy_form(digits, max_batch_rows=64, cache_enabled=""))
    assert response.headers["Location"] == "/models/digits/policy/?saved=2"
    policy = Policy.objects.get(model=digits)
    assert (policy.max_batch_rows, policy.cache_enabled) == (64, False)
    assert "Nothing was changed" in words(staff.post("/models/digits/policy/save/", policy_form(digits)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_batch_rows", "0"),
        ("max_batch_rows", "1.5"),
        ("max_batch_rows", "many"),
        ("max_queue_requests", str(2**63)),
        ("max_queue_delay_ms", "nan"),
        ("max_queue_delay_ms", "inf"),
        ("min_instances", "9"),
        ("placement", "nearest"),
    ],
)
def test_a9_a_bad_value_is_refused_at_its_field_and_what_was_typed_stays(
    staff: Client, digits: Model, field: str, value: str
) -> None:
    response = staff.post("/models/digits/policy/save/", policy_form(digits, **{field: value}))
    assert response.status_code == 400
    html = response.content.decode()
    assert "Nothing was saved" in html
    assert f'value="{value}"' in html or field == "placement"
    assert Policy.objects.get(model=digits).revision == digits.policy.revision


def test_instances_are_set_within_the_policys_bounds(staff: Client, digits: Model) -> None:
    response = staff.post("/models/digits/instances/", {"count": "64"})
    assert "allows 1 to 2 instances" in words(response)
    staff.post("/models/digits/instances/", {"count": "1"})
    assert Model.objects.get(name="digits").scaling.wanted_instances == 1


def test_a_loaded_model_is_unloaded_before_it_can_be_deleted(staff: Client, digits: Model) -> None:
    assert "Unload it first" in words(staff.post("/models/digits/delete/"))
    staff.post("/models/digits/unload/")
    assert "is being validated" in words(staff.post("/models/digits/delete/"))
    digits.versions.filter(state="validating").update(state="failed")
    back = staff.post("/models/digits/delete/").headers["Location"]
    assert back == "/?deleted=digits"
    assert not Model.objects.filter(name="digits").exists()
    html = staff.get(back).content.decode()
    assert "digits is deleted" in html and 'action="/models/digits/undelete/"' in html
    assert staff.get("/models/digits/").status_code == 404


def test_what_was_deleted_is_undone_or_removed_for_good(staff: Client, viewer: Client, digits: Model) -> None:
    back = staff.post("/models/digits/versions/5/delete/").headers["Location"]
    assert back == "/models/digits/versions/?deleted=5"
    html = staff.get(back).content.decode()
    assert "digits/5 is deleted" in html and 'action="/models/digits/versions/5/undelete/"' in html
    assert "1 recently deleted" in html and 'href="/models/digits/versions/5/"' not in html
    assert "undelete" not in viewer.get(back).content.decode()
    assert "is restored as it was" in words(staff.post("/models/digits/versions/5/undelete/"))
    html = staff.get(back).content.decode()
    assert "is deleted" not in html and 'href="/models/digits/versions/5/"' in html
    staff.post("/models/digits/versions/5/delete/")
    assert "digits/5" in viewer.get("/deleted/").content.decode()
    assert "undelete" not in viewer.get("/deleted/").content.decode()
    assert "removed for good" in words(staff.post("/models/digits/versions/5/remove/"))
    assert staff.post("/models/digits/versions/5/undelete/").status_code == 404
    assert "Nothing was deleted lately" in staff.get("/deleted/").content.decode()


def test_archived_versions_are_out_of_the_way_and_a_click_away(staff: Client, digits: Model) -> None:
    html = staff.get("/models/digits/versions/").content.decode()
    assert 'href="/models/digits/versions/4/"' not in html and "Show 1 archived version" in html
    html = staff.get("/models/digits/versions/?archived=true").content.decode()
    assert 'href="/models/digits/versions/4/"' in html and "Hide archived versions" in html


def test_a_new_keys_secret_is_in_one_answer_only(staff: Client, digits: Model) -> None:
    form = {"name": "checkout", "scope": "inference", "all_models": "false", "models": ["digits"], "expires_at": ""}
    response = staff.post("/keys/create/", form)
    assert response.status_code == 201
    assert "no-store" in response.headers["Cache-Control"]
    secret = response.context["secret"]
    assert secret in response.content.decode()
    assert secret not in staff.get("/keys/").content.decode()
    key = ApiKey.objects.get(name="checkout")
    assert [model.name for model in key.models.all()] == ["digits"]
    staff.post(f"/keys/{key.pk}/revoke/")
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_a_keys_tenant_and_rate_are_typed_on_the_page_and_shown(staff: Client, digits: Model) -> None:
    form = {"name": "shop", "scope": "inference", "all_models": "true", "tenant": " acme ", "requests_per_s": "250"}
    assert staff.post("/keys/create/", form).status_code == 201
    key = ApiKey.objects.get(name="shop")
    assert (key.tenant, key.requests_per_s) == ("acme", 250)
    page = staff.get("/keys/").content.decode()
    assert "250/s" in page and "acme" in page


@pytest.mark.parametrize("rate", ["-1", "1.5", "many", "1000001"])
def test_a_key_with_a_bad_rate_is_not_made(staff: Client, digits: Model, rate: str) -> None:
    form = {"name": "x", "scope": "inference", "all_models": "true", "requests_per_s": rate}
    assert staff.post("/keys/create/", form).status_code == 400
    assert not ApiKey.objects.filter(name="x").exists()


@pytest.mark.parametrize("expires_at", ["2020-01-01", "soon", "2027-13-45"])
def test_a_key_with_a_bad_expiry_is_not_made(staff: Client, digits: Model, expires_at: str) -> None:
    form = {"name": "x", "scope": "inference", "all_models": "true", "expires_at": expires_at}
    assert staff.post("/keys/create/", form).status_code == 400
    assert not ApiKey.objects.filter(name="x").exists()


def test_the_first_run_banner_stays_until_the_file_is_deleted(
    staff: Client, viewer: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.DLPROXY_HOME = tmp_path
    (tmp_path / "first-run.json").write_text("{}")
    assert "Delete the first-run file" in staff.get("/").content.decode()
    assert "first-run" not in viewer.get("/").content.decode()
    staff.post("/first-run/delete/")
    assert not (tmp_path / "first-run.json").exists()
    assert AuditEvent.objects.get(action="first_run.delete").actor == "user:alice"
    assert "Delete the first-run file" not in staff.get("/").content.decode()


@pytest.mark.parametrize("empty", ["model", "model-try", "model-policy", ""])
def test_the_head_follows_by_itself_and_an_empty_page_is_read_anew(staff: Client, digits: Model, empty: str) -> None:
    nothing = staff.get("/models/empty/head/", {"empty": empty})
    assert "No version" in nothing.content.decode()
    assert "HX-Refresh" not in nothing.headers
    assert 'hx-get="/models/empty/head/?empty=model-policy"' in staff.get("/models/empty/policy/").content.decode()
    first = staff.get("/models/digits/head/", {"empty": empty})
    assert "default: version 1" in first.content.decode()
    # Without a data plane version 1 is not ready to be tried.
    assert ("HX-Refresh" in first.headers) is (empty == "model")


def test_steps_are_polled_until_validation_is_final(staff: Client, digits: Model) -> None:
    moving = staff.get("/models/digits/versions/3/steps/")
    assert 'hx-trigger="every 1s"' in moving.content.decode()
    assert "HX-Refresh" not in moving.headers
    ModelVersion.objects.filter(number=3).update(state=VersionState.READY)
    final = staff.get("/models/digits/versions/3/steps/")
    assert "hx-trigger" not in final.content.decode()
    assert final.headers["HX-Refresh"] == "true"
