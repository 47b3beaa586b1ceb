"""What the screen knows: the calls folded from the log, and the few facts beside them that panels show.

The board is written by one task on the console's loop and read by the painter on the same loop. Its values are
immutable, so a shallow copy of it is a frozen picture (the `freeze` command).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, fields
from typing import Any, Final

from console.facts import Act, Exposure, Levels, Note, Partial, Streams, Unsaid, Waiting, Webhooks
from console.happenings import HANDLERS, keep_unsaid
from console.text import clean
from engine.client import Around, Call, Clues, Event, apply, clue, surround

MAX_ENDED: Final = 200
"""Calls that are over and stay on the board; history has the rest."""
MAX_NOTES: Final = 200
"""Notes kept per call."""
MAX_ACTS: Final = 200
NO_CLUES: Final = Clues()


@dataclass
class Board:
    """See the module."""

    calls: dict[str, Call] = field(default_factory=dict)
    partials: dict[str, Partial] = field(default_factory=dict)
    began: dict[str, int] = field(default_factory=dict)
    """Call -> when its caller began to speak, in a turn that goes on."""
    levels: dict[str, Levels] = field(default_factory=dict)
    notes: dict[str, tuple[Note | Unsaid, ...]] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    """Call without its audio stream just now -> why."""
    waiting: dict[str, Waiting] = field(default_factory=dict)
    """Call whose caller waits to be let in -> what is known about them."""
    clues: dict[str, Clues] = field(default_factory=dict)
    """Call -> what the log tells of why it may go wrong."""
    around: Around = Around()
    """The same of what happened to the engine meanwhile."""
    webhooks: Webhooks = Webhooks()
    streams: Streams = Streams()
    exposure: Exposure = Exposure()
    provider: str = ""
    engine_stopped: str = ""
    acts: deque[Act] = field(default_factory=lambda: deque(maxlen=MAX_ACTS))
    version: int = 0
    """Grows with every change, so that a painter knows when there is nothing to do."""
    facts: int = 0
    """Grows with every change but that of levels, which come ten times a second and show in few places."""

    @property
    def _tables(self) -> tuple[dict[str, Any], ...]:
        calls, live = (self.calls, self.clues, self.notes), (self.partials, self.began, self.levels)
        return (*calls, *live, self.lost, self.waiting)

    def copy(self) -> Board:
        """A picture of the board as it is now."""
        picture = copy(self)
        for name in ("calls", "clues", "partials", "began", "levels", "notes", "lost", "waiting", "acts"):
            setattr(picture, name, copy(getattr(self, name)))
        return picture

    def reset(self, events: Sequence[Event]) -> None:
        """Start again from a backlog. The acts stay: they are this console's own memory."""
        fresh = Board(acts=self.acts, version=self.version, facts=self.facts + 1)
        for each in fields(fresh):
            setattr(self, each.name, getattr(fresh, each.name))
        self.take(events)

    def take(self, events: Sequence[Event]) -> None:
        """Fold a batch of events, stored and ephemeral."""
        for event in events:
            self._take(event)
        self._forget_oldest()
        self.version += 1
        self.facts += any(event.type != "audio.level" for event in events)

    @property
    def live(self) -> list[Call]:
        return [call for call in self.calls.values() if call.live]

    def _take(self, event: Event) -> None:
        keep_unsaid(self, event)
        if event.call_id is not None:
            call = apply(self.calls.get(event.call_id), event)
            if call is not None:
                self.calls[event.call_id] = call
                before = self.clues.get(event.call_id, NO_CLUES)
                if (after := clue(before, event)) is not before:
                    self.clues[event.call_id] = after
        self.around = surround(self.around, event)
        special = HANDLERS.get(event.type)
        if special is not None:
            special(self, event)

    def note(self, event: Event, text: str, bad: bool = False) -> None:
        """Add a note to the transcript of the event's call."""
        self.add_note(event.call_id, Note(event.at, clean(text, 300), bad))

    def add_note(self, call_id: str | None, note: Note | Unsaid) -> None:
        """Add a note to the transcript of a call that is known."""
        if call_id in self.calls:
            self.notes[call_id] = (*self.notes.get(call_id, ()), note)[-MAX_NOTES:]

    def _forget_oldest(self) -> None:
        ended = [call for call in self.calls.values() if not call.live]
        for call in sorted(ended, key=lambda call: call.ended_at or 0)[: max(0, len(ended) - MAX_ENDED)]:
            for table in self._tables:
                table.pop(call.call_id, None)
