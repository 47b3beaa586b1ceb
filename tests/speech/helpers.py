"""What the tests of offline speech share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from engine.media.audio import PHONE
from engine.media.convert import PhoneConverter
from engine.speech.ports import Final, Hearing, Lost, Partial, VoiceConfirmed
from engine.speech.stt.local import LocalListener, LocalRecogniser
from engine.speech.tts.local import FORMAT, LocalVoice

FRAME = 160
SILENCE_100_MS = b"\xff" * 800


@dataclass
class Heard:
    """Everything that was heard of one call up to a final or a loss."""

    partials: list[str] = field(default_factory=list)
    opinions: list[float] = field(default_factory=list)
    final: Final | None = None
    lost: Lost | None = None

    @property
    def text(self) -> str:
        assert self.final is not None, self.lost
        return self.final.text

    def add(self, hearing: Hearing) -> bool:
        """Keep a hearing; True when it is the last one waited for."""
        if isinstance(hearing, Partial):
            self.partials.append(hearing.text)
        elif isinstance(hearing, VoiceConfirmed):
            self.opinions.append(hearing.probability)
        elif isinstance(hearing, Final):
            self.final = hearing
        elif isinstance(hearing, Lost):
            self.lost = hearing
        return isinstance(hearing, Final | Lost)


async def phone_line(voice: LocalVoice, text: str, name: str = "") -> bytes:
    """`text` spoken over the telephone: mu-law at 8 kHz."""
    converter = PhoneConverter(FORMAT)
    spoken = [converter.feed(audio.data) async for audio in voice.speak(text, name)]
    return b"".join(spoken) + converter.flush()


async def until_final(listener: LocalListener, seconds: float = 20) -> Heard:
    """Everything up to the next final or loss."""
    heard = Heard()
    async with asyncio.timeout(seconds):
        async for hearing in listener.hearings():
            if heard.add(hearing):
                break
    return heard


async def recognise(recogniser: LocalRecogniser, line: bytes) -> Heard:
    """Feed a whole line at once, finish, and wait for the final."""
    listener = await recogniser.listen(PHONE)
    try:
        feed(listener, SILENCE_100_MS + line + SILENCE_100_MS)
        listener.finish()
        return await until_final(listener)
    finally:
        await listener.close()


def feed(listener: LocalListener, audio: bytes) -> None:
    for at in range(0, len(audio), FRAME):
        listener.feed(audio[at : at + FRAME])
