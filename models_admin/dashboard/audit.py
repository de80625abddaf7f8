"""/audit/: who did what to which thing, in words, newest first, filters in the URL; as a file with the code names."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from models_admin.dashboard.access import asked, page
from models_admin.dashboard.audit_rows import rows_of
from models_admin.dashboard.audit_words import choices
from models_admin.dashboard.paging import page_of
from models_admin.models import AuditEvent
from models_admin.selectors.audit_search import FILTERS, search
from models_admin.services import audit_export

PAGE_ROWS = 50
FORMATS = {
    "csv": ("text/csv; charset=utf-8", audit_export.csv_lines),
    "jsonl": ("application/jsonl; charset=utf-8", audit_export.json_lines),
}


@page
def audit(request: HttpRequest) -> HttpResponse:
    """The page."""
    chosen = {name: asked(request, name) for name in FILTERS}
    written = AuditEvent.objects.order_by("action").values_list("action", flat=True).distinct()
    paged = page_of(request, search(chosen), PAGE_ROWS)
    context = {
        "chosen": chosen,
        "filtered": any(chosen.values()),
        "actions": choices(written, chosen["action"]),
        "paged": paged,
        "rows": rows_of(paged.rows),
        "query": request.GET.urlencode(),
        "most": audit_export.MAX_ROWS,
    }
    return render(request, "dashboard/audit.html", context)


@page
def export(request: HttpRequest, form: str) -> StreamingHttpResponse:
    """What the filters in the URL leave, as a file, streamed; bounded."""
    if form not in FORMATS:
        raise Http404(_("Exports are csv or jsonl."))
    content_type, lines = FORMATS[form]
    chosen = {name: asked(request, name) for name in FILTERS}
    response = StreamingHttpResponse(audit_export.streamed(lines(search(chosen))), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="audit.{form}"'
    return response
