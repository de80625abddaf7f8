"""What happens to a rollout by POST: on, hold, resume, promote, abort, cancel; and a model's way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView, validated
from models_admin.api.fields import StrictSerializer, Text
from models_admin.api.identity import actor_of
from models_admin.api.lookups import find_model
from models_admin.api.openapi import ETAG, IF_MATCH, problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.api.preconditions import expected_revision
from models_admin.api.rollouts import TAGS, RolloutDetailSerializer, find_rollout, rollout_answer
from models_admin.api.versions import VersionDetailSerializer, version_answer
from models_admin.publishing.snapshot import current_generation
from models_admin.services import rollouts as services
from proxy import gateway


class AbortSerializer(StrictSerializer):
    """Why."""

    reason = Text(required=False, allow_blank=True, max_length=500)


class _ActionView(ApiView):
    permission_classes = (ReadOrStaff,)
    body: type[StrictSerializer] = StrictSerializer

    def _act(self, request: Request, name: str, rollout_id: int, service: Callable[..., Any]) -> Response:
        rollout = find_rollout(name, rollout_id)
        expected = expected_revision(request, rollout.revision)
        values = validated(self.body(data=request.data))
        service(actor=actor_of(request), rollout=rollout, expected_revision=expected, **values)
        gateway.wait_until_applied(current_generation())
        return rollout_answer(name, rollout_id)


def _documented(operation: str, summary: str, body: Any = None) -> Callable[[Any], Any]:
    return extend_schema(
        operation_id=operation,
        summary=summary,
        tags=TAGS,
        request=body,
        parameters=[IF_MATCH, ETAG],
        responses={200: RolloutDetailSerializer, **problems(400, 404, 409, 412)},
    )


class AdvanceView(_ActionView):
    """Advance."""

    permission_classes = (ReadOrStaff,)

    @_documented("advanceRollout", "Go on to the next step")
    def post(self, request: Request, name: str, rollout_id: int) -> Response:
        """Leave the present step now, whatever its hold time."""
        return self._act(request, name, rollout_id, services.advance)


class HoldView(_ActionView):
    """Hold."""

    permission_classes = (ReadOrStaff,)

    @_documented("holdRollout", "Stay at the present step")
    def post(self, request: Request, name: str, rollout_id: int) -> Response:
        """Stay until it is resumed; a breach still aborts it."""
        return self._act(request, name, rollout_id, services.hold)


class ResumeView(_ActionView):
    """Resume."""

    permission_classes = (ReadOrStaff,)

    @_documented("resumeRollout", "Let a held rollout go on")
    def post(self, request: Request, name: str, rollout_id: int) -> Response:
        """Begin the present step's hold time anew."""
        return self._act(request, name, rollout_id, services.resume)


class PromoteRolloutView(_ActionView):
    """Promote."""

    permission_classes = (ReadOrStaff,)

    @_documented("promoteRollout", "Make the candidate the default")
    def post(self, request: Request, name: str, rollout_id: int) -> Response:
        """End the rollout well; the replaced version stays warm for the policy's `rollback_window_s`."""
        return self._act(request, name, rollout_id, services.promote)


class AbortView(_ActionView):
    """Abort."""

    permission_classes = (ReadOrStaff,)
    body = AbortSerializer

    @_documented("abortRollout", "Abort a rollout", AbortSerializer)
    def post(self, request: Request, name: str, rollout_id: int) -> Response:
        """Take the candidate's traffic away because it is bad. Calls sent after this answer do not meet it."""
        return self._act(request, name, rollout_id, services.abort)


class CancelView(_ActionView):
    """Cancel."""

    permission_classes = (ReadOrStaff,)

    @_documented("cancelRollout", "Cancel a rollout")
    def post(self, request: Request, name: str, rollout_id: int) -> Response:
        """End it without a verdict on the candidate."""
        return self._act(request, name, rollout_id, services.cancel)


class RollbackView(ApiView):
    """The way back."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="rollBack",
        summary="Go back to the version before",
        tags=TAGS,
        request=None,
        parameters=[IF_MATCH, ETAG],
        responses={200: VersionDetailSerializer, **problems(400, 404, 409, 412)},
    )
    def post(self, request: Request, name: str) -> Response:
        """Make the version that was replaced last the default again; it is still loaded. If-Match is the model's ETag.

        409 when its time (`rollback_window_s`) is over: promote the version that you want instead.
        """
        model = find_model(name)
        expected = expected_revision(request, model.revision)
        validated(StrictSerializer(data=request.data))
        version = services.roll_back(actor=actor_of(request), model=model, expected_revision=expected)
        gateway.wait_until_applied(current_generation())
        return version_answer(name, version.number)
