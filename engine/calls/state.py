"""Call states and the one rule that says which moves are allowed.

The names and their order are public (they appear in call records, events and the plugin's own store): a call
only moves forward, `speaking` and `listening` alternate, and the nine end reasons are terminal and sticky.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a call stands. The last nine are also the end reasons."""

    INITIATED = "initiated"
    RINGING = "ringing"
    ANSWERED = "answered"
    ACTIVE = "active"
    SPEAKING = "speaking"
    LISTENING = "listening"
    COMPLETED = "completed"
    HANGUP_USER = "hangup-user"
    HANGUP_BOT = "hangup-bot"
    TIMEOUT = "timeout"
    ERROR = "error"
    FAILED = "failed"
    NO_ANSWER = "no-answer"
    BUSY = "busy"
    VOICEMAIL = "voicemail"

    @property
    def terminal(self) -> bool:
        """The call is over and never moves again."""
        return self in END_REASONS


_ORDER: dict[State, int] = {state: index for index, state in enumerate(State)}
_TALK = frozenset({State.SPEAKING, State.LISTENING})

END_REASONS: frozenset[State] = frozenset(
    {
        State.COMPLETED,
        State.HANGUP_USER,
        State.HANGUP_BOT,
        State.TIMEOUT,
        State.ERROR,
        State.FAILED,
        State.NO_ANSWER,
        State.BUSY,
        State.VOICEMAIL,
    }
)


def next_state(current: State, wanted: State) -> State:
    """The state after `wanted` is asked for: `wanted` where the move is allowed, else `current`.

    Late, repeated and reordered carrier events therefore do no harm: they change nothing.
    """
    if current.terminal or wanted is current:
        return current
    if wanted.terminal or (current in _TALK and wanted in _TALK):
        return wanted
    return wanted if _ORDER[wanted] > _ORDER[current] else current


def end_reason(value: object) -> State:
    """Read an end reason from event data; an unknown one counts as `error` so that no call stays open."""
    try:
        state = State(str(value))
    except ValueError:
        return State.ERROR
    return state if state.terminal else State.ERROR
