"""/models/{name}/uploads and /uploads/{id}: uploads in pieces by tus 1.0.0, which go on after a lost connection.

Place: `dlproxy_site.upload_pieces` cuts a long PATCH into short ones before it comes here.
Rules: an upload is its caller's alone; to everybody else there is none (404). What ends it is answered as the upload in
one request is.
Source: https://tus.io/protocols/resumable-upload (1.0.0).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import IO, Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.urls import reverse
from django.utils.http import http_date
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api import upload_headers as tus
from models_admin.api.base import ApiView, ListView, validated
from models_admin.api.identity import actor_of, principal_id
from models_admin.api.lookups import find_model
from models_admin.api.openapi import listed, problems
from models_admin.api.parsers import read_bounded
from models_admin.api.permissions import ReadOrStaff
from models_admin.api.uploads import MetadataSerializer, ResumableSerializer
from models_admin.models import Upload
from models_admin.selectors import uploads as selectors
from models_admin.services import uploads as services
from models_admin.services.artifacts import CHUNK_BYTES
from models_admin.services.errors import Gone, Invalid, NotFound
from proxy.core.units import BYTES_PER_MIB

TAGS = ["uploads"]
PIECE_TYPE = "application/offset+octet-stream"
MAX_CHECKED_BYTES = 16 * BYTES_PER_MIB
"""Of a request with a checksum: it is held in memory, so that no byte is kept before it is verified."""


def _header(name: str, words: str, *, required: bool = True) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.HEADER, required=required, description=words)


def _answered(name: str, words: str, *statuses: int) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.HEADER, response=list(statuses), description=words)


SPEAKS = _header("Tus-Resumable", "`1.0.0`.")
OFFSET = _header("Upload-Offset", "Where the piece begins: how many bytes the server has.")
CHECKSUM = _header(
    "Upload-Checksum",
    f"`sha256` or `sha1`, a space, the digest of this request's bytes (at most {MAX_CHECKED_BYTES}) in Base64.",
    required=False,
)
LENGTH = _header("Upload-Length", "Bytes of the whole file.")
METADATA = _header(
    "Upload-Metadata",
    "Comma-separated names, each with its value in Base64 behind a space: `filename`, `sha256`, `declared_signature`, "
    "`options`, `batchable`, `stateful`, `cacheable`, `inherit_golden`, `notes`, `number`, as in the upload form.",
    required=False,
)
AT = _answered("Upload-Offset", "How many bytes the server has.", 200, 204)
UNTIL = _answered("Upload-Expires", "When it is forgotten if nothing more comes.", 200, 201, 204)
WHERE = _answered("Location", "Where the pieces go.", 201)


class PieceParser(BaseParser):
    """A piece of a file, left in its stream."""

    media_type = PIECE_TYPE

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> IO[bytes]:
        """The stream."""
        del media_type, parser_context
        return stream


class _Resumable(ApiView):
    """What both routes share: the version of the protocol, and OPTIONS."""

    http_method_names = (*ApiView.http_method_names, "options")
    spoken: frozenset[str]
    """Methods of the protocol; the others are this API's own."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Rights first, then whether both speak the same protocol."""
        super().initial(request, *args, **kwargs)
        if request.method in self.spoken:
            tus.check_version(request.headers.get("Tus-Resumable"))

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Every answer says what this server speaks."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["Tus-Resumable"] = tus.VERSION
        if response.status_code == status.HTTP_412_PRECONDITION_FAILED:
            response.headers["Tus-Version"] = tus.VERSION
        return response

    @extend_schema(exclude=True)
    def options(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """What this server can do."""
        del request, args, kwargs
        return Response(status=status.HTTP_204_NO_CONTENT, headers=tus.rules(settings.DLPROXY_MAX_UPLOAD_BYTES))


class UploadListView(_Resumable, ListView):
    """The caller's uploads to a model, and beginning one."""

    permission_classes = (ReadOrStaff,)
    spoken = frozenset({"POST"})
    serializer_class = ResumableSerializer
    queryset = Upload.objects.none()

    def get_queryset(self) -> QuerySet[Upload]:
        """The caller's own, oldest first."""
        return selectors.uploads_of(principal_id(self.request), find_model(self.kwargs["name"]))

    @extend_schema(
        operation_id="listUploads",
        summary="List your uploads to a model",
        tags=TAGS,
        responses=listed(ResumableSerializer, 400, 404),
    )
    def get(self, request: Request, name: str) -> Response:
        """What you are sending, and what ended within a day."""
        del request, name
        return self.page_of(self.get_queryset())

    @extend_schema(
        operation_id="beginUpload",
        summary="Begin an upload in pieces",
        tags=TAGS,
        request=None,
        parameters=[SPEAKS, LENGTH, METADATA, WHERE, UNTIL],
        responses={201: OpenApiResponse(description="It may begin."), **problems(400, 404, 409, 412, 413, 507)},
    )
    def post(self, request: Request, name: str) -> Response:
        """Declare a file, then send its bytes to the answer's Location with PATCH, in pieces of any size (tus 1.0.0).

        Lengths, limits and declarations are checked here, before any byte is sent.
        """
        model = find_model(name)
        if request.headers.get("Content-Length") not in (None, "", "0"):
            raise Invalid(_("Send no body here; the bytes follow with PATCH."), field="Content-Length")
        given = request.headers.get("Upload-Metadata")
        declared = validated(MetadataSerializer(data=tus.metadata(given)))
        upload = services.begin(
            actor=actor_of(request),
            owner=principal_id(request),
            model=model,
            size_bytes=tus.whole_number("Upload-Length", request.headers.get("Upload-Length")),
            metadata=given or "",
            declared=dict(declared),
        )
        headers = {"Location": reverse("api:upload", kwargs={"upload_id": upload.pk}), **_until(upload)}
        return Response(status=status.HTTP_201_CREATED, headers=headers)


class UploadView(_Resumable):
    """One upload: how far it is, its next piece, its end."""

    permission_classes = (ReadOrStaff,)
    spoken = frozenset({"HEAD", "PATCH", "DELETE"})
    parser_classes = (PieceParser,)

    @extend_schema(
        operation_id="getUpload",
        summary="Read what became of an upload",
        tags=TAGS,
        responses={200: ResumableSerializer, **problems(404, 410)},
    )
    def get(self, request: Request, upload_id: UUID) -> Response:
        """How far it is; once it has ended, its version or why there is none."""
        return Response(ResumableSerializer(_find(request, upload_id)).data)

    @extend_schema(
        operation_id="headUpload",
        summary="Ask where to go on",
        tags=TAGS,
        parameters=[SPEAKS, AT, UNTIL],
        responses={200: OpenApiResponse(description="How far it is."), **problems(404, 410, 412)},
    )
    def head(self, request: Request, upload_id: UUID) -> Response:
        """How many bytes are on the server's disk; the next piece begins there."""
        upload = _find(request, upload_id)
        headers = {
            "Upload-Offset": str(selectors.received_bytes(upload)),
            "Upload-Length": str(upload.size_bytes),
            **({"Upload-Metadata": upload.metadata} if upload.metadata else {}),
            **_until(upload),
        }
        return Response(headers=headers)

    @extend_schema(
        operation_id="sendPiece",
        summary="Send a piece",
        tags=TAGS,
        request={PIECE_TYPE: OpenApiTypes.BINARY},
        parameters=[SPEAKS, OFFSET, CHECKSUM, AT, UNTIL],
        responses={
            204: OpenApiResponse(description="The bytes are on disk; with the last of them the version is made."),
            **problems(400, 404, 409, 410, 411, 412, 413, 415, 422, 423, 460, 507),
        },
    )
    def patch(self, request: Request, upload_id: UUID) -> Response:
        """Add bytes where the file ends. The last piece makes the version, as the upload in one request does.

        A refusal of the file itself (400, 403, 409, 422) ends the upload. 409 with the code `offset` and 423 do not:
        ask with HEAD, then go on. After a 507 or 503 at the very end, a piece of no bytes tries the end again.
        """
        upload = _find(request, upload_id)
        offset = tus.whole_number("Upload-Offset", request.headers.get("Upload-Offset"))
        stream: IO[bytes] = request.data or io.BytesIO()  # DRF parses no body that is empty
        chunks = _chunks(stream)
        checksum = tus.checksum(request.headers.get("Upload-Checksum"))
        if checksum is not None:
            data = read_bounded(stream, MAX_CHECKED_BYTES)
            tus.verify(data, checksum)
            chunks = iter((data,))
        received = services.append(actor=actor_of(request), upload=upload, offset=offset, chunks=chunks)
        headers = {"Upload-Offset": str(received), **_until(upload)}
        return Response(status=status.HTTP_204_NO_CONTENT, headers=headers)

    @extend_schema(
        operation_id="cancelUpload",
        summary="Cancel an upload",
        tags=TAGS,
        parameters=[SPEAKS],
        responses={204: None, **problems(404, 410, 412)},
    )
    def delete(self, request: Request, upload_id: UUID) -> Response:
        """Forget it and its bytes. A version that it has become stays."""
        services.cancel(actor=actor_of(request), upload=_find(request, upload_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _find(request: Request, upload_id: UUID) -> Upload:
    upload = selectors.find_upload(principal_id(request), upload_id)
    if upload is None:
        raise NotFound(_("You have no such upload."))
    if services.is_expired(upload):
        raise Gone(_("This upload has expired. Begin it anew."), code="expired")
    return upload


def _until(upload: Upload) -> dict[str, str]:
    return {"Upload-Expires": http_date(selectors.expires_at(upload).timestamp())}


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    while chunk := stream.read(CHUNK_BYTES):
        yield chunk
