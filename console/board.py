"""What the screen knows: the calls folded from the log, and the few facts beside them that panels show.

The board is written by one task on the console's loop and read by the painter on the same loop. Its values are
immutable, so a shallow copy of it is a frozen picture (the `freeze` command).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from console.facts import Act, Exposure, Levels, Note, Partial, Streams, Webhooks
from console.text import clean
from engine.client import Call, Event, apply

MAX_ENDED: Final = 200
"""Calls that are over and stay on the board; history has the rest."""
MAX_NOTES: Final = 200
"""Notes kept per call."""
MAX_ACTS: Final = 200


@dataclass
class Board:
    """See the module."""

    calls: dict[str, Call] = field(default_factory=dict)
    partials: dict[str, Partial] = field(default_factory=dict)
    levels: dict[str, Levels] = field(default_factory=dict)
    notes: dict[str, tuple[Note, ...]] = field(default_factory=dict)
    trouble: dict[str, str] = field(default_factory=dict)
    """Call -> what is wrong with it just now, beyond what its record says."""
    webhooks: Webhooks = Webhooks()
    streams: Streams = Streams()
    exposure: Exposure = Exposure()
    provider: str = ""
    engine_version: str = ""
    engine_stopped: str = ""
    acts: deque[Act] = field(default_factory=lambda: deque(maxlen=MAX_ACTS))
    version: int = 0
    """Grows with every change, so that a painter knows when there is nothing to do."""

    @property
    def _tables(self) -> tuple[dict[str, Any], ...]:
        return (self.calls, self.partials, self.levels, self.notes, self.trouble)

    def copy(self) -> Board:
        """A picture of the board as it is now."""
        picture = copy(self)
        for name in ("calls", "partials", "levels", "notes", "trouble", "acts"):
            setattr(picture, name, copy(getattr(self, name)))
        return picture

    def reset(self, events: Iterable[Event]) -> None:
        """Start again from a backlog. The acts stay: they are this console's own memory."""
        fresh = Board(acts=self.acts, version=self.version)
        for each in fields(fresh):
            setattr(self, each.name, getattr(fresh, each.name))
        self.take(events)

    def take(self, events: Iterable[Event]) -> None:
        """Fold a batch of events, stored and ephemeral."""
        for event in events:
            self._take(event)
        self._forget_oldest()
        self.version += 1

    @property
    def live(self) -> list[Call]:
        return [call for call in self.calls.values() if call.live]

    def _take(self, event: Event) -> None:
        if event.type == "audio.level":
            self._level(event)
            return
        if event.type == "speech.partial":
            self._partial(event)
            return
        if event.call_id is not None:
            call = apply(self.calls.get(event.call_id), event)
            if call is not None:
                self.calls[event.call_id] = call
        special = _HANDLERS.get(event.type)
        if special is not None:
            special(self, event)

    def _level(self, event: Event) -> None:
        call = self.calls.get(event.call_id or "")
        if call is None or not call.live:
            return
        before = self.levels.get(call.call_id, Levels())
        self.levels[call.call_id] = before.push(_number(event.data, "caller", -90), _number(event.data, "agent", -90))

    def _partial(self, event: Event) -> None:
        call = self.calls.get(event.call_id or "")
        if call is None or not call.live:
            return
        text = clean(_text(event.data, "text"))
        if text:
            started = self.partials.get(call.call_id)
            self.partials[call.call_id] = Partial(started.at if started else event.at, text)
        else:
            self.partials.pop(call.call_id, None)

    def note(self, event: Event, text: str, bad: bool = False) -> None:
        """Add a note to the transcript of the event's call."""
        if event.call_id in self.calls:
            notes = self.notes.get(event.call_id, ())
            self.notes[event.call_id] = (*notes, Note(event.at, clean(text, 300), bad))[-MAX_NOTES:]

    def _forget_oldest(self) -> None:
        ended = [call for call in self.calls.values() if not call.live]
        for call in sorted(ended, key=lambda call: call.ended_at or 0)[: max(0, len(ended) - MAX_ENDED)]:
            for table in self._tables:
                table.pop(call.call_id, None)


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _number(data: Mapping[str, Any], key: str, default: float) -> float:
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return default
    return float(value)


def _by(event: Event) -> str:
    by = clean(_text(event.data, "by"), 40)
    return f" by {by}" if by else ""


def _on_final(board: Board, event: Event) -> None:
    board.partials.pop(event.call_id or "", None)


def _on_ended(board: Board, event: Event) -> None:
    key = event.call_id or ""
    board.partials.pop(key, None)
    board.levels.pop(key, None)
    board.trouble.pop(key, None)
    call = board.calls.get(key)
    if call is not None and not any(note.text.startswith("call ended") for note in board.notes.get(key, ())):
        detail = _text(event.data, "detail")
        board.note(event, f"call ended: {call.state.value}{_by(event)}{': ' + detail if detail else ''}")


def _on_error(board: Board, event: Event) -> None:
    hint = _text(event.data, "hint")
    said = _text(event.data, "message") or _text(event.data, "code")
    board.note(event, f"error: {said}{'. ' + hint if hint else ''}", bad=True)


def _on_answered(board: Board, event: Event) -> None:
    call = board.calls.get(event.call_id or "")
    if call is not None and call.answered_at == event.at:
        board.note(event, "answered")


def _on_floor(board: Board, event: Event) -> None:
    board.note(event, f"floor: {clean(_text(event.data, 'holder'), 20)}{_by(event)}")


def _on_keys_in(board: Board, event: Event) -> None:
    board.note(event, f"caller pressed {_text(event.data, 'digits')}")


def _on_keys_out(board: Board, event: Event) -> None:
    board.note(event, f"keys sent: {_text(event.data, 'digits')}{_by(event)}")


def _on_webhook(board: Board, event: Event) -> None:
    data, counts = event.data, board.webhooks
    verdict = _text(data, "verdict")
    board.webhooks = replace(
        counts,
        ok=counts.ok + (verdict == "ok"),
        replays=counts.replays + (verdict == "replay"),
        refused=counts.refused + (verdict not in ("ok", "replay")),
        last_at=event.at,
        last_type=clean(_text(data, "type"), 40),
        last_verdict=clean(verdict, 20),
        last_why=clean(_text(data, "why"), 200),
        last_ms=_number(data, "ms", -1) if "ms" in data else None,
        last_effect=clean(_text(data, "effect"), 40),
    )


def _on_stream_opened(board: Board, event: Event) -> None:
    board.streams = replace(board.streams, opened=board.streams.opened + 1, last="opened", last_why="")


def _on_stream_started(board: Board, event: Event) -> None:
    board.streams = replace(board.streams, started=board.streams.started + 1, last="started", last_why="")
    board.trouble.pop(event.call_id or "", None)


def _on_stream_lost(board: Board, event: Event) -> None:
    call = board.calls.get(event.call_id or "")
    if call is None or not call.live:
        return
    why = clean(_text(event.data, "why"), 200)
    board.streams = replace(board.streams, lost=board.streams.lost + 1, last="lost", last_why=why)
    board.trouble[call.call_id] = f"the audio stream was lost{': ' + why if why else ''}"
    board.note(event, f"stream lost{': ' + why if why else ''}", bad=True)


def _on_stream_resumed(board: Board, event: Event) -> None:
    board.streams = replace(board.streams, last="resumed", last_why="")
    board.trouble.pop(event.call_id or "", None)
    board.note(event, "stream resumed")


def _on_speech_failed(board: Board, event: Event) -> None:
    hint = _text(event.data, "hint")
    board.note(event, f"recognition failed: {_text(event.data, 'error')}{'. ' + hint if hint else ''}", bad=True)


def _on_reply_failed(board: Board, event: Event) -> None:
    call = board.calls.get(event.call_id or "")
    if call is not None and call.live:
        board.trouble[call.call_id] = "the last reply failed"
    board.note(event, f"reply failed: {_text(event.data, 'error')}", bad=True)


def _on_say_failed(board: Board, event: Event) -> None:
    board.note(event, f"line not spoken: {_text(event.data, 'error')}", bad=True)


def _on_say_heard(board: Board, event: Event) -> None:
    if board.trouble.get(event.call_id or "") == "the last reply failed":
        board.trouble.pop(event.call_id or "", None)


def _on_exposure(board: Board, event: Event) -> None:
    data, before = event.data, board.exposure
    ok = data.get("ok")
    board.exposure = Exposure(
        provider=clean(_text(data, "provider"), 30) or before.provider,
        public_url=clean(_text(data, "publicUrl"), 200) or before.public_url,
        ok=ok if isinstance(ok, bool) else before.ok,
        ms=_number(data, "ms", -1) if "ms" in data else before.ms,
        error=clean(_text(data, "error"), 200) if ok is not True else "",
    )


def _on_engine_started(board: Board, event: Event) -> None:
    board.provider = clean(_text(event.data, "provider"), 20)
    board.engine_version = clean(_text(event.data, "version"), 20)
    board.engine_stopped = ""


def _on_engine_stopped(board: Board, event: Event) -> None:
    board.engine_stopped = clean(_text(event.data, "why"), 80) or "stopped"


def _on_operator(board: Board, event: Event) -> None:
    by = clean(_text(event.data, "by"), 40)
    if by == "console":
        return  # what this console did is in its own log already, with the outcome
    call = board.calls.get(event.call_id or "")
    what = clean(_text(event.data, "action"), 60) + (f" {call.peer}" if call else "")
    board.acts.append(Act(event.at, by or "unknown", what))


_HANDLERS: Final[Mapping[str, Callable[[Board, Event], None]]] = {
    "call.answered": _on_answered,
    "call.ended": _on_ended,
    "call.error": _on_error,
    "dtmf.received": _on_keys_in,
    "dtmf.sent": _on_keys_out,
    "engine.started": _on_engine_started,
    "engine.stopped": _on_engine_stopped,
    "exposure.changed": _on_exposure,
    "exposure.probed": _on_exposure,
    "floor.changed": _on_floor,
    "operator.acted": _on_operator,
    "reply.failed": _on_reply_failed,
    "say.failed": _on_say_failed,
    "say.heard": _on_say_heard,
    "speech.failed": _on_speech_failed,
    "speech.final": _on_final,
    "stream.lost": _on_stream_lost,
    "stream.opened": _on_stream_opened,
    "stream.resumed": _on_stream_resumed,
    "stream.started": _on_stream_started,
    "webhook.received": _on_webhook,
}
