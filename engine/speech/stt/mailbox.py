"""What was heard and not yet taken, bounded without losing anything that matters."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TypeVar

from engine.speech.ports import Hearing, Lost, Partial, VoiceConfirmed

_Kind = TypeVar("_Kind", Partial, VoiceConfirmed)


class Mailbox:
    """Hearings in order; finals all stay.

    A newer partial replaces one that nobody took. Opinions that nobody took become one, the highest: a voice that was
    confirmed must not be forgotten because silence followed.
    """

    def __init__(self) -> None:
        self._hearings: deque[Hearing] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._hearings)

    def put(self, hearing: Hearing) -> None:
        """Add a hearing. Nothing is taken after a `Lost`."""
        if self._closed:
            return
        if isinstance(hearing, VoiceConfirmed):
            untaken = self._remove(VoiceConfirmed)
            hearing = max([*untaken, hearing], key=lambda opinion: opinion.probability)
        elif isinstance(hearing, Partial):
            self._remove(Partial)
        self._hearings.append(hearing)
        self._closed = isinstance(hearing, Lost)
        self._changed.set()

    def close(self) -> None:
        """End; what is still inside is not delivered."""
        self._hearings.clear()
        self._closed = True
        self._changed.set()

    async def take(self) -> Hearing | None:
        """The oldest hearing; None after `close` or once a `Lost` was taken."""
        while not self._hearings:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._hearings.popleft()

    def _remove(self, kind: type[_Kind]) -> list[_Kind]:
        removed = [waiting for waiting in self._hearings if isinstance(waiting, kind)]
        self._hearings = deque(waiting for waiting in self._hearings if not isinstance(waiting, kind))
        return removed
