"""TorchScript archives (`torch.jit.save`). They carry no shapes: `dlproxy.json` inside does, or they are declared."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from proxy.core.tensors import Signature, TensorSpec
from proxy.core.words import of_error, say
from proxy.frames.config import InstanceConfig, InvalidConfig, signature_from_dict
from proxy.worker import device as devices
from proxy.worker.backends.base import Array, Backend, UnusableArtifact, shortened
from proxy.worker.backends.torch_common import set_up_torch, to_arrays, to_tensor, to_tensors
from proxy.worker.dtypes import as_texts

SIGNATURE_MEMBER = "dlproxy.json"
MAX_SIZE_DIGITS = 20
_SCALARS: dict[str, Callable[[Any], Any]] = {"int": int, "float": float, "bool": bool, "number": float}
_TEXTS = ("str", "List[str]", "List[List[str]]")
Converter = Callable[[Array], Any]


class TorchScriptBackend(Backend):
    """Calls `forward`, or the method that the options name; resets before each execution where told to."""

    def __init__(self, module: torch.jit.ScriptModule, config: InstanceConfig, embedded: str) -> None:
        self._device = devices.choose(config)
        self.device = str(self._device)
        self.signature = _embedded_signature(embedded)
        self._method = _method(module, config.options.get("method") or "forward")
        self._reset = _reset_method(module, config)
        self._declared: Signature | None = None
        self._converters: list[Converter | None] = []
        self._has_others = False
        signature = config.signature or self.signature
        if signature is not None:
            self._adopt(signature)

    def _adopt(self, signature: Signature) -> None:
        self._declared = signature
        self._converters = _converters(self._method.schema, signature)
        self._has_others = any(self._converters)

    @classmethod
    def set_up(cls, config: InstanceConfig) -> None:
        set_up_torch(config)
        if devices.choose(config).type == "cpu":
            # The profiling executor compiles anew for each new batch size (hundreds of ms); on the CPU the simple
            # executor is as fast and its times do not depend on which sizes came before.
            torch._C._jit_set_profiling_executor(False)
            torch._C._jit_set_profiling_mode(False)

    @classmethod
    def open(cls, config: InstanceConfig) -> TorchScriptBackend:
        extra: dict[str, Any] = {SIGNATURE_MEMBER: ""}
        try:
            module = torch.jit.load(  # type: ignore[no-untyped-call]
                config.artifact_path, map_location=devices.choose(config), _extra_files=extra
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise UnusableArtifact(
                say("torch.jit.load could not open the archive: %(error)s", error=shortened(error))
            ) from error
        module.eval()
        embedded = extra[SIGNATURE_MEMBER]
        return cls(module, config, embedded.decode("utf-8", "replace") if isinstance(embedded, bytes) else embedded)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        with torch.inference_mode():
            if self._has_others:
                arguments = [
                    convert(array) if convert else to_tensor(array, self._device)
                    for convert, array in zip(self._converters, inputs, strict=True)
                ]
            else:
                arguments = to_tensors(inputs, self._device)
            if self._reset is not None:
                self._reset()
            return to_arrays(self._method(*arguments), self._declared)


BACKEND = TorchScriptBackend


def _embedded_signature(text: str) -> Signature | None:
    if not text:
        return None
    try:
        return signature_from_dict(json.loads(text, parse_int=_size))
    except RecursionError as error:
        raise UnusableArtifact(say("The archive's %(file)s is nested too deeply.", file=SIGNATURE_MEMBER)) from error
    except (ValueError, InvalidConfig) as error:
        raise UnusableArtifact(
            say(
                "The archive's %(file)s is not a valid signature: %(error)s",
                file=SIGNATURE_MEMBER,
                error=of_error(error),
            )
        ) from error


def _size(digits: str) -> int:
    if len(digits) > MAX_SIZE_DIGITS:
        raise ValueError(say("a number in it has too many digits"))
    return int(digits)


def _method(module: torch.jit.ScriptModule, name: str) -> Any:
    methods = module._c._method_names()
    if name not in methods:
        has = ", ".join(sorted(methods))
        raise UnusableArtifact(say("The archive has no method %(name)s; it has %(has)s.", name=repr(name), has=has))
    return getattr(module, name)


def _reset_method(module: torch.jit.ScriptModule, config: InstanceConfig) -> Any:
    name = config.options.get("reset_method")
    if not name:
        return None
    reset = _method(module, name)
    if len(reset.schema.arguments) > 1:
        raise UnusableArtifact(say("The reset method %(name)s takes arguments; it must take none.", name=repr(name)))
    return reset


def _converters(schema: Any, signature: Signature) -> list[Converter | None]:
    """Return one entry an input: how it becomes what the method wants instead of a tensor, or None."""
    arguments = schema.arguments[1:]  # the first is the module, whatever its author calls it
    required = sum(not argument.has_default_value() for argument in arguments)
    if not required <= len(signature.inputs) <= len(arguments):
        raise UnusableArtifact(
            say(
                "The signature has %(count)s inputs, but the method %(name)s takes %(takes)s.",
                count=len(signature.inputs),
                name=repr(schema.name),
                takes=len(arguments),
            )
        )
    return [_converter(argument, spec) for argument, spec in zip(arguments, signature.inputs, strict=False)]


def _converter(argument: Any, spec: TensorSpec) -> Converter | None:
    kind = str(argument.type)
    if kind.startswith("Optional["):
        kind = kind.removeprefix("Optional[").removesuffix("]")
    if (spec.datatype == "BYTES") != (kind in _TEXTS):
        raise UnusableArtifact(
            say(
                "The argument %(name)s is a %(kind)s, but the signature declares %(datatype)s; BYTES is for "
                "List[str], List[List[str]] and str.",
                name=repr(argument.name),
                kind=kind,
                datatype=spec.datatype,
            )
        )
    if kind == "Tensor":
        return None
    if kind in _SCALARS:
        return partial(_scalar, _SCALARS[kind])
    if kind in _TEXTS:
        return partial(_texts, kind, spec.name)
    raise UnusableArtifact(
        say(
            "The argument %(name)s is a %(kind)s; only tensors, single numbers and lists of strings can be sent.",
            name=repr(argument.name),
            kind=kind,
        )
    )


def _scalar(convert: Callable[[Any], Any], array: Array) -> Any:
    return convert(array.item())


def _texts(kind: str, name: str, array: Array) -> Any:
    """Strings as the method wants them: one, a flat list, or a list of rows."""
    texts = as_texts(array, name)
    if kind == "str":
        return texts.item()
    return list(texts.ravel()) if kind == "List[str]" else texts.reshape(len(texts), -1).tolist()
