"""model.py of a Triton python-backend model (no PyTriton in between)."""
# ruff: noqa: E402  (the models' folder must be found first)

import os
import sys

sys.path[:0] = [os.environ["PEERS_HARNESS"], os.environ["PEERS_SITE"]]  # the stub ignores PYTHONPATH
import numpy as np
import torch
import triton_python_backend_utils as pb
from models import load


class TritonPythonModel:
    """One instance."""

    def initialize(self, args):
        """Load the model."""
        self.name, self.model = load()

    def execute(self, requests):
        """Run one batch."""
        xs = [pb.get_input_tensor_by_name(r, "x").as_numpy() for r in requests]
        x = xs[0] if len(xs) == 1 else np.concatenate(xs)
        with torch.inference_mode():
            y = self.model(torch.from_numpy(x)).numpy()
        out, at = [], 0
        for a in xs:
            out.append(pb.InferenceResponse([pb.Tensor("y", y[at : at + len(a)])]))
            at += len(a)
        return out
