"""Keys into a call: by the carrier's REST, as tones on the stream, or as a document where there is no stream."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.api import Refusal
from engine.calls import State
from engine.carriers.base import CarrierError, Keys, Redirect
from engine.live import native_mouth
from tests.engine.fake_carrier import sid, table, without
from tests.media.dtmf_ear import keys_in


async def test_keys_go_over_the_stream_as_tones_and_are_sent_when_they_were_played(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call, stream = await at.ring_in()
        await at.until_event(call, "say.heard")
        heard = len(stream.audio)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await at.engine.send_dtmf(call.call_id, "1w9#D", "cli")
        assert loop.time() - began > 1.2, "0.2 s a key and half a second of waiting"
        assert keys_in(stream.audio[heard:]) == "19#D"
        assert at.carrier.keys == [] and at.carrier.instructed == []
        sent = [event.data for event in await at.events(call) if event.type == "dtmf.sent"]
        assert sent == [{"digits": "1w9#D", "by": "cli"}]
        assert all("19" not in line.text and "1w9" not in line.text for line in at.now(call).transcript)
        assert at.now(call).queued == {}
        assert "stream.lost" not in await at.types(call)


async def test_keys_wait_for_what_is_being_said(tmp_path: Path) -> None:
    async with table(tmp_path, ms_per_character=30) as at:
        call, stream = await at.ring_in()
        await at.until_event(call, "say.heard")
        heard = len(stream.audio)
        speaking = asyncio.create_task(at.engine.speak(call.call_id, "Please hold the line.", "cli"))
        await at.until(call, lambda call: call.state is State.SPEAKING)
        await at.engine.send_dtmf(call.call_id, "5", "console")
        assert speaking.done()
        said, keys = stream.audio[heard:][: 21 * 30 * 8], stream.audio[heard:][21 * 30 * 8 :]
        assert keys_in(said) == "" and keys_in(keys) == "5"
        assert not at.now(call).transcript[-1].cut


async def test_keys_that_were_cut_off_are_not_called_sent(tmp_path: Path) -> None:
    async with table(tmp_path) as at:
        call, stream = await at.ring_in()
        await at.until_event(call, "say.heard")
        pressing = asyncio.create_task(at.engine.send_dtmf(call.call_id, "1234567890", "cli"))
        await stream.until_audio(len(stream.audio) + 8 * 4 * 200)  # of which the last 160 ms are not heard yet
        await at.engine.set_floor(call.call_id, "operator", "console")
        with pytest.raises(Refusal, match="only the keys 1") as refused:
            await pressing
        assert refused.value.code == "speech_unavailable"
        (sent,) = [event.data["digits"] for event in await at.events(call) if event.type == "dtmf.sent"]
        assert "1234567890".startswith(sent) and 2 <= len(sent) <= 4


async def test_keys_of_a_call_that_ends_are_dropped(tmp_path: Path) -> None:
    async with table(tmp_path, ms_per_character=60) as at:
        call, _ = await at.ring_in()
        await at.until(call, lambda call: call.state is State.SPEAKING)
        pressing = asyncio.create_task(at.engine.send_dtmf(call.call_id, "12", "cli"))
        await at.until_event(call, "say.queued", kind="keys")
        await at.engine.end(call.call_id, "cli")
        with pytest.raises(Refusal, match="the call ended"):
            await pressing
        assert "dtmf.sent" not in await at.types(call)


async def test_a_carrier_that_sends_keys_by_rest_is_asked_for_it(tmp_path: Path) -> None:
    async with table(tmp_path, without(send_dtmf=True)) as at:
        call, stream = await at.ring_in()
        await at.until_event(call, "say.heard")
        heard = len(stream.audio)
        await at.engine.send_dtmf(call.call_id, "12#", "cli")
        assert at.carrier.keys == ["12#"]
        assert len(stream.audio) == heard
        at.carrier.fail["send_dtmf"] = CarrierError("not now", link="https://example.com")
        with pytest.raises(Refusal, match="not now") as refused:
            await at.engine.send_dtmf(call.call_id, "1", "cli")
        assert refused.value.code == "carrier_refused"


async def test_without_a_stream_keys_are_a_document_after_which_the_carrier_asks_what_now(tmp_path: Path) -> None:
    async with table(tmp_path, streaming={"enabled": False}) as at:
        call = await at.call_out("Hi.")
        await at.tell("answered", sid(call), wants_document=True)
        pressing = asyncio.create_task(at.engine.send_dtmf(call.call_id, "12#", "cli"))
        keys, again = await at.carrier.until(at.carrier.instructed)
        assert keys == Keys("12#") and isinstance(again, Redirect)
        assert again.url.startswith(f"{at.webhook_url}?callId={call.call_id}&flow=connect&n=")
        await at.until_event(
            call, "say.started", sayId=(await at.until_event(call, "say.queued", kind="keys")).data["sayId"]
        )
        assert not pressing.done(), "they are not played yet"
        await at.tell("asks", sid(call), wants_document=True)
        await pressing
        assert "dtmf.sent" in await at.types(call)
        assert [line.text for line in at.now(call).transcript] == ["Hi."]


async def test_keys_that_a_carrier_never_played_are_not_called_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_mouth, "ASK_MS", 100)
    async with table(tmp_path, streaming={"enabled": False}) as at:
        call = await at.call_out("Hi.")
        await at.tell("answered", sid(call), wants_document=True)
        with pytest.raises(Refusal, match="has not said that the keys were played") as refused:
            await at.engine.send_dtmf(call.call_id, "1", "cli")
        assert refused.value.code == "speech_unavailable"
        assert "dtmf.sent" not in await at.types(call)


@pytest.mark.parametrize("digits", ["", "x", "1 2", "1" * 65])
async def test_what_are_no_keys_is_refused(tmp_path: Path, digits: str) -> None:
    async with table(tmp_path) as at:
        call, _ = await at.ring_in()
        with pytest.raises(Refusal) as refused:
            await at.engine.send_dtmf(call.call_id, digits, "cli")
        assert refused.value.code == "invalid_digits"
