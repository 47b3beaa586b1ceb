"""The whole configuration: schema, defaults, documentation, loading and validation.

    loaded = load_config(None, os.environ)
    loaded.config.serve.port, loaded.origins["serve.port"]

Vendors read secrets with `reveal`; nothing else does.
"""

from __future__ import annotations

from engine.config.base import Section, is_loopback, is_phone_number, reveal
from engine.config.carriers import Mock, MockCaller, Outbound, Plivo, Telnyx, Twilio
from engine.config.load import (
    CONFIG_ENV,
    DEFAULT,
    STATE_ENV,
    Loaded,
    default_state_dir,
    find_config,
    load_config,
    parse_config,
    user_config_dir,
)
from engine.config.needs import has_public_address, ignored, missing
from engine.config.network import Control, Serve, Tailscale, Tunnel, WebhookSecurity
from engine.config.problems import ConfigError, Finding, Problem
from engine.config.schema import Config, ConsoleSettings, NumberRoute, Provider
from engine.config.show import effective, example, json_schema
from engine.config.speech import Messages, Response, Streaming, Tts

__all__ = [
    "CONFIG_ENV",
    "DEFAULT",
    "STATE_ENV",
    "Config",
    "ConfigError",
    "ConsoleSettings",
    "Control",
    "Finding",
    "Loaded",
    "Messages",
    "Mock",
    "MockCaller",
    "NumberRoute",
    "Outbound",
    "Plivo",
    "Problem",
    "Provider",
    "Response",
    "Section",
    "Serve",
    "Streaming",
    "Tailscale",
    "Telnyx",
    "Tts",
    "Tunnel",
    "Twilio",
    "WebhookSecurity",
    "default_state_dir",
    "effective",
    "example",
    "find_config",
    "has_public_address",
    "ignored",
    "is_loopback",
    "is_phone_number",
    "json_schema",
    "load_config",
    "missing",
    "parse_config",
    "reveal",
    "user_config_dir",
]
