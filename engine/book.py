"""The engine's calls, as the log tells them.

`CallBook` is a reader of the log like any other: it only ever changes through events that are stored already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from engine.calls import Call, Event, apply

KEEP_ENDED: Final = 1000
"""Ended calls kept in memory; older ones are read from the store."""


class CallBook:
    """Live calls, the most recent ended ones, and how to find them."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._by_carrier: dict[str, str] = {}
        self._ended: dict[str, None] = {}

    def take(self, events: Iterable[Event]) -> list[tuple[Call | None, Call]]:
        """Apply stored events in order; returns each change of a call as (before, after)."""
        changes: list[tuple[Call | None, Call]] = []
        for event in events:
            if event.call_id is None:
                continue
            before = self._calls.get(event.call_id)
            after = apply(before, event)
            if after is None or after is before:
                continue
            self._calls[event.call_id] = after
            if before is None or before.provider_call_id != after.provider_call_id:
                if before is not None:
                    self._unname(before)
                if after.provider_call_id:
                    self._by_carrier[after.provider_call_id] = event.call_id
            if not after.live and (before is None or before.live):
                self._ended[event.call_id] = None
            changes.append((before, after))
        self._forget()
        return changes

    def get(self, call_id: str) -> Call | None:
        """A call by our id or the carrier's."""
        return self._calls.get(call_id) or self.by_carrier(call_id)

    def by_carrier(self, provider_call_id: str) -> Call | None:
        return self._calls.get(self._by_carrier.get(provider_call_id, ""))

    def live(self) -> Sequence[Call]:
        """Calls that are not over, oldest first."""
        return [call for call in self._calls.values() if call.live]

    def all(self) -> Sequence[Call]:
        """Every call in memory, oldest first."""
        return list(self._calls.values())

    def forget_ended(self, before: int) -> None:
        """Let go of calls that ended before `before` (epoch ms)."""
        for call_id in list(self._ended):
            if (self._calls[call_id].ended_at or 0) < before:
                self._drop(call_id)

    def _forget(self) -> None:
        while len(self._ended) > KEEP_ENDED:
            self._drop(next(iter(self._ended)))

    def _drop(self, call_id: str) -> None:
        del self._ended[call_id]
        self._unname(self._calls.pop(call_id))

    def _unname(self, call: Call) -> None:
        """The carrier's id of a call leads to it no more; another's is left alone."""
        if call.provider_call_id and self._by_carrier.get(call.provider_call_id) == call.call_id:
            del self._by_carrier[call.provider_call_id]
