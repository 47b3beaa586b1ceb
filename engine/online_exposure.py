"""`setup --online`, the part about our own address: looked at from outside in, by the engine that runs, else by the
public server alone, which is opened for that moment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from engine.carriers.twilio_signature import SIGNATURE
from engine.check import Check
from engine.client import NoEngine, Refusal, SocketClient
from engine.config import Config
from engine.exposure.challenge import Challenges
from engine.exposure.fixed import PublicUrl
from engine.exposure.outside import Outside
from engine.exposure.port import Local
from engine.exposure.probing import target
from engine.exposure.reach import tunnel_kind
from engine.web.server import PortTaken, WebServer

_SIGNATURES: Final = {
    "mock": "x-sim-signature",
    "twilio": SIGNATURE,
    "telnyx": "telnyx-signature-ed25519",
    "plivo": "x-plivo-signature-v3",
}
_WORDS: Final = {
    "dns": "exposure-name",
    "tcp": "exposure-connection",
    "tls": "exposure-tls",
    "webhook": "exposure-webhook",
    "stream": "exposure-stream",
    "echo": "exposure-frame",
}
Json = Mapping[str, Any]


async def exposure(config: Config, state_dir: Path) -> list[Check]:
    """What a carrier meets at our address, and how its last webhook fared."""
    kind = tunnel_kind(config)
    found = await exposure_of_running(config, state_dir)
    if found is not None or kind == "loopback":
        return found or []
    if kind == "public_url" and config.public_url is not None:
        return await _for_a_moment(config, config.public_url)
    message = f"not looked at: {kind} is open only while an engine runs"
    return [Check("exposure", True, message, "ask again while `voicecall` or `voicecall serve` runs")]


async def exposure_of_running(config: Config, state_dir: Path) -> list[Check] | None:
    """The same by the engine that runs on this folder; None when there is none."""
    try:
        async with await SocketClient.connect(state_dir, by="cli") as client:
            report = await client.probe() if tunnel_kind(config) != "loopback" else None
            health = await client.health()
    except NoEngine:
        return None
    except Refusal as error:
        return [Check("exposure", False, f"the engine could not look at its address: {error.error}", error.hint)]
    part = health.get("exposure")
    return checks_of(config, report, part if isinstance(part, Mapping) else {})


def checks_of(config: Config, report: Json | None, health: Json) -> list[Check]:
    """A look, and what the engine's health knows of webhooks so far, as checks."""
    if tunnel_kind(config) == "loopback":  # there is no outside
        return [*_last_webhook(health), *_answers(health)]
    if report is None:
        why = str(health.get("error") or "there is no public address just now")
        fix = str(health.get("hint") or "see voicecall.log")
        return [Check("exposure", False, f"nothing to look at: {why}", fix)]
    return [*_steps(report), *_last_webhook(health), *_answers(health)]


def _steps(report: Json) -> list[Check]:
    return [
        Check(_WORDS[step["name"]], bool(step["ok"]), _timed(step), str(step["fix"]))
        for step in report.get("steps", ())
        if step.get("name") in _WORDS
    ]


def _timed(step: Json) -> str:
    took = f" ({step['ms']:.0f} ms)" if step["ok"] and isinstance(step.get("ms"), int | float) else ""
    return f"{step['message']}{took}"


def _last_webhook(health: Json) -> list[Check]:
    last = health.get("lastWebhook")
    if not isinstance(last, Mapping):
        return []
    if last.get("verdict") != "refused":
        return [Check("exposure-last", True, f"the last webhook was taken: {last.get('effect') or 'no effect'}")]
    forwarded = f"; forwarded headers {last['forwarded']}" if last.get("forwarded") else ""
    why = f"the last webhook was refused: {last.get('why')}{forwarded}"
    return [Check("exposure-last", False, why, "put that right; the console's webhook desk has what was tried")]


def _answers(health: Json) -> list[Check]:
    answers = health.get("answers")
    if not isinstance(answers, Mapping) or not answers.get("count"):
        return []
    limit, slow = answers["limitMs"], answers["p95"]
    message = f"webhooks are answered in {answers['p50']} ms (p95 {slow}, worst {answers['max']})"
    message += f"; the carrier waits {limit / 1000:.0f} s"
    if slow < limit / 2:
        return [Check("exposure-answers", True, message)]
    return [Check("exposure-answers", False, message, "is this machine, its disk or response.command too slow?")]


async def _for_a_moment(config: Config, public_url: str) -> list[Check]:
    """Open the public server, without an engine behind it, look, and close it again."""
    challenges = Challenges()
    server = WebServer(config, _no_engine, _no_engine, challenges.answer)
    try:
        await server.open()
    except PortTaken as error:
        return [Check("exposure", False, f"not looked at: {error}", error.hint)]
    try:
        local = Local("127.0.0.1", server.port, config.serve.path, config.streaming.stream_path)
        address = await PublicUrl(public_url).open(local)
        wanted = target(
            config, address.webhook_url, address.stream_url, server.port, _SIGNATURES.get(config.provider, "")
        )
        report = await Outside(challenges).look(wanted)
    finally:
        await server.close()
    return checks_of(config, report.to_json(), {})


async def _no_engine(_: web.Request) -> web.StreamResponse:
    raise web.HTTPServiceUnavailable(text="no engine runs: `voicecall setup` is looking at the address\n")
