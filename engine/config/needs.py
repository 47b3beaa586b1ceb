"""What the chosen vendors still need, and what the configuration says that nothing looks at.

Neither makes a file invalid: an engine that misses something does not start, and `setup` names both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, Final, NamedTuple

from pydantic import SecretStr

from engine.config import environment
from engine.config.base import reveal
from engine.config.problems import Finding
from engine.config.schema import Config


def missing(config: Config) -> Iterator[Finding]:
    """Values that the chosen carrier, speech engines and brain can not do without."""
    yield from _carrier_needs(config)
    if config.streaming.enabled:
        yield from _speech_needs(config, "streaming", config.streaming.provider)
    yield from _speech_needs(config, "tts", config.tts.provider)
    if config.tts.provider == "elevenlabs" and not config.tts.providers.elevenlabs.voice_id:
        yield _need("tts.providers.elevenlabs.voice_id")
    # A compatible server of one's own often wants no key.
    if config.response.provider == "openai" and config.response.base_url is None:
        yield from _unset(config, "response.api_key", environment.API_KEYS["openai"])


def _carrier_needs(config: Config) -> Iterator[Finding]:
    if config.provider == "mock":
        if config.mock.api_base_url and not (reveal(config.mock.api_key) and reveal(config.mock.signing_secret)):
            yield Finding("mock.api_key", "a simulator elsewhere needs mock.api_key and mock.signing_secret")
        return
    needed = {**environment.CARRIERS[config.provider]}
    for key, name in {**needed, "from_number": needed.get("from_number", "")}.items():
        yield from _unset(config, key, name)


def _speech_needs(config: Config, section: str, vendor: str) -> Iterator[Finding]:
    if vendor in environment.API_KEYS:
        yield from _unset(config, f"{section}.providers.{vendor}.api_key", environment.API_KEYS[vendor])


def _unset(config: Config, key: str, variable: str) -> Iterator[Finding]:
    value: Any = attrgetter(key)(config)
    if not (reveal(value) if isinstance(value, SecretStr) else value):
        yield _need(key, variable)


def _need(key: str, variable: str = "") -> Finding:
    return Finding(key, "is not set", f"set {key}" + (f", or export {variable}" if variable else ""))


def has_public_address(config: Config) -> bool:
    """Whether something is configured by which a carrier on the internet can reach us."""
    return bool(config.public_url) or config.tunnel.provider != "none" or config.tailscale.mode != "off"


class _ReadWhen(NamedTuple):
    """Keys that begin with `prefix` have an effect only while `selector` has one of these values."""

    prefix: str
    selector: str
    values: tuple[str, ...]


_READ_WHEN: Final = (
    *(_ReadWhen(f"{name}.", "provider", (name,)) for name in ("mock", "twilio", "telnyx", "plivo")),
    *(_ReadWhen(f"streaming.providers.{name}.", "streaming.provider", (name,)) for name in environment.API_KEYS),
    *(_ReadWhen(f"response.{key}", "response.provider", ("openai",)) for key in ("base_url", "api_key")),
    _ReadWhen("response_model", "response.provider", ("openai",)),
    _ReadWhen("response.command", "response.provider", ("command",)),
    _ReadWhen("response.script", "response.provider", ("script",)),
    _ReadWhen("tunnel.ngrok_", "tunnel.provider", ("ngrok",)),
    _ReadWhen("tunnel.allow_ngrok_", "tunnel.provider", ("ngrok",)),
    _ReadWhen("tunnel.command", "tunnel.provider", ("command",)),
    _ReadWhen("tailscale.path", "tailscale.mode", ("serve", "funnel")),
    _ReadWhen("tailscale.port", "tailscale.mode", ("serve", "funnel")),
    _ReadWhen("allow_from", "inbound_policy", ("allowlist", "pairing")),
)


def ignored(config: Config, given: Iterable[str]) -> Iterator[Finding]:
    """Of the dotted keys in `given`, those that the chosen vendors and modes never look at, and why."""
    for key in sorted(given):
        for rule in _READ_WHEN:
            chosen = attrgetter(rule.selector)(config)
            if key.startswith(rule.prefix) and chosen not in rule.values:
                yield Finding(key, f"{rule.selector} is {chosen}")
        if key.startswith("tts.providers.") and (vendor := key.split(".")[2]) not in _voices(config):
            yield Finding(key, f"tts.provider is {config.tts.provider}, and no number speaks with {vendor}")
        if key == "streaming.enabled" and config.provider == "mock" and not config.streaming.enabled:
            yield Finding(key, "the simulated carrier has no voice of its own: conversations are refused without it")
        if key in ("control.bind", "control.token") and config.control.port is None:
            yield Finding(key, "control.port is not set, so there is no TCP door")


def _voices(config: Config) -> set[str]:
    return {config.tts.provider, *(route.tts.provider for route in config.numbers.values() if route.tts is not None)}
