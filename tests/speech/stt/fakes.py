"""Recognisers that hear, stall, break and refuse on demand. The text of an utterance is the audio itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from engine.media.audio import AudioFormat
from engine.speech.ports import Final, Hearing, Listener, Lost, Recogniser, SpeechUnavailable


class FakeListener(Listener):
    """Its texts are what it was fed, unless it is `mute`."""

    def __init__(self, mute: bool) -> None:
        self.mute = mute
        self.closed = False
        self._audio = b""
        self._utterance = 0
        self._hearings: asyncio.Queue[Hearing | None] = asyncio.Queue()

    def feed(self, audio: bytes) -> None:
        self._audio += audio

    def finish(self) -> int:
        self._utterance += 1
        audio, self._audio = self._audio, b""
        if not self.mute:
            self._hearings.put_nowait(Final(audio.decode("latin-1"), self._utterance))
        return self._utterance

    def lose(self, why: str = "it broke", *, hopeless: bool = False, planned: bool = False) -> None:
        self._hearings.put_nowait(Lost(why, hopeless=hopeless, planned=planned))

    async def hearings(self) -> AsyncIterator[Hearing]:
        while (hearing := await self._hearings.get()) is not None:
            yield hearing

    async def close(self) -> None:
        self.closed = True
        self._hearings.put_nowait(None)


class FakeRecogniser(Recogniser):
    """`refusals`: what the next tries get instead of a listener."""

    def __init__(self, name: str, *refusals: SpeechUnavailable, takes: float = 0.0, mute: bool = False) -> None:
        self.name = name
        self.refusals = list(refusals)
        self.takes = takes
        self.mute = mute
        self.listeners: list[FakeListener] = []
        self.asked = 0

    async def start(self) -> None:
        if self.refusals:
            raise self.refusals.pop(0)

    async def listen(self, format: AudioFormat) -> FakeListener:  # noqa: A002
        self.asked += 1
        await asyncio.sleep(self.takes)
        if self.refusals:
            raise self.refusals.pop(0)
        self.listeners.append(FakeListener(self.mute))
        return self.listeners[-1]

    async def close(self) -> None:
        """Nothing to let go of."""


def no(why: str = "it is away", *, hopeless: bool = False) -> SpeechUnavailable:
    return SpeechUnavailable(why, "do something", hopeless=hopeless)
