"""mosec: its Rust front end batches, its Python workers run the model."""

import os
import sys

sys.path.insert(0, os.environ["PEERS_HARNESS"])
import torch
from models import load
from mosec import Server, Worker

BATCH = int(os.environ.get("BATCH", "0"))


class M(Worker):
    """One worker process."""

    def __init__(self):
        super().__init__()
        self.name, self.model = load()

    def answer(self, y):
        """A V2 response of one row."""
        tensor = {"name": "y", "shape": [1, len(y)], "datatype": "FP32", "data": y}
        return {"model_name": self.name, "outputs": [tensor]}

    def forward(self, data):
        """Run one batch (or one request where batching is off)."""
        many = data if BATCH else [data]
        with torch.inference_mode():
            ys = self.model(torch.tensor([d["inputs"][0]["data"] for d in many])).tolist()
        out = [self.answer(y) for y in ys]
        return out if BATCH else out[0]


if __name__ == "__main__":
    server = Server()
    server.append_worker(
        M,
        num=int(os.environ.get("WORKERS", "1")),
        max_batch_size=BATCH or 1,
        max_wait_time=int(float(os.environ.get("DELAY_MS", "2"))) if BATCH else 0,
        route="/v2/models/m/infer",
    )
    server.run()
