"""Any server that speaks OpenAI's chat completions, streaming.

The caller's words are only ever sent in the user role: they are a stranger's, not instructions of ours. The model
ends the call with the tool `end_call`. Streamed chunks: platform.openai.com/docs/api-reference/chat-streaming.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import aiohttp

from engine.speech.brains.chat import Chunk, ChunkReader, error_text, messages
from engine.speech.brains.sse import EventTooLarge, SseParser
from engine.speech.ports import BrainOutput, Conversation, EndCall, SpeechUnavailable, Words

_T = TypeVar("_T")

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"
DEFAULT_MODEL: Final = "gpt-6-luna"
"""OpenAI's named successor of the gpt-4o and gpt-4.1 families, which end in January 2027."""
DEFAULT_PROMPT: Final = (
    "You are a friendly and competent assistant on the telephone. Help the person you speak with, ask one thing at"
    " a time, and admit what you do not know."
)
CONNECT_SECONDS: Final = 5.0
FIRST_TOKEN_SECONDS: Final = 15.0
"""Nobody waits longer for the first word; the whole reply may take `timeout_ms`."""
MAX_ERROR_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 1 << 20
MAX_REPLY_CHARS: Final = 8000
"""A reply longer than this (about ten minutes of speech) is cut off."""

_END_CALL: Final = {
    "type": "function",
    "function": {
        "name": "end_call",
        "description": "Hang up once what you said has been heard. Say goodbye first, or in `farewell`.",
        "parameters": {
            "type": "object",
            "properties": {"farewell": {"type": "string", "description": "Last words, if not said already."}},
        },
    },
}
_HINTS: Final = {
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
    ) -> None:
        self._api_key = api_key
        self._base_url = (base_url or DEFAULT_BASE_URL).rstrip("/")
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
        self._session = aiohttp.ClientSession(headers=headers, timeout=timeout)

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
        clock = _Budget(persona.timeout_ms / 1000)
        reader = ChunkReader()
        said = 0
        async with (
            self._answer(persona, conversation, clock) as response,
            aclosing(_chunks(response, clock, reader)) as chunks,
        ):
            async for chunk in chunks:
                if chunk.error:
                    raise SpeechUnavailable(f"the model's answer broke off: {self._redacted(chunk.error)}")
                if chunk.text:
                    yield Words(chunk.text[: MAX_REPLY_CHARS - said])
                    said += len(chunk.text)
                if said >= MAX_REPLY_CHARS:
                    break
        if not said and not reader.ends_call:
            raise SpeechUnavailable(
                "the model's answer held no words", "see whether response.base_url is a chat server's address"
            )
        if reader.ends_call:
            if reader.farewell and not said:
                yield Words(reader.farewell)
            yield EndCall()

    def _persona_for(self, conversation: Conversation) -> Persona:
        ours = conversation.to_number if conversation.direction == "inbound" else conversation.from_number
        return self._by_number.get(ours, self._persona)

    @asynccontextmanager
    async def _answer(
        self, persona: Persona, conversation: Conversation, clock: _Budget
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The server's streaming answer. Raises SpeechUnavailable."""
        response = await self._request(persona, conversation, clock)
        try:
            yield response
        except (aiohttp.ClientError, EventTooLarge) as error:
            raise SpeechUnavailable(f"the model's answer broke off: {type(error).__name__}: {error}") from error
        finally:
            response.close()  # not release: the rest of the answer is not wanted

    async def _request(self, persona: Persona, conversation: Conversation, clock: _Budget) -> aiohttp.ClientResponse:
        response = await self._post(persona, conversation, clock)
        if response.status < 400:
            return response
        problem = await self._problem(response, clock)
        if self._tools and response.status in (400, 422) and "tool" in str(problem).lower():
            self._tools = False  # a small server without tools: it can talk, but not hang up
            return await self._request(persona, conversation, clock)
        raise problem

    async def _post(self, persona: Persona, conversation: Conversation, clock: _Budget) -> aiohttp.ClientResponse:
        if self._session is None:
            raise SpeechUnavailable("the openai brain has not been started")
        url = f"{self._base_url}/chat/completions"
        body: dict[str, Any] = {
            "model": persona.model,
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

    async def _problem(self, response: aiohttp.ClientResponse, clock: _Budget) -> SpeechUnavailable:
        try:
            body = await _read(response, MAX_ERROR_BYTES, clock)
        except aiohttp.ClientError:
            body = b""
        finally:
            response.close()
        code, message = error_text(body)
        what = f"{response.status} {code}".strip()
        text = self._redacted(message or response.reason or "no explanation")
        hint = _HINTS.get(response.status, "the server has a problem of its own" if response.status >= 500 else "")
        return SpeechUnavailable(f"the model server answered {what}: {text}", hint)

    def _redacted(self, text: str) -> str:
        return text.replace(self._api_key, "***") if self._api_key else text


class _Budget:
    """The time that the server may still take. Waiting for the listener does not count."""

    def __init__(self, seconds: float) -> None:
        self._total = seconds
        self._left = seconds
        self._first_left: float | None = min(seconds, FIRST_TOKEN_SECONDS)

    def got_words(self) -> None:
        """The first words are there."""
        self._first_left = None

    async def spend(self, work: Awaitable[_T]) -> _T:
        """Await `work` within what is left. Raises SpeechUnavailable when that is used up."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        limit = self._left if self._first_left is None else min(self._left, self._first_left)
        try:
            async with asyncio.timeout(limit):
                return await work
        except aiohttp.ClientError:
            raise  # some of them are TimeoutErrors too
        except TimeoutError:
            if self._first_left is None:
                what = f"the model did not finish its reply within {self._total:g} s"
            else:
                what = f"the model did not say a word within {min(self._total, FIRST_TOKEN_SECONDS):g} s"
            raise SpeechUnavailable(what, "raise `response_timeout_ms` or choose a faster model") from None
        finally:
            spent = loop.time() - began
            self._left = max(0.0, self._left - spent)
            if self._first_left is not None:
                self._first_left = max(0.0, self._first_left - spent)


def _unreachable(base_url: str, error: Exception) -> SpeechUnavailable:
    return SpeechUnavailable(
        f"the model server {base_url} can not be reached: {str(error) or type(error).__name__}",
        "check `response.base_url` and the network",
    )


async def _read(response: aiohttp.ClientResponse, limit: int, clock: _Budget) -> bytes:
    """The body up to `limit` bytes."""
    body = b""
    while len(body) < limit and (data := await clock.spend(response.content.read(limit - len(body)))):
        body += data
    return body


async def _chunks(
    response: aiohttp.ClientResponse, clock: _Budget, reader: ChunkReader
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
            if chunk.text:
                clock.got_words()
            yield chunk
