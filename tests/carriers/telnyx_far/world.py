"""What the parts of the far end share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.carriers.far.world import FarWorld
from tests.carriers.telnyx_far.settings import Settings, WebhookFaults
from tests.carriers.telnyx_far.webhooks import Caller


class Refusal(Exception):
    """A request that is not done, with Telnyx's status and code."""

    def __init__(self, status: int, code: str, title: str, pointer: str = "") -> None:
        super().__init__(title)
        self.status = status
        self.code = code
        self.title = title
        self.pointer = pointer


@dataclass(kw_only=True)
class World(FarWorld):
    """What all calls share."""

    settings: Settings
    caller: Caller
    faults: WebhookFaults
    new_id: Callable[[], str]
    dial_leg: Callable[..., Any]
    """Makes another leg of a call (far.TelnyxFar.leg)."""
    forced_results: dict[str, str]
    """Number -> what machine detection says, whoever answers."""
