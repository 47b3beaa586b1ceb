"""A simulated carrier in a process of its own, whose people pick up at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp

from engine.config.carriers import Mock
from engine.simulator.cast import CAST

KEY = "an api key for tests"
SECRET = "a signing secret for tests"
QUICK: dict[str, Any] = {"ring_ms": [40, 120], "think_ms": [60, 120]}


@dataclass(frozen=True)
class Simulator:
    """Where it is, and its `/sim` interface."""

    base_url: str

    @property
    def settings(self) -> dict[str, Any]:
        """The `mock` block of a configuration that uses this simulator."""
        return {"api_base_url": self.base_url, "api_key": KEY, "signing_secret": SECRET}

    @property
    def config(self) -> Mock:
        return Mock.model_validate(self.settings)

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request; the JSON of its answer."""
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}, raise_for_status=True) as http,
            http.request(method, self.base_url + path, json=body) as reply,
        ):
            return await reply.json()

    async def faults(self, **probabilities: float) -> None:
        """From now on this goes wrong, and nothing else."""
        await self.ask("POST", "/sim/faults", probabilities)

    async def calls(self) -> list[dict[str, Any]]:
        """What the simulator knows about its calls, oldest first."""
        calls: list[dict[str, Any]] = (await self.ask("GET", "/sim/report"))["calls"]
        return calls

    async def call_of(self, call_id: str) -> dict[str, Any]:
        """What it knows about a call that we placed."""
        (found,) = [call for call in await self.calls() if call["client_ref"] == call_id]
        return found


@contextmanager
def simulator_process(**setup: Any) -> Iterator[Simulator]:
    """Runs while the context lasts."""
    values = {
        "api_key": KEY,
        "signing_secret": SECRET,
        "linger_s": 600,
        "retry_s": [0.1, 0.2, 0.4, 0.8, 1],
        "callers": [_quick(asdict(person.manners), person.number) for person in CAST],
        **setup,
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "engine.simulator", "--setup", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with child:
        try:
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write(json.dumps(values).encode())
            child.stdin.close()
            yield Simulator(json.loads(child.stdout.readline())["base_url"])
        finally:
            child.kill()


def _quick(manners: dict[str, Any], number: str) -> dict[str, Any]:
    return {"number": number, "manners": {**manners, **QUICK}}
