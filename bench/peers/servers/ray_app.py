"""Ray Serve with its batching decorator."""

import os
import sys
import time

sys.path.insert(0, os.environ["PEERS_HARNESS"])
import ray
import torch
from models import load
from ray import serve
from ray.serve.config import HTTPOptions
from starlette.requests import Request

BATCH = int(os.environ.get("BATCH", "0"))
DELAY_S = float(os.environ.get("DELAY_MS", "2")) / 1e3


@serve.deployment(
    num_replicas=int(os.environ.get("WORKERS", "1")), max_ongoing_requests=256, ray_actor_options={"num_cpus": 0.5}
)
class M:
    """The deployment."""

    def __init__(self):
        self.name, self.model = load()

    @serve.batch(max_batch_size=BATCH or 1, batch_wait_timeout_s=DELAY_S)
    async def many(self, rows):
        """Run one batch."""
        with torch.inference_mode():
            return list(self.model(torch.stack(rows)))

    async def __call__(self, request: Request):
        """Answer one request."""
        t = (await request.json())["inputs"][0]
        x = torch.tensor(t["data"]).reshape(t["shape"])
        if BATCH:
            y = (await self.many(x[0])).reshape(1, -1)
        else:
            with torch.inference_mode():
                y = self.model(x)
        tensor = {"name": "y", "shape": list(y.shape), "datatype": "FP32", "data": y[0].tolist()}
        return {"model_name": self.name, "outputs": [tensor]}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=200 * 1024 * 1024)
    serve.start(
        http_options=HTTPOptions(host="127.0.0.1", port=int(os.environ["PORT"])),
        logging_config={"enable_access_log": False},
    )
    serve.run(
        M.options(logging_config={"enable_access_log": False}).bind(), route_prefix="/v2/models/m/infer", name="m"
    )
    while True:
        time.sleep(3600)
