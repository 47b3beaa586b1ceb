"""The ears of a call: turns with their texts, and a caller whom nobody hears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.calls import Draft
from engine.live.ears import FINAL_SECONDS, Ears
from engine.live.turn_clock import TurnClock
from engine.media.turns import TurnSettings, TurnTaker
from engine.media.vad import Gate
from engine.speech.stt.chain import RecogniserChain
from tests.speech.stt.collect import SILENCE, TONE
from tests.speech.stt.fakes import FakeRecogniser, no
from tests.virtual_time import virtual_time


class Rig:
    """Ears on frames that come every 20 ms, and what they told their call."""

    def __init__(self, *engines: FakeRecogniser) -> None:
        self.now = asyncio.get_running_loop().time
        self.facts: list[tuple[float, Draft]] = []
        self.told: list[tuple[float, str]] = []
        self.said: list[str] = []
        self.ears = Ears(
            "call",
            RecogniserChain(engines, self.now),
            Gate(),
            TurnTaker(TurnSettings()),
            self,
            lambda: False,
            lambda draft: self.facts.append((self.now(), draft)),
            lambda call_id, type_, data: None,
            lambda: self.now() * 1000,
        )

    async def hear(self, frame: bytes, seconds: float) -> None:
        """So much of the caller's line."""
        for _ in range(round(seconds * 50)):
            self.ears.on_frame(frame, 0)
            await asyncio.sleep(0.02)

    async def turn(self) -> None:
        """The caller says something."""
        await self.hear(TONE, 0.8)
        await self.hear(SILENCE, 1.0)

    def of(self, type_: str) -> list[dict[str, object]]:
        return [dict(draft.data) for _, draft in self.facts if draft.type == type_]

    # engine.live.ears.Hears

    def caller_began(self) -> None:
        self.told.append((self.now(), "began"))

    def caller_interrupts(self) -> None:
        self.told.append((self.now(), "interrupts"))

    def caller_said_nothing(self) -> None:
        self.told.append((self.now(), "nothing"))

    def caller_said(self, text: str, clock: TurnClock) -> None:
        self.said.append(text)

    def cannot_hear(self, for_good: bool) -> None:
        self.told.append((self.now(), "deaf for good" if for_good else "deaf"))

    def hears_again(self) -> None:
        self.told.append((self.now(), "hears"))


@asynccontextmanager
async def rig(*engines: FakeRecogniser) -> AsyncIterator[Rig]:
    made = Rig(*engines)
    task = asyncio.create_task(made.ears.run())
    try:
        await asyncio.sleep(0.01)
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@virtual_time
async def test_a_turn_is_told_with_its_text_and_who_heard_it() -> None:
    async with rig(FakeRecogniser("a")) as it:
        await it.hear(SILENCE, 0.5)
        await it.turn()
        assert len(it.said) == 1 and TONE.decode("latin-1") * 40 in it.said[0]
        assert it.of("speech.ready") == [{"engine": "a"}]
        assert it.of("speech.failed") == []
        (final,) = it.of("speech.final")
        assert final["turn"] == 1 and "missingMs" not in final


@virtual_time
async def test_that_nobody_hears_the_caller_is_a_fact_within_a_second_and_told_to_them_soon() -> None:
    async with rig(FakeRecogniser("slow", takes=60)) as it:
        await asyncio.sleep(5)  # it only rings: nobody is there to be heard
        assert it.facts == []
        answered = it.now()
        await it.hear(SILENCE, 4)
        assert [(draft.type, draft.data["engine"]) for _, draft in it.facts] == [("speech.failed", "slow")]
        assert it.facts[0][0] - answered < 1
        (told,) = it.told
        assert told[1] == "deaf" and told[0] - answered < 3


@virtual_time
async def test_what_was_said_while_nobody_listened_is_answered() -> None:
    slow = FakeRecogniser("slow", takes=2.5)
    async with rig(slow) as it:
        await it.turn()
        assert it.said == []
        await it.hear(SILENCE, 2)
        assert len(it.said) == 1
        assert [told for _, told in it.told if told in ("hears", "nothing")] == ["hears"]


@virtual_time
async def test_what_was_said_to_a_recogniser_that_died_is_answered_by_the_fallback() -> None:
    dies, stands_in = FakeRecogniser("dies", mute=True), FakeRecogniser("stands in")
    async with rig(dies, stands_in) as it:
        await it.hear(SILENCE, 0.5)
        await it.turn()
        dies.refusals = [no(hopeless=True)]
        dies.listeners[0].lose("it broke")
        await it.hear(SILENCE, 1)
        assert len(it.said) == 1
        failed = it.of("speech.failed")
        assert failed[-1]["fallback"] == "stands in" and failed[-1]["final"] is False
        assert it.of("speech.ready")[-1] == {"engine": "stands in", "insteadOf": "dies"}


@virtual_time
async def test_a_call_that_is_deaf_for_good_says_so_and_answers_what_was_asked() -> None:
    async with rig(FakeRecogniser("a", no("wrong key", hopeless=True))) as it:
        assert it.told == [(0.0, "deaf for good")]
        assert it.of("speech.failed") == [
            {
                "engine": "a",
                "error": "wrong key; giving up: this call is deaf",
                "hint": "do something",
                "final": True,
            }
        ]
        async with asyncio.timeout(1):
            await it.ears.wait_ready()


@virtual_time
async def test_a_text_that_never_comes_is_given_up_and_leaves_the_call_hearing() -> None:
    engine = FakeRecogniser("a", mute=True)
    async with rig(engine) as it:
        await it.turn()
        await it.hear(SILENCE, FINAL_SECONDS + 1)
        assert "no text for a turn" in str(it.of("speech.failed")[-1]["error"])
        assert [told for _, told in it.told][-1] == "nothing"
        engine.listeners[0].mute = False
        await it.turn()
        assert len(it.said) == 1
