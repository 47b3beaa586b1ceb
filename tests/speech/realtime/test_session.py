"""Sessions over real sockets, and OpenAI's own client as the judge of the far end that they are tested against."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import TypeAdapter

from engine.speech.realtime.notices import LineAudio, LineOver, Notice, Ready, ResponseOver, Trouble
from engine.speech.realtime.problems import from_close, from_status
from engine.speech.realtime.responses import Ask
from engine.speech.realtime.service import RealtimeService
from engine.speech.realtime.session import RealtimeSession, SessionFailed
from engine.speech.realtime.setup import SessionSettings, session_update
from tests.speech.far.openai_realtime import KEY, Answer, FarRealtime, far_realtime


class Told:
    """What a session has noticed."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self._news = asyncio.Event()

    def __call__(self, notice: Notice) -> None:
        self.notices.append(notice)
        self._news.set()

    async def until(self, test: Callable[[Notice], Any]) -> Notice:
        async with asyncio.timeout(10):
            while True:
                for notice in self.notices:
                    if test(notice):
                        return notice
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def service(far: FarRealtime, key: str = KEY, **settings: Any) -> AsyncIterator[RealtimeService]:
    made = RealtimeService(key, far.url, SessionSettings(**settings))
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def open_session(far: FarRealtime, told: Told) -> AsyncIterator[RealtimeSession]:
    async with service(far) as made:
        session = made.session("", told)
        await session.open()
        running = asyncio.create_task(session.run())
        try:
            yield session
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_session_is_open_once_the_service_confirms_it() -> None:
    told = Told()
    async with far_realtime(ready_after=0.05) as far, open_session(far, told) as session:
        assert session.ready and isinstance(told.notices[0], Ready)
        assert far.session.config["instructions"].startswith("You are a friendly")
        assert session.expires_at is not None


async def test_a_line_arrives_whole_and_faster_than_it_is_said() -> None:
    told = Told()
    async with far_realtime(answers=(Answer("x" * 200),)) as far, open_session(far, told) as session:
        began = asyncio.get_running_loop().time()
        session.do(session.core.respond(Ask("a")))
        over = await told.until(lambda notice: isinstance(notice, LineOver))
        assert isinstance(over, LineOver) and over.ms == 2400
        assert asyncio.get_running_loop().time() - began < 1.5
        received = sum(len(notice.audio) for notice in told.notices if isinstance(notice, LineAudio))
        assert received == 2400 * 8
        await told.until(lambda notice: isinstance(notice, ResponseOver))


@pytest.mark.parametrize(
    ("manners", "key", "settings", "code", "final"),
    [
        ({}, "sk-wrong", {}, "invalid_api_key", True),
        ({"http_status": 403}, KEY, {}, "forbidden", True),
        ({"http_status": 404}, KEY, {}, "model_not_found", True),
        ({"http_status": 429}, KEY, {}, "rate_limit_exceeded", False),
        ({"http_status": 503}, KEY, {}, "http_503", False),
        ({}, KEY, {"model": "gpt-4"}, "model_not_found", True),
        (
            {"refuse": ("beta_api_shape_disabled", "The Realtime Beta API is no longer supported.")},
            KEY,
            {},
            "beta_api_shape_disabled",
            True,
        ),
        ({"output_format": "audio/pcm"}, KEY, {}, "wrong_format", True),
    ],
)
async def test_a_session_that_does_not_come_about_says_why(
    manners: dict[str, Any], key: str, settings: dict[str, Any], code: str, final: bool
) -> None:
    async with far_realtime(**manners) as far, service(far, key, **settings) as made:
        with pytest.raises(SessionFailed) as failed:
            await made.session("", Told()).open()
        problem = failed.value.problem
        assert (problem.code, problem.final) == (code, final)
        assert problem.hint and key not in problem.message


async def test_nobody_there_is_a_problem_with_a_hint() -> None:
    made = RealtimeService(KEY, "http://127.0.0.1:9/v1", SessionSettings())
    with pytest.raises(SessionFailed) as failed:
        await made.session("", Told()).open()
    assert failed.value.problem.code == "unreachable" and "base_url" in failed.value.problem.hint
    await made.close()


async def test_the_start_tells_how_the_service_is_and_leaves_nothing_open() -> None:
    async with far_realtime() as far, service(far) as made:
        assert made.health()["state"] == "starting"
        await made.start()
        assert made.health()["state"] == "ready"
        async with asyncio.timeout(5):
            await far.session.over.wait()
    async with far_realtime() as far, service(far, "sk-wrong") as made:
        await made.start()
        assert (made.health()["ok"], made.health()["state"]) == (False, "failed")


async def test_a_connection_that_breaks_ends_the_session_at_once() -> None:
    async with far_realtime() as far, service(far) as made:
        session = made.session("", Told())
        await session.open()
        running = asyncio.create_task(session.run())
        await far.session.drop()
        async with asyncio.timeout(1):
            problem = await running
        assert (problem.code, problem.final) == ("connection_lost", False)


async def test_a_session_that_the_service_ends_says_with_which_words() -> None:
    async with far_realtime() as far, service(far) as made:
        session = made.session("", Told())
        await session.open()
        running = asyncio.create_task(session.run())
        await far.session.close(1001, "Your session hit the maximum duration of 60 minutes.")
        assert (await running).code == "session_expired"


async def test_audio_that_can_not_be_read_is_complained_about_and_not_played() -> None:
    told = Told()
    async with far_realtime(bad_base64=True) as far, open_session(far, told) as session:
        session.do(session.core.respond(Ask("a")))
        await told.until(lambda notice: isinstance(notice, ResponseOver))
        troubles = [notice.problem for notice in told.notices if isinstance(notice, Trouble)]
        assert troubles and troubles[0].code == "bad_audio" and not troubles[0].lost
        assert not [notice for notice in told.notices if isinstance(notice, LineAudio)]


def test_the_body_of_a_refusal_names_the_real_reason() -> None:
    problem = from_status(429, '{"error": {"message": "You exceeded sk-abcd1234", "code": "insufficient_quota"}}')
    assert (problem.code, problem.final) == ("insufficient_quota", True)
    assert "sk-abcd1234" not in problem.message
    assert from_close(4000, "invalid_request_error.beta_api_shape_disabled").final


# -- OpenAI's own client ----------------------------------------------------------------------


def test_their_client_takes_our_session_for_a_valid_one() -> None:
    from openai.types.realtime import RealtimeSessionCreateRequest

    for settings in (
        SessionSettings(),
        SessionSettings(turn_detection="semantic_vad", speed=1.2, reasoning_effort="low", language="en"),
    ):
        session = session_update(settings)["session"]
        read = RealtimeSessionCreateRequest.model_validate(session)
        assert read.audio is not None and read.audio.output is not None and read.audio.output.format is not None
        assert read.audio.output.format.type == "audio/pcmu"
        assert read.to_dict(exclude_unset=True) == session


async def test_their_client_talks_with_our_far_end_and_reads_everything_it_says() -> None:
    """If the far end were wrong in the same way as our own client is, this is where it would show."""
    from openai import AsyncOpenAI
    from openai.types.realtime import RealtimeServerEvent

    async with far_realtime(answers=(Answer("Hello.", tools=(("end_call", "{}"),)),)) as far:
        client = AsyncOpenAI(api_key=KEY, base_url=far.url)
        adapter: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
        async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
            await connection.session.update(session=session_update(SessionSettings())["session"])
            await connection.input_audio_buffer.append(audio=base64.b64encode(bytes([0xFF]) * 1600).decode())
            await connection.response.create(response={"metadata": {"key": "a"}})
            seen: list[dict[str, Any]] = []
            async with asyncio.timeout(10):
                while not seen or seen[-1]["type"] != "response.done":
                    raw = await connection.recv_bytes()
                    event = adapter.validate_json(raw)
                    seen.append(event.to_dict(mode="json"))
        types = [str(event["type"]) for event in seen]
        for wanted in ("session.created", "session.updated", "response.created", "response.output_audio.delta"):
            assert wanted in types
        assert "response.function_call_arguments.done" in types and "error" not in types
        await client.close()
