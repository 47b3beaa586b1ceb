"""Telnyx's REST interface through its SDK: requests that have a limit, are sent once, and fail as `CarrierError`.

Importing this module imports the SDK, and `TelnyxRest` its resources, about two seconds together:
`engine.carriers.telnyx` does that in a thread, when it is opened.

The SDK would send a request that failed up to three times, a dial as well: it is told not to. Answers are read as
JSON here, because its models take whatever comes.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from typing import Any, Final

import httpx
import orjson
from telnyx import APIConnectionError, APIStatusError, APITimeoutError, AsyncTelnyx, TelnyxError

from engine.carriers.base import CarrierError
from engine.carriers.http import CONNECT_S, ahead_ms
from engine.carriers.telnyx_account import Access, Application, OwnNumber, application, own_number
from engine.carriers.telnyx_errors import (
    Intent,
    broken,
    from_failure,
    nonsense,
    read_failure,
    timed_out,
    unreachable,
)

PAGE: Final = 250
PAGES: Final = 4
"""Pages of active calls that are looked through for a lost dial."""

# httpx writes a line for each request, with the id that steers the call, or with a number; the SDK writes the tokens
# of streams and what is said, where TELNYX_LOG asks for it.
for _noisy in ("httpx", "telnyx"):
    logging.getLogger(_noisy).setLevel(logging.WARNING)


class TelnyxRest:
    """One account's requests."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._client = AsyncTelnyx(
            api_key=access.api_key,
            base_url=access.address,
            timeout=httpx.Timeout(access.timeout_s, connect=min(CONNECT_S, access.timeout_s)),
            max_retries=0,
        )
        self._calls = self._client.calls.with_raw_response
        self._actions = self._client.calls.actions.with_raw_response
        self.ahead_ms = 0
        """How far Telnyx's clock is before ours, by the latest answer; to about a second."""

    async def close(self) -> None:
        await self._client.close()

    async def dial(self, fields: Mapping[str, Any]) -> str:
        """Place a call; returns its call_control_id."""
        what = "place the call"
        data = _data(await self._send(self._calls.dial(**fields), what, "dial"), what, "dial")
        found = data.get("call_control_id")
        if not isinstance(found, str) or not found:
            raise nonsense(what, "dial")
        return found

    async def command(self, action: str, call_control_id: str, what: str, fields: Mapping[str, Any]) -> None:
        """`POST /calls/{id}/actions/{action}`. Telnyx does a command id once within a minute, so that what may not
        have arrived is sent a second time at once, as Telnyx advises."""
        send = getattr(self._actions, action)
        try:
            await self._send(send(call_control_id, **fields), what, "again")
        except CarrierError as error:
            if error.kind != "retry" or not _uncertain(error):
                raise
            await self._send(send(call_control_id, **fields), what, "again")

    async def call(self, call_control_id: str) -> Mapping[str, Any]:
        """How a call stands."""
        what = "say how the call stands"
        return _data(await self._send(self._calls.retrieve_status(call_control_id), what, "ask"), what, "ask")

    async def active_calls(self) -> list[Mapping[str, Any]]:
        """The connection's calls that are not over."""
        found: list[Mapping[str, Any]] = []
        for page in range(1, PAGES + 1):
            query = {"page[number]": page, "page[size]": PAGE}
            path = f"/connections/{_segment(self._access.connection_id)}/active_calls"
            items = await self._list(path, "list the calls", query)
            found += items
            if len(items) < PAGE:
                break
        return found

    async def application(self) -> Application:
        """The Call Control application that `connection_id` names."""
        what = "show the Call Control application"
        path = f"/call_control_applications/{_segment(self._access.connection_id)}"
        return application(_data(await self._get(path, what), what, "ask"))

    async def set_application(self, name: str, webhook_url: str) -> None:
        """Write where an application reports, in version 2. Telnyx wants its name again."""
        await self._send(
            self._client.call_control_applications.with_raw_response.update(
                self._access.connection_id,
                application_name=name,
                webhook_event_url=webhook_url,
                webhook_api_version="2",
            ),
            "change the Call Control application",
            "again",
        )

    async def number(self, number: str) -> OwnNumber | None:
        """One of the account's numbers; None when the account has no such number."""
        query = {"filter[phone_number]": number}
        found = [own_number(item) for item in await self._list("/phone_numbers", "look for the number", query)]
        return next((own for own in found if own.number == number), None)

    async def set_number(self, number_id: str) -> None:
        """Give a number's calls to our application."""
        await self._send(
            self._client.phone_numbers.with_raw_response.update(number_id, connection_id=self._access.connection_id),
            "give the number to the application",
            "again",
        )

    async def _list(self, path: str, what: str, query: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        value = await self._get(path, what, query)
        items = value.get("data")
        if not isinstance(items, list):
            raise nonsense(what, "ask")
        return [item for item in items if isinstance(item, dict)]

    async def _get(self, path: str, what: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        request = self._client.get(path, cast_to=httpx.Response, options={"params": dict(query or {})})
        return await self._send(request, what, "ask")

    async def _send(self, request: Awaitable[Any], what: str, intent: Intent) -> dict[str, Any]:
        """One request; its answer as a JSON object. Raises CarrierError."""
        try:
            answer = await request
            response: httpx.Response = answer if isinstance(answer, httpx.Response) else answer.http_response
            body = await response.aread()
        except APIStatusError as error:
            raise from_failure(read_failure(error.status_code, error.body), what, intent) from error
        except APITimeoutError as error:
            if isinstance(error.__cause__, httpx.ConnectTimeout | httpx.PoolTimeout):
                raise unreachable(what, "no connection in time") from error
            raise timed_out(what, intent) from error
        except APIConnectionError as error:
            cause = error.__cause__
            if isinstance(cause, httpx.ConnectError | httpx.UnsupportedProtocol):
                raise unreachable(what, str(cause)) from error
            raise broken(what, type(cause).__name__ if cause is not None else str(error), intent) from error
        except httpx.TimeoutException as error:
            raise timed_out(what, intent) from error
        except httpx.HTTPError as error:
            raise broken(what, type(error).__name__, intent) from error
        except (TelnyxError, ValueError) as error:
            raise CarrierError(f"Telnyx can not be asked to {what}: {error}", code="bad_request") from error
        self.ahead_ms = ahead_ms(response.headers.get("date", ""), self.ahead_ms)
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise nonsense(what, intent)
        return value


def _uncertain(error: CarrierError) -> bool:
    """It may not have arrived, or not have been done; Telnyx did not say that it should come later."""
    return error.code in ("timeout", "connection_lost", "10007") or (len(error.code) == 3 and error.code[0] == "5")


def _data(value: Mapping[str, Any], what: str, intent: Intent) -> Mapping[str, Any]:
    data = value.get("data")
    if not isinstance(data, dict):
        raise nonsense(what, intent)
    return data


def _segment(text: str) -> str:
    """An id as one path segment."""
    if not text or len(text) > 64 or not (text.isascii() and text.replace("-", "").replace("_", "").isalnum()):
        raise CarrierError(f"{text[:40]!r} is not an id of a Call Control application", code="10015")
    return text
