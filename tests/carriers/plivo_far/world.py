"""What the parts of the far end share, and what a call was made with. Values only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.carriers.far.world import FarWorld
from tests.carriers.plivo_far.settings import Settings, WebhookFaults, WebhookKind
from tests.carriers.plivo_far.webhooks import Caller


@dataclass(frozen=True)
class Goto:
    """Where the next document comes from. `bad_url` and `bad_xml` are the causes when it does not."""

    url: str
    method: str = "POST"
    kind: WebhookKind = "answer"
    more: tuple[tuple[str, str], ...] = ()
    bad_url: int = 7011
    bad_xml: int = 8011


@dataclass(kw_only=True)
class World(FarWorld):
    """What all calls share."""

    settings: Settings
    caller: Caller
    faults: WebhookFaults
    new_id: Callable[[], str]
    own_numbers: Callable[[], set[str]]
    complain: Callable[[str], None]
    forced_verdicts: dict[str, bool] = field(default_factory=dict)
    """Number -> whether machine detection takes whoever answers for a machine."""


@dataclass(frozen=True)
class Orders:
    """What the create request, or the number's application, said about a call."""

    answer: Goto
    ring_url: str = ""
    hangup_url: str = ""
    hangup_method: str = "POST"
    detects: bool = False
    amd_url: str = ""
    send_digits: str = ""
