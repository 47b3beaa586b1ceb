"""Server-sent events: the data of each event out of a byte stream, wherever the stream is split.

The format is the WHATWG's (HTML living standard, 9.2): lines end in CR, LF or both, `data:` lines of one event
are joined by line feeds, an empty line ends the event, lines that begin with a colon are comments.
"""

from __future__ import annotations

from typing import Final

MAX_EVENT_BYTES: Final = 1 << 20


class EventTooLarge(ValueError):
    """One event is larger than anything a reply needs."""


class SseParser:
    """Feed bytes, get the data of completed events. Raises EventTooLarge."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[str]:
        """The data of the events that `chunk` completes."""
        buffer = self._rest + chunk
        # A CR at the very end may be half of a CRLF: leave it for the next chunk.
        held = b"\r" if buffer.endswith(b"\r") else b""
        lines = buffer[: len(buffer) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = lines.pop() + held
        events = [data for line in lines if (data := self._line(line)) is not None]
        if len(self._rest) + self._size > MAX_EVENT_BYTES:
            raise EventTooLarge(f"a server-sent event is larger than {MAX_EVENT_BYTES >> 20} MiB")
        return events

    def flush(self) -> list[str]:
        """The end of the stream: an event without its empty line counts, servers forget it."""
        rest, self._rest = self._rest.rstrip(b"\r"), b""
        found = [self._line(rest)] if rest else []
        return [data for data in (*found, self._line(b"")) if data is not None]

    def _line(self, line: bytes) -> str | None:
        if not line:
            data, self._data, self._size = self._data, [], 0
            return "\n".join(data) if data else None
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" ").decode("utf-8", "replace"))
            self._size += len(value)
        return None
