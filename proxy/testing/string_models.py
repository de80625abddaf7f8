"""Small artifacts that take and give strings, or bfloat16, in each format that can: for tests and for the kit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import Signature, TensorSpec
from proxy.testing.models import save_script, scripted, version

if TYPE_CHECKING:
    import torch

WORDS = Signature((TensorSpec("words", "BYTES", (-1, 2)),), (TensorSpec("loud", "BYTES", (-1, 2)),))
HALVES = Signature((TensorSpec("x", "BF16", (-1, 4)),), (TensorSpec("y", "BF16", (-1, 4)),))

# Each word upper-cased by hand (TorchScript has `upper`), and how long it is as text.
_FLAT = """
def forward(self, words: List[str]) -> List[str]:
    loud: List[str] = []
    for word in words:
        if word == "forbidden":
            raise ValueError("that word is not served here")
        loud.append(word.upper() + "!")
    return loud
"""
_NESTED = """
def forward(self, words: List[List[str]]) -> Tuple[List[List[str]], Tensor]:
    loud: List[List[str]] = []
    lengths: List[int] = []
    for row in words:
        loud.append([word.upper() + "!" for word in row])
        lengths.append(len("".join(row)))
    return loud, torch.tensor(lengths, dtype=torch.int64)
"""


def flat(folder: Path) -> VersionSnapshot:
    """TorchScript, `List[str]`: all rows' strings one behind the other."""
    return save_script(folder, "flat", scripted(_FLAT), signature=WORDS)


def nested(folder: Path) -> VersionSnapshot:
    """TorchScript, `List[List[str]]`: a list a row; gives strings and a tensor."""
    outputs = (*WORDS.outputs, TensorSpec("lengths", "INT64", (-1,)))
    return save_script(folder, "nested", scripted(_NESTED), signature=Signature(WORDS.inputs, outputs))


def onnx(folder: Path) -> VersionSnapshot:
    """ONNX string tensors: each word with an exclamation mark behind it."""
    from onnx import TensorProto, helper, save

    mark = helper.make_tensor("mark", TensorProto.STRING, [1], [b"!"])  # type: ignore[list-item]  # its stub forgets them
    graph = helper.make_graph(
        [helper.make_node("StringConcat", ["words", "mark"], ["loud"])],
        "loud",
        [helper.make_tensor_value_info("words", TensorProto.STRING, ["rows", 2])],
        [helper.make_tensor_value_info("loud", TensorProto.STRING, ["rows", 2])],
        [mark],
    )
    path = folder / "loud.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(path))
    return version(path, "loud", "onnx", WORDS)


def halves(folder: Path, artifact_format: str) -> VersionSnapshot:
    """BF16 times two, as TorchScript or torch.export."""
    if artifact_format == "torchscript":
        module = scripted("def forward(self, x: Tensor) -> Tensor:\n    return x * 2.0\n")
        return save_script(folder, "halves", module, signature=HALVES)
    import torch

    class Double(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2.0

    rows = torch.export.Dim("rows", min=1, max=64)
    program = torch.export.export(Double(), (torch.ones(2, 4, dtype=torch.bfloat16),), dynamic_shapes={"x": {0: rows}})
    path = folder / "halves.pt2"
    torch.export.save(program, str(path))
    outputs = (TensorSpec("output", "BF16", (-1, 4)),)
    return version(path, "halves", "exported", Signature(HALVES.inputs, outputs))
