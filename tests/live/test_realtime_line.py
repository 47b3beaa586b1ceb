"""One line of the model, piece by piece."""

from __future__ import annotations

import asyncio

import pytest

from engine.live.realtime_line import OTHER_WORDS, ModelLine, ModelLost

LONG = "Good morning and thank you for calling Riverside Dental on this lovely day, how may I help you now?"
OTHER = "Sure I would be glad to tell all about something that has nothing whatever in common with it"


async def audio_of(line: ModelLine) -> bytes:
    return b"".join([piece.data async for piece in line.audio()])


async def test_audio_is_given_as_it_comes_and_again_from_the_beginning() -> None:
    line = ModelLine("k")
    reading = asyncio.create_task(audio_of(line))
    line.feed(b"\x01" * 800)
    await asyncio.sleep(0)
    line.feed(b"\x02" * 800)
    line.finish()
    line.feed(b"\x03")  # too late
    assert await reading == b"\x01" * 800 + b"\x02" * 800 == await audio_of(line)
    assert line.ms == 200 and line.complete and line.begun


async def test_a_line_of_which_nothing_was_made_is_lost_and_says_why() -> None:
    line = ModelLine("k")
    line.finish("the connection was lost")
    with pytest.raises(ModelLost, match="connection was lost"):
        await audio_of(line)


async def test_a_line_that_breaks_off_keeps_what_there_is() -> None:
    line = ModelLine("k")
    line.feed(bytes(80))
    line.finish("the connection was lost")
    assert await audio_of(line) == bytes(80) and line.failed


async def test_wanted_words_are_held_back_until_the_model_is_seen_to_say_them() -> None:
    line = ModelLine("k", LONG)
    reading = asyncio.create_task(anext(line.audio()))
    line.feed(bytes(800))
    assert line.words("Good morning and thank")
    await asyncio.sleep(0)
    assert not reading.done() and not line.begun
    assert line.words(LONG[:-12])
    assert (await reading).data == bytes(800)
    assert line.begun


async def test_a_short_line_is_heard_when_it_is_complete() -> None:
    line = ModelLine("k", "Hello.")
    line.feed(bytes(800))
    assert line.words("Hello.")
    assert not line.begun
    line.finish()
    assert await audio_of(line) == bytes(800) and not line.failed


async def test_other_words_than_wanted_are_never_heard() -> None:
    early = ModelLine("k", LONG)
    early.feed(bytes(800))
    assert not early.words(OTHER)
    early.finish(OTHER_WORDS)
    late = ModelLine("k", "The doctor will call you back.")
    late.feed(bytes(800))
    assert late.words("I can not do that.")  # too few words to judge while it goes on
    late.finish()
    for line in (early, late):
        assert not line.begun and line.failed == OTHER_WORDS
        with pytest.raises(ModelLost, match="something else"):
            await audio_of(line)


async def test_a_line_of_the_models_own_may_be_anything() -> None:
    line = ModelLine("k")
    assert line.words(OTHER) and line.words("entirely different now")
    line.feed(bytes(80))
    line.finish()
    assert await audio_of(line) == bytes(80)
