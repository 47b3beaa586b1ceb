"""Twilio's REST interface through its SDK: requests that have a limit, are sent once, and fail as `CarrierError`.

Importing this module imports the SDK (136 ms): `engine.carriers.twilio` does that in a thread, when it is opened.

The SDK's async client ignores its `timeout` (twilio-python issue 925), lets TWILIO_REGION and TWILIO_EDGE of the
environment decide, and reads errors as JSON only. `_Http` replaces how its requests are made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
from twilio.base.exceptions import TwilioException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from yarl import URL

from engine.carriers.base import Alert
from engine.carriers.http import CONNECT_S, Intent, ahead_ms, from_network, nonsense, read_reply
from engine.carriers.plain import plain
from engine.carriers.twilio_account import Access, Account, OwnNumber, TwilioCall, alert
from engine.carriers.twilio_errors import TWILIO, RestFailure, from_failure, read_failure

LISTED: Final = 200
"""Calls looked through for a lost dial; Twilio lists the newest first."""
_EDGES: Final[Mapping[str, str]] = {"us1": "ashburn", "ie1": "dublin", "au1": "sydney"}
"""A region's own edge: Twilio's host names want both or neither."""
_OWN_ENVIRONMENT: Final = {"VOICECALL": "configured"}
"""Keeps the SDK from reading the process's environment; an empty mapping would not."""
_T = TypeVar("_T")


class _Http(AsyncTwilioHttpClient):  # type: ignore[misc]
    """Makes the SDK's requests, each once."""

    def __init__(self, base_url: str, timeout_s: float) -> None:
        super().__init__(pool_connections=False)
        self._base = urlsplit(base_url.rstrip("/")) if base_url else None
        limits = aiohttp.ClientTimeout(total=timeout_s, connect=min(CONNECT_S, timeout_s))
        self._http = aiohttp.ClientSession(timeout=limits)
        self.ahead_ms = 0
        """How far Twilio's clock is before ours, by the latest answer; to about a second."""

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the SDK's signature; our session has the limits
        allow_redirects: bool = False,
    ) -> Response:
        """One request. Raises RestFailure for an answer that is not a success, and what aiohttp raises."""
        target = self._target(url)
        if params:
            target += ("&" if urlsplit(target).query else "?") + urlencode(params, doseq=True)
        proof = {"Authorization": aiohttp.encode_basic_auth(*auth)} if auth is not None else {}
        body = urlencode(data, doseq=True).encode() if data is not None else None
        async with self._http.request(
            method,
            URL(target, encoded=True),
            data=body,
            headers={**(headers or {}), **proof},
            allow_redirects=False,
        ) as reply:
            self.ahead_ms = ahead_ms(reply.headers.get("Date", ""), self.ahead_ms)
            text = await read_reply(reply.content)
            if not 200 <= reply.status < 300:
                raise read_failure(reply.status, text)
            return Response(reply.status, text.decode(errors="replace"), reply.headers)

    async def close(self) -> None:
        await self._http.close()

    def _target(self, url: str) -> str:
        if self._base is None:
            return url
        parts = urlsplit(url)
        return urlunsplit((self._base.scheme, self._base.netloc, self._base.path + parts.path, parts.query, ""))


class TwilioRest:
    """The requests that we make. Make it inside the loop that uses it. Every method raises CarrierError."""

    def __init__(self, access: Access) -> None:
        edge = access.edge or _EDGES.get(access.region, "")
        self._http = _Http(access.base_url, access.timeout_s)
        self._client = Client(
            access.account_sid,
            access.auth_token,
            region=access.region or None,
            edge=edge or None,
            http_client=self._http,
            environment=_OWN_ENVIRONMENT,
        )
        self._sid = access.account_sid

    @property
    def ahead_ms(self) -> int:
        """How far Twilio's clock was before ours at its latest answer."""
        return self._http.ahead_ms

    async def close(self) -> None:
        await self._http.close()

    # calls

    async def create_call(self, fields: Mapping[str, Any]) -> str:
        """Place a call; `fields` are the SDK's names of Twilio's parameters."""
        what = "place the call"
        made = await self._ask(what, "dial", self._client.calls.create_async(**fields))
        if not made.sid:
            raise nonsense(TWILIO, what, "dial")
        return str(made.sid)

    async def call(self, sid: str) -> TwilioCall:
        return _call(await self._ask("ask about the call", "ask", self._client.calls(sid).fetch_async()))

    async def calls(self, from_number: str, to_number: str) -> Sequence[TwilioCall]:
        """The newest calls between two numbers. Not by start time: a queued call has none yet."""
        listed = self._client.calls.list_async(from_=from_number, to=to_number, limit=LISTED)
        return [_call(call) for call in await self._ask("list the calls", "ask", listed)]

    async def update_call(self, sid: str, what: str, intent: Intent, **fields: str) -> TwilioCall:
        return _call(await self._ask(what, intent, self._client.calls(sid).update_async(**fields)))

    async def alerts(self, sid: str, limit: int) -> Sequence[Alert]:
        """What Twilio noted about a call, newest first."""
        listed = self._client.calls(sid).notifications.list_async(limit=limit)
        return [
            alert(
                sid=str(item.sid or ""),
                code=plain(item.error_code),
                level=plain(item.log),
                text=item.message_text or "",
                link=plain(item.more_info),
                at=_epoch_ms(item.message_date or item.date_created),
                url=plain(item.request_url),
            )
            for item in await self._ask("list the call's notices", "ask", listed)
        ]

    # account and numbers

    async def account(self) -> Account:
        asked = self._client.api.v2010.accounts(self._sid).fetch_async()
        found = await self._ask("show the account", "ask", asked)
        return Account(
            plain(found.sid), plain(found.friendly_name), plain(_word(found.status)), plain(_word(found.type))
        )

    async def number(self, number: str) -> OwnNumber | None:
        """One of the account's numbers; None when it has no such number."""
        listed = self._client.incoming_phone_numbers.list_async(phone_number=number, limit=20)
        found = await self._ask("look for the number", "ask", listed)
        return next((_number(item) for item in found if item.phone_number == number), None)

    async def set_number_urls(self, sid: str, voice_url: str, status_callback: str) -> OwnNumber:
        """Have calls to a number reported to us, by POST."""
        asked = self._client.incoming_phone_numbers(sid).update_async(
            voice_url=voice_url,
            voice_method="POST",
            status_callback=status_callback,
            status_callback_method="POST",
        )
        return _number(await self._ask("set the number's addresses", "again", asked))

    async def may_dial(self, iso_country: str) -> bool:
        """Whether calls to ordinary numbers of a country are allowed."""
        asked = self._client.voice.v1.dialing_permissions.countries(iso_country).fetch_async()
        found = await self._ask("show the dialing permissions", "ask", asked)
        return found.low_risk_numbers_enabled is True

    async def _ask(self, what: str, intent: Intent, request: Awaitable[_T]) -> _T:
        try:
            return await request
        except RestFailure as failure:
            raise from_failure(failure, what, intent) from failure
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise from_network(TWILIO, error, what, intent) from error
        except (AttributeError, KeyError, TypeError, ValueError, TwilioException) as error:
            # The SDK meets an answer that is no JSON, or JSON of another shape.
            raise nonsense(TWILIO, what, intent) from error


def _call(found: Any) -> TwilioCall:
    sid, status = plain(found.sid), plain(_word(found.status))
    if not sid or not status:
        raise nonsense(TWILIO, "tell about a call", "ask")
    duration = plain(found.duration)
    return TwilioCall(
        sid=sid,
        status=status,
        direction=plain(found.direction),
        parent_sid=plain(found.parent_call_sid),
        from_number=plain(found._from),
        to_number=plain(found.to),
        made_at=_epoch_ms(found.date_created or found.start_time),
        answered_by=plain(found.answered_by),
        duration_s=int(duration) if duration.isascii() and duration.isdecimal() else None,
    )


def _number(found: Any) -> OwnNumber:
    can = found.capabilities if isinstance(found.capabilities, Mapping) else {}
    return OwnNumber(
        sid=plain(found.sid),
        number=plain(found.phone_number),
        voice_url=plain(found.voice_url),
        voice_method=plain(found.voice_method),
        status_callback=plain(found.status_callback),
        status_callback_method=plain(found.status_callback_method),
        voice=can.get("voice") is True,
        handled_elsewhere=plain(found.trunk_sid) or plain(found.voice_application_sid),
    )


def _word(value: object) -> str:
    """An enumeration's value, whether the SDK made an enumeration of it or left it a string."""
    return str(getattr(value, "value", value) or "")


def _epoch_ms(date: object) -> int | None:
    """The SDK gives RFC 2822 dates as datetimes without a zone when they are UTC."""
    if not isinstance(date, datetime):
        return None
    return round((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() * 1000)
