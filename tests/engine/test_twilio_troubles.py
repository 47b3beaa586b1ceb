"""What goes wrong on real lines, in whole calls through Twilio: order, loss, races, silence and interruptions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import get_args

import pytest

from engine.api import Refusal
from engine.calls import State
from engine.calls.ladder import first_missing
from engine.clock import epoch_ms
from engine.media.audio import Audio, AudioFormat
from engine.simulator.voices import VoiceBank
from engine.speech.ports import Partial
from tests.carriers.twilio_far import OUR_NUMBER
from tests.carriers.twilio_far.settings import RestFault, WebhookKind
from tests.engine.conftest import Humming, Understands, Words
from tests.engine.twilio_rig import CALLERS, SINK, live, person, ring_in

ALL_KINDS = frozenset(get_args(WebhookKind))
INTERRUPTER = "+15550100208"
POLITE = "+15550100209"
TALKERS = [
    *CALLERS,
    person(INTERRUPTER, "Interrupter", ["Excuse me, I would like to say something now."], interrupts_after_ms=900),
    person(POLITE, "Polite", ["Thank you, that was all. Goodbye."]),
]
PROGRESS = ("call.ringing", "call.answered", "call.ended")


# order and repetition


@pytest.mark.parametrize(
    ("hold", "delay_s"),
    [
        ({"initiated", "ringing", "answered", "completed"}, {}),
        ({"ringing", "answered"}, {"answer": 0.15}),
        ({"initiated"}, {"answered": 0.3, "stream": 0.2}),
        (set(), {"initiated": 0.4, "completed": 0.3}),
    ],
)
async def test_webhooks_that_come_in_any_order_and_twice_make_one_call(
    tmp_path: Path, hold: set[WebhookKind], delay_s: dict[WebhookKind, float]
) -> None:
    """Pains A4, F4; traps 1.3/order and 1.3/retry: one greeting, one stream, one end, and no step back from it."""
    async with live(tmp_path) as at:
        faults = at.far.webhook_faults
        faults.duplicate.update(ALL_KINDS)
        faults.hold.update(hold)
        faults.delay_s.update(delay_s)
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs or not call.live)
        await at.engine.speak(call.call_id, "Goodbye.", "cli")
        await at.engine.end(call.call_id, "cli")
        await far.until_over()
        await far.until(lambda: all(len(delivery.statuses) == 2 for delivery in far.deliveries))
        types = await at.types(call)
        assert [types.count(type_) for type_ in PROGRESS] == [types.count("call.ringing"), 1, 1]
        assert types.count("call.ringing") <= 1 and types.count("stream.opened") == 1
        ended = at.engine.call(call.call_id)
        assert ended is not None and ended.end_reason is State.HANGUP_BOT and ended.error is None
        assert [line.text for line in ended.transcript] == ["Hello there.", "Goodbye."]
        assert len(far.streams) == 1 and far.codes() == []
        seen = at.engine.health()["exposure"]["webhooks"]
        assert seen["replay"] == seen["ok"] and seen["refused"] == 0


async def test_a_caller_whose_webhooks_all_come_twice_is_answered_and_greeted_once(tmp_path: Path) -> None:
    """Pains A3, A4; trap 1.3/retry."""
    async with live(tmp_path, changes={"inbound_policy": "open", "inbound_greeting": "Good morning."}) as at:
        at.far.webhook_faults.duplicate.update(ALL_KINDS)
        call, far = await ring_in(at)
        await at.until(call, lambda call: "heard" in call.rungs or not call.live)
        await at.engine.end(call.call_id, "cli")
        await far.until_over()
        ended = await at.until(call, lambda call: not call.live)
        assert [line.text for line in ended.transcript] == ["Good morning."] and ended.error is None
        assert len(far.streams) == 1 and far.codes() == []


# loss


async def test_a_call_whose_end_is_never_told_does_not_keep_its_slot(tmp_path: Path) -> None:
    """Pains F1, F9: the stream is gone, so Twilio is asked, and the next call may be placed."""
    async with live(tmp_path, changes={"max_concurrent_calls": 1}) as at:
        at.far.webhook_faults.drop.add("completed")
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        assert at.engine.health()["slots"] == {"used": 1, "max": 1, "holders": [call.call_id]}
        far.hang_up_person()
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.COMPLETED
        again, _ = await at.dial(SINK, "Hello again.")
        assert again.call_id != call.call_id


async def test_a_dial_whose_answer_was_lost_is_found_and_never_sent_again(tmp_path: Path) -> None:
    """Pain F3."""
    async with live(tmp_path) as at:
        at.far.fail("dial", "lost-after")
        with pytest.raises(Refusal) as caught:
            await at.dial(SINK, "Hello there.")
        assert caught.value.code == "outcome_unknown"
        (call,) = at.engine.live_calls()
        after = await at.until(call, lambda call: "heard" in call.rungs or not call.live)
        assert after.live and after.provider_call_id == at.far.call().state.sid
        assert len([request for request in at.far.requests if request.operation == "dial"]) == 1
        assert len(at.far.calls) == 1


@pytest.mark.parametrize("fault", ["21220", "500-before", "20429", "lost-before"])
async def test_a_hang_up_that_twilio_does_not_take_is_tried_until_it_does(tmp_path: Path, fault: RestFault) -> None:
    """Pains F7, F8; trap 1.2/21220: nothing but this call hears of it, and it is told once."""
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        at.far.fail("update", fault, times=3)
        await at.engine.end(call.call_id, "cli")
        await far.until_over()
        assert far.state.over_because == "api"
        assert (await at.types(call)).count("call.ended") == 1
        again, _ = await at.dial(SINK, "Hello again.")
        await at.until(again, lambda call: "heard" in call.rungs)


async def test_a_call_that_is_over_by_the_clock_is_hung_up_although_the_first_try_fails(tmp_path: Path) -> None:
    """Pain F11: it costs money until Twilio has confirmed. A caller's call has no TimeLimit at Twilio."""
    async with live(tmp_path, changes={"inbound_policy": "open", "max_duration_seconds": 1}) as at:
        call, far = await ring_in(at)
        at.far.fail("update", "500-before", times=2)
        ended = await at.until(call, lambda call: not call.live)
        await far.until_over()
        assert ended.end_reason is State.TIMEOUT and far.state.over_because == "api"


async def test_a_caller_of_whose_answer_no_webhook_tells_is_not_reaped(tmp_path: Path) -> None:
    """Pain F6: Twilio never reports an inbound call as answered; that we speak and are heard is evidence enough."""
    changes = {"inbound_policy": "open", "stale_call_reaper_seconds": 1}
    async with live(tmp_path, changes=changes) as at:
        call, far = await ring_in(at)
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.speak(call.call_id, "This line takes longer than the reaper waits. " * 3, "cli")
        now = at.engine.call(call.call_id)
        assert now is not None and now.live and epoch_ms() - now.started_at > 1_500
        assert not far.of("answered") and now.answered_at is not None


# silence, and where it comes from


@pytest.mark.parametrize("direction", ["out", "in"])
async def test_a_stream_that_does_not_come_about_is_told_and_twilios_own_voice_goes_on(
    tmp_path: Path, direction: str
) -> None:
    """Pains A1, A2; trap 1.5/socket-errors: Twilio's number is in the call's record at once, and nobody waits in
    silence until the time for a stream is over."""
    changes = {"inbound_policy": "open", "inbound_greeting": "Hello there."}
    async with live(tmp_path, wait_speed=1, changes=changes, settings={"plain_ws": False}) as at:
        began = epoch_ms()
        call, far = await (at.dial(SINK, "Hello there.") if direction == "out" else ring_in(at))
        goes_on = await at.until(call, lambda call: "voice" in call.rungs or not call.live)
        assert goes_on.live and goes_on.media == "native" and epoch_ms() - began < 8_000
        assert goes_on.error is not None and "31922" in goes_on.error["message"] and 31922 in far.codes()
        heard = await at.until(call, lambda call: "heard" in call.rungs or not call.live)
        assert [line.text for line in heard.transcript] == ["Hello there."]
        types = await at.types(call)
        assert types.count("call.voice") == 1 and "stream.opened" not in types
        assert first_missing(heard, epoch_ms()) is None
        await at.engine.speak(call.call_id, "Can you hear me?", "cli")
        await at.engine.end(call.call_id, "cli")
        await far.until_over()


# who speaks


class Growing(Words):
    """Reads a part of its text as soon as there is a voice."""

    def feed(self, audio: bytes) -> None:
        self._hearings.put_nowait(Partial(self._text))


class ReadsAlong(Understands):
    async def listen(self, format: AudioFormat) -> Growing:  # noqa: A002
        return Growing(self.text)


async def test_a_caller_who_interrupts_is_let_speak_and_our_line_keeps_what_was_heard(tmp_path: Path) -> None:
    """Pains C3, C4; trap 1.5/clear: Twilio's buffer is emptied, and a mark that then returns counts for nothing."""
    line = "This is a very long message that nobody wants to hear to its end. " * 5
    ears = ReadsAlong("excuse me please, I would like to say something")
    async with live(tmp_path, settings={"callers": TALKERS}, voices=VoiceBank(), hears=ears) as at:
        call, far = await at.dial(INTERRUPTER, line.strip())
        cut = await at.until(call, lambda call: any(said.cut for said in call.transcript) or not call.live)
        said = cut.transcript[0]
        assert said.cut and 0 < len(said.text) < len(line) * 0.8 and line.startswith(said.text)
        stream = far.streams[0]
        assert stream.clears == 1 and far.codes() == []
        await at.until(call, lambda call: any(line.speaker == "caller" for line in call.transcript))


async def test_a_farewell_is_heard_before_twilio_is_told_to_hang_up(tmp_path: Path) -> None:
    """Pains C5, C6; trap 1.5/marks: the end waits for the mark behind the last word."""
    async with live(tmp_path, settings={"callers": TALKERS}, voices=VoiceBank(), hears="no thanks, goodbye") as at:
        call, far = await at.dial(POLITE, "Is there anything else?")
        ended = await at.until(call, lambda call: not call.live)
        assert ended.end_reason is State.HANGUP_BOT
        farewell = [said for said in ended.transcript if said.speaker == "agent"][-1]
        assert "oodbye" in farewell.text and not farewell.cut
        await far.until_over()
        stream = far.streams[0]
        assert far.state.over_because == "api" and stream.marks_out == stream.marks_in and stream.clears == 0


async def test_a_question_on_a_stream_is_answered_and_leaves_the_stream_alone(tmp_path: Path) -> None:
    """Pain C10: nothing is asked by a document, which would end the stream."""
    async with live(tmp_path, settings={"callers": TALKERS}, voices=VoiceBank(), hears="on Tuesday") as at:
        call, far = await at.dial(POLITE, "Good morning.")
        await at.until(call, lambda call: "heard" in call.rungs)
        assert await at.engine.continue_call(call.call_id, "Which day would be better?", "cli") == "on Tuesday"
        assert not [request for request in at.far.requests if request.operation == "update"]
        assert len(far.streams) == 1 and far.streams[0].close_code is None


class Early(Humming):
    """Notes what it was asked to say, and whether the telephone had been answered by then."""

    def __init__(self) -> None:
        super().__init__()
        self.answered: Callable[[], bool] = lambda: False
        self.asked: list[tuple[str, bool]] = []

    async def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        self.asked.append((text, self.answered()))
        async for piece in super().speak(text, voice):
            yield piece


async def test_first_words_and_recognition_are_ready_before_anybody_answers(tmp_path: Path) -> None:
    """Pains A13, B2: the first turn waits for nothing that could have been done while it rang."""
    voice = Early()
    async with live(tmp_path, settings={"ring_pause_s": 0.3}, voice=voice) as at:
        voice.answered = lambda: any(call.state.answered_at is not None for call in at.far.calls.values())
        call, _ = await at.dial(SINK, "Hello there.")
        heard = await at.until(call, lambda call: "heard" in call.rungs)
        assert voice.asked == [("Hello there.", False)]
        assert heard.rungs["stt"] < heard.rungs["answered"]


async def test_keys_of_the_caller_come_over_the_stream_and_it_goes_on(tmp_path: Path) -> None:
    """Trap 1.5/keys-in."""
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await far.press("1#")
        await at.engine.speak(call.call_id, "Thank you.", "cli")
        page = await at.engine.events(type(at.engine.cursor())(at.engine.cursor().generation, 0), call.call_id)
        pressed = [event.data["digits"] for event in page.events if event.type == "dtmf.received"]
        assert pressed == ["1", "#"] and len(far.streams) == 1 and far.codes() == []


async def test_the_sender_of_every_call_is_our_number(tmp_path: Path) -> None:
    """Trap 1.1/path-and-auth: the account is in the path and in the credentials, the sender is one of its numbers."""
    async with live(tmp_path) as at:
        _, far = await at.dial(SINK, "Hello there.")
        (request,) = [request for request in at.far.requests if request.operation == "dial"]
        assert request.path == f"/2010-04-01/Accounts/{at.far.settings.account_sid}/Calls.json"
        assert (far.state.from_number, far.state.to_number) == (OUR_NUMBER, SINK)
