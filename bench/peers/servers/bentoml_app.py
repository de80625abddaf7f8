"""BentoML with its adaptive batching."""

import os
import sys

sys.path.insert(0, os.environ["PEERS_HARNESS"])
import bentoml
import numpy as np
import torch
from models import load

BATCH = int(os.environ.get("BATCH", "0"))


@bentoml.service(
    workers=int(os.environ.get("WORKERS", "1")),
    traffic={"timeout": 30},
    http={"port": int(os.environ["PORT"]), "host": "127.0.0.1"},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class M:
    """The service."""

    def __init__(self):
        self.name, self.model = load()

    @bentoml.api(batchable=bool(BATCH), max_batch_size=BATCH or 100, max_latency_ms=10000)
    def predict(self, x: np.ndarray) -> np.ndarray:
        """Run one batch."""
        with torch.inference_mode():
            return self.model(torch.from_numpy(np.asarray(x, dtype=np.float32))).numpy()
