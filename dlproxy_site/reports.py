"""What is done with each second's report: it is written, and models that requests woke are wanted awake.

Place: injected into the runtime, which calls it in a thread; the data plane itself knows no Django.
"""

from __future__ import annotations

from models_admin.publishing.connections import looked_after
from models_admin.publishing.reports import write_report
from models_admin.services import scaling
from proxy.core.reports import SecondReport


def keep_report(report: SecondReport) -> None:
    """Write one second and follow its wakes. A wake that could not be written comes again with the next. Blocking."""
    write_report(report)
    with looked_after():
        for name in report.wakes:
            scaling.wake(name=name)
