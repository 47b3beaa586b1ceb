"""A person's own voice in a real call: it reaches the simulated phone, is written down, and leaves no silence."""

from __future__ import annotations

import asyncio

import pytest

from engine.api import Refusal
from engine.calls import Call
from engine.config.floor import FloorSettings
from engine.media.levels import level_db
from engine.simulator.launch import SimulatorAddress
from engine.simulator.telephone import LineState, Telephone
from tests.engine.conftest import Running, Start, Understands
from tests.engine.simulators import KEY, SECRET
from tests.media.sounds import frames, spoken

ADA, BOB = "console ada@desk.1", "console bob@desk.2"
LOUD = bytes((0x10, 0x90) * 80)
"""20 ms of a loud 4 kHz square wave: nobody's voice, and not to be overheard."""


def address(run: Running) -> SimulatorAddress:
    return SimulatorAddress(run.simulator.base_url, KEY, SECRET)


async def talk(run: Running, call_id: str, by: str, count: int) -> None:
    """Take the microphone and speak for so many frames, at their pace."""
    microphone = await run.engine.microphone(call_id, by)
    for _ in range(count):
        microphone.hear(LOUD)
        await asyncio.sleep(0.02)
    microphone.rest()
    microphone.close()


async def until_floor(run: Running, call_id: str, floor: str) -> Call:
    return await run.until_call(call_id, lambda call: call.floor == floor)


async def test_what_a_person_says_reaches_the_phone_and_the_caller_does_not_cut_it(start: Start) -> None:
    run = await start()
    async with Telephone.call(address(run), to=run.number) as telephone:
        heard: list[bytes] = []

        async def listen() -> None:
            async for item in telephone:
                if isinstance(item, bytes):
                    heard.append(item)

        listening = asyncio.create_task(listen())
        call = await run.until(lambda: next((c for c in run.engine.live_calls() if "heard" in c.rungs), None))
        with pytest.raises(Refusal) as refused:
            await run.engine.microphone(call.call_id, ADA)
        assert refused.value.code == "no_floor"
        with run.engine.attend(ADA):
            await run.engine.set_floor(call.call_id, "operator", ADA)
            heard.clear()
            await talk(run, call.call_id, ADA, 50)
            await asyncio.sleep(0.4)
            loud = sum(level_db(frame) > -15 for frame in heard)
            assert 45 <= loud <= 51
            live = [e.data["live"] for e in await run.events(call.call_id) if e.type == "microphone.changed"]
            assert live == [True, False]
            await run.engine.set_floor(call.call_id, "agent", ADA)
        await telephone.hang_up()
        await listening
    ended = await run.until_call(call.call_id, lambda call: not call.live)
    assert ended.end_reason is not None and ended.end_reason.value == "hangup-user"


async def test_two_people_do_not_drive_one_call(start: Start) -> None:
    run = await start()
    call_id = await run.engine.initiate("+15550100191", "Hello there.", "conversation")
    await run.until_call(call_id, lambda call: "heard" in call.rungs)
    with run.engine.attend(ADA), run.engine.attend(BOB):
        await run.engine.set_floor(call_id, "operator", ADA)
        microphone = await run.engine.microphone(call_id, ADA)
        for drive in (
            run.engine.set_floor(call_id, "agent", BOB),
            run.engine.speak(call_id, "Hello.", BOB),
            run.engine.send_dtmf(call_id, "1", BOB),
            run.engine.hint(call_id, "Hello.", BOB),
        ):
            with pytest.raises(Refusal) as refused:
                await drive
            assert refused.value.code == "floor_taken" and "ada@desk.1" in refused.value.error
        await run.engine.set_floor(call_id, "operator", BOB, take_over=True)
        assert "bob" in await asyncio.wait_for(microphone.ended(), 1)
        with pytest.raises(Refusal):
            await run.engine.microphone(call_id, ADA)


@pytest.mark.parametrize("gone", ["held", "agent"])
async def test_a_console_that_is_gone_leaves_nobody_in_silence(start: Start, gone: str) -> None:
    run = await start(floor=FloorSettings.model_validate({"when_gone": gone, "held_limit_seconds": 1}))
    call_id = await run.engine.initiate("+15550100191", "Hello there.", "conversation")
    await run.until_call(call_id, lambda call: "heard" in call.rungs)
    with run.engine.attend(ADA):
        await run.engine.set_floor(call_id, "operator", ADA)
        microphone = await run.engine.microphone(call_id, ADA)
        microphone.hear(LOUD)
        microphone.lose("its connection was lost")
        call = await until_floor(run, call_id, gone)
        assert call.floor_by == "engine" and not call.microphone
    if gone == "held":
        await run.until_call(
            call_id, lambda call: any(line.text == "One moment, please." for line in call.transcript)
        )
        await until_floor(run, call_id, "agent")


async def test_what_a_person_said_is_written_down_before_the_agent_goes_on(start: Start) -> None:
    """With a recogniser that understands one sentence in whatever sounds like a voice."""
    run = await start(recogniser=Understands("we can see you on Friday"))
    call_id = await run.engine.initiate("+15550100191", "Hello there.", "conversation")
    await run.until_call(call_id, lambda call: "heard" in call.rungs)
    with run.engine.attend(ADA):
        await run.engine.set_floor(call_id, "operator", ADA)
        microphone = await run.engine.microphone(call_id, ADA)
        for frame in frames(spoken("We can see you on Friday at ten o'clock.")):
            microphone.hear(frame)
            await asyncio.sleep(0.02)
        await run.engine.set_floor(call_id, "agent", ADA)
    events = [event.type for event in await run.events(call_id)]
    assert events.index("operator.said") < len(events) - 1 - events[::-1].index("floor.changed")
    call = run.engine.call(call_id)
    assert call is not None
    assert ("operator", "we can see you on Friday") in [(line.speaker, line.text) for line in call.transcript]


async def test_a_telephone_hears_why_it_got_no_call(start: Start) -> None:
    run = await start(inbound_policy="disabled")
    async with Telephone.call(address(run), to=run.number) as telephone:
        states = [item async for item in telephone if isinstance(item, LineState)]
    assert [state.state for state in states] == ["ringing", "ended"]
