"""What tests of recognition at a vendor share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from engine.media.audio import PHONE
from engine.media.g711 import pcm16_to_mulaw
from engine.speech.ports import Final, Hearing, Listener, Lost, Recogniser

SILENCE = b"\xff" * 160
TONE = pcm16_to_mulaw(
    b"".join((8000 if i // 10 % 2 else -8000).to_bytes(2, "little", signed=True) for i in range(160))
)
"""20 ms of something loud."""


def tone(ms: int) -> bytes:
    return TONE * (ms // 20)


def silence(ms: int) -> bytes:
    return SILENCE * (ms // 20)


class Collector:
    """Reads what a listener hears, and lets tests wait for it."""

    def __init__(self, listener: Listener) -> None:
        self.all: list[Hearing] = []
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._read(listener))

    @property
    def finals(self) -> list[Final]:
        return [hearing for hearing in self.all if isinstance(hearing, Final)]

    async def until(self, test: Callable[[Hearing], bool], count: int = 1, seconds: float = 10) -> None:
        """Return once so many hearings are as `test` wants them; fails when the listener is lost before."""
        async with asyncio.timeout(seconds):
            while sum(map(test, self.all)) < count:
                assert not any(isinstance(hearing, Lost) for hearing in self.all), self.all
                self._news.clear()
                await self._news.wait()

    async def until_finals(self, count: int, seconds: float = 10) -> Sequence[Final]:
        """The finals, once there are so many."""
        await self.until(lambda hearing: isinstance(hearing, Final), count, seconds)
        return self.finals

    async def until_lost(self, seconds: float = 15) -> Lost:
        """Why the listener is gone."""
        async with asyncio.timeout(seconds):
            await self._task
        lost = self.all[-1]
        assert isinstance(lost, Lost), self.all
        return lost

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self, listener: Listener) -> None:
        async for hearing in listener.hearings():
            self.all.append(hearing)
            self._news.set()


@asynccontextmanager
async def listening(recogniser: Recogniser) -> AsyncIterator[tuple[Listener, Collector]]:
    """A listener of a recogniser, and what it hears; both are closed at the end, the recogniser too."""
    try:
        listener = await recogniser.listen(PHONE)
        heard = Collector(listener)
        try:
            yield listener, heard
        finally:
            await heard.close()
            await listener.close()
    finally:
        await recogniser.close()


async def say(listener: Listener, *pieces: bytes) -> None:
    """Feed audio frame by frame, letting others run in between."""
    for piece in pieces:
        for start in range(0, len(piece), 160):
            listener.feed(piece[start : start + 160])
        await asyncio.sleep(0)
