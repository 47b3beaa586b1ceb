"""Makes the requests that Plivo makes to our addresses: by POST or by GET, signed with Plivo's own utility.

A GET has Plivo's parameters and the address's own together, sorted by name. One more attempt when nobody answers.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit, urlunsplit

import aiohttp
from plivo.utils import base64_encode, hnew
from plivo.utils.signature_v3 import construct_get_url, construct_post_url, get_signature_v3
from yarl import URL

from tests.carriers.far.address import real_address
from tests.carriers.plivo_far.settings import Settings, WebhookFaults, WebhookKind

_LIMIT: Final = 512 * 1024
ATTEMPTS: Final = 2


@dataclass(frozen=True)
class Reply:
    """What came back. `why` is not empty when nothing usable did."""

    status: int = 0
    content_type: str = ""
    body: bytes = b""
    why: str = ""


@dataclass
class Delivery:
    """One callback for tests and the report."""

    kind: WebhookKind
    url: str
    params: Mapping[str, str]
    method: str = "POST"
    at: float = field(default_factory=time.time)
    statuses: list[int] = field(default_factory=list)
    why: str = ""
    ms: int = 0
    faults: list[str] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)


def signature_headers(
    settings: Settings, method: str, url: str, params: Mapping[str, str], wrong_token: bool = False
) -> dict[str, str]:
    """The headers that prove a request to be Plivo's. `url` as it is requested, for a socket with http://."""
    main = "somebody else's token" if wrong_token else settings.auth_token
    own = settings.sub_token or main
    nonce = str(secrets.randbelow(10**20)).zfill(20)
    headers = {}
    if settings.sign in ("v3", "both"):
        made = construct_get_url(url, {}) if method == "GET" else construct_post_url(url, dict(params))
        base = made.decode("utf-8")
        # Plivo sends several when tokens are rotated; one that fits is enough.
        stale = get_signature_v3("a token of yesterday", base, nonce).decode()
        headers["X-Plivo-Signature-V3"] = f"{stale},{get_signature_v3(own, base, nonce).decode()}"
        headers["X-Plivo-Signature-Ma-V3"] = get_signature_v3(main, base, nonce).decode()
        headers["X-Plivo-Signature-V3-Nonce"] = nonce
    if settings.sign in ("v2", "both"):
        parts = urlsplit(url)
        plain = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        digest = hnew(own.encode(), (plain + nonce).encode(), "sha256").digest()
        headers["X-Plivo-Signature-V2"] = base64_encode(digest).strip().decode()
        headers["X-Plivo-Signature-V2-Nonce"] = nonce
    return headers


def upgrade_headers(settings: Settings, url: str) -> dict[str, str]:
    """Of a media socket: as a GET, with another scheme in place of wss://."""
    parts = urlsplit(url)
    # The utility knows http and https; what it signs has the scheme as any other text.
    named = urlunsplit((settings.socket_scheme, parts.netloc, parts.path, parts.query, ""))
    return signature_headers(settings, "GET", named, {})


class Caller:
    """Sends callbacks. One for all calls."""

    def __init__(self, http: aiohttp.ClientSession, settings: Settings, faults: WebhookFaults) -> None:
        self._http = http
        self._settings = settings
        self._faults = faults

    async def send(self, record: Delivery) -> Reply:
        """One callback with everything that is to happen to it."""
        kind, faults = record.kind, self._faults
        if delay := faults.delay_s.get(kind):
            record.faults.append("delay")
            await asyncio.sleep(delay)
        if kind in faults.drop:
            record.faults.append("drop")
            return Reply(why="dropped on purpose")
        began = time.monotonic()
        request = self._request(record)
        if kind in faults.duplicate:
            record.faults.append("duplicate")
            reply = (await asyncio.gather(*(self._attempt(record, *request) for _ in range(2))))[0]
        elif kind in faults.repeat:
            record.faults.append("repeat")
            await self._attempt(record, *request)
            reply = await self._attempt(record, *self._request(record))
        else:
            for _ in range(ATTEMPTS):
                reply = await self._attempt(record, *request)
                if reply.status:
                    break
        record.ms, record.why = round((time.monotonic() - began) * 1000), reply.why
        return reply

    def _request(self, record: Delivery) -> tuple[str, bytes | None, dict[str, str]]:
        parts = urlsplit(record.url)
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, parts.query, ""))
        wrong = record.kind in self._faults.wrong_token
        if record.method == "GET":
            merged = sorted([*parse_qsl(parts.query, keep_blank_values=True), *record.params.items()])
            url = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(merged, quote_via=quote_plus), ""))
            return url, None, signature_headers(self._settings, "GET", url, {}, wrong)
        headers = signature_headers(self._settings, "POST", url, record.params, wrong)
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return url, urlencode(record.params).encode(), headers

    async def _attempt(self, record: Delivery, url: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        target, more = real_address(self._settings, url)
        limits = aiohttp.ClientTimeout(total=self._settings.webhook_s, connect=self._settings.connect_s)
        try:
            async with self._http.request(
                record.method,
                URL(target, encoded=True),
                data=body,
                headers={**headers, **more, "User-Agent": "plivo"},
                timeout=limits,
                allow_redirects=False,
            ) as response:
                content = await response.content.read(_LIMIT)
                kind = response.headers.get("Content-Type", "")
                why = "" if 200 <= response.status < 300 else f"HTTP {response.status}"
                reply = Reply(response.status, kind, content, why)
        except (aiohttp.ClientError, OSError) as error:
            reply = Reply(why=type(error).__name__)
        record.statuses.append(reply.status)
        record.replies.append(reply.body)
        return reply
