"""Small pieces of markup that every page uses: icons, links of the menu, states, numbers in words."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from models_admin.dashboard.status import STATES
from models_admin.publishing.nodes import beside, own_node
from proxy.core.words import parts_of, readable

register = template.Library()

BYTES_PER_STEP = 1024
TONES = {
    "ready": "ok",
    "passed": "ok",
    "failed": "bad",
    "uploaded": "busy",
    "validating": "busy",
    "checking": "busy",
    "loading": "busy",
    "warming": "busy",
    "verifying": "busy",
    "starting": "busy",
    "draining": "warn",
    "quarantined": "bad",
    "running": "busy",
    "holding": "warn",
    "promoted": "ok",
    "aborted": "bad",
}


@register.simple_tag
def icon(name: str) -> SafeString:
    """A decorative icon of static/icons.svg."""
    return format_html(
        '<svg class="icon" width="18" height="18" aria-hidden="true"><use href="{}#{}"/></svg>',
        static("icons.svg"),
        name,
    )


@register.simple_tag(takes_context=True)
def nav_link(context: Mapping[str, Any], url_name: str, icon_name: str, label: str, key: str = "") -> SafeString:
    """A link of the main menu; marked as current when the page is it. `key`: after a g, it goes there."""
    url = reverse(url_name)
    current = format_html(' aria-current="{}"', "page") if context["request"].path == url else ""
    keys = format_html(' aria-keyshortcuts="g {0}" data-go-key="{0}"', key) if key else ""
    return format_html('<a href="{}"{}{}>{}{}</a>', url, current, keys, icon(icon_name), label)


@register.simple_tag
def state(value: str, label: str = "") -> SafeString:
    """A state as a coloured pill, in the reader's language."""
    return format_html('<span class="state" data-tone="{}">{}</span>', TONES.get(value, ""), label or state_word(value))


@register.simple_tag
def nodes_beside() -> dict[str, str]:
    """This web node and, where there are any, those that answer calls beside it on the same database."""
    return {"own": own_node(), "others": ", ".join(beside.names(time.monotonic()))}


@register.filter
def state_word(value: str) -> str:
    """What a state of an instance or of a version in the data plane is called."""
    return str(STATES.get(value, value.capitalize()))


@register.filter
def said(text: str, parts: Any = None) -> str:
    """Words in the reader's language, by what they are made of (proxy.core.words): their own parts, or those given."""
    return readable(parts or parts_of(text), _, text)


@register.filter
def tone(value: str) -> str:
    """The colour of a state's pill."""
    return TONES.get(value, "")


@register.filter
def size(value: int | None) -> str:
    """Bytes for people: 1.4 MiB."""
    if not isinstance(value, int | float):
        return "–"
    number = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < BYTES_PER_STEP:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= BYTES_PER_STEP
    return f"{number:.1f} TiB"


@register.filter
def ms(value: float | None) -> str:
    """Milliseconds with a sensible number of digits."""
    if not isinstance(value, int | float) or not isfinite(value):
        return "–"
    return f"{value:.2f} ms" if value < 10 else f"{value:.0f} ms"


@register.filter
def live_ms(value: float | None) -> str:
    """Milliseconds as the scripts write them (static/js/lib/format.js), which go on with the cell a second later."""
    if isinstance(value, int | float) and value >= 10_000:
        return f"{value / 1000:.1f} s"
    return f"{value:.1f} ms" if isinstance(value, int | float) and 10 <= value < 100 else ms(value)


@register.filter
def us(value: float | None) -> str:
    """Microseconds with a sensible number of digits."""
    if not isinstance(value, int | float):
        return "–"
    return f"{value:.1f} µs" if value < 100 else f"{value:,.0f} µs"


@register.filter
def percent(ratio: float | None) -> str:
    """A ratio from 0 to 1 as a percentage."""
    return f"{100 * ratio:.0f}%" if isinstance(ratio, int | float) and isfinite(ratio) else "–"


@register.filter
def duration(value: float | None) -> str:
    """Seconds for people: 45 s, 5 min, 1 h 30 min."""
    if not isinstance(value, int | float):
        return "–"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{number} {unit}" for number, unit in ((hours, _("h")), (minutes, _("min")), (seconds, _("s"))) if number]
    return " ".join(parts[:2]) or _("0 s")


@register.filter
def scientific(value: float | None) -> str:
    """A small number in few digits: 1.2e-06."""
    return f"{value:.3g}" if isinstance(value, int | float) else "–"


@register.filter
def unlocalised(value: float) -> str:
    """A number as HTML's attributes take it."""
    return f"{value:.12g}"


@register.filter
def figure(value: float | None) -> str:
    """A count; a dash where nothing is known (which is not zero)."""
    return f"{value:,}" if isinstance(value, int | float) else "–"


@register.simple_tag
def when(value: datetime | None, empty: str = "") -> SafeString | str:
    """A moment: exact UTC in the title; the page's script shows it in the viewer's zone."""
    if value is None:
        return empty or _("never")
    return format_html(
        '<time datetime="{}" title="{} UTC" data-local>{}</time>',
        value.isoformat(),
        f"{value:%Y-%m-%d %H:%M:%S}",
        f"{value:%Y-%m-%d %H:%M:%S}",
    )


@register.simple_tag(takes_context=True)
def with_query(context: Mapping[str, Any], **changes: object) -> str:
    """This page's URL with some parameters changed; an empty value takes one away."""
    query = context["request"].GET.copy()
    for name, value in changes.items():
        query.pop(name, None)
        if value != "":
            query[name] = str(value)
    return f"?{query.urlencode()}" if query else context["request"].path


@register.filter
def shape(value: list[int]) -> str:
    """A tensor's shape; a size that varies is shown as a dash-like any."""
    return "[" + ", ".join(_("any") if size == -1 else str(size) for size in value) + "]"


@register.filter
def pretty_json(value: Any) -> str:
    """JSON with indentation, for showing."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def measured(value: Mapping[str, Any]) -> str:
    """A step's measurements in one line: `load time 12 ms, memory 335.9 MiB`; the unit is the name's ending."""
    return ", ".join(_measurement(name, number) for name, number in value.items()).replace(", of ", " of ")


def _measurement(name: str, value: Any) -> str:
    for ending, in_words in (("_ms", ms), ("_bytes", size)):
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} {in_words(value)}"
    number = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')} {number}"


@register.simple_tag(takes_context=True)
def nav_tab(context: Mapping[str, Any], url_name: str, label: str, name: str) -> SafeString:
    """A tab of a model's page."""
    url, path = reverse(url_name, args=[name]), context["request"].path
    is_current = path == url or (url_name != "model" and path.startswith(url))
    current = format_html(' aria-current="{}"', "page") if is_current else ""
    return format_html('<a href="{}"{}>{}</a>', url, current, label)
