"""What the parts of every far end share. Values only."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import aiohttp

from engine.simulator.people import Person
from engine.simulator.ticker import Ticker
from engine.simulator.voices import VoiceBank

Spawn = Callable[[Coroutine[Any, Any, object]], object]


@dataclass(kw_only=True)
class FarWorld:
    """What all calls of one far end share."""

    http: aiohttp.ClientSession
    voices: VoiceBank
    ticker: Ticker
    spawn: Spawn
    find_person: Callable[[str], Person]
