"""The webhook desk through both clients, and what the door says to wrong input."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping

import pytest

from engine.client import EngineClient, InProcessClient, Refusal, SocketClient
from engine.control import rpc
from engine.control.door import Door
from engine.control.methods import Dispatcher
from tests.control.engine_on_log import EchoEngine
from tests.control.fixtures import as_api


@pytest.fixture(params=["in process", "unix socket"])
async def client(request: pytest.FixtureRequest, engine: EchoEngine, door: Door) -> AsyncIterator[EngineClient]:
    made: EngineClient
    if request.param == "in process":
        made = InProcessClient(as_api(engine), asyncio.get_running_loop(), "test")
    else:
        made = await SocketClient.connect(door.address, by="test")
    async with made:
        yield made


async def test_a_list_one_and_a_replay(client: EngineClient, engine: EchoEngine) -> None:
    assert await client.webhooks(last=3, call_id="c", verdict="replay", query="x", before=9, after=0) == [
        {"id": 7, "verdict": "ok"}
    ]
    (wanted,) = engine.wanted
    assert (wanted.last, wanted.call_id, wanted.verdict, wanted.query, wanted.before, wanted.after) == (
        3,
        "c",
        "replay",
        "x",
        9,
        0,
    )
    assert (await client.webhook(7))["secrets"] is False
    assert (await client.webhook(7, with_secrets=True))["secrets"] is True
    assert (await client.replay_webhook(7))["into"] == "sandbox"
    assert (await client.replay_webhook(7, "live"))["into"] == "live"
    assert engine.acts == [("replay sandbox", "test"), ("replay live", "test")]


async def test_one_that_is_not_there_is_refused_with_its_slug(client: EngineClient) -> None:
    for ask in (client.webhook(8), client.replay_webhook(8)):
        with pytest.raises(Refusal) as refusal:
            await ask
        assert refusal.value.code == "webhook_not_found"


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("voicecall.webhooks", {"last": 0}),
        ("voicecall.webhooks", {"last": 1001}),
        ("voicecall.webhooks", {"verdict": "skip"}),
        ("voicecall.webhooks", {"query": 5}),
        ("voicecall.webhooks", {"query": "x" * 501}),
        ("voicecall.webhooks", {"before": 2**70}),
        ("voicecall.webhooks", {"call_id": "snake"}),
        ("voicecall.webhook", {}),
        ("voicecall.webhook", {"id": "7"}),
        ("voicecall.webhook", {"id": -1}),
        ("voicecall.webhook", {"id": 7, "withSecrets": "yes"}),
        ("voicecall.webhook.replay", {"id": 7, "into": "elsewhere"}),
        ("voicecall.webhook.replay", {"into": "live"}),
    ],
)
async def test_wrong_parameters_are_refused_with_their_slug(
    engine: EchoEngine, method: str, params: Mapping[str, object]
) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = await rpc.answer(Dispatcher(as_api(engine)), json.dumps(request).encode(), "test")
    assert answer is not None
    assert json.loads(answer)["error"]["data"]["code"] == "invalid_params"
    assert engine.acts == [] and engine.wanted == []
