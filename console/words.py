"""How states, people and causes are named on screen: always a symbol and a word, the colour only repeats them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from console.text import clean, mask
from console.who import person_of
from engine.client import Call, Floor, Need, Speaker, State, needs

UNVERIFIED: Final = (
    "SIGNATURES ARE NOT CHECKED: any program on this machine can fake calls. Remove skip_signature_verification"
)


class Look(NamedTuple):
    """A symbol, a word and the ink of both."""

    symbol: str
    word: str
    ink: str
    short: str = ""
    """The word in four cells, for narrow tables."""
    said: str = ""
    """How it is said where there is room, if that is not the word."""

    @property
    def full(self) -> str:
        """The words for a place with room."""
        return self.said or self.word


STATE_LOOKS: Final[Mapping[State, Look]] = {
    State.INITIATED: Look("◌", "starting", "ringing", "dial"),
    State.RINGING: Look("◐", "ringing", "ringing", "ring"),
    State.ANSWERED: Look("◉", "answered", "live", "up"),
    State.ACTIVE: Look("●", "live", "live", "live"),
    State.SPEAKING: Look("►", "speaking", "live", "talk"),
    State.LISTENING: Look("●", "listening", "live", "hear"),
    State.COMPLETED: Look("✓", "completed", "ended", "done"),
    State.HANGUP_USER: Look("✓", "hung up", "ended", "hung"),
    State.HANGUP_BOT: Look("✓", "we ended", "ended", "end"),
    State.TIMEOUT: Look("✗", "timeout", "failed", "time"),
    State.ERROR: Look("✗", "error", "failed", "err"),
    State.FAILED: Look("✗", "failed", "failed", "fail"),
    State.NO_ANSWER: Look("✗", "no answer", "failed", "none", "nobody answered"),
    State.BUSY: Look("✗", "busy", "failed", "busy"),
    State.VOICEMAIL: Look("◍", "machine", "ended", "mach", "answering machine"),
}
UNKNOWN_LOOK: Final = Look("?", "unknown", "dim", "lost")
"""A call that was live when the engine was last heard of."""
WAITING_LOOK: Final = Look("◈", "waiting", "warn", "wait", "waits to be let in")
"""A caller whom nobody knows, until somebody decides."""
REFUSED_LOOK: Final = Look("✗", "refused", "ended", "no", "was not let in")
"""A caller who was turned away before anybody answered."""
AWAY_LOOK: Final = Look("⇢", "away", "warn", "away", "put through")
"""A caller who talks to another number instead of us."""
SPEAKER_LOOKS: Final[Mapping[Speaker, Look]] = {
    "agent": Look("▸", "agent", "agent"),
    "caller": Look("◂", "caller", "caller"),
    "operator": Look("◆", "operator", "operator"),
}
FLOOR_LOOKS: Final[Mapping[Floor, Look]] = {
    "agent": Look("▸", "agent", "agent"),
    "operator": Look("◆", "operator", "operator"),
    "held": Look("‖", "held", "warn"),
}
_ENDINGS: Final[Mapping[State, str]] = {
    State.HANGUP_USER: "the caller hung up",
    State.HANGUP_BOT: "ended",
    State.COMPLETED: "completed",
    State.TIMEOUT: "ended at the time limit",
    State.ERROR: "ended after an error",
    State.FAILED: "the call failed",
    State.NO_ANSWER: "nobody answered",
    State.BUSY: "the line was busy",
    State.VOICEMAIL: "an answering machine took the call",
}
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_ACTORS: Final = {"cli": "the command line"}
_NAMED: Final = frozenset({"agent", "caller", "carrier", "console", "engine", "operator", "plugin"})
DIRECTION_SYMBOLS: Final = {"inbound": "◂", "outbound": "▸"}


def look_of(call: Call, *, adrift: bool = False) -> Look:
    """How a call looks. `adrift`: nobody tells us any more what becomes of live ones."""
    if call.live and adrift:
        return UNKNOWN_LOOK
    if call.live and call.waiting:
        return WAITING_LOOK
    if call.refused:
        return REFUSED_LOOK
    return AWAY_LOOK if call.live and call.transferred_to else STATE_LOOKS[call.state]


def number_text(number: str, masked: bool) -> str:
    """A number as the table shows it."""
    shown = clean(number, 32) or "unknown"
    return mask(shown) if masked and number else shown


def mask_numbers(text: str, masked: bool) -> str:
    """A sentence of ours or of the engine, with its numbers masked like those of the table."""
    return _NUMBER.sub(lambda found: mask(found.group()), text) if masked else text


def by_text(by: str) -> str:
    """` by the console`: who did something, to be put behind what was done; nothing if nobody is named."""
    name = clean(by, 40)
    if not name:
        return ""
    if person := person_of(name):
        return f" by {person}"
    return f" by {_ACTORS.get(name) or (f'the {name}' if name in _NAMED else name)}"


def ended_text(reason: State, by: str, detail: str) -> str:
    """Why a call is over, in words. A detail that is a carrier's code and no sentence is left out."""
    words = _ENDINGS.get(reason, reason.value)
    if reason in (State.HANGUP_BOT, State.COMPLETED):
        words += by_text(by)
    said = clean(detail, 300)
    return f"{words}: {said}" if " " in said else words


def attention(call: Call, now: int) -> tuple[Need, ...]:
    """Why a person should look at this call, in words that are safe to draw."""
    return tuple(replace(need, why=clean(need.why, 200)) for need in needs(call, now))
