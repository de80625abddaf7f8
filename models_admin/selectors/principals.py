"""Names of callers, as the audit log writes them: the data plane knows them by their ids only."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth import get_user_model

from models_admin.models import ApiKey


def labels(principal_ids: Iterable[str]) -> dict[str, str]:
    """`key:<name>` or `user:<name>` by `key:<id>` or `user:<id>`; those that are gone are left out. Two queries."""
    ids: dict[str, set[int]] = {"key": set(), "user": set()}
    for principal_id in principal_ids:
        kind, _, number = principal_id.partition(":")
        if kind in ids and number.isdecimal():
            ids[kind].add(int(number))
    found = {}
    if ids["key"]:
        for pk, name in ApiKey.objects.filter(pk__in=ids["key"]).values_list("pk", "name"):
            found[f"key:{pk}"] = f"key:{name}"
    if ids["user"]:
        for pk, name in get_user_model().objects.filter(pk__in=ids["user"]).values_list("pk", "username"):
            found[f"user:{pk}"] = f"user:{name}"
    return found
