"""Keeps one tunnel open: starts it with a limit, watches it, and opens it again with pauses that grow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engine.clock import epoch_ms
from engine.exposure.backoff import Backoff
from engine.exposure.port import Address, Local, Tunnel, TunnelError
from engine.store.lock import process_started

log = logging.getLogger(__name__)

OPEN_SECONDS: Final = 25.0
"""The longest that opening may take, whatever the tunnel does."""
FIRST_SECONDS: Final = 20.0
"""How long the start of an engine waits for its tunnel; then it goes on and calls are refused until it is there."""
CLOSE_SECONDS: Final = 10.0
NOTICED_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class State:
    """What is known about a tunnel."""

    address: Address | None = None
    """Where we are reached now; None while nobody can reach us."""
    error: str = ""
    hint: str = ""
    code: str = ""
    since: int = 0
    """Epoch ms at which this state began."""
    restarts: int = 0
    """How often the tunnel was opened again after it had been open."""
    retry_at: int | None = None
    """Epoch ms of the next attempt."""

    @property
    def ok(self) -> bool:
        return self.address is not None


class Supervisor:
    """Owns a tunnel. `changed` is called with each new state; `check` may refuse an address with TunnelError."""

    def __init__(
        self,
        tunnel: Tunnel,
        changed: Callable[[State], None],
        check: Callable[[Address], None] = lambda address: None,
    ) -> None:
        self.tunnel = tunnel
        self.state = State(error="the tunnel is being opened", hint="try again in a moment", since=epoch_ms())
        self._changed = changed
        self._check = check
        self._backoff = Backoff()
        self._settled = asyncio.Event()
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def settle(self, seconds: float = FIRST_SECONDS) -> None:
        """Return once the first attempt has ended, well or badly, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        except TimeoutError:
            log.warning("the tunnel %s is not open after %.0f s: going on without it", self.tunnel.name, seconds)

    async def reached(self) -> None:
        """Return once the tunnel is open, and not while its program is dead and nobody has noticed yet."""
        while True:
            await self._up.wait()
            pid = self.tunnel.pid
            if pid is None or process_started(pid) is not None:
                return
            await asyncio.sleep(NOTICED_SECONDS)

    async def run(self, local: Local) -> None:
        """Keep the tunnel open, until `close`."""
        self._task = asyncio.current_task()
        clock = asyncio.get_running_loop().time
        restarts = 0
        while not self._closed:
            self._backoff.attempt(clock())
            opened: float | None = None
            try:
                address = await self._open(local)
                opened = clock()
                while True:
                    self._is_now(State(address, since=epoch_ms(), restarts=restarts))
                    address = await self.tunnel.watch()
                    self._check(address)
            except TunnelError as error:
                failure = error
            except OSError as error:
                failure = TunnelError(f"the tunnel {self.tunnel.name} failed: {error.strerror or error}")
            await self._close_tunnel()
            if opened is not None:
                restarts += 1
                self._backoff.worked(clock() - opened)
            pause = self._backoff.failed(clock())
            self._is_now(_failed(failure, restarts, pause))
            await asyncio.sleep(pause)

    async def open_once(self, local: Local) -> None:
        """Open the tunnel and look no further: for one that can not be lost. Raises TunnelError."""
        self._is_now(State(await self._open(local), since=epoch_ms()))

    async def close(self) -> None:
        """Close the tunnel for good. Again is harmless."""
        self._closed = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._close_tunnel()

    async def _open(self, local: Local) -> Address:
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                address = await self.tunnel.open(local)
        except TimeoutError:
            raise TunnelError(
                f"the tunnel {self.tunnel.name} was not open within {OPEN_SECONDS:.0f} s",
                "voicecall.log has what it said; is this machine online?",
            ) from None
        self._check(address)
        return address

    async def _close_tunnel(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.tunnel.close()
        except TimeoutError:
            log.error("the tunnel %s could not be closed within %.0f s", self.tunnel.name, CLOSE_SECONDS)
        except TunnelError as error:
            log.error("the tunnel %s could not be closed: %s", self.tunnel.name, error)

    def _is_now(self, state: State) -> None:
        if state.address is not None:
            log.info("the tunnel %s is open: %s", self.tunnel.name, state.address.webhook_url)
        else:
            log.error("the tunnel %s is not open: %s (%s)", self.tunnel.name, state.error, state.hint)
        self.state = state
        self._settled.set()
        if state.ok:
            self._up.set()
        else:
            self._up.clear()
        self._changed(state)


def _failed(error: TunnelError, restarts: int, pause: float) -> State:
    now = epoch_ms()
    return State(
        None, str(error), error.hint, error.code, since=now, restarts=restarts, retry_at=now + round(pause * 1000)
    )
