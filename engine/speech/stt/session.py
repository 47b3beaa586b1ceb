"""What a vendor's recognition protocol has to tell the socket that carries it (`engine.speech.stt.vendor`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from engine.speech.ports import Hearing, Lost
from engine.speech.stt.commits import Commits

MAX_TOLD: Final = 400
"""Characters of an error that are told."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The vendor will transcribe what it is sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A message that the vendor is to be sent at once."""

    message: str


class Session(Protocol):
    """The protocol of one vendor in one session. Pure, and not used again for another socket."""

    name: str
    lifetime_seconds: float
    """How old a session may get; vendors end older ones in the middle of a word."""
    breath_seconds: float
    """How long to send nothing; then a little silence shows that we are there. 0: as long as you like."""
    commits: Commits

    @property
    def url(self) -> str:
        """The address of the socket."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the upgrade, the key among them."""

    def greeting(self) -> Iterable[str]:
        """What is sent first."""

    def audio(self, data: bytes) -> str:
        """The message that carries a piece of audio."""

    def commit(self, number: int) -> str | None:
        """The message that ends an utterance; None where there is nothing to commit."""

    def hear(self, message: Mapping[str, Any], now: float) -> Iterator[Hearing | Ready | Answer]:
        """What a message of the vendor's means. Finals come from `commits`. Raises TooManyItems."""

    def refused(self, status: int) -> Lost:
        """Why the vendor answered the upgrade with an HTTP status."""

    def closed(self, code: int | None, reason: str) -> Lost:
        """Why the vendor closed the socket."""


def fit_to_tell(text: str, session: Session) -> str:
    """Words of a vendor's as they may stand in logs and events: of bounded length, and without the key."""
    for value in session.headers.values():
        secret = value.removeprefix("Bearer ")
        if secret:
            text = text.replace(secret, "***")
    return text if len(text) <= MAX_TOLD else f"{text[:MAX_TOLD]}..."


def socket_url(base_url: str, path: str) -> str:
    """The address of a WebSocket below an http(s) address."""
    return "ws" + base_url.rstrip("/").removeprefix("http") + path


def words_of(message: Mapping[str, Any], key: str) -> str:
    """A text in a vendor's message; empty when it is missing or no text."""
    value = message.get(key)
    return value if isinstance(value, str) else ""
