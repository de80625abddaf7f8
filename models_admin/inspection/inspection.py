"""What a file is, decided by its first bytes and then by a strict reader of that format; never by its name.

Place: called by services.artifacts on a received file before it gets its final place.
Rules: bounded memory whatever the file claims; no third-party parser sees the file; nothing is executed.
"""

from __future__ import annotations

from pathlib import Path

from models_admin.inspection.onnx_structure import inspect_onnx, looks_like_onnx
from models_admin.inspection.outcome import Inspection, Refused
from models_admin.inspection.safetensors_header import inspect_safetensors, looks_like_safetensors
from models_admin.inspection.torch_archive import HOW_TO_EXPORT, inspect_zip

ACCEPTED = "Accepted are TorchScript, torch.export (.pt2), safetensors with a declared architecture, and ONNX."
START_BYTES = 512
SAFETENSORS_BRACE_AT = 8
TAR_MAGIC_AT = 257
KNOWN_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "This is an HDF5 file (Keras weights or model). Export the model to ONNX and send that."),
    (b"\x1f\x8b", "This is a gzip archive. Send the model file itself, not packed."),
    (b"BZh", "This is a bzip2 archive. Send the model file itself, not packed."),
    (b"\xfd7zXZ", "This is an xz archive. Send the model file itself, not packed."),
    (b"7z\xbc\xaf", "This is a 7-Zip archive. Send the model file itself, not packed."),
    (b"\x93NUMPY", "This is a NumPy array without a model."),
    (b"GGUF", "This is a GGUF file of llama.cpp, which this server does not run."),
    (b"\x7fELF", "This is a compiled program or library, not a model."),
    (b"MZ", "This is a Windows program or library, not a model."),
)


def inspect(path: Path) -> Inspection:
    """The format of the file at `path`; raises Refused with words for the uploader."""
    file_bytes = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(START_BYTES)
        # Before anything else: a safetensors file begins with a length, whose bytes may look like any other magic.
        if looks_like_safetensors(start, file_bytes):
            return inspect_safetensors(file, file_bytes)
        if start.startswith(b"PK"):
            return inspect_zip(file, file_bytes)
        _refuse_known(start)
        if start[SAFETENSORS_BRACE_AT : SAFETENSORS_BRACE_AT + 1] == b"{":
            return inspect_safetensors(file, file_bytes)
        _refuse_pickle(start)
        if looks_like_onnx(start):
            return inspect_onnx(file, file_bytes)
    raise Refused(f"The content is of no format that this server knows. {ACCEPTED}")


def _refuse_known(start: bytes) -> None:
    for magic, words in KNOWN_STARTS:
        if start.startswith(magic):
            raise Refused(f"{words} {ACCEPTED}")
    if start[4:8] == b"TFL3":
        raise Refused(f"This is a TensorFlow Lite model. Export the model to ONNX and send that. {ACCEPTED}")
    if start[TAR_MAGIC_AT : TAR_MAGIC_AT + 5] == b"ustar":
        raise Refused(
            f"This is a tar archive, as torch before 1.6 wrote it; its contents are pickled. {HOW_TO_EXPORT}",
            "legacy_tar",
        )
    if start.lstrip()[:1] == b"<":
        raise Refused(f"This is a web page or an XML document, not a model. {ACCEPTED}")


def _refuse_pickle(start: bytes) -> None:
    """Pickles of protocol 2 and later begin with 0x80 and the protocol; older ones are of no known format anyway."""
    if len(start) > 1 and start[0] == 0x80 and 2 <= start[1] <= 5:
        raise Refused(
            f"This is a pickle. Opening it would run whatever its author put in, so it stays shut. {HOW_TO_EXPORT}",
            "pickle",
        )
