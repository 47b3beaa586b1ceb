"""Makes the requests that Telnyx makes to our webhook: JSON, signed with a real Ed25519 key, tried again on anything
but a success, each try signed anew and counted in `meta.attempt`."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from nacl.signing import SigningKey
from yarl import URL

from tests.carriers.far.address import real_address
from tests.carriers.telnyx_far.settings import Settings, WebhookFaults

_ELSE = SigningKey(b"somebody else's signing key seed")


@dataclass
class Delivery:
    """One event for tests and the report."""

    name: str
    payload: Mapping[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    at: float = field(default_factory=time.time)
    attempts: int = 0
    statuses: list[int] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def signed(key: SigningKey, body: bytes, at: float | None = None) -> dict[str, str]:
    """The headers that prove a body to be Telnyx's."""
    stamp = str(int(time.time() if at is None else at))
    signature = key.sign(stamp.encode() + b"|" + body).signature
    return {"telnyx-signature-ed25519": b64encode(signature).decode(), "telnyx-timestamp": stamp}


class Caller:
    """Delivers events. One for all calls."""

    def __init__(self, http: aiohttp.ClientSession, settings: Settings, faults: WebhookFaults) -> None:
        self._http = http
        self._settings = settings
        self._faults = faults

    async def deliver(self, url: str, record: Delivery) -> None:
        faults, name = self._faults, record.name
        if delay := faults.delay_s.get(name):
            record.faults.append("delay")
            await asyncio.sleep(delay)
        if name in faults.drop:
            record.faults.append("drop")
            return
        if name in faults.duplicate:
            record.faults.append("duplicate")
            await asyncio.gather(self._deliver(url, record), self._deliver(url, record))
        else:
            await self._deliver(url, record)

    async def _deliver(self, url: str, record: Delivery) -> None:
        for again in range(1 + self._settings.retries):
            if again:
                await asyncio.sleep(self._settings.retry_s)
            record.attempts += 1
            status = await self._attempt(url, record, record.attempts)
            record.statuses.append(status)
            if 200 <= status < 300:
                return

    async def _attempt(self, url: str, record: Delivery, attempt: int) -> int:
        body = self._body(record, url, attempt)
        key = _ELSE if record.name in self._faults.wrong_key else self._settings.signing_key
        target, more = real_address(self._settings, url)
        headers = {**signed(key, body), "Content-Type": "application/json", "User-Agent": "telnyx-webhooks", **more}
        limits = aiohttp.ClientTimeout(total=self._settings.webhook_s)
        try:
            async with self._http.post(
                URL(target, encoded=True), data=body, headers=headers, timeout=limits, allow_redirects=False
            ) as response:
                record.replies.append(await response.content.read(64 * 1024))
                return response.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0

    def _body(self, record: Delivery, url: str, attempt: int) -> bytes:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.at)) + ".000000Z"
        if self._settings.api_version == "1":
            old = {"record_type": "event", "event_type": record.name.replace(".", "_"), "id": record.id}
            return json.dumps({**old, "created_at": stamp, "payload": record.payload}).encode()
        data = {
            "record_type": "event",
            "event_type": record.name,
            "id": record.id,
            "occurred_at": stamp,
            "payload": record.payload,
        }
        return json.dumps({"data": data, "meta": {"attempt": attempt, "delivered_to": url}}).encode()
