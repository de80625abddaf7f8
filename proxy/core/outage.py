"""Whether a loop's failure is news: said when it begins or becomes another, and once more when it is over.

Rules: pure; whoever asks writes the line. A service that is away (a database, a channel layer) is named in one line,
since a trace of our own code says nothing of it; any other failure is a fault of ours and deserves its trace.
"""

from __future__ import annotations

AWAY = frozenset({"OSError", "OperationalError", "InterfaceError", "ConnectionError", "TimeoutError"})
"""Names of exceptions, their bases included, by which databases, brokers and the system say that something is away."""
MAX_CHARACTERS = 300


class Outage:
    """One loop's trouble. Calls from several threads are safe: at worst a line is written twice."""

    def __init__(self) -> None:
        self._known: type[BaseException] | None = None

    def failed(self, error: BaseException) -> bool:
        """Note a failure; True if it is to be said: the first, or of another kind than the one before."""
        is_news = self._known is not type(error)
        self._known = type(error)
        return is_news

    def worked(self) -> bool:
        """Note a success; True if that is to be said: the first after a failure."""
        was_failing, self._known = self._known is not None, None
        return was_failing


def in_words(error: BaseException) -> str:
    """One line for the log: the kind of the error and what it says."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:MAX_CHARACTERS]


def trace_of(error: BaseException) -> BaseException | None:
    """What a log line is to carry as its trace: none for a service that is away."""
    return None if AWAY & {base.__name__ for base in type(error).__mro__} else error
