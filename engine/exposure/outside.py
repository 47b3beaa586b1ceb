"""Looks at our own public address as a carrier would: one connection after the other, each with a limit of time.

Whatever goes wrong out there is a finding, never an exception. What it means is said in `engine.exposure.probe`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import aiohttp
from yarl import URL

from engine import __version__
from engine.clock import epoch_ms
from engine.exposure import approach, probe
from engine.exposure.challenge import HEADER, QUERY, Challenge, Challenges
from engine.exposure.probe import Ours, Report, Sent, Step
from engine.exposure.strangers import Answer

STEP_SECONDS: Final = 5.0
"""For the name, the connection, TLS, and the frame."""
ANSWER_SECONDS: Final = 10.0
"""For the webhook and the upgrade: a carrier gives up after 15 s."""
BODY_BYTES: Final = 8 * 1024
"""As long as a webhook with much in it is."""
_READ: Final = 4096
"""Of what strangers answer."""
_TEXT: Final = "&text=a%2Bb%20c%C3%A9"
"""What proxies that decode and encode again get wrong."""
_BODY: Final = (b"Probe=a%2Bb+c%C3%A9&Padding=").ljust(BODY_BYTES, b"x")
_FORM: Final = "application/x-www-form-urlencoded"
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """What is looked at."""

    webhook_url: str
    stream_url: str | None
    """None where no media streams are used."""
    ours: Ours
    signature_header: str = ""
    may_be_private: bool = False
    """The carrier is not the real one: it may be on this machine."""


class Outside:
    """Looks at one target at a time."""

    def __init__(self, challenges: Challenges) -> None:
        self._challenges = challenges
        self._tls: ssl.SSLContext | None = None

    async def look(self, target: Target) -> Report:
        """All steps up to the first that fails."""
        at, url = epoch_ms(), urlsplit(target.webhook_url)
        name, addresses = await self._name(url, target)
        steps = [name]
        if name.ok:
            steps.append(await self._connection(url, addresses))
        if steps[-1].ok and url.scheme == "https":
            steps.append(await self._secure(url))
        if not steps[-1].ok:
            return Report(target.webhook_url, at, steps)
        connector = aiohttp.TCPConnector(ssl=await self._context(), force_close=True)
        limits = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(connector=connector, timeout=limits, auto_decompress=False) as http:
            webhook = await self._webhook(http, target)
            steps.append(webhook)
            if webhook.ok and target.stream_url is not None:
                steps += await self._stream(http, target, target.stream_url)
        return Report(target.webhook_url, at, steps)

    async def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)  # reads files for 20 ms
        return self._tls

    async def _name(self, url: SplitResult, target: Target) -> tuple[Step, list[str]]:
        host, began = url.hostname or "", time.monotonic()
        try:
            addresses = [str(ip_address(host))]
        except ValueError:
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except TimeoutError:
                return approach.unresolved(host, f"no answer within {STEP_SECONDS:.0f} s", _since(began)), []
            except (OSError, UnicodeError) as error:
                return approach.unresolved(host, _reason(error), _since(began)), []
            addresses = list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))
        took = _since(began)
        return approach.resolved(host, addresses, took, may_be_private=target.may_be_private), addresses

    async def _connection(self, url: SplitResult, addresses: list[str]) -> Step:
        """The first address that takes a connection; what the last one said when none does."""
        host, port, began = _host(url), _port(url), time.monotonic()
        failure: OSError = TimeoutError()
        try:
            async with asyncio.timeout(STEP_SECONDS):
                for address in addresses:
                    try:
                        _, writer = await asyncio.open_connection(address, port)
                    except OSError as error:
                        failure = error
                        continue
                    with closing(writer):
                        return approach.connected(host, port, _since(began))
        except TimeoutError as error:
            failure = error
        return approach.unconnected(host, port, failure, _since(began))

    async def _secure(self, url: SplitResult) -> Step:
        host, port, context, began = _host(url), _port(url), await self._context(), time.monotonic()
        try:
            version, certificate = await _handshake(host, port, context)
        except ssl.SSLCertVerificationError as error:
            took, names = _since(began), ""
            if error.verify_code in (62, 64):
                names = await self._names(host, port)
            return approach.insecure(host, port, error.verify_message, took, code=error.verify_code, names=names)
        except TimeoutError:
            return approach.insecure(host, port, f"no answer within {STEP_SECONDS:.0f} s", _since(began))
        except OSError as error:  # ssl.SSLError is one
            return approach.insecure(host, port, _reason(error), _since(began))
        return approach.secured(version, _days_left(certificate), _since(began))

    async def _names(self, host: str, port: int) -> str:
        """Whose certificate it is that does not fit."""
        context = await asyncio.to_thread(ssl.create_default_context)
        context.check_hostname = False
        try:
            _, certificate = await _handshake(host, port, context)
        except OSError:
            return ""
        names = [str(name) for _, name in certificate.get("subjectAltName", ())]
        return ", ".join("".join(char for char in name if char.isprintable())[:80] for name in names[:3])

    async def _webhook(self, http: aiohttp.ClientSession, target: Target) -> Step:
        url, began = target.webhook_url, time.monotonic()
        with self._challenges.one() as challenge:
            asked = _with_word(url, challenge)
            headers = _headers(target, challenge) | {"Content-Type": _FORM}
            sent = _sent(asked, target, method="POST", body=_BODY, content_type=_FORM)
            answer, why = None, ""
            try:
                async with http.post(
                    URL(asked, encoded=True), data=_BODY, headers=headers, allow_redirects=False
                ) as reply:
                    answer = await _read(reply, challenge)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                why = _reason(error)
            return probe.judge_webhook(sent, challenge.arrived, answer, why, target.ours, _since(began))

    async def _stream(self, http: aiohttp.ClientSession, target: Target, url: str) -> list[Step]:
        with self._challenges.one() as challenge:
            asked, began = _with_word(url, challenge), time.monotonic()
            sent = _sent(asked, target, method="GET")
            answer, why, frame = None, "", None
            try:
                async with http.ws_connect(
                    URL(asked, encoded=True), headers=_headers(target, challenge), compress=0, max_msg_size=_READ
                ) as socket_:
                    opened = time.monotonic()
                    took, answer = _since(began), Answer(101, {})
                    frame = await _echoed(socket_, challenge.word, opened)
            except aiohttp.WSServerHandshakeError as error:
                answer = Answer(error.status, _lower(error.headers or {}))
                took = _since(began)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                why, took = _reason(error), _since(began)
            step = probe.judge_upgrade(sent, challenge.arrived, answer, why, target.ours, took)
        return [step, frame] if step.ok and frame is not None else [step]


async def _echoed(socket_: aiohttp.ClientWebSocketResponse, text: str, opened: float) -> Step:
    came, why = None, ""
    try:
        async with asyncio.timeout(STEP_SECONDS):
            await socket_.send_str(text)
            message = await socket_.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                came = str(message.data)
            else:
                why = "the socket was closed"
    except TimeoutError:
        why = f"within {STEP_SECONDS:.0f} s"
    except (aiohttp.ClientError, OSError) as error:
        why = _reason(error)
    return probe.judge_echo(came, text, why, _since(opened))


async def _handshake(host: str, port: int, context: ssl.SSLContext) -> tuple[str, Mapping[str, Any]]:
    """The TLS version and the certificate. Raises OSError, of which ssl.SSLError is one."""
    async with asyncio.timeout(STEP_SECONDS):
        _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    with closing(writer):
        tls = writer.get_extra_info("ssl_object")
        return str(tls.version() or "TLS"), dict(tls.getpeercert() or {})


async def _read(reply: aiohttp.ClientResponse, challenge: Challenge) -> Answer:
    body = b""
    while len(body) < _READ and (part := await reply.content.read(_READ - len(body))):
        body += part
    return Answer(reply.status, _lower(reply.headers), body, challenge.proof.encode() in body)


def _headers(target: Target, challenge: Challenge) -> dict[str, str]:
    signed = {target.signature_header: "probe"} if target.signature_header else {}
    return {HEADER: challenge.word, "User-Agent": f"voicecall-probe/{__version__}", **signed}


def _with_word(url: str, challenge: Challenge) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{QUERY}={challenge.word}{_TEXT}"


def _sent(asked: str, target: Target, **more: Any) -> Sent:
    url = urlsplit(asked)
    return Sent(url.path or "/", url.query, url.netloc, signature_header=target.signature_header, **more)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _host(url: SplitResult) -> str:
    return url.hostname or ""


def _port(url: SplitResult) -> int:
    return url.port or _PORTS[url.scheme]


def _days_left(certificate: Mapping[str, Any]) -> float | None:
    ends = certificate.get("notAfter")
    return (ssl.cert_time_to_seconds(ends) - time.time()) / 86_400 if isinstance(ends, str) else None


def _since(began: float) -> float:
    return (time.monotonic() - began) * 1000


def _reason(error: Exception) -> str:
    """A failure in one short line of printable text."""
    if isinstance(error, TimeoutError):
        return f"nothing within {ANSWER_SECONDS:.0f} s"
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return "".join(char for char in str(text) if char.isprintable())[:200]
