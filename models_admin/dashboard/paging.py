"""Pages of long lists: `?page=` in the URL, clamped to what exists (A8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest


@dataclass(frozen=True, slots=True)
class Paged:
    """Rows of one page and the query strings of its neighbours."""

    rows: Page[Any]
    newer: str
    older: str
    total: int


def page_of(request: HttpRequest, rows: QuerySet[Any] | list[Any], size: int) -> Paged:
    """The page that the URL asks for; filters stay in the neighbours' URLs."""
    page = Paginator(rows, size).get_page(request.GET.get("page"))

    def url(number: int) -> str:
        query = request.GET.copy()
        query["page"] = str(number)
        return f"?{query.urlencode()}"

    return Paged(
        page,
        url(page.previous_page_number()) if page.has_previous() else "",
        url(page.next_page_number()) if page.has_next() else "",
        page.paginator.count,
    )
