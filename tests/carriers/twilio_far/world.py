"""What the parts of the far end share, and what a call was made with. Values only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.carriers.far.world import FarWorld
from tests.carriers.twilio_far.interpreter import Goto
from tests.carriers.twilio_far.settings import Settings, WebhookFaults
from tests.carriers.twilio_far.webhooks import Caller


@dataclass(kw_only=True)
class World(FarWorld):
    """What all calls share."""

    settings: Settings
    caller: Caller
    faults: WebhookFaults
    new_sid: Callable[[str], str]
    own_numbers: Callable[[], set[str]]
    status_callback: Callable[[str], str]
    """A number's own status callback."""
    forced_verdicts: dict[str, str] = field(default_factory=dict)
    """Number -> what machine detection says, whoever answers."""


@dataclass(frozen=True)
class Orders:
    """What the create request, or the number's settings, said about a call."""

    first: Goto
    status_url: str = ""
    status_events: frozenset[str] = frozenset({"completed"})
    machine_detection: str = ""
    async_amd: bool = False
    amd_url: str = ""
    send_digits: str = ""
