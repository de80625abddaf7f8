"""/metrics/history and /machine/history: measurements over time as columns for charts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from models_admin.api.base import ApiView, validated
from models_admin.api.fields import StrictSerializer
from models_admin.api.openapi import problems
from models_admin.api.permissions import ReadOrStaff
from models_admin.api.series import (
    BY_SIZE,
    COUNTS,
    GPU_LEVELS,
    MAX_POINTS,
    METRIC_COLUMNS,
    STEPS_S,
    Grid,
    Row,
    grid_for,
    machine_columns,
    metric_columns,
    whole_of,
    with_idle,
)
from models_admin.models import MachineSample, MetricSample, Model
from models_admin.models.measurements import ALL_MODELS, IDLE_ROW_EACH_S, MINUTE_S, SECOND_S, WHOLE_MODEL
from models_admin.services.errors import NotFound

TAGS = ["history"]
DEFAULT_RANGE = timedelta(minutes=10)
LONGEST_RANGE = timedelta(days=400)
WHOLE_COLUMNS = frozenset({*COUNTS, "queue_depth", "in_flight", "instances", "cache_bytes"})


class Moment(serializers.DateTimeField):
    """ISO 8601, or Unix seconds."""

    def to_internal_value(self, value: Any) -> datetime:
        """The moment."""
        try:
            seconds = float(value)
        except ValueError:
            return super().to_internal_value(value)
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):
            self.fail("invalid", format="ISO 8601 or Unix seconds")


class RangeSerializer(StrictSerializer):
    """Which stretch of time, and how finely."""

    start = Moment(required=False, help_text="ISO 8601 or Unix seconds. Default: ten minutes before the end.")
    end = Moment(required=False, help_text="ISO 8601 or Unix seconds, exclusive. Default: now.")
    resolution_s = serializers.ChoiceField(
        choices=[str(step) for step in STEPS_S],
        required=False,
        help_text=f"Seconds a point. Default: the finest that is kept and gives at most {MAX_POINTS} points.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A stretch that runs forward and is not endless."""
        end = attrs.get("end") or timezone.now()
        start = attrs.get("start") or end - DEFAULT_RANGE
        if start >= end:
            raise serializers.ValidationError({"start": ["The start must lie before the end."]})
        if end - start > LONGEST_RANGE or start.timestamp() < 0:
            raise serializers.ValidationError({"start": [f"Ask for at most {LONGEST_RANGE.days} days."]})
        return {**attrs, "start": start, "end": end}


class MetricRangeSerializer(RangeSerializer):
    """A stretch of one model's measurements."""

    model = serializers.CharField(
        required=False, allow_blank=True, max_length=128, default="", help_text="Default: all models together."
    )
    version = serializers.IntegerField(
        required=False,
        min_value=WHOLE_MODEL,
        max_value=2**31 - 1,
        default=WHOLE_MODEL,
        help_text="One version, told apart while several are loaded; kept by the second only. Default: all together.",
    )
    points = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_POINTS, default=MAX_POINTS, help_text="At most so many points."
    )
    whole = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Also the whole stretch as one point, to be compared with another. Where only minutes are kept, it "
        "is of the nearest minutes, its counts brought to the stretch's length.",
    )


class WholeSerializer(serializers.Serializer[Any]):
    """The stretch as if it were one point: counts added up, percentiles of all its requests."""

    def get_fields(self) -> dict[str, Any]:
        """Every metric, null where nothing was measured."""
        whole, real = serializers.IntegerField, serializers.FloatField
        return {
            name: whole() if name in WHOLE_COLUMNS else real(allow_null=True)
            for name in METRIC_COLUMNS
            if name != BY_SIZE
        }


class Numbers(serializers.ListField):
    """A column; null where nothing was measured."""

    def __init__(self, child: type[serializers.Field] = serializers.FloatField, **kwargs: Any) -> None:
        super().__init__(child=child(allow_null=True), **kwargs)


class Sizes(serializers.ListField):
    """A column of counts by size of the execution; null where nothing was measured."""

    def __init__(self, **kwargs: Any) -> None:
        counts = serializers.DictField(child=serializers.IntegerField(), allow_null=True)
        super().__init__(child=counts, help_text="{n: executions of at most 2^n rows, more than half of it}", **kwargs)


class GridSerializer(serializers.Serializer[Any]):
    """The x axis."""

    resolution_s = serializers.IntegerField(help_text="Seconds that a point stands for, from its moment on.")
    at = serializers.ListField(child=serializers.IntegerField(), help_text="Unix seconds, evenly spaced.")


class MetricHistorySerializer(GridSerializer):
    """A model's measurements as columns of equal length."""

    model = serializers.CharField(help_text="Empty: all models together.")

    def get_fields(self) -> dict[str, Any]:
        """The columns in order."""
        whole, real = serializers.IntegerField, serializers.FloatField
        numbers = {name: Numbers(whole if name in WHOLE_COLUMNS else real) for name in METRIC_COLUMNS}
        whole_stretch = WholeSerializer(allow_null=True, help_text="Null unless asked for, or if nothing was measured.")
        return {**super().get_fields(), **numbers, BY_SIZE: Sizes(), "whole": whole_stretch}


class GpuHistorySerializer(serializers.Serializer[Any]):
    """One GPU's columns."""

    index = serializers.IntegerField()
    name = serializers.CharField()

    def get_fields(self) -> dict[str, Any]:
        """The columns in order."""
        return {**super().get_fields(), **{name: Numbers() for name in GPU_LEVELS}}


class MachineHistorySerializer(GridSerializer):
    """The host as columns of equal length."""

    cpu_percent = Numbers()
    memory_used_bytes = Numbers(serializers.IntegerField)
    memory_total_bytes = Numbers(serializers.IntegerField)
    gpus = GpuHistorySerializer(many=True)


class _HistoryView(ApiView):
    permission_classes = (ReadOrStaff,)
    query_parameters = frozenset({"start", "end", "resolution_s"})


class MetricHistoryView(_HistoryView):
    """One model over time."""

    permission_classes = (ReadOrStaff,)
    query_parameters = frozenset({"model", "version", "start", "end", "resolution_s", "points", "whole"})

    @extend_schema(
        operation_id="metricHistory",
        summary="Measurements of a model over time",
        tags=TAGS,
        parameters=[MetricRangeSerializer],
        responses={200: MetricHistorySerializer, **problems(400, 404)},
    )
    def get(self, request: Request) -> Response:
        """Columns of equal length over an even grid; null where nothing was measured."""
        asked = validated(MetricRangeSerializer(data=request.query_params.dict()))
        grid, source_s = _grid(asked)
        name = asked["model"]
        samples = MetricSample.objects.filter(resolution_s=source_s)
        beat_s = max(source_s, IDLE_ROW_EACH_S) if name else 0
        rows = _within(samples.filter(model_name=name, version=asked["version"]), grid, lead_s=beat_s)
        merges = grid.step_s != source_s or asked["whole"]
        found: Iterable[Row] = _rows(rows, (*METRIC_COLUMNS, "histogram") if merges else METRIC_COLUMNS)
        whole = None
        if asked["whole"]:
            found = list(found)
            start, length = asked["start"], asked["end"] - asked["start"]
            whole = whole_of(found, start.timestamp(), length.total_seconds(), source_s)
        if name:
            measured = _within(samples.filter(model_name=ALL_MODELS, version=WHOLE_MODEL), grid)
            seconds = (int(at.timestamp()) for at in measured.values_list("at", flat=True))
            found = with_idle(found, seconds, beat_s)
        columns = metric_columns(found, grid)
        if name and not any(columns["requests"]) and not Model.objects.filter(name=name).exists():
            raise NotFound(_("There is no model named %(name)s.") % {"name": name}, field="model")
        return Response({"model": name, "resolution_s": grid.step_s, "at": grid.moments, **columns, "whole": whole})


class MachineHistoryView(_HistoryView):
    """The host over time."""

    permission_classes = (ReadOrStaff,)

    @extend_schema(
        operation_id="machineHistory",
        summary="Measurements of the host over time",
        tags=TAGS,
        parameters=[RangeSerializer],
        responses={200: MachineHistorySerializer, **problems(400)},
    )
    def get(self, request: Request) -> Response:
        """CPU, memory and GPUs as columns; `gpus` is empty where none was seen."""
        asked = validated(RangeSerializer(data=request.query_params.dict()))
        grid, source_s = _grid(asked)
        rows = _within(MachineSample.objects.filter(resolution_s=source_s), grid)
        fields = ("cpu_percent", "memory_used_bytes", "memory_total_bytes", "gpus")
        columns = machine_columns(_rows(rows, fields), grid)
        return Response({"resolution_s": grid.step_s, "at": grid.moments, **columns})


def _grid(asked: dict[str, Any]) -> tuple[Grid, int]:
    """The grid and the resolution of the samples behind it: seconds while they are kept, minutes beyond."""
    start_s, end_s = int(asked["start"].timestamp()), -int(-asked["end"].timestamp() // 1)
    step_s = int(asked["resolution_s"]) if "resolution_s" in asked else None
    kept_since = timezone.now() - timedelta(hours=settings.DLPROXY_KEEP_SECONDS_H)
    if step_s is None:
        source_s = SECOND_S if asked["start"] >= kept_since else MINUTE_S
    else:
        source_s = SECOND_S if step_s < MINUTE_S else MINUTE_S
    grid = grid_for(start_s, end_s, source_s, step_s, asked.get("points", MAX_POINTS))
    if grid is None:
        raise serializers.ValidationError(
            {"resolution_s": [f"That gives more than {MAX_POINTS} points; ask for a coarser one or a shorter range."]}
        )
    return grid, source_s


def _within(rows: QuerySet[Any], grid: Grid, lead_s: int = 0) -> QuerySet[Any]:
    """Those of the grid, and of `lead_s` before it: what an idle model has at the grid's start stands there."""
    first, last = datetime.fromtimestamp(grid.start_s - lead_s, UTC), datetime.fromtimestamp(grid.end_s, UTC)
    return rows.filter(at__gte=first, at__lt=last).order_by("at")


def _rows(rows: QuerySet[Any], fields: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for row in rows.values("at", *fields).iterator(chunk_size=2_000):
        row["at_s"] = int(row["at"].timestamp())
        yield row
