"""What every live call borrows from the engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.book import CallBook
from engine.calls import Call, State
from engine.carriers.base import Carrier
from engine.config import Config
from engine.recorder import Recorder
from engine.recordings import Recordings
from engine.speech.ports import Brain, EarlierCall, Recogniser, Voice
from engine.speech.realtime.service import RealtimeService


class HangUp(Protocol):
    """Ends a call once, with retries; see `engine.live.hangup`."""

    def __call__(self, call_id: str, reason: State, by: str, detail: str = "") -> None:
        """Start the hang-up, or do nothing when it is under way."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Shared, long-lived parts of one engine."""

    config: Config
    carrier: Carrier
    recorder: Recorder
    book: CallBook
    recogniser: Recogniser
    voice: Voice
    brain: Brain
    hang_up: HangUp
    stream_url: Callable[[], str]
    webhook_url: Callable[[], str]
    issue_token: Callable[[str], str]
    """Make a one-time stream token for a call id."""
    now_ms: Callable[[], float]
    """Monotonic ms."""
    realtime: RealtimeService | None = None
    """A model that hears and speaks by itself, where conversations are held by one."""
    reached: Callable[[], Awaitable[None]] | None = None
    """Return once the carrier can reach us; whoever asks sets the limit."""
    remember: Callable[[Call], Awaitable[Sequence[EarlierCall]]] | None = None
    """What is remembered of earlier calls with the same person; see `engine.memory`."""
    recordings: Recordings | None = None
    """Where recordings are written; None where there are none."""
