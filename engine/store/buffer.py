"""What waits for one reader: a bounded buffer that keeps order and only the newest of what is ephemeral."""

from __future__ import annotations

from engine.calls import Event

_Key = int | tuple[str | None, str]


class EventBuffer:
    """Events in order, at most `limit` stored ones.

    Of levels and partials, which are worth nothing once a newer one is there, it keeps one per call and type, at
    the place of the newest.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: dict[_Key, Event] = {}
        self._stored = 0

    def __len__(self) -> int:
        return len(self._events)

    def push(self, event: Event) -> bool:
        """False when there is no room for a stored event. An ephemeral one without room is dropped silently."""
        if event.seq == 0:
            key = (event.call_id, event.type)
            known = self._events.pop(key, None) is not None
            if known or len(self._events) - self._stored < self._limit:
                self._events[key] = event
            return True
        if self._stored >= self._limit:
            return False
        self._events[event.seq] = event
        self._stored += 1
        return True

    def take(self) -> list[Event]:
        """Everything that waits; the buffer is empty afterwards."""
        events = list(self._events.values())
        self.clear()
        return events

    def clear(self) -> None:
        self._events = {}
        self._stored = 0

    def first_seq(self) -> int | None:
        """The seq of the oldest stored event that waits."""
        return next((event.seq for event in self._events.values() if event.seq), None)

    def drop_until(self, seq: int) -> None:
        """Forget stored events up to and including `seq`."""
        self._events = {key: event for key, event in self._events.items() if event.seq == 0 or event.seq > seq}
        self._stored = sum(1 for event in self._events.values() if event.seq)
