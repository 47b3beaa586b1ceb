"""Telnyx's REST interface: `/v2/calls`, commands, and what `setup --online` asks; and `/sim` for whoever tries it."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from tests.carriers.far import sim
from tests.carriers.telnyx_far import spec
from tests.carriers.telnyx_far.world import Refusal

if TYPE_CHECKING:
    from tests.carriers.telnyx_far.far import TelnyxFar

_REFUSALS: Final = {
    "90018": Refusal(422, "90018", "Call has already ended"),
    "90034": Refusal(422, "90034", "Call not answered yet"),
    "401": Refusal(401, "10009", "Authentication failed"),
    "403": Refusal(403, "10010", "Authorization failed"),
    "429": Refusal(429, "10011", "Too many requests"),
}
_DOWN: Final = Refusal(503, "10007", "Service unavailable")
Do = Callable[[Mapping[str, Any]], Awaitable[Any]]


def create_app(far: TelnyxFar) -> web.Application:
    app = web.Application(client_max_size=4 << 20, middlewares=[_dated(far)])
    view = _Views(far)
    app.router.add_post("/v2/calls", view.dial)
    app.router.add_get("/v2/calls/{id}", view.status)
    app.router.add_post("/v2/calls/{id}/actions/{action}", view.command)
    app.router.add_get("/v2/connections/{id}/active_calls", view.active)
    app.router.add_get("/v2/call_control_applications/{id}", view.application)
    app.router.add_patch("/v2/call_control_applications/{id}", view.set_application)
    app.router.add_get("/v2/phone_numbers", view.numbers)
    app.router.add_patch("/v2/phone_numbers/{id}", view.set_number)
    sim.add_routes(app, far, far.webhook_faults, "id")
    _add_lose(app, far)
    return app


def _dated(far: TelnyxFar) -> Any:
    @web.middleware
    async def add(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        response.headers["Date"] = formatdate(time.time() + far.ahead_s, usegmt=True)
        return response

    return add


def _refused(refusal: Refusal) -> web.Response:
    error: dict[str, Any] = {"code": refusal.code, "title": refusal.title, "detail": refusal.title}
    if refusal.pointer:
        error["source"] = {"pointer": refusal.pointer}
    error["meta"] = {"url": f"https://developers.telnyx.com/docs/overview/errors/{refusal.code}"}
    return web.json_response({"errors": [error]}, status=refusal.status)


class _Views:
    def __init__(self, far: TelnyxFar) -> None:
        self._far = far

    async def dial(self, request: web.Request) -> web.StreamResponse:
        async def do(body: Mapping[str, Any]) -> Any:
            call = self._far.dial(body)
            leg = {"record_type": "call", "call_control_id": call.id, "call_leg_id": call.id[3:]}
            return {"data": {**leg, "call_session_id": call.session_id, "is_alive": False}}

        return await self._serve(request, "dial", do, "/calls")

    async def command(self, request: web.Request) -> web.StreamResponse:
        action = request.match_info["action"]

        async def do(body: Mapping[str, Any]) -> Any:
            self._call(request).command(action, body)
            return {"data": {"result": "ok"}}

        return await self._serve(request, action, do, f"/calls/{{call_control_id}}/actions/{action}")

    async def status(self, request: web.Request) -> web.StreamResponse:
        async def do(_: Mapping[str, Any]) -> Any:
            call = self._call(request)
            data: dict[str, Any] = {"record_type": "call", "call_control_id": call.id, "is_alive": not call.over}
            data |= {"call_leg_id": call.id[3:], "call_session_id": call.session_id}
            data |= {"client_state": call.client_state, "start_time": _iso(call.made_at)}
            data["call_duration"] = call.duration_s
            if call.ended_at is not None:
                data["end_time"] = _iso(call.ended_at)
            return {"data": data}

        return await self._serve(request, "status", do)

    async def active(self, request: web.Request) -> web.StreamResponse:
        async def do(_: Mapping[str, Any]) -> Any:
            if self._far.empty_lists > 0:
                self._far.empty_lists -= 1
                return {"data": [], "meta": {"total_items": 0}}
            live = [
                {"record_type": "call", "call_control_id": call.id, "client_state": call.client_state}
                for call in self._far.live()
            ]
            return {"data": live, "meta": {"total_items": len(live)}}

        return await self._serve(request, "list", do)

    async def application(self, request: web.Request) -> web.StreamResponse:
        async def do(_: Mapping[str, Any]) -> Any:
            return self._application(request)

        return await self._serve(request, "application", do)

    async def set_application(self, request: web.Request) -> web.StreamResponse:
        async def do(body: Mapping[str, Any]) -> Any:
            if not body.get("application_name") or not body.get("webhook_event_url"):
                raise Refusal(422, "10004", "Missing required parameter")
            self._application(request)
            app = self._far.app
            app.name, app.webhook_url = body["application_name"], body["webhook_event_url"]
            app.api_version = body.get("webhook_api_version", app.api_version)
            return self._application(request)

        return await self._serve(request, "set_application", do)

    def _application(self, request: web.Request) -> Any:
        if request.match_info["id"] != self._far.settings.connection_id:
            raise Refusal(404, "10005", "Resource not found")
        app = self._far.app
        data: dict[str, Any] = {"id": self._far.settings.connection_id, "application_name": app.name}
        data |= {"active": app.active, "webhook_event_url": app.webhook_url, "webhook_api_version": app.api_version}
        data |= {"record_type": "call_control_application"}
        data["outbound"] = {"outbound_voice_profile_id": app.outbound_profile} if app.outbound_profile else {}
        return {"data": data}

    async def numbers(self, request: web.Request) -> web.StreamResponse:
        async def do(_: Mapping[str, Any]) -> Any:
            wanted = request.query.get("filter[phone_number]", "")
            found = [number for number in self._far.numbers.values() if wanted in ("", number.number)]
            return {
                "data": [
                    {
                        "id": number.id,
                        "phone_number": number.number,
                        "status": "active",
                        "connection_id": number.connection_id or None,
                        "connection_name": number.connection_name or None,
                    }
                    for number in found
                ]
            }

        return await self._serve(request, "numbers", do)

    async def set_number(self, request: web.Request) -> web.StreamResponse:
        async def do(body: Mapping[str, Any]) -> Any:
            for number in self._far.numbers.values():
                if number.id == request.match_info["id"]:
                    number.connection_id = body["connection_id"]
                    return {"data": {"id": number.id}}
            raise Refusal(404, "10005", "Resource not found")

        return await self._serve(request, "set_number", do)

    def _call(self, request: web.Request) -> Any:
        call = self._far.calls.get(request.match_info["id"])
        if call is None:
            raise Refusal(404, "90015", "Invalid Call Control ID", "/call_control_id")
        return call

    async def _serve(self, request: web.Request, operation: str, do: Do, path: str = "") -> web.StreamResponse:
        """One request, with what is to go wrong with it."""
        far = self._far
        raw = await request.read()
        try:
            body: dict[str, Any] = json.loads(raw) if raw else {}
        except ValueError:
            return _refused(Refusal(400, "10028", "Character encoding error"))
        fault = far.take_fault(operation)
        from tests.carriers.telnyx_far.far import RestRequest

        far.requests.append(RestRequest(operation, request.path, body, fault or ""))
        if request.headers.get("Authorization") != f"Bearer {far.settings.api_key}":
            return _refused(_REFUSALS["401"])
        if fault in _REFUSALS:
            return _refused(_REFUSALS[fault])
        if fault == "503-before":
            return _refused(_DOWN)
        if fault == "html-502-before":
            return web.Response(status=502, text="<html>bad gateway</html>", content_type="text/html")
        if fault == "lost-before":
            return _cut(request)
        wrong = spec.violations(path, body) if path else []
        if wrong:
            far.complaints += [f"{operation}: {line}" for line in wrong]
            return _refused(Refusal(422, "10032", "; ".join(wrong)[:200]))
        try:
            value = await do(body)
        except Refusal as refusal:
            return _refused(refusal)
        finally:
            far.changed.set()
        if fault == "timeout-after":
            await far.closing.wait()
        if fault in ("lost-after", "timeout-after"):
            return _cut(request)
        if fault == "503-after":
            return _refused(_DOWN)
        if fault == "garbage-after":
            return web.Response(text="it's fine", content_type="text/plain")
        return web.json_response(value)


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + ".000Z"


def _add_lose(app: web.Application, far: TelnyxFar) -> None:
    """By hand: a call's media socket breaks."""

    async def lose(request: web.Request) -> web.Response:
        socket = far.calls[request.match_info["id"]].socket
        if socket is None:
            return web.json_response({"message": "no stream is up"}, status=409)
        socket.lose()
        return web.json_response({})

    app.router.add_post("/sim/calls/{id}/lose", lose)
