"""`manage.py bootstrap`: first admin, demo key and demo models on the first start; nothing on any later one."""

from __future__ import annotations

import json
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from models_admin.management.commands.train_digits import train
from models_admin.management.demo import first_run, models
from models_admin.models.registry import VersionState
from models_admin.services.errors import NoSpace


class Command(BaseCommand):
    """Safe to run at every start, and again after a crash: each step looks first whether it was done."""

    help = "Create the first admin, the demo key and the demo models (once)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="Create the accounts only.")

    def handle(self, *_args: Any, no_demo: bool, **_options: Any) -> None:
        if first_run.is_done() and (no_demo or self._demo_done()):
            self.stdout.write("bootstrap: done before, nothing to do")
            return
        with tempfile.TemporaryDirectory(prefix="dlproxy-demo-") as name:
            folder = Path(name)
            self.stdout.write(f"bootstrap: {train(folder)}")
            facts = json.loads((folder / "digits.json").read_text(encoding="utf-8"))
            if not first_run.is_done():
                path = first_run.create_accounts(demo_request(facts), facts["example"]["label"])
                self.stdout.write(f"bootstrap: first admin and demo key are in {path}; delete it when you have read it")
            if not no_demo:
                self._register(models.demo_versions(folder, facts["signature"]))

    def _demo_done(self) -> bool:
        wanted = models.demo_versions(Path(), {})
        return all(models.was_done("version.create", f"{version.model}/{version.number}") for version in wanted)

    def _register(self, wanted: list[models.DemoVersion]) -> None:
        from models_admin.tasks.validation import (
            validate_version,
        )  # all tasks with it, which a later start does not need

        if models.silero_path() is None:
            self.stdout.write("bootstrap: the package silero-vad is not installed; its demo model is left out")
        for demo in wanted:
            try:
                version = models.register(demo, validate_version)
            except NoSpace as error:  # the next start tries again
                self.stderr.write(f"bootstrap: {demo.model}/{demo.number} is left out: {error}")
                continue
            if version is None:
                continue
            if version.state == VersionState.READY:
                self.stdout.write(f"bootstrap: {version} is ready")
            else:  # the server starts all the same: its page shows the steps
                self.stderr.write(f"bootstrap: {version} is {version.state}: {version.state_reason}")


def demo_request(facts: dict[str, Any]) -> dict[str, Any]:
    """A ready V2 body: one held-out digit."""
    image = facts["signature"]["inputs"][0]
    return {
        "inputs": [
            {"name": image["name"], "shape": [1, 1, 8, 8], "datatype": "FP32", "data": facts["example"]["pixels"]}
        ]
    }
