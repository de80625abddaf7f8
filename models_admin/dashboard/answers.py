"""What every answer of Django's gets on its way out: the request's id, and a page where there would be an empty one.

Place: a middleware around pages and API. Django's decorators and class-based views answer a wrong method (405) with an
empty body, which a browser shows as nothing at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponseNotAllowed
from django.http.response import HttpResponseBase

from models_admin.dashboard import failures
from models_admin.services.request_id import HEADER, id_of


class Answers:
    """The middleware, for both kinds of server."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], object]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """One request."""
        response = self._get_response(request)
        if iscoroutinefunction(self):
            return self._awaited(request, cast("Awaitable[HttpResponseBase]", response))
        return finished(request, cast("HttpResponseBase", response))

    async def _awaited(self, request: HttpRequest, coming: Awaitable[HttpResponseBase]) -> HttpResponseBase:
        response = await coming
        if is_empty_refusal(response):  # its page may ask the database; everything else needs no thread
            return await sync_to_async(finished)(request, response)
        return finished(request, response)


def is_empty_refusal(response: HttpResponseBase) -> bool:
    """Whether it is a wrong method's answer, with nothing to read in it."""
    return isinstance(response, HttpResponseNotAllowed) and not response.content


def finished(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """The answer as it is sent."""
    if is_empty_refusal(response):
        page = failures.method_not_allowed(request)
        page.headers["Allow"] = response.headers["Allow"]
        response = page
    response.headers.setdefault(HEADER, id_of(request))
    return response
