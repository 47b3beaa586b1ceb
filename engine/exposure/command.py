"""A tunnel that a program of the user's own keeps open, and whose public URL is in what it prints.

    tunnel: {provider: command, command: "ssh -R 80:localhost:{port} nokey@localhost.run"}

The program runs without a shell. `{port}` and `{host}` in its arguments are where our server listens.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from engine.exposure.port import Address, Local, Tunnel, TunnelError
from engine.exposure.process import Note, end_group, start
from engine.exposure.redact import Redactor

log = logging.getLogger(__name__)

URL_SECONDS: Final = 20.0
"""How long a program may take to print its URL."""
MAX_LINE: Final = 8_192
"""Bytes of one line that are looked at."""
LOGGED_LINES: Final = 200
"""Lines of a program's output that go to the log; beyond that only those with a URL."""
LAST_WORDS: Final = 3
ANY_URL: Final = r"https://[^\s\"'<>|\\]+"
_NOT_OURS: Final = re.compile(
    r"(?:www|docs?|developers?|dashboard|one\.dash|login|status|admin|support|help)\."
    r"|(?:github|twitter|x|pinggy|cloudflare|localhost)\.(?:com|io|run)$"
)
"""Hosts of help pages and terms of use, which tunnel programs print before the address that counts."""
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*(?:\x07|$)")


class CommandTunnel(Tunnel):
    """Runs the program, reads its output to the end, and ends it with its children."""

    name = "command"

    def __init__(self, command: str, pattern: str | None, note: Note, secrets: Collection[str] = ()) -> None:
        self.pid: int | None = None
        self._command = command
        self._pattern = re.compile(pattern or ANY_URL)
        self._exact = pattern is not None
        self._note = note
        self._redact = Redactor(secrets)
        self._process: asyncio.subprocess.Process | None = None
        self._local: Local | None = None
        self._base = ""
        self._lines = 0
        self._last: list[str] = []

    async def open(self, local: Local) -> Address:
        await self._note.end_leftover()
        arguments = self._arguments(local)
        self._local, self._base, self._lines, self._last = local, "", 0, []
        self._process = await start(arguments, merged=True)
        self.pid = self._process.pid
        self._note.write(self._process.pid)
        try:
            async with asyncio.timeout(URL_SECONDS):
                return await self._next_address()
        except TimeoutError:
            raise TunnelError(
                f"{Path(arguments[0]).name} printed no URL within {URL_SECONDS:.0f} s{self._said()}",
                "tunnel.command must print its public https URL; tunnel.command_url_pattern says how it looks",
            ) from None

    async def watch(self) -> Address:
        return await self._next_address()

    async def close(self) -> None:
        process, self._process, self.pid = self._process, None, None
        if process is not None:
            await end_group(process.pid)
            await process.wait()
            self._note.remove()

    def _arguments(self, local: Local) -> list[str]:
        try:
            parts = shlex.split(self._command)
        except ValueError as error:
            raise TunnelError(f"tunnel.command can not be read: {error}", "close its quotes") from error
        if not parts:
            raise TunnelError("tunnel.command is empty", "name the program that opens the tunnel")
        return [part.replace("{port}", str(local.port)).replace("{host}", local.host) for part in parts]

    async def _next_address(self) -> Address:
        """Read on until another address is printed. Raises TunnelError when the program ends."""
        process, local = self._process, self._local
        assert process is not None and process.stdout is not None and local is not None
        while True:
            try:
                raw = await process.stdout.readline()
            except ValueError:  # a line beyond the reader's limit; what came of it is thrown away
                continue
            if not raw:
                break
            line = _ESCAPES.sub("", raw[:MAX_LINE].decode("utf-8", "replace")).strip()
            base = next(self._bases(line), "")
            self._log(line, important=bool(base))
            if base and base != self._base:
                self._base = base
                return local.at(base)
        code = await process.wait()
        ended = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        raise TunnelError(
            f"the tunnel's program {ended}{self._said()}",
            "run tunnel.command in a terminal and see what it says; {port} is the port of our server",
        )

    def _bases(self, line: str) -> Iterator[str]:
        """The base URLs in a line that may be ours."""
        for found in self._pattern.finditer(line):
            text = (found[1] if self._pattern.groups else found[0]) or ""
            text = text.strip().rstrip(".,;:!?)]}'\"")
            if text and "://" not in text:
                text = f"https://{text}"
            try:
                url = urlsplit(text)
                host = url.hostname or ""
                _ = url.port
            except ValueError:
                continue
            if not host or url.scheme not in ("http", "https") or "@" in url.netloc:
                continue
            if not self._exact and (_NOT_OURS.match(host) or not self._like_before(host)):
                continue
            yield f"{url.scheme}://{url.netloc}{url.path}".rstrip("/")

    def _like_before(self, host: str) -> bool:
        """Without a pattern, a later URL counts when it is of the same service as the first one."""
        before = urlsplit(self._base).hostname
        return before is None or host.split(".")[-2:] == before.split(".")[-2:]

    def _log(self, line: str, *, important: bool) -> None:
        if not line:
            return
        shown = self._redact(line)[:500]
        self._last = [*self._last, shown][-LAST_WORDS:]
        self._lines += 1
        if important or self._lines <= LOGGED_LINES:
            log.info("tunnel: %s", shown)

    def _said(self) -> str:
        return f": {' / '.join(self._last)[:300]}" if self._last else " and printed nothing"
