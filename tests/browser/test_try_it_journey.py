"""Try it in the browser: sound over time, a dropped picture, raw tensors, and each snippet run for real."""

from __future__ import annotations

import base64
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import wave
from contextlib import closing
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from bench.browser import CHROMIUM, FLAGS
from bench.harness import Site
from tests.browser.conftest import PATIENCE_MS
from tests.browser.test_journey import log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RATE = 16_000
MICROPHONE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
RUNNERS = {
    "curl": ["bash", "-s"],
    "tritonclient": [sys.executable, "-"],
    "httpx": [sys.executable, "-"],
    "JavaScript": [shutil.which("node"), "--input-type=module", "-"],
}
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def sound() -> tuple[bytes, list[float]]:
    """A second and a half of a swelling tone as WAV, and the samples that a reader of it gets."""
    levels = [round(9_000 * math.sin(i / 9) * math.sin(i / 7_000)) for i in range(RATE * 3 // 2)]
    file = BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(struct.pack(f"<{len(levels)}h", *levels))
    return file.getvalue(), [level / 32_768 for level in levels]


def answer_of(page: Page) -> list[float]:
    """The numbers of the first output that the page shows."""
    return json.loads(page.locator("#raw-answer").text_content() or "")["outputs"][0]["data"]


def test_a_recording_is_shown_with_what_the_model_says_of_each_moment(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto("/models/silero-vad/try/")
    file, samples = sound()
    page.locator("#sound-x-file").set_input_files({"name": "tone.wav", "mimeType": "audio/wav", "buffer": file})
    expect(page.locator("#answer .uplot")).to_have_count(1)
    page.get_by_role("button", name="Send request").click()
    expect(page.locator("#answer .uplot")).to_have_count(2)
    expect(page.locator("#time-parts [data-part=compute]")).to_be_visible()
    expect(page.locator("#latency")).to_contain_text("version 1")
    inputs = [
        {"name": "x", "datatype": "FP32", "shape": [1, len(samples)], "data": samples},
        {"name": "sr", "datatype": "INT64", "shape": [1], "data": [RATE]},
    ]
    answer = httpx.post(
        f"http://127.0.0.1:{site.inference_port}/v2/models/silero-vad/infer",
        headers={"Authorization": f"Bearer {site.first_run['api_key']}"},
        json={"inputs": inputs},
        timeout=60,
    )
    # A browser may divide by 32,767 what others divide by 32,768.
    assert answer_of(page) == pytest.approx(answer.json()["outputs"][0]["data"], abs=1e-4)
    page.locator("#sound-x-file").set_input_files({"name": "a.wav", "mimeType": "audio/wav", "buffer": b"no sound"})
    expect(page.get_by_text("cannot read that file as sound")).to_be_visible()


def test_the_microphone_is_recorded_played_back_and_asked(site: Site, browser: Browser, tmp_path: Path) -> None:
    spoken = tmp_path / "spoken.wav"
    spoken.write_bytes(sound()[0])
    flags = [*FLAGS, *MICROPHONE, f"--use-file-for-fake-audio-capture={spoken}"]
    with closing(browser.browser_type.launch(executable_path=CHROMIUM, args=flags)) as hearing:
        page = hearing.new_page(base_url=f"http://127.0.0.1:{site.port}")
        log_in(page, site)
        page.goto("/models/silero-vad/try/")
        page.get_by_role("button", name="Record").click()
        expect(page.get_by_text("Recording … 2 s")).to_be_visible(timeout=PATIENCE_MS)
        page.get_by_role("button", name="Stop recording").press("Enter")
        expect(page.get_by_text("From the microphone")).to_be_visible(timeout=PATIENCE_MS)
        expect(page.get_by_label("The recording")).to_be_visible()
        expect(page.locator("#answer .uplot")).to_have_count(1)
        page.get_by_role("button", name="Send request").click()
        expect(page.locator("#answer .uplot")).to_have_count(2, timeout=PATIENCE_MS)
        said = answer_of(page)
    assert len(said) > RATE // 512  # windows of 512 samples, of more than a second
    assert all(0 <= chance <= 1 for chance in said)


def test_a_microphone_that_is_not_given_says_what_to_do(page: Page, site: Site) -> None:
    log_in(page, site)
    page.add_init_script("navigator.mediaDevices.getUserMedia = async () => { throw new Error('not allowed'); };")
    page.goto("/models/silero-vad/try/")
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_text("The microphone was not given to this page")).to_be_visible()


def test_a_dropped_picture_fills_the_pad(page: Page, site: Site) -> None:
    log_in(page, site)
    page.goto("/models/digits/try/")
    expect(page.locator("#picture-image-file")).to_be_attached()
    # A black stroke on white paper, 80 by 80: column 4 of 8 once it is scaled and turned into light on dark.
    for kind in ("image/png", "image/jpeg"):
        page.evaluate(
            """async ([kind]) => {
              const canvas = Object.assign(document.createElement("canvas"), { width: 80, height: 80 });
              const ink = canvas.getContext("2d");
              ink.fillStyle = "white"; ink.fillRect(0, 0, 80, 80);
              ink.fillStyle = "black"; ink.fillRect(40, 0, 10, 80);
              const blob = await new Promise((resolve) => canvas.toBlob(resolve, kind));
              const dropped = new DataTransfer();
              dropped.items.add(new File([blob], `one.${kind.slice(6)}`, { type: kind }));
              const zone = document.querySelector("label[for=picture-image-file]");
              zone.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
            }""",
            [kind],
        )
        expect(page.get_by_text(f"one.{kind[6:]}")).to_be_visible()
        pixels = json.loads(page.locator("#body").input_value())["inputs"][0]["data"]
        assert min(pixels[4::8]) > 0.8
        assert max(value for at, value in enumerate(pixels) if abs(at % 8 - 4) > 1) < 0.2
        page.get_by_role("button", name="Clear").click()


@pytest.mark.parametrize("encoding", ["JSON", "Binary"])
def test_every_snippet_runs_and_has_the_pages_answer(page: Page, site: Site, encoding: str) -> None:
    log_in(page, site)
    page.goto("/models/digits/try/")
    page.get_by_role("button", name="Sample 7").click()
    page.get_by_role("button", name=encoding, exact=True).click()
    page.get_by_role("button", name="Send request").click()
    expect(page.locator("[data-best-class]")).to_have_text("7", timeout=PATIENCE_MS)
    shown = answer_of(page)
    environment = {**os.environ, "DLPROXY_API_KEY": site.first_run["api_key"]}
    for language, command in RUNNERS.items():
        if command[0] is None:
            continue  # node is not installed
        page.get_by_role("button", name=language, exact=True).click()
        code = page.locator("#snippet").text_content() or ""
        done = subprocess.run(
            command, input=code, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, f"{language}: {done.stderr}"
        printed = [float(number) for number in NUMBER.findall(done.stdout)]
        at = [i for i in range(len(printed)) if printed[i : i + 10] == pytest.approx(shown, rel=1e-4, abs=1e-5)]
        assert at, f"{language} printed {done.stdout} instead of {shown}"
    page.get_by_text("JSON body").first.click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the body").click()
    body = Path(saved.value.path()).read_bytes()
    if encoding == "JSON":
        assert json.loads(body)["inputs"][0]["name"] == "image"
    else:
        head = page.locator("#body").input_value().encode()
        assert body.startswith(head)
        assert len(body) == len(head) + 256, base64.b64encode(body)
