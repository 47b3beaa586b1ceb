from __future__ import annotations

import asyncio

import pytest

from engine.media.audio import FRAME_BYTES
from engine.media.levels import level_db
from engine.simulator.voices import (
    VOICES,
    NoiseSynthesizer,
    PicoSynthesizer,
    Synthesizer,
    Utterance,
    VoiceBank,
    VoiceSpec,
    voice_spec,
)


class CountingSynthesizer(NoiseSynthesizer):
    def __init__(self) -> None:
        self.lines = 0

    def speak(self, text: str, voice: VoiceSpec) -> bytes:
        self.lines += 1
        return super().speak(text, voice)


def pico() -> Synthesizer:
    pytest.importorskip("ttspico", reason="the extra `local` is not installed")
    return PicoSynthesizer()


def audio(line: Utterance) -> bytes:
    return b"".join(line.frames)


async def test_a_line_is_synthesized_once_and_shared() -> None:
    synthesizer = CountingSynthesizer()
    bank = VoiceBank(synthesizer)
    assert bank.get("anna", "Hello.") is None
    line = await bank.line("anna", "Hello.")
    assert await bank.line("anna", "Hello.") is line is bank.get("anna", "Hello.")
    await bank.line("tom", "Hello.")
    assert synthesizer.lines == 2
    bank.close()


async def test_a_hundred_calls_that_want_a_line_at_once_share_the_work() -> None:
    synthesizer = CountingSynthesizer()
    bank = VoiceBank(synthesizer)
    impatient = asyncio.create_task(bank.line("anna", "Hello."))
    await asyncio.sleep(0)
    impatient.cancel()  # its call ended; the others still get the line
    lines = await asyncio.gather(*(bank.line("anna", "Hello.") for _ in range(100)))
    assert synthesizer.lines == 1 and len(set(map(id, lines))) == 1
    bank.close()


async def test_lines_are_whole_frames_at_telephone_level_over_line_noise() -> None:
    for synthesizer in (NoiseSynthesizer(), pico()):
        bank = VoiceBank(synthesizer)
        line = await bank.line("anna", "I would like to make an appointment, please.")
        assert all(len(frame) == FRAME_BYTES for frame in line.frames)
        assert line.ms == 20 * len(line.encoded) > 1000
        assert -27 < level_db(audio(line)) < -17
        assert level_db(line.frames[0]) < -30, "it starts with the quiet of the line, not in the middle of a sound"
        assert -66 < level_db(audio(bank.quiet)) < -54
        assert level_db(audio(bank.beep)) > -18
        bank.close()


async def test_voices_differ_and_an_unknown_name_has_a_voice_of_its_own() -> None:
    assert len(set(VOICES.values())) == len(VOICES)
    assert voice_spec("somebody") == voice_spec("somebody") != voice_spec("somebody else")
    bank = VoiceBank(pico())
    spoken = {audio(await bank.line(name, "Good morning.")) for name in VOICES}
    assert len(spoken) == len(VOICES)
    bank.close()


async def test_markup_in_a_line_is_not_obeyed() -> None:
    bank = VoiceBank(pico())
    plain = await bank.line("anna", "one  two")
    assert (await bank.line("anna", 'one <volume level="0"> two')).ms > plain.ms
    bank.close()
