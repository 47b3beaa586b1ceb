"""The model server is asked before the first caller asks it: there, with this key, with these models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from engine.config import Config, parse_config
from engine.online_brain import thinking

KEY = "sk-very-secret"
Answers = Mapping[str, tuple[int, Any]]


@asynccontextmanager
async def server(answers: Answers) -> AsyncIterator[str]:
    """A server that answers these paths, and 404 to all else."""

    async def handle(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        status, body = answers.get(request.path, (404, {"error": {"message": "no such thing"}}))
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def config(base_url: str, more: str = "response_model: m") -> Config:
    text = f"response: {{provider: openai, api_key: {KEY}, base_url: '{base_url}'}}\n{more}\n"
    return parse_config(text.encode(), None, {}).config


@pytest.mark.parametrize(
    ("answers", "ok", "message"),
    [
        ({"/v1/models/m": (200, {"id": "m"})}, True, "knows m"),
        ({"/v1/models": (200, {"data": [{"id": "m"}, 5]})}, True, "knows m"),
        ({"/v1/models": (200, {"data": [{"id": "other"}]})}, False, "does not know m"),
        ({"/v1/models": (200, ["odd"])}, True, "does not say whether it knows m"),
        ({}, True, "does not say whether it knows m"),
        ({"/v1/models/m": (401, {"error": {"code": "bad", "message": f"Bad {KEY}"}})}, False, "401 bad: Bad ***"),
        ({"/v1/models/m": (503, {"error": "busy"})}, False, "answered 503: busy"),
    ],
)
async def test_what_the_server_says_of_the_model_is_told(answers: Answers, ok: bool, message: str) -> None:
    async with server(answers) as base_url:
        (check,) = await thinking(config(base_url))
    assert (check.id, check.ok) == ("model-m", ok) and message in check.message


async def test_each_model_is_asked_for_once() -> None:
    more = "response_model: openai/m\nnumbers: {'+15550001111': {response_model: n}, '+15550001112': {}}"
    async with server({"/v1/models/m": (200, {}), "/v1/models/n": (200, {})}) as base_url:
        checks = await thinking(config(base_url, more))
    assert [(check.id, check.ok) for check in checks] == [("model-openai/m", True), ("model-n", True)]


async def test_a_server_that_is_not_there_is_named_and_other_brains_are_not_asked() -> None:
    async with server({}) as base_url:
        pass
    (check,) = await thinking(config(base_url))
    assert not check.ok and "can not be reached" in check.message
    assert await thinking(Config()) == []
