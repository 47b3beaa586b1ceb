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
from engine.web.record import Head, Replayed, Seen
from engine.web.replay import ReplayCache
from engine.web.request import arrival, as_signed, head_of, read_bounded, signature_facts

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


class Keeps(Protocol):
    """Who keeps requests as they came; see `engine.web.ledger`."""

    def position(self) -> int:
        """Where the log is now."""

    def keep(self, seen: Seen) -> int | None:
        """Keep a request; its number, or None when it is not kept. Never waits."""


Act = Callable[[CarrierEvent], Awaitable[Outcome]]
Post = Callable[[Draft], None]


@dataclass(frozen=True, slots=True)
class _Came:
    """One request, and what is known of it so far."""

    head: Head
    position: int = 0
    replayed: Replayed | None = None
    at: int = field(default_factory=epoch_ms)
    began: float = field(default_factory=time.monotonic)
    body: bytes | None = None
    judged: Verdict | None = None
    doubt: str = ""
    told: list[Mapping[str, Any]] = field(default_factory=list)
    """What was recorded of it."""
    tokens: list[str] = field(default_factory=list)
    """What its answer holds and nobody else may see."""


@dataclass(frozen=True, slots=True)
class Came:
    """What the pipeline made of a request that came again."""

    response: web.Response
    facts: Mapping[str, Any]
    tokens: Sequence[str]
    """What the response holds and nobody but a carrier may see."""


class WebhookPipeline:
    """One carrier's webhook endpoint."""

    def __init__(
        self,
        carrier: Carrier,
        path: str,
        addresses: Addresses,
        act: Act,
        post: Post,
        keeps: Keeps | None = None,
    ) -> None:
        self._carrier = carrier
        self._path = path
        self._addresses = addresses
        self._act = act
        self._post = post
        self._keeps = keeps
        self._in_flight = InFlight(MAX_IN_FLIGHT, 64 * MAX_IN_FLIGHT)
        self._replays: ReplayCache[Outcome] = ReplayCache(time.monotonic)
        self._explanations = Budget(per_second=5, burst=20)

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one HTTP request on the webhook path."""
        came = _Came(head_of(request), self._position())
        methods = ["POST", *(["GET"] if self._carrier.capabilities.asks_by_get else [])]
        if request.method not in methods:
            served = " and ".join(methods)
            return self._refuse(came, 405, f"only {served} is served here", {"Allow": ", ".join(methods)})
        if self._is_unsigned(came.head):
            return self._refuse(came, 401, "no signature header: not from the carrier")
        try:
            with self._in_flight.one(came.head.peer):
                return await self._read(request, came)
        except TooMany:
            return self._refuse(came, 429, "too many requests at once from this peer")

    async def replay(self, head: Head, body: bytes, replayed: Replayed) -> Came:
        """Take a request that was kept once more, as if the carrier had sent it: nothing is let through that would
        not be then, and bytes that were seen before are a replay."""
        came = _Came(head, self._position(), replayed)
        if self._is_unsigned(head):
            response = self._refuse(came, 401, "no signature header: not from the carrier")
        else:
            response = await self._judge(came, body)
        return Came(response, came.told[-1], came.tokens)

    def knows(self, replay_key: str) -> bool:
        """Whether a request with this key would be a replay now."""
        return self._replays.knows(replay_key)

    def _position(self) -> int:
        return self._keeps.position() if self._keeps is not None else 0

    def _is_unsigned(self, head: Head) -> bool:
        """No signature came along, and one is needed."""
        names = {name.lower() for name, _ in head.headers}
        signed = any(name in names for name in self._carrier.signature_headers)
        return not signed and not self._addresses.webhook_address(arrival(head)).unsigned

    async def _read(self, request: web.Request, came: _Came) -> web.Response:
        if (request.content_length or 0) > MAX_BODY:
            return self._refuse(came, 413, f"the body is over {MAX_BODY} bytes")
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await read_bounded(request)
        except TimeoutError:
            return self._refuse(came, 408, f"the body took more than {BODY_SECONDS:.0f} s")
        except (ConnectionError, web.RequestPayloadError) as error:
            return self._refuse(came, 400, f"the body did not come whole: {type(error).__name__}")
        if body is None:
            return self._refuse(came, 413, f"the body is over {MAX_BODY} bytes")
        return await self._judge(came, body)

    async def _judge(self, came: _Came, body: bytes) -> web.Response:
        incoming, verdict, doubt = self._verify(came.head, body)
        came = replace(came, body=body, judged=verdict, doubt=doubt)
        if not verdict.ok or not verdict.replay_key:
            return self._refuse(came, 401, verdict.why)
        return await self._once(incoming, verdict, came)

    def _verify(self, head: Head, body: bytes) -> tuple[WebhookRequest, Verdict, str]:
        """Whether the carrier sent this, and why forwarded headers were not believed, if they were not.

        A refusal is explained by trying the other URLs that the carrier may have called. That costs more than the
        refusal, so strangers get only so many explanations.
        """
        believed = self._addresses.webhook_address(arrival(head))
        incoming = as_signed(head, believed.url, body)
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
        self._record(came, "ok", verdict.why, reply, outcome.effect, outcome, type_)
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
        self._record(came, "replay", "these bytes were seen before", reply, effect, outcome)
        return _response(reply)

    def _failed(self, came: _Came, status: int, why: str) -> web.Response:
        """The carrier's request is genuine, but nothing came of it."""
        reply = WebhookReply(status, f"{why}\n".encode())
        self._record(came, "ok", why, reply, f"failed: {why}")
        return _response(reply)

    def _refuse(self, came: _Came, status: int, why: str, headers: Mapping[str, str] | None = None) -> web.Response:
        reply = WebhookReply(status, f"{why}\n".encode())
        self._record(came, "refused", why, reply, f"refused with {status}")
        response = _response(reply)
        response.headers.update(headers or {})
        return response

    def _record(
        self,
        came: _Came,
        verdict: str,
        why: str,
        reply: WebhookReply,
        effect: str,
        outcome: Outcome | None = None,
        event_type: str = "",
    ) -> None:
        call_id = outcome.call_id if outcome is not None else None
        verbs = outcome.document if outcome is not None else ()
        came.tokens.extend(verb.token for verb in verbs if isinstance(verb, Connect) and verb.token)
        ms = (time.monotonic() - came.began) * 1000
        facts: dict[str, Any] = {
            "verdict": verdict,
            "why": why,
            "ms": round(ms),
            "method": came.head.method,
            "path": self._path,
            "peer": came.head.peer,
            "matched": call_id,
            "effect": effect,
            "type": event_type,
            "status": reply.status,
            **(signature_facts(came.judged, came.doubt) if came.judged is not None else {}),
        }
        if came.replayed is not None:
            facts["replayed"] = {"of": came.replayed.of, "by": came.replayed.by}
        if (number := self._keep(came, facts, reply, ms)) is not None:
            facts["record"] = number
        came.told.append(facts)
        self._post(Draft("webhook.received", call_id, facts))

    def _keep(self, came: _Came, facts: Mapping[str, Any], reply: WebhookReply, ms: float) -> int | None:
        if self._keeps is None:
            return None
        seen = Seen(
            head=came.head,
            at=came.at,
            ms=ms,
            verdict=facts["verdict"],
            why=facts["why"],
            status=reply.status,
            effect=facts["effect"],
            body=came.body,
            judged=came.judged,
            doubt=came.doubt,
            type=facts["type"],
            call_id=facts["matched"],
            signatures=self._carrier.signature_headers,
            answer=reply.body,
            answer_type=reply.content_type,
            tokens=came.tokens,
            replayed=came.replayed,
            position=came.position,
        )
        return self._keeps.keep(seen)


def _asking_again(outcome: Outcome, webhook_url: str) -> Document:
    """A document whose token was served before: the carrier asks for a fresh one, by a request that it signs anew."""

    def again(verb: Verb) -> Verb:
        if not isinstance(verb, Connect):
            return verb
        return Redirect(link(webhook_url, "connect", outcome.call_id or "", n=secrets.token_urlsafe(9)))

    return tuple(again(verb) for verb in outcome.document)


def _response(reply: WebhookReply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, content_type=reply.content_type)


__all__: Sequence[str] = ["Act", "Addresses", "Came", "Keeps", "Outcome", "WebhookPipeline"]
