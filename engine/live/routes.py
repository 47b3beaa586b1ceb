"""What differs by the number of ours that a call is on: its voice, its greeting, how long a reply may take."""

from __future__ import annotations

from typing import Final

from engine.calls import Call
from engine.config import Config

GREETING: Final = "Hello, how can I help you?"


def voice_name(config: Config, call: Call) -> str:
    """The number of ours that this call is on, where that has a voice of its own: so the voices know who speaks."""
    ours = call.to_number if call.direction == "inbound" else call.from_number
    route = config.numbers.get(ours)
    return ours if route is not None and route.tts is not None else ""


def first_words(config: Config, call: Call) -> str:
    """What we say first: the message of a call that we placed, or the greeting of the number that was called."""
    if call.direction == "outbound":
        return call.message
    route = config.numbers.get(call.to_number)
    greeting = route.inbound_greeting if route is not None else None
    return greeting or config.inbound_greeting or GREETING


def response_timeout(config: Config, call: Call) -> int:
    """How long a reply may take, in ms."""
    route = config.numbers.get(call.ours)
    if route is not None and route.response_timeout_ms is not None:
        return route.response_timeout_ms
    return config.response_timeout_ms
