"""What whoever runs a far end by hand can ask of it: `/sim`. Without a password: it listens on loopback only."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.carriers.far.base import FarEnd


def add_routes(app: web.Application, far: FarEnd[Any, Any, Any, Any], webhook_faults: object, name: str) -> None:
    """`name` is what the carrier names a call by."""

    async def inbound(request: web.Request) -> web.Response:
        body = await request.json()
        try:
            call = far.ring_in(body.get("person", ""), body.get("to", ""), body.get("from", ""))
        except LookupError as error:
            return web.json_response({"message": str(error)}, status=404)
        return web.json_response({name: call.id, "person": call.person.name}, status=201)

    async def report(request: web.Request) -> web.Response:
        return web.json_response(far.report(int(request.query.get("last", "1000"))))

    async def hang_up(request: web.Request) -> web.Response:
        far.calls[request.match_info["id"]].hang_up_person()
        return web.json_response({})

    async def press(request: web.Request) -> web.Response:
        await far.calls[request.match_info["id"]].press((await request.json())["digits"])
        return web.json_response({})

    async def fail(request: web.Request) -> web.Response:
        body = await request.json()
        far.fail(body["operation"], body["fault"], int(body.get("times", 1)))
        return web.json_response({})

    async def change_webhook_faults(request: web.Request) -> web.Response:
        for fault, kinds in (await request.json()).items():
            old = getattr(webhook_faults, fault)
            setattr(webhook_faults, fault, kinds if isinstance(old, dict) else set(kinds))
        return web.json_response({})

    app.router.add_post("/sim/inbound", inbound)
    app.router.add_get("/sim/report", report)
    app.router.add_post("/sim/calls/{id}/hangup", hang_up)
    app.router.add_post("/sim/calls/{id}/press", press)
    app.router.add_post("/sim/fail", fail)
    app.router.add_post("/sim/faults", change_webhook_faults)
