"""What all calls of a simulator share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from engine.simulator.setup import Faults, Setup
from engine.simulator.ticker import Ticker
from engine.simulator.voices import VoiceBank
from engine.simulator.webhooks import Job, WebhookSender


@dataclass(slots=True)
class World:
    """The carrier's side: its clock, its people's voices, its way out, and what goes wrong on purpose."""

    setup: Setup
    http: aiohttp.ClientSession
    sender: WebhookSender
    voices: VoiceBank
    ticker: Ticker
    clock: Callable[[], int]
    """Epoch milliseconds."""
    spawn: Callable[[Job], object]
    """Run something in the background; the simulator keeps hold of it."""
    faults: Faults
    numbers: dict[str, str] = field(default_factory=dict)
    """Our numbers and the webhook address of each."""
