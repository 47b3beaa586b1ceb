"""The ports behind which speech engines and brains stand.

Every engine says whether it is usable (`check`) before a call needs it, and exactly what to do when it is not.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from engine.media.audio import Audio, AudioFormat


class SpeechUnavailable(Exception):
    """An engine can not be used. The message says what is wrong, `hint` what to do about it.

    `hopeless`: trying again changes nothing, for example a key that the vendor refuses.
    """

    def __init__(self, message: str, hint: str = "", *, hopeless: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.hopeless = hopeless


@dataclass(frozen=True, slots=True)
class Partial:
    """What the recogniser believes so far; the next one replaces it."""

    text: str


@dataclass(frozen=True, slots=True)
class Final:
    """The text of one utterance. `utterance` is the number that `finish` returned."""

    text: str
    utterance: int
    dropped_ms: int = 0
    """Audio of it that the recogniser had no time for: words may be missing."""
    error: str = ""
    """Why words of it are missing, where the recogniser said so."""


@dataclass(frozen=True, slots=True)
class VoiceConfirmed:
    """A second opinion on the last audio: the probability (0..1) that it holds a voice."""

    probability: float


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The recogniser's own detector holds that the caller has finished; whether the turn is over is ours to say."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The recogniser is gone; nothing more will come. `why` and `hint` are for the operator."""

    why: str
    hint: str = ""
    hopeless: bool = False
    """Trying again changes nothing."""
    planned: bool = False
    """Nothing went wrong: the session was as long as the vendor lets one be, and another one can be had at once."""


Hearing = Partial | Final | VoiceConfirmed | SpeechEnded | Lost


class Listener(Protocol):
    """Recognition of one call. Not shared between calls."""

    def feed(self, audio: bytes) -> None:
        """Caller audio in the format given to `listen`. Never blocks; a full queue drops the oldest and counts it."""

    def finish(self) -> int:
        """The utterance is over: a `Final` with the returned number follows, also when nothing was understood."""

    def hearings(self) -> AsyncIterator[Hearing]:
        """What is heard, in order, until `close` or `Lost`."""

    async def close(self) -> None:
        """End recognition and free its resources."""


class Recogniser(Protocol):
    """A speech-to-text engine."""

    name: str

    async def start(self) -> None:
        """Load what is needed. Raises SpeechUnavailable."""

    async def listen(self, format: AudioFormat) -> Listener:  # noqa: A002
        """A listener that is ready to be fed. Raises SpeechUnavailable."""

    async def close(self) -> None:
        """Stop workers and connections."""


class Voice(Protocol):
    """A text-to-speech engine."""

    name: str

    async def start(self) -> None:
        """Load what is needed. Raises SpeechUnavailable."""

    def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        """Audio of `text` in pieces as they become ready, in any format that `media.convert` knows.

        Raises SpeechUnavailable. Closing the iterator cancels the synthesis.
        """

    async def close(self) -> None:
        """Stop workers and connections."""


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the conversation as it was heard. `cut`: the caller interrupted it there.

    `kind`: what `text` is. Words; keys that the caller pressed; how many seconds the caller was silent; or a hint: an
    operator's instruction to the brain, which the caller did not hear.
    """

    speaker: Literal["agent", "caller", "operator"]
    text: str
    cut: bool = False
    kind: Literal["words", "keys", "silence", "hint"] = "words"


@dataclass(frozen=True, slots=True)
class EarlierCall:
    """What is remembered of a call with the same person. `at`: when it began, epoch ms."""

    at: int
    direction: Literal["inbound", "outbound"]
    lines: Sequence[Said]


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a brain may know when it decides what to say."""

    call_id: str
    direction: Literal["inbound", "outbound"]
    from_number: str
    to_number: str
    lines: Sequence[Said]
    """Oldest first; the last one is what the caller just said. Caller words are untrusted input."""
    purpose: str = ""
    """The message that an outbound call was placed with."""
    began_at: int = 0
    """When this call began, epoch ms."""
    earlier: Sequence[EarlierCall] = ()
    """Earlier calls with the same person, oldest first; only where `session_scope` says that they are remembered."""

    @property
    def our_number(self) -> str:
        """The number of ours that the call is on."""
        return self.to_number if self.direction == "inbound" else self.from_number


@dataclass(frozen=True, slots=True)
class Words:
    """Text to speak. Pieces may end anywhere; the engine cuts sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class EndCall:
    """Hang up once everything before it has been heard. `voicemail`: a machine answered, not a person.

    `farewell` is said first when the reply held no other words.
    """

    voicemail: bool = False
    farewell: str = ""


BrainOutput = Words | EndCall


class Brain(Protocol):
    """Who decides what to say."""

    name: str

    async def start(self) -> None:
        """Load what is needed. Raises SpeechUnavailable."""

    def reply(self, conversation: Conversation) -> AsyncGenerator[BrainOutput, None]:
        """What to say next, streamed. Saying nothing is allowed. Closing the iterator cancels the work."""

    async def close(self) -> None:
        """Stop processes and connections."""


def takes_hints(brain: Brain) -> bool:
    """Whether an operator's hint changes anything. A brain that follows a script only has `takes_hints = False`."""
    return bool(getattr(brain, "takes_hints", True))


@runtime_checkable
class FollowsCalls(Protocol):
    """A brain that wants to know which calls there are, beyond being asked for replies."""

    async def call_begins(self, conversation: Conversation) -> None:
        """The phone rings: time to open what the first reply needs. Nobody waits for it."""

    async def call_ends(self, call_id: str) -> None:
        """The call is over: nothing will be asked about it again."""
