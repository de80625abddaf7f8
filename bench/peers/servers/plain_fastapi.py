"""Baseline: FastAPI, a pydantic V2 body, the model called in the framework's thread pool."""

import os
import sys

sys.path.insert(0, os.environ["PEERS_HARNESS"])
import torch
from fastapi import FastAPI
from models import load
from pydantic import BaseModel

_, MODEL = load()
OUTPUT = os.environ.get("OUTPUT", "y")
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


@app.post("/v2/models/{name}/infer")
def infer(name: str, body: Request) -> Response:
    """Run the one model, whatever it is called, on one request."""
    tensor = body.inputs[0]
    with torch.inference_mode():
        y = MODEL(torch.tensor(tensor.data).reshape(tensor.shape))
    output = Tensor(name=OUTPUT, shape=list(y.shape), datatype="FP32", data=y.flatten().tolist())
    return Response(model_name=name, outputs=[output])
