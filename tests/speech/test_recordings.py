"""A person's recorded telephone prompts, understood: 8 kHz recordings with known texts, from Debian's
`asterisk-core-sounds-en-wav` (recordings) and `asterisk-core-sounds-en` (texts), by Allison Smith for Digium."""

from __future__ import annotations

import gzip
import wave
from pathlib import Path

import pytest

from engine.media.audio import PHONE, SILENCE, Audio, AudioFormat
from engine.media.convert import to_phone
from engine.speech.ports import Final
from engine.speech.stt.local import LocalRecogniser
from engine.speech.wer import word_error_rate

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOUNDS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
TEXTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
PROMPTS = 24
MOST_ERRORS = 0.12
"""Word error rate; 0.05 is usual on these recordings."""


def prompts() -> list[tuple[Path, str]]:
    """Recordings of 8 to 20 words, evenly from the whole list, with what is said in them."""
    if not TEXTS.exists() or not SOUNDS.exists():
        pytest.skip("needs recorded prompts: apt install asterisk-core-sounds-en asterisk-core-sounds-en-wav")
    found = []
    for line in gzip.decompress(TEXTS.read_bytes()).decode().splitlines():
        name, _, text = line.partition(": ")
        path = SOUNDS / f"{name}.wav"
        if 8 <= len(text.split()) <= 20 and text.isascii() and "[" not in text and path.exists():
            found.append((path, text))
    return found[:: max(1, len(found) // PROMPTS)][:PROMPTS]


def phone_audio(path: Path) -> bytes:
    with wave.open(str(path)) as recording:
        format_ = AudioFormat("pcm16", recording.getframerate(), recording.getnchannels())
        return to_phone(Audio(format_, recording.readframes(recording.getnframes())))


async def test_recorded_prompts_are_understood(recogniser: LocalRecogniser) -> None:
    pause = bytes((SILENCE,)) * PHONE.bytes_for(400)
    errors = words = 0
    listener = await recogniser.listen(PHONE)
    hearings = listener.hearings()
    for path, text in prompts():
        listener.feed(pause + phone_audio(path) + pause)
        utterance = listener.finish()
        async for hearing in hearings:
            if isinstance(hearing, Final) and hearing.utterance == utterance:
                wrong, said = word_error_rate(text, hearing.text)
                errors, words = errors + wrong, words + said
                break
    await listener.close()
    assert words > 200
    assert errors / words < MOST_ERRORS, f"{errors} of {words} words"
