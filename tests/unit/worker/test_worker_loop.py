"""The worker's loop in this process: what a backend raises is the model's error, and the loop goes on."""

from __future__ import annotations

import os
import socket
import threading

import numpy as np
import pytest
import torch

from proxy.core.tensors import Signature, TensorSpec
from proxy.frames.codec import decode, encode
from proxy.frames.messages import Entry, Error, ErrorCode, Execute, Need, Result, Stop, Threads
from proxy.worker.backends.base import BadOutput
from proxy.worker.loop import Link, ParentGone, Server

ROW = Signature((TensorSpec("x", "FP32", (-1, 4)),), (TensorSpec("y", "FP32", (-1, 4)),))
ENTRY = Entry(11, 0, 16, (1, 4))
AREA_BYTES = 65_536


class Scripted:
    """A backend that does what it is told, one step an execution."""

    def __init__(self, *steps):
        self.steps = list(steps)

    def run(self, inputs):
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return [np.ones(step, np.float32)]


class Counted:
    """A backend whose answers are how many threads torch would use."""

    def run(self, inputs):
        return [np.full((1, 4), torch.get_num_threads(), np.float32)]


def area():
    descriptor = os.memfd_create("test")
    os.ftruncate(descriptor, AREA_BYTES)
    return descriptor


def answers(backend, *messages, respond=None):
    """What the loop says to these messages and then Stop; `respond` answers a Need."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server = Server(Link(theirs, area(), area()), backend, ROW, batchable=True, max_response_bytes=1 << 30)
    thread = threading.Thread(target=server.serve)
    thread.start()
    heard = []
    with ours, theirs:
        for message in messages:
            ours.send(encode(message))
            answer = decode(ours.recv(AREA_BYTES))
            if isinstance(answer, Need):
                ours.send(encode(respond))
                answer = decode(ours.recv(AREA_BYTES))
            heard.append(answer)
        ours.send(encode(Stop()))
        thread.join(10)
    return heard


def test_the_number_of_threads_changes_between_executions():
    before = torch.get_num_threads()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    descriptor = area()
    link = Link(theirs, area(), os.dup(descriptor))
    server = Server(link, Counted(), ROW, batchable=True, max_response_bytes=1 << 30)
    thread = threading.Thread(target=server.serve)
    thread.start()
    found = []
    with ours, theirs:
        for sequence, count in enumerate((1, 3, 2), 1):
            ours.send(encode(Threads(count)))
            ours.send(encode(Execute(sequence, 1, (ENTRY,))))
            assert isinstance(decode(ours.recv(AREA_BYTES)), Result)
            found.append(np.frombuffer(os.pread(descriptor, 4, 0), np.float32)[0])
        ours.send(encode(Stop()))
        thread.join(10)
    os.close(descriptor)
    assert found == [1, 3, 2]
    assert torch.get_num_threads() == before  # the number belongs to the thread that executes


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FileNotFoundError(2, "No such file", "vocabulary.txt"), ErrorCode.MODEL_RAISED),
        (BrokenPipeError("a pipe of the model's own"), ErrorCode.MODEL_RAISED),
        (ValueError("negative"), ErrorCode.MODEL_RAISED),
        (MemoryError(), ErrorCode.OUT_OF_MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), ErrorCode.OUT_OF_MEMORY),
        (BadOutput("wrong"), ErrorCode.BAD_OUTPUT),
    ],
)
def test_what_a_model_raises_is_its_error_and_the_instance_serves_on(error, code):
    first, second = answers(Scripted(error, (1, 4)), Execute(1, 1, (ENTRY,)), Execute(2, 1, (ENTRY,)))
    assert isinstance(first, Error)
    assert (first.sequence, first.code) == (1, code)
    assert isinstance(second, Result)
    assert second.entries == (ENTRY,)


def test_outputs_that_the_parent_has_no_room_for_are_dropped_and_the_instance_serves_on():
    rows = AREA_BYTES // 16 + 1
    refused, served = answers(
        Scripted((rows, 4), (1, 4)),
        Execute(1, rows, (ENTRY,)),
        Execute(2, 1, (ENTRY,)),
        respond=Error(1, ErrorCode.OUT_OF_MEMORY, "no room"),
    )
    assert isinstance(refused, Error)
    assert (refused.code, refused.message) == (ErrorCode.OUT_OF_MEMORY, "no room")
    assert isinstance(served, Result)


def test_a_parent_that_is_gone_ends_the_loop():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link = Link(theirs, area(), area())
    ours.close()
    with theirs, pytest.raises(ParentGone):
        link.receive()
    with pytest.raises(ParentGone):
        link.send(Result(1, 0, ()))
