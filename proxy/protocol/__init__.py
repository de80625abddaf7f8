"""Wire ↔ values of the Open Inference Protocol, sans-I/O: bytes in, values or a named error out."""
