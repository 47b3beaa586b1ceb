"""Whatever a voice gives, as the telephone takes it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from engine.media.audio import FRAME_BYTES, Audio, UnsupportedAudio
from engine.media.convert import PhoneConverter
from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.plausible import NoiseCheck


async def telephone(spoken: AsyncGenerator[Audio, None]) -> AsyncGenerator[bytes, None]:
    """Telephone audio of what a voice gives; the first frame of it is looked at before anybody hears it."""
    converter: PhoneConverter | None = None
    check = NoiseCheck()
    held = b""
    begun = False
    async with aclosing(spoken) as parts:
        async for part in parts:
            converter = converter or _converter(part)
            payload = converter.feed(part.data)
            if check.is_noise(payload):
                raise SpeechUnavailable(
                    "the voice gave noise instead of speech", "its audio is not in the format that it was asked for"
                )
            held += payload
            begun = begun or len(held) >= FRAME_BYTES
            if begun and held:
                yield held
                held = b""
    if converter is not None and (rest := held + converter.flush()):
        yield rest


def _converter(part: Audio) -> PhoneConverter:
    try:
        return PhoneConverter(part.format)
    except UnsupportedAudio as error:
        raise SpeechUnavailable(str(error)) from error
