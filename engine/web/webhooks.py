"""The webhook pipeline: from a stranger's request to facts in the log and an answer for the carrier.

The order of the checks is the order of their cost: nothing is read before the signature headers are there, nothing
is believed before the signature verifies, and nothing is answered before the facts are stored.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from engine.calls import Draft
from engine.carriers.base import (
    Carrier,
    CarrierEvent,
    Connect,
    Document,
    Verdict,
    WebhookReply,
    WebhookRequest,
)
from engine.clock import epoch_ms
from engine.store import StoreError
from engine.web.limits import BODY_SECONDS, MAX_BODY, MAX_IN_FLIGHT, InFlight, TooMany
from engine.web.replay import ReplayCache
from engine.web.request import as_signed

ANSWER_SECONDS: Final = 10.0
"""How long processing may take: carriers give up after 15 s."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a verified webhook."""

    document: Document
    call_id: str | None
    effect: str
    """For the operator: what it did, or why nothing."""


Act = Callable[[CarrierEvent], Awaitable[Outcome]]
Post = Callable[[Draft], None]


class WebhookPipeline:
    """One carrier's webhook endpoint."""

    def __init__(
        self,
        carrier: Carrier,
        path: str,
        public_url: Callable[[], str],
        act: Act,
        post: Post,
    ) -> None:
        self._carrier = carrier
        self._path = path
        self._public_url = public_url
        self._act = act
        self._post = post
        self._in_flight = InFlight(MAX_IN_FLIGHT, 64 * MAX_IN_FLIGHT)
        self._replays: ReplayCache[Outcome] = ReplayCache(time.monotonic)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one HTTP request on the webhook path."""
        began = time.monotonic()
        if request.method != "POST":
            return self._refuse(request, began, 405, "only POST is served here", {"Allow": "POST"})
        if not any(name in request.headers for name in self._carrier.signature_headers):
            return self._refuse(request, began, 401, "no signature header: not from the carrier")
        try:
            with self._in_flight.one(request.remote or ""):
                return await self._read(request, began)
        except TooMany:
            return self._refuse(request, began, 429, "too many requests at once from this peer")

    async def _read(self, request: web.Request, began: float) -> web.Response:
        if (request.content_length or 0) > MAX_BODY:
            return self._refuse(request, began, 413, f"the body is over {MAX_BODY} bytes")
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read_bounded(request)
        except TimeoutError:
            return self._refuse(request, began, 408, f"the body took more than {BODY_SECONDS:.0f} s")
        except (ConnectionError, web.RequestPayloadError) as error:
            return self._refuse(request, began, 400, f"the body did not come whole: {type(error).__name__}")
        if body is None:
            return self._refuse(request, began, 413, f"the body is over {MAX_BODY} bytes")
        incoming = as_signed(request, self._signed_url(request), body)
        verdict = self._carrier.verify(incoming, epoch_ms())
        if not verdict.ok or not verdict.replay_key:
            return self._refuse(request, began, 401, verdict.why)
        return await self._once(incoming, verdict, began)

    def _signed_url(self, request: web.Request) -> str:
        """The URL that the carrier called: our public address with the query as it came in."""
        query = request.rel_url.raw_query_string
        return self._public_url() + (f"?{query}" if query else "")

    async def _once(self, incoming: WebhookRequest, verdict: Verdict, began: float) -> web.Response:
        first = self._replays.claim(verdict.replay_key)
        if first is not None:
            return await self._again(incoming, first, began)
        settled = False
        try:
            outcome, event_type = await self._process(incoming)
            self._replays.settle(verdict.replay_key, outcome)
            settled = True
        except ValueError as error:
            return self._failed(incoming, began, 400, f"the carrier's message can not be read: {error}")
        except StoreError as error:
            return self._failed(incoming, began, 503, f"not stored, so not acknowledged: {error}")
        except TimeoutError:
            return self._failed(incoming, began, 503, f"not done within {ANSWER_SECONDS:.0f} s")
        finally:
            if not settled:
                self._replays.release(verdict.replay_key)
        self._note(incoming, began, "ok", verdict.why, outcome, event_type)
        return _response(self._carrier.render(outcome.document))

    async def _process(self, incoming: WebhookRequest) -> tuple[Outcome, str]:
        event = self._carrier.parse(incoming)
        if event.type == "ignored":
            return Outcome((), None, f"nothing: {event.detail or event.raw_type}"), event.raw_type
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._act(event), event.raw_type or event.type

    async def _again(self, incoming: WebhookRequest, first: asyncio.Future[Outcome], began: float) -> web.Response:
        """The first answer once more: no side effects, and no token that opens a stream."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                outcome = await asyncio.shield(first)
        except TimeoutError:
            return self._failed(incoming, began, 503, "the first try is still under way")
        except asyncio.CancelledError:
            if not first.cancelled():
                raise
            return self._failed(incoming, began, 503, "the first try failed")
        self._note(incoming, began, "replay", "these bytes were seen before", outcome, "")
        return _response(self._carrier.render(_without_tokens(outcome.document)))

    def _note(
        self,
        incoming: WebhookRequest,
        began: float,
        verdict: str,
        why: str,
        outcome: Outcome,
        event_type: str,
    ) -> None:
        effect = outcome.effect if verdict == "ok" else "nothing: a replay"
        facts = _facts(incoming.method, self._path, began, verdict, why, incoming.peer)
        self._post(
            Draft(
                "webhook.received",
                outcome.call_id,
                {**facts, "matched": outcome.call_id, "effect": effect, "type": event_type, "status": 200},
            )
        )

    def _failed(self, incoming: WebhookRequest, began: float, status: int, why: str) -> web.Response:
        facts = _facts(incoming.method, self._path, began, "ok", why, incoming.peer)
        self._post(
            Draft(
                "webhook.received",
                None,
                {**facts, "matched": None, "effect": f"failed: {why}", "type": "", "status": status},
            )
        )
        return web.Response(status=status, text=f"{why}\n")

    def _refuse(
        self,
        request: web.Request,
        began: float,
        status: int,
        why: str,
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        facts = _facts(request.method, self._path, began, "refused", why, request.remote or "")
        self._post(
            Draft(
                "webhook.received",
                None,
                {**facts, "matched": None, "effect": f"refused with {status}", "type": "", "status": status},
            )
        )
        return web.Response(status=status, text=f"{why}\n", headers=headers)


async def _read_bounded(request: web.Request) -> bytes | None:
    """The body, or None when it is too large."""
    parts: list[bytes] = []
    size = 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > MAX_BODY:
            return None
        parts.append(part)
    return b"".join(parts)


def _facts(method: str, path: str, began: float, verdict: str, why: str, peer: str) -> dict[str, object]:
    return {
        "verdict": verdict,
        "why": why,
        "ms": round((time.monotonic() - began) * 1000),
        "method": method,
        "path": path,
        "peer": peer,
    }


def _without_tokens(document: Document) -> Document:
    return tuple(replace(verb, token="") if isinstance(verb, Connect) else verb for verb in document)


def _response(reply: WebhookReply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, content_type=reply.content_type)


__all__: Sequence[str] = ["Act", "Outcome", "WebhookPipeline"]
