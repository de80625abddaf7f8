"""MLServer's custom runtime around the model."""

import asyncio
import os
import sys

sys.path.insert(0, os.environ["PEERS_HARNESS"])
import torch
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from models import load


class Runtime(MLModel):
    """The model as MLServer wants it."""

    async def load(self) -> bool:
        """Load the model."""
        _, self.net = load()
        return True

    def run(self, x):
        """Run the model."""
        with torch.inference_mode():
            return self.net(torch.from_numpy(x)).numpy()

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one (adaptively batched) request."""
        x = NumpyCodec.decode_input(payload.inputs[0])
        y = await asyncio.to_thread(self.run, x) if os.environ.get("INPROC") == "1" else self.run(x)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", y)])
