"""The parent's end of the channel to one instance: packets out and in, descriptors out only."""

from __future__ import annotations

import array
import socket

from proxy.frames.codec import MAX_FRAME_BYTES, MalformedFrame, decode, encode
from proxy.frames.messages import Message


class ChannelClosed(Exception):
    """The instance's end is gone, or cannot take a packet (it has stopped reading)."""


class Channel:
    """A non-blocking SOCK_SEQPACKET socket: message boundaries are the kernel's, so no stream can get out of step."""

    __slots__ = ("_socket",)

    def __init__(self, parent_socket: socket.socket) -> None:
        self._socket = parent_socket
        self._socket.setblocking(False)

    @classmethod
    def pair(cls) -> tuple[Channel, socket.socket]:
        """Return the parent's end and the instance's socket."""
        parent, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(parent), child

    def fileno(self) -> int:
        """Descriptor to watch."""
        return self._socket.fileno()

    def send(self, message: Message) -> None:
        """Send one message. Raises ChannelClosed."""
        try:
            self._socket.send(encode(message))
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def send_descriptor(self, message: Message, descriptor: int) -> None:
        """Send one message with a descriptor beside it. Raises ChannelClosed."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        try:
            self._socket.sendmsg([encode(message)], ancillary)
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def receive(self) -> Message | None:
        """Return the next message, None if there is none yet. Raises ChannelClosed, MalformedFrame.

        Reads with recv(2), so descriptors that an instance might send are dropped by the kernel.
        """
        try:
            packet = self._socket.recv(MAX_FRAME_BYTES + 1)
        except BlockingIOError:
            return None
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        if not packet:
            raise ChannelClosed("the instance closed the channel")
        return decode(packet)

    def close(self) -> None:
        """Close the parent's end; the instance then ends by itself."""
        self._socket.close()


__all__ = ["Channel", "ChannelClosed", "MalformedFrame"]
