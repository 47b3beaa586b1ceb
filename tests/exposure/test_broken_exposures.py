"""Exposures that are broken, one row each: a real engine behind a real TLS proxy, and a Twilio at the other end.

For each row the engine's own look from outside names the cause: in the health that the console draws, in what `setup
--online` says, and in the log from which `doctor` reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from console.facts import Streams
from console.health import read_health
from console.widgets.exposure import ExposureFacts, exposure_rows
from engine.config import parse_config
from engine.engine import Engine
from engine.online_exposure import exposure
from tests.engine.twilio_rig import live
from tests.exposure.proxy import PASS, UPGRADE, Certificate, Ports, free_ports, needs_nginx, proxy
from tests.web.rig import front

WEBHOOK = "/voice/webhook"
HOST = "proxy_set_header Host $http_host;"
ONLY_WEBHOOK = "location = /voice/webhook { proxy_pass http://engine; proxy_set_header Host $http_host; }"
Text = Callable[[Ports], str]


def page(status: int, body: str, more: str = "") -> str:
    """The whole proxy answers with this, and passes nothing on."""
    return f"default_type text/html; {more} location / {{ return {status} '{body}'; }}"


def way(inside: str, path: str = "/") -> str:
    """Everything is passed on, with these words of nginx added."""
    return f"location {path} {{ proxy_pass http://engine; {UPGRADE} {HOST} {inside} }}"


@dataclass(frozen=True)
class Row:
    """One broken exposure. `cause` is the slug, `words` are in the sentences that people read."""

    name: str
    cause: str
    words: tuple[str, ...]
    rules: str | Text = PASS
    url: Text = lambda ports: f"{ports.https}{WEBHOOK}"
    certificate: Certificate = "good"
    plain: str | Text = "return 404;"
    engine_at: Callable[[Ports], int] = field(default=lambda ports: ports.engine)


ROWS = (
    Row(
        "wrong path in public_url",
        "webhook/path",
        ("wrong path", "/voice/hook"),
        url=lambda p: f"{p.https}/voice/hook",
    ),
    Row(
        "the proxy rewrites the path",
        "webhook/path",
        ("/voice/webhook arrives as /other/voice/webhook", "serve.path"),
        f"location / {{ proxy_pass http://engine/other/; {UPGRADE} }}",
    ),
    Row(
        "a slash too many",
        "webhook/trailing_slash",
        ("slash too many", "without the slash"),
        f"location = {WEBHOOK} {{ proxy_pass http://engine{WEBHOOK}/; }}",
    ),
    Row(
        "a port where nobody listens: a dead tunnel",
        "tcp/refused",
        ("refuses connections", "is the proxy or the tunnel up"),
        url=lambda p: f"https://localhost:{p.dead}{WEBHOOK}",
    ),
    Row(
        "http in public_url where TLS is spoken",
        "webhook/scheme",
        ("wrong scheme", "https://"),
        url=lambda p: f"http://localhost:{p.tls}{WEBHOOK}",
    ),
    Row(
        "https in public_url where plain HTTP is spoken",
        "tls/no_tls",
        ("does not speak TLS", "http://"),
        url=lambda p: f"https://localhost:{p.plain}{WEBHOOK}",
        plain=PASS,
    ),
    Row(
        "the query is dropped",
        "webhook/query_dropped",
        ("query does not arrive", "signatures"),
        way('set $args "";'),
    ),
    Row(
        "the query is another one",
        "webhook/query_changed",
        ("query that arrives lacks text", "signatures"),
        way('set $args "only=this";'),
    ),
    Row(
        "WebSocket upgrades are not forwarded",
        "stream/no_upgrade",
        ("does not forward WebSocket upgrades", "proxy_set_header Upgrade"),
        f"location / {{ proxy_pass http://engine; {HOST} }}",
    ),
    Row(
        "the stream path is not forwarded",
        "stream/not_here_not_found",
        ("stream path does not reach us", "/voice/stream"),
        ONLY_WEBHOOK,
    ),
    Row(
        "the stream path is rewritten",
        "stream/path",
        ("/voice/stream arrives as /media", "streaming.stream_path"),
        f"{ONLY_WEBHOOK} location /voice/stream {{ proxy_pass http://engine/media; {UPGRADE} }}",
    ),
    Row(
        "the proxy leads to a port where no engine is",
        "webhook/bad_gateway",
        ("nginx", "502", "does not reach the engine"),
        lambda p: f"location / {{ proxy_pass http://127.0.0.1:{p.dead}; }}",
    ),
    Row(
        "a name that does not resolve: the tunnel got another one",
        "dns/unknown_name",
        ("does not resolve", "new name"),
        url=lambda _: f"https://calls.voicecall.invalid{WEBHOOK}",
    ),
    Row("an expired certificate", "tls/expired", ("has expired", "renew"), certificate="expired"),
    Row("a self-signed certificate", "tls/self_signed", ("self-signed", "authorities"), certificate="self-signed"),
    Row(
        "a certificate for another name",
        "tls/other_name",
        ("not for localhost", "it is for calls.example.com"),
        certificate="other-name",
    ),
    Row(
        "a certificate that nobody knows the issuer of",
        "tls/unknown_issuer",
        ("chain", "issued"),
        certificate="unknown-issuer",
    ),
    Row(
        "a redirect from http to https",
        "webhook/redirect",
        ("redirects (301)", "set public_url to the https"),
        url=lambda p: f"{p.http}{WEBHOOK}",
        plain=lambda p: f"return 301 {p.https}$request_uri;",
    ),
    Row(
        "ngrok's warning page of the free tier",
        "webhook/interstitial",
        ("ngrok", "warning page", "free tier"),
        page(200, "<title>ngrok</title>You are about to visit", "add_header ngrok-error-code ERR_NGROK_6024 always;"),
    ),
    Row(
        "ngrok's page for a tunnel that is gone",
        "webhook/tunnel_offline",
        ("not online", "another name"),
        page(404, "The endpoint is offline. ERR_NGROK_3200"),
    ),
    Row(
        "a proxy that takes small bodies only",
        "webhook/body_limit",
        ("413", "client_max_body_size"),
        "client_max_body_size 1k; " + PASS,
    ),
    Row(
        "another program at this address",
        "webhook/other_program",
        ("another program", "Welcome"),
        page(200, "<title>Welcome to nginx!</title>"),
    ),
    Row("a proxy that knows nothing of the path", "webhook/not_found", ("nginx", "404"), page(404, "nothing here")),
    Row(
        "a proxy that wants a password",
        "webhook/forbidden",
        ("401", "carriers do not send"),
        'location / { auth_basic "staff"; auth_basic_user_file /dev/null; proxy_pass http://engine; }',
    ),
    Row(
        "the signature's header is not passed on",
        "webhook/signature_header",
        ("header x-twilio-signature does not arrive", "unsigned"),
        way('proxy_set_header X-Twilio-Signature "";'),
    ),
    Row("the method is changed", "webhook/method", ("POST arrives as GET",), way("proxy_method GET;")),
    Row(
        "the body is not passed on",
        "webhook/body_dropped",
        ("body does not arrive",),
        way('proxy_pass_request_body off; proxy_set_header Content-Length "";'),
    ),
    Row(
        "the body arrives under another type",
        "webhook/content_type",
        ("arrives as application/json",),
        way("proxy_set_header Content-Type application/json;"),
    ),
    Row(
        "connections are closed without an answer",
        "webhook/no_answer",
        ("nothing reached the engine",),
        "return 444;",
    ),
)


@needs_nginx
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
async def test_the_cause_is_named(row: Row, front_folder: Path, tmp_path: Path) -> None:
    await broken(row, front_folder, tmp_path)


async def broken(row: Row, folder: Path, state_dir: Path) -> None:
    ports = free_ports()

    def text(value: str | Text) -> str:
        return value if isinstance(value, str) else value(ports)

    url = row.url(ports)
    with ExitStack() as stack:
        stack.enter_context(proxy(folder, ports, text(row.rules), row.certificate, text(row.plain)))
        async with live(state_dir, changes=exposed(url, row.engine_at(ports))) as at:
            first = await at.engine.probe()
            assert first is not None
            assert (first["cause"], first["ok"]) == (row.cause, False), first
            assert first["fix"]
            said = f"{first['error']} {first['fix']}"
            assert all(word in said for word in row.words), said
            await until_dead(at.engine)

            health = at.engine.health()
            assert health["exposure"]["probe"]["state"] == "dead"
            checks = [check for check in await exposure(at.engine.config, state_dir) if not check.ok]
            (check,) = checks
            assert all(word in f"{check.message} {check.fix}" for word in row.words)
            assert row.words[0] in drawn(health)
            told = await probed(at.engine)
            assert (told["ok"], told["cause"], told["error"]) == (False, row.cause, first["error"])


async def until_dead(engine: Engine) -> None:
    """One look that fails is no alert."""
    state = ""
    while state != "dead":
        await engine.probe()
        state = engine.health()["exposure"]["probe"]["state"]


async def probed(engine: Engine) -> Mapping[str, Any]:
    """What the log says of the looks so far: one thing, however many there were."""
    async with asyncio.timeout(10):
        async for batch in engine.watch(None, 100):
            found = [event.data for event in batch if event.type == "exposure.probed"]
            if found:
                assert len(found) == 1
                return found[0]
    raise AssertionError("the watch ended")


def exposed(url: str, port: int, **more: Any) -> dict[str, Any]:
    config = parse_config(b"", None, {}).config
    return {"public_url": url, "serve": config.serve.model_copy(update={"port": port}), **more}


def drawn(health: Any) -> str:
    """The exposure panel as the console draws it for this health, on a wide screen."""
    read = read_health(health)
    rows = exposure_rows(ExposureFacts(exposure=read.exposure, streams=Streams(), port=read.port), 400, 2)
    return "\n".join("".join(text for text, _ in row) for row in rows)


HARMLESS = {
    "a proxy in order": (PASS, "our own engine answers"),
    "the host is rewritten": (
        f"location / {{ proxy_pass http://engine; {UPGRADE} proxy_set_header Host internal.example; }}",
        "Host arrives as internal.example, which does no harm",
    ),
    "the path is rewritten as it should": (
        f"location /hooks/twilio {{ proxy_pass http://engine{WEBHOOK}; }} "
        f"location /voice/stream {{ proxy_pass http://engine; {UPGRADE} }}",
        "/hooks/twilio arrives as /voice/webhook",
    ),
    "our own header is not passed on": (way('proxy_set_header X-Voicecall-Probe "";'), "our own engine answers"),
}


@needs_nginx
@pytest.mark.parametrize("name", HARMLESS)
async def test_what_does_no_harm_is_told_and_is_no_alert(name: str, front_folder: Path, tmp_path: Path) -> None:
    rules, words = HARMLESS[name]
    ports = free_ports()
    path = "/hooks/twilio" if "hooks" in rules else WEBHOOK
    with proxy(front_folder, ports, rules):
        async with live(tmp_path, changes=exposed(ports.https + path, ports.engine)) as at:
            found = await at.engine.probe()
            assert found is not None and found["ok"], found
            assert [step["name"] for step in found["steps"]] == ["dns", "tcp", "tls", "webhook", "stream", "echo"]
            assert words in found["steps"][3]["message"]
            assert at.engine.health()["exposure"]["webhooks"] == {"ok": 0, "refused": 0, "replay": 0}
            assert at.engine.health()["exposure"]["sockets"]["opened"] == 0
            assert all(check.ok for check in await exposure(at.engine.config, tmp_path))


@needs_nginx
async def test_another_engine_at_the_address(front_folder: Path, tmp_path: Path) -> None:
    async with front() as other:
        port = int(other.url.rpartition(":")[2].partition("/")[0])
        rules = f"location / {{ proxy_pass http://127.0.0.1:{port}; }}"
        row = Row("", "webhook/other_engine", ("another voicecall engine", "stop the other one"), rules)
        await broken(row, front_folder, tmp_path)


@needs_nginx
async def test_an_upstream_that_never_answers_is_a_504_of_the_proxy(front_folder: Path, tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    rules = f"proxy_read_timeout 1s; location / {{ proxy_pass http://127.0.0.1:{port}; }}"
    row = Row("", "webhook/bad_gateway", ("504", "does not reach the engine"), rules)
    try:
        await broken(row, front_folder, tmp_path)
    finally:
        server.close()
