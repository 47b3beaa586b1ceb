"""What the chosen vendors still need, and what the configuration says that nothing looks at.

Neither makes a file invalid: an engine that misses something does not start, and `setup` names both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any, Final, NamedTuple

from pydantic import SecretStr

from engine.config import environment
from engine.config.base import reveal
from engine.config.problems import Finding
from engine.config.schema import Config
from engine.config.speech import Tts


def missing(config: Config) -> Iterator[Finding]:
    """Values that the chosen carrier, speech engines and brain can not do without."""
    yield from _carrier_needs(config)
    if config.realtime.enabled:
        # A compatible server of one's own often wants no key.
        if config.realtime.providers.openai.base_url is None:
            yield from _speech_needs(config, "realtime", config.realtime.provider)
        if config.in_steps:
            yield from _recogniser_needs(config)
    elif config.streaming.enabled:
        yield from _recogniser_needs(config)
    if config.media_streams and config.in_steps:
        yield from _voice_needs(config.tts, "tts")
        for number, route in config.numbers.items():
            if route.tts is not None:
                yield from _voice_needs(route.tts, f"numbers.{number}.tts")
    # A compatible server of one's own often wants no key.
    thinks = config.in_steps and config.response.provider == "openai"
    if thinks and config.response.base_url is None:
        yield from _unset(config, "response.api_key", environment.API_KEYS["openai"])


def _carrier_needs(config: Config) -> Iterator[Finding]:
    if config.provider == "mock":
        if config.mock.api_base_url and not (reveal(config.mock.api_key) and reveal(config.mock.signing_secret)):
            yield Finding("mock.api_key", "a simulator elsewhere needs mock.api_key and mock.signing_secret")
        return
    needed = {**environment.CARRIERS[config.provider]}
    for key, name in {**needed, "from_number": needed.get("from_number", "")}.items():
        yield from _unset(config, key, name)


def _recogniser_needs(config: Config) -> Iterator[Finding]:
    streaming = config.streaming
    for name in dict.fromkeys((streaming.provider, *streaming.fallback)):
        # A compatible server of one's own often wants no key.
        if name != "openai" or streaming.providers.openai.base_url is None:
            yield from _speech_needs(config, "streaming", name)


def _voice_needs(tts: Tts, at: str) -> Iterator[Finding]:
    """What the voices of one number, or of all of them, can not do without."""
    openai, elevenlabs = tts.providers.openai, tts.providers.elevenlabs
    names = (tts.provider, *tts.fallback)
    # A compatible server of one's own often wants no key.
    if "openai" in names and openai.base_url is None and not reveal(openai.api_key):
        yield _need(f"{at}.providers.openai.api_key", environment.API_KEYS["openai"])
    if "elevenlabs" in names:
        if not reveal(elevenlabs.api_key):
            yield _need(f"{at}.providers.elevenlabs.api_key", environment.API_KEYS["elevenlabs"])
        if not elevenlabs.voice_id:
            yield _need(f"{at}.providers.elevenlabs.voice_id")


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
    return bool(config.public_url) or has_tunnel(config)


def has_tunnel(config: Config) -> bool:
    """Whether a tunnel is configured, in either spelling."""
    return config.tunnel.provider != "none" or config.tailscale.mode != "off"


class _ReadWhen(NamedTuple):
    """Keys that begin with `prefix` have an effect only while `selector` has one of these values."""

    prefix: str
    selector: str
    values: tuple[str | bool, ...]


_READ_WHEN: Final = (
    *(_ReadWhen(f"{name}.", "provider", (name,)) for name in ("mock", "twilio", "telnyx", "plivo")),
    *(
        _ReadWhen(f"streaming.providers.openai.{key}", "streaming.providers.openai.turn_detection", ("server_vad",))
        for key in ("silence_duration_ms", "vad_threshold")
    ),
    _ReadWhen("streaming.providers.elevenlabs.vad_", "streaming.providers.elevenlabs.commit_strategy", ("vad",)),
    *(_ReadWhen(f"response.{key}", "response.provider", ("openai",)) for key in ("base_url", "api_key")),
    _ReadWhen("response_model", "response.provider", ("openai",)),
    _ReadWhen("response.command", "response.provider", ("command",)),
    _ReadWhen("response.script", "response.provider", ("script",)),
    _ReadWhen("tunnel.ngrok_", "tunnel.provider", ("ngrok",)),
    _ReadWhen("tunnel.allow_ngrok_", "tunnel.provider", ("ngrok",)),
    _ReadWhen("tunnel.command", "tunnel.provider", ("command",)),  # and command_url_pattern
    _ReadWhen("allow_from", "inbound_policy", ("allowlist", "pairing")),
    *(_ReadWhen(f"telnyx.{key}", "media_streams", (False,)) for key in ("voice", "language")),
    *(_ReadWhen(f"telnyx.stream_{key}", "media_streams", (True,)) for key in ("codec", "target_legs")),
    _ReadWhen("telnyx.machine_detection", "outbound.answering_machine", ("hang_up", "leave_message", "continue")),
)


def ignored(config: Config, given: Iterable[str]) -> Iterator[Finding]:
    """Of the dotted keys in `given`, those that the chosen vendors and modes never look at, and why."""
    for key in sorted(given):
        for rule in _READ_WHEN:
            chosen = attrgetter(rule.selector)(config)
            if key.startswith(rule.prefix) and chosen not in rule.values:
                yield Finding(key, f"{rule.selector} is {chosen}")
        if key.startswith("streaming.providers."):
            vendor, recognisers = key.split(".")[2], (config.streaming.provider, *config.streaming.fallback)
            if vendor not in ("local", *recognisers):
                yield Finding(key, f"streaming.provider is {recognisers[0]}, and {vendor} is no fallback")
        yield from _unspoken(config, key)
        yield from _unheard(config, key)
        yield from _unthought(config, key)
        yield from _unopened(config, key)
        if key == "streaming.enabled" and config.provider == "mock" and not config.media_streams:
            yield Finding(key, "the simulated carrier has no voice of its own: conversations are refused without it")
        if key in ("control.bind", "control.token") and config.control.port is None:
            yield Finding(key, "control.port is not set, so there is no TCP door")


_OF_TUNNELS: Final = ("tunnel.", "tailscale.mode")


def _unopened(config: Config, key: str) -> Iterator[Finding]:
    """Of the keys about tunnels, those that no tunnel reads."""
    provider, legacy = config.tunnel.provider, config.tailscale.mode
    if key.startswith(_OF_TUNNELS) and config.public_url and has_tunnel(config):
        yield Finding(key, "public_url is set, so no tunnel is opened")
    elif key == "tailscale.mode" and "none" not in (provider, "none" if legacy == "off" else provider):
        yield Finding(key, f"tunnel.provider is {provider}")
    elif key in ("tailscale.path", "tailscale.port") and not (
        provider.startswith("tailscale") or (provider == "none" and legacy != "off")
    ):
        yield Finding(key, f"tailscale.mode is {legacy}")
    elif key == "tunnel.update_carrier_number" and not has_tunnel(config):
        yield Finding(key, "there is no tunnel: a public_url does not change")


_BY_STEPS: Final = re.compile(
    r"streaming\.(provider|fallback)|response\.(?!silence_|memory_)|(numbers\..*\.)?response_(model|timeout_ms)"
    r"|turn_taking\.(complete_ms|unfinished_ms|endpoint_ms|resume)"
)
_SERVER_VAD: Final = tuple(
    f"realtime.providers.openai.{key}" for key in ("vad_threshold", "silence_duration_ms", "prefix_padding_ms")
)


def _unheard(config: Config, key: str) -> Iterator[Finding]:
    """Of the keys about who hears and answers, those that are for another way of doing it."""
    realtime = config.realtime
    if not realtime.enabled:
        if key.startswith("realtime.") and key != "realtime.enabled":
            yield Finding(key, "realtime.enabled is false")
        return
    if not config.in_steps and _BY_STEPS.match(key):
        yield Finding(key, "realtime.enabled is true: the model hears and answers by itself")
    if key == "silence_timeout_ms" and not config.in_steps:
        yield Finding(key, "realtime.enabled is true: see realtime.providers.openai.silence_duration_ms")
    if key == "response_system_prompt" and realtime.instructions and not config.in_steps:
        yield Finding(key, "realtime.instructions comes first")
    detection = realtime.providers.openai.turn_detection
    semantic = key == "realtime.providers.openai.eagerness"
    if (key in _SERVER_VAD and detection != "server_vad") or (semantic and detection != "semantic_vad"):
        yield Finding(key, f"realtime.providers.openai.turn_detection is {detection}")


_INSTRUCTIONS: Final = re.compile(r"numbers\..*\.response_(model|system_prompt)|response_system_prompt")


def _unthought(config: Config, key: str) -> Iterator[Finding]:
    """Of the keys about what a brain is told, those that the chosen one can make no use of."""
    provider = config.response.provider
    if config.realtime.enabled:
        return
    if _INSTRUCTIONS.fullmatch(key) and provider != "openai":
        yield Finding(key, f"response.provider is {provider}")
    if (key == "session_scope" or key.startswith("response.memory_")) and provider in ("script", "operator"):
        yield Finding(key, f"response.provider is {provider}, which remembers nothing")
    elif key.startswith("response.memory_") and config.session_scope != "per-phone":
        yield Finding(key, f"session_scope is {config.session_scope}")
    if key.startswith("response.silence_") and provider == "operator":
        yield Finding(key, "response.provider is operator: a person notices")


def _voices(config: Config) -> set[str]:
    ours = [config.tts, *(route.tts for route in config.numbers.values() if route.tts is not None)]
    return {name for tts in ours for name in (tts.provider, *tts.fallback)}


def _unspoken(config: Config, key: str) -> Iterator[Finding]:
    """Of the keys about voices, those that nobody speaks with."""
    number, path = _voice_key(key)
    tts = _voice_of(config, number)
    if not path or tts is None:
        return
    if number and attrgetter(path)(tts) == attrgetter(path)(config.tts):
        return  # taken over from the general `tts`
    if not config.media_streams:
        yield Finding(key, "streaming.enabled is false: the carrier speaks with a voice of its own")
        return
    asked = {tts.provider, *tts.fallback} if number else _voices(config)
    if path.startswith("providers.") and (vendor := path.split(".")[1]) not in asked:
        at, who = (f"numbers.{number}.", "this number does not speak") if number else ("", "no number speaks")
        yield Finding(key, f"{at}tts.provider is {tts.provider}, and {who} with {vendor}")


def _voice_key(key: str) -> tuple[str, str]:
    """The number ("" for all) and the path below its `tts`; an empty path for a key that is about something else."""
    if key.startswith("numbers.") and ".tts." in key:
        number, _, path = key.removeprefix("numbers.").partition(".tts.")
        return number, path
    return "", key.removeprefix("tts.") if key.startswith("tts.") else ""


def _voice_of(config: Config, number: str) -> Tts | None:
    if not number:
        return config.tts
    route = config.numbers.get(number)
    return route.tts if route is not None else None
