"""File formats decided by content: no ORM, no torch, nothing is ever unpickled."""

from models_admin.inspection.inspection import inspect
from models_admin.inspection.outcome import Inspection, Refused

__all__ = ["Inspection", "Refused", "inspect"]
