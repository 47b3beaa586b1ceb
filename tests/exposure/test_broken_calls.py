"""Calls that break because of how we are reached: `doctor` reads the cause from the log, `setup` from the engine."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any, get_args

import aiohttp.connector
import pytest

from console.verbs.doctor import examine, lines
from engine.calls import Call, Diagnosis, ladder
from engine.check import Check
from engine.clock import epoch_ms
from engine.config import WebhookSecurity
from engine.engine import Engine
from engine.history import open_history
from engine.live import unreached
from engine.online_exposure import exposure
from tests.carriers.twilio_far import OUR_NUMBER
from tests.carriers.twilio_far.settings import WebhookKind
from tests.engine.twilio_rig import LIMIT_S, SINK, Live, live
from tests.exposure.proxy import PASS, UPGRADE, free_ports, needs_nginx, proxy
from tests.exposure.test_broken_exposures import HOST, WEBHOOK, exposed, until_dead

ALL_KINDS = frozenset(get_args(WebhookKind))
BEFORE_MEDIA = ("signed", "document")
"""Where a call hangs whose webhooks do not come: a carrier may be asked whether it was answered all the same."""
LATER_MS = 120_000
"""A doctor is asked when the call has been silent for a while."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreached, "FIRST_SECONDS", 0.3)
    monkeypatch.setattr(unreached, "AGAIN_SECONDS", 0.3)


@pytest.fixture
def front_folder(front_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The carrier's client trusts the proxy's authority too: it read the system's when it was imported."""
    trusting = ssl.create_default_context(cafile=str(front_folder / "authority.pem"))
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    return front_folder


def doctor(state_dir: Path, call_id: str) -> tuple[Call, Diagnosis, str]:
    """What it finds in the log of this folder, and as it is printed."""
    now = epoch_ms() + LATER_MS
    with open_history(state_dir) as history:
        call = history.call(call_id)
        assert call is not None
        found = examine(history, call, now)
        return call, found, "\n".join(lines(call, found, ladder(call, now)))


async def refused(engine: Engine) -> None:
    """Return once a webhook was refused and that is in the log."""
    async with asyncio.timeout(LIMIT_S):
        async for batch in engine.watch(None, 1000):
            if any(event.data.get("verdict") == "refused" for event in batch):
                return
    raise AssertionError("the watch ended")


def failed(checks: list[Check]) -> dict[str, str]:
    return {check.id: f"{check.message} {check.fix}" for check in checks if not check.ok}


async def ring(at: Live, webhook: str) -> None:
    """Somebody calls our number, whose voice URL at Twilio is this."""
    at.far.add_number(OUR_NUMBER, webhook, f"{webhook}?type=status")
    at.far.ring_in("Sink", OUR_NUMBER, SINK)
    await refused(at.engine)


@needs_nginx
async def test_a_wrong_auth_token(front_folder: Path, tmp_path: Path) -> None:
    ports = free_ports()
    with proxy(front_folder, ports):
        async with live(tmp_path, changes=exposed(ports.https + WEBHOOK, ports.engine)) as at:
            at.far.webhook_faults.wrong_token.update(ALL_KINDS)
            call, far = await at.dial(SINK, "Hello there.")
            await far.until_over()
            await refused(at.engine)
            _, found, said = doctor(tmp_path, call.call_id)
            assert found.rung is not None and found.rung.name == "signed" and not found.ok
            assert "a webhook was refused" in said and "signed with another auth token" in said
            assert (
                "signed with another auth token"
                in failed(await exposure(at.engine.config, tmp_path))["exposure-last"]
            )
            await at.until(call, lambda call: not call.live)
        _, again, _ = doctor(tmp_path, call.call_id)  # no engine any more
        assert again.why == found.why


@needs_nginx
async def test_a_tunnel_that_is_dead(front_folder: Path, tmp_path: Path) -> None:
    ports = free_ports()
    async with live(tmp_path, changes=exposed(f"https://localhost:{ports.dead}{WEBHOOK}", ports.engine)) as at:
        await until_dead(at.engine)
        call, _ = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: not call.live)
        _, found, said = doctor(tmp_path, call.call_id)
    assert found.rung is not None and found.rung.name in BEFORE_MEDIA
    assert "refuses connections: nothing listens there" in said and "is the proxy or the tunnel up" in said
    assert any("11205" in more for more in found.also), found


async def test_a_carriers_note_is_the_reason_where_nobody_looked_from_outside(tmp_path: Path) -> None:
    """Pain D1: what Twilio noted about an address is all that there is to know."""
    nowhere = "http://127.0.0.1:9/voice/webhook"
    changes = exposed(nowhere, 0)
    quiet = {"probe": {"every_seconds": 0}}
    async with live(tmp_path, changes={**changes, **probe_settings(quiet)}) as at:
        call, _ = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: not call.live)
        _, found, said = doctor(tmp_path, call.call_id)
    assert "webhook not reachable at http://127.0.0.1:9" in said and "11205" in said and "fix: see https://" in said
    assert found.rung is not None and found.rung.name in BEFORE_MEDIA


def probe_settings(value: dict[str, Any]) -> dict[str, Any]:
    from engine.config import parse_config

    text = f"probe: {{every_seconds: {value['probe']['every_seconds']}}}".encode()
    return {"probe": parse_config(text, None, {}).config.probe}


@needs_nginx
async def test_a_proxy_that_forwards_no_websocket(front_folder: Path, tmp_path: Path) -> None:
    """Pain D1: the call is up and nobody is heard."""
    ports = free_ports()
    with proxy(front_folder, ports, f"location / {{ proxy_pass http://engine; {HOST} }}"):
        async with live(tmp_path, changes=exposed(ports.https + WEBHOOK, ports.engine)) as at:
            await until_dead(at.engine)
            call, _ = await at.dial(SINK, "Hello there.")
            await at.until(call, lambda call: {"document", "answered"} <= set(call.rungs))
            _, found, said = doctor(tmp_path, call.call_id)
    assert found.rung is not None and found.rung.name == "socket"
    assert "does not forward WebSocket upgrades" in said and "proxy_set_header Upgrade" in said


@needs_nginx
async def test_a_number_that_calls_another_name_of_ours(front_folder: Path, tmp_path: Path) -> None:
    """Pains E1, E2: host, port and scheme that the carrier used are not those of public_url."""
    ports = free_ports()
    with proxy(front_folder, ports, plain_rules=PASS):
        changes = exposed(ports.https + WEBHOOK, ports.engine, inbound_policy="open")
        async with live(tmp_path, changes=changes) as at:
            other = f"{ports.http}{WEBHOOK}"
            await ring(at, other)
            said = failed(await exposure(at.engine.config, tmp_path))["exposure-last"]
            assert f"the signature fits {other}: set public_url to that" in said


@needs_nginx
async def test_forwarded_headers_of_a_proxy_that_is_not_trusted(front_folder: Path, tmp_path: Path) -> None:
    ports = free_ports()
    headers = "proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-Host $http_host;"
    with proxy(front_folder, ports, f"location / {{ proxy_pass http://engine; {UPGRADE} {headers} }}"):
        security = WebhookSecurity(allowed_hosts=["localhost"], trusted_proxy_ips=["10.0.0.1"])
        changes = exposed("", ports.engine, inbound_policy="open", webhook_security=security) | {"public_url": None}
        async with live(tmp_path, changes=changes) as at:
            await ring(at, f"{ports.https}{WEBHOOK}")
            said = failed(await exposure(at.engine.config, tmp_path))["exposure-last"]
            assert "127.0.0.1 is not in webhook_security.trusted_proxy_ips" in said
            assert f"the signature fits {ports.https}{WEBHOOK}" in said


@needs_nginx
async def test_a_clock_that_is_off(front_folder: Path, tmp_path: Path) -> None:
    """The engine's own checks, as a console asks for them."""
    ports = free_ports()
    with proxy(front_folder, ports):
        async with live(tmp_path, changes=exposed(ports.https + WEBHOOK, ports.engine)) as at:
            at.far.ahead_s = 90
            found = await at.engine.checks(online=True)
            checks = {check["id"]: check for check in found["checks"]}
            assert not found["ok"] and not checks["twilio-clock"]["ok"]
            assert "s behind Twilio's" in checks["twilio-clock"]["message"]
            assert "set the clock" in checks["twilio-clock"]["fix"]
            names = ("name", "connection", "tls", "webhook", "stream", "frame")
            assert all(checks[f"exposure-{name}"]["ok"] for name in names)


async def test_a_call_in_order_has_nothing_to_be_told_of(tmp_path: Path) -> None:
    async with live(tmp_path) as at:
        call, far = await at.dial(SINK, "Hello there.")
        await at.until(call, lambda call: "heard" in call.rungs)
        await at.engine.end(call.call_id, "cli")
        await far.until_over()
        await at.until(call, lambda call: not call.live)
        answers = at.engine.health()["exposure"]["answers"]
    _, found, _ = doctor(tmp_path, call.call_id)
    assert found.ok and "nothing failed" in found.why
    assert answers["count"] > 2 and 0 <= answers["p50"] <= answers["p99"] <= answers["max"] < answers["limitMs"]
    assert sum(count for _, count in answers["buckets"]) == answers["count"] and answers["late"] == 0
