"""What the parts of the far end share."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import aiohttp

from engine.simulator.people import Person
from engine.simulator.ticker import Ticker
from engine.simulator.voices import VoiceBank
from tests.carriers.telnyx_far.settings import Settings, WebhookFaults
from tests.carriers.telnyx_far.webhooks import Caller

Spawn = Callable[[Coroutine[Any, Any, object]], object]


class Refusal(Exception):
    """A request that is not done, with Telnyx's status and code."""

    def __init__(self, status: int, code: str, title: str, pointer: str = "") -> None:
        super().__init__(title)
        self.status = status
        self.code = code
        self.title = title
        self.pointer = pointer


@dataclass
class World:
    """What all calls share."""

    settings: Settings
    http: aiohttp.ClientSession
    caller: Caller
    faults: WebhookFaults
    voices: VoiceBank
    ticker: Ticker
    spawn: Spawn
    new_id: Callable[[], str]
    find_person: Callable[[str], Person]
    dial_leg: Callable[..., Any]
    """Makes another leg of a call (far.TelnyxFar.leg)."""
    forced_results: dict[str, str]
    """Number -> what machine detection says, whoever answers."""
