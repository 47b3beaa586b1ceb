"""`voicecall` as processes of its own: an engine that can be killed, and verbs that talk to it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.engine.simulators import Simulator

LIMIT_S = 40.0


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Desk:
    """A state folder, its configuration, and the command line on both."""

    folder: Path
    port: int

    @property
    def state(self) -> Path:
        return self.folder / "state"

    async def run(self, *args: str, **env: str) -> Ended:
        """One verb, to its end."""
        process = await self._spawn(args, env, asyncio.subprocess.PIPE)
        async with asyncio.timeout(LIMIT_S):
            out, err = await process.communicate()
        return Ended(process.returncode or 0, out.decode(), err.decode())

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """`voicecall serve`, once it is ready; killed at the end if it still runs."""
        process = await self._spawn(("serve",), {}, asyncio.subprocess.DEVNULL)
        assert process.stderr is not None
        try:
            async with asyncio.timeout(LIMIT_S):
                said = await process.stderr.readline()
            assert b"is ready" in said, said + await process.stderr.read()
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _spawn(self, args: tuple[str, ...], env: Mapping[str, str], stdout: int) -> asyncio.subprocess.Process:
        paths = {"VOICECALL_CONFIG": str(self.folder / "config.yaml"), "VOICECALL_STATE_DIR": str(self.state)}
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "console.cli",
            *args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **paths, **env},
        )


def make_desk(folder: Path, simulator: Simulator, number: str, **changes: Any) -> Desk:
    """A configuration that uses `simulator`, on a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = {
        "provider": "mock",
        "from_number": number,
        "inbound_policy": "open",
        "max_concurrent_calls": 10,
        "mock": simulator.settings,
        "serve": {"port": port},
        **changes,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return Desk(folder, port)


def children(pid: int) -> list[int]:
    """The processes that `pid` has started (proc(5)); empty where the system does not say."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
