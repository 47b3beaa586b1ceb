"""Callers who say nothing, and keys that they press, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from engine.calls import Call
from engine.live.manners import Manners
from engine.live.pressed import PAUSE_SECONDS, Pressed
from engine.live.silence import SilenceWatch
from tests.live.talking import PacedMouth, a_call, a_line, now_ms
from tests.virtual_time import virtual_time

MANNERS = Manners(silence_prompt="Are you there?", silence_after_s=15, silence_prompts=2, silence_farewell="Goodbye.")


class Room:
    """A call in which nobody speaks, until a test says otherwise."""

    def __init__(self, manners: Manners = MANNERS) -> None:
        self.call: Call = a_call()
        self.callers_turn = True
        self.ended: list[tuple[float, str]] = []
        self.mouth = PacedMouth(lambda *drafts: None)
        self.watch = SilenceWatch(
            self.mouth,
            manners,
            lambda: self.call,
            lambda: self.callers_turn,
            lambda why: self.ended.append((now_ms() / 1000, why)),
        )

    async def live(self, seconds: float) -> list[str]:
        """Let time pass; what was said in it."""
        before = len(self.mouth.log)
        tasks = [asyncio.create_task(self.mouth.run()), asyncio.create_task(self.watch.run())]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        return [text for _, text in self.mouth.log[before:]]


@virtual_time
async def test_a_silent_caller_is_asked_twice_and_then_let_go() -> None:
    room = Room()
    assert await room.live(70) == ["Are you there?", "Are you there?", "Goodbye."]
    ((at, why),) = room.ended
    assert why == "the caller said nothing" and 45 < at < 52


@virtual_time
async def test_a_word_or_a_key_begins_the_count_anew() -> None:
    for change in ({"transcript": (a_line(20, "caller", "Wait."),)}, {"dtmf": "1"}):
        room = Room()

        async def answer(room: Room = room, change: dict[str, object] = change) -> None:  # type: ignore[assignment]
            await asyncio.sleep(35)
            room.call = replace(room.call, **change)  # type: ignore[arg-type]

        answering = asyncio.create_task(answer())
        said = await room.live(60)
        await answering
        assert said == ["Are you there?"] * 3 and not room.ended


@virtual_time
async def test_nobody_is_asked_while_it_is_not_their_turn_or_we_are_deaf_or_speak() -> None:
    busy, deaf, ringing = Room(), Room(), Room()
    busy.callers_turn = False
    deaf.call = a_call(deaf=True)
    ringing.call = a_call(answered_at=None)
    for room in (busy, deaf, ringing):
        assert await room.live(100) == [] and not room.ended
    talking = Room()
    talking.mouth.say("x" * 300)
    assert await talking.live(300 * 0.065 + 14) == ["x" * 300]


@virtual_time
async def test_it_can_be_turned_off_and_need_not_end_the_call() -> None:
    assert await Room(Manners()).live(100) == []
    patient = Room(replace(MANNERS, silence_prompts=0))
    assert set(await patient.live(100)) == {"Are you there?"} and not patient.ended


@virtual_time
async def test_who_answers_during_the_farewell_stays() -> None:
    room = Room()

    async def answer() -> None:
        await asyncio.sleep(47.0)
        assert room.mouth.log[-1][1] == "Goodbye."
        room.mouth.interrupted("the caller interrupted")
        room.call = a_call(transcript=(a_line(50, "caller", "I am here."),))

    answering = asyncio.create_task(answer())
    await room.live(60)
    await answering
    assert not room.ended


@virtual_time
async def test_keys_are_one_answer_after_a_pause_or_at_the_hash() -> None:
    found: list[tuple[float, str]] = []
    pressed = Pressed(lambda digits: found.append((now_ms() / 1000, digits)))
    for digit in "12":
        pressed.take(digit)
        await asyncio.sleep(1)
    await asyncio.sleep(1)
    for digit in "42#":
        pressed.take(digit)
    pressed.take("9")
    pressed.forget()
    await asyncio.sleep(5)
    assert found == [(1 + PAUSE_SECONDS, "12"), (3, "42#")]
