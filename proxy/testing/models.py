"""Small artifacts for tests: one that behaves, and ones that misbehave in each way that an instance must survive.

Each function writes a file and returns the version that serves it. torch is imported when one is called.
"""

from __future__ import annotations

import hashlib
import itertools
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from proxy.core.snapshot import VersionSnapshot
from proxy.core.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    import torch

ROW = Signature((TensorSpec("x", "FP32", (-1, 4)),), (TensorSpec("y", "FP32", (-1, 4)),))

_tags = itertools.count()

_FORWARDS = {
    "affine": """
        return x * 2.0 + 1.0
    """,
    "identity": """
        return x
    """,
    "raises_on_negative": """
        if bool((x < 0).any()):
            raise ValueError("negative numbers are not served here")
        return x * 2.0 + 1.0
    """,
    "spins": """
        total = 0
        for i in range(int(x[0, 0].item())):
            total = (total * 31 + i) % 1000003
        return x + float(total) * 0.0
    """,
    "wrong_shape": """
        return torch.cat([x, x], 1) if float(x[0, 0]) > 0.0 else x
    """,
    "wrong_rows": """
        return torch.cat([x, x], 0) if float(x[0, 0]) > 0.0 else x
    """,
    "wrong_type": """
        return x.to(torch.float64) if float(x[0, 0]) > 0.0 else x
    """,
    "takes_memory": """
        mib = int(x[0, 0].item())
        block = torch.ones([mib * 262144 + 1])
        return x + block[0] * 0.0
    """,
    "segfaults_above_100": """
        if float(x[0, 0]) > 100.0:
            index = torch.full([1, 1], 1 << 50, dtype=torch.int64)
            broken = torch.ops.aten._sparse_coo_tensor_unsafe(index, torch.ones([1]), [4])
            return x + broken.to_dense()
        return x
    """,
    "segfaults": """
        index = torch.full([1, 1], 1 << 50, dtype=torch.int64)
        broken = torch.ops.aten._sparse_coo_tensor_unsafe(index, torch.ones([1]), [4])
        return x + broken.to_dense()
    """,
}


def script(directory: Path, name: str, *, number: int = 1, **changes: Any) -> VersionSnapshot:
    """Write the TorchScript model `name` (a key of the table above); `changes` go to the VersionSnapshot."""
    return save_script(directory, name, from_source(_FORWARDS[name]), number=number, **changes)


def widening(directory: Path) -> VersionSnapshot:
    """A model whose output has as many columns as its input's first number says: outputs of any size."""
    module = from_source("""
        return torch.ones([x.size(0), int(x[0, 0].item())])
    """)
    signature = Signature(ROW.inputs, (TensorSpec("y", "FP32", (-1, -1)),))
    return save_script(directory, "widening", module, signature=signature)


def counting(directory: Path, **changes: Any) -> VersionSnapshot:
    """A stateful model: answers with the number of calls since `reset`."""
    import torch

    module = _empty_module(count=torch.zeros(1))
    module.define("def forward(self, x: Tensor) -> Tensor:\n    self.count += 1.0\n    return x * 0.0 + self.count\n")
    module.define("def reset(self) -> None:\n    self.count.zero_()\n")
    options = {"reset_method": "reset"}
    return save_script(directory, "counting", module, stateful=True, batchable=False, options=options, **changes)


def leaking(directory: Path) -> VersionSnapshot:
    """Answers its input, and keeps as many MiB for ever as the first number says."""
    import torch

    module = torch.nn.Module()
    module.kept = torch.jit.Attribute([], list[torch.Tensor])  # type: ignore[assignment]
    leaky = torch.jit.script(module)
    leaky.define(
        "def forward(self, x: Tensor) -> Tensor:\n"
        "    self.kept.append(torch.ones([int(x[0, 0].item()) * 262144]))\n"
        "    return x\n"
    )
    return save_script(directory, "leaking", leaky)


def from_source(body: str) -> torch.jit.ScriptModule:
    """Return a module whose `forward(x)` has the given TorchScript body."""
    lines = textwrap.indent(textwrap.dedent(body.strip("\n")), "    ")
    return scripted(f"def forward(self, x: Tensor) -> Tensor:\n{lines}\n")


def scripted(source: str) -> torch.jit.ScriptModule:
    """Return a module with the methods that the TorchScript source defines."""
    import torch  # noqa: F401  the source is resolved in this frame

    module = _empty_module()
    module.define(source)
    return module


def save_script(
    directory: Path,
    name: str,
    module: torch.jit.ScriptModule,
    *,
    number: int = 1,
    signature: Signature = ROW,
    batchable: bool = True,
    stateful: bool = False,
    options: Mapping[str, str] | None = None,
) -> VersionSnapshot:
    """Save a scripted module and return the version that serves it."""
    import torch

    path = directory / f"{name}-{number}.pt"
    torch.jit.save(module, str(path))
    return version(
        path, name, "torchscript", signature, number=number, batchable=batchable, stateful=stateful, options=options
    )


def version(
    path: Path,
    name: str,
    artifact_format: str,
    signature: Signature,
    *,
    number: int = 1,
    batchable: bool = True,
    stateful: bool = False,
    options: Mapping[str, str] | None = None,
) -> VersionSnapshot:
    """Return the version of an artifact that lies at `path`."""
    return VersionSnapshot(
        model=name,
        number=number,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        artifact_path=str(path),
        format=artifact_format,
        signature=signature,
        batchable=batchable,
        stateful=stateful,
        cacheable=not stateful,
        options=dict(options or {}),
    )


def _empty_module(**buffers: torch.Tensor) -> torch.jit.ScriptModule:
    """Return a module of a type of its own: types that look alike are shared, and methods belong to the type."""
    import torch

    module = torch.nn.Module()
    module.tag = next(_tags)  # type: ignore[assignment]
    for name, value in buffers.items():
        module.register_buffer(name, value)
    module.__dict__["__constants__"] = ["tag"]
    return torch.jit.script(module)


def in_format(
    directory: Path, artifact_format: str, model: torch.nn.Module, inputs: int, outputs: int, architecture: str
) -> VersionSnapshot:
    """Save a module of `[-1, inputs] → [-1, outputs]` as torch.export, ONNX or safetensors."""
    import torch

    path = directory / f"model.{artifact_format}"
    sample = torch.zeros(2, inputs)
    options = {}
    if artifact_format == "exported":
        program = torch.export.export(model, (sample,), dynamic_shapes=({0: torch.export.Dim("rows")},))
        path = path.with_suffix(".pt2")
        torch.export.save(program, str(path))
    elif artifact_format == "onnx":
        _save_onnx(path, model)
    else:
        from safetensors.torch import save_file

        save_file(model.state_dict(), str(path))
        options = {"architecture": architecture}
    signature = Signature((TensorSpec("input", "FP32", (-1, inputs)),), (TensorSpec("output", "FP32", (-1, outputs)),))
    return version(path, "mlp", artifact_format, signature, options=options)


def _save_onnx(path: Path, model: torch.nn.Module) -> None:
    """Write a chain of linear layers with ReLU between as ONNX, with the onnx package alone."""
    import torch
    from onnx import TensorProto, helper, numpy_helper, save

    nodes, weights, at = [], [], "input"
    layers = [layer for layer in model.children() if isinstance(layer, torch.nn.Linear)]
    for index, layer in enumerate(layers):
        last = index == len(layers) - 1
        for kind, value in (("w", layer.weight), ("b", layer.bias)):
            weights.append(numpy_helper.from_array(value.detach().numpy(), f"{kind}{index}"))
        nodes.append(
            helper.make_node("Gemm", [at, f"w{index}", f"b{index}"], ["output" if last else f"h{index}"], transB=1)
        )
        if not last:
            nodes.append(helper.make_node("Relu", [f"h{index}"], [f"r{index}"]))
        at = f"r{index}"
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", layers[0].in_features])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["rows", layers[-1].out_features])],
        weights,
    )
    model_proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    save(model_proto, str(path))


def package_file(package: ModuleType, *parts: str) -> Path:
    """Return a data file that an installed package ships."""
    return Path(str(package.__file__)).parent.joinpath(*parts)
