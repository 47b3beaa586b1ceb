"""Makes the requests that Twilio makes to our addresses: form-encoded, signed with Twilio's own validator, retried
and failed as Twilio does it.

A URL's fragment tunes the request (`#ct=…&rt=…&tt=…&rc=…&rp=…`: connect, read and total time-out in ms, retries, and
what is retried); it is not sent. Without one: two attempts to connect, and 15 s for the whole.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, quote, urlencode, urlsplit, urlunsplit

import aiohttp
from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator
from yarl import URL

from tests.carriers.far.address import real_address
from tests.carriers.twilio_far.settings import Settings, WebhookFaults, WebhookKind

_LIMIT: Final = 512 * 1024
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Reply:
    """What came back. `code` is Twilio's error number when nothing usable did."""

    status: int = 0
    content_type: str = ""
    body: bytes = b""
    code: int = 0
    why: str = ""


@dataclass
class Delivery:
    """One webhook for tests and the report."""

    kind: WebhookKind
    url: str
    params: Mapping[str, str]
    at: float = field(default_factory=time.time)
    attempts: int = 0
    statuses: list[int] = field(default_factory=list)
    code: int = 0
    why: str = ""
    ms: int = 0
    faults: list[str] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class _Tuning:
    connect_s: float
    read_s: float
    total_s: float
    retries: int
    policies: frozenset[str]


def signature_headers(
    settings: Settings, url: str, params: Mapping[str, str], wrong_token: bool = False
) -> dict[str, str]:
    """The headers that prove a request to be Twilio's. `url` exactly as it is requested, without its fragment."""
    token, algorithm = settings.auth_token, HMAC_SHA1
    headers = {}
    if settings.signing_key is not None:
        key, token = settings.signing_key
        algorithm = HMAC_SHA256
        headers["X-Twilio-Webhooks-Signature-Settings"] = f"key={key},algorithm={algorithm}"
    validator = RequestValidator("somebody else's token" if wrong_token else token)
    headers["X-Twilio-Signature"] = validator.compute_signature(url, dict(params), algorithm)
    return headers


class Caller:
    """Sends webhooks. One for all calls."""

    def __init__(self, http: aiohttp.ClientSession, settings: Settings, faults: WebhookFaults) -> None:
        self._http = http
        self._settings = settings
        self._faults = faults

    async def send(self, record: Delivery, method: str, pairs: Pairs) -> Reply:
        """One webhook with everything that is to happen to it."""
        kind, faults = record.kind, self._faults
        if delay := faults.delay_s.get(kind):
            record.faults.append("delay")
            await asyncio.sleep(delay)
        if kind in faults.drop:
            record.faults.append("drop")
            return Reply(why="dropped on purpose")
        tuning = self._tuning(record.url)
        url, body, headers = self._request(record, method, pairs)
        began = time.monotonic()
        if kind in faults.duplicate:
            record.faults.append("duplicate")
            twins = [self._attempts(record, method, url, body, headers, tuning) for _ in range(2)]
            reply = (await asyncio.gather(*twins))[0]
        else:
            if kind in faults.retry:
                record.faults.append("retry")
                await self._attempts(record, method, url, body, headers, tuning)
            reply = await self._attempts(record, method, url, body, headers, tuning)
        record.ms = round((time.monotonic() - began) * 1000)
        record.code, record.why = reply.code, reply.why
        return reply

    def _request(self, record: Delivery, method: str, pairs: Pairs) -> tuple[str, bytes | None, dict[str, str]]:
        parts = urlsplit(record.url)
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, parts.query, ""))
        params = dict(pairs)
        if method == "GET":
            query = "&".join(part for part in (parts.query, urlencode(pairs, quote_via=quote)) if part)
            url = urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
            params = {}
        wrong = record.kind in self._faults.wrong_token
        headers = signature_headers(self._settings, url, params, wrong)
        headers |= {"User-Agent": "TwilioProxy/1.1", "I-Twilio-Idempotency-Token": str(uuid.uuid4()), "Accept": "*/*"}
        if method == "GET":
            return url, None, headers
        headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        return url, urlencode(pairs, quote_via=quote).encode(), headers

    async def _attempts(
        self, record: Delivery, method: str, url: str, body: bytes | None, headers: Mapping[str, str], tuning: _Tuning
    ) -> Reply:
        reply = Reply(code=11200)
        for _ in range(1 + tuning.retries):
            record.attempts += 1
            reply = await self._attempt(method, url, body, headers, tuning)
            record.statuses.append(reply.status)
            record.replies.append(reply.body)
            if not reply.code or not _retried(reply, tuning.policies):
                break
        return reply

    async def _attempt(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], tuning: _Tuning
    ) -> Reply:
        target, more = real_address(self._settings, url)
        limits = aiohttp.ClientTimeout(total=tuning.total_s, connect=tuning.connect_s, sock_read=tuning.read_s)
        try:
            async with self._http.request(
                method,
                URL(target, encoded=True),
                data=body,
                headers={**headers, **more},
                timeout=limits,
                allow_redirects=False,
            ) as response:
                content = await response.content.read(_LIMIT)
                kind = response.headers.get("Content-Type", "")
                code = 0 if 200 <= response.status < 300 else 11200
                return Reply(response.status, kind, content, code, f"HTTP {response.status}" if code else "")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Reply(code=11205, why=f"HTTP connection failure: {type(error).__name__}")
        except (aiohttp.ClientError, OSError) as error:
            return Reply(code=11200, why=f"HTTP retrieval failure: {type(error).__name__}")

    def _tuning(self, url: str) -> _Tuning:
        settings = self._settings
        given = {name: values[0] for name, values in parse_qs(urlsplit(url).fragment).items()}
        return _Tuning(
            connect_s=_ms(given.get("ct"), settings.connect_s),
            read_s=_ms(given.get("rt"), settings.webhook_s),
            total_s=_ms(given.get("tt"), settings.webhook_s),
            retries=min(5, int(given.get("rc", "1"))),
            policies=frozenset(given.get("rp", "ct").split(",")),
        )


def _ms(text: str | None, default_s: float) -> float:
    return default_s if text is None else int(text) / 1000


def _retried(reply: Reply, policies: frozenset[str]) -> bool:
    """Retry policies: ct (no connection), rt (no answer in time), 4xx, 5xx, all."""
    if "all" in policies:
        return True
    if reply.code == 11205:
        return "ct" in policies
    if reply.status == 0:
        return "rt" in policies
    return ("4xx" in policies and 400 <= reply.status < 500) or ("5xx" in policies and reply.status >= 500)
