"""Delivers a call's webhooks: signed, in order, retried like a carrier does, with faults on demand."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from yarl import URL

from engine.simulator.faults import FaultPlan, WebhookFate
from engine.simulator.setup import Faults
from engine.simulator.signing import signed_headers

_HOLD_LIMIT_S = 2.0
"""A status that is held back goes out alone after this when nothing follows it."""
_REPLY_LIMIT = 64 * 1024
Job = Coroutine[Any, Any, object]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the other side answered. `status` 0: nothing came."""

    status: int
    body: bytes = b""
    why: str = ""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def worth_retrying(self) -> bool:
        return self.status == 0 or self.status == 429 or self.status >= 500


@dataclass(slots=True)
class Delivery:
    """One webhook for the report."""

    type: str
    sequence: int
    faults: list[str] = field(default_factory=list)
    attempts: int = 0
    status: int = 0
    ms: int = 0
    why: str = ""


class WebhookSender:
    """Makes the requests. One for all calls."""

    def __init__(self, http: aiohttp.ClientSession, secret: str, timeout_s: float, retry_s: Sequence[float]) -> None:
        self._http = http
        self._secret = secret
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(5.0, timeout_s))
        self._retry_s = tuple(retry_s)

    async def deliver(self, url: str, body: bytes, record: Delivery, first_try_over: asyncio.Event) -> Reply:
        """Send until it is taken or given up. Every attempt is signed anew, as it leaves."""
        for pause in (*self._retry_s, None):
            reply = await self.send(url, body, self.sign(url, body), record)
            first_try_over.set()
            if pause is None or not reply.worth_retrying:
                break
            await asyncio.sleep(pause)
        return reply

    async def send(self, url: str, body: bytes, headers: dict[str, str], record: Delivery) -> Reply:
        """One request, exactly as given."""
        record.attempts += 1
        began = time.monotonic()
        headers = {**headers, "Content-Type": "application/json"}
        try:
            async with self._http.post(
                URL(url, encoded=True), data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as response:
                reply = Reply(response.status, await _read(response.content))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reply = Reply(0, why=f"{type(error).__name__}: {error}"[:200])
        record.ms = round((time.monotonic() - began) * 1000)
        record.status, record.why = reply.status, reply.why
        return reply

    def sign(self, url: str, body: bytes) -> dict[str, str]:
        """The headers of a request that leaves now."""
        return signed_headers(self._secret, "POST", url, body)


async def _read(content: aiohttp.StreamReader) -> bytes:
    """The whole body, which may come in many pieces."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > _REPLY_LIMIT:
            raise aiohttp.ClientPayloadError(f"the document is longer than {_REPLY_LIMIT} bytes")
    return bytes(body)


@dataclass(frozen=True, slots=True)
class _Slot:
    """A webhook's place in its call's order."""

    record: Delivery
    fate: WebhookFate
    after: asyncio.Event
    """The first attempt of the webhook before."""
    done: asyncio.Event
    gate: asyncio.Event | None
    """Set when the next webhook is through; this one is held back until then."""
    releases: asyncio.Event | None
    """The gate of the webhook before, when that one is held back."""


class Outbox:
    """The webhooks of one call, in order: each waits for the first attempt of the one before, not for its retries."""

    def __init__(
        self, sender: WebhookSender, plan: FaultPlan, faults: Callable[[], Faults], spawn: Callable[[Job], object]
    ) -> None:
        self._sender = sender
        self._plan = plan
        self._faults = faults
        self._spawn = spawn
        self._previous = asyncio.Event()
        self._previous.set()
        self._gate: asyncio.Event | None = None
        self.deliveries: list[Delivery] = []
        self.forged: list[Delivery] = []

    def post(self, url: str, webhook: dict[str, Any]) -> None:
        """Send a status; whether it arrives is the report's business."""
        self._spawn(self._deliver(url, webhook, self._take_slot(webhook, wants_document=False)))

    async def ask(self, url: str, webhook: dict[str, Any]) -> Reply:
        """Send a webhook whose reply is wanted."""
        return await self._deliver(url, webhook, self._take_slot(webhook, wants_document=True))

    def _take_slot(self, webhook: dict[str, Any], wants_document: bool) -> _Slot:
        record = Delivery(webhook["type"], webhook["sequence"])
        self.deliveries.append(record)
        fate = self._plan.webhook(self._faults(), wants_document)
        gate = asyncio.Event() if fate.hold else None
        slot = _Slot(record, fate, self._previous, asyncio.Event(), gate, self._gate)
        self._gate = gate
        if gate is None:
            self._previous = slot.done
        return slot

    async def _deliver(self, url: str, webhook: dict[str, Any], slot: _Slot) -> Reply:
        try:
            await slot.after.wait()
            await self._suffer(slot)
            if slot.fate.drop:
                slot.record.faults.append("drop")
                return Reply(0, why="dropped on purpose")
            return await self._send(url, webhook, slot)
        finally:
            slot.done.set()
            if slot.releases is not None:
                slot.releases.set()

    async def _suffer(self, slot: _Slot) -> None:
        """The faults that take time."""
        if slot.gate is not None:
            slot.record.faults.append("reorder")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HOLD_LIMIT_S):
                    await slot.gate.wait()
        if slot.fate.delay_s:
            slot.record.faults.append("delay")
            await asyncio.sleep(slot.fate.delay_s)

    async def _send(self, url: str, webhook: dict[str, Any], slot: _Slot) -> Reply:
        body = orjson.dumps(webhook)
        if slot.fate.forge:
            self._spawn(self._forge(url, webhook, slot.record))
        if slot.fate.duplicate:
            slot.record.faults.append("duplicate")
            headers = self._sender.sign(url, body)
            reply = await self._sender.send(url, body, headers, slot.record)
            slot.done.set()
            await self._sender.send(url, body, headers, Delivery(slot.record.type, slot.record.sequence))
            return reply
        return await self._sender.deliver(url, body, slot.record, slot.done)

    async def _forge(self, url: str, webhook: dict[str, Any], record: Delivery) -> None:
        """A lie by somebody who has seen the traffic: the call is over."""
        record.faults.append("forge")
        call = {**webhook["call"], "status": "completed", "reason": "hangup-person"}
        lie = {**webhook, "id": webhook["id"] + "-forged", "type": "call.ended", "call": call}
        body = orjson.dumps(lie)
        forged = Delivery("forged", record.sequence)
        await self._sender.send(url, body, signed_headers("somebody else's secret", "POST", url, body), forged)
        self.forged.append(forged)
