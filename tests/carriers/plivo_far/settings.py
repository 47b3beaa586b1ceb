"""How the far end is set up, and what goes wrong there on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tests.carriers.far.settings import FarSettings

Operation = Literal[
    "dial", "list", "fetch", "transfer", "hangup", "cancel", "dtmf", "account", "numbers", "number", "application"
]
RestFault = Literal[
    "401",
    "403",
    "429",
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
"""What a REST request meets. A number: refused with it. before/after: whether it took effect first. timeout: no
answer for as long as it runs. lost: the connection is cut. garbage: success with something else than JSON."""
WebhookKind = Literal[
    "incoming", "answer", "ring", "hangup", "input", "partial", "redirect", "transfer", "dial", "amd", "stream"
]


@dataclass
class WebhookFaults:
    """What happens to callbacks, by kind; change it at any time."""

    duplicate: set[WebhookKind] = field(default_factory=set)
    """Sent twice at once, byte for byte and with the same nonce."""
    repeat: set[WebhookKind] = field(default_factory=set)
    """The first answer is lost: the same callback comes again with a nonce of its own, and that answer counts."""
    drop: set[WebhookKind] = field(default_factory=set)
    delay_s: dict[WebhookKind, float] = field(default_factory=dict)
    wrong_token: set[WebhookKind] = field(default_factory=set)
    """Signed with somebody else's token."""


@dataclass(frozen=True, kw_only=True)
class Settings(FarSettings):
    """As every far end is set up, and what only Plivo has."""

    auth_id: str = "MA0123456789ABCDEFGH"
    auth_token: str = "the far end's auth token"
    sub_token: str = ""
    """Calls belong to a subaccount with this token; the main account's signature is in a header of its own."""
    sign: Literal["v3", "v2", "both"] = "v3"
    answer_url: str = ""
    hangup_url: str = ""
    method: Literal["POST", "GET"] = "POST"
    """By which the application asks its addresses."""
    own_names: bool = False
    """A call's name is another than its request's."""
    lists_requests: bool = False
    """`request_uuid` is a list."""
    reference_names: bool = False
    """Stream callbacks say started, stopped and failed instead of StartStream, StopStream and DroppedStream."""
    says_stop: bool = False
    """A `stop` frame comes before the socket is closed."""
    socket_scheme: Literal["http", "https", "wss", "ws"] = "http"
    """What stands for wss:// in what is signed of an upgrade."""
    connect_s: float = 2.0
    credits: str = "12.50000"
