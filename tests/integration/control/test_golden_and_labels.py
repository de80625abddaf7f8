"""Golden samples and labels in the database and on disk."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from models_admin.models import AuditEvent, GoldenSample, ModelVersion, VersionLabel
from models_admin.publishing.snapshot import current_generation, load_snapshot
from models_admin.selectors.artifacts import golden_path
from models_admin.services import artifacts, deletions, golden, labels, versions
from models_admin.services.errors import Conflict, Invalid, NotFound, TooLarge
from models_admin.services.golden_tensors import check_sample
from proxy import gateway
from proxy.core.requests import Answer
from proxy.core.tensors import TensorSpec
from tests.integration.control.conftest import ANN, files, make_ready, upload

pytestmark = pytest.mark.django_db
X = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [[1.0, 2.0]]}
Y = {"name": "y", "datatype": "FP32", "shape": [1, 1], "data": [3.0]}


def published(number: int = 1) -> Any:
    snapshot = load_snapshot(None)
    assert snapshot is not None
    return snapshot.models["net"].versions[number]


def test_a_sample_becomes_a_document_that_the_snapshot_names(ready: ModelVersion) -> None:
    before = current_generation()
    golden.add_sample(actor=ANN, version=ready, inputs=[X], outputs=[Y], rtol=0.01)
    version = published()
    content = Path(version.golden_path).read_bytes()
    assert hashlib.sha256(content).hexdigest() == version.golden_digest
    document = json.loads(content)
    assert document["samples"][0]["inputs"][0]["data"] == [1.0, 2.0]  # flat, whatever came
    assert document["samples"][0]["rtol"] == 0.01 and current_generation() == before + 1
    assert AuditEvent.objects.filter(action="golden.add").count() == 1


def test_golden_samples_are_no_part_of_what_a_version_is(ready: ModelVersion) -> None:
    """A running group is not replaced by a change of them: they apply at the next load."""
    before = published()
    golden.add_sample(actor=ANN, version=ready, inputs=[X], outputs=[Y])
    assert published() == before and published().golden_path != before.golden_path


def test_without_samples_there_is_no_document(ready: ModelVersion) -> None:
    sample = golden.add_sample(actor=ANN, version=ready, inputs=[X], outputs=[Y])
    golden.remove_sample(actor=ANN, version=ready, sample_id=sample.pk)
    assert (published().golden_path, published().golden_digest) == ("", "")
    with pytest.raises(NotFound):
        golden.remove_sample(actor=ANN, version=ready, sample_id=sample.pk)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"inputs": []}, "inputs"),
        ({"inputs": {}}, "inputs"),
        ({"inputs": [X, X]}, "inputs"),
        ({"inputs": [{**X, "name": "z"}]}, "inputs"),
        ({"inputs": [{**X, "datatype": "FP64"}]}, "inputs"),
        ({"inputs": [{**X, "shape": [1, 3]}]}, "inputs"),
        ({"inputs": [{**X, "shape": [-1, 2]}]}, "inputs"),
        ({"inputs": [{**X, "data": [1.0]}]}, "inputs"),
        ({"inputs": [{**X, "data": [1.0, float("nan")]}]}, "inputs"),
        ({"inputs": [{**X, "data": [1.0, "2"]}]}, "inputs"),
        ({"inputs": [{**X, "data": [1.0, True]}]}, "inputs"),
        ({"inputs": [{**X, "data": [1.0, 10**400]}]}, "inputs"),
        ({"inputs": [{**X, "data": [1.0, 1e300]}]}, "inputs"),
        ({"outputs": [{**Y, "data": [-1e39]}]}, "outputs"),
        ({"inputs": [{**X, "path": "/etc/passwd"}]}, "inputs"),
        ({"outputs": []}, "outputs"),
        ({"outputs": [{**Y, "shape": [2, 1], "data": [1.0, 2.0]}]}, "outputs"),
        ({"rtol": -1}, "rtol"),
        ({"rtol": True}, "rtol"),
        ({"atol": float("nan")}, "atol"),
    ],
)
def test_a_sample_that_no_instance_can_be_held_to_is_refused(
    ready: ModelVersion, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        golden.add_sample(actor=ANN, version=ready, **{"inputs": [X], "outputs": [Y], **change})
    assert refused.value.field == field and not GoldenSample.objects.exists()


@pytest.mark.parametrize(
    ("datatype", "largest", "beyond"),
    [
        ("FP16", 65_519.9, 65_520.0),
        ("BF16", 3.3961775e38, 3.3961776e38),
        ("FP32", 3.4028235e38, 3.4028236e38),  # what the largest binary32 is written as lies above it
        ("FP64", 1.7976931348623157e308, 2**1_024 - 2**970),
        ("BYTES", "\U0001f600", "\ud83d"),
        ("BYTES", "", "a\0"),
    ],
)
def test_an_element_is_one_that_its_datatype_holds(datatype: str, largest: Any, beyond: Any) -> None:
    """Else every later load of the version would fail."""
    spec = TensorSpec("x", datatype, (-1,))

    def check(element: Any) -> None:
        tensor = {"name": "x", "datatype": datatype, "shape": [1], "data": [element]}
        check_sample([tensor], [tensor], input_specs=[spec], output_specs=[spec], batchable=True)

    check(largest)
    with pytest.raises(Invalid, match="no element"):
        check(beyond)


def test_samples_are_bounded_in_number_and_size(ready: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "MAX_SAMPLES", 1)
    golden.add_sample(actor=ANN, version=ready, inputs=[X], outputs=[Y])
    with pytest.raises(Conflict, match="already"):
        golden.add_sample(actor=ANN, version=ready, inputs=[X], outputs=[Y])
    monkeypatch.setattr(golden, "MAX_SAMPLE_BYTES", 10)
    with pytest.raises(TooLarge):
        golden.add_sample(actor=ANN, version=ready, inputs=[X], outputs=[Y])


def test_a_version_that_was_not_validated_has_no_samples_yet(model: Any) -> None:
    with pytest.raises(Conflict, match="not been validated"):
        golden.add_sample(actor=ANN, version=upload(model), inputs=[X], outputs=[Y])


def test_an_answer_is_recorded(ready: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None, bytes]] = []

    def infer(principal: Any, model: str, version: str | None, body: bytes) -> Answer:
        asked.append((model, version, body))
        return Answer(200, json.dumps({"model_name": "net", "outputs": [Y]}).encode())

    monkeypatch.setattr(gateway, "infer_from_thread", infer)
    sample = golden.record_sample(actor=ANN, version=ready, inputs=[X])
    assert (asked[0][:2], sample.source, sample.outputs[0]["data"]) == (("net", "1"), "recorded", [3.0])
    monkeypatch.setattr(gateway, "infer_from_thread", lambda *_: Answer(503, b'{"error": "not ready"}'))
    with pytest.raises(Conflict, match="not ready"):
        golden.record_sample(actor=ANN, version=ready, inputs=[X])


def test_a_new_version_inherits_the_samples_of_the_default_if_it_takes_and_gives_the_same(ready: ModelVersion) -> None:
    golden.add_sample(actor=ANN, version=ready, inputs=[X], outputs=[Y])
    ready.model.refresh_from_db()
    newer = upload(ready.model)
    assert golden.donor_of(newer, ready.signature) == ready.model.default_version
    assert golden.donor_of(newer, {"inputs": [], "outputs": []}) is None
    assert golden.donor_of(upload(ready.model, inherit_golden=False), ready.signature) is None
    assert golden.document_to_reproduce(newer)["golden_digest"] == ready.model.default_version.golden_digest
    newer = versions.lock_version(make_ready(newer))
    assert golden.inherit_if_due(actor=ANN, version=newer) == 1
    assert newer.golden_samples.get().outputs[0]["data"] == [3.0] and golden_path(newer).exists()


def test_documents_go_with_their_version_and_earlier_ones_stay_while_it_may_be_loaded(
    ready: ModelVersion, store: Path, django_capture_on_commit_callbacks: Any
) -> None:
    first = golden.add_sample(actor=ANN, version=ready, inputs=[X], outputs=[Y])
    earlier = Path(published().golden_path)
    golden.remove_sample(actor=ANN, version=ready, sample_id=first.pk)
    assert artifacts.sweep_orphans(now_s=2e10) == 0 and earlier.exists()
    newer = make_ready(upload(ready.model, 2.0))
    versions.promote(actor=ANN, version=newer)
    versions.archive(actor=ANN, version=ready)
    assert artifacts.sweep_orphans(now_s=2e10) == 1 and not earlier.exists()
    golden.add_sample(actor=ANN, version=newer, inputs=[X], outputs=[Y])
    third = make_ready(upload(ready.model, 3.0))
    versions.promote(actor=ANN, version=third)
    versions.archive(actor=ANN, version=newer)  # it is warm, since it was the default until now
    with django_capture_on_commit_callbacks(execute=True):
        deletions.delete_version(actor=ANN, version=newer)
        deletions.remove_version(actor=ANN, version=newer)
    assert not [name for name in files(store) if "golden" in name]


def test_a_label_moves_at_once_and_is_audited(ready: ModelVersion) -> None:
    newer = make_ready(upload(ready.model, 2.0))
    labels.set_label(actor=ANN, model=ready.model, name="fast", version=ready)
    labels.set_label(actor=ANN, model=ready.model, name="fast", version=newer)
    labels.set_label(actor=ANN, model=ready.model, name="fast", version=newer)  # there already
    snapshot = load_snapshot(None)
    assert snapshot is not None and snapshot.models["net"].labels == {"fast": newer.number}
    assert newer.number in snapshot.models["net"].versions  # what a label points at is kept loaded
    moves = AuditEvent.objects.filter(action="label.set").order_by("pk")
    assert [move.details for move in moves] == [{"before": None, "after": 1}, {"before": 1, "after": 2}]
    for change in (versions.archive, deletions.delete_version):
        with pytest.raises(Conflict, match="label fast"):
            change(actor=ANN, version=newer)
    labels.remove_label(actor=ANN, model=ready.model, name="fast")
    versions.archive(actor=ANN, version=newer)


@pytest.mark.parametrize("name", ["1", "", "Fast", "a b", "a/b", "a" * 41, "a\n", "é", None, 3])
def test_a_label_that_would_not_stand_in_a_path_is_refused(ready: ModelVersion, name: Any) -> None:
    with pytest.raises(Invalid):
        labels.set_label(actor=ANN, model=ready.model, name=name, version=ready)
    assert not VersionLabel.objects.exists()


def test_only_a_ready_version_has_a_label_and_there_are_not_too_many(
    ready: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Conflict, match="uploaded"):
        labels.set_label(actor=ANN, model=ready.model, name="a", version=upload(ready.model))
    monkeypatch.setattr(labels, "MAX_LABELS", 1)
    labels.set_label(actor=ANN, model=ready.model, name="a", version=ready)
    with pytest.raises(Conflict, match="already"):
        labels.set_label(actor=ANN, model=ready.model, name="b", version=ready)
