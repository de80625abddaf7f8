"""What is in deploy/: nginx's rule of inheritance is kept, and systemd does not try without end what cannot go well."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

NEEDED = {"Host", "X-Forwarded-Proto", "X-Forwarded-For"}


def test_every_location_of_the_example_for_nginx_tells_the_server_host_scheme_and_client() -> None:
    text = (ROOT / "deploy/nginx.conf").read_text()
    locations = re.findall(r"location (\S+) \{(.*?)\n    \}", text, re.DOTALL)
    assert {place for place, _ in locations} == {"/v2/", "/ws/", "/"}
    for place, body in locations:
        assert set(re.findall(r"proxy_set_header (\S+)", body)) >= NEEDED, place


def test_the_service_is_not_started_again_after_a_refusal_that_only_a_person_can_mend() -> None:
    unit = (ROOT / "deploy/dlproxy.service").read_text()
    assert f"RestartPreventExitStatus={os.EX_CONFIG}\n" in unit
    assert "Restart=on-failure\n" in unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_nothing_wrong_with_the_service(tmp_path: Path) -> None:
    unit = tmp_path / "dlproxy.service"
    unit.write_text((ROOT / "deploy/dlproxy.service").read_text().replace("/srv/dlproxy/app", str(ROOT)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "dlproxy" in line]) == (0, [])
