"""Finds the simulator that belongs to a state directory, or starts one.

The simulator outlives the engine, as a carrier does: it runs in a session of its own and leaves `simulator.json`
(mode 0600) in the state directory, so that a restarted engine finds it with all its calls.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

STATE_FILE: Final = "simulator.json"
LOG_FILE: Final = "simulator.log"
START_S: Final = 20.0
_ASK: Final = aiohttp.ClientTimeout(total=3)


class SimulatorFailed(Exception):
    """The simulator could not be started. The message says why and where its log is."""


@dataclass(frozen=True, slots=True)
class SimulatorAddress:
    """Where a simulator listens and how to talk to it."""

    base_url: str
    api_key: str
    signing_secret: str
    ours: bool = True
    """It was started for this state directory, and by nobody else."""


async def ensure_simulator(
    state_dir: Path, mock_config: object, *, max_live: int = 8, record_dir: Path | None = None
) -> SimulatorAddress:
    """The simulator to use: the configured one, the one that is still running for `state_dir`, or a new one.

    `mock_config` is the configuration's `mock` block. Raises SimulatorFailed.
    """
    configured = _configured(mock_config)
    if configured is not None:
        return configured
    running = await find_simulator(state_dir)
    if running is not None:
        await _tell(running, mock_config, max_live)
        return running
    setup = _setup(mock_config, max_live, record_dir)
    return await start_simulator(state_dir, setup)


async def find_simulator(state_dir: Path) -> SimulatorAddress | None:
    """The simulator that left its address in `state_dir`, when it still answers to its key."""
    try:
        value = json.loads((state_dir / STATE_FILE).read_text())
        address = SimulatorAddress(value["base_url"], value["api_key"], value["signing_secret"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        async with (
            aiohttp.ClientSession(timeout=_ASK) as http,
            http.get(f"{address.base_url}/v1/ping", headers=_auth(address)) as reply,
        ):
            return address if reply.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None


async def start_simulator(state_dir: Path, setup: Mapping[str, Any]) -> SimulatorAddress:
    """Start a simulator process with `setup` (engine.simulator.setup.Setup as JSON). Raises SimulatorFailed.

    Keys travel over the child's standard input, never over its command line.
    """
    log_path = state_dir / LOG_FILE
    child = await asyncio.to_thread(_spawn, state_dir, log_path)
    try:
        async with asyncio.timeout(START_S):
            ready = json.loads(await asyncio.to_thread(_hand_over, child, json.dumps(dict(setup)).encode()))
    except TimeoutError as error:
        child.kill()
        raise SimulatorFailed(f"the simulator did not start within {START_S:.0f} s; see {log_path}") from error
    except (OSError, ValueError) as error:
        raise SimulatorFailed(f"the simulator ended while it started; see {log_path}") from error
    return SimulatorAddress(ready["base_url"], str(setup["api_key"]), str(setup["signing_secret"]))


def _spawn(state_dir: Path, log_path: Path) -> subprocess.Popen[bytes]:
    """Not an asyncio subprocess: a loop that closes kills its own, and the simulator has to outlive us."""
    with log_path.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "engine.simulator", "--setup", "-", "--state-dir", str(state_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            env=_child_environment(),
        )


def _hand_over(child: subprocess.Popen[bytes], setup: bytes) -> bytes:
    """Give the child its settings; its first line, empty when it ended instead."""
    assert child.stdin is not None and child.stdout is not None
    with child.stdin as stdin:
        stdin.write(setup)
    with child.stdout as stdout:
        return stdout.readline()


def _child_environment() -> dict[str, str]:
    """The child finds this package even when it was imported from a checkout in another directory."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root}


def _auth(address: SimulatorAddress) -> dict[str, str]:
    return {"Authorization": f"Bearer {address.api_key}"}


def _configured(mock_config: object) -> SimulatorAddress | None:
    base_url = _plain(getattr(mock_config, "api_base_url", None))
    if not base_url:
        return None
    key, secret = (_plain(getattr(mock_config, name, None)) for name in ("api_key", "signing_secret"))
    if not key or not secret:
        raise SimulatorFailed("mock.api_base_url is set, so mock.api_key and mock.signing_secret must be set too")
    return SimulatorAddress(base_url.rstrip("/"), key, secret, ours=False)


def _plain(value: object) -> str:
    """Text out of a str or a pydantic secret."""
    reveal = getattr(value, "get_secret_value", None)
    return str(reveal() if reveal is not None else value or "")


def _callers(mock_config: object) -> list[dict[str, Any]]:
    callers: Sequence[Any] = getattr(mock_config, "callers", None) or ()
    return [_as_dict(caller) for caller in callers]


def _as_dict(caller: Any) -> dict[str, Any]:
    dump = getattr(caller, "model_dump", None)
    return dict(dump(mode="json", exclude_none=True) if dump is not None else caller)


def _pace(mock_config: object, max_live: int) -> dict[str, Any]:
    return {"every_seconds": getattr(mock_config, "inbound_every_seconds", None) or 0, "max_live": max_live}


def _setup(mock_config: object, max_live: int, record_dir: Path | None) -> dict[str, Any]:
    seed = getattr(mock_config, "seed", None)
    return {
        "api_key": secrets.token_urlsafe(24),
        "signing_secret": secrets.token_urlsafe(24),
        "seed": 1 if seed is None else seed,
        "callers": _callers(mock_config),
        "pace": _pace(mock_config, max_live),
        "record_dir": str(record_dir) if record_dir is not None else None,
    }


async def _tell(address: SimulatorAddress, mock_config: object, max_live: int) -> None:
    """Bring a simulator that was already running to the present configuration; its seed stays."""
    try:
        async with aiohttp.ClientSession(timeout=_ASK, headers=_auth(address), raise_for_status=True) as http:
            await http.post(f"{address.base_url}/sim/cast", json={"callers": _callers(mock_config)})
            await http.post(f"{address.base_url}/sim/pace", json=_pace(mock_config, max_live))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise SimulatorFailed(f"the running simulator refused the configuration: {error}") from error
