from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.api import Refusal
from engine.calls import State, fold
from tests.engine.conftest import Humming, Start, Understands

DANIEL = "+15550100151"
BUSY = "+15550100155"
SINK = "+15550100191"


async def test_a_person_calls_in_is_greeted_understood_and_answered(start: Start) -> None:
    run = await start()
    call = await run.ring_in("Grace Young")
    done = await run.until_call(call.call_id, lambda call: len(call.turns) >= 1)
    assert (done.direction, done.from_number, done.floor) == ("inbound", "+15550100103", "agent")
    speakers = [line.speaker for line in done.transcript]
    assert speakers[:3] == ["agent", "caller", "agent"]
    assert done.transcript[1].text == "what are your opening hours"
    assert set(done.turns[0]) == {"end", "text", "agent", "sentence", "voice", "send", "heard", "total"}
    assert {"signed", "document", "answered", "socket", "start", "caller", "stt", "voice", "heard"} <= set(done.rungs)


async def test_a_placed_call_rings_is_answered_hears_the_message_and_ends_once(start: Start) -> None:
    run = await start()
    call_id = await run.engine.initiate(DANIEL, "Hello, is Tuesday at ten all right?", "conversation", by="cli")
    await run.until_call(call_id, lambda call: any(not line.playing for line in call.transcript))
    await run.engine.end(call_id, "cli")
    await run.engine.end(call_id, "cli")
    call = run.engine.call(call_id)
    assert call is not None and call.end_reason is State.HANGUP_BOT
    types = [event.type for event in await run.events(call_id)]
    assert types.count("call.ended") == 1
    order = ["call.initiated", "call.dialing", "call.accepted", "call.ringing", "call.answered", "stream.started"]
    assert [type_ for type_ in types if type_ in order] == order
    assert (await run.carrier.status(call.provider_call_id or "")).live is False


async def test_a_notice_is_heard_whole_and_the_call_ends_by_itself(start: Start) -> None:
    run = await start(outbound=_outbound(delay=0))
    call_id = await run.engine.initiate(SINK, "Your parcel is here.", "notify")
    call = await run.until_call(call_id, lambda call: not call.live)
    assert call.end_reason is State.COMPLETED
    assert [(line.text, line.cut) for line in call.transcript] == [("Your parcel is here.", False)]


async def test_a_question_from_outside_returns_what_the_caller_answers(start: Start) -> None:
    run = await start(recogniser=Understands("yes that is fine"))
    call_id = await run.engine.initiate(DANIEL, "Hello, this is a test.", "conversation")
    await run.until_call(call_id, lambda call: call.answered_at is not None and "heard" in call.rungs)
    asked = asyncio.create_task(run.engine.continue_call(call_id, "Is Tuesday all right?", "agent"))
    assert await asked == "yes that is fine"
    call = run.engine.call(call_id)
    assert call is not None and "Is Tuesday all right?" in [line.text for line in call.transcript]


async def test_only_one_question_at_a_time_may_wait_for_an_answer(start: Start) -> None:
    run = await start()
    call_id = await run.engine.initiate(SINK, "Hello.", "conversation")
    await run.until_call(call_id, lambda call: "heard" in call.rungs)
    first = asyncio.create_task(run.engine.continue_call(call_id, "Are you there?"))
    await run.until(lambda: any(e == "Are you there?" for e in _texts(run.engine.call(call_id))))
    with pytest.raises(Refusal) as refused:
        await run.engine.continue_call(call_id, "Hello?")
    assert refused.value.code == "turn_in_progress"
    await run.engine.end(call_id)
    with pytest.raises(Refusal) as ended:
        await first
    assert ended.value.code == "call_ended"


async def test_a_busy_line_ends_as_busy(start: Start) -> None:
    run = await start()
    call_id = await run.engine.initiate(BUSY, "Hello", "conversation")
    call = await run.until_call(call_id, lambda call: not call.live)
    assert call.end_reason is State.BUSY
    assert call.answered_at is None


async def test_a_refused_caller_never_gets_a_stream(start: Start) -> None:
    run = await start(inbound_policy="allowlist", allow_from=["+15550100102"])
    call = await run.ring_in("Anna Miller")
    call = await run.until_call(call.call_id, lambda call: not call.live)
    assert call.end_reason is State.HANGUP_BOT
    assert call.error is not None and call.error["code"] == "inbound_refused"
    assert "socket" not in call.rungs
    welcome = await run.ring_in("Tom Baker")
    await run.until_call(welcome.call_id, lambda call: "start" in call.rungs)


async def test_a_voice_that_fails_is_said_and_the_call_goes_on(start: Start) -> None:
    voice = Humming()
    run = await start(voice=voice)
    call_id = await run.engine.initiate(SINK, "Hello.", "conversation")
    await run.until_call(call_id, lambda call: "heard" in call.rungs)
    voice.broken = "no voice today"
    with pytest.raises(Refusal) as refused:
        await run.engine.speak(call_id, "Can you hear me?", "console")
    assert refused.value.code == "speech_unavailable"
    call = run.engine.call(call_id)
    assert call is not None and call.live


async def test_a_lost_recogniser_is_visible_and_comes_back(start: Start) -> None:
    """Pain A9."""
    recogniser = Understands()
    run = await start(recogniser=recogniser)
    call_id = await run.engine.initiate(SINK, "Hello.", "conversation")
    await run.until_call(call_id, lambda call: "heard" in call.rungs)
    recogniser.listeners[0].lose("the worker died")
    await run.until_call(call_id, lambda call: call.deaf)
    await run.until_call(call_id, lambda call: not call.deaf)
    assert len(recogniser.listeners) == 2


async def test_a_held_call_says_so_and_the_agent_keeps_silent(start: Start) -> None:
    run = await start()
    call_id = await run.engine.initiate(DANIEL, "Hello.", "conversation")
    await run.until_call(call_id, lambda call: "heard" in call.rungs)
    await run.engine.set_floor(call_id, "held", "console:ada")
    call = await run.until_call(call_id, lambda call: "One moment, please." in _texts(call))
    assert (call.floor, call.floor_by) == ("held", "console:ada")
    await run.until_call(call_id, lambda call: call.transcript[-1].speaker == "caller")
    events = [event.type for event in await run.events(call_id)]
    assert "turn.completed" not in events


async def test_keys_pressed_by_us_reach_the_other_phone(start: Start) -> None:
    run = await start()
    call_id = await run.engine.initiate(SINK, "Hello.", "conversation")
    await run.until_call(call_id, lambda call: "start" in call.rungs)
    await run.engine.send_dtmf(call_id, "42#", "console")
    await run.until_carrier(call_id, lambda report: report["heard"]["digits"] == "42#")


async def test_no_more_calls_than_configured_are_placed(start: Start) -> None:
    run = await start(max_concurrent_calls=1)
    await run.engine.initiate(SINK, "Hello.", "conversation")
    with pytest.raises(Refusal) as refused:
        await run.engine.initiate(SINK, "Hello.", "conversation")
    assert refused.value.code == "at_capacity"


@pytest.mark.parametrize(
    ("number", "message", "dtmf", "code"),
    [
        ("555", "Hello", "", "invalid_number"),
        ("+0155501001", "Hello", "", "invalid_number"),
        (SINK, "x" * 4001, "", "invalid_message"),
        (SINK, "Hello", "abc", "invalid_digits"),
    ],
)
async def test_a_bad_order_is_refused_before_anything_is_recorded(
    start: Start, number: str, message: str, dtmf: str, code: str
) -> None:
    run = await start()
    with pytest.raises(Refusal) as refused:
        await run.engine.initiate(number, message, "conversation", dtmf)
    assert refused.value.code == code
    assert not [event for event in await run.events() if event.call_id]


async def test_the_book_is_what_folding_the_log_gives(start: Start, tmp_path: Path) -> None:
    run = await start()
    call = await run.ring_in("Tom Baker")
    await run.until_call(call.call_id, lambda call: len(call.turns) >= 1)
    await run.engine.end(call.call_id)
    folded = fold(await run.events())
    kept = run.engine.call(call.call_id)
    assert kept is not None
    assert folded[call.call_id].to_json() == kept.to_json()


def _texts(call: object) -> list[str]:
    return [line.text for line in getattr(call, "transcript", ())]


def _outbound(delay: int) -> object:
    from engine.config import Outbound

    return Outbound(default_mode="notify", notify_hangup_delay_sec=delay)
