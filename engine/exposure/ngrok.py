"""An ngrok tunnel: an agent of our own, started and spoken to by pyngrok, which blocks and therefore has a thread."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from engine.exposure.ngrok_agent import AgentFailed, ask_agent, connect, hide, let_go, make_settings, options
from engine.exposure.ngrok_errors import code_of, note_on, to_error
from engine.exposure.ngrok_files import ENDPOINTS_FROM, NgrokFiles, Version, read_version, users_token
from engine.exposure.port import Address, Local, Tunnel, TunnelError
from engine.exposure.process import ask, end_group
from engine.exposure.redact import HIDDEN

log = logging.getLogger(__name__)

START_SECONDS: Final = 15.0
"""How long the agent may take to be connected. One that prints nothing keeps pyngrok waiting for ever."""
API_SECONDS: Final = 3.0
"""How long a connected agent may take to answer at its interface, which pyngrok waits for."""
ALIVE_SECONDS: Final = 0.25
"""How often it is looked whether the agent runs: sooner than a stream that it carried is missed."""
LOOK_SECONDS: Final = 5.0
"""How often the agent is asked whether our endpoint is still there."""
LOST_SECONDS: Final = 15.0
"""How long an agent may be without its connection to ngrok before it is started anew."""
_MISSES: Final = 3
_UP: Final = ("client session established", "tunnel session started")
_DOWN: Final = ("session closed", "failed to reconnect", "failed to send authentication", "heartbeat timeout")


class NgrokTunnel(Tunnel):
    """One agent with one endpoint, through which all our paths are reached."""

    name = "ngrok"

    def __init__(self, folder: Path, token: str = "", domain: str | None = None, program: str | None = None) -> None:
        self.pid: int | None = None
        self._files = NgrokFiles(folder)
        self._token = token
        self._domain = (domain or "").removeprefix("https://").rstrip("/")
        self._program = program
        self._local: Local | None = None
        self._api = ""
        self._settings: Any = None
        self._process: Any = None
        self._endpoint: Any = None
        self._base = ""
        self._starting: asyncio.Task[Any] | None = None
        self._connected = asyncio.Event()
        self._down_since: float | None = None
        self._last_error = ""

    # -- Tunnel -------------------------------------------------------------------------------

    async def open(self, local: Local) -> Address:
        await self._files.note.end_leftover()
        program, token, version = await self._ready()
        self._local = local
        apis = [self._api] if self._api else (["3", "2"] if version >= ENDPOINTS_FROM else ["2"])
        for api in apis:
            try:
                self._endpoint = await self._start(program, token, version, api, local)
            except _NoSuchInterface:
                await self.close()
                continue
            self._api = api
            self._base = str(self._endpoint.public_url).rstrip("/")
            return self._address()
        raise TunnelError(
            "the ngrok agent is connected, but its interface on this machine does not answer",
            "update it: ngrok update; or is its web_addr taken by another program?",
        )

    async def watch(self) -> Address:
        misses, since_look = 0, 0.0
        while True:
            await asyncio.sleep(ALIVE_SECONDS)
            self._check_alive()
            since_look += ALIVE_SECONDS
            if since_look < LOOK_SECONDS:
                continue
            since_look = 0.0
            url = await self._look()
            misses = misses + 1 if url is None else 0
            if misses >= _MISSES:
                raise TunnelError("the ngrok agent does not answer any more", "it is started anew")
            if url and url != self._base:
                log.warning("ngrok's name for us changed from %s to %s", self._base, url)
                self._base = url
                return self._address()

    async def close(self) -> None:
        while self._starting is not None and not self._starting.done():
            # An agent that is only being started has no note yet. When it ends, so does pyngrok's waiting for it.
            await self._end_agent()
            await asyncio.wait([self._starting], timeout=ALIVE_SECONDS)
        await self._end_agent()
        if self._settings is not None:
            await asyncio.to_thread(let_go, self._settings)
        self.pid = self._settings = self._process = self._endpoint = self._starting = None
        await asyncio.to_thread(self._files.forget)

    async def _end_agent(self) -> None:
        pid = self.pid or self._files.note.pid()
        if pid is not None:
            await end_group(pid)

    # -- starting -----------------------------------------------------------------------------

    async def _ready(self) -> tuple[Path, str, Version]:
        """Everything that is needed to start an agent. Nothing is downloaded. Raises TunnelError."""
        program = await asyncio.to_thread(self._files.find, self._program)
        if program is None:
            where = f"{self._program} is not a program" if self._program else "the ngrok agent is not installed"
            raise TunnelError(
                where,
                "install it from ngrok.com/download, have it fetched with `voicecall expose --mode ngrok --install`, "
                "or say in tunnel.ngrok_path where it is",
            )
        token = self._token or await asyncio.to_thread(users_token)
        if not token:
            raise TunnelError(
                "ngrok needs the token of an account, and tunnel.ngrok_auth_token is not set",
                "copy it from dashboard.ngrok.com/get-started/your-authtoken into tunnel.ngrok_auth_token or "
                "NGROK_AUTHTOKEN",
            )
        said = await ask([str(program), "version"], 10)
        version = read_version(said.out)
        if version == (0, 0):
            raise TunnelError(f"{program} does not say which ngrok it is: {self._clean(said.words)[:200]}", "is it?")
        self._token = token
        return program, token, version

    async def _start(self, program: Path, token: str, version: Version, api: str, local: Local) -> Any:
        """Start an agent and open the endpoint. Whatever happens, it ends within the limit."""
        await asyncio.to_thread(self._files.write, program, token, version, api)
        self._connected, self._down_since, self._last_error = asyncio.Event(), None, ""
        self._settings = make_settings(
            self._files, version, api, self._heard(asyncio.get_running_loop()), int(START_SECONDS)
        )
        hide(token)
        self._starting = asyncio.create_task(
            asyncio.to_thread(connect, self._settings, options(local, version, api, self._domain))
        )
        started = await self._within_limit(self._starting)
        if not started:
            connected, heard = self._connected.is_set(), self._last_error
            await self.close()
            if connected and api == "3":
                raise _NoSuchInterface
            if heard:
                raise to_error(heard, "ngrok could not connect")
            raise TunnelError(
                f"the ngrok agent was not connected within {START_SECONDS:.0f} s and said nothing",
                "run `ngrok diagnose`; is this machine online?",
            )
        try:
            self._process, endpoint = self._starting.result()
        except AgentFailed as failure:
            raise to_error(self._clean(str(failure)) or self._last_error, "ngrok could not be started") from failure
        self.pid = self._process.proc.pid
        return endpoint

    async def _within_limit(self, task: asyncio.Task[Any]) -> bool:
        """Whether the agent was started in time: connecting may take long, answering on this machine may not."""
        connected = asyncio.create_task(self._connected.wait())
        try:
            await asyncio.wait([task, connected], timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not task.done() and self._connected.is_set():
                await asyncio.wait([task], timeout=API_SECONDS + 5)
        finally:
            connected.cancel()
        return task.done()

    def _heard(self, loop: asyncio.AbstractEventLoop) -> Any:
        """What pyngrok calls, in threads of its own, with each line that the agent prints."""

        def on_line(line: Any) -> None:
            words = f"{line.msg or ''} {line.err or ''}".strip()
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the need to know
                loop.call_soon_threadsafe(self._said, line.msg or "", line.lvl, words, loop.time())

        return on_line

    def _said(self, message: str, level: str, words: str, now: float) -> None:
        if any(up in message for up in _UP):
            self._down_since, self._last_error = None, ""
            if message.startswith(_UP[1]):
                self._connected.set()
        elif any(down in message for down in _DOWN):
            self._down_since = now if self._down_since is None else self._down_since
        if level in ("ERROR", "CRITICAL") or code_of(words):
            self._last_error = self._clean(words)

    # -- watching -----------------------------------------------------------------------------

    def _check_alive(self) -> None:
        code = self._process.proc.poll()
        if code is not None:
            ended = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            if self._last_error:
                raise to_error(self._last_error, f"the ngrok agent {ended}")
            raise TunnelError(f"the ngrok agent {ended}", "it is started anew; voicecall.log has what it said")
        now = asyncio.get_running_loop().time()
        if self._down_since is not None and now - self._down_since > LOST_SECONDS:
            raise to_error(self._last_error, "the ngrok agent has lost its connection")

    async def _look(self) -> str | None:
        """The URL that the agent has for us; None when it does not answer. Raises TunnelError when it has none."""
        found = await asyncio.to_thread(ask_agent, self._settings, self._endpoint)
        if found is None:
            return None
        if not found:
            raise TunnelError(
                "ngrok closed our endpoint", "it is opened anew; dashboard.ngrok.com/endpoints lists it"
            )
        return str(found.get("public_url") or found.get("url") or "").rstrip("/")

    def _address(self) -> Address:
        assert self._local is not None
        address = self._local.at(self._base)
        host = urlsplit(self._base).hostname or ""
        return Address(address.webhook_url, address.stream_url, note_on(host, chosen=bool(self._domain)))

    def _clean(self, text: str) -> str:
        return text.replace(self._token, HIDDEN) if self._token else text


class _NoSuchInterface(Exception):
    """The agent is connected and knows no endpoints: it is asked for a tunnel instead."""
