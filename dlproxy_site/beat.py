"""Beat's scheduler: Celery's own, which a wall clock that is set back does not bring to a stand.

Celery asks how long ago an entry ran. After the clock was set back that lies ahead, so nothing would be due until the
old time is reached again: no scaling, no aborted rollout, no validation for as long as the clock jumped (F20).
"""

from __future__ import annotations

import logging
from typing import Any

from celery.beat import PersistentScheduler

log = logging.getLogger(__name__)


class Scheduler(PersistentScheduler):
    """What `CELERY_BEAT_SCHEDULER` names."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; seconds until the next look."""
        self._follow_the_clock()
        return float(super().tick(*args, **kwargs))

    def _follow_the_clock(self) -> None:
        """Let what ran in the future have run now, and order the entries anew, whose times were those of before."""
        now = self.app.now()
        ahead = [entry for entry in self.schedule.values() if entry.last_run_at is not None and entry.last_run_at > now]
        if not ahead:
            return
        furthest_s = max((entry.last_run_at - now).total_seconds() for entry in ahead)
        log.warning("the clock was set back by %.0f s; the schedule goes on from now", furthest_s)
        for entry in ahead:
            entry.last_run_at = now
        self._heap = None  # made anew by the tick
