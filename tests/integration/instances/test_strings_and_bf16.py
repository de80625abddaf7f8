"""Strings and bfloat16 through real instances, in every format that can; and through the whole server."""

from __future__ import annotations

import numpy as np
import pytest
from instance_cast import batch, run, started

from proxy.core.batches import BatchFault, BatchResult
from proxy.core.tensors import Tensor, join_elements, split_elements
from proxy.protocol.packing import bf16_as_float32, bf16_bits
from proxy.testing import string_models

pytestmark = pytest.mark.slow
FORMATS = {
    "TorchScript, flat": string_models.flat,
    "TorchScript, nested": string_models.nested,
    "ONNX": string_models.onnx,
}


def words(*texts: bytes) -> Tensor:
    return Tensor("words", "BYTES", (len(texts) // 2, 2), join_elements(texts))


@pytest.mark.parametrize("format_name", list(FORMATS))
async def test_each_request_of_a_batch_gets_its_own_strings(tmp_path, format_name):
    version = FORMATS[format_name](tmp_path)
    requests = [
        [b"one", b"two, three"],
        [b"", "é 😀".encode(), b"x" * 5_000, b"last"],
        [b'"', b"\\"],
    ]
    async with started(version) as watched:
        instance = await watched.ready()
        for _ in range(2):
            result = await run(instance, batch(version, *[words(*texts) for texts in requests]))
            assert isinstance(result, BatchResult), result.message
            first = 0
            for texts in requests:
                rows = len(texts) // 2
                share = result.outputs.share(first, rows)
                expected = [text.decode() + "!" for text in texts]
                if format_name != "ONNX":
                    expected = [_upper(text) for text in expected]
                loud = share.tensors[0]
                assert (loud.datatype, loud.shape) == ("BYTES", (rows, 2))
                assert [element.decode() for element in split_elements(loud.data)] == expected
                first += rows
        assert result.outputs.rows == first


def _upper(text: str) -> str:
    """As TorchScript's `upper`: ASCII only."""
    return "".join(c.upper() if c.isascii() else c for c in text)


async def test_strings_and_numbers_come_out_of_one_model(tmp_path):
    version = string_models.nested(tmp_path)
    async with started(version) as watched:
        instance = await watched.ready()
        result = await run(instance, batch(version, words(b"ab", b"c", b"", b"defg")))
        assert np.frombuffer(result.outputs.tensors[1].data, "<i8").tolist() == [3, 4]


@pytest.mark.parametrize("format_name", list(FORMATS))
async def test_bytes_that_are_no_text_are_the_requests_fault_and_the_instance_serves_on(tmp_path, format_name):
    version = FORMATS[format_name](tmp_path)
    async with started(version) as watched:
        instance = await watched.ready()
        pid = instance.pid
        fault = await run(instance, batch(version, words(b"good", b"\xff\xfe")))
        assert isinstance(fault, BatchFault)
        assert not fault.lost
        assert "input 'words' holds bytes that are not UTF-8" in fault.message
        assert isinstance(await run(instance, batch(version, words(b"good", b"again"))), BatchResult)
        assert instance.pid == pid


async def test_strings_larger_than_the_areas_pass(tmp_path):
    version = string_models.flat(tmp_path)
    async with started(version) as watched:
        instance = await watched.ready()
        for count in (1, 4_000, 2):
            texts = [b"w%d" % number * 50 for number in range(2 * count)]
            result = await run(instance, batch(version, words(*texts)))
            assert isinstance(result, BatchResult), result.message
            assert split_elements(result.outputs.tensors[0].data) == [text.upper() + b"!" for text in texts]


@pytest.mark.parametrize("artifact_format", ["torchscript", "exported"])
async def test_bf16_is_computed_as_bf16(tmp_path, artifact_format):
    version = string_models.halves(tmp_path, artifact_format)
    values = np.array([[1.0, -2.5, 0.007, 3.0e38], [0.0, -0.0, 1e-3, 7.0]])
    data = bf16_bits(values.ravel()).astype("<u2").tobytes()
    async with started(version) as watched:
        instance = await watched.ready()
        result = await run(instance, batch(version, Tensor("x", "BF16", (2, 4), data)))
        assert isinstance(result, BatchResult), result.message
        (output,) = result.outputs.tensors
        assert (output.datatype, output.shape) == ("BF16", (2, 4))
        np.testing.assert_array_equal(bf16_as_float32(output.data)[:3], bf16_as_float32(data)[:3] * 2)
        assert np.isinf(bf16_as_float32(output.data)[3])
