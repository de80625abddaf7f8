"""`manage.py train_digits FOLDER`: train the demo model on scikit-learn's handwritten digits and export it."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    """Runs the training as a process of its own and prints the accuracy on held-out images."""

    help = "Train the demo digits model; writes digits.pt (TorchScript), digits.pt2 (torch.export) and digits.json."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, help="Where the files go; made if missing.")

    def handle(self, *_args: Any, folder: Path, **_options: Any) -> None:
        self.stdout.write(train(folder))


def train(folder: Path) -> str:
    """Train into `folder`; what the training printed. Raises CommandError with its last words."""
    done = subprocess.run(
        [sys.executable, "-m", "models_admin.management.demo.digits", str(folder.resolve())],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CommandError(f"The training failed: {done.stderr.strip()[-2_000:]}")
    return done.stdout.strip()
