"""Settings that exclude each other: a configuration that has such is not valid."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from engine.config.base import is_loopback, reveal
from engine.config.problems import Finding
from engine.config.schema import Config

FUNNEL_PORTS = (443, 8443, 10000)
_ACCOUNT_SID: Final = re.compile(r"AC[0-9a-fA-F]{32}")


def contradictions(config: Config) -> Iterator[Finding]:
    """Settings that exclude each other."""
    yield from _unsigned_webhooks(config)
    yield from _control_door(config)
    yield from _paths(config)
    yield from _exposure(config)
    yield from _twilio(config)
    yield from _plain_http(config)
    yield from _recognisers(config)
    chain = [config.tts.provider, *config.tts.fallback]
    for name in dict.fromkeys(name for name in chain if chain.count(name) > 1):
        yield Finding("tts.fallback", f"{name} is asked already: a voice is no fallback for itself")
    if config.realtime.enabled and config.streaming.enabled:
        yield Finding(
            "realtime.enabled",
            "realtime and streaming exclude each other, and both are switched on",
            "remove streaming.enabled; realtime.fallback: streaming goes on with it when the model is lost",
        )
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
    funnel = "tailscale-funnel" if config.tunnel.provider == "none" else config.tunnel.provider
    chosen = config.tailscale.mode == "funnel" or config.tunnel.provider == "tailscale-funnel"
    if chosen and funnel == "tailscale-funnel" and config.tailscale.port not in FUNNEL_PORTS:
        yield Finding("tailscale.port", f"funnel works on {', '.join(map(str, FUNNEL_PORTS))} only")


def _twilio(config: Config) -> Iterator[Finding]:
    twilio = config.twilio
    if config.provider != "twilio" or twilio.api_base_url:  # a stand-in may have names of its own
        return
    if twilio.account_sid and _ACCOUNT_SID.fullmatch(twilio.account_sid) is None:
        hint = "copy the Account SID from Twilio's console: AC and 32 hex digits"
        yield Finding("twilio.account_sid", "is not an Account SID", hint)
    if twilio.region and not twilio.edge:
        hint = "set twilio.edge too (for example dublin with ie1, sydney with au1), or remove twilio.region"
        yield Finding("twilio.region", f"{twilio.region} needs an edge: the host is api.EDGE.REGION.twilio.com", hint)


def _plain_http(config: Config) -> Iterator[Finding]:
    """A carrier opens media sockets over TLS only (Twilio: error 31922). A stand-in on this machine or network has no
    certificate and needs none."""
    if config.provider == "mock" or not config.media_streams or not config.public_url:
        return
    url = urlsplit(config.public_url)
    base = getattr(config, config.provider).api_base_url
    if url.scheme == "http" and not _is_local(url.hostname or "") and not (base and _is_local(_host(base))):
        yield Finding(
            "public_url",
            f"begins with http://, and {config.provider} opens media streams over TLS only (wss://)",
            "write it with https://, or set streaming.enabled: false for the carrier's own voice",
        )


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_local(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return is_loopback(host) or host.endswith((".local", ".localhost", ".internal")) or "." not in host


def _recognisers(config: Config) -> Iterator[Finding]:
    chain = [config.streaming.provider, *config.streaming.fallback]
    for name in dict.fromkeys(name for name in chain if chain.count(name) > 1):
        yield Finding("streaming.fallback", f"{name} is asked already: a recogniser is no fallback for itself")
    model = config.streaming.providers.openai.model
    detection = config.streaming.providers.openai.turn_detection
    if "openai" in chain and "realtime-whisper" in model and detection != "none":
        hint = "set turn_detection: none, or choose another model"
        yield Finding("streaming.providers.openai.turn_detection", f"{model} has no voice detection", hint)
