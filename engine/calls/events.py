"""The facts that the log is made of.

An event is a small JSON value. `Draft` is a fact that nobody has stored yet; the store turns drafts into `Event`s
with a strictly increasing `seq`. Readers ignore types and keys that they do not know, so both may be added to.

| type | data |
|---|---|
| call.initiated | provider, direction, mode, from, to, message?, by?, media? (stream, native, inline) |
| call.dialing | - (recorded before the carrier is asked) |
| call.accepted | providerCallId (the carrier took the dial, or announced an inbound call), guessed? (by numbers) |
| call.renamed | providerCallId, was (the carrier has another id for the call than at the dial) |
| call.disowned | providerCallId, owner (the carrier's call turned out to be that other call of ours) |
| call.voice | media (native: by the carrier's own voice from now on), why |
| call.ringing, call.answered, call.active | - |
| call.waiting | seconds, earlier (calls of that number), attestation? (a stranger waits until a person decides) |
| call.admitted | verdict (once, always, no), by, why? |
| caller.forgotten | number, by (let in for good before, a stranger again; belongs to no call) |
| call.machine | answeredBy (human, machine, machine_end, fax, unknown), action |
| call.transferred | to, by |
| call.returned | why (the transfer is over and the call is ours again) |
| call.ended | reason (an end state), by? (caller, agent, operator, carrier, engine), detail? |
| call.error | code, message, hint? |
| call.cost | total (amount and currency, in the carrier's words), billedSeconds? (often after the end) |
| webhook.received | verdict (ok/refused/replay), why, ms, matched, effect, type, form?, tried?, record?, replayed? |
| stream.opened | streamId |
| stream.started | streamId, encoding, sampleRate |
| stream.first_frame | streamId |
| stream.lost, stream.resumed | streamId, why? |
| stream.refused | streamId, why: a media socket that named the call and may not carry it |
| speech.ready | engine, insteadOf? (the recogniser that it replaces in this call) |
| speech.started | - |
| speech.final | text, turn, startedAt (epoch ms), backchannel? (said under our voice, not answered), missingMs? |
| speech.failed | engine, error, hint?, final (none works any more), fallback? (who is asked instead) |
| say.queued | sayId, speaker (agent, operator), kind (greeting, reply, speak, notify, hold, keys), text |
| say.worded | sayId, text: what is really said, where that was not known when it was queued |
| say.started | sayId, synthMs, engine? (who speaks), cached? (it was spoken before) |
| say.fallback | sayId, engine, to (who speaks instead), error, hint?, afterMs? (audio of the line that was there) |
| say.heard | sayId, ms |
| say.cut | sayId, heardMs, heardText, error? (not the caller: the voice broke off) |
| say.skipped | sayId, why |
| say.failed | sayId, error |
| turn.completed | turn, stages (name -> ms), engines (stt, brain, tts -> name), waitedMs (people took it; no stage) |
| reply.failed | turn, error, hint?, late? (the answer may still come) |
| reply.late | turn, text, spoken (an answer that came after its time; not spoken when the talk had moved on) |
| dtmf.received, dtmf.sent | digits, by? |
| floor.changed | holder (agent, operator, held), by, why? (the engine took it from somebody who is gone) |
| microphone.changed | live, by, why? (a person's own voice goes to the caller, or no longer does) |
| operator.said | text, startedAt (epoch ms), ms, by, error? (why nobody knows the words): through the microphone |
| operator.hint | text, by (for the brain; the caller does not hear it) |
| exposure.changed | provider, publicUrl, ok, error?, hint? |
| exposure.probed | publicUrl, ok, ms?, step?, cause?, error?, fix? (a look from outside, when its verdict changed) |
| recording.announced | sayId (the consent line is being said) |
| recording.started | index (1, 2, ... of its call), file, startedAt (epoch ms of its first sample), by |
| recording.stopped | index, file, ms, by?, why?, lostMs? (the disk was too slow: silent there), error? |
| recording.lost | index, why (the disk is too slow; told when it begins) |
| recording.refused | by, why (it did not begin) |
| call.near_limit | secondsLeft (until max_duration_seconds ends it) |
| attention.acknowledged | by (somebody has seen why the call needs a person) |
| operator.acted | action, by, plus what was given |
| engine.started | version, pid, provider |
| engine.stopped | why |
| speech.partial (ephemeral) | text |
| audio.level (ephemeral) | caller, agent, floor (the line's noise), threshold (interrupts us); dBFS, -90 is silence |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Data = Mapping[str, Any]
"""A JSON object: strings, numbers, booleans, None, lists and objects of those."""

EVENT_TYPES: frozenset[str] = frozenset(
    {
        "call.initiated",
        "call.dialing",
        "call.accepted",
        "call.renamed",
        "call.disowned",
        "call.voice",
        "call.ringing",
        "call.answered",
        "call.active",
        "call.waiting",
        "call.admitted",
        "caller.forgotten",
        "call.machine",
        "call.transferred",
        "call.returned",
        "call.ended",
        "call.error",
        "call.cost",
        "webhook.received",
        "stream.opened",
        "stream.started",
        "stream.first_frame",
        "stream.lost",
        "stream.resumed",
        "stream.refused",
        "speech.ready",
        "speech.started",
        "speech.final",
        "speech.failed",
        "say.queued",
        "say.worded",
        "say.started",
        "say.heard",
        "say.cut",
        "say.fallback",
        "say.skipped",
        "say.failed",
        "turn.completed",
        "reply.failed",
        "reply.late",
        "dtmf.received",
        "dtmf.sent",
        "floor.changed",
        "microphone.changed",
        "operator.said",
        "operator.hint",
        "exposure.changed",
        "exposure.probed",
        "recording.announced",
        "recording.started",
        "recording.stopped",
        "recording.lost",
        "recording.refused",
        "call.near_limit",
        "attention.acknowledged",
        "operator.acted",
        "engine.started",
        "engine.stopped",
    }
)

EPHEMERAL_TYPES: frozenset[str] = frozenset({"speech.partial", "audio.level"})
"""Broadcast to watchers, never stored; their `seq` is 0."""


_SEQ_DIGITS: Final = 18
"""More digits would not fit the 64 bit of the store."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A fact on its way to the log."""

    type: str
    call_id: str | None = None
    data: Data = field(default_factory=dict)
    at: int | None = None
    """Epoch ms; None: when it is stored."""


@dataclass(frozen=True, slots=True)
class Event:
    """A stored fact (`seq` > 0), or an ephemeral one (`seq` == 0). `at` is epoch milliseconds."""

    seq: int
    at: int
    call_id: str | None
    type: str
    data: Data

    def to_json(self) -> dict[str, Any]:
        """The public shape, as `tail` prints it."""
        return {
            "seq": self.seq,
            "at": self.at,
            "callId": self.call_id,
            "type": self.type,
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Event:
        """Read the public shape back. Raises KeyError, TypeError or ValueError when it is not one."""
        return cls(
            seq=int(value["seq"]),
            at=int(value["at"]),
            call_id=value["callId"],
            type=str(value["type"]),
            data=dict(value["data"]),
        )


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in one log. `generation` names the log, so that a replaced store is noticed."""

    generation: str
    seq: int

    def __str__(self) -> str:
        return f"{self.generation}:{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read `generation:seq`. Raises ValueError when the text is not a cursor."""
        generation, _, seq = text.rpartition(":")
        if not generation or not (seq.isascii() and seq.isdecimal()) or len(seq) > _SEQ_DIGITS:
            raise ValueError(f"not a cursor: {text[:80]!r}")
        return cls(generation, int(seq))
