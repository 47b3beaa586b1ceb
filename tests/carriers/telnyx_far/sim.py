"""What whoever runs the far end by hand can ask of it: `/sim`. Without a password: it listens on loopback only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from tests.carriers.telnyx_far.far import TelnyxFar


def add_routes(app: web.Application, far: TelnyxFar) -> None:

    async def inbound(request: web.Request) -> web.Response:
        body = await request.json()
        try:
            call = far.ring_in(body.get("person", ""), body.get("to", ""), body.get("from", ""))
        except LookupError as error:
            return web.json_response({"message": str(error)}, status=404)
        return web.json_response({"id": call.id, "person": call.person.name}, status=201)

    async def report(request: web.Request) -> web.Response:
        return web.json_response(far.report(int(request.query.get("last", "1000"))))

    async def hang_up(request: web.Request) -> web.Response:
        far.calls[request.match_info["id"]].hang_up_person()
        return web.json_response({})

    async def press(request: web.Request) -> web.Response:
        far.calls[request.match_info["id"]].press((await request.json())["digits"])
        return web.json_response({})

    async def lose(request: web.Request) -> web.Response:
        socket = far.calls[request.match_info["id"]].socket
        if socket is None:
            return web.json_response({"message": "no stream is up"}, status=409)
        socket.lose()
        return web.json_response({})

    async def fail(request: web.Request) -> web.Response:
        body = await request.json()
        far.fail(body["operation"], body["fault"], int(body.get("times", 1)))
        return web.json_response({})

    async def webhook_faults(request: web.Request) -> web.Response:
        for name, events in (await request.json()).items():
            old = getattr(far.webhook_faults, name)
            setattr(far.webhook_faults, name, events if isinstance(old, dict) else set(events))
        return web.json_response({})

    app.router.add_post("/sim/inbound", inbound)
    app.router.add_get("/sim/report", report)
    app.router.add_post("/sim/calls/{id}/hangup", hang_up)
    app.router.add_post("/sim/calls/{id}/press", press)
    app.router.add_post("/sim/calls/{id}/lose", lose)
    app.router.add_post("/sim/fail", fail)
    app.router.add_post("/sim/faults", webhook_faults)
