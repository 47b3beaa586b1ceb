"""The simulated carrier's HTTP interface: `/v1` is what carriers offer, `/sim` is for whoever runs the simulation."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from engine.simulator.call import NotNow, SimCall
from engine.simulator.exchange import AlreadyDialled, Exchange, Full
from engine.simulator.handset import Handset
from engine.simulator.handset_socket import carry
from engine.simulator.report import exchange_report
from engine.simulator.setup import (
    CastBody,
    DialBody,
    DtmfBody,
    Faults,
    InboundBody,
    NumberBody,
    PaceBody,
    StreamBody,
)

MAX_BODY: Final = 256 * 1024
_EXCHANGE: Final = web.AppKey("exchange", Exchange)
_LAST_ASKED: Final = web.AppKey("last_asked", list[float])
_LEFT: Final = web.AppKey("left", list[bool])
_B = TypeVar("_B", bound=BaseModel)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):
    """An answer other than success: HTTP status, a slug, a sentence, and what else is in the JSON."""

    def __init__(self, status: int, code: str, message: str, **more: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "message": message, **more}


def create_app(exchange: Exchange) -> web.Application:
    """The application over an exchange that is up."""
    app = web.Application(middlewares=[_answer_problems, _authorize], client_max_size=MAX_BODY)
    app[_EXCHANGE] = exchange
    app[_LAST_ASKED] = [time.monotonic()]
    app[_LEFT] = [False]
    app.add_routes(
        [
            web.get("/v1/ping", _ping),
            web.post("/v1/calls", _dial),
            web.get("/v1/calls", _find_call),
            web.get("/v1/calls/{id}", _get_call),
            web.post("/v1/calls/{id}/hangup", _hang_up),
            web.post("/v1/calls/{id}/dtmf", _send_dtmf),
            web.post("/v1/calls/{id}/stream", _reopen_stream),
            web.put("/v1/numbers/{number}", _register_number),
            web.post("/sim/inbound", _ring_in),
            web.post("/sim/leave", _leave),
            web.get("/sim/phone", _hold_handset),
            web.get("/sim/phone/check", _check_phone),
            web.get("/sim/report", _report),
            web.post("/sim/faults", _set_faults),
            web.post("/sim/pace", _set_pace),
            web.post("/sim/cast", _set_cast),
        ]
    )
    return app


def idle_for(app: web.Application) -> float:
    """Seconds since somebody last asked anything."""
    return time.monotonic() - app[_LAST_ASKED][0]


def was_left(app: web.Application) -> bool:
    """The one that we are there for has gone in good order, and nobody has asked for anything since."""
    return app[_LEFT][0]


@web.middleware
async def _answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as problem:
        return _json(problem.body, problem.status)
    except web.HTTPException as error:
        return _json({"code": "http", "message": error.reason}, error.status)


@web.middleware
async def _authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
    expected = f"Bearer {request.app[_EXCHANGE].setup.api_key}"
    if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected.encode()):
        raise Problem(401, "unauthorized", "the API key is missing or wrong")
    request.app[_LAST_ASKED][0] = time.monotonic()
    request.app[_LEFT][0] = False
    return await handler(request)


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")


async def _body(request: web.Request, model: type[_B]) -> _B:
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise Problem(400, "invalid_request", f"{where}: {first['msg']}", field=where) from error


def _exchange(request: web.Request) -> Exchange:
    return request.app[_EXCHANGE]


def _call(request: web.Request) -> SimCall:
    call = _exchange(request).find(request.match_info["id"])
    if call is None:
        raise Problem(404, "not_found", "there is no such call")
    return call


async def _leave(request: web.Request) -> web.Response:
    """Nobody needs us any more, once the calls that are up are over."""
    request.app[_LEFT][0] = True
    return _json({"ok": True})


async def _ping(request: web.Request) -> web.Response:
    return _json({"ok": True, "live": len(_exchange(request).live())})


async def _dial(request: web.Request) -> web.StreamResponse:
    exchange = _exchange(request)
    body = await _body(request, DialBody)
    refused, reply_lost = exchange.dial_fate()
    if refused:
        raise Problem(503, "unavailable", "refused on purpose; nothing happened")
    try:
        call = exchange.dial(body)
    except AlreadyDialled as known:
        raise Problem(409, "already_dialled", str(known), id=known.call_id) from known
    except Full as full:
        raise Problem(429, "too_many_calls", str(full)) from full
    if reply_lost and request.transport is not None:
        request.transport.abort()
    return _json({"id": call.state.id, "status": "queued"}, 201)


async def _find_call(request: web.Request) -> web.Response:
    call = _exchange(request).find_ref(request.query.get("client_ref", ""))
    if call is None:
        raise Problem(404, "not_found", "there is no call with this client_ref")
    return _json(call.state.to_json())


async def _get_call(request: web.Request) -> web.Response:
    return _json(_call(request).state.to_json())


async def _hang_up(request: web.Request) -> web.Response:
    call = _call(request)
    await call.hang_up()
    return _json({"id": call.state.id, "status": call.state.status.value})


async def _send_dtmf(request: web.Request) -> web.Response:
    call, body = _call(request), await _body(request, DtmfBody)
    try:
        call.play_keys(body.digits)
    except NotNow as error:
        raise Problem(409, "not_in_progress", str(error)) from error
    return _json({"id": call.state.id})


async def _reopen_stream(request: web.Request) -> web.Response:
    call, body = _call(request), await _body(request, StreamBody)
    try:
        call.reopen(body)
    except NotNow as error:
        raise Problem(409, "not_in_progress", str(error)) from error
    return _json({"id": call.state.id})


async def _register_number(request: web.Request) -> web.Response:
    body = await _body(request, NumberBody)
    _exchange(request).world.numbers[request.match_info["number"]] = body.webhook_url
    return _json({"number": request.match_info["number"]})


async def _ring_in(request: web.Request) -> web.Response:
    body = await _body(request, InboundBody)
    try:
        call = _exchange(request).ring_in(body)
    except LookupError as error:
        raise Problem(404, "not_found", str(error.args[0])) from error
    except Full as full:
        raise Problem(429, "too_many_calls", str(full)) from full
    return _json({"id": call.state.id, "person": call.person.name}, 201)


async def _check_phone(request: web.Request) -> web.Response:
    """Whether `/sim/phone` with the same query would give a line."""
    try:
        to = "" if request.query.get("wait") else _exchange(request).number_of(request.query.get("to", ""))
    except LookupError as error:
        raise Problem(404, "not_found", str(error.args[0])) from error
    return _json({"to": to})


async def _hold_handset(request: web.Request) -> web.StreamResponse:
    """A socket for somebody real: see `engine.simulator.telephone`, which is its other end."""
    exchange, handset = _exchange(request), Handset()
    number = request.query.get("number", "")
    socket = web.WebSocketResponse(heartbeat=10, max_msg_size=MAX_BODY, compress=False)
    await socket.prepare(request)
    try:
        if request.query.get("wait"):
            exchange.hold_ready(handset, number)
        else:
            exchange.lift(handset, number, request.query.get("to", ""))
        await carry(socket, handset)
    except (LookupError, Full) as refusal:
        await socket.close(message=str(refusal).encode()[:120])
    finally:
        exchange.hang_up_handset(handset)
    return socket


async def _report(request: web.Request) -> web.Response:
    last = request.query.get("last", "1000")
    if not last.isdecimal():
        raise Problem(400, "invalid_request", "last: a number of calls", field="last")
    return _json(exchange_report(_exchange(request), int(last)))


async def _set_faults(request: web.Request) -> web.Response:
    faults = await _body(request, Faults)
    _exchange(request).world.faults = faults
    return _json(faults.model_dump())


async def _set_pace(request: web.Request) -> web.Response:
    pace = await _body(request, PaceBody)
    _exchange(request).set_pace(pace)
    return _json(pace.model_dump())


async def _set_cast(request: web.Request) -> web.Response:
    body = await _body(request, CastBody)
    exchange = _exchange(request)
    try:
        exchange.cast.add(body.callers)
    except ValueError as error:
        raise Problem(400, "invalid_request", str(error), field="callers") from error
    return _json({"people": [{"number": p.number, "name": p.name} for p in exchange.cast.everybody()]})
