"""PyTriton: NVIDIA's Triton with a Python function bound to it."""

import os
import sys

sys.path.insert(0, os.environ["PEERS_HARNESS"])
import numpy as np
import torch
from models import dims, load
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

BATCH = int(os.environ.get("BATCH", "0"))
DELAY_US = int(float(os.environ.get("DELAY_MS", "2")) * 1e3)
PORT = int(os.environ["PORT"])


@batch
def infer(x):
    """Run one batch."""
    with torch.inference_mode():
        return [MODEL(torch.from_numpy(x)).numpy()]


if __name__ == "__main__":
    NAME, MODEL = load()
    width_in, width_out = dims(NAME)
    config = TritonConfig(
        http_address="127.0.0.1", http_port=PORT, grpc_address="127.0.0.1", grpc_port=PORT + 1, allow_metrics=False
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="m",
            infer_func=[infer] * int(os.environ.get("WORKERS", "1")),
            strict=False,
            inputs=[Tensor(name="x", dtype=np.float32, shape=(width_in,))],
            outputs=[Tensor(name="y", dtype=np.float32, shape=(width_out,))],
            config=ModelConfig(
                max_batch_size=BATCH or 1,
                batcher=DynamicBatcher(max_queue_delay_microseconds=DELAY_US if BATCH else 0),
            ),
        )
        triton.serve()
