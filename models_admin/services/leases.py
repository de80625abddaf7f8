"""Leases with fencing numbers: who may act on something now, and a proof that survives a pause of the holder."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from models_admin.models import ControlLease
from models_admin.services.errors import Conflict

LONGEST_S = 300.0
"""Longer than any lease is given for, with room for clocks that differ a little."""


@transaction.atomic
def acquire(*, name: str, holder: str, ttl_s: float, now: datetime) -> int | None:
    """The fencing number if `holder` has the lease now, else None.

    A holder that still has it only extends it (same number); a new holder, or the same after expiry, gets the next.
    """
    lease, created = ControlLease.objects.select_for_update().get_or_create(
        name=name, defaults={"holder": holder, "fence": 1, "expires_at": now + timedelta(seconds=ttl_s)}
    )
    if created:
        return lease.fence
    # A lease that ends later than any can that is given now was given before the clock was set back (F20).
    free = not now < lease.expires_at <= now + timedelta(seconds=LONGEST_S)
    if not free and lease.holder != holder:
        return None
    if free or lease.holder != holder:
        lease.fence += 1
    lease.holder = holder
    lease.expires_at = now + timedelta(seconds=ttl_s)
    lease.save()
    return lease.fence


@transaction.atomic
def release(*, name: str, fence: int, now: datetime) -> None:
    """Give the lease up early if `fence` is still its number."""
    ControlLease.objects.filter(name=name, fence=fence, expires_at__gt=now).update(expires_at=now)


def extend(*, name: str, fence: int, ttl_s: float, now: datetime) -> None:
    """Let the holder with this number keep the lease for `ttl_s` seconds from now."""
    ControlLease.objects.filter(name=name, fence=fence).update(expires_at=now + timedelta(seconds=ttl_s))


def require(*, name: str, fence: int) -> None:
    """Conflict unless `fence` is the lease's newest number. Locks the lease row until the transaction ends."""
    lease = ControlLease.objects.select_for_update().filter(name=name).first()
    if lease is None or lease.fence != fence:
        raise Conflict(_("Another holder has the lease; this one's write is refused."), code="stale_fence")


def forget(*, prefix: str, before: datetime) -> int:
    """Delete leases named `prefix…` that ran out before `before`, longer ago than any holder may live; how many."""
    return ControlLease.objects.filter(name__startswith=prefix, expires_at__lt=before).delete()[0]
