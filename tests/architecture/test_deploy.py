"""The example for nginx keeps nginx's rule of inheritance: a location that sets one header inherits none."""

from __future__ import annotations

import re

from tests.architecture.sources import ROOT

NEEDED = {"Host", "X-Forwarded-Proto", "X-Forwarded-For"}


def test_every_location_of_the_example_for_nginx_tells_the_server_host_scheme_and_client() -> None:
    text = (ROOT / "deploy/nginx.conf").read_text()
    locations = re.findall(r"location (\S+) \{(.*?)\n    \}", text, re.DOTALL)
    assert {place for place, _ in locations} == {"/v2/", "/ws/", "/"}
    for place, body in locations:
        assert set(re.findall(r"proxy_set_header (\S+)", body)) >= NEEDED, place
