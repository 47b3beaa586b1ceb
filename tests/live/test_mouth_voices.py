"""Voices that fail, stand in, and are heard of: what a line says about who spoke it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from engine.media.audio import Audio
from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.chain import Voices
from tests.live.test_mouth import PCM, Bench, Voice, bench
from tests.speech.tts.stand_in import StandIn
from tests.virtual_time import virtual_time

LINE = "We have two free times. One is on Tuesday at ten, the other one on Friday at noon."


class BreaksOff(Voice):
    """Gives `ms` of audio and is gone."""

    def __init__(self, ms: int) -> None:
        super().__init__()
        self.ms = ms

    async def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        self.asked.append(text)
        for _ in range(self.ms // 100):
            yield Audio(PCM, bytes(PCM.bytes_for(100)))
        raise SpeechUnavailable("the connection broke")


def facts(it: Bench, type_: str) -> list[dict[str, Any]]:
    return [dict(draft.data) for draft in it.facts if draft.type == type_]


@virtual_time
async def test_a_line_whose_voice_breaks_off_is_heard_as_far_as_it_came_and_recorded_as_cut() -> None:
    async with bench(BreaksOff(2000)) as it:
        line = it.mouth.say(LINE)
        assert await line.done == "cut"
        assert asyncio.get_running_loop().time() == pytest.approx(2.0, abs=0.1), "what there was is played"
        (cut,) = facts(it, "say.cut")
        assert cut["error"] == "the connection broke"
        assert cut["heardMs"] == 2000
        assert LINE.startswith(cut["heardText"])
        assert 0 < len(cut["heardText"]) < len(LINE)


@virtual_time
async def test_a_line_whose_voice_breaks_off_at_its_last_word_is_not_heard_whole() -> None:
    async with bench(BreaksOff(20_000)) as it:
        assert await it.mouth.say("Short.").done == "cut"


@virtual_time
async def test_a_line_says_who_speaks_it_and_whether_it_was_kept() -> None:
    async with bench(Voices({"": [StandIn("openai coral").speaker()]})) as it:  # type: ignore[arg-type]
        for _ in range(2):
            assert await it.mouth.say("Good morning.").done == "heard"
        first, second = facts(it, "say.started")
        assert (first["engine"], first.get("cached")) == ("openai coral", None)
        assert (second["engine"], second.get("cached")) == ("openai coral", True)
        assert facts(it, "say.fallback") == []


@virtual_time
async def test_a_voice_that_stands_in_is_a_fact_with_its_reason() -> None:
    voices = Voices({"": [StandIn("first", fails_after=0).speaker(), StandIn("second").speaker()]})
    async with bench(voices) as it:  # type: ignore[arg-type]
        line = it.mouth.say("Good morning.")
        assert await line.done == "heard"
        assert it.types() == ["say.queued", "say.fallback", "say.started", "say.heard"]
        assert facts(it, "say.fallback") == [
            {"sayId": line.say_id, "engine": "first", "to": "second", "error": "first broke", "hint": "wait"}
        ]
        assert facts(it, "say.started")[0]["engine"] == "second"


@virtual_time
async def test_a_change_of_voices_in_the_middle_of_a_line_says_where() -> None:
    first, second = StandIn("first", fails_after=3800), StandIn("second")
    async with bench(Voices({"": [first.speaker(), second.speaker()]})) as it:  # type: ignore[arg-type]
        assert await it.mouth.say(LINE).done == "heard"
        (change,) = facts(it, "say.fallback")
        assert (change["engine"], change["to"], change["afterMs"]) == ("first", "second", 3800)
        assert second.asked == ["One is on Tuesday at ten, the other one on Friday at noon."]


@virtual_time
async def test_with_nobody_left_the_line_fails_and_says_why() -> None:
    voices = Voices({"": [StandIn("first", fails_after=0).speaker(), StandIn("second", fails_after=0).speaker()]})
    async with bench(voices) as it:  # type: ignore[arg-type]
        assert await it.mouth.say("Good morning.").done == "failed"
        (failed,) = facts(it, "say.failed")
        assert failed["error"] == "first: first broke; second: second broke"


@virtual_time
async def test_a_greeting_is_spoken_while_it_is_still_being_prepared() -> None:
    """Pain A13: who answers quickly does not wait for the whole greeting."""
    async with bench(Voice(pause=0.3)) as it, asyncio.TaskGroup() as group:
        text = "one two three four five six seven eight nine ten"
        prepared = it.mouth.prepare(text, group)
        await asyncio.sleep(1.0)
        line = it.mouth.say(text, kind="greeting", prepared=prepared)
        await asyncio.sleep(0.1)
        assert it.mouth.speaking
        assert await line.done == "heard"
        assert it.voice.asked == [text]


@virtual_time
async def test_a_greeting_that_broke_off_while_it_rang_is_made_again_when_it_is_needed() -> None:
    first = StandIn("first", fails_after=300)
    async with bench(Voices({"": [first.speaker()]})) as it, asyncio.TaskGroup() as group:  # type: ignore[arg-type]
        prepared = it.mouth.prepare(LINE, group)
        await prepared.done()
        first.fails_after = None
        assert await it.mouth.say(LINE, kind="greeting", prepared=prepared).done == "heard"
        assert first.asked == [LINE, LINE]


@virtual_time
async def test_a_voice_that_stood_in_while_it_rang_is_a_fact_of_the_greeting() -> None:
    voices = Voices({"": [StandIn("first", fails_after=0).speaker(), StandIn("second").speaker()]})
    async with bench(voices) as it, asyncio.TaskGroup() as group:  # type: ignore[arg-type]
        prepared = it.mouth.prepare(LINE, group)
        await prepared.done()
        assert await it.mouth.say(LINE, kind="greeting", prepared=prepared).done == "heard"
        assert facts(it, "say.fallback")[0]["to"] == "second"
        assert facts(it, "say.started")[0]["engine"] == "second"


@virtual_time
async def test_the_next_sentence_is_made_while_this_one_plays() -> None:
    voice = StandIn("first", pause=0.01)
    async with bench(Voices({"": [voice.speaker()]})) as it:  # type: ignore[arg-type]
        lines = [it.mouth.say(text) for text in ("This is the first sentence.", "And this is the second one.")]
        await asyncio.sleep(0.5)
        assert voice.asked == [line.text for line in lines]
        assert it.mouth.speaking
        assert not lines[0].done.done()


@virtual_time
async def test_an_interruption_stops_the_voice_at_once() -> None:
    voice = StandIn("first", pause=0.1)
    async with bench(Voices({"": [voice.speaker()]})) as it:  # type: ignore[arg-type]
        line = it.mouth.say(LINE, kind="reply")
        await asyncio.sleep(1.0)
        it.mouth.interrupted("the caller interrupted")
        given = voice.given_ms
        await asyncio.sleep(5)
        assert await line.done == "cut"
        assert voice.given_ms == given
        assert voice.closed_early == 1


@virtual_time
async def test_a_reply_that_is_not_wanted_any_more_stops_the_voice_and_holds_nobody_up() -> None:
    voice = StandIn("first", pause=1.0)
    async with bench(Voices({"": [voice.speaker()]})) as it:  # type: ignore[arg-type]
        old = it.mouth.say(LINE, kind="reply")
        await asyncio.sleep(0.5)
        it.mouth.skip_replies("a newer turn of the caller")
        assert await old.done == "skipped"
        voice.pause = 0.0
        began = asyncio.get_running_loop().time()
        new = it.mouth.say("Something newer.", kind="reply")
        await asyncio.sleep(0.1)
        assert it.mouth.speaking
        assert await new.done == "heard"
        assert asyncio.get_running_loop().time() - began < 2
        assert voice.closed_early == 1


@virtual_time
async def test_a_call_that_nobody_answers_stops_the_greeting_that_was_being_made() -> None:
    voice = StandIn("first", pause=1.0)
    async with bench(Voices({"": [voice.speaker()]})) as it:  # type: ignore[arg-type]
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                it.mouth.prepare(LINE, group)
                await asyncio.sleep(2.5)
                raise LookupError("the call is over")
        assert voice.closed_early == 1
        assert not [task for task in asyncio.all_tasks() if "fetch" in repr(task)]
