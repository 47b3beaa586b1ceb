"""How the far end is set up, and what goes wrong there on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.carriers.far.settings import FarSettings

Operation = Literal["dial", "update", "fetch", "list", "notifications", "account", "numbers", "number", "permission"]
RestFault = Literal[
    "20003",
    "20404",
    "20429",
    "10004",
    "21220",
    "500-before",
    "500-after",
    "html-502-before",
    "html-502-after",
    "timeout-before",
    "timeout-after",
    "lost-before",
    "lost-after",
    "garbage-after",
    "redirect",
]
"""What a REST request meets. A code: refused with it, nothing happens. before/after: whether it took effect first.
timeout: no answer for as long as it runs. lost: the connection is cut. garbage: 201 with something else than JSON."""
WebhookKind = Literal[
    "incoming",
    "answer",
    "initiated",
    "ringing",
    "answered",
    "completed",
    "gather",
    "partial",
    "redirect",
    "connect",
    "dial",
    "amd",
    "stream",
    "update",
]
"""incoming, answer: the first voice request. initiated ... completed: status callbacks. The others: what a verb's
own address is asked or told."""


@dataclass
class WebhookFaults:
    """What happens to webhooks, by kind; change it at any time."""

    duplicate: set[WebhookKind] = field(default_factory=set)
    """Sent twice at once, byte for byte and with the same signature."""
    retry: set[WebhookKind] = field(default_factory=set)
    """The first answer never arrives: the same request comes again, and its answer counts."""
    drop: set[WebhookKind] = field(default_factory=set)
    hold: set[WebhookKind] = field(default_factory=set)
    """Status callbacks that come only after the call's next one."""
    delay_s: dict[WebhookKind, float] = field(default_factory=dict)
    wrong_token: set[WebhookKind] = field(default_factory=set)
    """Signed with somebody else's token."""


@dataclass(frozen=True, kw_only=True)
class Settings(FarSettings):
    """As every far end is set up, and what only Twilio has."""

    account_sid: str = "AC" + "0123456789abcdef" * 2
    auth_token: str = "the far end's auth token"
    signing_key: tuple[str, str] | None = None
    """Key id and secret: webhooks are signed with HMAC-SHA256 and name the key (Twilio's 2026 shared keys)."""
    voice_url: str = ""
    status_callback: str = ""
    plain_ws: bool = True
    """ws:// is taken for hosts on this machine; Twilio itself wants wss:// (31922)."""
    ended_is_404: bool = False
    """Changing a call that is over is 404/20404; else 400/21220. Both have been seen."""
    queue_s: float = 0.0
    """How long a dial waits in Twilio's queue (calls per second)."""
    close_late_s: float = 0.0
    """A stream that was stopped is closed so much later, when the next one is up already."""
    connect_s: float = 5.0
    countries: Mapping[str, bool] = field(default_factory=lambda: {"US": True, "DE": True, "CU": False})
    """Dialing permissions by country."""
    account_status: str = "active"
    account_type: str = "Full"
