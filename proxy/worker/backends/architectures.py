"""Architectures that a safetensors file may declare: an allow-list, so that weights never bring code.

Names of tensors are those of the equivalent `torch.nn.Sequential`, so that
`safetensors.torch.save_file(model.state_dict(), path)` fits as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import nn

from proxy.core.tensors import Signature, TensorSpec
from proxy.core.words import say
from proxy.worker.backends.base import UnusableArtifact

MAX_LAYERS = 64
MAX_WIDTH = 65_536
_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
}


def build(text: str | None) -> tuple[nn.Module, Signature]:
    """Return the empty module and its signature for the option `architecture`. Raises UnusableArtifact."""
    names = ", ".join(sorted(_BUILDERS))
    if not text:
        raise UnusableArtifact(
            say(
                'safetensors holds weights only: declare the option architecture, e.g. {"name": "mlp", "widths": '
                "[64, 128, 10]}; known architectures: %(names)s.",
                names=names,
            )
        )
    try:
        description = json.loads(text)
    except RecursionError as error:
        raise UnusableArtifact(say("The option architecture is nested too deeply.")) from error
    except ValueError as error:
        raise UnusableArtifact(say("The option architecture is not JSON: %(error)s", error=error)) from error
    name = description.get("name") if isinstance(description, dict) else None
    if not isinstance(name, str) or name not in _BUILDERS:
        raise UnusableArtifact(say("The option architecture must name one of: %(names)s.", names=names))
    builder, known = _BUILDERS[name]
    unknown = set(description) - known - {"name"}
    if unknown:
        first = repr(sorted(unknown)[0])
        raise UnusableArtifact(say("The architecture %(name)s has no field %(field)s.", name=name, field=first))
    with torch.device("meta"):
        return builder(description)


def _mlp(description: Mapping[str, Any]) -> tuple[nn.Module, Signature]:
    """`widths`: sizes from input to output; `activation` between layers (relu)."""
    widths = _sizes(description, "widths", least=2)
    activation = _activation(description)
    layers: list[nn.Module] = []
    for index, (inside, outside) in enumerate(pairwise(widths)):
        if index:
            layers.append(activation())
        layers.append(nn.Linear(inside, outside))
    return nn.Sequential(*layers), _signature((widths[0],), widths[-1])


def _convnet(description: Mapping[str, Any]) -> tuple[nn.Module, Signature]:
    """`input`: [channels, height, width]; `channels`: one a block of conv 3×3, activation, max-pool 2×2; `classes`."""
    shape = _sizes(description, "input", least=3)
    if len(shape) != 3:
        raise UnusableArtifact(say("The architecture's input must be [channels, height, width]."))
    channels = _sizes(description, "channels", least=1)
    (classes,) = _sizes({"classes": [description.get("classes")]}, "classes", least=1)
    activation = _activation(description)
    layers: list[nn.Module] = []
    inside, height, width = shape
    for outside in channels:
        layers += [nn.Conv2d(inside, outside, 3, padding=1), activation(), nn.MaxPool2d(2)]
        inside, height, width = outside, height // 2, width // 2
    features = prod((inside, height, width))
    if not 1 <= features <= MAX_WIDTH * 16:
        raise UnusableArtifact(say("The architecture pools its input away; use fewer blocks or a larger input."))
    layers += [nn.Flatten(), nn.Linear(features, classes)]
    return nn.Sequential(*layers), _signature(tuple(shape), classes)


_BUILDERS: dict[str, tuple[Callable[[Mapping[str, Any]], tuple[nn.Module, Signature]], set[str]]] = {
    "mlp": (_mlp, {"widths", "activation"}),
    "convnet": (_convnet, {"input", "channels", "classes", "activation"}),
}


def _signature(inside: tuple[int, ...], outside: int) -> Signature:
    return Signature((TensorSpec("input", "FP32", (-1, *inside)),), (TensorSpec("output", "FP32", (-1, outside)),))


def _sizes(description: Mapping[str, Any], field: str, least: int) -> list[int]:
    sizes = description.get(field)
    if not isinstance(sizes, list) or not least <= len(sizes) <= MAX_LAYERS:
        raise UnusableArtifact(
            say(
                "The architecture's %(field)s must be a list of %(least)s to %(most)s sizes.",
                field=field,
                least=least,
                most=MAX_LAYERS,
            )
        )
    if not all(type(size) is int and 1 <= size <= MAX_WIDTH for size in sizes):
        raise UnusableArtifact(
            say("The architecture's %(field)s must be integers from 1 to %(most)s.", field=field, most=MAX_WIDTH)
        )
    return sizes


def _activation(description: Mapping[str, Any]) -> Callable[[], nn.Module]:
    name = description.get("activation", "relu")
    if not isinstance(name, str) or name not in _ACTIVATIONS:
        known = ", ".join(sorted(_ACTIVATIONS))
        raise UnusableArtifact(
            say("Unknown activation %(name)s; known are %(known)s.", name=f"{name!r:.40}", known=known)
        )
    return _ACTIVATIONS[name]
