"""model.py of the kit's models for Triton's Python backend; see serve_triton."""

import json
import os
import sys

sys.path.insert(0, os.environ["PEERS_SITE"])  # the backend's stub ignores PYTHONPATH
import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    """`pair` as ours computes it, any other model gives back what it gets."""

    def initialize(self, args):
        """Read names and the version."""
        config = json.loads(args["model_config"])
        self.names = [
            (one["name"], other["name"]) for one, other in zip(config["input"], config["output"], strict=True)
        ]
        self.is_pair = args["model_name"] == "pair"
        self.factor = np.float32(args["model_version"])

    def execute(self, requests):
        """One response a request."""
        return [pb.InferenceResponse(self.outputs(request)) for request in requests]

    def outputs(self, request):
        """The request's own answer."""
        given = [pb.get_input_tensor_by_name(request, name) for name, _ in self.names]
        if self.is_pair:
            left, right = (tensor.as_numpy() for tensor in given)
            return [pb.Tensor("scaled", left * self.factor), pb.Tensor("total", right.sum(axis=1, keepdims=True))]
        return [self.copy(tensor, name) for tensor, (_, name) in zip(given, self.names, strict=True)]

    def copy(self, tensor, name):
        """BF16, which numpy has not, goes by DLPack."""
        if name == "bf16_out":
            return pb.Tensor.from_dlpack(name, tensor.to_dlpack())
        return pb.Tensor(name, tensor.as_numpy())
