"""How the far end is set up, and what goes wrong there on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nacl.signing import SigningKey

from tests.carriers.far.settings import FarSettings

RestFault = Literal[
    "90018",
    "90034",
    "401",
    "403",
    "429",
    "503-before",
    "503-after",
    "html-502-before",
    "timeout-after",
    "lost-before",
    "lost-after",
    "garbage-after",
]
"""What a REST request meets. A number: refused with it, nothing happens. before/after: whether it took effect first.
timeout: no answer for as long as the far end runs. lost: the connection is cut. garbage: 200 with something else."""


@dataclass
class WebhookFaults:
    """What happens to webhooks, by event name; change it at any time."""

    duplicate: set[str] = field(default_factory=set)
    """Delivered twice at once, each delivery signed by itself, with the same event id."""
    drop: set[str] = field(default_factory=set)
    hold: set[str] = field(default_factory=set)
    """Comes only after the call's next event."""
    delay_s: dict[str, float] = field(default_factory=dict)
    wrong_key: set[str] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class Settings(FarSettings):
    """As every far end is set up, and what only Telnyx has."""

    api_key: str = "KEY0123456789ABCDEF_farEndSecret"
    connection_id: str = "1494404757140276705"
    application: str = "voicecall"
    webhook_url: str = ""
    """The application's, for calls that come in."""
    api_version: str = "2"
    outbound_profile: str = "1293384261075731499"
    active: bool = True
    call_cost: bool = False
    leg_codec: str = "PCMU"
    """The codec of the telephone leg: PCMA in Europe and India, G722 or OPUS on some."""
    transcodes: bool = True
    """`stream_codec` is honoured between PCMU and PCMA; else the stream carries the leg's codec."""
    early_socket: bool = True
    """The stream of a dial opens its socket while it rings; its start comes at the answer."""
    shuffle: bool = False
    """Media frames swap places in pairs."""
    retries: int = 2
    retry_s: float = 0.05
    webhook_s: float = 5.0
    signing_seed: bytes = b"the far end's ed25519 key, seed."

    @property
    def signing_key(self) -> SigningKey:
        return SigningKey(self.signing_seed)
