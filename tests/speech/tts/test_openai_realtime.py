"""Reading aloud over the Realtime API: the successor of the models that end in January 2027."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.media.audio import PHONE
from engine.speech.ports import SpeechUnavailable
from engine.speech.tts.http import Limits
from engine.speech.tts.models import is_realtime
from engine.speech.tts.openai_realtime import MAX_AGE_SECONDS, OpenAiRealtimeVoice
from tests.speech.far import openai_speech
from tests.speech.far.openai_speech import OpenAiFarEnd
from tests.speech.far.speech import Manners
from tests.speech.tts.cloud import LINE, QUICK, joined, openai_settings, spoken

MODEL = "gpt-realtime-2.1-mini"
SCHEMAS = Path(__file__).parents[4] / "shared/vectors/openai/realtime_schemas_2026-08-21.json"


@asynccontextmanager
async def voice(
    far: OpenAiFarEnd, limits: Limits | None = None, **changes: str
) -> AsyncIterator[OpenAiRealtimeVoice]:
    it = OpenAiRealtimeVoice(openai_settings(far, **({"model": MODEL, "voice": "marin"} | changes)), limits)
    await it.start()
    try:
        yield it
    finally:
        await it.close()


def test_models_are_told_apart_by_their_names() -> None:
    assert is_realtime("gpt-realtime-2.1-mini")
    assert not is_realtime("gpt-4o-mini-tts")
    assert not is_realtime("kokoro")


async def test_a_line_is_read_in_the_telephones_own_audio(openai: OpenAiFarEnd) -> None:
    async with voice(openai) as it:
        pieces = await spoken(it)
    assert joined(pieces) == openai.mulaw(LINE)
    assert {piece.format for piece in pieces} == {PHONE}


async def test_the_events_are_what_the_official_client_accepts(openai: OpenAiFarEnd) -> None:
    from openai.types.realtime import ResponseCreateEvent, SessionUpdateEvent

    async with voice(openai, instructions="Sound cheerful.") as it:
        await spoken(it)
    update, create = openai.sockets[0].events
    session = SessionUpdateEvent.model_validate(update).session
    assert session.model_dump(exclude_unset=True)["audio"]["output"] == {
        "format": {"type": "audio/pcmu"},
        "voice": "marin",
    }
    response = ResponseCreateEvent.model_validate(create).response
    assert response is not None
    assert response.conversation == "none", "what was read before does not colour what is read next"
    assert response.instructions is not None
    assert "word for word" in response.instructions
    assert response.instructions.endswith("Sound cheerful.")


@pytest.mark.skipif(not SCHEMAS.is_file(), reason="the official description is not here")
async def test_every_key_that_we_send_is_in_the_official_description(openai: OpenAiFarEnd) -> None:
    async with voice(openai) as it:
        await spoken(it)
    schemas = json.loads(SCHEMAS.read_text())["components"]["schemas"]
    update, create = openai.sockets[0].events
    session = schemas["RealtimeSessionCreateRequestGA"]["properties"]
    assert set(update["session"]) <= set(session)
    assert set(create["response"]) <= set(schemas["RealtimeResponseCreateParams"]["properties"])


async def test_lines_share_a_socket_that_is_open_before_the_first(openai: OpenAiFarEnd) -> None:
    async with voice(openai) as it:
        assert [event["type"] for event in openai.sockets[0].events] == ["session.update"]
        for _ in range(3):
            await spoken(it, "Hello.")
    assert len(openai.sockets) == 1


async def test_lines_of_two_calls_do_not_share_a_socket_at_the_same_time(openai: OpenAiFarEnd) -> None:
    openai.manners = Manners(pace=0.01)
    async with voice(openai) as it:
        first, second = await asyncio.gather(spoken(it, "One for you."), spoken(it, "And two for me."))
    assert joined(first) == openai.mulaw("One for you.")
    assert joined(second) == openai.mulaw("And two for me.")
    assert len(openai.sockets) == 2


async def test_a_line_that_is_not_wanted_any_more_stops_the_model(openai: OpenAiFarEnd) -> None:
    openai.manners = Manners(pace=0.05)
    async with voice(openai) as it:
        line = it.speak(LINE)
        await anext(line)
        began = asyncio.get_running_loop().time()
        await line.aclose()
        assert asyncio.get_running_loop().time() - began < 0.3
        assert joined(await spoken(it, "Next.")) == openai.mulaw("Next.")
    assert len(openai.sockets) == 2, "its socket may still be talking"


async def test_an_old_socket_is_not_used_any_more(openai: OpenAiFarEnd) -> None:
    async with voice(openai) as it:
        it._idle[0].opened_at -= MAX_AGE_SECONDS
        await spoken(it, "Hello.")
    assert len(openai.sockets) == 2


async def test_a_short_answer_instead_of_the_text_is_noticed_at_its_end(openai: OpenAiFarEnd) -> None:
    openai.says_instead = "Fine, thanks."
    async with voice(openai) as it:
        with pytest.raises(SpeechUnavailable, match="said something else than the text"):
            await spoken(it, "How are you today, Mrs. Young?")


async def test_a_model_that_answers_the_text_instead_of_reading_it_is_stopped(openai: OpenAiFarEnd) -> None:
    openai.says_instead = "Sure, I can help you with that, just tell me what you would like to do today my friend."
    async with voice(openai) as it:
        with pytest.raises(SpeechUnavailable, match="said something else than the text"):
            await spoken(it)


REFUSALS: list[tuple[Manners, str]] = [
    (Manners(status=429), "rate_limit_exceeded: Rate limit reached"),
    (Manners(first_byte=60), "gave no audio for 0.4 s"),
    (Manners(stall_after=4800), "went silent in the middle of a line for 0.3 s"),
    (Manners(drop_after=4800), "closed the socket in the middle of a line: code 1011"),
]


@pytest.mark.parametrize(("manners", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
async def test_what_goes_wrong_is_said(openai: OpenAiFarEnd, manners: Manners, message: str) -> None:
    async with voice(openai, QUICK) as it:
        openai.manners = manners
        with pytest.raises(SpeechUnavailable, match=message):
            await spoken(it)
        openai.manners = Manners()
        assert joined(await spoken(it)) == openai.mulaw(LINE), "the next line has a socket of its own"


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"api_key": "sk-wrong"}, "401", "api_key"),
        ({"model": "gpt-realtime-9"}, "model_not_found", "tts.providers.openai.model"),
        ({"voice": "zaphod"}, "invalid_value", "tts.providers.openai.voice"),
        ({"base_url": "http://127.0.0.1:9/v1"}, "can not be reached", "base_url"),
        ({"api_key": "", "base_url": ""}, "no API key", "OPENAI_API_KEY"),
    ],
)
async def test_a_voice_that_can_not_work_says_so_when_it_is_started(
    openai: OpenAiFarEnd, change: dict[str, str], message: str, hint: str
) -> None:
    it = OpenAiRealtimeVoice(openai_settings(openai, **({"model": MODEL} | change)))
    with pytest.raises(SpeechUnavailable, match=message) as refused:
        await it.start()
    assert hint in refused.value.hint
    assert openai_speech.KEY not in str(refused.value)
    await it.close()
