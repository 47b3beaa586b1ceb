"""Twilio's REST interface: HTTP Basic, its resources, its errors."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from aiohttp import web

from tests.carriers.far import sim
from tests.carriers.twilio_far.limits import Refusal, api, check_update, one
from tests.carriers.twilio_far.model import API_VERSION
from tests.carriers.twilio_far.settings import Operation, RestFault

if TYPE_CHECKING:
    from tests.carriers.twilio_far.call import FarCall
    from tests.carriers.twilio_far.far import Number, TwilioFar

_CODES: Final = {
    "20003": (401, "Authenticate"),
    "20404": (404, "The requested resource was not found"),
    "20429": (429, "Too Many Requests"),
    "10004": (429, "Call concurrency limit exceeded"),
    "21220": (400, "Invalid call state"),
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Resource = Callable[["Asked"], Awaitable[tuple[int, Any]]]


class Asked:
    """One REST request: the far end, what is in its path, its query and its form."""

    def __init__(self, far: TwilioFar, request: web.Request, form: dict[str, list[str]]) -> None:
        self.far = far
        self.path = request.match_info
        self.query = {name: request.query.getall(name) for name in request.query}
        self.form = form
        self.url = str(request.rel_url)

    def call(self) -> FarCall:
        call = self.far.calls.get(self.path["sid"])
        if call is None:
            raise Refusal(404, 20404, f"The requested resource {self.url} was not found")
        return call


def create_app(far: TwilioFar) -> web.Application:
    app = web.Application()
    account = f"/{API_VERSION}/Accounts/{{account}}"

    def route(method: str, path: str, operation: Operation, resource: Resource) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await _serve(far, request, operation, resource)

        app.router.add_route(method, path, handle)

    route("POST", f"{account}/Calls.json", "dial", _create)
    route("GET", f"{account}/Calls.json", "list", _list)
    route("GET", f"{account}/Calls/{{sid}}.json", "fetch", _fetch)
    route("POST", f"{account}/Calls/{{sid}}.json", "update", _update)
    route("GET", f"{account}/Calls/{{sid}}/Notifications.json", "notifications", _notifications)
    route("GET", f"{account}.json", "account", _account)
    route("GET", f"{account}/IncomingPhoneNumbers.json", "numbers", _numbers)
    route("POST", f"{account}/IncomingPhoneNumbers/{{sid}}.json", "number", _update_number)
    route("GET", "/v1/DialingPermissions/Countries/{iso}", "permission", _permission)
    sim.add_routes(app, far, far.webhook_faults, "sid")
    return app


async def _serve(
    far: TwilioFar, request: web.Request, operation: Operation, resource: Resource
) -> web.StreamResponse:
    """One request with its fault, if it is to meet one."""
    from tests.carriers.twilio_far.far import RestRequest

    body = (await request.read()).decode()
    form = parse_qs(body, keep_blank_values=True)
    fault = far.take_fault(operation)
    far.requests.append(RestRequest(operation, request.method, request.path, form, fault or ""))
    date = {"Date": formatdate(time.time() + far.ahead_s, usegmt=True)}
    try:
        _authorize(far, request)
        if fault is not None and not fault.endswith("-after"):
            return await _misbehave(far, request, fault)
        status, value = await resource(Asked(far, request, form))
    except Refusal as refusal:
        return web.json_response(refusal.to_json(), status=refusal.status, headers=date)
    if fault is not None:
        return await _misbehave(far, request, fault)
    return web.json_response(value, status=status, headers=date)


def _authorize(far: TwilioFar, request: web.Request) -> None:
    settings = far.settings
    expected = base64.b64encode(f"{settings.account_sid}:{settings.auth_token}".encode()).decode()
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Basic {expected}".encode()):
        raise Refusal(401, 20003, "Authenticate")
    if request.match_info.get("account", settings.account_sid) != settings.account_sid:
        raise Refusal(404, 20404, f"The requested resource {request.path} was not found")


async def _misbehave(far: TwilioFar, request: web.Request, fault: RestFault) -> web.StreamResponse:
    if fault in _CODES:
        status, message = _CODES[fault]
        return web.json_response(Refusal(status, int(fault), message).to_json(), status=status)
    if fault.startswith("500"):
        error = Refusal(500, 20500, "An internal server error has occurred")
        return web.json_response(error.to_json(), status=500)
    if fault.startswith("html-502"):
        return web.Response(status=502, text="<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")
    if fault.startswith("timeout"):
        await far.closing.wait()
    if fault == "garbage-after":
        return web.Response(status=201, text="<html>welcome</html>", content_type="application/json")
    if fault == "redirect":
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"})
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _create(asked: Asked) -> tuple[int, Any]:
    return 201, asked.far.dial(asked.form).state.to_json()


async def _fetch(asked: Asked) -> tuple[int, Any]:
    return 200, asked.call().state.to_json()


async def _list(asked: Asked) -> tuple[int, Any]:
    if unknown := set(asked.query) - set(api()["list"]):
        raise Refusal(400, 20001, f"Unknown parameters {sorted(unknown)}")
    to, from_ = one(asked.query, "To"), one(asked.query, "From")
    status = one(asked.query, "Status")
    found = [
        state
        for call in reversed(asked.far.calls.values())
        for state in (*reversed(call.transfers), call.state)
        if (not to or state.to_number == to)
        and (not from_ or state.from_number == from_)
        and (not status or state.status == status)
    ]
    if asked.far.empty_lists:
        asked.far.empty_lists -= 1
        found = []
    size, page = int(one(asked.query, "PageSize") or 50), int(one(asked.query, "Page") or 0)
    if not 1 <= size <= 1000:
        raise Refusal(400, 20007, "Page size too large")
    shown = found[page * size : (page + 1) * size]
    more = f"/{API_VERSION}/Accounts/{asked.far.settings.account_sid}/Calls.json?PageSize={size}&Page={page + 1}"
    query = "".join(f"&{name}={value.replace('+', '%2B')}" for name, value in (("To", to), ("From", from_)) if value)
    following = more + query if (page + 1) * size < len(found) else None
    return 200, _page("calls", [state.to_json() for state in shown], asked.url, following, size, page)


async def _update(asked: Asked) -> tuple[int, Any]:
    from tests.carriers.twilio_far.far import first_document

    call = asked.call()
    check_update(asked.form)
    if call.state.over:
        if asked.far.settings.ended_is_404:
            raise Refusal(404, 20404, f"The requested resource {asked.url} was not found")
        raise Refusal(400, 21220, "Call is not in-progress. Cannot redirect.")
    status = one(asked.form, "Status")
    if status == "completed":
        call.complete()
    elif status == "canceled":
        call.cancel()
    else:
        call.replace(first_document(asked.form, "update"))
    if status:
        await call.until(lambda: call.state.over)
    return 200, call.state.to_json()


async def _notifications(asked: Asked) -> tuple[int, Any]:
    notes = [note.to_json(asked.far.settings.account_sid) for note in reversed(asked.call().notifications)]
    size = int(one(asked.query, "PageSize") or 50)
    return 200, _page("notifications", notes[:size], asked.url, None, size, 0)


async def _account(asked: Asked) -> tuple[int, Any]:
    settings = asked.far.settings
    return 200, {
        "sid": settings.account_sid,
        "friendly_name": "The far end",
        "status": settings.account_status,
        "type": settings.account_type,
        "auth_token": "redacted",
        "owner_account_sid": settings.account_sid,
        "date_created": formatdate(0),
        "date_updated": formatdate(0),
        "subresource_uris": {},
        "uri": f"/{API_VERSION}/Accounts/{settings.account_sid}.json",
    }


async def _numbers(asked: Asked) -> tuple[int, Any]:
    # Twilio matches a part of the number too.
    wanted = one(asked.query, "PhoneNumber")
    found = [_number_json(number) for number in asked.far.numbers.values() if wanted in number.number]
    return 200, _page("incoming_phone_numbers", found, asked.url, None, 50, 0)


async def _update_number(asked: Asked) -> tuple[int, Any]:
    numbers = asked.far.numbers
    found = next((number for number in numbers.values() if number.sid == asked.path["sid"]), None)
    if found is None:
        raise Refusal(404, 20404, f"The requested resource {asked.url} was not found")
    fields = {
        "VoiceUrl": "voice_url",
        "VoiceMethod": "voice_method",
        "StatusCallback": "status_callback",
        "StatusCallbackMethod": "status_callback_method",
    }
    if unknown := set(asked.form) - set(fields):
        raise Refusal(400, 20001, f"Unknown parameters {sorted(unknown)}")
    changes: dict[str, Any] = {fields[name]: one(asked.form, name) for name in asked.form}
    numbers[found.number] = replace(found, **changes)
    return 200, _number_json(numbers[found.number])


async def _permission(asked: Asked) -> tuple[int, Any]:
    iso = asked.path["iso"]
    allowed = asked.far.settings.countries.get(iso)
    if allowed is None:
        raise Refusal(404, 20404, f"The requested resource {asked.url} was not found")
    return 200, {
        "iso_code": iso,
        "name": iso,
        "continent": "",
        "country_codes": [],
        "low_risk_numbers_enabled": allowed,
        "high_risk_special_numbers_enabled": False,
        "high_risk_tollfraud_numbers_enabled": False,
        "url": asked.url,
        "links": {},
    }


def _number_json(number: Number) -> dict[str, Any]:
    return {
        "sid": number.sid,
        "phone_number": number.number,
        "friendly_name": number.number,
        "capabilities": {"voice": True, "sms": True, "mms": False, "fax": False},
        "voice_url": number.voice_url,
        "voice_method": number.voice_method,
        "status_callback": number.status_callback,
        "status_callback_method": number.status_callback_method,
        "voice_application_sid": None,
        "trunk_sid": None,
    }


def _page(name: str, items: list[Any], url: str, following: str | None, size: int, page: int) -> dict[str, Any]:
    return {
        name: items,
        "first_page_uri": url,
        "next_page_uri": following,
        "previous_page_uri": None,
        "page": page,
        "page_size": size,
        "start": page * size,
        "end": page * size + max(0, len(items) - 1),
        "uri": url,
    }
