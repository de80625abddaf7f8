"""Whose page a change comes from: a page that was made for one person changes nothing in another's name.

A page sends the token of the browser's newest login, so that a login in another tab loses nobody what was typed. Had
another person logged in there, what the page's person asks for would be done, and kept in the audit, as that other's.
"""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import gettext as _

FIELD = "page_user"
HEADER = "X-Page-User"
"""The key of the account that the page was made for, as a form sends it and as a script does. Programs send neither."""
CODE = "other_login"


def is_of_another(request: HttpRequest, *, with_form: bool) -> bool:
    """Whether the change comes from a page of another account. `with_form`: look into the form, too."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return False
    made_for = request.headers.get(HEADER) or (request.POST.get(FIELD, "") if with_form else "")
    return bool(made_for) and made_for != str(request.user.pk)


def words(request: HttpRequest) -> str:
    """Why nothing was done."""
    return _(
        "This page was made for another account: %(name)s has logged in in another tab since. Nothing was changed. "
        "Reload the page, then repeat it."
    ) % {"name": request.user.get_username()}
