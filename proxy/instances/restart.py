"""When a lost instance is replaced, and when its group is given up (quarantine).

Rules: a start that fails (library, artifact, warm-up, crash or hang before ready) counts; five in a row are enough to
say that the next will fail, too. An instance that was ready and is lost is replaced at once, for its artifact has
proved that it loads (and loading it again limits the rate); but one that is lost before it ever completed an
execution waits longer each time, so that requests which kill the model cost starts at a bounded rate. That never
leads to quarantine: else one client with a deadly input could take the model away from all others. It even ends one,
which others' failed starts beside it had led to: what was ready once may well start again.
A loss for which the scheduler found the request to blame, in a model that works for others, is not counted at all: the
same inputs are not run again.
Where the machine has no process to give (no descriptors, no memory for a fork: F37, F40), that says nothing of the
version: its start is tried again, later each time, for as long as it is wanted.
Pure. Why not a fixed delay: it is too long for one crash or too short for a thousand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from proxy.core.units import NS_PER_S

FIRST_DELAY_NS = NS_PER_S
MAX_START_DELAY_NS = 60 * NS_PER_S
MAX_LOSS_DELAY_NS = 15 * NS_PER_S
QUARANTINE_AFTER_STARTS = 5
"""Failed starts in a row: about 15 s of trying with the doubling delay. Precedents: systemd 5, Kubernetes no end."""


@dataclass(frozen=True, slots=True)
class RestartRecord:
    """What a group remembers of its misfortunes. No start before `not_before_ns`."""

    failed_starts: int = 0
    early_losses: int = 0
    refused_starts: int = 0
    not_before_ns: int = 0

    @property
    def is_quarantined(self) -> bool:
        """True once starting again is pointless until somebody changes something."""
        return self.failed_starts >= QUARANTINE_AFTER_STARTS


def after_failed_start(record: RestartRecord, now_ns: int) -> RestartRecord:
    """Delay = 1 s × 2^(failures in a row - 1), at most 60 s."""
    failures = record.failed_starts + 1
    delay_ns = min(FIRST_DELAY_NS << min(failures - 1, 16), MAX_START_DELAY_NS)
    return replace(record, failed_starts=failures, not_before_ns=now_ns + delay_ns)


def after_refused_start(record: RestartRecord, now_ns: int) -> RestartRecord:
    """The machine gave no process: 1 s doubling to 15 s, and never quarantine."""
    refused = record.refused_starts + 1
    delay_ns = min(FIRST_DELAY_NS << min(refused - 1, 16), MAX_LOSS_DELAY_NS)
    return replace(record, refused_starts=refused, not_before_ns=now_ns + delay_ns)


def after_loss(record: RestartRecord, completed_executions: int, now_ns: int) -> RestartRecord:
    """A ready instance was lost: at once if it ever completed an execution, else 1 s doubling to 15 s."""
    if completed_executions:
        return RestartRecord()
    losses = record.early_losses + 1
    delay_ns = min(FIRST_DELAY_NS << min(losses - 1, 16), MAX_LOSS_DELAY_NS)
    return RestartRecord(early_losses=losses, not_before_ns=now_ns + delay_ns)


def after_ready(record: RestartRecord) -> RestartRecord:
    """A start succeeded: failed starts are no longer in a row."""
    return replace(record, failed_starts=0, refused_starts=0)


def after_first_execution(record: RestartRecord) -> RestartRecord:
    """An instance completed its first execution: the model works."""
    return replace(record, early_losses=0)
