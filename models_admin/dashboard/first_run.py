"""first-run.json: the first secrets, which the admin should delete once they are kept elsewhere."""

from __future__ import annotations

import logging
from pathlib import Path

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from models_admin.dashboard.access import actor_of, change
from models_admin.services import writing

log = logging.getLogger(__name__)


def path() -> Path:
    """Where the file is or was."""
    return Path(settings.DLPROXY_HOME) / "first-run.json"


def exists() -> bool:
    """True until somebody deletes it."""
    return path().is_file()


@change
def delete(request: HttpRequest) -> HttpResponse:
    """Delete the file (POST)."""
    try:
        path().unlink(missing_ok=True)
    except OSError as error:
        log.warning("first-run.json could not be deleted: %s", error)
        messages.error(request, _("The server may not delete first-run.json; delete it by hand."))
    else:
        writing.audit(actor_of(request), "first_run.delete", "system", "first-run.json")
        messages.success(request, _("first-run.json is deleted. Passwords and keys are now only where you kept them."))
    return redirect("overview")
