"""The media socket's door: who may open a stream, and to which call it belongs.

A stranger costs one bounded, silent socket for a few seconds: the upgrade's signature is checked before it exists,
and only a start frame with the call's one-time token makes a stream of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from engine.book import CallBook
from engine.calls import Call, Draft
from engine.carriers.base import Carrier, Verdict
from engine.clock import epoch_ms
from engine.config.speech import Streaming
from engine.live.registry import LiveCalls, StreamTokens
from engine.media.audio import PHONE
from engine.media.playout_stats import PlayoutStats
from engine.media.session import MAX_MESSAGE, MediaSession
from engine.media.ticker import Ticker
from engine.media.wire import Connected, MediaWire, Refused, Started
from engine.web import masking
from engine.web.address import Arrival, Believed
from engine.web.budget import Budget
from engine.web.limits import InFlight, TooMany
from engine.web.record import Head, Seen
from engine.web.request import arrival, as_signed, head_of, signature_facts
from engine.web.webhooks import UNSIGNED, Keeps

log = logging.getLogger(__name__)

RINGING_SECONDS: Final = 600.0
"""The longest that a carrier lets a telephone ring."""
MAX_BEFORE_START: Final = 20
"""Frames a carrier may send before its start frame."""


class NotAdmitted(Exception):
    """The socket is closed with `code`; the reason is for the operator, the carrier only sees the code."""

    def __init__(self, code: int, why: str, call_id: str | None = None) -> None:
        super().__init__(why)
        self.code = code
        self.call_id = call_id


@dataclass(frozen=True, slots=True)
class _Asked:
    """An upgrade request, and when it came."""

    head: Head
    position: int
    at: int = field(default_factory=epoch_ms)
    began: float = field(default_factory=time.monotonic)


class MediaDoor:
    """Admits media sockets and hands them to their calls."""

    def __init__(
        self,
        settings: Streaming,
        carrier: Carrier,
        address: Callable[[Arrival], Believed],
        book: CallBook,
        calls: LiveCalls,
        tokens: StreamTokens,
        ticker: Ticker,
        post: Callable[..., None],
        keeps: Keeps | None = None,
    ) -> None:
        self._settings = settings
        self._carrier = carrier
        self._address = address
        self._book = book
        self._calls = calls
        self._tokens = tokens
        self._ticker = ticker
        self._post = post
        self._keeps = keeps
        self._pending = InFlight(settings.max_pending_connections_per_ip, settings.max_pending_connections)
        self._complaints = Budget(per_second=1, burst=50)
        self._sessions: set[MediaSession] = set()
        self._past = PlayoutStats()
        self._asked = 0
        self._started = 0

    @property
    def streams(self) -> int:
        """Media sockets that carry a call now."""
        return len(self._sessions)

    def sockets(self) -> dict[str, int]:
        """Since the start: media sockets that asked to come in (`opened`), and those that carried a call."""
        return {"opened": self._asked, "started": self._started}

    def frames(self) -> dict[str, int]:
        """How punctual our audio was, over all calls since the start."""
        return self.stats().to_json()

    def stats(self) -> PlayoutStats:
        """The same as counts; later ones less these tell of the time between."""
        return PlayoutStats.merged([self._past, *(session.playout.stats for session in self._sessions)])

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer an upgrade request on the stream path."""
        if "websocket" not in request.headers.get("Upgrade", "").lower():
            raise web.HTTPNotFound
        asked = _Asked(head_of(request), self._keeps.position() if self._keeps is not None else 0)
        verdict = self._check_signature(request, asked)
        self._asked += 1
        if len(self._sessions) + self._pending.total >= self._settings.max_connections:
            self._keep(asked, verdict, 503, "no room for another media socket", request)
            raise web.HTTPServiceUnavailable(text="no room for another media socket\n")
        socket = web.WebSocketResponse(compress=False, max_msg_size=MAX_MESSAGE, decode_text=False)
        wire = self._carrier.wire()
        try:
            with self._place(request):
                await socket.prepare(request)
                started, call = await self._admit(request, socket, wire)
        except TooMany:
            self._keep(asked, verdict, 429, "too many media sockets wait for their start frame", request)
            raise web.HTTPTooManyRequests(text="too many media sockets wait for their start frame\n") from None
        except NotAdmitted as refusal:
            self._tell("media socket closed with %d: %s", refusal.code, refusal)
            closed = f"nothing: closed with {int(refusal.code)}, {refusal}"
            self._keep(asked, verdict, 101, closed, request, refusal.call_id)
            await socket.close(code=refusal.code, drain=False)
        else:
            self._keep(asked, verdict, 101, "stream: it carries the call", request, call.call_id)
            await self._serve(request, socket, wire, started, call)
        return socket

    def _check_signature(self, request: web.Request, asked: _Asked) -> Verdict:
        """Raises HTTPUnauthorized. The operator is told of it, and which address would have been right."""
        believed = self._address(arrival(asked.head))
        if believed.unsigned:
            return Verdict(True, UNSIGNED)  # the token is asked for all the same
        signed = as_signed(asked.head, believed.url)
        verdict = self._carrier.verify_upgrade(signed, epoch_ms())
        if verdict.ok:
            return verdict
        if self._complaints.take():
            verdict = self._carrier.verify_upgrade(replace(signed, suspects=believed.suspects), epoch_ms())
            told = _without_token(verdict, request)
            log.info("media socket refused: %s", told.why)
            number = self._keep(asked, verdict, 401, "refused with 401", request, doubt=believed.doubt)
            note: dict[str, Any] = {
                "verdict": "refused",
                "why": told.why,
                "type": "media socket",
                "method": request.method,
            }
            note |= {"path": self._settings.stream_path, "peer": request.remote or "", "matched": None, "status": 401}
            note |= {"record": number} if number is not None else {}
            facts = signature_facts(told, believed.doubt)
            self._post(Draft("webhook.received", None, {**note, "effect": "refused with 401", **facts}))
        raise web.HTTPUnauthorized(text=f"{_without_token(verdict, request).why}\n")

    def _keep(
        self,
        asked: _Asked,
        verdict: Verdict,
        status: int,
        effect: str,
        request: web.Request,
        call_id: str | None = None,
        doubt: str = "",
    ) -> int | None:
        """Keep an upgrade request for the desk. A token at the end of its path is not kept: it may still be good."""
        if self._keeps is None:
            return None
        told = _without_token(verdict, request)
        return self._keeps.keep(
            Seen(
                head=_tokenless(asked.head, request),
                at=asked.at,
                ms=(time.monotonic() - asked.began) * 1000,
                verdict="ok" if status == 101 else "refused",
                why=told.why,
                status=status,
                effect=effect,
                kind="media socket",
                judged=told,
                doubt=doubt,
                type="media socket",
                call_id=call_id,
                signatures=self._carrier.signature_headers,
                position=asked.position,
            )
        )

    def _tell(self, message: str, *values: object) -> None:
        """A line in the log, as long as strangers do not make too many of them."""
        if self._complaints.take():
            log.info(message, *values)

    def _place(self, request: web.Request) -> AbstractContextManager[None]:
        """A place among the sockets that wait for their start frame. Who has a token is no stranger."""
        return nullcontext() if self._expected(request) else self._pending.one(request.remote or "")

    def _expected(self, request: web.Request) -> bool:
        """The end of the path is the unused token of a live call."""
        return self._tokens.knows(request.match_info.get("token", ""))

    async def _admit(
        self, request: web.Request, socket: web.WebSocketResponse, wire: MediaWire
    ) -> tuple[Started, Call]:
        """Wait for a start frame that proves where the socket belongs. Raises NotAdmitted."""
        try:
            async with asyncio.timeout(self._patience(request)):
                started = await _wait_for_start(socket, wire)
        except TimeoutError:
            raise NotAdmitted(WSCloseCode.POLICY_VIOLATION, "no start frame in time") from None
        return started, self._owner(started, request)

    def _patience(self, request: web.Request) -> float:
        """Seconds that a socket may be without its start frame. One of a call that we place may open while the
        telephone still rings, and starts at the answer: its carrier closes it when there is none."""
        seconds = self._settings.pre_start_timeout_ms / 1000
        early = self._carrier.capabilities.answers_by_reply is False and self._expected(request)
        return seconds + RINGING_SECONDS if early else seconds

    def _owner(self, started: Started, request: web.Request) -> Call:
        call = self._book.by_carrier(started.provider_call_id)
        if call is None or not call.live:
            raise NotAdmitted(WSCloseCode.POLICY_VIOLATION, "the start frame names no live call of ours")
        token = started.parameters.get("token") or request.match_info.get("token", "")
        if not self._tokens.redeem(call.call_id, token):
            raise self._refused(call, started, WSCloseCode.POLICY_VIOLATION, "the stream token is not valid")
        if started.unusable:
            raise self._refused(call, started, WSCloseCode.UNSUPPORTED_DATA, started.unusable)
        if started.format != PHONE:
            why = f"{started.format} is not telephone audio"
            raise self._refused(call, started, WSCloseCode.UNSUPPORTED_DATA, why)
        return call

    def _refused(self, call: Call, started: Started, code: int, why: str) -> NotAdmitted:
        """A socket that may not carry its call. The call itself may be fine, so this is no error of the call."""
        self._post(Draft("stream.refused", call.call_id, {"streamId": started.stream_id, "why": why}))
        return NotAdmitted(code, why, call.call_id)

    async def _serve(
        self,
        request: web.Request,
        socket: web.WebSocketResponse,
        wire: MediaWire,
        started: Started,
        call: Call,
    ) -> None:
        live = self._calls.get(call.call_id)
        transport = request.transport
        if live is None or transport is None:
            await socket.close(code=WSCloseCode.GOING_AWAY, drain=False)
            return
        session = MediaSession(socket, wire, self._ticker, transport)
        self._started += 1
        self._sessions.add(session)
        try:
            await live.stream(session, started)
        finally:
            self._sessions.discard(session)
            self._past.add(session.playout.stats)


def _without_token(verdict: Verdict, request: web.Request) -> Verdict:
    """`verdict` as it may be told: the end of the path may be a token that is still good."""

    def hide(text: str) -> str:
        return _hidden(text, request)

    return replace(
        verdict,
        why=hide(verdict.why),
        form=hide(verdict.form),
        tried=[hide(url) for url in verdict.tried],
        signed=hide(verdict.signed),
    )


def _tokenless(head: Head, request: web.Request) -> Head:
    mark = masking.HIDDEN.encode().decode("latin-1")  # as all text of a head is
    headers = [(name, _hidden(value, request, mark)) for name, value in head.headers]
    return replace(head, target=_hidden(head.target, request, mark), headers=headers)


def _hidden(text: str, request: web.Request, mark: str = masking.HIDDEN) -> str:
    if "token" not in request.match_info:
        return text
    return text.replace("/" + request.rel_url.raw_path.rpartition("/")[2], f"/{mark}")


async def _wait_for_start(socket: web.WebSocketResponse, wire: MediaWire) -> Started:
    for _ in range(MAX_BEFORE_START):
        message = await socket.receive()
        if message.type is not WSMsgType.TEXT:
            raise NotAdmitted(WSCloseCode.POLICY_VIOLATION, "the socket ended or sent a binary frame before start")
        match wire.receive(message.data):
            case Started() as started:
                return started
            case Connected():
                continue
            case Refused(why=why):
                raise NotAdmitted(WSCloseCode.POLICY_VIOLATION, f"not a frame of this carrier: {why}")
            case _:
                continue
    raise NotAdmitted(WSCloseCode.POLICY_VIOLATION, "no start frame among the first frames")
