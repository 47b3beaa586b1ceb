"""When a machine answers: the verdict comes early, late, twice or never, and the message is left once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api import Refusal
from engine.calls import Call, Cursor, Draft, Event, State
from engine.carriers.base import AnsweredBy, CarrierError, Hangup, Pause, Redirect, Say
from engine.live import machine
from engine.live.machine import Setting, after_notice, decide, detection, ended_as, notice
from engine.live.turn_clock import TurnClock
from tests.engine.fake_carrier import Table, config_of, sid, table, without

MESSAGE = "Your table is ready."
ENDS = ("say.heard", "say.cut", "say.skipped", "say.failed")
VERDICTS: tuple[AnsweredBy, ...] = get_args(AnsweredBy)
SETTINGS: tuple[Setting, ...] = get_args(Setting)


def settings(action: str, delay: int = 0) -> dict[str, object]:
    return {"answering_machine": action, "notify_hangup_delay_sec": delay}


def call_with(answered_by: str = "", media: str = "inline") -> Call:
    return Call("c1", "fake", "outbound", "notify", "+1", "+2", 1, answered_by=answered_by, media=media)  # type: ignore[arg-type]


# what a verdict means


@pytest.mark.parametrize("answered_by", VERDICTS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_what_is_done_about_each_verdict(setting: Setting, answered_by: AnsweredBy) -> None:
    wanted: str = "continue"
    if setting == "hang_up" and answered_by in ("machine", "machine_end", "fax"):
        wanted = "hang_up"
    if setting == "leave_message":
        wanted = {"machine": "wait", "machine_end": "leave_message", "fax": "hang_up"}.get(answered_by, "continue")
    assert decide(setting, answered_by) == wanted


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [("off", "no"), ("hang_up", "answer"), ("continue", "answer"), ("leave_message", "message_end")],
)
def test_what_the_carrier_is_asked_to_find_out(setting: str, wanted: str) -> None:
    config = config_of(outbound=settings(setting))
    assert detection(config, capable=True) == wanted
    assert detection(config, capable=False) == "no"


@pytest.mark.parametrize(("delay", "seconds"), [(0, 1), (3, 3), (3.2, 4)])
def test_a_notice_says_its_message_waits_and_hangs_up(delay: float, seconds: int) -> None:
    config = config_of(outbound={"notify_hangup_delay_sec": delay})
    assert notice("Hi", config, "http://again", detects="no") == (Say("Hi"), Pause(seconds), Hangup())
    assert notice("Hi", config, "http://again", detects="answer")[-1] == Hangup()


def test_a_notice_that_may_meet_a_long_greeting_asks_instead_of_hanging_up() -> None:
    document = notice("Hi", config_of(), "http://again", detects="message_end")
    assert document == (Say("Hi"), Pause(3), Redirect("http://again"))


@pytest.mark.parametrize("answered_by", ["human", "unknown", "fax"])
def test_a_notice_that_a_person_heard_is_over(answered_by: str) -> None:
    assert after_notice(call_with(answered_by)) == (Hangup(),)


@pytest.mark.parametrize("answered_by", ["", "machine"])
def test_a_notice_waits_for_the_verdict_and_for_the_end_of_a_greeting(answered_by: str) -> None:
    wait, end = after_notice(call_with(answered_by))
    assert isinstance(wait, Pause) and wait.seconds >= 30
    assert end == Hangup()


def test_a_call_that_a_machine_took_is_no_completed_one() -> None:
    assert ended_as("machine", "leave_message", State.COMPLETED) is State.VOICEMAIL
    assert ended_as("machine", "hang_up", State.COMPLETED) is State.VOICEMAIL
    assert ended_as("machine", "continue", State.COMPLETED) is State.COMPLETED
    assert ended_as("machine", "hang_up", State.FAILED) is State.FAILED
    assert ended_as("human", "hang_up", State.COMPLETED) is State.COMPLETED
    assert ended_as("", "hang_up", State.COMPLETED) is State.COMPLETED


# conversations over a stream


async def verdict(at: Table, call: Call, answered_by: str) -> None:
    await at.tell("machine", sid(call), answered_by=answered_by)


async def machine_facts(at: Table, call: Call) -> list[tuple[str, str]]:
    found = [event.data for event in await at.events(call) if event.type == "call.machine"]
    return [(data["answeredBy"], data["action"]) for data in found]


async def test_a_person_is_talked_to_as_ever(tmp_path: Path) -> None:
    async with table(tmp_path, outbound=settings("hang_up")) as at:
        call = await at.call_out()
        await at.answer(call)
        await verdict(at, call, "human")
        await at.engine.speak(call.call_id, "How are you?", "cli")
        assert at.carrier.dialled[0].detect_machine == "answer"
        assert await machine_facts(at, call) == [("human", "continue")]
        assert at.now(call).answered_by == "human"


@pytest.mark.parametrize("answered_by", ["machine", "machine_end", "fax"])
async def test_a_machine_is_hung_up_on_where_that_is_configured(tmp_path: Path, answered_by: str) -> None:
    async with table(tmp_path, outbound=settings("hang_up")) as at:
        call = await at.call_out()
        await at.answer(call)
        await verdict(at, call, answered_by)
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.VOICEMAIL
        assert at.carrier.hung_up == [sid(call)]


async def test_where_machines_are_talked_to_the_verdict_is_only_noted(tmp_path: Path) -> None:
    async with table(tmp_path, outbound=settings("continue")) as at:
        call = await at.call_out()
        await at.answer(call)
        await verdict(at, call, "machine")
        await at.engine.speak(call.call_id, "Hello, machine.", "cli")
        assert await machine_facts(at, call) == [("machine", "continue")]
        assert (at.now(call).answered_by, at.now(call).live) == ("machine", True)


async def test_a_message_is_left_after_the_beep_and_not_into_the_greeting(tmp_path: Path) -> None:
    async with table(tmp_path, ms_per_character=40, outbound=settings("leave_message")) as at:
        call = await at.call_out(MESSAGE)
        stream = await at.answer(call)
        await at.until(call, lambda call: call.state is State.SPEAKING)
        await verdict(at, call, "machine")
        await at.until(call, lambda call: call.transcript[0].cut)
        assert stream.clears == 1
        live = at.engine._calls.get(call.call_id)
        assert live is not None
        live.caller_said("please leave a message after the beep", TurnClock(1))
        live.caller_interrupts()
        await asyncio.sleep(0.3)
        assert not live.mouth.busy and not live.replies.pending, "nothing is said into a greeting"
        await verdict(at, call, "machine_end")
        live.caller_interrupts()
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.VOICEMAIL
        assert [(line.text, line.cut) for line in ended.transcript][1:] == [(MESSAGE, False)]
        assert await machine_facts(at, call) == [("machine", "wait"), ("machine_end", "leave_message")]


async def test_a_greeting_of_ours_waits_while_the_machine_talks(tmp_path: Path) -> None:
    """The verdict is here before our stream is: then nothing is said until the beep."""
    async with table(tmp_path, outbound=settings("leave_message")) as at:
        call = await at.call_out(MESSAGE)
        document = await at.tell("answered", sid(call), direction="outbound", wants_document=True)
        await verdict(at, call, "machine")
        await at.connect(document, sid(call))
        await at.until(call, lambda call: "stt" in call.rungs)
        await asyncio.sleep(0.3)
        assert at.now(call).transcript == ()
        await verdict(at, call, "machine_end")
        ended = await at.until(call, lambda call: not call.live)
        assert [line.text for line in ended.transcript] == [MESSAGE], "once"


async def test_a_verdict_that_comes_twice_is_acted_on_once(tmp_path: Path) -> None:
    async with table(tmp_path, outbound=settings("leave_message")) as at:
        call = await at.call_out(MESSAGE)
        await at.answer(call)
        await at.until_event(call, "say.heard")
        await asyncio.gather(*(verdict(at, call, "machine_end") for _ in range(3)))
        await verdict(at, call, "machine")
        await verdict(at, call, "human")
        ended = await at.until(call, lambda call: not call.live)
        assert await machine_facts(at, call) == [("machine_end", "leave_message")]
        assert [line.text for line in ended.transcript] == [MESSAGE, MESSAGE]


async def test_a_verdict_about_a_call_that_is_over_changes_nothing(tmp_path: Path) -> None:
    async with table(tmp_path, outbound=settings("hang_up")) as at:
        call = await at.call_out()
        await at.answer(call)
        await at.engine.end(call.call_id, "cli")
        before = await at.types(call)
        await verdict(at, call, "machine")
        assert [type_ for type_ in await at.types(call) if type_ != "webhook.received"] == [
            type_ for type_ in before if type_ != "webhook.received"
        ]
        assert at.now(call).end_reason is State.HANGUP_BOT


async def test_a_verdict_that_comes_with_the_end_is_kept_and_explains_it(tmp_path: Path) -> None:
    async with table(tmp_path, outbound=settings("hang_up")) as at:
        call = await at.call_out()
        await at.answer(call)
        await at.tell("ended", sid(call), reason="completed", answered_by="machine")
        assert (at.now(call).answered_by, at.now(call).end_reason) == ("machine", State.VOICEMAIL)


async def test_a_machine_whose_greeting_never_ends_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "GREETING_SECONDS", 0.2)
    async with table(tmp_path, outbound=settings("leave_message")) as at:
        call = await at.call_out(MESSAGE)
        await at.answer(call)
        await verdict(at, call, "machine")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.VOICEMAIL


async def test_a_person_at_the_console_keeps_the_call(tmp_path: Path) -> None:
    async with table(tmp_path, outbound=settings("hang_up")) as at:
        call = await at.call_out()
        await at.answer(call)
        await at.engine.set_floor(call.call_id, "operator", "console")
        await verdict(at, call, "machine")
        await at.engine.speak(call.call_id, "I will say it myself.", "console")
        assert at.now(call).live
        assert await machine_facts(at, call) == [("machine", "continue")]


async def test_a_person_may_take_the_floor_while_the_message_is_left(tmp_path: Path) -> None:
    async with table(tmp_path, ms_per_character=60, outbound=settings("leave_message")) as at:
        call = await at.call_out(MESSAGE)
        await at.answer(call)
        await verdict(at, call, "machine_end")
        await at.until(call, lambda call: any(line.playing and line.text == MESSAGE for line in call.transcript))
        await at.engine.set_floor(call.call_id, "operator", "console")
        await at.engine.speak(call.call_id, "Wait, I am here.", "console")
        assert at.now(call).live


# notices


async def test_a_notice_of_ours_is_left_again_after_the_beep(tmp_path: Path) -> None:
    async with table(tmp_path, without(inline_notify=False), outbound=settings("leave_message")) as at:
        call = await at.call_out(MESSAGE, "notify")
        await at.answer(call)
        await at.until_event(call, "say.heard")
        await asyncio.sleep(0.2)
        assert at.now(call).live, "who answered is not known yet: it may be a machine"
        await verdict(at, call, "machine_end")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.VOICEMAIL
        assert [line.text for line in ended.transcript] == [MESSAGE, MESSAGE]


async def test_a_notice_that_a_person_heard_ends_as_soon_as_that_is_known(tmp_path: Path) -> None:
    async with table(tmp_path, without(inline_notify=False), outbound=settings("leave_message")) as at:
        call = await at.call_out(MESSAGE, "notify")
        await at.answer(call)
        await verdict(at, call, "human")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.COMPLETED


async def test_a_notice_that_nobody_tells_about_ends_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "VERDICT_SECONDS", 0.2)
    async with table(tmp_path, without(inline_notify=False), outbound=settings("leave_message")) as at:
        call = await at.call_out(MESSAGE, "notify")
        await at.answer(call)
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.COMPLETED


async def test_a_notice_that_the_carrier_speaks_is_said_again_by_the_carrier(tmp_path: Path) -> None:
    async with table(tmp_path, outbound=settings("leave_message")) as at:
        call = await at.call_out(MESSAGE, "notify")
        order = at.carrier.dialled[0]
        again = f"{at.webhook_url}?callId={call.call_id}&flow=connect"
        assert (order.detect_machine, order.inline) == (
            "message_end",
            (Say(MESSAGE), Pause(1), Redirect(again)),
        )
        await at.tell("answered", sid(call))
        asked = await at.tell("asks", sid(call), wants_document=True)
        assert [verb["verb"] for verb in asked] == ["Pause", "Hangup"]
        await verdict(at, call, "machine_end")
        assert await at.carrier.until(at.carrier.instructed) == (Say(MESSAGE), Hangup())
        await at.tell("ended", sid(call), reason="completed")
        assert at.now(call).end_reason is State.VOICEMAIL
        assert at.carrier.hung_up == []


async def test_a_notice_that_can_not_be_left_is_no_success(tmp_path: Path) -> None:
    async with table(tmp_path, outbound=settings("leave_message")) as at:
        at.carrier.fail["instruct"] = CarrierError("21220: not in-progress")
        call = await at.call_out(MESSAGE, "notify")
        await at.tell("answered", sid(call))
        await verdict(at, call, "machine_end")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.FAILED
        told = (await at.events(call))[-1]
        assert "21220" in told.data["detail"]


async def test_the_machine_hung_up_by_itself_while_the_message_was_left(tmp_path: Path) -> None:
    async with table(tmp_path, outbound=settings("leave_message")) as at:
        at.carrier.fail["instruct"] = CarrierError("no such call", kind="gone")
        call = await at.call_out(MESSAGE, "notify")
        await at.tell("answered", sid(call))
        await verdict(at, call, "machine_end")
        await at.tell("ended", sid(call), reason="completed")
        assert at.now(call).end_reason is State.VOICEMAIL


async def test_a_message_that_is_being_left_has_an_end_although_nobody_told_that_of_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.live.notice.SAID_SLACK_SECONDS", 0)
    monkeypatch.setattr("engine.live.notice.ASK_SECONDS", 0.2)
    async with table(tmp_path, outbound=settings("leave_message")) as at:
        call = await at.call_out("Hi.", "notify")
        await at.tell("answered", sid(call))
        await verdict(at, call, "machine_end")
        await at.until_event(call, "say.started")
        await at.carrier.until(at.carrier.instructed)
        at.carrier.hung_up.append(sid(call))  # over there, and no webhook says so
        await at.until(call, lambda call: not call.live)
        assert unended_lines(await at.events(call)) == {}


async def test_a_notice_that_could_not_be_dialled_has_an_end(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.carrier.fail["dial"] = CarrierError("the number is no number")
        with pytest.raises(Refusal):
            await at.engine.initiate("+15550100142", MESSAGE, "notify")
        beginning = Cursor(at.engine.cursor().generation, 0)
        events = list((await at.engine.events(beginning, limit=5000)).events)
        assert any(event.type == "say.queued" for event in events)
        assert unended_lines(events) == {}


async def test_a_line_that_is_queued_while_the_end_is_written_down_has_an_end_too(tmp_path: Path) -> None:
    async with table(tmp_path, streaming={"enabled": False}) as at:
        call = await at.call_out("Hello.")
        await at.tell("answered", sid(call), wants_document=True)
        live = at.engine._calls.get(call.call_id)
        assert live is not None
        ended = Draft("call.ended", call.call_id, {"reason": "completed"})
        at.engine._recorder.post(*live.closing_facts(), ended)
        line = live.say("Just a moment.", "agent")
        assert await line.done == "skipped"
        await at.engine._recorder.settle()
        assert unended_lines(await at.events(call)) == {}


def unended_lines(events: Sequence[Event]) -> dict[str, int]:
    """Lines that have another number of ends than one."""
    ends = Counter(event.data["sayId"] for event in events if event.type in ENDS)
    queued = [event.data["sayId"] for event in events if event.type == "say.queued"]
    assert set(ends) <= set(queued)
    return {say_id: ends[say_id] for say_id in queued if ends[say_id] != 1}


@given(st.lists(st.sampled_from(VERDICTS), max_size=8))
def test_whatever_is_told_in_whatever_order_a_message_is_left_at_most_once(told: list[AnsweredBy]) -> None:
    known, acted = "", []
    for answered_by in told:
        if answered_by in machine._NEWS.get(known, ()):
            known = answered_by
            acted.append(decide("leave_message", answered_by))
    assert acted.count("leave_message") + acted.count("hang_up") <= 1
    assert len(acted) <= 3
