"""Putting a caller through: what is asked of the carrier, and what becomes of the call."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.api import Refusal
from engine.calls import Draft, State
from engine.carriers.base import CarrierError
from engine.clock import epoch_ms
from engine.live import streamed as call_module
from engine.live.turn_clock import TurnClock
from engine.store import DATABASE_NAME, EventLog
from tests.engine.fake_carrier import OURS, Table, sid, table, without

ELSEWHERE = "+15550100177"
CALLER = "+15550100103"


async def test_the_caller_is_put_through_and_the_stream_that_ends_is_not_missed(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call, stream = await at.ring_in()
        await at.until_event(call, "say.heard")
        await at.engine.set_floor(call.call_id, "operator", "console")
        await at.engine.transfer(call.call_id, ELSEWHERE, "console")
        (order,) = at.carrier.transfers
        assert (order.to_number, order.caller_id, order.ring_seconds) == (ELSEWHERE, OURS, 30)
        assert order.url == f"{at.webhook_url}?callId={call.call_id}&flow=transfer"
        await stream.close()
        await asyncio.sleep(call_module.LOST_SECONDS + 0.2)
        now = at.now(call)
        assert (now.live, now.transferred_to, now.floor) == (True, ELSEWHERE, "operator")
        assert at.carrier.reopened == []
        types = await at.types(call)
        assert "stream.lost" not in types
        acted, transferred = types.index("operator.acted"), types.index("call.transferred")
        assert acted < transferred
        told = {event.type: event.data for event in await at.events(call)}
        assert told["operator.acted"] == {"action": "transfer", "to": ELSEWHERE, "by": "console"}
        assert told["call.transferred"] == {"to": ELSEWHERE, "by": "console"}


async def test_the_call_is_over_when_the_two_have_talked(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call, stream = await at.ring_in()
        await at.engine.transfer(call.call_id, ELSEWHERE, "cli")
        await stream.close()
        document = await at.tell("transfer_over", sid(call), reached=True, detail="completed", wants_document=True)
        assert [verb["verb"] for verb in document] == ["Hangup"]
        ended = at.now(call)
        assert (ended.live, ended.end_reason) == (False, State.COMPLETED)
        await at.tell("ended", sid(call), reason="completed")
        assert (await at.types(call)).count("call.ended") == 1


@pytest.mark.parametrize("why", ["busy", "no-answer", "failed"])
async def test_a_caller_whom_nobody_took_comes_back_to_whoever_had_the_floor(tmp_path: Path, why: str) -> None:
    async with table(tmp_path) as at:
        call, stream = await at.ring_in()
        await at.until_event(call, "say.heard")
        await at.engine.transfer(call.call_id, ELSEWHERE, "cli")
        await stream.close()
        document = await at.tell("transfer_over", sid(call), reached=False, detail=why, wants_document=True)
        assert document[0]["verb"] == "Connect" and document[0]["token"]
        assert at.now(call).transferred_to == ""
        await at.connect(document, sid(call))
        back = await at.until(call, lambda call: any("put you through" in line.text for line in call.transcript))
        assert (back.live, back.floor) == (True, "agent")
        await at.engine.speak(call.call_id, "What else can I do for you?", "cli")
        types = await at.types(call)
        assert types.index("call.transferred") < types.index("call.returned") < types.index("stream.resumed")
        assert {"why": why, "to": ELSEWHERE} in [event.data for event in await at.events(call)]


async def test_the_operator_speaks_for_themselves_when_the_caller_is_back(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call, stream = await at.ring_in()
        await at.until_event(call, "say.heard")
        await at.engine.set_floor(call.call_id, "operator", "console")
        await at.engine.transfer(call.call_id, ELSEWHERE, "console")
        await stream.close()
        document = await at.tell("transfer_over", sid(call), reached=False, detail="busy", wants_document=True)
        await at.connect(document, sid(call))
        await at.engine.speak(call.call_id, "They are not in.", "console")
        assert [line.text for line in at.now(call).transcript][1:] == ["They are not in."]


async def test_a_caller_who_was_to_come_back_and_does_not_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_module, "REOPEN_SECONDS", 0.2)
    async with table(tmp_path) as at:
        call, stream = await at.ring_in()
        await at.engine.transfer(call.call_id, ELSEWHERE, "cli")
        await stream.close()
        await at.tell("transfer_over", sid(call), reached=False, detail="busy", wants_document=True)
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.ERROR


async def test_our_voice_and_what_waits_to_be_said_are_silenced(tmp_path: Path) -> None:
    async with table(tmp_path, ms_per_character=60) as at:
        call, stream = await at.ring_in()
        await at.until_event(call, "say.heard")
        speaking = asyncio.create_task(at.engine.speak(call.call_id, "A long line that is not heard whole.", "cli"))
        await at.until(call, lambda call: call.state is State.SPEAKING)
        waiting = asyncio.create_task(at.engine.speak(call.call_id, "And another one.", "cli"))
        await at.until(call, lambda call: bool(call.queued))
        await at.engine.transfer(call.call_id, ELSEWHERE, "cli")
        await speaking
        with pytest.raises(Refusal):
            await waiting
        assert stream.clears == 1
        line = at.now(call).transcript[-1]
        assert line.cut and line.unheard


async def test_a_question_that_waits_for_its_answer_is_told_that_the_caller_left(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call, _ = await at.ring_in()
        await at.until_event(call, "say.heard")
        asking = asyncio.create_task(at.engine.continue_call(call.call_id, "Are you there?", "cli"))
        await at.until(call, lambda call: any(line.text == "Are you there?" for line in call.transcript))
        await at.until(call, lambda call: call.state is State.LISTENING)
        await at.engine.transfer(call.call_id, ELSEWHERE, "cli")
        with pytest.raises(Refusal, match="put through"):
            await asking


async def test_nothing_can_be_said_to_a_caller_who_is_away(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call, _ = await at.ring_in()
        await at.engine.transfer(call.call_id, ELSEWHERE, "cli")
        for act in (
            at.engine.speak(call.call_id, "Hello?", "cli"),
            at.engine.continue_call(call.call_id, "Hello?", "cli"),
            at.engine.send_dtmf(call.call_id, "1", "cli"),
        ):
            with pytest.raises(Refusal, match=rf"put through to \{ELSEWHERE}") as refused:
                await act
            assert refused.value.code == "call_not_connected"
        with pytest.raises(Refusal, match="already") as again:
            await at.engine.transfer(call.call_id, "+15550100178", "cli")
        assert again.value.code == "turn_in_progress"
        assert len(at.carrier.transfers) == 1


async def test_only_one_transfer_at_a_time_is_asked_for(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.carrier.during_transfer = asyncio.Event()
        call, _ = await at.ring_in()
        first = asyncio.create_task(at.engine.transfer(call.call_id, ELSEWHERE, "cli"))
        await at.carrier.until(at.carrier.transfers)
        with pytest.raises(Refusal, match="already"):
            await at.engine.transfer(call.call_id, ELSEWHERE, "cli")
        at.carrier.during_transfer.set()
        await first
        assert len(at.carrier.transfers) == 1


@pytest.mark.parametrize(
    ("kind", "code"), [("refused", "carrier_refused"), ("retry", "carrier_refused"), ("gone", "call_ended")]
)
async def test_a_refusal_keeps_the_carriers_words_and_the_call_goes_on(tmp_path: Path, kind: str, code: str) -> None:
    async with table(tmp_path) as at:
        error = CarrierError("13223: no such number", kind=kind, link="https://example.com/13223")  # type: ignore[arg-type]
        at.carrier.fail["transfer"] = error
        call, _ = await at.ring_in()
        await at.until_event(call, "say.heard")
        with pytest.raises(Refusal, match="13223: no such number") as refused:
            await at.engine.transfer(call.call_id, ELSEWHERE, "cli")
        assert (refused.value.code, refused.value.hint) == (code, "https://example.com/13223")
        await at.engine.speak(call.call_id, "That did not work.", "cli")
        assert "call.transferred" not in await at.types(call)


async def test_a_stream_that_ended_for_a_transfer_that_was_refused_is_opened_again(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.carrier.during_transfer = asyncio.Event()
        at.carrier.fail["transfer"] = CarrierError("no")
        call, stream = await at.ring_in()
        asked = asyncio.create_task(at.engine.transfer(call.call_id, ELSEWHERE, "cli"))
        await at.carrier.until(at.carrier.transfers)
        await stream.close()
        await asyncio.sleep(call_module.LOST_SECONDS + 0.2)
        assert at.carrier.reopened == []
        at.carrier.during_transfer.set()
        with pytest.raises(Refusal):
            await asked
        connect = await at.carrier.until(at.carrier.reopened)
        await at.connect([{"verb": "Connect", "url": connect.url, "token": connect.token}], sid(call))
        await at.until_event(call, "stream.resumed")
        assert at.now(call).live


async def test_an_uncertain_transfer_happened_if_the_stream_ended(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.carrier.fail["transfer"] = CarrierError("no answer in time", kind="unknown")
        call, stream = await at.ring_in()
        asked = asyncio.create_task(at.engine.transfer(call.call_id, ELSEWHERE, "cli"))
        await at.carrier.until(at.carrier.transfers)
        await stream.close()
        await asked
        assert at.now(call).transferred_to == ELSEWHERE


async def test_an_uncertain_transfer_did_not_happen_if_the_stream_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.live.transfer.STREAM_ENDS_SECONDS", 0.2)
    async with table(tmp_path) as at:
        at.carrier.fail["transfer"] = CarrierError("no answer in time", kind="unknown")
        call, _ = await at.ring_in()
        with pytest.raises(Refusal) as refused:
            await at.engine.transfer(call.call_id, ELSEWHERE, "cli")
        assert (refused.value.code, refused.value.call_id) == ("outcome_unknown", call.call_id)
        await at.engine.speak(call.call_id, "I am still here.", "cli")


async def test_an_end_that_is_told_before_the_carrier_answered_our_request_counts(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.carrier.during_transfer = asyncio.Event()
        call, stream = await at.ring_in()
        await at.until_event(call, "say.heard")
        asked = asyncio.create_task(at.engine.transfer(call.call_id, ELSEWHERE, "cli"))
        await at.carrier.until(at.carrier.transfers)
        await stream.close()
        document = await at.tell("transfer_over", sid(call), reached=False, detail="busy", wants_document=True)
        at.carrier.during_transfer.set()
        await asked
        await at.connect(document, sid(call))
        await at.engine.speak(call.call_id, "They are busy.", "cli")
        types = await at.types(call)
        assert types.count("call.transferred") == types.count("call.returned") == 1
        assert types.index("call.transferred") < types.index("call.returned")
        assert at.now(call).transferred_to == ""


async def test_a_caller_who_hangs_up_meanwhile_ends_the_call(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call, stream = await at.ring_in()
        await at.engine.transfer(call.call_id, ELSEWHERE, "cli")
        await stream.close()
        await at.tell("ended", sid(call), reason="completed")
        assert at.now(call).end_reason is State.COMPLETED
        late = await at.tell("transfer_over", sid(call), reached=False, detail="canceled", wants_document=True)
        assert [verb["verb"] for verb in late] == ["Hangup"]
        assert "call.returned" not in await at.types(call)


async def test_after_a_restart_a_caller_who_is_away_is_left_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.live.limits.STREAM_SECONDS", 0.1)
    ends = {"direction": "inbound", "mode": "conversation", "from": CALLER, "to": OURS}
    async with await EventLog.open(tmp_path / DATABASE_NAME) as log:
        await log.append(
            [
                Draft("call.initiated", "c1", {"provider": "fake", **ends}, epoch_ms()),
                Draft("call.accepted", "c1", {"providerCallId": "CAin"}, epoch_ms()),
                Draft("stream.started", "c1", {"streamId": "MZ1"}, epoch_ms()),
                Draft("call.transferred", "c1", {"to": ELSEWHERE, "by": "cli"}, epoch_ms()),
            ]
        )
    async with table(tmp_path) as at:
        call = await at.taken_up("c1")
        await asyncio.sleep(0.3)
        assert at.carrier.reopened == []
        assert at.now(call).live and at.now(call).transferred_to == ELSEWHERE
        with pytest.raises(Refusal, match="put through"):
            await at.engine.speak("c1", "Hello?", "cli")
        document = await at.tell("transfer_over", "CAin", reached=False, detail="busy", wants_document=True)
        await at.connect(document, "CAin")
        await at.engine.speak("c1", "Here I am again.", "cli")
        assert (await at.types(call)).count("call.transferred") == 1


async def test_what_the_caller_said_last_is_not_answered_when_they_are_away(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call, _ = await at.ring_in()
        await at.until_event(call, "say.heard")
        await at.engine.transfer(call.call_id, ELSEWHERE, "cli")
        live = at.engine._calls.get(call.call_id)
        assert live is not None
        live.caller_said("what are your opening hours", TurnClock(1))
        assert not live.replies.pending and not live.mouth.busy


async def test_a_document_that_is_on_its_way_to_the_carrier_can_not_arrive_after_the_transfer(tmp_path: Path) -> None:
    async with table(tmp_path, streaming={"enabled": False}) as at:
        at.carrier.during_instruct = asyncio.Event()
        call = await at.call_out("Hello.")
        await at.tell("answered", sid(call), direction="outbound", wants_document=True)
        await at.until_event(call, "say.heard")
        speaking = asyncio.create_task(at.engine.speak(call.call_id, "One moment.", "cli"))
        await at.carrier.until(at.carrier.instructing)
        asked = asyncio.create_task(at.engine.transfer(call.call_id, ELSEWHERE, "cli"))
        await at.until_event(call, "operator.acted", action="transfer")
        await asyncio.sleep(0.05)  # nothing is told while it waits
        assert at.carrier.transfers == [] and not asked.done()
        at.carrier.during_instruct.set()
        await asked
        assert len(at.carrier.instructed) == len(at.carrier.transfers) == 1
        await asyncio.gather(speaking, return_exceptions=True)  # cut, or skipped
        assert at.carrier.instructing == at.carrier.instructed, "and none is sent afterwards"


async def test_a_call_that_is_being_ended_is_not_put_through(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        at.carrier.during_hang_up = asyncio.Event()
        call, _ = await at.ring_in()
        ending = asyncio.create_task(at.engine.end(call.call_id, "cli"))
        await at.carrier.until(at.carrier.hung_up)
        assert (await refused(at, call.call_id, ELSEWHERE)).code == "call_ended"
        at.carrier.during_hang_up.set()
        await ending


async def refused(at: Table, call_id: str, to: str) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        await at.engine.transfer(call_id, to, "cli")
    assert at.carrier.transfers == []
    return refusal.value


async def test_what_can_not_be_put_through_is_refused_before_the_carrier_is_asked(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call, _ = await at.ring_in(CALLER)
        assert (await refused(at, call.call_id, "12345")).code == "invalid_number"
        assert (await refused(at, call.call_id, CALLER)).code == "invalid_number"
        assert (await refused(at, "nobody", ELSEWHERE)).code == "call_not_found"
        ringing = await at.call_out()
        assert (await refused(at, ringing.call_id, ELSEWHERE)).code == "call_not_connected"
        await at.engine.end(call.call_id, "cli")
        assert (await refused(at, call.call_id, ELSEWHERE)).code == "call_ended"
        assert "operator.acted" not in await at.types(ringing)


async def test_a_carrier_that_can_not_transfer_says_so(tmp_path: Path) -> None:
    async with table(tmp_path, without(transfer=False)) as at:
        call, _ = await at.ring_in()
        refusal = await refused(at, call.call_id, ELSEWHERE)
        assert (refusal.code, refusal.error) == ("not_supported", "fake can not transfer calls")


async def test_our_number_on_a_call_that_we_placed_is_the_callers_id(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call = await at.call_out()
        await at.answer(call)
        await at.engine.transfer(call.call_id, ELSEWHERE, "cli")
        assert at.carrier.transfers[0].caller_id == OURS
