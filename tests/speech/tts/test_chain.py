"""Who speaks, who speaks instead, and what is kept of it."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing

import pytest

from engine.media.audio import PHONE, Audio, AudioFormat
from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.cache import AudioCache
from engine.speech.tts.chain import AHEAD_MS, FIRST_AUDIO_SECONDS, OTHER_CHARS, WARM_SECONDS, Voices
from engine.speech.tts.fitness import REST_SECONDS
from engine.speech.tts.spoken import EngineFailure, SpokenAudio
from tests.speech.tts.stand_in import MS_PER_CHARACTER, StandIn, hum
from tests.virtual_time import virtual_time

LINE = "Your appointment is on Thursday, at ten in the morning, with Doctor Evans."

LOUD = (*range(16), *range(128, 144))
"""Mu-law of samples near full scale."""


def chain(*voices: StandIn, cache: AudioCache | None = None) -> Voices:
    return Voices({"": [voice.speaker() for voice in voices]}, cache)


async def spoken(voices: Voices, text: str = LINE, number: str = "") -> list[SpokenAudio]:
    async with aclosing(voices.speak(text, number)) as pieces:
        found = [piece async for piece in pieces]
    assert all(isinstance(piece, SpokenAudio) for piece in found)
    return [piece for piece in found if isinstance(piece, SpokenAudio)]


@virtual_time
async def test_the_first_voice_speaks_and_every_piece_says_so() -> None:
    first, second = StandIn("first"), StandIn("second")
    pieces = await spoken(chain(first, second))
    assert {piece.engine for piece in pieces} == {"first"}
    assert {piece.format for piece in pieces} == {PHONE}
    assert sum(piece.ms for piece in pieces) == pytest.approx(len(LINE) * MS_PER_CHARACTER, abs=100)
    assert second.asked == []


@virtual_time
async def test_a_voice_that_fails_before_its_first_audio_is_replaced_for_the_whole_line() -> None:
    first, second = StandIn("first", fails_after=0), StandIn("second")
    pieces = await spoken(chain(first, second))
    assert second.asked == [LINE]
    assert {piece.engine for piece in pieces} == {"second"}
    assert {piece.failures for piece in pieces} == {(EngineFailure("first", "first broke", "wait", 0),)}


@virtual_time
async def test_a_voice_that_breaks_off_is_replaced_from_the_last_border_that_it_certainly_reached() -> None:
    first, second = StandIn("first", fails_after=3500), StandIn("second")
    pieces = await spoken(chain(first, second))
    assert second.asked == ["at ten in the morning, with Doctor Evans."]
    assert [piece.engine for piece in pieces][:35] == ["first"] * 35
    assert pieces[34].failures == ()
    assert pieces[35].failures == (EngineFailure("first", "first broke", "wait", 3500),)


@virtual_time
async def test_when_nobody_is_left_the_line_fails_with_all_reasons() -> None:
    with pytest.raises(SpeechUnavailable, match="first: first broke; second: second broke") as failed:
        await spoken(chain(StandIn("first", fails_after=0), StandIn("second", fails_after=0)))
    assert failed.value.hint == "wait"


@virtual_time
async def test_a_voice_that_failed_rests_so_that_no_line_waits_for_it_again() -> None:
    first, second = StandIn("first", fails_after=0), StandIn("second")
    voices = chain(first, second)
    await spoken(voices, "One thing.")
    await spoken(voices, "Another thing.")
    assert first.asked == ["One thing."]
    first.fails_after = None
    await asyncio.sleep(REST_SECONDS)
    assert (await spoken(voices, "A third thing."))[0].engine == "first"


@virtual_time
async def test_a_resting_voice_is_asked_when_all_others_fail_too() -> None:
    first, second = StandIn("first", fails_after=0), StandIn("second")
    voices = chain(first, second)
    await spoken(voices, "One thing.")
    first.fails_after, second.fails_after = None, 0
    assert (await spoken(voices, "Another thing."))[0].engine == "first"


@virtual_time
async def test_nobody_waits_long_for_a_silent_voice_when_there_is_another() -> None:
    silent, second = StandIn("silent", pause=60.0), StandIn("second")
    pieces = await spoken(chain(silent, second))
    assert asyncio.get_running_loop().time() == pytest.approx(FIRST_AUDIO_SECONDS)
    assert pieces[0].failures[0].error == "the voice gave no audio for 3 s"
    assert silent.closed_early == 1, "its request is taken back"


@virtual_time
async def test_a_voice_that_is_slow_but_speaks_is_not_replaced() -> None:
    slow, second = StandIn("slow", pause=2.5), StandIn("second")
    await spoken(chain(slow, second), "One moment.")
    assert second.asked == []


class Faulty(StandIn):
    async def warm(self) -> None:
        raise SpeechUnavailable("cold")

    def speak(self, text: str, voice: str = "") -> None:  # type: ignore[override]
        raise ZeroDivisionError


@virtual_time
async def test_a_fault_of_one_voice_is_not_one_of_the_line() -> None:
    pieces = await spoken(chain(Faulty("first"), StandIn("second")))
    assert pieces[0].engine == "second"
    assert "ZeroDivisionError" in pieces[0].failures[0].error


@virtual_time
async def test_a_line_spoken_again_comes_from_the_cache_and_says_so() -> None:
    voice = StandIn("first")
    voices = chain(voice)
    once, again = await spoken(voices), await spoken(voices)
    assert voice.asked == [LINE]
    assert b"".join(piece.data for piece in once) == b"".join(piece.data for piece in again)
    assert not any(piece.cached for piece in once)
    assert all(piece.cached for piece in again)


@virtual_time
async def test_a_line_that_broke_off_is_not_kept() -> None:
    voice = StandIn("first", fails_after=500)
    voices = chain(voice)
    with pytest.raises(SpeechUnavailable):
        await spoken(voices)
    voice.fails_after = None
    assert not (await spoken(voices))[0].cached


@virtual_time
async def test_other_settings_are_another_line() -> None:
    voice, cache = StandIn("first"), AudioCache()
    await spoken(Voices({"": [voice.speaker("calm")]}, cache))
    await spoken(Voices({"": [voice.speaker("cheerful")]}, cache))
    assert len(voice.asked) == 2


@virtual_time
async def test_a_number_with_a_voice_of_its_own_is_spoken_for_by_it() -> None:
    general, own = StandIn("general"), StandIn("own")
    voices = Voices({"": [general.speaker()], "+15550001111": [own.speaker()]})
    assert (await spoken(voices, number="+15550001111"))[0].engine == "own"
    assert (await spoken(voices, number="+15550002222"))[0].engine == "general"
    assert (await spoken(voices))[0].engine == "general"


@virtual_time
async def test_a_long_text_begins_early_and_is_fetched_only_so_far_ahead() -> None:
    text = " ".join(f"This is sentence number {number} of a very long message." for number in range(60))
    voice = StandIn("first")
    line = chain(voice).speak(text)
    await anext(line)
    await asyncio.sleep(1)
    assert len(voice.asked[0]) <= 160, "the first words are ready early"
    assert voice.given_ms <= AHEAD_MS + OTHER_CHARS * MS_PER_CHARACTER
    async for _ in line:
        pass
    assert " ".join(voice.asked) == text
    assert all(len(part) <= OTHER_CHARS for part in voice.asked)


@virtual_time
async def test_the_first_audio_is_passed_on_when_it_comes() -> None:
    voice = StandIn("first", pause=0.1)
    async with aclosing(chain(voice).speak(LINE)) as line:
        await anext(line)
        assert asyncio.get_running_loop().time() == pytest.approx(0.1)


@virtual_time
async def test_closing_a_line_stops_its_voice() -> None:
    voice = StandIn("first", pause=0.1)
    line = chain(voice).speak(LINE)
    await anext(line)
    await line.aclose()
    assert voice.closed_early == 1
    given = voice.given_ms
    await asyncio.sleep(5)
    assert voice.given_ms == given


@virtual_time
async def test_a_text_without_words_costs_nothing() -> None:
    voice = StandIn("first")
    assert await spoken(chain(voice), " … ") == []
    assert voice.asked == []


class Gives(StandIn):
    """Gives what it is told to."""

    def __init__(self, audio: Audio) -> None:
        super().__init__("strange")
        self._audio = audio

    async def speak(self, text: str, voice: str = ""):  # type: ignore[no-untyped-def]
        yield self._audio


@pytest.mark.parametrize(
    ("audio", "why"),
    [
        (Audio(PHONE, bytes(random.Random(7).choices(LOUD, k=8000))), "noise instead of speech"),
        (Audio(AudioFormat("pcm16", 24_000), bytes((n * 7919) % 256 for n in range(48_000))), "noise"),
        (Audio(AudioFormat("pcm16", 11_025), bytes(4000)), "11025 Hz"),
        (Audio(PHONE, hum(100)), "ended after 100 ms"),
        (Audio(PHONE, b""), "no audio"),
    ],
    ids=["loud bytes", "compressed bytes as PCM", "unknown rate", "much too short", "nothing"],
)
async def test_what_can_not_be_the_line_is_not_played(audio: Audio, why: str) -> None:
    """Pain A7."""
    good = StandIn("good")
    pieces = await spoken(chain(Gives(audio), good))
    assert why in pieces[-1].failures[0].error
    assert good.asked


@virtual_time
async def test_a_line_from_the_cache_has_the_connection_opened_for_the_next_one() -> None:
    """Pain B2: a greeting is mostly followed by something new."""
    voice = StandIn("first")
    voices = chain(voice)
    await voices.start()
    await spoken(voices)
    await spoken(voices)
    assert voice.warmed == 0, "it has just been used"
    await asyncio.sleep(WARM_SECONDS + 1)
    await asyncio.gather(*(spoken(voices) for _ in range(5)))
    await asyncio.sleep(0)
    assert voice.warmed == 1
    await voices.close()
    assert voice.closed


@virtual_time
async def test_health_names_who_fails_why_and_who_speaks_instead() -> None:
    first, second = StandIn("first", fails_after=0), StandIn("second")
    voices = chain(first, second)
    await voices.start()
    assert voices.health()["ok"] is True
    await spoken(voices)
    health = voices.health()
    assert health["ok"] is False
    assert health["error"] == "first: first broke; second speaks instead"
    assert health["hint"] == "wait"
    assert [(engine["name"], engine["state"], engine["lines"]) for engine in health["engines"]] == [
        ("first", "failing", 0),
        ("second", "ready", 1),
    ]
    first.fails_after = None
    await asyncio.sleep(REST_SECONDS)
    await spoken(voices, "Something else.")
    assert voices.health()["ok"] is True


@virtual_time
async def test_voices_start_when_one_of_them_can_be_used() -> None:
    first, second = StandIn("first"), StandIn("second")
    first.unfit = "no key"
    await chain(first, second).start()
    second.unfit = "no key either"
    with pytest.raises(SpeechUnavailable, match="first: no key; second: no key either"):
        await chain(first, second).start()
