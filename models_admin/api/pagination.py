"""Pages of bounded size: `?page=2&page_size=50`. A wrong number is a 400 that names the parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.paginator import InvalidPage
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import PageNumberPagination

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

MAX_PAGE_SIZE = 500
MAX_PAGE_DIGITS = 9


class Pages(PageNumberPagination):
    """100 results unless asked otherwise; a larger `page_size` than 500 is clamped to 500."""

    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = MAX_PAGE_SIZE
    page_query_description = "Page number, from 1."
    page_size_query_description = f"Results on a page, 1 to {MAX_PAGE_SIZE}."

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any]:
        """The asked page of `queryset`, or ValidationError."""
        self.request = request
        number = _positive(request, self.page_query_param, 1)
        paginator = self.django_paginator_class(queryset, self.get_page_size(request))
        try:
            self.page = paginator.page(number)
        except InvalidPage:
            message = f"There is no page {number}; the last one is {paginator.num_pages}."
            raise ValidationError({self.page_query_param: [message]}) from None
        return list(self.page)

    def get_page_size(self, request: Request) -> int:
        """The asked size, clamped."""
        return min(_positive(request, self.page_size_query_param or "", self.page_size), MAX_PAGE_SIZE)


def _positive(request: Request, name: str, default: int) -> int:
    raw = request.query_params.get(name)
    if raw is None:
        return default
    digits = raw.lstrip("0")
    if not (raw.isascii() and raw.isdecimal()) or not digits:
        raise ValidationError({name: ["Give a whole number, 1 or more."]})
    return int(digits[:MAX_PAGE_DIGITS]) if len(digits) <= MAX_PAGE_DIGITS else 10**MAX_PAGE_DIGITS
