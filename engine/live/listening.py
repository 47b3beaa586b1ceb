"""Listening in on a call: copies of its sound for whoever asked, and no way back.

What is here can only take: a `MediaSession` hands each frame to its taps, and a tap has nothing to speak with. The
media path pays for an append and an event, however slow the listener is.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol, Self

from engine.api import AudioFrame, Side
from engine.clock import epoch_ms
from engine.media.session import Tap

MAX_WAITING: Final = 200
"""Frames that wait for one listener: two seconds of both sides. After that the oldest are dropped, and counted."""


class Tapped(Protocol):
    """What is used of a media session: that it can be heard, and nothing else of it."""

    def add_tap(self, tap: Tap) -> None: ...

    def remove_tap(self, tap: Tap) -> None: ...


class Listener:
    """One listener of one call (`engine.api.Listening`). Belongs to the engine's loop; for one reader."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._frames: deque[AudioFrame] = deque(maxlen=MAX_WAITING)
        self._news = asyncio.Event()
        self._over = False
        self.dropped = 0

    def hear(self, side: Side, payload: bytes) -> None:
        """One frame of the call; the hot path."""
        if len(self._frames) == MAX_WAITING:
            self.dropped += 1
        self._frames.append(AudioFrame(side, payload, epoch_ms()))
        self._news.set()

    async def read(self) -> Sequence[AudioFrame]:
        while not self._frames:
            if self._over:
                return ()
            self._news.clear()
            await self._news.wait()
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AudioFrame:
        while not self._frames:
            if self._over:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._frames.popleft()

    def close(self) -> None:
        self._listeners.remove(self)
        self.end()

    def end(self) -> None:
        """Nothing comes any more; what waits can still be read."""
        self._over = True
        self._news.set()


class Listeners:
    """Everybody who listens to one call, across all its media streams."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._session: Tapped | None = None
        self._over = False

    def add(self) -> Listener:
        """A new listener. One that comes too late hears nothing and is told so at once."""
        listener = Listener(self)
        if self._over:
            listener.end()
            return listener
        self._listeners.add(listener)
        if self._session is not None:
            self._session.add_tap(listener.hear)
        return listener

    def remove(self, listener: Listener) -> None:
        """Leave it alone. Again is harmless."""
        self._listeners.discard(listener)
        if self._session is not None:
            self._session.remove_tap(listener.hear)

    def attach(self, session: Tapped) -> None:
        """The call has a media stream, or a new one."""
        if self._session is not None:
            for listener in self._listeners:
                self._session.remove_tap(listener.hear)
        self._session = session
        for listener in self._listeners:
            session.add_tap(listener.hear)

    def close(self) -> None:
        """The call is over."""
        self._over = True
        for listener in list(self._listeners):
            listener.close()
        self._session = None
