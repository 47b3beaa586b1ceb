"""The voice on ElevenLabs, against a far end with real speech and bad days."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.media.audio import PHONE
from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.elevenlabs import ElevenLabsVoice
from engine.speech.tts.http import Limits
from tests.speech.far import elevenlabs_speech
from tests.speech.far.elevenlabs_speech import ElevenLabsFarEnd
from tests.speech.far.speech import Manners
from tests.speech.tts.cloud import LINE, QUICK, elevenlabs_voice, joined, spoken


@asynccontextmanager
async def voice(
    far: ElevenLabsFarEnd, limits: Limits | None = None, **changes: str
) -> AsyncIterator[ElevenLabsVoice]:
    it = elevenlabs_voice(far, limits, **changes)
    await it.start()
    try:
        yield it
    finally:
        await it.close()


async def test_the_audio_is_what_the_official_client_gets(elevenlabs: ElevenLabsFarEnd) -> None:
    from elevenlabs import VoiceSettings
    from elevenlabs.client import AsyncElevenLabs

    client = AsyncElevenLabs(api_key=elevenlabs_speech.KEY, base_url=elevenlabs.url)
    chunks = client.text_to_speech.stream(
        elevenlabs_speech.VOICE,
        text=LINE,
        model_id="eleven_flash_v2_5",
        output_format="ulaw_8000",
        voice_settings=VoiceSettings(stability=0.4, use_speaker_boost=True),
    )
    theirs = b"".join([chunk async for chunk in chunks])
    async with voice(elevenlabs) as it:
        ours = await spoken(it)
    assert joined(ours) == theirs == elevenlabs.mulaw(LINE)
    assert {piece.format for piece in ours} == {PHONE}, "the telephone's own audio, never transcoded"
    by_sdk, by_us = elevenlabs.asked
    assert by_us.path == by_sdk.path
    assert by_us.query == by_sdk.query
    assert by_us.body == {key: value for key, value in by_sdk.body.items() if value is not None}


@pytest.mark.parametrize("content_type", ["audio/mpeg", "application/octet-stream", "audio/wav", "audio/x-mulaw"])
async def test_the_bytes_decide_what_is_audio_and_not_its_name(
    elevenlabs: ElevenLabsFarEnd, content_type: str
) -> None:
    elevenlabs.manners = Manners(content_type=content_type)
    async with voice(elevenlabs) as it:
        assert joined(await spoken(it)) == elevenlabs.mulaw(LINE)


async def test_silence_at_the_beginning_is_not_taken_for_mp3(elevenlabs: ElevenLabsFarEnd) -> None:
    for quiet in (b"\xff", b"\xff\xfb", b"\xff\xf3\xf4\xff", b"\xff\xfe\xfd\xfc"):
        elevenlabs.manners = Manners(body=quiet * 2000)
        async with voice(elevenlabs) as it:
            assert joined(await spoken(it)) == quiet * 2000


async def test_unset_voice_settings_are_left_to_the_voice(elevenlabs: ElevenLabsFarEnd) -> None:
    async with voice(elevenlabs) as it:
        await spoken(it)
    assert elevenlabs.asked[0].body["voice_settings"] == {"stability": 0.4, "use_speaker_boost": True}


async def test_an_address_with_and_without_the_version_is_the_same(elevenlabs: ElevenLabsFarEnd) -> None:
    async with voice(elevenlabs, base_url=f"{elevenlabs.url}/v1/") as it:
        assert joined(await spoken(it)) == elevenlabs.mulaw(LINE)


async def test_closing_a_line_takes_the_request_back_at_once(elevenlabs: ElevenLabsFarEnd) -> None:
    elevenlabs.manners = Manners(pace=0.05, chunks=(800,))
    async with voice(elevenlabs) as it:
        line = it.speak(LINE * 5)
        await anext(line)
        await line.aclose()
        async with asyncio.timeout(0.5):
            await elevenlabs.asked[0].gone.wait()


REFUSALS: list[tuple[Manners, str, str]] = [
    (Manners(status=401, error=elevenlabs_speech.INVALID_KEY), "401 invalid_api_key", "api_key"),
    (Manners(status=401, error=elevenlabs_speech.QUOTA), "401 quota_exceeded", "characters are used up"),
    (Manners(status=429, error=elevenlabs_speech.BUSY), "429 too_many_concurrent_requests", "larger plan"),
    (Manners(status=422, error=elevenlabs_speech.NOT_VALID), "422 missing: body.text", ""),
    (Manners(status=503, error="<html>busy</html>"), "503", "problem of its own"),
    (Manners(content_type="audio/mpeg", body=(b"\xff\xfb\x90\xc4" + bytes(413)) * 20), "audio/mpeg", "format"),
    (Manners(body=(b"\xff\xf3\x44\xc4" + bytes(92)) * 40), "audio/basic", "format"),
    (Manners(content_type="text/html", body=b"<html>portal</html>"), "text/html", "base_url"),
    (Manners(body=b""), "without any audio", "elevenlabs"),
    (Manners(stall_after=4800), "went silent", "slow"),
    (Manners(drop_after=4800), "broke off", "failed"),
]


@pytest.mark.parametrize(("manners", "message", "hint"), REFUSALS, ids=[message for _, message, _ in REFUSALS])
async def test_what_goes_wrong_is_said_with_what_to_do_and_not_tried_twice(
    elevenlabs: ElevenLabsFarEnd, manners: Manners, message: str, hint: str
) -> None:
    async with voice(elevenlabs, QUICK) as it:
        elevenlabs.manners = manners
        with pytest.raises(SpeechUnavailable, match=message) as refused:
            async with asyncio.timeout(3):
                await spoken(it)
    assert hint in refused.value.hint
    assert elevenlabs_speech.KEY not in str(refused.value)
    assert len(elevenlabs.asked) == 1


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"api_key": "wrong"}, "401 invalid_api_key", "api_key"),
        ({"voice_id": "Rachel"}, "404 voice_not_found", "voice_id"),
        ({"voice_id": ""}, "no voice id", "voice_id"),
        ({"api_key": "", "base_url": ""}, "no API key", "ELEVENLABS_API_KEY"),
    ],
)
async def test_a_voice_that_can_not_work_says_so_when_it_is_started(
    elevenlabs: ElevenLabsFarEnd, change: dict[str, str], message: str, hint: str
) -> None:
    it = elevenlabs_voice(elevenlabs, None, **change)
    with pytest.raises(SpeechUnavailable, match=message) as refused:
        await it.start()
    assert hint in refused.value.hint
    await it.close()


async def test_a_key_that_may_only_speak_is_good_enough(elevenlabs: ElevenLabsFarEnd) -> None:
    elevenlabs.limited_key = True
    async with voice(elevenlabs) as it:
        assert joined(await spoken(it)) == elevenlabs.mulaw(LINE)
