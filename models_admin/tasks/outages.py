"""Tasks while the database is away: each is tried in vain, in silence, since the next one comes by itself.

Rules: one line when the database is lost, one when a task reaches it again; whatever else fails is Celery's to report.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import ParamSpec

from django.db import InterfaceError, OperationalError

from proxy.core.outage import Outage, in_words

log = logging.getLogger(__name__)

DATABASE_AWAY = (OperationalError, InterfaceError)
database = Outage()
P = ParamSpec("P")


def through_outages(work: Callable[P, None]) -> Callable[P, None]:
    """`work`, ended quietly where the database is away."""

    @functools.wraps(work)
    def tried(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            work(*args, **kwargs)
        except DATABASE_AWAY as error:
            if database.failed(error):
                log.warning("the database is away; what is due is done once it is back: %s", in_words(error))
        else:
            if database.worked():
                log.info("the database is back; the control loop goes on")

    return tried
