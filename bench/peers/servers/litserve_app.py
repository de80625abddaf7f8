"""LitServe with its own batching."""

import os
import sys

sys.path.insert(0, os.environ["PEERS_HARNESS"])
import litserve as ls
import torch
from models import load

BATCH = int(os.environ.get("BATCH", "0"))
DELAY_S = float(os.environ.get("DELAY_MS", "2")) / 1e3


class API(ls.LitAPI):
    """One request an execution."""

    def setup(self, device):
        """Load the model."""
        self.name, self.model = load()

    def decode_request(self, request):
        """V2 body to tensor."""
        t = request["inputs"][0]
        x = torch.tensor(t["data"]).reshape(t["shape"])
        return x[0] if BATCH else x

    def predict(self, x):
        """Run the model."""
        with torch.inference_mode():
            return self.model(x)

    def encode_response(self, y):
        """Tensor to V2 body."""
        y = y.reshape(1, -1)
        tensor = {"name": "y", "shape": list(y.shape), "datatype": "FP32", "data": y[0].tolist()}
        return {"model_name": self.name, "outputs": [tensor]}


class BatchedAPI(API):
    """Several requests an execution."""

    def batch(self, inputs):
        """Requests to one tensor."""
        return torch.stack(inputs)

    def unbatch(self, output):
        """One tensor to answers."""
        return list(output)


if __name__ == "__main__":
    route = "/v2/models/m/infer"
    api = BatchedAPI(max_batch_size=BATCH, batch_timeout=DELAY_S, api_path=route) if BATCH else API(api_path=route)
    server = ls.LitServer(
        api, accelerator="cpu", workers_per_device=int(os.environ.get("WORKERS", "1")), fast_queue=True
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        log_level="error",
        generate_client_file=False,
        num_api_servers=int(os.environ.get("API_SERVERS", "1")),
        access_log=False,
    )
