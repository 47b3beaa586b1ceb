"""JSON-RPC 2.0, to the letter, for well-meant and for hostile input."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.api import Refusal
from engine.control import rpc
from engine.control.methods import METHODS, Dispatcher
from engine.store import EventLog
from tests.control.engine_on_log import EchoEngine
from tests.control.fixtures import as_api


@pytest.fixture
async def dispatcher(engine: EchoEngine) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(as_api(engine))
    yield dispatcher
    await dispatcher.close()


async def ask(dispatcher: Dispatcher, request: object) -> Any:
    answer = await rpc.answer(dispatcher, json.dumps(request).encode(), "test")
    return None if answer is None else json.loads(answer)


def request(method: str = "voicecall.health", request_id: object = 1, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


@pytest.mark.parametrize("request_id", [1, -5, 1.5, "a", "", None])
async def test_an_answer_carries_the_id_of_its_request(dispatcher: Dispatcher, request_id: object) -> None:
    answer = await ask(dispatcher, request(request_id=request_id))
    assert answer["jsonrpc"] == "2.0"
    assert answer["id"] == request_id
    assert answer["result"]["slots"] == {"live": 0}


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"jsonrpc": "1.0", "id": 1, "method": "voicecall.health"}, rpc.INVALID_REQUEST),
        ({"id": 1, "method": "voicecall.health"}, rpc.INVALID_REQUEST),
        ({"jsonrpc": "2.0", "id": 1}, rpc.INVALID_REQUEST),
        ({"jsonrpc": "2.0", "id": 1, "method": 7}, rpc.INVALID_REQUEST),
        ({"jsonrpc": "2.0", "id": [1], "method": "voicecall.health"}, rpc.INVALID_REQUEST),
        ({"jsonrpc": "2.0", "id": True, "method": "voicecall.health"}, rpc.INVALID_REQUEST),
        (5, rpc.INVALID_REQUEST),
        ([], rpc.INVALID_REQUEST),
        ([request()] * 51, rpc.INVALID_REQUEST),
        (request("voicecall.nothing"), rpc.METHOD_NOT_FOUND),
        (request("__class__"), rpc.METHOD_NOT_FOUND),
        (request("voicecall.speak"), rpc.INVALID_PARAMS),
        (request("voicecall.speak", callId=5, message="x"), rpc.INVALID_PARAMS),
        (request("voicecall.speak", call_id="c", message="x"), rpc.INVALID_PARAMS),
        (request("voicecall.speak", callId="c", message="x", extra=1), rpc.INVALID_PARAMS),
        (request("voicecall.events", waitMs="5"), rpc.INVALID_PARAMS),
        (request("voicecall.events", waitMs=45_001), rpc.INVALID_PARAMS),
        (request("voicecall.events", waitMs=True), rpc.INVALID_PARAMS),
        (request("voicecall.events", cursor="nonsense"), rpc.INVALID_PARAMS),
        (request("voicecall.floor", callId="c", holder="caller"), rpc.INVALID_PARAMS),
        (request("voicecall.initiate", message="x", mode="shout"), rpc.INVALID_PARAMS),
        (request("voicecall.health", verbose=True), rpc.INVALID_PARAMS),
        ({**request(), "params": [1]}, rpc.INVALID_PARAMS),
        (request("voicecall.speak", callId="nobody", message="x"), rpc.REFUSED),
    ],
)
async def test_each_mistake_has_its_code_a_slug_and_a_sentence(
    dispatcher: Dispatcher, sent: object, code: int
) -> None:
    error = (await ask(dispatcher, sent))["error"]
    assert error["code"] == code
    assert error["message"].endswith(".")
    assert error["data"]["code"] in {"invalid_params", "not_supported", "call_not_found"}


async def test_wrong_parameters_say_what_the_method_takes(dispatcher: Dispatcher) -> None:
    error = (await ask(dispatcher, request("voicecall.speak", callID="c")))["error"]
    assert "callId: Field required" in error["message"]
    assert error["data"]["hint"] == "This method takes: callId, message."


async def test_a_notification_is_done_and_not_answered(dispatcher: Dispatcher, engine: EchoEngine) -> None:
    note = {"jsonrpc": "2.0", "method": "voicecall.initiate", "params": {"message": "hi"}}
    assert await ask(dispatcher, note) is None
    assert await ask(dispatcher, [note, note]) is None
    assert engine.acts == [("initiate", "test")] * 3


async def test_a_batch_is_answered_in_order_without_its_notifications(dispatcher: Dispatcher) -> None:
    note = {"jsonrpc": "2.0", "method": "voicecall.health"}
    answers = await ask(dispatcher, [request(request_id="a"), note, 1, request("no", "b"), request(request_id="c")])
    assert [answer["id"] for answer in answers] == ["a", None, "b", "c"]


async def test_what_fails_unexpectedly_is_an_internal_error_without_its_insides(
    dispatcher: Dispatcher, engine: EchoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "live_calls", lambda: 1 / 0)
    error = (await ask(dispatcher, request()))["error"]
    assert (error["code"], error["data"]["code"]) == (rpc.INTERNAL_ERROR, "internal_error")
    assert "division" not in json.dumps(error)


async def test_a_refusal_about_a_call_that_exists_names_it_in_its_data(
    dispatcher: Dispatcher, engine: EchoEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: object, **__: object) -> str:
        raise Refusal("outcome_unknown", "It may have been placed.", "Look it up.", call_id="c-1")

    monkeypatch.setattr(engine, "initiate", lost)
    answer = await ask(dispatcher, request("voicecall.initiate", to="+15550100142", message="Hi"))
    assert answer["error"]["data"] == {"code": "outcome_unknown", "hint": "Look it up.", "callId": "c-1"}


async def test_a_store_that_fails_is_a_refusal_of_its_own(dispatcher: Dispatcher, engine: EchoEngine) -> None:
    await engine.log.close()
    error = (await ask(dispatcher, request("voicecall.history")))["error"]
    assert error["data"]["code"] == "store_failed"


async def test_a_stopped_door_answers_that_the_engine_stops(dispatcher: Dispatcher, engine: EchoEngine) -> None:
    call_id = (await ask(dispatcher, request("voicecall.initiate", message="x")))["result"]["callId"]
    engine.hold.clear()
    async with asyncio.timeout(10):
        asking = asyncio.create_task(ask(dispatcher, request("voicecall.continue", callId=call_id, message="?")))
        await engine.asked.wait()
        await dispatcher.close()
        assert (await asking)["error"]["data"]["code"] == "engine_stopping"
    assert (await ask(dispatcher, request()))["error"]["data"]["code"] == "engine_stopping"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_names = st.sampled_from(
    [
        "to",
        "message",
        "mode",
        "callId",
        "digits",
        "cursor",
        "limit",
        "last",
        "query",
        "holder",
        "calls",
        "operationId",
    ]
)
_requests = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": st.sampled_from(sorted(METHODS)) | st.text(max_size=9)},
    optional={"id": _json, "params": st.dictionaries(_names, _json, max_size=4) | _json},
)


@given(body=st.binary(max_size=200) | (_json | _requests | st.lists(_requests, max_size=3)).map(json.dumps))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_body_breaks_the_door(tmp_path: Path, body: bytes | str) -> None:
    async with await EventLog.open(tmp_path / "calls.db") as log:
        dispatcher = Dispatcher(as_api(EchoEngine(log)))
        async with asyncio.timeout(5):
            answer = await rpc.answer(dispatcher, body, "fuzz")
        await dispatcher.close()
    for one in [] if answer is None else as_list(json.loads(answer)):
        assert one["jsonrpc"] == "2.0"
        assert ("result" in one) != ("error" in one)
        if "error" in one:
            assert one["error"]["data"]["code"] != "internal_error"


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
