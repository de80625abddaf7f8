"""Whether the database's tables are those of this code, from Django's record of what was applied to them.

Tables are changed forwards only (docs/operations.md): code that meets newer ones must not write to them, since it knows
neither their columns nor their rules.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db import connection
from django.db.migrations.loader import MigrationLoader

Key = tuple[str, str]
"""A migration: the application's label and its own name."""


def unknown_to(known: Collection[Key], applied: Collection[Key]) -> list[Key]:
    """What was applied by newer code, sorted. Pure.

    Applications that this code does not have at all are passed over: their tables are nobody's here.
    """
    ours = {application for application, _ in known}
    return sorted(key for key in applied if key[0] in ours and key not in known)


def missing_from(known: Collection[Key], applied: Collection[Key]) -> list[Key]:
    """What this code has and was not applied yet, sorted. Pure."""
    return sorted(set(known) - set(applied))


def refusal(*, behind_too: bool) -> str | None:
    """Why this code must not run on this database, in one line; None if it may.

    `behind_too`: refuse tables that are older than the code as well (who brings them up to date asks without it).
    Raises django.db.DatabaseError if the database does not answer.
    """
    loader = MigrationLoader(connection)
    replaced = {key for migration in loader.disk_migrations.values() for key in migration.replaces}
    applied = set(loader.applied_migrations)
    newer = unknown_to({*loader.disk_migrations, *replaced}, applied)
    if newer:
        return (
            f"the database is newer than this code: {in_words(newer)} was applied to it. Start the code that it is of, "
            "or restore the backup made before the upgrade (docs/operations.md)"
        )
    behind = missing_from(loader.disk_migrations, applied) if behind_too else []
    if behind:
        return (
            f"the database is not up to date: {in_words(behind)} is missing. Start with script/server, or run "
            "manage.py migrate first"
        )
    return None


def in_words(keys: list[Key]) -> str:
    """The last of them, and how many there are besides."""
    last = ".".join(keys[-1])
    return last if len(keys) == 1 else f"{last} (and {len(keys) - 1} before it)"
