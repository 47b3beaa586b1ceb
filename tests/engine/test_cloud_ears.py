"""Whole calls that a vendor listens to, from the configuration to the transcript; and what becomes of them when it
does not (pains A9, A10, B2)."""

from __future__ import annotations

from typing import Any

import pytest

from engine.calls import Call, State, first_missing, ladder
from engine.clock import epoch_ms
from engine.config import Config, parse_config
from engine.config.speech import Streaming
from engine.live.deafness import EXCUSE, FAREWELL
from engine.media.audio import PHONE
from engine.speech.factory import make_recogniser
from engine.speech.ports import Final, SpeechUnavailable
from engine.speech.stt.local import LocalRecogniser
from tests.engine.conftest import Running, Start
from tests.speech.far import elevenlabs_transcription as elevenlabs
from tests.speech.far import openai_transcription as openai
from tests.speech.far.elevenlabs_transcription import far_elevenlabs
from tests.speech.far.openai_transcription import FarOpenAi, far_openai

OPENING = "What are your opening hours?"


def streaming(far: FarOpenAi, fallback: tuple[str, str] | None = None, **changes: Any) -> Streaming:
    """The `streaming` block of a configuration file. `fallback`: ElevenLabs at this address, with this key."""
    openai_ = {"api_key": openai.KEY, "base_url": far.url, **changes}
    providers: dict[str, Any] = {"openai": openai_}
    block: dict[str, Any] = {"provider": "openai", "providers": providers}
    if fallback is not None:
        block["fallback"] = ["elevenlabs"]
        providers["elevenlabs"] = {"base_url": fallback[0], "api_key": fallback[1]}
    return Streaming.model_validate(block)


async def begin(start: Start, block: Streaming) -> Running:
    config: Config = parse_config(b"", None, {}).config.model_copy(update={"streaming": block})
    run = await start(recogniser=make_recogniser(config), streaming=block)
    await run.engine.speech_settled()
    return run


def heard(call: Call) -> list[str]:
    return [line.text for line in call.transcript if line.speaker == "caller"]


def has_heard(count: int) -> Any:
    return lambda call: len(heard(call)) >= count


async def test_a_call_is_understood_through_openai_and_the_ladder_names_it(start: Start) -> None:
    async with far_openai(openai.Manners(texts=[OPENING])) as far:
        run = await begin(start, streaming(far))
        call = await run.ring_in("Grace Young")
        done = await run.until_call(call.call_id, lambda call: len(call.turns) >= 1)
        assert heard(done)[0] == OPENING
        assert far.problems == []
        audio = far.sessions[-1].audio
        assert len(audio) > 4000 and len(set(audio)) > 50, "the caller's own voice"
        ready = await run.until_event(lambda event: event.type == "speech.ready")
        assert ready.data == {"engine": "openai"}
        (rung,) = [rung for rung in ladder(done, epoch_ms()) if rung.name == "stt"]
        assert rung.state == "done"
        health = run.engine.health()["speech"]["stt"]
        assert health["ok"] and health["using"] == "openai" and health["state"] == "ready"


async def test_recognition_is_ready_before_the_phone_is_picked_up(start: Start) -> None:
    """Pain B2: connected while it rings."""
    async with far_openai() as far:
        run = await begin(start, streaming(far))
        call_id = await run.engine.initiate("+15550100151", "Hello.", "conversation")
        call = await run.until_call(call_id, lambda call: "answered" in call.rungs and "stt" in call.rungs)
        assert call.rungs["stt"] <= call.rungs["answered"] + 50


async def test_a_slow_vendor_loses_no_word(start: Start) -> None:
    """What is said before the vendor is ready waits for it."""
    async with far_openai(openai.Manners(texts=[OPENING], ready_after=0.1)) as far:
        run = await begin(start, streaming(far))
        far.manners = openai.Manners(texts=[OPENING], ready_after=4.0)
        call = await run.ring_in("Grace Young")
        deaf = await run.until_call(call.call_id, lambda call: call.deaf)
        assert heard(deaf) == []
        done = await run.until_call(call.call_id, has_heard(1))
        assert heard(done)[0] == OPENING and not done.deaf


async def test_a_vendor_that_dies_in_a_call_is_replaced_by_the_next(start: Start) -> None:
    async with (
        far_openai(openai.Manners(texts=["good morning"])) as far,
        far_elevenlabs(elevenlabs.Manners(texts=[OPENING])) as other,
    ):
        run = await begin(start, streaming(far, (other.url, elevenlabs.KEY)))
        call = await run.ring_in("Grace Young")
        await run.until_call(call.call_id, has_heard(1))
        far.manners = openai.Manners(http_status=503)
        far.break_off()
        done = await run.until_call(call.call_id, has_heard(2))
        assert heard(done)[1] == OPENING and not done.deaf
        events = await run.events(call.call_id)
        failed = [event.data for event in events if event.type == "speech.failed"]
        assert failed[-1]["engine"] == "openai" and failed[-1]["fallback"] == "elevenlabs"
        assert "503" in failed[-1]["error"]
        ready = [event.data for event in events if event.type == "speech.ready"]
        assert ready[-1] == {"engine": "elevenlabs", "insteadOf": "openai"}
        health = run.engine.health()["speech"]["stt"]
        assert health["ok"] and health["using"] == "elevenlabs" and "503" in health["error"]
        assert other.problems == []


async def test_a_caller_whom_nobody_hears_for_a_while_is_told_and_the_call_goes_on(start: Start) -> None:
    async with far_openai(openai.Manners(texts=[OPENING])) as far:
        run = await begin(start, streaming(far))
        call = await run.ring_in("Grace Young")
        await run.until_call(call.call_id, lambda call: "heard" in call.rungs)
        far.manners = openai.Manners(http_status=503)
        far.break_off()
        told = await run.until_call(call.call_id, lambda call: EXCUSE in [line.text for line in call.transcript])
        assert told.deaf and first_missing(told, epoch_ms()) is not None
        far.manners = openai.Manners(texts=[OPENING])
        again = await run.until_call(call.call_id, lambda call: not call.deaf)
        assert again.live
        before = len(heard(again))
        await run.until_call(call.call_id, has_heard(before + 1))


async def test_a_call_that_nobody_hears_says_goodbye_and_ends_with_an_error(start: Start) -> None:
    """Pain A9."""
    async with far_openai() as far:
        run = await begin(start, streaming(far))
        call = await run.ring_in("Grace Young")
        await run.until_call(call.call_id, lambda call: "heard" in call.rungs)
        far.manners = openai.Manners(http_status=401)
        far.break_off()
        deaf = await run.until_call(call.call_id, lambda call: call.deaf)
        assert deaf.live
        done = await run.until_call(call.call_id, lambda call: not call.live)
        assert done.end_reason is State.ERROR
        assert done.transcript[-1].text == FAREWELL and not done.transcript[-1].cut
        failed = [event for event in await run.events(call.call_id) if event.type == "speech.failed"]
        assert failed[-1].data["final"] is True and "api_key" in failed[-1].data["hint"]
        ended = [event for event in await run.events(call.call_id) if event.type == "call.ended"]
        assert ended[0].data["detail"] == "nobody could hear the caller"
        assert run.engine.health()["speech"]["stt"]["ok"] is False


async def test_a_key_that_does_not_work_is_in_the_health_before_any_call(start: Start) -> None:
    async with far_openai() as far:
        run = await begin(start, streaming(far, api_key="sk-wrong"))
        health = run.engine.health()["speech"]["stt"]
        assert health["ok"] is False and "401" in health["error"] and "api_key" in health["hint"]


async def test_real_speech_is_understood_by_a_vendor_through_the_whole_path(start: Start) -> None:
    """The far end listens with the offline recogniser: what it understands was in the audio that we sent."""
    ear = LocalRecogniser(patience_seconds=30)
    try:
        await ear.start()
    except SpeechUnavailable as why:
        pytest.skip(f"{why}: {why.hint}")

    async def transcribe(audio: bytes) -> str:
        listener = await ear.listen(PHONE)
        try:
            listener.feed(audio)
            listener.finish()
            async for hearing in listener.hearings():
                if isinstance(hearing, Final):
                    return hearing.text
        finally:
            await listener.close()
        raise AssertionError("the recogniser ended")

    try:
        async with far_openai(openai.Manners(transcribe=transcribe)) as far:
            run = await begin(start, streaming(far))
            call = await run.ring_in("Grace Young")
            done = await run.until_call(call.call_id, has_heard(1))
            words = set(heard(done)[0].lower().replace("?", "").replace(".", "").replace(",", "").split())
            spoken = set((await _script_of(run, call))[0].lower().replace("?", "").replace(",", "").split())
            assert len(words & spoken) >= len(spoken) // 2, (words, spoken)
    finally:
        await ear.close()


async def _script_of(run: Running, call: Call) -> list[str]:
    """What the person said, as the simulator knows it."""
    for known in await run.simulator.calls():
        if known.get("sid", known.get("id")) == call.provider_call_id or known.get("from") == call.from_number:
            return [str(line["text"]) for line in known["said"]]
    raise AssertionError("the simulator does not know the call")
