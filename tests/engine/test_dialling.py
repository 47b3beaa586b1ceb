"""How a call is spoken in is decided before the carrier is asked: our stream, its own voice, or with the dial."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.api import Refusal
from engine.calls import State
from engine.carriers.base import Hangup, Pause, Say
from tests.engine.conftest import Understands
from tests.engine.fake_carrier import EVERYTHING, OURS, Table, sid, table, without

MESSAGE = "Your parcel is here."
NUMBER = "+15550100142"
NO_STREAM = {"enabled": False}


async def media_of(at: Table, mode: str) -> str:
    call = await at.call_out(MESSAGE, mode)
    initiated = (await at.events(call))[0]
    assert initiated.data["media"] == at.now(call).media == at.now(call).to_json()["media"]
    return at.now(call).media


async def test_conversations_use_the_stream_and_notices_go_with_the_dial(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        assert await media_of(at, "conversation") == "stream"
        assert await media_of(at, "notify") == "inline"
        talk, notice = at.carrier.dialled
        assert talk.inline == ()
        assert notice.inline == (Say(MESSAGE), Pause(3), Hangup())
        assert talk.detect_machine == notice.detect_machine == "no"


async def test_a_notice_goes_over_the_stream_where_it_can_not_go_with_the_dial(tmp_path: Path) -> None:
    async with table(tmp_path, without(inline_notify=False)) as at:
        assert await media_of(at, "notify") == "stream"
        assert at.carrier.dialled[0].inline == ()


async def test_without_streams_the_carriers_own_voice_is_used(tmp_path: Path) -> None:
    async with table(tmp_path, without(inline_notify=False), streaming=NO_STREAM) as at:
        assert await media_of(at, "conversation") == "native"
        assert await media_of(at, "notify") == "native"


async def test_a_call_that_could_never_be_spoken_in_is_not_dialled(tmp_path: Path) -> None:
    async with table(tmp_path, without(native_speech=False), streaming=NO_STREAM) as at:
        with pytest.raises(Refusal) as refused:
            await at.engine.initiate("+15550100142", MESSAGE, "conversation")
        assert (refused.value.code, refused.value.hint) == ("provider_not_ready", "set streaming.enabled: true")
        assert at.carrier.dialled == []
        assert at.engine.live_calls() == []
        assert await media_of(at, "notify") == "inline", "a notice needs no stream"


@pytest.mark.parametrize(
    ("setting", "asked"),
    [("off", "no"), ("hang_up", "answer"), ("continue", "answer"), ("leave_message", "message_end")],
)
async def test_machines_are_looked_for_as_configured(tmp_path: Path, setting: str, asked: str) -> None:
    async with table(tmp_path, outbound={"answering_machine": setting}) as at:
        await at.call_out()
        assert at.carrier.dialled[0].detect_machine == asked


async def test_machines_are_not_looked_for_where_the_carrier_can_not(tmp_path: Path) -> None:
    async with table(tmp_path, without(machine_detection=False), outbound={"answering_machine": "hang_up"}) as at:
        await at.call_out()
        assert at.carrier.dialled[0].detect_machine == "no"


async def test_a_message_that_is_too_long_is_refused_and_says_how_long_it_may_be(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        with pytest.raises(Refusal, match="over 4000 characters"):
            await at.engine.initiate("+15550100142", "x" * 4001, "notify")
        assert at.carrier.dialled == []


async def test_a_notice_that_goes_with_the_dial_was_heard_when_the_call_was_long_enough(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call = await at.call_out(MESSAGE, "notify")
        await at.tell("answered", sid(call))
        assert await at.tell("ended", sid(call), reason="completed", duration_s=60) == []
        assert at.now(call).end_reason is State.COMPLETED
        assert at.carrier.hung_up == []
        types = await at.types(call)
        assert [type_ for type_ in types if type_.startswith("say.")] == ["say.queued", "say.started", "say.heard"]
        assert not {"stream.opened", "call.error"} & set(types)
        assert [line.text for line in at.now(call).transcript] == [MESSAGE]


async def test_who_hangs_up_before_a_notice_is_over_was_not_told(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call = await at.call_out(MESSAGE * 9, "notify")
        await at.tell("answered", sid(call))
        await at.tell("ended", sid(call), reason="completed", duration_s=2)
        ended = at.now(call)
        assert ended.end_reason is State.HANGUP_USER
        (line,) = ended.transcript
        assert line.cut and line.text and MESSAGE.startswith(line.text[: len(MESSAGE)]) and line.unheard


async def test_a_notice_that_did_not_fit_in_the_dial_is_served_when_the_carrier_asks(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call = await at.call_out(MESSAGE, "notify")
        document = await at.tell("answered", sid(call), wants_document=True)
        assert document == [
            {"verb": "Say", "text": MESSAGE, "once": ""},
            {"verb": "Pause", "seconds": 3},
            {"verb": "Hangup"},
        ]


async def test_nothing_else_can_be_said_in_a_notice_that_the_carrier_speaks(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call = await at.call_out(MESSAGE, "notify")
        await at.tell("answered", sid(call))
        for act in (at.engine.speak(call.call_id, "More"), at.engine.send_dtmf(call.call_id, "1")):
            with pytest.raises(Refusal) as refused:
                await act
            assert refused.value.code == "not_supported"


async def test_a_notice_is_not_ended_for_want_of_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.live.limits.STREAM_SECONDS", 0.05)
    async with table(tmp_path, EVERYTHING) as at:
        notice = await at.call_out(MESSAGE, "notify")
        talk = await at.call_out(MESSAGE, "conversation")
        await at.tell("answered", sid(notice))
        await at.tell("answered", sid(talk))
        ended = await at.until(talk, lambda call: not call.live)
        assert ended.end_reason is State.ERROR
        assert at.now(notice).live


async def test_an_empty_number_is_not_the_configured_one(tmp_path: Path) -> None:
    async with table(tmp_path, to_number="+15550100142") as at:
        with pytest.raises(Refusal) as refused:
            await at.engine.initiate("", "Hello.", "conversation")
        assert refused.value.code == "invalid_number" and at.carrier.dialled == []
        await at.engine.initiate(None, "Hello.", "conversation")
        assert at.carrier.dialled[0].to_number == "+15550100142"


async def test_a_dial_that_fails_in_our_own_code_is_uncertain_and_keeps_no_slot(tmp_path: Path) -> None:
    """Pain F2."""
    async with table(tmp_path) as at:
        at.carrier.fail["dial"] = TypeError("Integer exceeds 64-bit range")  # type: ignore[assignment]
        with pytest.raises(Refusal) as refused:
            await at.engine.initiate("+15550100142", "Hello.", "conversation")
        assert refused.value.code == "outcome_unknown"
        assert refused.value.data()["callId"] == at.engine.live_calls()[0].call_id
        async with asyncio.timeout(10):
            async for _ in at.engine.watch(None, 100):
                if not at.engine.live_calls():
                    break
        assert at.engine.health()["slots"]["used"] == 0


class Counting(Understands):
    """A recogniser that counts its starts."""

    def __init__(self) -> None:
        super().__init__()
        self.starts = 0

    async def start(self) -> None:
        self.starts += 1


@pytest.mark.parametrize("enabled", [True, False])
async def test_speech_engines_are_started_only_where_audio_comes_here(tmp_path: Path, enabled: bool) -> None:
    recogniser = Counting()
    async with table(tmp_path, recogniser=recogniser, streaming={"enabled": enabled}) as at:
        await at.engine.speech_settled()
        speech = at.engine.health()["speech"]
        wanted = "ready" if enabled else "unused"
        assert (speech["stt"]["state"], speech["tts"]["state"], speech["brain"]["state"]) == (wanted, wanted, "ready")
        assert speech["stt"]["ok"] is True, "what is not needed is no trouble"
        call = await at.call_out()
        await at.tell("answered", sid(call), direction="outbound", wants_document=True)
        assert recogniser.starts == int(enabled)


async def test_each_refusal_of_a_dial_has_one_reason_and_says_what_to_do(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        wrong = {
            "need mode conversation": (NUMBER, "Hello.", "notify", "12"),
            "are not keys": (NUMBER, "Hello.", "conversation", "hello"),
            "over 4000 characters": (NUMBER, "x" * 4001, "notify", ""),
            "the number that we call from": (OURS, "Hello.", "notify", ""),
        }
        for why, (to, message, mode, keys) in wrong.items():
            with pytest.raises(Refusal, match=why) as refused:
                await at.engine.initiate(to, message, mode, keys)  # type: ignore[arg-type]
            assert refused.value.hint
        assert at.carrier.dialled == []
