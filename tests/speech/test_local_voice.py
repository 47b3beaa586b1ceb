from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence

import numpy as np
import pytest

from engine.media.audio import Audio
from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.level import level_dbfs
from engine.speech.tts.local import FORMAT, LocalVoice
from engine.speech.tts.voices import VOICES
from engine.speech.worker_process import RestartBudget

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINE = "Good morning, Riverside Dental. How can I help you?"
LONG = " ".join(f"This is sentence number {number} of a long announcement." for number in range(20))


async def spoken(voice: LocalVoice, text: str, name: str = "") -> list[Audio]:
    async with asyncio.timeout(30):
        return [audio async for audio in voice.speak(text, name)]


def samples(audio: Sequence[Audio]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.frombuffer(b"".join(piece.data for piece in audio), "<i2").astype(np.float32) / np.float32(32768)


async def test_a_line_comes_in_short_pieces_of_one_format_at_telephone_level(voice: LocalVoice) -> None:
    audio = await spoken(voice, LINE)
    assert {piece.format for piece in audio} == {FORMAT}
    assert max(piece.ms for piece in audio) <= 320
    assert 2000 < sum(piece.ms for piece in audio) < 5000
    assert -21 < level_dbfs(samples(audio)) < -19
    assert np.abs(samples(audio)).max() < 1


async def test_all_voices_differ_from_each_other(voice: LocalVoice) -> None:
    assert len(VOICES) >= 6
    lines = [b"".join(piece.data for piece in await spoken(voice, "Hello, who is there?", name)) for name in VOICES]
    assert len(set(lines)) == len(VOICES)
    assert len({len(line) for line in lines}) >= 4  # speed and accent, not only pitch


@pytest.mark.parametrize("text", ["", "   ", "\0\x07", "日本語", "<>"])
async def test_a_text_without_words_makes_no_sound_and_no_error(voice: LocalVoice, text: str) -> None:
    assert sum(piece.ms for piece in await spoken(voice, text)) == 0


async def test_markup_and_control_characters_are_text_not_orders(voice: LocalVoice) -> None:
    plain = await spoken(voice, "hello there b")
    nasty = await spoken(voice, "hello\0 <there> \x1b b")
    assert samples(nasty).tobytes() == samples(plain).tobytes()


async def test_many_lines_at_once_are_each_complete(voice: LocalVoice) -> None:
    alone = sum(piece.ms for piece in await spoken(voice, LONG))
    together = await asyncio.gather(*(spoken(voice, LONG + " " * n, "anna") for n in range(6)))
    assert [sum(piece.ms for piece in audio) for audio in together] == [alone] * 6


async def test_closing_a_line_early_cancels_what_was_not_synthesized(voice: LocalVoice) -> None:
    line = voice.speak(LONG, "henry")
    await anext(line)
    await line.aclose()
    assert voice.pending == 0
    assert await spoken(voice, "Still here.")


async def test_a_line_spoken_before_needs_no_worker(can_speak: None) -> None:
    voice = LocalVoice()
    await voice.start()
    first = samples(await spoken(voice, LINE))
    assert voice.worker_pid is not None
    os.kill(voice.worker_pid, signal.SIGSTOP)
    assert samples(await spoken(voice, LINE)).tobytes() == first.tobytes()
    await voice.close()


async def test_the_cache_stays_within_its_bytes(can_speak: None) -> None:
    voice = LocalVoice(cache_bytes=400_000)
    await voice.start()
    for number in range(12):
        await spoken(voice, f"This is line number {number}.")
    assert 0 < voice.cached_bytes <= 400_000
    await voice.close()


async def test_an_unknown_voice_is_refused_with_the_names_that_exist(voice: LocalVoice) -> None:
    with pytest.raises(SpeechUnavailable, match="'zaphod'") as refused:
        await spoken(voice, LINE, "zaphod")
    assert "anna" in refused.value.hint


async def test_a_dead_worker_fails_the_running_line_and_is_started_again_for_the_next(can_speak: None) -> None:
    voice = LocalVoice()
    await voice.start()
    running = asyncio.create_task(spoken(voice, LONG * 15))
    killed = voice.worker_pid
    assert killed is not None
    await asyncio.sleep(0)
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(SpeechUnavailable, match="SIGKILL"):
        await running
    assert await spoken(voice, LINE)
    assert voice.worker_pid not in (None, killed)
    await voice.close()


async def test_a_hanging_worker_is_given_up_after_its_time(can_speak: None) -> None:
    voice = LocalVoice(request_seconds=0.3)
    await voice.start()
    assert voice.worker_pid is not None
    os.kill(voice.worker_pid, signal.SIGSTOP)
    with pytest.raises(SpeechUnavailable, match="hung"):
        await spoken(voice, LINE)
    await voice.close()


async def test_a_worker_that_keeps_dying_is_not_started_for_ever(can_speak: None) -> None:
    voice = LocalVoice(budget=RestartBudget(limit=1))
    await voice.start()
    assert voice.worker_pid is not None
    os.kill(voice.worker_pid, signal.SIGKILL)
    with pytest.raises(SpeechUnavailable):
        await spoken(voice, LINE)
    with pytest.raises(SpeechUnavailable, match="started 1 times"):
        await spoken(voice, LINE)
    await voice.close()
