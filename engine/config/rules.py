"""Rules that span several keys.

`contradictions` makes a configuration invalid. `missing` names what the chosen vendors still need: the file is
fine, but the engine can not start with it, and `setup` says what to add. `ignored` names keys that have no effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from engine.config.base import is_loopback, reveal
from engine.config.schema import Config

FUNNEL_PORTS = (443, 8443, 10000)


@dataclass(frozen=True, slots=True)
class Finding:
    """`key` is dotted."""

    key: str
    message: str
    hint: str = ""


def contradictions(config: Config) -> Iterator[Finding]:
    """Settings that exclude each other."""
    yield from _unsigned_webhooks(config)
    yield from _control_door(config)
    yield from _paths(config)
    yield from _exposure(config)
    if config.response.provider == "command" and not config.response.command:
        yield Finding("response.provider", "the command brain needs response.command")


def _unsigned_webhooks(config: Config) -> Iterator[Finding]:
    if not config.skip_signature_verification:
        return
    reasons = []
    if not is_loopback(config.serve.bind):
        reasons.append(f"serve.bind is {config.serve.bind}")
    if config.public_url:
        reasons.append("public_url is set")
    if config.tunnel.provider != "none":
        reasons.append(f"tunnel.provider is {config.tunnel.provider}")
    if config.tailscale.mode != "off":
        reasons.append(f"tailscale.mode is {config.tailscale.mode}")
    if reasons:
        yield Finding(
            "skip_signature_verification",
            f"unsigned webhooks are accepted only from this machine, but {' and '.join(reasons)}",
            "remove it: signatures work behind tunnels and proxies too",
        )


def _control_door(config: Config) -> Iterator[Finding]:
    control, serve = config.control, config.serve
    if control.port is None:
        return
    if not is_loopback(control.bind) and not reveal(control.token):
        yield Finding("control.bind", f"a control door on {control.bind} needs control.token", "set control.token")
    if control.port == serve.port and control.port != 0:
        yield Finding("control.port", f"port {control.port} is serve.port already", "choose another port")


def _paths(config: Config) -> Iterator[Finding]:
    webhook, stream = PurePosixPath(config.serve.path), PurePosixPath(config.streaming.stream_path)
    if webhook == stream or stream in webhook.parents:
        # What follows stream_path in a request is a stream token.
        yield Finding("streaming.stream_path", f"collides with serve.path {webhook}", "choose another path")
    for key, path in (("serve.path", webhook), ("streaming.stream_path", stream)):
        if str(path) in ("/", "/healthz"):
            yield Finding(key, f"{path} can not be used: /healthz answers health checks")


def _exposure(config: Config) -> Iterator[Finding]:
    if config.tunnel.provider == "command" and not config.tunnel.command:
        yield Finding("tunnel.provider", "a command tunnel needs tunnel.command")
    if config.tailscale.mode == "funnel" and config.tailscale.port not in FUNNEL_PORTS:
        yield Finding("tailscale.port", f"funnel works on {', '.join(map(str, FUNNEL_PORTS))} only")


def missing(config: Config) -> Iterator[Finding]:
    """What the chosen carrier, speech engines and brain still need."""
    yield from _carrier_needs(config)
    if config.streaming.provider != "local":
        stt = config.streaming.providers
        key = stt.openai.api_key if config.streaming.provider == "openai" else stt.elevenlabs.api_key
        if config.streaming.enabled and not reveal(key):
            yield _need(f"streaming.providers.{config.streaming.provider}.api_key", _SPEECH_ENV)
    if config.tts.provider == "openai" and not reveal(config.tts.providers.openai.api_key):
        yield _need("tts.providers.openai.api_key", _SPEECH_ENV)
    if config.tts.provider == "elevenlabs":
        if not reveal(config.tts.providers.elevenlabs.api_key):
            yield _need("tts.providers.elevenlabs.api_key", _SPEECH_ENV)
        if not config.tts.providers.elevenlabs.voice_id:
            yield _need("tts.providers.elevenlabs.voice_id")
    if config.response.provider == "openai":
        # A compatible server of one's own often wants no key.
        if not reveal(config.response.api_key) and config.response.base_url is None:
            yield _need("response.api_key", {"response.api_key": "OPENAI_API_KEY"})
        if not config.response_model:
            yield _need("response_model")


_SPEECH_ENV = {
    "streaming.providers.openai.api_key": "OPENAI_API_KEY",
    "streaming.providers.elevenlabs.api_key": "ELEVENLABS_API_KEY",
    "tts.providers.openai.api_key": "OPENAI_API_KEY",
    "tts.providers.elevenlabs.api_key": "ELEVENLABS_API_KEY",
}
_CARRIER_ENV = {
    "twilio.account_sid": "TWILIO_ACCOUNT_SID",
    "twilio.auth_token": "TWILIO_AUTH_TOKEN",
    "telnyx.api_key": "TELNYX_API_KEY",
    "telnyx.connection_id": "TELNYX_CONNECTION_ID",
    "telnyx.public_key": "TELNYX_PUBLIC_KEY",
    "plivo.auth_id": "PLIVO_AUTH_ID",
    "plivo.auth_token": "PLIVO_AUTH_TOKEN",
}


def _carrier_needs(config: Config) -> Iterator[Finding]:
    if config.provider == "mock":
        if config.mock.api_base_url and not (reveal(config.mock.api_key) and reveal(config.mock.signing_secret)):
            yield Finding("mock.api_key", "a simulator elsewhere needs mock.api_key and mock.signing_secret")
        return
    given = {
        "twilio.account_sid": config.twilio.account_sid or "",
        "twilio.auth_token": reveal(config.twilio.auth_token),
        "telnyx.api_key": reveal(config.telnyx.api_key),
        "telnyx.connection_id": config.telnyx.connection_id or "",
        "telnyx.public_key": config.telnyx.public_key or "",
        "plivo.auth_id": config.plivo.auth_id or "",
        "plivo.auth_token": reveal(config.plivo.auth_token),
    }
    for key, value in given.items():
        if key.startswith(config.provider + ".") and not value:
            yield _need(key, _CARRIER_ENV)
    if config.from_number is None:
        yield _need("from_number", {"from_number": "TWILIO_FROM_NUMBER"} if config.provider == "twilio" else None)


def _need(key: str, env: dict[str, str] | None = None) -> Finding:
    name = (env or {}).get(key)
    return Finding(key, "is not set", f"set {key}" + (f", or export {name}" if name else ""))


def has_public_address(config: Config) -> bool:
    """Whether something is configured by which a carrier on the internet can reach us."""
    return bool(config.public_url) or config.tunnel.provider != "none" or config.tailscale.mode != "off"


def ignored(config: Config, given: frozenset[str]) -> Iterator[Finding]:
    """Of the dotted keys in `given`, those that the chosen vendors and modes never look at."""
    for key in sorted(given):
        why = _why_ignored(config, key)
        if why:
            yield Finding(key, why)


def _why_ignored(config: Config, key: str) -> str:
    parts = key.split(".")
    if parts[0] in ("mock", "twilio", "telnyx", "plivo"):
        return "" if parts[0] == config.provider else f"provider is {config.provider}"
    if parts[0] in ("streaming", "tts") and parts[1:2] == ["providers"]:
        chosen = config.streaming.provider if parts[0] == "streaming" else config.tts.provider
        return "" if parts[2] == chosen or _used_by_number(config, parts) else f"{parts[0]}.provider is {chosen}"
    if parts[0] == "tunnel" and len(parts) > 1 and parts[1] != "provider":
        return _why_tunnel_ignored(config, parts[1])
    if parts[0] == "tailscale" and parts[1:2] != ["mode"] and config.tailscale.mode == "off":
        return "tailscale.mode is off"
    if parts[0] == "response" and len(parts) > 1:
        wanted = {"base_url": "openai", "api_key": "openai", "command": "command", "script": "script"}.get(parts[1])
        return (
            f"response.provider is {config.response.provider}"
            if wanted not in (None, config.response.provider)
            else ""
        )
    if key == "response_model" and config.response.provider != "openai":
        return f"response.provider is {config.response.provider}"
    if key == "allow_from" and config.inbound_policy not in ("allowlist", "pairing"):
        return f"inbound_policy is {config.inbound_policy}"
    if parts[0] == "control" and len(parts) > 1 and parts[1] != "port" and config.control.port is None:
        return "control.port is not set, so there is no TCP door"
    return ""


def _used_by_number(config: Config, parts: list[str]) -> bool:
    return parts[0] == "tts" and any(
        route.tts is not None and route.tts.provider == parts[2] for route in config.numbers.values()
    )


def _why_tunnel_ignored(config: Config, name: str) -> str:
    wanted = "command" if name == "command" else "ngrok"
    if config.public_url:
        return "public_url is set and comes first"
    return "" if config.tunnel.provider == wanted else f"tunnel.provider is {config.tunnel.provider}"
