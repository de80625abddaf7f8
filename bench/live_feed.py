"""A live socket of the benchmark's own: what the server's code makes of reports, over a real websocket to one page.

Playwright's stand-in for a socket hands a page its messages as the source of a script, which costs the main thread
three times what the page does with them; this one is read as the server's is.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from bench.harness import HOST
from models_admin.live import publisher, views
from models_admin.live.messages import State
from models_admin.live.views import View
from proxy.core.reports import SecondReport

_SCRIPT = """
const Real = WebSocket;
window.WebSocket = class extends Real {
  constructor(address) { super(address.replace(location.host, "%s")); }
};
"""


class Feed:
    """The pages' sockets; each is told of a report what the server would tell it."""

    def __init__(self) -> None:
        self.sockets: dict[ServerConnection, tuple[View, State | None]] = {}
        self.sent_bytes = 0
        self.script = ""
        self._publisher = publisher.Publisher()

    def say(self, report: SecondReport) -> None:
        """A second is over."""
        self._publisher.on_second(report)
        for socket, (view, sent) in list(self.sockets.items()):
            message = self._publisher.message_after(sent, view)
            if message is not None:
                socket.send(message.text.decode())
                self.sent_bytes += len(message.text)
            self.sockets[socket] = (view, self._publisher.newest)

    def hold(self, socket: ServerConnection) -> None:
        """One socket, until its page leaves."""
        assert socket.request is not None
        view = views.asked(socket.request.path.partition("?")[2].encode())
        assert view is not None
        self.sockets[socket] = (view, None)
        with contextlib.suppress(ConnectionClosed):
            for _ in socket:
                pass
        del self.sockets[socket]


@contextlib.contextmanager
def feeding() -> Iterator[Feed]:
    """A feed whose `script`, put into a page, turns its live socket here."""
    feed = Feed()
    with serve(feed.hold, HOST, 0, compression=None) as server:
        feed.script = _SCRIPT % f"{HOST}:{server.socket.getsockname()[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield feed
        finally:
            server.shutdown()
            thread.join()
