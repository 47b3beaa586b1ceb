"""Tailscale serve (seen by the tailnet) and funnel (open to the internet): all our paths together, or none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.exposure import tailscale_state as read
from engine.exposure.port import Address, Local, Tunnel, TunnelError, socket_url
from engine.exposure.process import Answer, ask, find_program
from engine.exposure.tailscale_state import Mode, Routes

log = logging.getLogger(__name__)

STATUS_SECONDS: Final = 8.0
CHANGE_SECONDS: Final = 10.0
"""How long a change may take. A feature that is not enabled keeps the program waiting for a person for ever."""
LOOK_SECONDS: Final = 15.0
"""How often it is looked whether the routes are still there."""
_MISSES: Final = 3
_APP: Final = "/Applications/Tailscale.app/Contents/MacOS/Tailscale"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which public paths of which port lead where on this machine."""

    mode: Mode
    port: int
    webhook_path: str
    stream_path: str
    local: Local

    @property
    def targets(self) -> Mapping[str, str]:
        """Public path -> what it leads to. A stream token after the path goes through as well."""
        origin = self.local.origin
        return {
            self.webhook_path: origin + self.local.webhook_path,
            self.stream_path: origin + self.local.stream_path,
        }

    def address(self, name: str) -> Address:
        base = f"https://{name}" + ("" if self.port == 443 else f":{self.port}")
        private = "seen by your own tailnet only: a carrier is not in it" if self.mode == "serve" else ""
        return Address(base + self.webhook_path, socket_url(base) + self.stream_path, private)


class Tailscale:
    """The program, asked one thing at a time. It is given no input, so it can not wait for an answer."""

    def __init__(self, program: str | None = None) -> None:
        self._program = program

    async def name(self) -> str:
        """This machine's name. Raises TunnelError."""
        return read.node_name(await self._ask(STATUS_SECONDS, "status", "--json", "--peers=false"))

    async def routes(self) -> Routes:
        return read.routes(await self._ask(STATUS_SECONDS, "serve", "status", "--json"))

    async def expose(self, plan: Plan) -> Sequence[str]:
        """Set every path of a plan, or none. Returns the paths that were not there before. Raises TunnelError."""
        read.check_port(plan.mode, plan.port)
        now = await self.routes()
        self._refuse_conflict(now, plan)
        there = now.paths.get(plan.port, {}) if (plan.port in now.funnels) == (plan.mode == "funnel") else {}
        new: list[str] = []
        try:
            for path, target in plan.targets.items():
                if there.get(path) == target:
                    continue
                if path not in now.paths.get(plan.port, {}):
                    new.append(path)
                await self._change(plan.mode, plan.port, path, target)
            await self._check(plan)
        except BaseException:
            await asyncio.shield(self.remove(plan.mode, plan.port, new))
            raise
        return new

    async def remove(self, mode: Mode, port: int, paths: Sequence[str]) -> None:
        """Take paths away. One that is not there is none to take away; trouble is logged."""
        for path in paths:
            arguments = (mode, "--yes", f"--https={port}", "--set-path", path, "off")
            try:
                answer = await self._ask(CHANGE_SECONDS, *arguments)
            except TunnelError as error:
                log.error("tailscale %s %s could not be taken away: %s", mode, path, error)
                continue
            if answer.code != 0 and "does not exist" not in answer.words:
                log.error("tailscale %s %s could not be taken away: %s", mode, path, answer.words[:300])

    async def _change(self, mode: Mode, port: int, path: str, target: str) -> None:
        answer = await self._ask(CHANGE_SECONDS, mode, "--bg", "--yes", f"--https={port}", "--set-path", path, target)
        if answer.code != 0:
            raise read.refusal(mode, answer)

    async def _check(self, plan: Plan) -> None:
        """Read back what was set: the program may say yes to what the tailnet's policy does not allow."""
        now = await self.routes()
        missing = [path for path, to in plan.targets.items() if now.paths.get(plan.port, {}).get(path) != to]
        if missing:
            raise TunnelError(f"tailscale did not keep the route of {missing[0]}", "see `tailscale serve status`")
        if plan.mode == "funnel" and plan.port not in now.funnels:
            raise TunnelError(
                f"tailscale keeps port {plan.port} closed to the internet",
                f"allow this machine to use funnel: {read.ADMIN.replace('/dns', '/acls')}, attribute funnel",
            )

    @staticmethod
    def _refuse_conflict(now: Routes, plan: Plan) -> None:
        why = read.conflict(now, plan.mode, plan.port, plan.targets)
        if not why:
            return
        free = read.free_port(now, plan.mode, plan.targets)
        fix = (
            f"use port {free}: set tailscale.port to {free}, or voicecall expose --https-port {free}" if free else ""
        )
        raise TunnelError(why, fix or "free a port: `tailscale serve status` shows who has which", code="port_taken")

    async def _ask(self, seconds: float, *arguments: str) -> Answer:
        program = find_program(self._program or "tailscale") or find_program(_APP)
        if program is None:
            raise TunnelError(
                "tailscale is not installed",
                "install it from tailscale.com/download and log in",
                code="not_installed",
            )
        return await ask([str(program), *arguments], seconds)


class TailscaleTunnel(Tunnel):
    """Routes of this machine's own tailscale, for as long as the engine runs."""

    pid = None

    def __init__(self, mode: Mode, path: str | None, port: int, program: str | None = None) -> None:
        self.name = f"tailscale-{mode}"
        self._mode: Mode = mode
        self._path = path
        self._port = port
        self._tailscale = Tailscale(program)
        self._plan: Plan | None = None
        self._name = ""

    async def open(self, local: Local) -> Address:
        plan = make_plan(self._mode, self._path, self._port, local)
        self._name = await self._tailscale.name()
        await self._tailscale.expose(plan)
        self._plan = plan
        return plan.address(self._name)

    async def watch(self) -> Address:
        plan, misses = self._plan, 0
        assert plan is not None
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                name, now = await self._tailscale.name(), await self._tailscale.routes()
            except TunnelError:
                misses += 1
                if misses >= _MISSES:
                    raise
                continue
            misses = 0
            if name != self._name:
                raise TunnelError(
                    f"this machine is called {name} in the tailnet now", "its routes are set anew under that name"
                )
            for path, target in plan.targets.items():
                if now.paths.get(plan.port, {}).get(path) != target:
                    raise TunnelError(f"the route of {path} was taken away", "it is set anew")
            if plan.mode == "funnel" and plan.port not in now.funnels:
                raise TunnelError(f"port {plan.port} was closed to the internet", "funnel is switched on anew")

    async def close(self) -> None:
        plan, self._plan = self._plan, None
        if plan is not None:
            await self._tailscale.remove(plan.mode, plan.port, list(plan.targets))


def make_plan(mode: Mode, path: str | None, port: int, local: Local) -> Plan:
    """The routes for our server: the webhook under `path` where one is given, the stream under its own path."""
    return Plan(mode, port, path or local.webhook_path, local.stream_path, local)
