"""What `voicecall setup --online` asks of the model server: is it there, is the key right, does it know the models?

Nothing is generated, so nothing is charged. Servers differ in what they tell of their models; one that tells nothing
is believed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import aiohttp

from engine.check import Check
from engine.config import Config
from engine.config.base import reveal
from engine.speech.brains.chat import error_text
from engine.speech.brains.openai import DEFAULT_BASE_URL, DEFAULT_MODEL, HINTS

SECONDS: Final = 10.0
MAX_LIST_BYTES: Final = 4 << 20


async def thinking(config: Config) -> Sequence[Check]:
    """One check for each model that may have to answer."""
    if config.response.provider != "openai" or not config.in_steps:
        return []
    general = config.response_model or DEFAULT_MODEL
    models = dict.fromkeys([general, *(route.response_model or general for route in config.numbers.values())])
    key = reveal(config.response.api_key)
    base_url = (config.response.base_url or DEFAULT_BASE_URL).rstrip("/").removesuffix("/chat/completions")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        return await asyncio.gather(*(_ask(http, base_url, model, key) for model in models))


async def _ask(http: aiohttp.ClientSession, base_url: str, model: str, key: str) -> Check:
    id_ = f"model-{model}"
    try:
        status, body = await _get(http, f"{base_url}/models/{quote(model.removeprefix('openai/'), safe='/:')}")
        if status == 404:
            return await _look_up(http, base_url, model)
    except (aiohttp.ClientError, TimeoutError) as error:
        why = str(error) or type(error).__name__
        return Check(
            id_, False, f"the model server {base_url} can not be reached: {why}", "check `response.base_url`"
        )
    if status < 400:
        return Check(id_, True, f"the model server knows {model}")
    code, message = error_text(body)
    text = f"the model server answered {status} {code}".rstrip() + f": {message}"
    return Check(id_, False, text.replace(key, "***") if key else text, HINTS.get(status, ""))


async def _look_up(http: aiohttp.ClientSession, base_url: str, model: str) -> Check:
    """A server may know its models only as a list, or not tell of them at all."""
    id_ = f"model-{model}"
    status, body = await _get(http, f"{base_url}/models")
    known = _ids(body) if status < 400 else set()
    if not known:
        return Check(id_, True, f"the model server answers, and does not say whether it knows {model}")
    if {model, model.removeprefix("openai/")} & known:
        return Check(id_, True, f"the model server knows {model}")
    return Check(id_, False, f"the model server does not know {model}", "check `response_model`")


async def _get(http: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
    async with http.get(url) as response:
        body = b""
        while len(body) < MAX_LIST_BYTES and (data := await response.content.read(65_536)):
            body += data
        return response.status, body


def _ids(body: bytes) -> set[str]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return set()
    models = value.get("data") if isinstance(value, dict) else None
    ids = (each.get("id") for each in models if isinstance(each, dict)) if isinstance(models, list) else ()
    return {each for each in ids if isinstance(each, str)}
