"""The voice on `/audio/speech`, against a far end with real speech and bad days."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import numpy as np
import pytest

from engine.media.audio import Audio
from engine.media.convert import PhoneConverter
from engine.media.g711 import mulaw_to_pcm16
from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.http import Limits
from engine.speech.tts.openai import FORMAT, OpenAiSettings, OpenAiVoice
from tests.speech.far import openai_speech
from tests.speech.far.openai_speech import OpenAiFarEnd
from tests.speech.far.speech import Manners
from tests.speech.tts.cloud import LINE, QUICK, joined, openai_settings, spoken


@asynccontextmanager
async def voice(far: OpenAiFarEnd, limits: Limits | None = None, **changes: str) -> AsyncIterator[OpenAiVoice]:
    it = OpenAiVoice(openai_settings(far, **changes), limits)
    await it.start()
    try:
        yield it
    finally:
        await it.close()


async def test_the_audio_is_what_the_official_client_gets(openai: OpenAiFarEnd) -> None:
    import openai as sdk

    client = sdk.AsyncOpenAI(api_key=openai_speech.KEY, base_url=openai.url, max_retries=0)
    async with (
        client,
        client.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts", voice="coral", input=LINE, instructions="Calmly.", response_format="pcm"
        ) as response,
    ):
        theirs = b"".join([chunk async for chunk in response.iter_bytes()])
    async with voice(openai, instructions="Calmly.") as it:
        ours = await spoken(it)
    assert joined(ours) == theirs == openai.pcm(LINE)
    assert {piece.format for piece in ours} == {FORMAT}
    by_sdk, by_us = openai.asked
    assert by_us.body == by_sdk.body


async def test_samples_that_are_cut_between_chunks_are_put_together(openai: OpenAiFarEnd) -> None:
    openai.manners = Manners(chunks=(1, 3, 4799, 2, 1), pace=0.001)
    async with voice(openai) as it:
        pieces = await spoken(it)
    assert all(len(piece.data) % 2 == 0 for piece in pieces)
    assert joined(pieces) == openai.pcm(LINE)


async def test_the_telephone_hears_nothing_folded_down_and_the_same_length_and_level(openai: OpenAiFarEnd) -> None:
    """Pain A6. Pico's speech reaches to 8 kHz; a 6 kHz tone is added, which bad decimation would turn into 2 kHz."""
    speech = np.frombuffer(openai.pcm(LINE), "<i2").astype(float)
    at = np.arange(len(speech)) / 24_000
    loud = speech + 3000 * np.sin(2 * np.pi * 6000 * at)
    openai.manners = Manners(body=loud.clip(-32768, 32767).astype("<i2").tobytes())
    async with voice(openai) as it:
        heard = telephone(await spoken(it))
    assert len(heard) == pytest.approx(len(speech) / 3, abs=1)
    clean = telephone([Audio(FORMAT, speech.astype("<i2").tobytes())])
    assert power_at(heard, 2000) == pytest.approx(power_at(clean, 2000), rel=0.2)
    assert rms(heard) == pytest.approx(in_band_rms(speech), rel=0.05)


async def test_the_first_audio_comes_with_the_first_bytes(openai: OpenAiFarEnd) -> None:
    """Pain B1: nobody waits for a whole sentence."""
    openai.manners = Manners(first_byte=0.2, pace=0.05)
    loop = asyncio.get_running_loop()
    async with voice(openai) as it, aclosing(it.speak(LINE)) as pieces:
        began = loop.time()
        await anext(pieces)
        first = loop.time() - began
        async for _ in pieces:
            pass
        whole = loop.time() - began
    assert 0.2 <= first < 0.3
    assert whole > 2 * first


async def test_closing_a_line_takes_the_request_back_at_once(openai: OpenAiFarEnd) -> None:
    openai.manners = Manners(pace=0.05)
    async with voice(openai) as it:
        line = it.speak(LINE * 5)
        await anext(line)
        began = asyncio.get_running_loop().time()
        await line.aclose()
        async with asyncio.timeout(0.5):
            await openai.asked[0].gone.wait()
        assert asyncio.get_running_loop().time() - began < 0.06
        assert openai.asked[0].sent < len(openai.pcm(LINE * 5))


async def test_a_long_text_is_asked_for_in_parts_that_end_with_sentences(openai: OpenAiFarEnd) -> None:
    text = " ".join(f"This is sentence number {number} of a very long message." for number in range(120))
    openai.manners = Manners(body=bytes(4800))
    async with voice(openai) as it:
        await spoken(it, text)
    assert len(openai.texts) == 2
    assert " ".join(openai.texts) == text
    assert all(len(part) <= openai_speech.MAX_CHARS and part.endswith("message.") for part in openai.texts)


async def test_lines_share_a_connection_that_is_open_before_the_first(openai: OpenAiFarEnd) -> None:
    """Pain B2."""
    async with voice(openai) as it:
        assert openai.probed == ["gpt-4o-mini-tts"]
        for _ in range(3):
            await spoken(it, "Hello.")
    assert len({asked.peer for asked in openai.asked}) == 1


async def test_an_idle_connection_that_the_service_closed_costs_no_line(openai: OpenAiFarEnd) -> None:
    openai.turns = [Manners(), Manners(deaf=True)]
    async with voice(openai) as it:
        await spoken(it, "Hello.")
        assert joined(await spoken(it, LINE)) == openai.pcm(LINE)
    assert len(openai.asked) == 3


async def test_a_service_that_drops_a_fresh_connection_is_not_asked_again(openai: OpenAiFarEnd) -> None:
    it = OpenAiVoice(openai_settings(openai))
    openai.manners = Manners(deaf=True)
    with pytest.raises(SpeechUnavailable, match="can not be reached"):
        await spoken(it)
    await it.close()
    assert len(openai.asked) == 1


REFUSALS: list[tuple[Manners, str, str]] = [
    (Manners(status=401, error=openai_speech.INVALID_KEY), "401 invalid_api_key", "api_key"),
    (Manners(status=429, error=openai_speech.QUOTA), "429 insufficient_quota", "credit"),
    (Manners(status=429, error=openai_speech.RATE), "429 rate_limit_exceeded", "limit"),
    (Manners(status=500, error=openai_speech.OVERLOADED), "500 server_error", "problem of its own"),
    (Manners(status=502, error="<html><h1>Bad Gateway</h1></html>"), "502", "problem of its own"),
    (Manners(content_type="text/html", body=b"<html>Sign in</html>"), "text/html", "base_url"),
    (Manners(content_type="application/json", body=b'{"ok": true}'), "application/json", "base_url"),
    (Manners(content_type="audio/mpeg", body=b"ID3\x04" + bytes(4000)), "audio/mpeg", "format"),
    (Manners(body=b"RIFF\x24\x08\x00\x00WAVEfmt " + bytes(4000)), "RIFF", "format"),
    (Manners(body=b""), "without any audio", "openai"),
    (Manners(first_byte=60), "gave no audio for 0.4 s|did not answer for 0.4 s", "slow"),
    (Manners(stall_after=9600), "went silent in the middle of a line for 0.3 s", "slow"),
    (Manners(drop_after=9600), "broke off in the middle", "failed"),
    (Manners(short_by=9600), "broke off in the middle", "failed"),
]


@pytest.mark.parametrize(("manners", "message", "hint"), REFUSALS, ids=[message for _, message, _ in REFUSALS])
async def test_what_goes_wrong_is_said_with_what_to_do_and_not_tried_twice(
    openai: OpenAiFarEnd, manners: Manners, message: str, hint: str
) -> None:
    async with voice(openai, QUICK) as it:
        openai.manners = manners
        with pytest.raises(SpeechUnavailable, match=message) as refused:
            async with asyncio.timeout(3):
                await spoken(it)
    assert hint in refused.value.hint
    assert openai_speech.KEY not in str(refused.value)
    assert len(openai.asked) == 1


@pytest.mark.parametrize(
    ("change", "hint"),
    [({"voice": "zaphod"}, "tts.providers.openai.voice"), ({"model": "tts-9"}, "tts.providers.openai.model")],
)
async def test_a_name_that_the_service_does_not_know_says_which_setting(
    openai: OpenAiFarEnd, change: dict[str, str], hint: str
) -> None:
    it = OpenAiVoice(openai_settings(openai, **change))
    with pytest.raises(SpeechUnavailable) as refused:
        await spoken(it)
    await it.close()
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"api_key": "sk-wrong"}, "401 invalid_api_key"),
        ({"model": "tts-9"}, "404 model_not_found"),
        ({"api_key": "", "base_url": ""}, "no API key"),
        ({"base_url": "http://127.0.0.1:9/v1"}, "can not be reached"),
    ],
)
async def test_a_voice_that_can_not_work_says_so_when_it_is_started(
    openai: OpenAiFarEnd, change: dict[str, str], message: str
) -> None:
    it = OpenAiVoice(openai_settings(openai, **change))
    with pytest.raises(SpeechUnavailable, match=message):
        await it.start()
    await it.close()


async def test_a_compatible_server_needs_neither_key_nor_models(openai: OpenAiFarEnd) -> None:
    it = OpenAiVoice(OpenAiSettings("", openai.url.replace("/v1", "/other/v1"), "kokoro", "af_sky"))
    await it.start()  # 404 for /models is no reason to give up
    await it.close()


def telephone(pieces: list[Audio]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """What arrives at the telephone."""
    converter = PhoneConverter(pieces[0].format)
    data = b"".join(converter.feed(piece.data) for piece in pieces) + converter.flush()
    return np.frombuffer(mulaw_to_pcm16(data), np.int16).astype(float)


def power_at(samples: np.ndarray[Any, np.dtype[np.float64]], hz: float) -> float:
    """Power within 5 Hz of a frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    return float(spectrum[np.abs(np.fft.rfftfreq(len(samples), 1 / 8000) - hz) < 5].sum())


def rms(samples: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    return float(np.sqrt(np.mean(samples**2)))


def in_band_rms(samples: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Level of what a telephone line carries of 24 kHz audio."""
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / 24_000) > 3800] = 0
    return rms(np.fft.irfft(spectrum, len(samples)))
