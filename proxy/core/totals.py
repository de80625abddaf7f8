"""What one version has done since this process began: running sums, never reset while the version is known.

Rules: two readings give the mean of what lies between them; counting costs a handful of additions. Written by the
metrics room and answering, read by the protocol's statistics extension.
"""

from __future__ import annotations

# Batch sizes kept apart; executions of further sizes count in the sums only. Larger: a longer list in the answer.
MAX_BATCH_SIZES = 256


class VersionTotals:
    """Counts and nanoseconds. `executed` counts requests in executions that gave outputs, each with its whole time.

    An execution's time is `input_ns`, `output_ns` and, in `infer_ns`, all that lies between them: the model and the
    message to its process and back. `by_rows` maps a batch's rows to its executions and these three times.
    """

    __slots__ = (
        "by_rows",
        "executed",
        "executions",
        "fail",
        "fail_ns",
        "hits",
        "hits_ns",
        "infer_ns",
        "inferences",
        "input_ns",
        "last_inference_unix_s",
        "misses",
        "misses_ns",
        "output_ns",
        "queue_ns",
        "success",
        "success_ns",
    )

    def __init__(self) -> None:
        self.success = self.success_ns = self.queue_ns = 0
        self.fail = self.fail_ns = 0
        self.hits = self.hits_ns = self.misses = self.misses_ns = 0
        self.executed = self.input_ns = self.infer_ns = self.output_ns = 0
        self.inferences = self.executions = 0
        self.last_inference_unix_s = 0
        self.by_rows: dict[int, list[int]] = {}

    def failed(self, latency_ns: int) -> None:
        """One refusal or fault of a request that had been read."""
        self.fail += 1
        self.fail_ns += latency_ns

    def looked_up(self, look_up_ns: int, *, is_hit: bool) -> None:
        """One look into the cache."""
        if is_hit:
            self.hits += 1
            self.hits_ns += look_up_ns
        else:
            self.misses += 1
            self.misses_ns += look_up_ns

    def executed_batch(self, rows: int, requests: int, service_ns: int, input_ns: int = 0, output_ns: int = 0) -> None:
        """One execution that gave outputs; `input_ns` and `output_ns` are parts of `service_ns`."""
        infer_ns = service_ns - input_ns - output_ns
        self.executions += 1
        self.inferences += rows
        self.executed += requests
        self.input_ns += requests * input_ns
        self.infer_ns += requests * infer_ns
        self.output_ns += requests * output_ns
        sums = self.by_rows.get(rows)
        if sums is None:
            if len(self.by_rows) >= MAX_BATCH_SIZES:
                return
            sums = self.by_rows[rows] = [0, 0, 0, 0]
        sums[0] += 1
        sums[1] += input_ns
        sums[2] += infer_ns
        sums[3] += output_ns
