"""A call whose head was accepted, and the request that it becomes when its body is read."""

from __future__ import annotations

from proxy.core.policies import QueuePolicy
from proxy.core.principals import Principal
from proxy.core.requests import InferenceRequest
from proxy.core.snapshot import VersionSnapshot
from proxy.core.units import NS_PER_US
from proxy.protocol.parsed import ParsedRequest


class OpenCall:
    """Who asks which version, and how long the body may be.

    `received_ns`: when the body was complete (0: not yet). `sticky` is the client's key for staying on one version of a
    canary, `header_id` what the client calls this request in a header.
    """

    __slots__ = (
        "arrival_ns",
        "asked_version",
        "header_id",
        "max_body_bytes",
        "principal",
        "received_ns",
        "sticky",
        "version",
    )

    def __init__(
        self,
        principal: Principal,
        version: VersionSnapshot,
        asked_version: str | None,
        arrival_ns: int,
        max_body_bytes: int,
        sticky: bytes | None = None,
    ) -> None:
        self.principal = principal
        self.version = version
        self.asked_version = asked_version
        self.arrival_ns = arrival_ns
        self.max_body_bytes = max_body_bytes
        self.sticky = sticky
        self.header_id: str | None = None
        self.received_ns = 0

    def request(self, parsed: ParsedRequest, queue: QueuePolicy) -> InferenceRequest:
        """The request; its timeout becomes a deadline here, once."""
        timeout_ns = queue.default_timeout_ns if parsed.timeout_us is None else parsed.timeout_us * NS_PER_US
        return InferenceRequest(
            self.version,
            parsed.inputs,
            parsed.rows,
            self.arrival_ns,
            self.arrival_ns + min(timeout_ns, queue.max_timeout_ns),
            request_id=parsed.request_id,
            outputs=parsed.outputs,
            priority=parsed.priority,
            principal_id=self.principal.principal_id,
            weight=self.principal.weight,
            tenant=self.principal.tenant,
            binary_outputs=parsed.binary_outputs,
            top_classes=parsed.top_classes,
            header_id=self.header_id,
        )
