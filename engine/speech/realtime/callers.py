"""The caller's turns in one realtime session: what their words are, in the order in which they were said. Pure.

A text may be ready before the text of an earlier turn is, and the protocol promises no order between them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from engine.speech.realtime.notices import CallerPartial, CallerText, CallerTurn

MAX_TEXT: Final = 8000
REMEMBERED: Final = 64


class CallerItems:
    """Which turns wait for their words."""

    def __init__(self) -> None:
        self._order: deque[str] = deque()
        self._seen: deque[str] = deque(maxlen=REMEMBERED)
        self._texts: dict[str, CallerText] = {}
        self._partial: dict[str, str] = {}

    def committed(self, item: str) -> Iterator[CallerTurn | CallerText]:
        """A turn is complete."""
        if not item or item in self._seen:
            return
        self._seen.append(item)
        self._order.append(item)
        yield CallerTurn(item)
        yield from self._release()

    def delta(self, item: str, more: str) -> Iterator[CallerPartial]:
        """More words of an item."""
        if not item or not more or item in self._texts or (item in self._seen and item not in self._order):
            return
        text = self._partial[item] = (self._partial.get(item, "") + more)[:MAX_TEXT]
        self._forget_old()
        yield CallerPartial(item, text)

    def completed(self, item: str, text: str) -> Iterator[CallerText]:
        """The words of an item."""
        yield from self._done(CallerText(item, text.strip()[:MAX_TEXT]))

    def failed(self, item: str, why: str) -> Iterator[CallerText]:
        """There will be no words of an item, or no more than were told."""
        yield from self._done(CallerText(item, self._partial.get(item, "").strip(), why))

    def _done(self, text: CallerText) -> Iterator[CallerText]:
        item = text.item
        if not item or item in self._texts or (item in self._seen and item not in self._order):
            return
        self._texts[item] = text
        self._forget_old()
        yield from self._release()

    def _release(self) -> Iterator[CallerText]:
        while self._order and self._order[0] in self._texts:
            item = self._order.popleft()
            self._partial.pop(item, None)
            yield self._texts.pop(item)

    def _forget_old(self) -> None:
        """Items that never become turns must not pile up."""
        for kept in (self._texts, self._partial):
            while len(kept) > REMEMBERED:
                del kept[next(iter(kept))]
