"""Golden samples held against the version that serves now: what its next load would say, before that load.

Rules: no sample is changed; an instance at its load decides by itself (proxy.worker.golden, whose tolerance this is).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from models_admin.models import GoldenSample, ModelVersion
from models_admin.services import golden, writing
from models_admin.services.actors import Actor
from models_admin.services.errors import Invalid

REALS = frozenset({"FP16", "BF16", "FP32", "FP64"})


def check_now(*, actor: Actor, version: ModelVersion) -> list[str]:
    """`faults_now` of every sample of `version`; who asked is kept."""
    faults = faults_now(actor=actor, version=version, samples=version.golden_samples.all())
    writing.audit(actor, "golden.check", "version", str(version), faults=len(faults))
    return faults


def faults_now(*, actor: Actor, version: ModelVersion, samples: Iterable[GoldenSample]) -> list[str]:
    """In words, what the loaded `version` does not reproduce now of `samples`, numbered in their order.

    Raises Conflict where the version does not answer now, and NotReady where no data plane runs in this process.
    """
    faults = []
    for position, sample in enumerate(samples, 1):
        try:
            got = golden.answer_now(actor, version, sample.inputs)
        except Invalid as error:  # the model refuses or fails these inputs, as it would at its load
            words = error.message
        else:
            words = difference(sample.outputs, got, rtol=sample.rtol, atol=sample.atol)
        if words:
            faults.append(_("Sample %(position)s: %(words)s") % {"position": position, "words": words})
    return faults


def difference(
    expected: Sequence[Mapping[str, Any]], got: Sequence[Mapping[str, Any]], *, rtol: float, atol: float
) -> str:
    """How the first output that is not as expected differs; empty where each is. Pure.

    |got − expected| <= atol + rtol × |expected| for every element of a float output, equality for any other.
    """
    answers = {tensor["name"]: tensor for tensor in got}
    for tensor in expected:
        name, answer = tensor["name"], answers[tensor["name"]]
        if list(answer["shape"]) != list(tensor["shape"]):
            return _("output %(name)s has shape %(got)s; expected is %(expected)s.") % {
                "name": name,
                "got": list(answer["shape"]),
                "expected": list(tensor["shape"]),
            }
        pairs = list(zip(answer["data"], tensor["data"], strict=True))
        if tensor["datatype"] in REALS:
            # Not `>`: what is no number is never near one.
            wrong = [(ours, theirs) for ours, theirs in pairs if not _is_near(ours, theirs, rtol, atol)]
        else:
            wrong = [(ours, theirs) for ours, theirs in pairs if ours != theirs]
        if wrong:
            ours, theirs = wrong[0]
            return _(
                "output %(name)s differs in %(count)s of %(all)s elements: %(got)s where %(expected)s is expected."
            ) % {
                "name": name,
                "count": len(wrong),
                "all": len(pairs),
                "got": ours,
                "expected": theirs,
            }
    return ""


def _is_near(got: Any, expected: float, rtol: float, atol: float) -> bool:
    return isinstance(got, int | float) and abs(got - expected) <= atol + rtol * abs(expected)
