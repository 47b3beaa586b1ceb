"""Servers that are not OpenAI, and their bad days: other shapes, names, refusals, stalls, cold connections."""

from __future__ import annotations

from typing import Any

import pytest

from engine.speech.brains.openai import DEFAULT_MODEL, OpenAiBrain, Persona
from engine.speech.ports import EndCall, SpeechUnavailable
from tests.speech.brains.chat_server import Exchange, chat_server
from tests.speech.brains.talk import replies, text_of
from tests.speech.brains.test_openai import KEY, TALK, brain_on, tool_call


@pytest.mark.parametrize(
    ("pieces", "ends"),
    [
        ([tool_call(name="transfer"), tool_call(name="end_call", arguments="{}")], ["Goodbye."]),
        (
            [{"choices": [{"delta": {"function_call": {"name": "end_call", "arguments": '{"farewell":"Bye."}'}}}]}],
            ["Bye."],
        ),
        (
            [
                {
                    "choices": [
                        {
                            "message": {
                                "tool_calls": [{"function": {"name": "end_call", "arguments": {"farewell": "So."}}}]
                            }
                        }
                    ]
                }
            ],
            ["So."],
        ),
        ([tool_call(name="end_call", arguments='{"farewell": "Broken')], ["Goodbye."]),
        (
            [
                {
                    "choices": [
                        {
                            "delta": {
                                "tool_calls": [
                                    {"index": 0, "function": {"name": "look", "arguments": '{"farewell": "No."}'}},
                                    {
                                        "index": 1,
                                        "function": {"name": "end_call", "arguments": '{"farewell": "Yes."}'},
                                    },
                                ]
                            }
                        }
                    ]
                }
            ],
            ["Yes."],
        ),
    ],
)
async def test_a_wish_to_hang_up_is_understood_in_every_form(pieces: list[Any], ends: list[str]) -> None:
    async def answer(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.event(piece)
        await exchange.done()

    async with brain_on(answer) as (brain, _):
        assert await replies(brain, TALK) == [EndCall(farewell=farewell) for farewell in ends]


async def test_reasoning_in_a_field_of_its_own_is_no_words_and_a_refusal_is() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.event({"choices": [{"delta": {"reasoning_content": "They want.", "content": None}}]})
        await exchange.event({"choices": [{"delta": {"reasoning": "A plan."}}]})
        await exchange.event({"choices": [{"delta": {"content": [{"type": "thinking", "thinking": "x"}]}}]})
        await exchange.event({"choices": [{"delta": {"content": [{"type": "text", "text": "Yes. "}]}}]})
        await exchange.event({"choices": [{"delta": {"refusal": "I can not."}, "finish_reason": "stop"}]})
        await exchange.done()

    async with brain_on(answer) as (brain, _):
        assert text_of(await replies(brain, TALK)) == "Yes. I can not."


async def test_a_model_that_stops_between_two_words_is_named_before_the_whole_time_is_up() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.say("Well, ")
        await exchange.write(b": keep-alive\n\n")
        await exchange.hang()

    async with chat_server(answer) as server:
        brain = OpenAiBrain(KEY, server.base_url, stall_s=0.2)
        await brain.start()
        with pytest.raises(SpeechUnavailable, match="stopped in the middle of its reply for 0.2 s"):
            await replies(brain, TALK)
        await brain.close()


async def test_a_garbled_stream_is_named() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.write(b"data: {oops\n\ndata: <html>\n\n")
        await exchange.done()

    async with brain_on(answer) as (brain, _):
        with pytest.raises(SpeechUnavailable, match="held no words: 2 events of it were not JSON"):
            await replies(brain, TALK)


async def test_an_answer_that_a_filter_emptied_says_so() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.event({"choices": [{"delta": {}, "finish_reason": "content_filter"}]})
        await exchange.done()

    async with brain_on(answer) as (brain, _):
        with pytest.raises(SpeechUnavailable, match="gave up with content_filter"):
            await replies(brain, TALK)


@pytest.mark.parametrize("after", [None, "0.05"])
async def test_a_busy_server_is_asked_once_more(after: str | None) -> None:
    async def answer(exchange: Exchange) -> None:
        if len(server.exchanges) == 1:
            exchange.headers = {"Retry-After": after} if after else {}
            await exchange.json(503, {"error": {"message": "overloaded"}})
        else:
            await exchange.say("Here.")
            await exchange.done()

    async with brain_on(answer) as (brain, server):
        assert text_of(await replies(brain, TALK)) == "Here."


async def test_a_server_that_asks_for_a_long_pause_is_not_asked_again() -> None:
    async def answer(exchange: Exchange) -> None:
        exchange.headers = {"Retry-After": "20"}
        await exchange.json(429, {"error": {"message": "slow down"}})

    async with brain_on(answer) as (brain, server):
        with pytest.raises(SpeechUnavailable, match="429: slow down"):
            await replies(brain, TALK)
        assert len(server.exchanges) == 1


async def test_a_vendors_prefix_is_dropped_where_the_server_does_not_know_it() -> None:
    async def answer(exchange: Exchange) -> None:
        if exchange.body["model"] == "gpt-x":
            await exchange.json(200, {"choices": [{"message": {"content": "At once."}}]})
        else:
            await exchange.json(404, {"error": {"message": "The model does not exist"}})

    async with brain_on(answer, Persona("openai/gpt-x")) as (brain, server):
        assert text_of(await replies(brain, TALK)) == "At once."
        assert text_of(await replies(brain, TALK)) == "At once."
    assert [exchange.body["model"] for exchange in server.exchanges] == ["openai/gpt-x", "gpt-x", "gpt-x"]


async def test_a_router_gets_the_prefix_that_it_needs() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.json(200, {"choices": [{"message": {"content": "At once."}}]})

    async with brain_on(answer, Persona("openai/gpt-x")) as (brain, server):
        await replies(brain, TALK)
    assert server.exchanges[0].body["model"] == "openai/gpt-x"


@pytest.mark.parametrize("host", ["api.openai.com", "eu.api.openai.com"])
def test_openai_itself_never_sees_the_prefix(host: str) -> None:
    brain = OpenAiBrain(KEY, f"https://{host}/v1")
    assert brain._model(Persona("openai/gpt-x")) == "gpt-x"


async def test_the_address_of_the_endpoint_itself_is_understood() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.json(200, {"choices": [{"message": {"content": "At once."}}]})

    async with chat_server(answer) as server:
        brain = OpenAiBrain(KEY, f"{server.base_url}/chat/completions/")
        await brain.start()
        assert text_of(await replies(brain, TALK)) == "At once."
        await brain.close()


async def test_a_connection_opened_while_the_phone_rings_carries_the_first_reply() -> None:
    async def answer(exchange: Exchange) -> None:
        await exchange.say("Here.")
        await exchange.done()

    async with brain_on(answer) as (brain, server):
        await brain.call_begins(TALK)
        assert len(server.connections) == 1 and not server.exchanges
        assert text_of(await replies(brain, TALK)) == "Here."
        assert len(server.connections) == 1


async def test_a_server_that_is_not_there_yet_does_not_disturb_the_ringing() -> None:
    async with chat_server(lambda exchange: exchange.done()) as server:
        base_url = server.base_url
    brain = OpenAiBrain(KEY, base_url)
    await brain.start()
    await brain.call_begins(TALK)
    await brain.close()


async def test_the_official_sdk_reads_the_same_words_and_tool_calls_from_the_same_stream() -> None:
    from openai import AsyncOpenAI

    async def answer(exchange: Exchange) -> None:
        base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        deltas: list[dict[str, Any]] = [
            {"role": "assistant", "content": ""},
            {"content": "Good"},
            {"content": "bye."},
            {
                "tool_calls": [
                    {"index": 0, "id": "c1", "type": "function", "function": {"name": "end_call", "arguments": ""}}
                ]
            },
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"farewell":"So long."}'}}]},
        ]
        for delta in deltas:
            await exchange.event({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        await exchange.event({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
        await exchange.done()

    async with brain_on(answer) as (brain, server):
        ours = await replies(brain, TALK)
        async with (
            AsyncOpenAI(api_key=KEY, base_url=server.base_url, max_retries=0) as sdk,
            sdk.chat.completions.stream(
                model=DEFAULT_MODEL,
                messages=server.exchanges[0].body["messages"],
                tools=server.exchanges[0].body["tools"],
            ) as stream,
        ):
            theirs = (await stream.get_final_completion()).choices[0].message
    assert text_of(ours) == theirs.content == "Goodbye."
    assert theirs.tool_calls is not None
    assert ours[-1] == EndCall(farewell="So long.")
    assert theirs.tool_calls[0].function.name == "end_call"
    assert {key: value for key, value in server.exchanges[1].body.items() if key in server.exchanges[0].body} == (
        server.exchanges[0].body
    )
