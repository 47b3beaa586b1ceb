"""Any server that speaks OpenAI's chat completions, streaming.

The caller's words are only ever sent in the user role: they are a stranger's, not instructions of ours. The model
ends the call with the tool `end_call`; no other tool is offered or obeyed. Streamed chunks:
platform.openai.com/docs/api-reference/chat-streaming.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from engine.speech.brains.budget import STALL_SECONDS, Budget
from engine.speech.brains.chat import END_CALL, Chunk, ChunkReader, error_text
from engine.speech.brains.prompt import messages
from engine.speech.brains.sse import EventTooLarge, SseParser
from engine.speech.ports import BrainOutput, Conversation, EndCall, SpeechUnavailable, Words

log = logging.getLogger(__name__)

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"
DEFAULT_MODEL: Final = "gpt-6-luna"
"""OpenAI's named successor of the gpt-4o and gpt-4.1 families, which end in January 2027."""
DEFAULT_PROMPT: Final = (
    "You are a friendly and competent assistant on the telephone. Help the person you speak with, ask one thing at"
    " a time, and admit what you do not know."
)
CONNECT_SECONDS: Final = 5.0
KEEP_ALIVE_SECONDS: Final = 75.0
"""A connection is kept for the next turn: callers take their time."""
RETRIED: Final = frozenset((429, 500, 502, 503, 504, 529))
"""Refusals that may be over a moment later; tried once more."""
RETRY_SECONDS: Final = 0.3
MAX_RETRY_SECONDS: Final = 2.0
"""A server that asks for a longer pause is not asked again: the caller waits."""
MAX_ERROR_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 1 << 20
MAX_REPLY_CHARS: Final = 8000
"""A reply longer than this (about ten minutes of speech) is cut off."""

_END_CALL: Final = {
    "type": "function",
    "function": {
        "name": END_CALL,
        "description": "Hang up once what you said has been heard. Say goodbye first, or in `farewell`.",
        "parameters": {
            "type": "object",
            "properties": {"farewell": {"type": "string", "description": "Last words, if not said already."}},
        },
    },
}
HINTS: Final = {
    401: "check `response.api_key`",
    403: "the key may not use this model: check `response.api_key` and `response_model`",
    404: "check `response_model` and `response.base_url`",
    429: "the account's rate limit or credit is used up",
}


@dataclass(frozen=True, slots=True)
class Persona:
    """Who the model is on one of our numbers. `timeout_ms`: how long it may work on a reply."""

    model: str = DEFAULT_MODEL
    system_prompt: str = DEFAULT_PROMPT
    timeout_ms: int = 30_000


class OpenAiBrain:
    """Streams replies from a chat model. `by_number`: personas of those of our numbers that have their own."""

    name = "openai"

    def __init__(
        self,
        api_key: str = "",
        base_url: str = "",
        persona: Persona | None = None,
        by_number: Mapping[str, Persona] | None = None,
        stall_s: float = STALL_SECONDS,
    ) -> None:
        self._api_key = api_key
        self._base_url = (base_url or DEFAULT_BASE_URL).rstrip("/").removesuffix("/chat/completions")
        self._stall_s = stall_s
        self._bare_models: set[str] = set()
        """Models that the server knows without the vendor's prefix only."""
        self._persona = persona or Persona()
        self._by_number = dict(by_number or {})
        self._session: aiohttp.ClientSession | None = None
        self._tools = True

    async def start(self) -> None:
        """Raises SpeechUnavailable when OpenAI's own server is to be used without a key."""
        if not self._api_key and self._base_url == DEFAULT_BASE_URL:
            raise SpeechUnavailable(
                "the openai brain has no API key", "set `response.api_key` or OPENAI_API_KEY, or `response.base_url`"
            )
        headers = {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}
        timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS)
        self._session = aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def reply(self, conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        """Words as the model writes them. Raises SpeechUnavailable with the server's own code and message.

        Closing the generator drops the connection, which stops the model.
        """
        persona = self._persona_for(conversation)
        clock = Budget(persona.timeout_ms / 1000, self._stall_s)
        reader = ChunkReader()
        said = 0
        async with (
            self._answer(persona, conversation, clock) as response,
            aclosing(_chunks(response, clock, reader)) as chunks,
        ):
            async for chunk in chunks:
                if chunk.error:
                    raise SpeechUnavailable(f"the model's answer broke off: {self._redacted(chunk.error)}")
                if chunk.text and said < MAX_REPLY_CHARS:
                    yield Words(chunk.text[: MAX_REPLY_CHARS - said])
                    said += len(chunk.text)
                if said >= MAX_REPLY_CHARS:
                    break
        if not said and not reader.ends_call:
            raise _wordless(reader)
        if reader.garbled:
            log.warning("%d events of the model's answer were not JSON and were left out", reader.garbled)
        if reader.ends_call:
            yield EndCall(farewell=reader.farewell)

    async def call_begins(self, conversation: Conversation) -> None:
        """Open a connection while the phone rings, so that the first reply does not wait for one."""
        if self._session is None:
            return
        try:
            async with asyncio.timeout(CONNECT_SECONDS), self._session.head(self._completions) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning(
                "no connection to the model server yet: %s", self._redacted(str(error) or type(error).__name__)
            )

    async def call_ends(self, call_id: str) -> None:
        """Nothing is kept per call."""

    @property
    def _completions(self) -> str:
        return f"{self._base_url}/chat/completions"

    def _model(self, persona: Persona) -> str:
        """The model's name for this server. OpenClaw writes the vendor in front of it: `openai/gpt-...`.

        OpenAI itself does not know such names; routers such as OpenRouter know no others.
        """
        bare = persona.model.removeprefix("openai/")
        is_openai = (urlsplit(self._base_url).hostname or "").endswith(".openai.com")
        return bare if is_openai or persona.model in self._bare_models else persona.model

    def _persona_for(self, conversation: Conversation) -> Persona:
        return self._by_number.get(conversation.our_number, self._persona)

    @asynccontextmanager
    async def _answer(
        self, persona: Persona, conversation: Conversation, clock: Budget
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The server's streaming answer. Raises SpeechUnavailable."""
        response = await self._request(persona, conversation, clock)
        try:
            yield response
        except (aiohttp.ClientError, EventTooLarge) as error:
            raise SpeechUnavailable(f"the model's answer broke off: {type(error).__name__}: {error}") from error
        finally:
            response.close()  # not release: the rest of the answer is not wanted

    async def _request(self, persona: Persona, conversation: Conversation, clock: Budget) -> aiohttp.ClientResponse:
        retried = False
        while True:
            response = await self._post(persona, conversation, clock)
            if response.status < 400:
                return response
            problem = await self._problem(response, clock)
            if self._asks_too_much(persona, response.status, str(problem)):
                continue
            pause = _retry_pause(response)
            if retried or pause is None:
                raise problem
            retried = True
            await clock.spend(asyncio.sleep(pause))

    def _asks_too_much(self, persona: Persona, status: int, problem: str) -> bool:
        """Whether the server would take a simpler request, which the next one is."""
        if self._tools and status in (400, 422) and "tool" in problem.lower():
            self._tools = False  # a small server without tools: it can talk, but not hang up
            log.warning("the model server takes no tools, so the model can not hang up: %s", problem)
            return True
        prefixed = persona.model.startswith("openai/") and self._model(persona) == persona.model
        if prefixed and status in (400, 404, 422) and "model" in problem.lower():
            self._bare_models.add(persona.model)
            return True
        return False

    async def _post(self, persona: Persona, conversation: Conversation, clock: Budget) -> aiohttp.ClientResponse:
        if self._session is None:
            raise SpeechUnavailable("the openai brain has not been started")
        url = self._completions
        body: dict[str, Any] = {
            "model": self._model(persona),
            "messages": messages(persona.system_prompt, conversation),
            "stream": True,
        }
        if self._tools:
            body["tools"] = [_END_CALL]
        try:
            return await clock.spend(self._session.post(url, json=body))
        except aiohttp.ServerDisconnectedError:
            pass  # most likely an idle connection that the server closed meanwhile; a second one is fresh
        except aiohttp.ClientError as error:
            raise _unreachable(self._base_url, error) from error
        try:
            return await clock.spend(self._session.post(url, json=body))
        except aiohttp.ClientError as error:
            raise _unreachable(self._base_url, error) from error

    async def _problem(self, response: aiohttp.ClientResponse, clock: Budget) -> SpeechUnavailable:
        try:
            body = await _read(response, MAX_ERROR_BYTES, clock)
        except aiohttp.ClientError:
            body = b""
        finally:
            response.close()
        code, message = error_text(body)
        what = f"{response.status} {code}".strip()
        text = self._redacted(message or response.reason or "no explanation")
        hint = HINTS.get(response.status, "the server has a problem of its own" if response.status >= 500 else "")
        return SpeechUnavailable(f"the model server answered {what}: {text}", hint)

    def _redacted(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text


def _wordless(reader: ChunkReader) -> SpeechUnavailable:
    why = ""
    if reader.garbled:
        why = f": {reader.garbled} events of it were not JSON"
    elif reader.finish not in ("", "stop"):
        why = f": the server gave up with {reader.finish}"
    return SpeechUnavailable(
        f"the model's answer held no words{why}", "see whether response.base_url is a chat server's address"
    )


def _retry_pause(response: aiohttp.ClientResponse) -> float | None:
    """Seconds to wait before the same is asked again; None when that is no use."""
    if response.status not in RETRIED:
        return None
    try:
        pause = float(response.headers.get("Retry-After", RETRY_SECONDS))
    except ValueError:
        return None
    return pause if 0 <= pause <= MAX_RETRY_SECONDS else None


def _unreachable(base_url: str, error: Exception) -> SpeechUnavailable:
    return SpeechUnavailable(
        f"the model server {base_url} can not be reached: {str(error) or type(error).__name__}",
        "check `response.base_url` and the network",
    )


async def _read(response: aiohttp.ClientResponse, limit: int, clock: Budget) -> bytes:
    """The body up to `limit` bytes."""
    body = b""
    while len(body) < limit and (data := await clock.spend(response.content.read(limit - len(body)))):
        body += data
    return body


async def _chunks(
    response: aiohttp.ClientResponse, clock: Budget, reader: ChunkReader
) -> AsyncGenerator[Chunk, None]:
    """The answer piece by piece; a server that does not stream gives one piece."""
    if response.content_type == "application/json":
        body = await _read(response, MAX_BODY_BYTES, clock)
        yield reader.read(body.decode("utf-8", "replace"))
        return
    parser = SseParser()
    at_end = False
    while not at_end:
        data = await clock.spend(response.content.readany())
        at_end = not data
        for event in parser.flush() if at_end else parser.feed(data):
            if event.strip() == "[DONE]":
                return
            chunk = reader.read(event)
            if chunk.alive:
                clock.alive(words=bool(chunk.text))
            yield chunk
