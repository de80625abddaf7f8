"""TorchServe's handler around the model."""

import os
import sys

sys.path.insert(0, os.environ["PEERS_HARNESS"])
import json

import torch
from models import load


class Handler:
    """Loaded once a worker."""

    def __init__(self):
        self.initialized = False

    def initialize(self, context):
        """Load the model."""
        self.name, self.model = load()
        self.initialized = True

    def handle(self, data, context):
        """Answer one batch."""
        rows = []
        for part in data:
            body = part.get("body") or part.get("data")
            request = body if isinstance(body, dict) else json.loads(bytes(body))
            rows += [request["inputs"][0]["data"]]
        with torch.inference_mode():
            ys = self.model(torch.tensor(rows))
        return [
            {
                "model_name": self.name,
                "outputs": [{"name": "y", "shape": [1, len(y)], "datatype": "FP32", "data": y}],
            }
            for y in ys.tolist()
        ]


_handler = Handler()


def handle(data, context):
    """TorchServe's entry."""
    if not _handler.initialized:
        _handler.initialize(context)
    return None if data is None else _handler.handle(data, context)
