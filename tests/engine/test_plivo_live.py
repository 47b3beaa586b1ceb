"""A whole engine against a far end that behaves like Plivo, over audio streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.calls import Call, State
from engine.config import parse_config
from engine.live import machine
from engine.simulator.voices import VoiceBank
from tests.carriers.plivo_far import OUR_NUMBER
from tests.engine.plivo_rig import BUSY, COLLEAGUE, MACHINE, SINK, STRANGER, live, person, ring_in


@pytest.mark.parametrize("own_names", [False, True])
async def test_a_conversation_is_greeted_heard_and_hung_up(tmp_path: Path, own_names: bool) -> None:
    async with live(tmp_path, settings={"own_names": own_names}) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.speak(call.call_id, "Are you still there?", "cli")
        now = at.engine.call(call.call_id)
        assert now is not None and now.provider_call_id == far.state.uuid
        assert at.engine.call(far.state.uuid) is now
        await at.engine.end(call.call_id, "cli")
        await far.until_over()
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.HANGUP_BOT and far.state.source == "API Request"
        (stream,) = far.streams
        assert stream.audio and set(stream.played) <= set(stream.checkpoints) and stream.played
        assert stream.ahead_ms <= 1000, "paced in real time"
        types = await at.types(call)
        assert "call.error" not in types and types.count("stream.opened") == 1 and "call.cost" in types


async def test_a_notice_is_said_over_the_stream_and_ends_its_call(tmp_path: Path) -> None:
    async with live(tmp_path, notify_hangup_delay_sec=0) as at:
        call, far = await at.dial(SINK, "Your parcel is here.", "notify")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.COMPLETED
        assert [(line.text, line.cut) for line in ended.transcript] == [("Your parcel is here.", False)]
        await far.until_over()


async def test_a_line_that_is_busy_and_one_that_nobody_takes_say_so(tmp_path: Path) -> None:
    nobody = "+15550100299"
    callers = [person(BUSY, "Busy", answers="busy"), person(nobody, "Nobody", answers="never")]
    async with live(tmp_path, 100, settings={"callers": callers}) as at:
        for number, reason in ((BUSY, State.BUSY), (nobody, State.NO_ANSWER)):
            call, _ = await at.dial(number, "Hello there.")
            assert (await at.until(call, lambda call: not call.live)).end_reason is reason


async def test_who_hangs_up_is_known(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        far.hang_up_person()
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.HANGUP_USER


async def test_keys_go_both_ways_and_the_stream_lives_on(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.send_dtmf(call.call_id, "42#", "cli")
        await far.until(lambda: far.streams[0].keys == "42#")
        await at.engine.send_dtmf(call.call_id, "1w2", "cli")
        assert far.leg is not None and far.leg.heard.digits == "42#12"
        assert at.far.asked("dtmf") == [{"digits": "1w2", "leg": "aleg"}], "a pause is no key of a stream's"
        await far.press("7#")
        await at.until(call, lambda call: call.dtmf.replace(" ", "") == "7#")
        await at.engine.speak(call.call_id, "Are you still there?", "cli")
        assert len(far.streams) == 1 and not far.streams[0].end


async def test_a_caller_is_put_through_talks_and_the_call_is_over(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.transfer(call.call_id, COLLEAGUE, "cli")
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.end_reason, ended.transferred_to) == (State.COMPLETED, COLLEAGUE)
        (leg,) = far.transfers
        assert (leg.to_number, leg.from_number, leg.status) == (COLLEAGUE, OUR_NUMBER, "completed")
        await far.until_over()
        types = await at.types(call)
        assert "stream.lost" not in types and "call.error" not in types


async def test_a_caller_whom_nobody_took_is_back_on_a_stream_and_hears_us(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.transfer(call.call_id, BUSY, "cli")
        await at.until(call, lambda call: any("put you through" in line.text for line in call.transcript))
        await at.engine.speak(call.call_id, "The line is busy. Can I help you?", "cli")
        now = at.engine.call(call.call_id)
        assert now is not None and now.live and now.transferred_to == ""
        assert far.transfers[0].status == "busy" and len(far.streams) == 2
        types = await at.types(call)
        assert types.index("call.transferred") < types.index("call.returned") < types.index("stream.resumed")
        assert "stream.lost" not in types


async def test_a_transfer_whose_answer_is_lost_is_known_by_its_being_fetched(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, _ = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        at.far.fail("transfer", "500-after")
        await at.engine.transfer(call.call_id, COLLEAGUE, "cli")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.transferred_to == COLLEAGUE and len(at.far.asked("transfer")) == 1


async def test_a_stream_that_breaks_is_opened_again_and_the_call_goes_on(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        assert far.socket is not None
        far.socket.lose()
        await far.until(lambda: len(far.streams) == 2 and far.streams[1].started)
        await at.engine.speak(call.call_id, "Here I am again.", "cli")
        now = at.engine.call(call.call_id)
        assert now is not None and now.live
        types = await at.types(call)
        assert types.count("stream.lost") == 1 and types.count("stream.resumed") == 1
        assert far.streams[0].url != far.streams[1].url, "each stream has a token of its own"


@pytest.mark.parametrize("reference_names", [False, True])
@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss"])
async def test_a_socket_is_let_in_whatever_scheme_stands_in_its_signature_and_its_loss_is_told(
    tmp_path: Path, reference_names: bool, scheme: Any
) -> None:
    async with live(tmp_path, settings={"reference_names": reference_names, "socket_scheme": scheme}) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        assert far.socket is not None
        far.socket.lose()
        await far.until(lambda: len(far.streams) == 2 and far.streams[1].started)
        await far.until(lambda: len(far.of("stream")) >= 3 and all(told.statuses for told in far.of("stream")))
        told = [delivery.params["Event"] for delivery in far.of("stream")]
        assert told[:2] == (["started", "failed"] if reference_names else ["StartStream", "DroppedStream"])


async def test_nonsense_on_the_socket_changes_nothing(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        assert far.socket is not None
        for nonsense in ('{"event":"of a later version"}', "[]", "{", '{"event":"media","streamId":"other"}'):
            far.socket.inject(nonsense)
        await at.engine.speak(call.call_id, "Are you still there?", "cli")
        assert (await at.types(call)).count("stream.opened") == 1


async def test_callbacks_that_come_twice_late_or_not_at_all_leave_one_call_with_one_greeting(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        faults = at.far.webhook_faults
        faults.duplicate |= {"ring", "hangup"}
        faults.repeat |= {"answer", "input"}
        faults.drop |= {"stream"}
        faults.delay_s["ring"] = 0.4
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.end(call.call_id, "cli")
        await far.until_over()
        ended = await at.until(call, lambda call: not call.live)
        assert [line.text for line in ended.transcript] == ["Hello there."]
        assert (await at.types(call)).count("call.ended") == 1
        statuses = {status for delivery in far.deliveries for status in delivery.statuses}
        assert statuses <= {200}


async def test_a_callback_with_somebody_elses_signature_does_nothing(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        at.far.webhook_faults.wrong_token.add("ring")
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        assert far.of("ring")[0].statuses == [401]


# machines


@pytest.mark.parametrize("mode", ["conversation", "notify"])
async def test_a_message_is_left_once_the_greeting_is_over_which_only_we_can_hear(tmp_path: Path, mode: Any) -> None:
    """Plivo says that it is a machine while its greeting runs, and nothing more."""
    async with live(tmp_path, answering_machine="leave_message", notify_hangup_delay_sec=0) as at:
        call, far = await at.dial(MACHINE, "Please call us back about Tuesday.", mode)
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.end_reason, ended.answered_by) == (State.VOICEMAIL, "machine")
        left = [line for line in ended.transcript if line.speaker == "agent"][-1]
        assert (left.text, left.cut) == ("Please call us back about Tuesday.", False)
        assert far.leg is not None and far.leg.said[0].whole, "nobody spoke into it"
        events = await at.events(call)
        said = [event.at for event in events if event.type == "say.started"][-1]
        heard = [event.at for event in events if event.type == "speech.final"][-1]
        assert said > heard


async def test_a_machine_is_hung_up_on(tmp_path: Path) -> None:
    async with live(tmp_path, answering_machine="hang_up") as at:
        call, far = await at.dial(MACHINE, "Hello there.")
        ended = await at.until(call, lambda call: not call.live)
        await far.until_over()
        assert ended.end_reason is State.VOICEMAIL and far.state.source == "API Request"


async def test_a_notice_for_a_person_does_not_wait_long_for_a_verdict_that_never_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long it waits is what Plivo may take to find a machine, and not the half minute of others."""
    monkeypatch.setattr(machine, "MACHINES_SECONDS", 1.0)
    async with live(tmp_path, answering_machine="leave_message", notify_hangup_delay_sec=0) as at:
        call, _ = await at.dial(SINK, "Your parcel is here.", "notify")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.COMPLETED and ended.answered_by == ""


# calls that come in


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_caller_who_may_call_is_greeted_and_heard(tmp_path: Path, method: Any) -> None:
    changes = {"inbound_policy": "allowlist", "allow_from": [SINK]}
    async with live(tmp_path, changes=changes, settings={"method": method}) as at:
        call, far = await ring_in(at)
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.speak(call.call_id, "One moment.", "cli")
        far.hang_up_person()
        ended = await at.until(call, lambda call: not call.live)
        assert (ended.direction, ended.from_number, ended.to_number) == ("inbound", SINK, OUR_NUMBER)
        assert ended.end_reason is State.HANGUP_USER and len(far.streams) == 1


@pytest.mark.parametrize("number", [STRANGER, "anonymous", SINK[:-1], "+1" + SINK[1:]])
async def test_who_may_not_call_is_refused_before_any_stream_exists(tmp_path: Path, number: str) -> None:
    async with live(tmp_path, changes={"inbound_policy": "allowlist", "allow_from": [SINK]}) as at:
        call, far = await ring_in(at, from_number=number)
        await far.until_over()
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.HANGUP_BOT and ended.answered_at is None
        assert far.state.answered_at is None and far.streams == []
        assert b'<Hangup reason="rejected"' in far.documents[-1]


async def test_a_stranger_waits_ringing_until_somebody_lets_them_in(tmp_path: Path) -> None:
    async with live(tmp_path, changes={"inbound_policy": "pairing"}) as at:
        call, far = await ring_in(at, from_number=STRANGER)
        waiting = await at.until(call, lambda call: call.waiting)
        assert waiting.answered_at is None and far.streams == []
        facts = [event.data for event in await at.events(call) if event.type == "call.waiting"]
        assert facts[0]["attestation"] == "Verified A"
        await at.engine.admit(call.call_id, "once", "console")
        await at.until(call, lambda call: "heard" in call.rungs)


# audio, heard and understood both ways


def theirs(call: Call) -> str:
    """All that the caller was understood to say."""
    return " ".join(line.text.lower() for line in call.transcript if line.speaker == "caller")


async def test_what_they_say_is_understood_and_what_we_say_is_heard(tmp_path: Path) -> None:
    """With the offline recogniser and voice, real synthesized people and real frames."""
    pytest.importorskip("moonshine_voice")
    from engine.speech.factory import make_recogniser, make_voice

    config = parse_config(b"", None, {}).config
    speaks = "+15550100211"
    callers = [person(speaks, "Speaker", ["What are your opening hours?"])]
    async with live(
        tmp_path,
        1,
        settings={"callers": callers, "say_speed": 1},
        voices=VoiceBank(),
        voice=make_voice(config),
        hears=make_recogniser(config),
    ) as at:
        call, far = await at.dial(speaks, "Good morning, this is the practice.")
        # Their "Hello?" alone would not do: everybody says it. The model makes "grossening" of "your opening".
        await at.until(call, lambda call: "hours" in theirs(call))
        assert far.leg is not None and far.leg.heard.loud_ms > 200
