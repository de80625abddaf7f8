"""Golden samples: inputs with the outputs that a version must reproduce before an instance of it serves.

    uploaded or recorded → rows → one JSON document beside the artifact → read by each instance that loads from then on

Rules: the document is named by its digest and written aside, flushed, renamed, before the row names it; a running group
keeps the one that it was loaded with, so a change never restarts what serves: it applies at the version's next load.
Older documents go when the version is deleted, or by the sweep once it is no longer ready. Samples are bounded in
number and size, since each instance executes all of them at each load.
Decision: docs/decisions/0028-rollouts-and-golden-samples.md.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from models_admin.models import GoldenSample, ModelVersion
from models_admin.publishing.snapshot import signature_value
from models_admin.selectors.artifacts import golden_path
from models_admin.services import versions, writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Conflict, Invalid, NoSpace, NotFound, TooLarge
from models_admin.services.golden_tensors import check_sample
from proxy import gateway
from proxy.core.principals import Principal
from proxy.core.tensors import Signature
from proxy.core.units import BYTES_PER_MIB

MAX_SAMPLES = 32
MAX_SAMPLE_BYTES = BYTES_PER_MIB // 2
"""JSON of one sample. With MAX_SAMPLES: at most 16 MiB a version."""
MAX_TOLERANCE = 1.0
DEFAULT_RTOL = 1e-3
DEFAULT_ATOL = 1e-5
UPLOADED = "upload"
RECORDED = "recorded"


def add_sample(
    *,
    actor: Actor,
    version: ModelVersion,
    inputs: Any,
    outputs: Any,
    rtol: float = DEFAULT_RTOL,
    atol: float = DEFAULT_ATOL,
    source: str = UPLOADED,
    expected_revision: int | None = None,
) -> GoldenSample:
    """Keep `inputs` and the `outputs` expected of them (lists of V2 tensors) as a golden sample of a validated version.

    An output counts as reproduced where |got − expected| <= atol + rtol × |expected|; whole numbers, booleans and
    strings must be equal. At least one output is needed, not all.
    Raises Invalid, Conflict (not validated, too many), TooLarge, NoSpace or PreconditionFailed.
    """
    _check_tolerance(rtol, "rtol")
    _check_tolerance(atol, "atol")
    with transaction.atomic():
        row = versions.lock_version(version, expected_revision)
        signature = _signature(row)
        kept_inputs, kept_outputs = check_sample(
            inputs, outputs, input_specs=signature.inputs, output_specs=signature.outputs, batchable=row.batchable
        )
        size_bytes = len(json.dumps([kept_inputs, kept_outputs]))
        if size_bytes > MAX_SAMPLE_BYTES:
            raise TooLarge(
                _("A golden sample may have %(max_sample_bytes)s bytes of JSON; this one has %(size_bytes)s.")
                % {"max_sample_bytes": MAX_SAMPLE_BYTES, "size_bytes": size_bytes}
            )
        if row.golden_samples.count() >= MAX_SAMPLES:
            raise Conflict(
                _("%(row)s has %(max_samples)s golden samples already; remove one first.")
                % {"row": row, "max_samples": MAX_SAMPLES},
                code="too_many",
            )
        sample = GoldenSample.objects.create(
            version=row,
            inputs=kept_inputs,
            outputs=kept_outputs,
            rtol=rtol,
            atol=atol,
            source=source,
            created_by=actor.label[:200],
        )
        _rewrite(row)
        writing.audit(actor, "golden.add", "version", str(row), sample=sample.pk, source=source)
        writing.publish()
    return sample


def record_sample(
    *,
    actor: Actor,
    version: ModelVersion,
    inputs: Any,
    rtol: float = DEFAULT_RTOL,
    atol: float = DEFAULT_ATOL,
    expected_revision: int | None = None,
) -> GoldenSample:
    """Ask the loaded `version` now and keep its answer to `inputs` (V2 tensors) as golden.

    Raises Invalid where the model refuses or fails them, Conflict where the version does not answer, and NotReady where
    no data plane runs in this process.
    """
    return add_sample(
        actor=actor,
        version=version,
        inputs=inputs,
        outputs=answer_now(actor, version, inputs),
        rtol=rtol,
        atol=atol,
        source=RECORDED,
        expected_revision=expected_revision,
    )


def answer_now(actor: Actor, version: ModelVersion, inputs: Any) -> list[dict[str, Any]]:
    """What the loaded `version` answers to `inputs` now, as V2 tensors. Raises as `record_sample`."""
    body = json.dumps({"inputs": inputs}).encode()
    caller = Principal("system:golden", actor.label, is_admin=True)
    answer = gateway.infer_from_thread(caller, version.model.name, str(version.number), body)
    said = json.loads(answer.body)
    if answer.status != 200:
        words = f"{version} answered {answer.status}: {said.get('error', '')}"
        raise Invalid(words, field="inputs") if answer.status in (400, 500) else Conflict(words, code="not_answering")
    outputs: list[dict[str, Any]] = said["outputs"]
    return outputs


@transaction.atomic
def remove_sample(*, actor: Actor, version: ModelVersion, sample_id: int, expected_revision: int | None = None) -> None:
    """Drop one golden sample. Raises NotFound if the version has no such one."""
    row = versions.lock_version(version, expected_revision)
    if not row.golden_samples.filter(pk=sample_id).delete()[0]:
        raise NotFound(_("%(row)s has no golden sample %(sample_id)s.") % {"row": row, "sample_id": sample_id})
    _rewrite(row)
    writing.audit(actor, "golden.remove", "version", str(row), sample=sample_id)
    writing.publish()


def inherit(*, actor: Actor, version: ModelVersion, donor: ModelVersion) -> int:
    """Copy the samples of `donor` to `version` (locked, without its own); how many. Within a transaction."""
    samples = [
        GoldenSample(
            version=version,
            inputs=sample.inputs,
            outputs=sample.outputs,
            rtol=sample.rtol,
            atol=sample.atol,
            source=sample.source,
            created_by=sample.created_by,
        )
        for sample in donor.golden_samples.order_by("pk")
    ]
    if not samples:
        return 0
    GoldenSample.objects.bulk_create(samples)
    _rewrite(version)
    writing.audit(actor, "golden.inherit", "version", str(version), of=str(donor), samples=len(samples))
    return len(samples)


def donor_of(version: ModelVersion, signature: Any, *, any_signature: bool = False) -> ModelVersion | None:
    """The default version whose samples `version`, with this signature, has to reproduce, too; None if there is none.

    Its own samples come first; a signature that differs in any tensor inherits nothing.
    """
    donor = version.model.default_version
    if donor is None or donor.pk == version.pk or not donor.golden_digest:
        return None
    if version.golden_digest or not version.inherit_golden:
        return None
    return donor if any_signature or donor.signature == signature else None


def inherit_if_due(*, actor: Actor, version: ModelVersion) -> int:
    """Let a (locked) version whose validation has ended have the default version's samples, too; how many."""
    donor = donor_of(version, version.signature)
    return 0 if donor is None else inherit(actor=actor, version=version, donor=donor)


def document_to_reproduce(version: ModelVersion) -> dict[str, str]:
    """Where the validator finds what `version` must reproduce: its own samples, else those that it would inherit.

    Its signature may not be known yet; the document has the one that it is meant for.
    """
    source = version if version.golden_digest else donor_of(version, None, any_signature=True)
    if source is None:
        return {}
    return {"golden_path": str(golden_path(source)), "golden_digest": source.golden_digest}


def _rewrite(version: ModelVersion) -> None:
    """Write the document of the version's present samples and name it in the row."""
    samples = list(version.golden_samples.order_by("pk"))
    version.revision += 1
    version.golden_digest = ""
    if samples:
        document = {
            "signature": version.signature,
            "rtol": DEFAULT_RTOL,
            "atol": DEFAULT_ATOL,
            "samples": [
                {"inputs": one.inputs, "outputs": one.outputs, "rtol": one.rtol, "atol": one.atol} for one in samples
            ],
        }
        content = json.dumps(document, separators=(",", ":")).encode()
        version.golden_digest = hashlib.sha256(content).hexdigest()
        _write(golden_path(version), content)
    version.save(update_fields=["golden_digest", "revision"])


def _write(path: Path, content: bytes) -> None:
    """Whole or absent, even after a power loss."""
    aside = Path(settings.DLPROXY_ARTIFACTS_DIR) / "incoming" / f"{uuid4().hex}.part"
    try:
        with aside.open("xb") as target:
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
        aside.rename(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise NoSpace(
            _("The golden samples could not be written (%(strerror)s); nothing was changed.")
            % {"strerror": error.strerror}
        ) from error


def _signature(version: ModelVersion) -> Signature:
    try:
        return signature_value(version.signature)
    except (KeyError, TypeError, ValueError):
        raise Conflict(
            _("%(version)s has not been validated, so its tensors are not known yet.") % {"version": version},
            code="state",
        ) from None


def _check_tolerance(value: Any, field: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_TOLERANCE:
        raise Invalid(
            _("%(field)s: a number from 0 to %(max_tolerance)s.")
            % {"field": field, "max_tolerance": f"{MAX_TOLERANCE:g}"},
            field=field,
        )
