"""The plain way: FastAPI and uvicorn around the same TorchScript file, pydantic for the same V2 body.

Started by bench/smoke with MODEL_FILE and PORT in the environment. The model runs in the framework's thread pool, as
FastAPI does with a function that is not async; one torch thread, as our instances have.
"""

from __future__ import annotations

import os

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

torch.set_num_threads(1)
model = torch.jit.load(os.environ["MODEL_FILE"]).eval()
app = FastAPI()


class Tensor(BaseModel):
    """A V2 tensor."""

    name: str
    shape: list[int]
    datatype: str
    data: list[float]


class Request(BaseModel):
    """A V2 request."""

    inputs: list[Tensor]


class Response(BaseModel):
    """A V2 response."""

    model_name: str
    outputs: list[Tensor]


@app.post("/v2/models/digits/infer")
def infer(body: Request) -> Response:
    """Run the model on one request."""
    tensor = body.inputs[0]
    with torch.inference_mode():
        result = model(torch.tensor(tensor.data).reshape(tensor.shape))
    output = Tensor(name="scores", shape=list(result.shape), datatype="FP32", data=result.flatten().tolist())
    return Response(model_name="digits", outputs=[output])


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
