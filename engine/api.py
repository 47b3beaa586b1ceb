"""What the engine does for those who drive it, whatever door they come through.

The control door, the console and the command line all end here. Refusals are `Refusal`s with a slug from one list,
a sentence, and what to do next.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from engine.calls import Call, Cursor, Event, Floor, Mode
from engine.calls.policy import Decision

if TYPE_CHECKING:
    from engine.store import WebhookQuery

Slug = Literal[
    "at_capacity",
    "call_ended",
    "call_not_connected",
    "call_not_found",
    "carrier_refused",
    "engine_failed",
    "engine_stopping",
    "floor_taken",
    "invalid_digits",
    "invalid_message",
    "invalid_number",
    "invalid_params",
    "line_dropped",
    "not_supported",
    "not_waiting",
    "no_floor",
    "no_public_url",
    "no_terminal",
    "operation_not_found",
    "outcome_unknown",
    "provider_not_ready",
    "recording_not_found",
    "speech_unavailable",
    "store_failed",
    "timeout",
    "turn_in_progress",
    "unauthorized",
    "webhook_not_found",
    "internal_error",
]


class Refusal(Exception):
    """The engine will not do, or could not do, what was asked. Nothing was lost."""

    def __init__(self, code: Slug, error: str, hint: str = "", *, call_id: str = "") -> None:
        """`call_id`: a call that exists although the request failed, and can be asked about."""
        super().__init__(error)
        self.code: Slug = code
        self.error = error
        self.hint = hint
        self.call_id = call_id

    def data(self) -> dict[str, Any]:
        """What is told beside the sentence."""
        call = {"callId": self.call_id} if self.call_id else {}
        return {"code": self.code, "hint": self.hint, **call}


class EngineFailed(Refusal):
    """The engine could not start, or ended by itself."""

    def __init__(self, error: str, hint: str = "") -> None:
        super().__init__("engine_failed", error, hint)


@dataclass(frozen=True, slots=True)
class Page:
    """Stored events in order, and the cursor to go on from."""

    events: Sequence[Event]
    cursor: Cursor


Side = Literal["caller", "agent"]
ReplayInto = Literal["sandbox", "live"]
"""Where a kept webhook comes again: to a copy of its call in memory, or to the engine as if the carrier sent it."""


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """A piece of a call's sound: mu-law, 8 kHz, mono; 20 ms, or as the carrier cuts it."""

    side: Side
    payload: bytes
    at_ms: int
    """Epoch ms at which it passed the engine. Our side's sound is sent up to 200 ms before it is heard."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A stretch of a recording."""

    pcm: bytes
    """16-bit samples, 8 kHz, the caller's and ours in turn."""
    total_ms: int
    """How long the whole is by now."""


class Listening(Protocol):
    """The sound of one call, for one reader, until the call ends: both sides, across re-opened streams.

    A reader that is too slow loses the oldest frames; nothing waits for it. It can hear and nothing else.
    """

    @property
    def dropped(self) -> int:
        """Frames that were lost because the reader was too slow."""

    async def read(self) -> Sequence[AudioFrame]:
        """All frames that wait, at least one; none when it is over."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> AudioFrame: ...

    def close(self) -> None:
        """Stop listening. Again is harmless."""


class Microphone(Protocol):
    """A person's own voice for one caller. What was never heard of it does not exist: it is born silent."""

    def hear(self, payload: bytes) -> None:
        """A piece of their voice: mu-law, 8 kHz, 20 ms mostly. The caller hears it at once."""

    def rest(self) -> None:
        """They stopped talking for now."""

    def close(self) -> None:
        """It is put away; the floor stays with them. Again is harmless."""

    def lose(self, why: str) -> None:
        """It is gone without having been put away: the floor goes to somebody else."""

    async def ended(self) -> str:
        """Return once it is closed, by whomever, with the reason."""


class EngineApi(Protocol):
    """One running engine. All methods belong to the engine's own loop and raise `Refusal`.

    `by` names who asks (console, cli, agent, ...); it is recorded with the act.
    """

    async def initiate(
        self, to: str | None, message: str, mode: Mode | None = None, dtmf_sequence: str = "", by: str = ""
    ) -> str:
        """Place a call; returns its id as soon as the carrier took the dial."""

    async def speak(self, call_id: str, message: str, by: str = "") -> None:
        """Say a line; returns when it has been heard."""

    async def continue_call(self, call_id: str, message: str, by: str = "") -> str:
        """Say a line and wait for the caller's answer, which is returned."""

    async def send_dtmf(self, call_id: str, digits: str, by: str = "") -> None:
        """Play keys into the call; returns when they were played."""

    async def end(self, call_id: str, by: str = "") -> None:
        """Hang up. A call that is already over is a success."""

    async def transfer(self, call_id: str, to: str, by: str = "") -> None:
        """Connect the caller with another number; returns when the carrier took it.

        The call stays ours: it comes back when nobody answers there, and it is over when they have talked.
        """

    async def admit(self, call_id: str, verdict: Decision, by: str = "") -> None:
        """Let a caller who waits in, once or always, or not. The first decision counts; later ones are refused."""

    def always_admitted(self) -> Sequence[str]:
        """The numbers that were let in for good by such a decision."""

    async def forget_caller(self, number: str, by: str = "") -> None:
        """Take that back: the number is a stranger's again."""

    async def set_floor(self, call_id: str, holder: Floor, by: str = "", take_over: bool = False) -> None:
        """Who speaks for our side from now on. While a person drives a call, others are refused with `floor_taken`
        unless they take over."""

    async def hint(self, call_id: str, message: str, by: str = "") -> None:
        """Tell the brain something that the caller does not hear; it counts from the next reply on."""

    async def microphone(self, call_id: str, by: str = "") -> Microphone:
        """The microphone of the person who has the floor."""

    def attend(self, by: str) -> AbstractContextManager[None]:
        """`by` is there for as long as this is open; a person who is gone loses the floor."""

    def call(self, call_id: str) -> Call | None:
        """A call by our id or the carrier's."""

    def live_calls(self) -> Sequence[Call]:
        """Calls that are not over, oldest first."""

    async def history(self, last: int = 50, query: str = "") -> Sequence[Call]:
        """Calls, newest first; `query` matches numbers and words that were said."""

    async def events(
        self, cursor: Cursor | None, call_id: str | None = None, wait_ms: int = 0, limit: int = 500
    ) -> Page:
        """Stored events after `cursor` (None: from now on). With `wait_ms`, waits for the first one."""

    async def backlog(self, calls: int = 50) -> Page:
        """All events of the last `calls` calls and of every live one, plus the last 200 without a call.

        In seq order; folding them gives the call records. The cursor is the one to watch from.
        """

    def watch(self, cursor: Cursor | None, last: int = 0) -> AsyncIterator[Sequence[Event]]:
        """Batches of events, stored and ephemeral, after `cursor` (None: from the last `last` ones on), for ever.

        A watcher that is slower than the engine gets what it missed from the store, without the ephemeral ones.
        """

    def listen(self, call_id: str) -> Listening:
        """Hear a live call from now on."""

    async def acknowledge(self, call_id: str, by: str = "") -> None:
        """Somebody has seen why a call needs a person: that is quiet until it happens anew."""

    async def record_call(self, call_id: str, on: bool, by: str = "") -> None:
        """Record a call from now on, after telling the caller where that is configured; or no more of it."""

    async def recorded(self, call_id: str, index: int, from_ms: int, ms: int) -> Recorded:
        """A stretch of a recording of a call; `index` counts them from 1, 0 is the last one."""
        raise NotImplementedError

    async def webhooks(self, wanted: WebhookQuery) -> Sequence[Mapping[str, Any]]:
        """Requests of the carrier that were kept, newest first, in short."""

    async def webhook(self, webhook_id: int, secrets: bool = False) -> Mapping[str, Any]:
        """All that is known of one, as a curl command too. `secrets`: with its signature and query as they came."""

    async def replay_webhook(self, webhook_id: int, into: ReplayInto, by: str = "") -> Mapping[str, Any]:
        """Let one come again; what came of it."""

    async def latency(self, last: int = 200) -> Mapping[str, Any]:
        """Per stage: count, minMs, maxMs, avgMs, p50Ms, p95Ms over the last `last` turns."""

    async def probe(self) -> Mapping[str, Any] | None:
        """Look at the public address from outside, now; None when there is nothing to look at."""

    async def checks(self, *, online: bool) -> Mapping[str, Any]:
        """What `voicecall setup` looks at, as seen by this engine: ok, checks."""
        raise NotImplementedError

    def health(self) -> Mapping[str, Any]:
        """engine, carrier (what it can do), exposure, speech, store and slots, as the panel shows them."""

    def cursor(self) -> Cursor:
        """The end of the log."""
