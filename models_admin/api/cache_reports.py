"""What an answer says of a model's cache: the data plane's report, its curve, what more memory would save."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rest_framework import serializers

from models_admin.selectors.cache_reports import NEXT_MIB, next_saves_ms_per_s
from proxy.core.hit_ratio import hit_ratio
from proxy.core.reports import CacheReport

COUNTS = ("hits", "misses", "coalesced", "insertions", "evictions", "expirations", "refused")


class CurvePointSerializer(serializers.Serializer[Any]):
    """What a cache of this size would give under the requests seen lately."""

    size_bytes = serializers.IntegerField()
    hit_ratio = serializers.FloatField()
    saved_ms_per_s = serializers.FloatField(help_text="Model time saved a second.")


class OrderEstimateSerializer(serializers.Serializer[Any]):
    """What the present size would give under an eviction order, by ghost caches of a sample of the keys."""

    eviction = serializers.CharField()
    hit_ratio = serializers.FloatField()
    saved_ms_per_s = serializers.FloatField(help_text="Model time saved a second.")


class SecondLevelSerializer(serializers.Serializer[Any]):
    """The shared cache as this model meets it."""

    hits = serializers.IntegerField()
    misses = serializers.IntegerField()
    errors = serializers.IntegerField()
    corrupt = serializers.IntegerField()
    writes = serializers.IntegerField()
    state = serializers.CharField(help_text="closed (in use), open (left alone after failures) or half_open.")
    message = serializers.CharField()
    lookup_ewma_ms = serializers.FloatField(allow_null=True)


class CacheSerializer(serializers.Serializer[Any]):
    """One model's cache, as the data plane said last. Counts are since it was configured."""

    state = serializers.CharField(help_text="on, off, bypassed or probing.")
    message = serializers.CharField(help_text="Why, where the state needs a word.")
    eviction = serializers.CharField()
    bytes = serializers.IntegerField()
    max_bytes = serializers.IntegerField()
    entries = serializers.IntegerField()

    def get_fields(self) -> dict[str, Any]:
        """The counts follow the sizes."""
        return {**super().get_fields(), **{name: serializers.IntegerField() for name in COUNTS}}

    hit_ratio = serializers.FloatField(allow_null=True)
    saved_ms_per_s = serializers.FloatField(help_text="Model time that hits saved a second, over the last minute.")
    lookup_us = serializers.FloatField(allow_null=True)
    insert_us = serializers.FloatField(allow_null=True)
    service_ms = serializers.FloatField(allow_null=True)
    curve = CurvePointSerializer(many=True, help_text="Ascending sizes; empty while too little is known.")
    sample_ratio = serializers.FloatField(help_text="Share of the keys that the curve was sampled at.")
    next_mib = serializers.IntegerField()
    next_saves_ms_per_s = serializers.FloatField(
        allow_null=True, help_text="Model time a second that `next_mib` more would save; null without a curve."
    )
    orders = OrderEstimateSerializer(many=True, help_text="Empty while too little is known.")
    second_level = SecondLevelSerializer(allow_null=True, help_text="Null where it is not used.")


class CacheAnswerSerializer(serializers.Serializer[Any]):
    """The report, if there is one."""

    report = CacheSerializer(allow_null=True)


def content_of(report: CacheReport) -> dict[str, Any]:
    """What the serializer shows."""
    return {
        **asdict(report),
        "hit_ratio": hit_ratio(report.hits, report.misses),
        "next_mib": NEXT_MIB,
        "next_saves_ms_per_s": next_saves_ms_per_s(report),
    }
