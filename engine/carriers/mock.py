"""The simulated carrier behind the carrier port: real HTTP, signatures and media frames, over loopback.

Wire facts are this project's own: see `engine.simulator`. Nothing of it is imported here; the two know each other
only by what goes over the wire, as with any carrier.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import aiohttp
import orjson
from yarl import URL

from engine.carriers import mock_wire
from engine.carriers.base import (
    Alert,
    Capabilities,
    CarrierError,
    CarrierEvent,
    CarrierStatus,
    Connect,
    DialOrder,
    Document,
    LostDial,
    Streamless,
    Transfer,
    Verdict,
    WebhookReply,
    WebhookRequest,
)
from engine.carriers.http import read_reply
from engine.media.twilio_wire import TwilioWire
from engine.media.wire import MediaWire

KEEP_ALIVE_S: Final = 15.0
"""The simulator ends when nobody asks anything for a minute; a real carrier stays, so this one is asked."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=3)
_REPLY_LIMIT: Final = 16 << 20
"""Bytes of a REST reply; the report of a long run is the longest."""
_NUMBER: Final = re.compile(r"\+[0-9]{6,15}")


class MockCarrier:
    """One simulated carrier. `base_url` without a trailing slash."""

    name = "mock"
    capabilities = Capabilities(streaming=True, send_dtmf=True, reopen_stream=True, keeps_our_id=True)
    signature_headers: tuple[str, ...] = ("x-sim-signature",)

    def __init__(
        self,
        base_url: str,
        api_key: str,
        signing_secret: str,
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
        *,
        ends_with_us: bool = False,
    ) -> None:
        """`ends_with_us`: the simulator is there for this engine alone, and not needed when it has gone."""
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._secret = signing_secret.encode()
        self._timeout = timeout
        self._ends_with_us = ends_with_us
        self._http: aiohttp.ClientSession | None = None
        self._keep_alive: asyncio.Task[None] | None = None

    # bytes in, values out

    def verify(self, request: WebhookRequest, now_ms: int) -> Verdict:
        return mock_wire.verify(request, self._secret, now_ms)

    def verify_upgrade(self, request: WebhookRequest, now_ms: int) -> Verdict:
        """The media socket's upgrade is signed in the same way: GET, the ws:// or wss:// URL, no body."""
        return mock_wire.verify(request, self._secret, now_ms)

    def parse(self, request: WebhookRequest) -> CarrierEvent:
        return mock_wire.parse(request)

    def render(self, document: Document) -> WebhookReply:
        return mock_wire.render(document)

    def wire(self) -> MediaWire:
        """Media frames are Twilio's."""
        return TwilioWire()

    # REST

    async def open(self) -> None:
        self._http = aiohttp.ClientSession(
            timeout=self._timeout, headers={"Authorization": f"Bearer {self._api_key}"}
        )
        self._keep_alive = asyncio.create_task(self._stay_known(), name="mock carrier keep-alive")

    async def close(self) -> None:
        if self._keep_alive is not None:
            self._keep_alive.cancel()
            await asyncio.wait([self._keep_alive])
            self._keep_alive = None
        if self._http is not None:
            if self._ends_with_us:
                with contextlib.suppress(CarrierError):  # gone already, or it ends by itself in a while
                    await self._request("POST", "/sim/leave", {})
            await self._http.close()
            self._http = None

    async def dial(self, order: DialOrder) -> str:
        """Sent once. When the simulator already knows this call id, its first answer is given again."""
        body: dict[str, Any] = {
            "client_ref": order.call_id,
            "from": order.from_number,
            "to": order.to_number,
            "webhook_url": order.webhook_url,
            "ring_timeout_ms": order.ring_timeout_ms,
            "time_limit_s": order.max_duration_seconds,
        }
        if order.inline:
            body["document"] = [mock_wire.verb_json(verb) for verb in order.inline]
        if order.dtmf_sequence:
            body["dtmf_sequence"] = order.dtmf_sequence
        status, value = await self._request("POST", "/v1/calls", body, uncertain="unknown")
        if status == 409 and isinstance(value.get("id"), str):
            return str(value["id"])
        if status >= 500 and status != 503:
            raise CarrierError(f"the simulated carrier failed during the dial: HTTP {status}", kind="unknown")
        self._expect(status, value, "place the call")
        if not isinstance(value.get("id"), str):
            raise CarrierError("the dial was accepted without an id", kind="unknown", code=str(status))
        return str(value["id"])

    async def find(self, lost: LostDial) -> str | None:
        status, value = await self._request("GET", "/v1/calls", query={"client_ref": lost.call_id})
        if status == 404:
            return None
        self._expect(status, value, "look for the call")
        return str(value["id"])

    async def status(self, provider_call_id: str) -> CarrierStatus:
        status, value = await self._request("GET", f"/v1/calls/{_segment(provider_call_id)}")
        if status == 404:
            return CarrierStatus(live=False, reason=None, raw="not found")
        self._expect(status, value, "ask about the call")
        raw = str(value.get("status", ""))
        if raw in mock_wire.LIVE:
            return CarrierStatus(live=True, raw=raw, answered=raw == "in-progress", facts=value)
        return CarrierStatus(
            live=False, reason=mock_wire.end_reason(raw, str(value.get("reason", ""))), raw=raw, facts=value
        )

    async def alerts(self, provider_call_id: str) -> Sequence[Alert]:
        return ()

    async def hang_up(self, provider_call_id: str) -> None:
        status, value = await self._request("POST", f"/v1/calls/{_segment(provider_call_id)}/hangup", {})
        if status != 404:
            self._expect(status, value, "hang up")

    async def answer(self, provider_call_id: str, document: Document, *, pick_up: bool = True) -> None:
        raise CarrierError("the simulated carrier answers by the reply to its webhook", code="not_supported")

    async def send_dtmf(self, provider_call_id: str, digits: str) -> None:
        path = f"/v1/calls/{_segment(provider_call_id)}/dtmf"
        status, value = await self._request("POST", path, {"digits": digits}, uncertain="unknown")
        self._expect(status, value, "play the keys")

    async def instruct(self, call: Streamless, document: Document) -> None:
        raise CarrierError("the simulated carrier takes no new instructions", code="not_supported")

    async def transfer(self, provider_call_id: str, transfer: Transfer) -> None:
        raise CarrierError("the simulated carrier can not transfer calls", code="not_supported")

    async def reopen_stream(self, call: Streamless, connect: Connect) -> None:
        path = f"/v1/calls/{_segment(call.provider_call_id)}/stream"
        body = {"url": connect.url, "token": connect.token}
        status, value = await self._request("POST", path, body, uncertain="unknown")
        self._expect(status, value, "open the stream again")

    async def register_number(self, number: str, webhook_url: str) -> None:
        """Where calls to `number` are announced from now on."""
        if not _NUMBER.fullmatch(number):
            raise CarrierError(f"{number!r} is not a number in E.164 form", code="invalid_number")
        status, value = await self._request("PUT", f"/v1/numbers/{number}", {"webhook_url": webhook_url})
        self._expect(status, value, "register the number")

    # the simulation, for the demo and for tests

    async def set_pace(self, every_seconds: float, max_live: int) -> None:
        """Have somebody call in every so often (0: nobody)."""
        body = {"every_seconds": every_seconds, "max_live": max_live}
        status, value = await self._request("POST", "/sim/pace", body)
        self._expect(status, value, "set the pace")

    async def ring_in(self, to_number: str, person: str = "", from_number: str = "") -> str:
        """Have somebody call now; returns the carrier's call id."""
        body = {"to": to_number, "person": person or None, "from": from_number or None}
        status, value = await self._request("POST", "/sim/inbound", body)
        self._expect(status, value, "have somebody call")
        return str(value["id"])

    async def report(self, last: int = 1000) -> Mapping[str, Any]:
        """What the people said and heard."""
        status, value = await self._request("GET", "/sim/report", query={"last": str(last)})
        self._expect(status, value, "get the report")
        return value

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        uncertain: Literal["retry", "unknown"] = "retry",
    ) -> tuple[int, dict[str, Any]]:
        """One request, never repeated. `uncertain` is the error's kind when the request may have arrived."""
        if self._http is None:
            raise CarrierError("the carrier is not open", kind="retry", code="not_open")
        url = URL(self._base_url + path, encoded=True).with_query(query or {})
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json"} if data is not None else {}
        try:
            async with self._http.request(method, url, data=data, headers=headers, allow_redirects=False) as reply:
                return reply.status, _reply_object(await read_reply(reply.content, _REPLY_LIMIT))
        except aiohttp.ClientConnectorError as error:
            raise CarrierError(f"the simulated carrier can not be reached: {error}", kind="retry") from error
        except aiohttp.ConnectionTimeoutError as error:
            raise CarrierError(f"no connection to the simulated carrier: {error}", kind="retry") from error
        except TimeoutError as error:
            raise CarrierError("the simulated carrier did not answer in time", kind=uncertain) from error
        except (aiohttp.ClientError, OSError) as error:
            why = f"the connection to the simulated carrier broke: {type(error).__name__}: {error}"
            raise CarrierError(why, kind=uncertain) from error

    def _expect(self, status: int, value: Mapping[str, Any], what: str) -> None:
        """Raise the CarrierError that belongs to a reply other than success."""
        if 200 <= status < 300:
            return
        why = value.get("message") or f"HTTP {status}"
        kind: Literal["refused", "gone", "retry"] = "refused"
        if status == 404:
            kind = "gone"
        elif status == 429 or status >= 500:
            kind = "retry"
        raise CarrierError(
            f"the simulated carrier would not {what}: {why}", kind=kind, code=str(value.get("code", status))
        )

    async def _stay_known(self) -> None:
        while True:
            with contextlib.suppress(CarrierError):  # calls find out for themselves when the simulator is gone
                await self._request("GET", "/v1/ping")
            await asyncio.sleep(KEEP_ALIVE_S)


def _reply_object(body: bytes) -> dict[str, Any]:
    """A REST reply; one that is not a JSON object counts as empty, its status still says what happened."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _segment(provider_call_id: str) -> str:
    """An id as one path segment."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,128}", provider_call_id) is None:
        raise CarrierError(f"{provider_call_id[:40]!r} is not an id of the simulated carrier", kind="gone")
    return provider_call_id
