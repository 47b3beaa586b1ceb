"""Somebody whom nobody knows waits to be let in: who, for how long still, and which keys decide."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from console.board import Board
from console.facts import Waiting
from console.keys import Registry
from console.paint import Part, Row, pack
from console.text import clean, count_text
from console.widgets.lines import Panel
from console.words import WAITING_LOOK, number_text
from engine.client import Call

ROWS: Final = 2
_LEVEL: Final = re.compile(r"(?:^|-)([abc])(?:-|$)")
_ATTESTED: Final[Mapping[str, str]] = {
    "a": "number verified",
    "b": "caller known, number not",
    "c": "only the gateway known",
}


def attestation_text(word: str) -> str:
    """What a carrier's word about a number means: STIR/SHAKEN's A, B and C, as Twilio (`TN-Validation-Passed-A`) and
    others write them."""
    said = clean(word, 64).casefold()
    if "fail" in said or "invalid" in said:
        return "number check FAILED"
    level = _LEVEL.search(said)
    return _ATTESTED[level[1]] if level else "number not verified"


def seconds_left(waiting: Waiting, now: int) -> int:
    """Until the engine turns the caller away; `now` is epoch ms."""
    return max(0, math.ceil(waiting.seconds - (now - waiting.since) / 1000))


@dataclass(frozen=True, slots=True)
class Stranger:
    """Who the banner is about, and how many wait besides."""

    call: Call
    waiting: Waiting
    others: int = 0


def find_stranger(board: Board, selected: str | None) -> Stranger | None:
    """The selected call if it waits, else the one that has waited longest."""
    calls = sorted((call for call in board.live if call.waiting), key=lambda call: (call.started_at, call.call_id))
    call = next((call for call in calls if call.call_id == selected), calls[0] if calls else None)
    if call is None:
        return None
    return Stranger(call, board.waiting.get(call.call_id, Waiting(call.started_at)), len(calls) - 1)


def waiting_rows(stranger: Stranger, now: int, width: int, registry: Registry, *, masked: bool) -> list[Row]:
    """The banner's two lines: who, and what can be done."""
    call, waiting = stranger.call, stranger.waiting
    earlier = count_text(waiting.earlier, "earlier call") if waiting.earlier else "first call"
    known = any(char in "0123456789" for char in call.peer)
    number = number_text(call.peer, masked) if known else "a hidden number"
    facts: list[Part] = [
        (0, ((f" {WAITING_LOOK.symbol} {number} waits", "badge"),)),
        (1, ((f"{seconds_left(waiting, now)} s left", "badge"),)),
        (2, ((attestation_text(waiting.attestation), "badge"),)),
        (3, ((earlier, "badge"),)),
    ]
    row = pack(facts, [], width, gap=" · ")
    keys: list[Part] = [(0, ((f"   {registry.key('admit')}", "key"), (" lets in once", "text")))]
    if known:
        keys.append((1, ((registry.key("admit-always"), "key"), (" lets in always", "text"))))
    keys.append((0, ((registry.key("reject"), "key"), (" rejects", "text"))))
    more = ((f"{stranger.others} more waiting ", "warn"),) if stranger.others else ()
    return [tuple((text, "badge") for text, _ in row), pack(keys, [(2, more)], width)]


class WaitingBanner(Panel):
    """Takes no space while nobody waits. `target` is whom the keys decide about: whoever the operator sees here."""

    DEFAULT_CSS = "WaitingBanner { height: 0; background: $panel; }"

    stranger: Stranger | None = None
    now = 0
    masked = False

    def __init__(self, registry: Registry) -> None:
        super().__init__(id="waiting")
        self._registry = registry

    @property
    def target(self) -> str | None:
        return self.stranger.call.call_id if self.stranger is not None else None

    def show(self, stranger: Stranger | None, now: int, *, masked: bool) -> None:
        """Draw who waits as it is at `now` (epoch ms)."""
        if (stranger is None) is not (self.stranger is None):
            self.styles.height = 0 if stranger is None else ROWS
        self.stranger, self.now, self.masked = stranger, now, masked
        self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        if self.stranger is None:
            return []
        return waiting_rows(self.stranger, self.now, width, self._registry, masked=self.masked)
