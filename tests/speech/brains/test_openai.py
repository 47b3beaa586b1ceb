"""A chat model is the brain: against a real HTTP server that streams, stalls, breaks off and refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.speech.brains.openai import DEFAULT_MODEL, MAX_REPLY_CHARS, OpenAiBrain, Persona
from engine.speech.ports import EndCall, SpeechUnavailable, Words
from tests.speech.brains.chat_server import Answer, ChatServer, Exchange, chat_server
from tests.speech.brains.talk import agent, caller, conversation, replies, text_of

TALK = conversation(agent("Hello."), caller("What are your hours?"))
KEY = "sk-very-secret"


@asynccontextmanager
async def brain_on(answer: Answer, persona: Persona | None = None) -> AsyncIterator[tuple[OpenAiBrain, ChatServer]]:
    """A started brain and the server that it talks to."""
    async with chat_server(answer) as server:
        brain = OpenAiBrain(KEY, server.base_url, persona)
        await brain.start()
        try:
            yield brain, server
        finally:
            await brain.close()


def tool_call(**function: str) -> dict[str, Any]:
    return {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": function}]}}]}


async def test_words_are_streamed_as_they_are_written() -> None:
    written = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await exchange.say("We are ")
        await written.wait()
        await exchange.say("open.")
        await exchange.done()

    async with brain_on(answer) as (brain, server):
        stream = brain.reply(TALK)
        assert await anext(stream) == Words("We are ")
        written.set()
        assert [output async for output in stream] == [Words("open.")]
    body = server.exchanges[0].body
    assert body["model"] == DEFAULT_MODEL
    assert body["stream"] is True
    assert body["messages"][1:] == [
        {"role": "user", "content": "[the call begins]"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "What are your hours?"},
    ]
    assert server.exchanges[0].request.headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("size", [1, 3, 16])
async def test_events_may_be_split_anywhere(size: int) -> None:
    stream = (
        ": comment\r\n\r\n"
        'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\r\n\r\n'
        'data: {"choices":[{"delta":{"content":"Gr\u00fc\u00df "}}]}\n\n'
        'data: {"choices":[]}\n\ndata: not json\n\n'
        'data: {"choices":[{"delta":{"content":"Gott."}}]}\n\ndata: [DONE]\n\ndata: {"choices":[]}\n\n'
    ).encode()

    async def answer(exchange: Exchange) -> None:
        for start in range(0, len(stream), size):
            await exchange.write(stream[start : start + size])

    async with brain_on(answer) as (brain, _):
        assert text_of(await replies(brain, TALK)) == "Gr\u00fc\u00df Gott."


async def test_the_end_call_tool_ends_the_call() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.say("Goodbye.")
        await exchange.event(tool_call(name="end_call", arguments=""))
        await exchange.event(tool_call(arguments='{"farewell": "So long."}'))
        await exchange.done()

    async with brain_on(answer) as (brain, server):
        assert await replies(brain, TALK) == [Words("Goodbye."), EndCall(farewell="So long.")]
    assert server.exchanges[0].body["tools"][0]["function"]["name"] == "end_call"


async def test_a_farewell_comes_with_the_tool_call_however_it_is_cut() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.event(tool_call(name="end_call", arguments='{"fare'))
        await exchange.event(tool_call(arguments='well": "So long."}'))
        await exchange.done()

    async with brain_on(answer) as (brain, _):
        assert await replies(brain, TALK) == [EndCall(farewell="So long.")]


async def test_other_tools_do_not_end_the_call() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.event(tool_call(name="transfer", arguments="{}"))
        await exchange.done()

    async with brain_on(answer) as (brain, _):
        with pytest.raises(SpeechUnavailable, match="held no words"):
            await replies(brain, TALK)


async def test_an_answer_that_is_no_chat_stream_is_a_failure_and_not_silence() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.event({"choices": [{"delta": {"content": ""}}]})
        await exchange.done()

    async with brain_on(answer) as (brain, _):
        with pytest.raises(SpeechUnavailable, match="held no words"):
            await replies(brain, TALK)


async def test_a_server_that_does_not_stream_is_understood() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.json(200, {"choices": [{"message": {"content": "At once."}}]})

    async with brain_on(answer) as (brain, _):
        assert text_of(await replies(brain, TALK)) == "At once."


@pytest.mark.parametrize(
    ("status", "body", "message", "hint"),
    [
        (
            401,
            {"error": {"code": "invalid_api_key", "message": f"Bad key {KEY}"}},
            "401 invalid_api_key: Bad key",
            "key",
        ),
        (404, {"error": {"type": "not_found", "message": "No such model"}}, "404 not_found: No such model", "model"),
        (429, {"detail": "slow down"}, "429: slow down", "limit"),
        (500, {"error": "overloaded"}, "500: overloaded", "server"),
        (422, ["odd"], "422", ""),
    ],
)
async def test_a_refusal_keeps_the_servers_code_and_message(status: int, body: Any, message: str, hint: str) -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.json(status, body)

    async with brain_on(answer) as (brain, _):
        with pytest.raises(SpeechUnavailable) as caught:
            await replies(brain, TALK)
    assert message in str(caught.value)
    assert hint in caught.value.hint
    assert KEY not in str(caught.value)


async def test_an_error_page_is_shortened() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.plain(502, "<html>\x1b[31m" + "x" * 100_000)

    async with brain_on(answer) as (brain, _):
        with pytest.raises(SpeechUnavailable, match="502: <html>") as caught:
            await replies(brain, TALK)
    assert len(str(caught.value)) < 700
    assert "\x1b" not in str(caught.value)


async def test_an_error_in_the_middle_of_the_stream_is_reported() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.say("Well, ")
        await exchange.event({"error": {"code": "server_error", "message": "lost it"}})

    async with brain_on(answer) as (brain, _):
        stream = brain.reply(TALK)
        assert await anext(stream) == Words("Well, ")
        with pytest.raises(SpeechUnavailable, match="server_error lost it"):
            await anext(stream)


async def test_a_connection_that_breaks_is_reported() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.say("Well, ")
        assert exchange.request.transport is not None
        exchange.request.transport.abort()

    async with brain_on(answer) as (brain, _):
        with pytest.raises(SpeechUnavailable, match="broke off"):
            await replies(brain, TALK)


async def test_an_idle_connection_that_the_server_closed_is_tried_once_more() -> None:
    async def answer(exchange: Exchange) -> None:
        if len(server.exchanges) == 1:
            assert exchange.request.transport is not None
            exchange.request.transport.close()
        await exchange.say("Here.")
        await exchange.done()

    async with brain_on(answer) as (brain, server):
        assert text_of(await replies(brain, TALK)) == "Here."
        assert len(server.exchanges) == 2


async def test_a_server_without_tools_is_asked_again_without_them() -> None:
    async def answer(exchange: Exchange) -> None:
        if "tools" in exchange.body:
            await exchange.json(400, {"error": {"message": "model does not support tools"}})
        else:
            await exchange.say("Fine.")
            await exchange.done()

    async with brain_on(answer) as (brain, server):
        assert text_of(await replies(brain, TALK)) == "Fine."
        assert text_of(await replies(brain, TALK)) == "Fine."
    assert ["tools" in exchange.body for exchange in server.exchanges] == [True, False, False]


async def test_a_model_that_says_nothing_is_given_up() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.write(b": wait\n\n")
        await exchange.hang()

    async with brain_on(answer, Persona(timeout_ms=200)) as (brain, server):
        with pytest.raises(SpeechUnavailable, match="did not say a word within 0.2 s"):
            await replies(brain, TALK)
        async with asyncio.timeout(5):
            await server.exchanges[0].dropped.wait()


async def test_a_model_that_does_not_finish_is_given_up() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.say("Well, ")
        await exchange.hang()

    async with brain_on(answer, Persona(timeout_ms=1000)) as (brain, _):
        with pytest.raises(SpeechUnavailable, match="did not finish its reply within 1 s"):
            await replies(brain, TALK)


async def test_an_endless_reply_is_cut_off_and_dropped() -> None:
    async def answer(exchange: Exchange) -> None:
        try:
            while True:
                await exchange.say("and on " * 100)
        finally:
            exchange.dropped.set()

    async with brain_on(answer) as (brain, server):
        assert len(text_of(await replies(brain, TALK))) == MAX_REPLY_CHARS
        async with asyncio.timeout(5):
            await server.exchanges[0].dropped.wait()


async def test_closing_the_reply_drops_the_connection() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.say("Once upon a time")
        await exchange.hang()

    async with brain_on(answer) as (brain, server):
        stream = brain.reply(TALK)
        assert await anext(stream) == Words("Once upon a time")
        await stream.aclose()
        async with asyncio.timeout(5):
            await server.exchanges[0].dropped.wait()


async def test_cancelling_before_the_first_word_drops_the_connection() -> None:
    asked = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        asked.set()
        await exchange.hang()

    async with brain_on(answer) as (brain, server):
        task = asyncio.create_task(replies(brain, TALK))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            await server.exchanges[0].dropped.wait()


async def test_a_server_that_is_not_there_is_reported() -> None:
    async with chat_server(lambda exchange: exchange.done()) as server:
        base_url = server.base_url
    brain = OpenAiBrain(KEY, base_url)
    await brain.start()
    with pytest.raises(SpeechUnavailable, match="can not be reached"):
        await replies(brain, TALK)
    await brain.close()


async def test_our_numbers_can_have_a_persona_of_their_own() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.json(200, {"choices": [{"message": {"content": "At once."}}]})

    async with chat_server(answer) as server:
        brain = OpenAiBrain(
            KEY, server.base_url, Persona("everyday"), {TALK.to_number: Persona("special", "You sell bread.")}
        )
        await brain.start()
        await replies(brain, TALK)
        await replies(brain, conversation(caller("Hi"), purpose="Bread is ready."))
        await brain.close()
    inbound, outbound = (exchange.body for exchange in server.exchanges)
    assert (inbound["model"], outbound["model"]) == ("special", "everyday")
    assert inbound["messages"][0]["content"].startswith("You sell bread.")
    assert "Bread is ready." in outbound["messages"][0]["content"]


async def test_openai_itself_needs_a_key_and_a_brain_needs_a_start() -> None:
    with pytest.raises(SpeechUnavailable, match="no API key"):
        await OpenAiBrain().start()
    with pytest.raises(SpeechUnavailable, match="not been started"):
        await replies(OpenAiBrain(KEY), TALK)
