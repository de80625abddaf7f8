"""Outputs of an execution → JSON and, behind it, the raw bytes of those outputs that were asked for raw. One join.

Rules: raw outputs are slices of the batch's bytes, as the model wrote them: NaN payloads, infinities and negative zeros
included; they stand in the order of `outputs` in the JSON; JSON and raw outputs may be mixed.
Source: Triton's binary tensor data extension.
"""

from __future__ import annotations

from proxy.core.requests import InferenceRequest, InferenceResult
from proxy.core.tensors import Tensor
from proxy.protocol import v2_response


def encode(result: InferenceResult, request: InferenceRequest) -> tuple[bytes, int]:
    """The body, and how many of its bytes are JSON. Raises ExecutionFailed for a JSON output that is not finite."""
    outputs = result.outputs
    wanted = request.outputs
    tensors = {tensor.name: tensor for tensor in outputs.tensors}
    heads: list[bytes] = []
    raws: list[memoryview] = []
    for name in tensors if wanted is None else wanted:
        if name not in request.binary_outputs:
            heads.append(v2_response.encode_output(result, name))
            continue
        tensor = tensors[name]
        raw, shape = _share(tensor, result) if outputs.batched else (memoryview(tensor.data), tensor.shape)
        heads.append(_head(tensor, shape, len(raw)))
        raws.append(raw)
    json_part = v2_response.wrap(result, request, b",".join(heads))
    return b"".join((json_part, *raws)), len(json_part)


def _share(tensor: Tensor, result: InferenceResult) -> tuple[memoryview, tuple[int, ...]]:
    view = result.outputs.rows_of(tensor, result.first_row, result.rows)
    return view, (result.rows, *tensor.shape[1:])


def _head(tensor: Tensor, shape: tuple[int, ...], size_bytes: int) -> bytes:
    head = b'%b"shape":[%b],"parameters":{"binary_data_size":%d}}'
    dims = ",".join(map(str, shape)).encode()
    return head % (v2_response.name_and_datatype(tensor.name, tensor.datatype), dims, size_bytes)
