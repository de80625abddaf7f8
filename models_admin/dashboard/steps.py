"""What each step of a validation is called on the pages."""

from __future__ import annotations

from django.utils.translation import gettext_lazy

STEP_LABELS = {
    "sandbox": gettext_lazy("Start the sandbox"),
    "load": gettext_lazy("Load the file"),
    "signature": gettext_lazy("Find the signature"),
    "sample": gettext_lazy("Run one sample"),
    "batch": gettext_lazy("Run a batch"),
    "golden": gettext_lazy("Repeat the golden samples"),
    "measure": gettext_lazy("Measure time and memory"),
}
