"""Plivo's REST interface: JSON over HTTP Basic, each request sent once, to one host, within one limit of time.

Plivo's SDK is not used for it. It sends POSTs about calls up to three more times, to other hosts, when the answer is
a 5xx (a dial would ring twice), prints while it does so, keeps the state of the request that runs in the client, and
can neither be cancelled nor given a limit for a whole request, because it runs on `requests` in a thread. What is
left of it then is the building of these paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import aiohttp
import orjson
from yarl import URL

from engine.carriers.http import CONNECT_S, Intent, ahead_ms, from_network, nonsense, read_reply
from engine.carriers.plain import plain
from engine.carriers.plivo_account import (
    Access,
    Account,
    Application,
    OwnNumber,
    PlivoCall,
    application_id,
    ended_call,
    live_call,
    request_id,
)
from engine.carriers.plivo_errors import PLIVO, from_status
from engine.carriers.plivo_numbers import from_plivo, to_plivo

API: Final = "https://api.plivo.com"
PAGE: Final = 20
"""What one list gives at most."""
MAX_PAGES: Final = 5
_OK: Final = frozenset({200, 201, 202, 204})
Where = Literal["live", "queued"]


class PlivoRest:
    """The requests that we make. Make it inside the loop that uses it. Every method raises CarrierError."""

    def __init__(self, access: Access) -> None:
        base = urlsplit((access.base_url or API).rstrip("/"))
        path = base.path if base.path.endswith("/v1") else f"{base.path}/v1"
        self._root = f"{base.scheme}://{base.netloc}{path}/Account/{access.auth_id}/"
        self._http = aiohttp.ClientSession(
            headers={"Authorization": aiohttp.encode_basic_auth(access.auth_id, access.auth_token)},
            timeout=aiohttp.ClientTimeout(total=access.timeout_s, connect=min(CONNECT_S, access.timeout_s)),
        )
        self.ahead_ms = 0
        """How far Plivo's clock was before ours at its latest answer; to about a second."""

    async def close(self) -> None:
        await self._http.close()

    # calls

    async def create_call(self, fields: Mapping[str, Any]) -> str:
        """Place a call; gives the id of the request, by which the call goes until Plivo names it."""
        what = "place the call"
        made = await self._ask("POST", "Call/", what, "dial", body=fields)
        if not (found := request_id(made.get("request_uuid"))):
            raise nonsense(PLIVO, what, "dial")
        return found

    async def call_at(self, uuid: str, where: Where) -> PlivoCall | None:
        """A call that is up or waits to be placed; None when it is not there."""
        value = await self._find(f"Call/{uuid}/", "ask about the call", {"status": where})
        return live_call(value, where == "queued") if value is not None else None

    async def record_of(self, uuid: str) -> PlivoCall | None:
        """The record of a call that is over, which may come a moment after its end."""
        value = await self._find(f"Call/{uuid}/", "ask about the call", {})
        return ended_call(value) if value is not None else None

    async def uuids_at(self, where: Where) -> list[str]:
        """All calls that are up, or wait to be placed."""
        value = await self._ask("GET", "Call/", "list the calls", "ask", query={"status": where})
        found = value.get("calls")
        if not isinstance(found, list):
            raise nonsense(PLIVO, "list the calls", "ask")
        return [text for item in found if (text := plain(item))]

    async def records(self, from_number: str, to_number: str) -> list[PlivoCall]:
        """The newest calls that are over between two numbers."""
        query = {"from_number": to_plivo(from_number), "to_number": to_plivo(to_number), "call_direction": "outbound"}
        value = await self._ask("GET", "Call/", "list the calls", "ask", query={**query, "limit": str(PAGE)})
        return [call for item in _objects(value) if (call := ended_call(item)) is not None]

    async def transfer(self, uuid: str, url: str, what: str) -> None:
        """Have the call's own leg fetch a new document from `url`."""
        fields = {"legs": "aleg", "aleg_url": url, "aleg_method": "POST"}
        await self._ask("POST", f"Call/{uuid}/", what, "once", body=fields)

    async def hang_up(self, uuid: str) -> None:
        await self._ask("DELETE", f"Call/{uuid}/", "hang up", "again")

    async def cancel(self, request_uuid: str) -> None:
        """End what a create request began, also while nothing has been placed yet."""
        await self._ask("DELETE", f"Request/{request_uuid}/", "cancel the call", "again")

    async def send_digits(self, uuid: str, digits: str) -> None:
        await self._ask("POST", f"Call/{uuid}/DTMF/", "play the keys", "once", body={"digits": digits, "leg": "aleg"})

    # account, numbers and applications

    async def account(self) -> Account:
        value = await self._ask("GET", "", "show the account", "ask")
        auth_id = plain(value.get("auth_id"))
        if not auth_id:
            raise nonsense(PLIVO, "show the account", "ask")
        return Account(
            auth_id,
            plain(value.get("name")),
            plain(value.get("account_type")),
            str(value.get("cash_credits", ""))[:32],
        )

    async def number(self, number: str) -> OwnNumber | None:
        """One of the account's numbers with its application; None when the account has no such number."""
        value = await self._find(f"Number/{to_plivo(number)}/", "look for the number", {})
        if value is None:
            return None
        if from_plivo(plain(value.get("number"))) != number:
            raise nonsense(PLIVO, "look for the number", "ask")
        app_id = application_id(value.get("application"))
        application = await self._application(app_id) if app_id else None
        return OwnNumber(number, value.get("voice_enabled") is True, app_id, application)

    async def create_application(self, name: str, urls: Mapping[str, str]) -> str:
        """A new application; gives its id."""
        what = "make an application"
        made = await self._ask("POST", "Application/", what, "once", body={"app_name": name, **urls})
        if not (app_id := plain(made.get("app_id"))):
            raise nonsense(PLIVO, what, "once")
        return app_id

    async def update_application(self, app_id: str, urls: Mapping[str, str]) -> None:
        await self._ask("POST", f"Application/{app_id}/", "set the application's addresses", "again", body=urls)

    async def give_number(self, number: str, app_id: str) -> None:
        """Have an application handle a number's calls."""
        path = f"Number/{to_plivo(number)}/"
        await self._ask("POST", path, "give the number to the application", "again", body={"app_id": app_id})

    async def _application(self, app_id: str) -> Application | None:
        value = await self._find(f"Application/{app_id}/", "look at the application", {})
        if value is None:
            return None
        return Application(
            app_id,
            plain(value.get("app_name")),
            plain(value.get("answer_url")),
            plain(value.get("answer_method")),
            plain(value.get("hangup_url")),
            plain(value.get("hangup_method")),
            await self._numbers_of(app_id),
        )

    async def _numbers_of(self, app_id: str) -> int:
        """How many numbers an application handles: to change it changes what happens to all of them."""
        count = 0
        for page in range(MAX_PAGES):
            query = {"limit": str(PAGE), "offset": str(page * PAGE)}
            found = _objects(await self._ask("GET", "Number/", "list the numbers", "ask", query=query))
            count += sum(application_id(item.get("application")) == app_id for item in found)
            if len(found) < PAGE:
                break
        return count

    async def _find(self, path: str, what: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        """None for a 404."""
        return await self._send("GET", path, what, "ask", query=query, missing=True)

    async def _ask(
        self,
        method: str,
        path: str,
        what: str,
        intent: Intent,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        return await self._send(method, path, what, intent, body=body, query=query) or {}

    async def _send(
        self,
        method: str,
        path: str,
        what: str,
        intent: Intent,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        missing: bool = False,
    ) -> dict[str, Any] | None:
        """One request. A redirect is not followed: it would take the credentials elsewhere."""
        url = URL(self._root + path, encoded=True).with_query(query or {})
        data = orjson.dumps(body) if body is not None else None
        headers = {"Content-Type": "application/json"} if data is not None else {}
        try:
            async with self._http.request(method, url, data=data, headers=headers, allow_redirects=False) as reply:
                self.ahead_ms = ahead_ms(reply.headers.get("Date", ""), self.ahead_ms)
                text = await read_reply(reply.content)
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            raise from_network(PLIVO, error, what, intent) from error
        if missing and reply.status == 404:
            return None
        if reply.status not in _OK:
            raise from_status(reply.status, text, what, intent)
        return _object(text, what, intent)


def _object(text: bytes, what: str, intent: Intent) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise nonsense(PLIVO, what, intent) from error
    if not isinstance(value, dict):
        raise nonsense(PLIVO, what, intent)
    return value


def _objects(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = value.get("objects")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
