"""`python -m proxy.worker.validate --report-fd N`: judge one uploaded artifact, whatever it does.

The job comes as one JSON object on standard input; JSON lines go to descriptor N: the steps as they happen and, if all
passed, the result. This process never opens the artifact: it starts a sandboxed one that does, ends that at the time
limit, and says in words why it died if it did. Exit status 0 whenever it could report.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from proxy.core.words import Words, of_error, say
from proxy.frames.config import InstanceConfig, InvalidConfig, signature_from_dict, signature_to_dict
from proxy.frames.launch import command, describe_exit, environment, scratch_directory
from proxy.worker import linux

STEPS = ("sandbox", "load", "signature", "sample", "batch", "golden", "measure")
STATUSES = ("running", "passed", "failed", "skipped")
DEFAULT_TIME_LIMIT_S = 120.0
MAX_LINE_BYTES = 1_048_576
MAX_MESSAGE_CHARACTERS = 4_000
MAX_SAID_CHARACTERS = 32_000
"""Of what a message is made of, as JSON; of more, the message alone is passed on."""
MAX_LOGGED_BYTES = 8_192
_NUMBERS = ("load_time_ms", "sample_latency_ms", "memory_bytes")
_OPTIONAL = {"declared_signature", "options", "batchable", "stateful", "threads", "memory_limit_bytes", "time_limit_s"}
_OPTIONAL |= {"golden_path", "golden_digest"}

Send = Callable[[Mapping[str, Any]], None]


def main() -> int:
    """Read the job, judge, report. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="proxy.worker.validate")
    parser.add_argument("--report-fd", type=int, required=True)
    arguments = parser.parse_args()
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)

    def send(line: Mapping[str, Any]) -> None:
        data = json.dumps(line).encode() + b"\n"
        while data:
            data = data[os.write(arguments.report_fd, data) :]

    try:
        config, time_limit_s = read_job(sys.stdin.buffer.read())
    except InvalidConfig as error:
        send(_failure("sandbox", of_error(error)))
        return 0
    judge(config, time_limit_s, send)
    return 0


def read_job(text: bytes) -> tuple[InstanceConfig, float]:
    """Return the configuration and the time limit of a job. Raises InvalidConfig."""
    try:
        job = json.loads(text)
        _refuse_unknown(job)
        declared = job.get("declared_signature")
        config = InstanceConfig(
            artifact_path=job["artifact_path"],
            format=job["format"],
            signature=None if declared is None else signature_from_dict(declared),
            digest=job.get("digest", ""),
            options={str(name): str(value) for name, value in (job.get("options") or {}).items()},
            batchable=bool(job.get("batchable", True)),
            stateful=bool(job.get("stateful", False)),
            threads=int(job.get("threads") or 1),
            memory_limit_bytes=int(job.get("memory_limit_bytes") or 0),
            golden_path=str(job.get("golden_path") or ""),
            golden_digest=str(job.get("golden_digest") or ""),
        )
        return config, float(job.get("time_limit_s") or DEFAULT_TIME_LIMIT_S)
    except InvalidConfig:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidConfig(say("The validation job is broken: %(error)s", error=repr(error))) from error


def _refuse_unknown(job: Mapping[str, Any]) -> None:
    unknown = set(job) - _OPTIONAL - {"artifact_path", "format", "digest"}
    if unknown:
        raise InvalidConfig(say("The job has unknown fields: %(names)s.", names=", ".join(sorted(unknown))))


def judge(config: InstanceConfig, time_limit_s: float, send: Send) -> None:
    """Run the sandboxed process and pass on what it reports; add the failure that it could not report itself."""
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    scratch = scratch_directory()
    output_fd = os.memfd_create("validation-output")  # bounded by the child's limit on files
    child = subprocess.Popen(
        command("proxy.worker.validation", report_fd=write_fd, parent_pid=os.getpid(), scratch=scratch),
        stdin=subprocess.PIPE,
        stdout=output_fd,
        stderr=output_fd,
        env=environment(os.environ, config.threads, scratch),
        cwd="/",
        pass_fds=(write_fd,),
    )
    os.close(write_fd)
    relay = Relay(send)
    try:
        if child.stdin:
            child.stdin.write(config.to_json())
            child.stdin.close()
        in_time = relay.run(read_fd, time.monotonic() + time_limit_s)
    except BrokenPipeError:
        in_time = True  # it died before it read its job; its status says how
    finally:
        os.close(read_fd)
        if not relay.has_ended:
            child.kill()
        status = child.wait()
        _log_last_words(output_fd)
    if relay.has_ended:
        return
    if not in_time:
        words = say("It took longer than the limit of %(limit)s s; the process was ended.", limit=f"{time_limit_s:g}")
        send(_failure(relay.step, words))
    else:
        words = say("The model brought its process down: %(end)s.", end=describe_exit(status))
        send(_failure(relay.step, words))


def _log_last_words(output_fd: int) -> None:
    """Copy the end of what the sandboxed process printed to our log; it may hold paths, so no uploader sees it."""
    size_bytes = os.fstat(output_fd).st_size
    words = os.pread(output_fd, MAX_LOGGED_BYTES, max(0, size_bytes - MAX_LOGGED_BYTES))
    os.close(output_fd)
    sys.stderr.write(words.decode("utf-8", "replace"))


class Relay:
    """Passes on lines from a process that runs strangers' code: nothing but well-formed steps and one result."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._buffer = bytearray()
        self.step = "sandbox"
        self.has_ended = False

    def run(self, read_fd: int, until_s: float) -> bool:
        """Relay until the end of the stream or of the validation. False if `until_s` came first."""
        while not self.has_ended:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not select.select([read_fd], [], [], left_s)[0]:
                return False
            data = os.read(read_fd, 65_536)
            if not data:
                return True
            self._buffer += data
            while not self.has_ended and (end := self._buffer.find(b"\n")) >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                self._pass_on(line)
            if len(self._buffer) > MAX_LINE_BYTES:
                return True
        return True

    def _pass_on(self, line: bytes) -> None:
        try:
            value = json.loads(line)
            checked = _checked_result(value) if "result" in value else _checked_step(value)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            checked = _failure(self.step, say("The model's process reported something unreadable."))
        self._send(checked)
        self.step = str(checked.get("step", self.step))
        self.has_ended = "result" in checked or checked.get("status") == "failed"


def _checked_step(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if value["step"] not in STEPS or value["status"] not in STATUSES:
        raise ValueError("unknown step or status")
    numbers = {str(k)[:64]: v for k, v in value["measurements"].items() if isinstance(v, (int, float))}
    message = str(value["message"])[:MAX_MESSAGE_CHARACTERS]
    checked = {"step": value["step"], "status": value["status"], "message": message, "measurements": numbers}
    said = value.get("said")
    if said is None or len(json.dumps(said)) > MAX_SAID_CHARACTERS:
        return checked
    return checked | {"said": said}  # whoever shows it looks into it


def _checked_result(value: Mapping[str, Any]) -> Mapping[str, Any]:
    result = value["result"]
    numbers = {name: float(result[name]) for name in _NUMBERS}
    numbers["memory_bytes"] = int(numbers["memory_bytes"])
    signature = signature_to_dict(signature_from_dict(result["signature"]))
    return {"result": {"signature": signature, "batchable": bool(result["batchable"]), **numbers}}


def _failure(step: str, message: str) -> Mapping[str, Any]:
    failure = {"step": step, "status": "failed", "message": message, "measurements": {}}
    return failure | {"said": message.parts} if isinstance(message, Words) else failure


if __name__ == "__main__":
    sys.exit(main())
