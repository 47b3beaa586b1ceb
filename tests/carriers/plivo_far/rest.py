"""Plivo's REST interface: HTTP Basic, JSON, its resources, its errors."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from tests.carriers.far import sim
from tests.carriers.plivo_far.model import FINAL, bare
from tests.carriers.plivo_far.settings import Operation, RestFault

if TYPE_CHECKING:
    from tests.carriers.plivo_far.call import FarCall
    from tests.carriers.plivo_far.far import PlivoFar

_MESSAGES: Final = {
    401: "could not verify your access level for that url. you have to login with proper credentials",
    403: "This account does not have the permission to dial out to a prefix of the destination number",
    429: "Throttled",
}
_PARAMETERS: Final = (
    "from to answer_url answer_method ring_url ring_method hangup_url hangup_method fallback_url fallback_method "
    "caller_name send_digits send_on_preanswer time_limit hangup_on_ring machine_detection machine_detection_time "
    "machine_detection_url machine_detection_method sip_headers ring_timeout parent_call_uuid "
    "error_if_parent_not_found callback_url callback_method"
)
_CREATE: Final = frozenset(_PARAMETERS.split())
"""The parameters of `Calls.create` in plivo-python 4.63."""
Resource = Callable[["Asked"], Awaitable[tuple[int, Any]]]


class Refusal(Exception):
    """An error in Plivo's shape."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Asked:
    """One REST request: the far end, what is in its path, its query and its body."""

    def __init__(self, far: PlivoFar, request: web.Request, body: Mapping[str, Any]) -> None:
        self.far = far
        self.path = request.match_info
        self.query = dict(request.query)
        self.body = body

    def call(self) -> FarCall:
        """A call that is up. Raises Refusal."""
        found = self.far.calls.get(self.path["id"])
        if found is None or found.state.over or found.state.status == "queued":
            raise Refusal(404, "call not found")
        return found

    def text(self, name: str) -> str:
        return str(self.body.get(name) or "")


def create_app(far: PlivoFar) -> web.Application:
    app = web.Application()
    account = "/v1/Account/{account}/"

    def route(method: str, path: str, operation: Operation, resource: Resource) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await _serve(far, request, operation, resource)

        app.router.add_route(method, account + path, handle)

    route("POST", "Call/", "dial", _create)
    route("GET", "Call/", "list", _list)
    route("GET", "Call/{id}/", "fetch", _fetch)
    route("POST", "Call/{id}/", "transfer", _transfer)
    route("DELETE", "Call/{id}/", "hangup", _hang_up)
    route("DELETE", "Request/{id}/", "cancel", _cancel)
    route("POST", "Call/{id}/DTMF/", "dtmf", _dtmf)
    route("GET", "", "account", _account)
    route("GET", "Number/", "numbers", _numbers)
    route("GET", "Number/{number}/", "number", _number)
    route("POST", "Number/{number}/", "number", _change_number)
    route("POST", "Application/", "application", _create_application)
    route("GET", "Application/{app}/", "application", _application)
    route("POST", "Application/{app}/", "application", _change_application)
    sim.add_routes(app, far, far.webhook_faults, "uuid")
    return app


async def _serve(far: PlivoFar, request: web.Request, operation: Operation, resource: Resource) -> web.StreamResponse:
    """One request with its fault, if it is to meet one."""
    text = await request.text()
    body = json.loads(text) if text else {}
    fault = far.take_fault(operation)
    far.note(operation, request.method, request.path_qs, body, fault or "")
    date = {"Date": formatdate(time.time() + far.ahead_s, usegmt=True)}
    try:
        _authorize(far, request)
        if fault is not None and not fault.endswith("-after"):
            return await _misbehave(far, request, fault)
        status, value = await resource(Asked(far, request, body))
    except Refusal as refusal:
        answer = {"api_id": str(uuid.uuid4()), "error": str(refusal)}
        return web.json_response(answer, status=refusal.status, headers=date)
    await asyncio.sleep(far.answer_late_s.get(operation, 0.0))
    if fault is not None:
        return await _misbehave(far, request, fault)
    if status == 204:
        return web.Response(status=204, headers=date)
    return web.json_response({"api_id": str(uuid.uuid4()), **value}, status=status, headers=date)


def _authorize(far: PlivoFar, request: web.Request) -> None:
    settings = far.settings
    expected = base64.b64encode(f"{settings.auth_id}:{settings.auth_token}".encode()).decode()
    given = request.headers.get("Authorization", "")
    if not hmac.compare_digest(given.encode(), f"Basic {expected}".encode()):
        raise Refusal(401, _MESSAGES[401])
    if request.match_info["account"] != settings.auth_id:
        raise Refusal(404, "not found")


async def _misbehave(far: PlivoFar, request: web.Request, fault: RestFault) -> web.StreamResponse:
    if fault.isdecimal():
        status = int(fault)
        return web.json_response({"api_id": str(uuid.uuid4()), "error": _MESSAGES[status]}, status=status)
    if fault.startswith("500"):
        return web.json_response({"api_id": str(uuid.uuid4()), "error": "internal server error"}, status=500)
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
    for name in asked.body:
        if name not in _CREATE:
            asked.far.complain(f"{name} is no parameter of a call")
    for name in ("from", "to", "answer_url"):
        if not asked.body.get(name):
            raise Refusal(400, f"{name} parameter not present")
    for name in asked.body:
        if name.endswith("_url") and urlsplit(asked.text(name)).scheme not in ("http", "https"):
            raise Refusal(400, f"{name} is not a valid URL")
    to, from_ = asked.text("to"), asked.text("from")
    if not to.startswith("sip:") and not bare(to).isdecimal():
        raise Refusal(400, f"{to[:40]} is not a valid phone number")
    if from_ == to:
        raise Refusal(400, "src and destination cannot overlap")
    if f"+{bare(from_)}" not in asked.far.numbers:
        raise Refusal(400, f"{from_[:40]} is not a valid caller id for this account")
    if "machine_detection_time" in asked.body and not 2000 <= int(asked.body["machine_detection_time"]) <= 10_000:
        raise Refusal(400, "machine_detection_time should be between 2000 and 10000")
    call = asked.far.dial(asked.body)
    request: Any = call.state.request_uuid
    if asked.far.settings.lists_requests:
        request = [request]
    return 201, {"message": "call fired", "request_uuid": request}


async def _list(asked: Asked) -> tuple[int, Any]:
    states = [call.state for call in reversed(asked.far.calls.values())]
    status = asked.query.get("status", "")
    if asked.far.empty_lists:
        asked.far.empty_lists -= 1
        states = []
    if status in ("live", "queued"):
        wanted = [state for state in states if not state.over and (state.status == "queued") == (status == "queued")]
        return 200, {"calls": [state.uuid for state in wanted]}
    limit, offset = int(asked.query.get("limit", "20")), int(asked.query.get("offset", "0"))
    if not 0 < limit <= 20:
        raise Refusal(400, "limit should be in the range of 1 to 20")
    found = [
        state.record_json()
        for state in states
        if state.status in FINAL
        and bare(asked.query.get("from_number", state.from_number)) == bare(state.from_number)
        and bare(asked.query.get("to_number", state.to_number)) == bare(state.to_number)
        and asked.query.get("call_direction", state.direction) == state.direction
    ]
    return 200, _page(found, limit, offset)


async def _fetch(asked: Asked) -> tuple[int, Any]:
    call = asked.far.calls.get(asked.path["id"]) or asked.far.by_request(asked.path["id"])
    if call is None:
        raise Refusal(404, "not found")
    state, status = call.state, asked.query.get("status", "")
    if status in ("live", "queued"):
        # A request that has not become a call yet is queued under its own id.
        if state.over or (state.status == "queued") != (status == "queued") or asked.path["id"] != state.uuid:
            raise Refusal(404, "not found")
        return 200, state.live_json()
    if not state.over:
        raise Refusal(404, "not found")
    return 200, state.record_json()


async def _transfer(asked: Asked) -> tuple[int, Any]:
    call = asked.call()
    if asked.text("legs") not in ("aleg", "bleg", "both"):
        raise Refusal(400, "legs should be aleg, bleg or both")
    if asked.text("legs") != "bleg" and urlsplit(asked.text("aleg_url")).scheme not in ("http", "https"):
        raise Refusal(400, "aleg_url is not a valid URL")
    if unknown := set(asked.body) - {"legs", "aleg_url", "aleg_method", "bleg_url", "bleg_method"}:
        asked.far.complain(f"{unknown} are no parameters of a transfer")
    if call.state.answered_at is None:
        raise Refusal(400, "call is not answered")
    call.redirect(asked.text("aleg_url"), asked.text("aleg_method") or "POST")
    return 202, {"message": "call transfered", "call_uuids": [call.state.uuid]}


async def _hang_up(asked: Asked) -> tuple[int, Any]:
    call = asked.call()
    call.hang_up()
    await call.until(lambda: call.state.over)
    return 204, None


async def _cancel(asked: Asked) -> tuple[int, Any]:
    call = asked.far.by_request(asked.path["id"])
    if call is None or call.state.over:
        raise Refusal(404, "not found")
    call.hang_up()
    await call.until(lambda: call.state.over)
    return 204, None


async def _dtmf(asked: Asked) -> tuple[int, Any]:
    call, digits = asked.call(), asked.text("digits")
    if not digits or set(digits) - set("0123456789ABCD*#wW") or call.state.answered_at is None:
        raise Refusal(400, "digits are not valid")
    await call.play_keys(digits)
    return 202, {"message": "digits sent"}


async def _account(asked: Asked) -> tuple[int, Any]:
    settings = asked.far.settings
    return 200, {
        "account_type": "standard",
        "auth_id": settings.auth_id,
        "auto_recharge": False,
        "billing_mode": "prepaid",
        "cash_credits": settings.credits,
        "name": "The far end",
        "resource_uri": f"/v1/Account/{settings.auth_id}/",
        "timezone": "Asia/Kolkata",
    }


async def _numbers(asked: Asked) -> tuple[int, Any]:
    limit, offset = int(asked.query.get("limit", "20")), int(asked.query.get("offset", "0"))
    found = [number.to_json(asked.far.settings.auth_id) for number in asked.far.numbers.values()]
    return 200, _page(found, limit, offset)


async def _number(asked: Asked) -> tuple[int, Any]:
    found = asked.far.numbers.get(f"+{asked.path['number']}")
    if found is None:
        raise Refusal(404, "not found")
    return 200, found.to_json(asked.far.settings.auth_id)


async def _change_number(asked: Asked) -> tuple[int, Any]:
    found = asked.far.numbers.get(f"+{asked.path['number']}")
    if found is None:
        raise Refusal(404, "not found")
    if asked.text("app_id") not in asked.far.applications:
        raise Refusal(400, "app_id is not valid")
    found.app_id = asked.text("app_id")
    return 202, {"message": "changed"}


async def _create_application(asked: Asked) -> tuple[int, Any]:
    name = asked.text("app_name")
    if not name or set(name.lower()) - set("abcdefghijklmnopqrstuvwxyz0123456789-_"):
        raise Refusal(400, "app_name is not valid")
    made = asked.far.add_application(name)
    _write(asked, made.app_id)
    return 201, {"message": "created", "app_id": made.app_id}


async def _application(asked: Asked) -> tuple[int, Any]:
    found = asked.far.applications.get(asked.path["app"])
    if found is None:
        raise Refusal(404, "not found")
    return 200, found.to_json()


async def _change_application(asked: Asked) -> tuple[int, Any]:
    if asked.path["app"] not in asked.far.applications:
        raise Refusal(404, "not found")
    _write(asked, asked.path["app"])
    return 202, {"message": "changed"}


def _write(asked: Asked, app_id: str) -> None:
    found = asked.far.applications[app_id]
    for name in ("answer_url", "answer_method", "hangup_url", "hangup_method"):
        if name in asked.body:
            setattr(found, name, asked.text(name))


def _page(items: list[Any], limit: int, offset: int) -> dict[str, Any]:
    meta = {"limit": limit, "offset": offset, "next": None, "previous": None, "total_count": len(items)}
    return {"meta": meta, "objects": items[offset : offset + limit]}
