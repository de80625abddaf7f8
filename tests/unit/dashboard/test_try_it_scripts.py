"""What Try it sends, shows and writes as code: raw bodies, windows of sound, pictures and latency; run by node."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from test_live_script import NODE, run

pytestmark = [pytest.mark.skipif(NODE is None, reason="node is not installed"), pytest.mark.slow]

TENSORS = [
    {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, -0.1]},
    {"name": "n", "datatype": "INT64", "shape": [2], "data": [-(2**53), 7]},
    {"name": "b", "datatype": "BOOL", "shape": [2], "data": [True, False]},
    {"name": "w", "datatype": "BYTES", "shape": [2], "data": ["é", ""]},
]
WAVE = {"name": "x", "datatype": "FP32", "shape": [1, -1]}
RATE = {"name": "sr", "datatype": "INT64", "shape": [1]}
OUT = {"name": "p", "datatype": "FP32", "shape": [1, -1]}


def test_a_raw_body_is_json_and_the_bytes_behind_it_and_comes_back_the_same() -> None:
    script = """
    import { rawBody, readRaw } from "./bodies.js";
    const { head, headBytes, bytes } = rawBody(given.tensors);
    const { inputs } = JSON.parse(head);
    const answer = new TextEncoder().encode(JSON.stringify({ outputs: inputs }));
    const whole = new Uint8Array([...answer, ...bytes.subarray(headBytes)]);
    const back = readRaw(whole, answer.length).outputs;
    console.log(JSON.stringify({ head, headBytes, raw: Array.from(bytes), back }));
    """
    made = run(script, tensors=TENSORS)
    raw = bytes(made["raw"])
    assert raw[: made["headBytes"]].decode() == made["head"]
    expected = struct.pack("<2f2q2?", 0.5, -0.1, -(2**53), 7, True, False) + struct.pack("<I2sI", 2, "é".encode(), 0)
    assert raw[made["headBytes"] :] == expected
    sizes = [one["parameters"]["binary_data_size"] for one in json.loads(made["head"])["inputs"]]
    assert sizes == [8, 16, 2, 10]
    assert [one["data"] for one in made["back"][1:]] == [one["data"] for one in TENSORS[1:]]
    assert np.array(made["back"][0]["data"], "<f4").tobytes() == raw[made["headBytes"] :][:8]


@pytest.mark.parametrize(("datatype", "value"), [("FP32", "a"), ("INT8", 1.5), ("INT64", "x")])
def test_what_is_no_number_is_named_and_not_sent_as_one(datatype: str, value: object) -> None:
    script = """
    import { rawBody } from "./bodies.js";
    try { rawBody([{ name: "x", shape: [1], ...given }]); }
    catch (error) { console.log(JSON.stringify(error.message)); }
    """
    assert run(script, datatype=datatype, data=[value]) == f"{value} is no {datatype}"


@pytest.mark.parametrize(
    ("inputs", "outputs", "sound", "plan"),
    [
        ([WAVE, RATE], [OUT], "x", {"samples": 0, "feedback": {}}),
        ([{**WAVE, "shape": [1, 512]}, RATE], [OUT], "x", {"samples": 512, "feedback": {}}),
        (
            [WAVE, {"name": "state", "datatype": "FP32", "shape": [2, -1, 128]}, RATE],
            [OUT, {"name": "stateN", "datatype": "FP32", "shape": [2, -1, 128]}],
            "x",
            {"samples": 512, "feedback": {"state": "stateN"}},
        ),
        ([WAVE], [OUT], None, {"samples": 0, "feedback": {}}),
        ([{**WAVE, "shape": [1, 8]}, RATE], [OUT], None, None),
    ],
)
def test_how_sound_is_sent_follows_from_the_signature(
    inputs: list[Any], outputs: list[Any], sound: str | None, plan: dict[str, Any] | None
) -> None:
    script = """
    import { planOf, soundInput, takesSound } from "./sound.js";
    const wave = given.inputs.find(takesSound);
    console.log(JSON.stringify([soundInput(given), wave ? planOf(given, wave.name) : null]));
    """
    assert run(script, inputs=inputs, outputs=outputs) == [sound, plan]


def test_windows_cover_the_recording_once_and_the_last_is_filled_with_silence() -> None:
    script = """
    import { curveOf, envelope, timesOf, windowsOf } from "./sound.js";
    const recording = Float32Array.from({ length: 10 }, (_, index) => index + 1);
    const windows = windowsOf(recording, 4).map((one) => Array.from(one));
    const real = (name, data) => ({ name, datatype: "FP32", data });
    const answers = [1, 2].map((value) => ({ outputs: [real("state", [9]), real("p", [[value, value]])] }));
    const whole = windowsOf(recording, 0).map((one) => one.length);
    const curve = curveOf(answers, { h: "state" });
    console.log(JSON.stringify({ windows, whole, drawn: envelope(recording, 5), curve, times: timesOf(4, 2) }));
    """
    made = run(script)
    assert made["windows"] == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 0, 0]]
    assert made["whole"] == [10]
    assert made["drawn"] == {"low": [1, 3, 5, 7, 9], "high": [2, 4, 6, 8, 10]}
    assert (made["curve"], made["times"]) == ([1, 1, 2, 2], [0.25, 0.75, 1.25, 1.75])


def test_a_picture_becomes_the_tensors_own_order_and_ink_on_paper_light_on_dark() -> None:
    script = """
    import { lightOnDark, pictureOf, pixelsOf } from "./picture_field.js";
    const rgba = [255, 0, 0, 255, 0, 0, 255, 0];
    const shapes = [[1, 3, 224, 100], [-1, 28, 30, 3], [1, 1, 8, 8], [8, 8], [1, 4, 4], [2, 8, 8], [1, 3, 512]];
    console.log(JSON.stringify({
      forms: shapes.map((shape) => pictureOf({ datatype: "FP32", shape })),
      first: Array.from(pixelsOf(rgba, { width: 2, height: 1, channels: 3, last: false })),
      behind: Array.from(pixelsOf(rgba, { width: 2, height: 1, channels: 3, last: true })),
      paper: lightOnDark([1, 1, 0]), night: lightOnDark([0, 0, 1]),
    }));
    """
    made = run(script)
    assert made["forms"] == [
        {"width": 100, "height": 224, "channels": 3, "last": False},
        {"width": 30, "height": 28, "channels": 3, "last": True},
        {"width": 8, "height": 8, "channels": 1, "last": False},
        {"width": 8, "height": 8, "channels": 1, "last": False},
        None,
        None,
        None,
    ]
    assert made["first"] == [1, 1, 0, 1, 0, 1]  # red, then white: it is transparent
    assert made["behind"] == [1, 0, 0, 1, 1, 1]
    assert (made["paper"], made["night"]) == ([0, 0, 1], [0, 0, 1])


def test_the_parts_of_the_time_are_those_of_the_header_and_what_is_left() -> None:
    script = """
    import { addTimings, readTiming } from "./timing.js";
    const one = readTiming(given.header);
    console.log(JSON.stringify([one, addTimings([one, null, one]), readTiming(null)]));
    """
    one, both, none = run(script, header="queue;dur=0.250, compute;dur=1.500, total;dur=2.000")
    assert one == {"queue": 0.25, "compute": 1.5, "rest": 0.25}
    assert both == {"queue": 0.5, "compute": 3.0, "rest": 0.5}
    assert none is None
