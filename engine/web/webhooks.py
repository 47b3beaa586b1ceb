"""The webhook pipeline: from a stranger's request to facts in the log and an answer for the carrier.

The order of the checks is the order of their cost: nothing is read before the signature headers are there, nothing
is believed before the signature verifies, and nothing is answered before the facts are stored.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from aiohttp import web

from engine.calls import Draft
from engine.carriers.base import (
    Carrier,
    CarrierEvent,
    Connect,
    Document,
    Redirect,
    Verb,
    Verdict,
    WebhookReply,
    WebhookRequest,
)
from engine.carriers.links import link
from engine.clock import epoch_ms
from engine.store import StoreError
from engine.web.address import Arrival, Believed
from engine.web.budget import Budget
from engine.web.limits import BODY_SECONDS, MAX_BODY, MAX_IN_FLIGHT, InFlight, TooMany
from engine.web.replay import ReplayCache
from engine.web.request import arrival, as_signed, signature_facts

ANSWER_SECONDS: Final = 10.0
"""How long processing may take: carriers give up after 15 s."""
UNSIGNED: Final = "not verified: skip_signature_verification is set, and the request was made on this machine"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a verified webhook."""

    document: Document
    call_id: str | None
    effect: str
    """For the operator: what it did, or why nothing."""


class Addresses(Protocol):
    """Where the carrier reaches us."""

    def webhook_url(self) -> str:
        """Our webhook as the carrier was told, without the query of a call."""

    def webhook_address(self, arrival: Arrival) -> Believed:
        """The URL to which a request was sent."""


Act = Callable[[CarrierEvent], Awaitable[Outcome]]
Post = Callable[[Draft], None]


@dataclass(frozen=True, slots=True)
class _Came:
    """One request, as the operator is told of it."""

    method: str
    peer: str
    began: float = field(default_factory=time.monotonic)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Of its signature."""


class WebhookPipeline:
    """One carrier's webhook endpoint."""

    def __init__(
        self,
        carrier: Carrier,
        path: str,
        addresses: Addresses,
        act: Act,
        post: Post,
    ) -> None:
        self._carrier = carrier
        self._path = path
        self._addresses = addresses
        self._act = act
        self._post = post
        self._in_flight = InFlight(MAX_IN_FLIGHT, 64 * MAX_IN_FLIGHT)
        self._replays: ReplayCache[Outcome] = ReplayCache(time.monotonic)
        self._explanations = Budget(per_second=5, burst=20)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one HTTP request on the webhook path."""
        came = _Came(request.method, request.remote or "")
        if request.method != "POST":
            return self._refuse(came, 405, "only POST is served here", {"Allow": "POST"})
        signed = any(name in request.headers for name in self._carrier.signature_headers)
        if not signed and not self._addresses.webhook_address(arrival(request)).unsigned:
            return self._refuse(came, 401, "no signature header: not from the carrier")
        try:
            with self._in_flight.one(came.peer):
                return await self._read(request, came)
        except TooMany:
            return self._refuse(came, 429, "too many requests at once from this peer")

    async def _read(self, request: web.Request, came: _Came) -> web.Response:
        if (request.content_length or 0) > MAX_BODY:
            return self._refuse(came, 413, f"the body is over {MAX_BODY} bytes")
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read_bounded(request)
        except TimeoutError:
            return self._refuse(came, 408, f"the body took more than {BODY_SECONDS:.0f} s")
        except (ConnectionError, web.RequestPayloadError) as error:
            return self._refuse(came, 400, f"the body did not come whole: {type(error).__name__}")
        if body is None:
            return self._refuse(came, 413, f"the body is over {MAX_BODY} bytes")
        incoming, verdict, doubt = self._verify(request, body)
        came = replace(came, facts=signature_facts(verdict, doubt))
        if not verdict.ok or not verdict.replay_key:
            return self._refuse(came, 401, verdict.why)
        return await self._once(incoming, verdict, came)

    def _verify(self, request: web.Request, body: bytes) -> tuple[WebhookRequest, Verdict, str]:
        """Whether the carrier sent this, and why forwarded headers were not believed, if they were not.

        A refusal is explained by trying the other URLs that the carrier may have called. That costs more than the
        refusal, so strangers get only so many explanations.
        """
        believed = self._addresses.webhook_address(arrival(request))
        incoming = as_signed(request, believed.url, body)
        if believed.unsigned:
            # Whoever tries things out may send the same bytes again on purpose: no request is another's replay.
            return incoming, Verdict(True, UNSIGNED, secrets.token_hex(16)), ""
        verdict = self._carrier.verify(incoming, epoch_ms())
        if not verdict.ok and self._explanations.take():
            verdict = self._carrier.verify(replace(incoming, suspects=believed.suspects), epoch_ms())
        return incoming, verdict, believed.doubt

    async def _once(self, incoming: WebhookRequest, verdict: Verdict, came: _Came) -> web.Response:
        first = self._replays.claim(verdict.replay_key)
        if first is not None:
            return await self._again(first, came)
        settled = False
        try:
            event = self._carrier.parse(incoming)
        except ValueError as error:
            self._replays.release(verdict.replay_key)
            return self._failed(came, 400, f"the carrier's message can not be read: {error}")
        try:
            outcome = await self._process(event)
            reply = self._carrier.render(outcome.document)
            self._replays.settle(verdict.replay_key, outcome)
            settled = True
        except ValueError as error:
            return self._failed(came, 500, f"there is no document for the carrier: {error}")
        except StoreError as error:
            return self._failed(came, 503, f"not stored, so not acknowledged: {error}")
        except TimeoutError:
            return self._failed(came, 503, f"not done within {ANSWER_SECONDS:.0f} s")
        finally:
            if not settled:
                self._replays.release(verdict.replay_key)
        type_ = event.raw_type or event.type
        self._record(came, "ok", verdict.why, reply.status, outcome.effect, outcome.call_id, type_)
        return _response(reply)

    async def _process(self, event: CarrierEvent) -> Outcome:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._act(event)

    async def _again(self, first: asyncio.Future[Outcome], came: _Came) -> web.Response:
        """The first answer once more: no side effects, and no token that opens a stream."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                outcome = await asyncio.shield(first)
        except TimeoutError:
            return self._failed(came, 503, "the first try is still under way")
        except asyncio.CancelledError:
            if not first.cancelled():
                raise
            return self._failed(came, 503, "the first try failed")
        document = _asking_again(outcome, self._addresses.webhook_url())
        effect = "nothing: a replay"
        if document != tuple(outcome.document):
            effect += ", told to ask again"
        reply = self._carrier.render(document)
        self._record(came, "replay", "these bytes were seen before", reply.status, effect, outcome.call_id)
        return _response(reply)

    def _failed(self, came: _Came, status: int, why: str) -> web.Response:
        """The carrier's request is genuine, but nothing came of it."""
        self._record(came, "ok", why, status, f"failed: {why}")
        return web.Response(status=status, text=f"{why}\n")

    def _refuse(self, came: _Came, status: int, why: str, headers: Mapping[str, str] | None = None) -> web.Response:
        self._record(came, "refused", why, status, f"refused with {status}")
        return web.Response(status=status, text=f"{why}\n", headers=headers)

    def _record(
        self,
        came: _Came,
        verdict: str,
        why: str,
        status: int,
        effect: str,
        call_id: str | None = None,
        event_type: str = "",
    ) -> None:
        facts = {
            "verdict": verdict,
            "why": why,
            "ms": round((time.monotonic() - came.began) * 1000),
            "method": came.method,
            "path": self._path,
            "peer": came.peer,
            "matched": call_id,
            "effect": effect,
            "type": event_type,
            "status": status,
            **came.facts,
        }
        self._post(Draft("webhook.received", call_id, facts))


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


def _asking_again(outcome: Outcome, webhook_url: str) -> Document:
    """A document whose token was served before: the carrier asks for a fresh one, by a request that it signs anew."""

    def again(verb: Verb) -> Verb:
        if not isinstance(verb, Connect):
            return verb
        return Redirect(link(webhook_url, "connect", outcome.call_id or "", n=secrets.token_urlsafe(9)))

    return tuple(again(verb) for verb in outcome.document)


def _response(reply: WebhookReply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, content_type=reply.content_type)


__all__: Sequence[str] = ["Act", "Addresses", "Outcome", "WebhookPipeline"]
