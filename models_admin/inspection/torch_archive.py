"""What a zip archive written by torch holds: TorchScript, an exported program, or a pickled checkpoint (refused).

Source: layouts that torch 2.13 writes. TorchScript (`torch.jit.save`): `<root>/data.pkl`, `constants.pkl`, `code/…`.
torch.export (`torch.export.save`): `<root>/archive_format` = "pt2", `models/<name>.json`, `data/weights/…`.
Checkpoint (`torch.save`): `<root>/data.pkl`, `data/…`, no code.
"""

from __future__ import annotations

from typing import BinaryIO

from models_admin.inspection.outcome import Inspection, Refused
from models_admin.inspection.zip_contents import read_small, verify
from models_admin.inspection.zip_directory import Member, read_directory

LIBRARY_SUFFIXES = (".so", ".dll", ".dylib", ".cubin", ".hsaco", ".ptx", ".cpp")
SIGNATURE_ENTRY = "extra/dlproxy.json"
HOW_TO_EXPORT = (
    "Export the model where it was trained: torch.export.save(torch.export.export(model, example_inputs), 'model.pt2') "
    "or torch.jit.script(model).save('model.pt'); or send the weights alone as safetensors and declare an architecture."
)


def inspect_zip(file: BinaryIO, file_bytes: int) -> Inspection:
    """Decide what the archive holds; every member's checksum is verified."""
    members = read_directory(file, file_bytes)
    inspection = _decide(file, members)
    verify(file, members)
    return inspection


def _decide(file: BinaryIO, members: list[Member]) -> Inspection:
    roots = {member.name.partition("/")[0] for member in members}
    inside = {member.name.partition("/")[2]: member for member in members}
    if len(roots) == 1:
        if "archive_format" in inside:
            return _exported(file, inside)
        if "data.pkl" in inside and "constants.pkl" in inside and any(name.startswith("code/") for name in inside):
            return Inspection("torchscript", "TorchScript archive", SIGNATURE_ENTRY in inside)
        if "data.pkl" in inside:
            raise Refused(
                "This is a pickled checkpoint (torch.save). Opening it would run whatever its author put in, and it "
                f"holds no model, only its weights or a reference to your Python code. {HOW_TO_EXPORT}",
                "pickle",
            )
    names = {member.name for member in members}
    if any(name.endswith("serialized_exported_program.json") for name in names):
        raise Refused(
            "This torch.export file was written by an old torch. Export it again with torch 2.8 or newer.", "old_export"
        )
    if any(name.endswith(".npy") for name in names):
        raise Refused(f"This is a NumPy archive (.npz): arrays without a model. {HOW_TO_EXPORT}")
    if any(name.endswith(("config.json", "model.weights.h5")) for name in names):
        raise Refused("This is a Keras archive. Export it to ONNX (tf2onnx or keras.export) and send that.")
    raise Refused(f"This is a zip archive, but no model that torch wrote. {HOW_TO_EXPORT}")


def _exported(file: BinaryIO, inside: dict[str, Member]) -> Inspection:
    if read_small(file, inside["archive_format"], 16) != b"pt2":
        raise Refused("The archive's format is not one that torch.export writes.")
    libraries = [name for name in inside if name.lower().endswith(LIBRARY_SUFFIXES) or "aotinductor" in name]
    if libraries:
        raise Refused(
            "This .pt2 carries compiled machine code (AOTInductor). Only the exported graph is run here: save it with "
            "torch.export.save.",
            "compiled_code",
        )
    models = [name for name in inside if name.startswith("models/") and name.endswith(".json")]
    if models != ["models/model.json"]:
        raise Refused(
            "A .pt2 with exactly one program named 'model' is needed, as torch.export.save(program, path) writes it."
        )
    return Inspection("exported", "torch.export archive (.pt2)", has_signature=True)
