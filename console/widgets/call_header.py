"""The line above the transcript: whose call this is, where it stands, who has the floor, what is under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from console.facts import Levels
from console.paint import Part, Row, pack
from console.text import clean, clock_text
from console.who import person_of
from console.widgets.lines import Panel
from console.words import AWAY_LOOK, FLOOR_LOOKS, look_of, number_text
from engine.client import Call

TITLED: Final = 60
"""Cells from which the floor is named."""
METER: Final = 12
"""Cells of the level meter: 5 dB each."""


_KINDS: Final[Mapping[str, str]] = {"native": "carrier's voice", "inline": "carrier's notice"}
"""How a call is spoken in, where it is not our voice: it has no levels, and is less quick."""


def _whither(call: Call, masked: bool) -> Row:
    """Whom the caller was put through to; of a call that is over too, if that is how it ended."""
    if not call.transferred_to:
        return ()
    to = number_text(call.transferred_to, masked)
    return ((f"to {to}" if call.live else f"{AWAY_LOOK.symbol} {to}", "warn" if call.live else "dim"),)


def _recorded(call: Call) -> Row:
    """Whether the call is kept as sound, or the caller is just being told that it will be."""
    if call.recording == "on":
        return ((" REC ", "alarm"),)
    return (("rec: the caller is told", "warn"),) if call.recording == "asked" else ()


def call_header_row(
    call: Call | None,
    now: int,
    width: int,
    *,
    masked: bool,
    pending: str = "",
    alert: str = "",
    adrift: bool = False,
    levels: Levels | None = None,
    holder: str = "",
) -> Row:
    """The selected call in one line. Times are epoch ms; `pending` is what was asked and is not done yet."""
    if call is None:
        return ((" no call selected", "dim"),)
    unknown = adrift and call.live
    look, floor = look_of(call, adrift=adrift), FLOOR_LOOKS[call.floor]
    now = call.last_at if unknown else now
    began = call.answered_at or call.started_at
    left: list[Part] = [
        (0, ((f" {number_text(call.peer, masked)}", "title"),)),
        (3, ((call.direction, "dim"),)),
        (0, ((f"{look.symbol} {look.full}", look.ink),)),
        (0, _whither(call, masked)),
        (0, _recorded(call) if call.live and not unknown else ()),
        (1, ((clock_text(((call.ended_at or now) - began) / 1000), "text"),)),
        (4, ((_KINDS.get(call.media, call.mode), "dim"),)),
        (3, ((f"keys {clean(call.dtmf[-12:])}", "dim"),) if call.dtmf else ()),
        (2, level_meter(levels) if levels is not None and call.live and not unknown else ()),
    ]
    who = f" {clean(holder, 24)}" if holder and width >= TITLED else ""
    right: list[Part] = [
        (1, ((pending, "warn"),) if pending else ()),
        (0, (("!", "bad"),) if alert else ()),
        (0, ((f"● {person_of(call.microphone) or 'a person'} is heard ", "alarm"),) if call.microphone else ()),
        (1, (("floor " if width >= TITLED else "", "dim"), (f"{floor.symbol} {floor.word}{who} ", floor.ink))),
    ]
    return pack(left, right if call.live and not unknown else (), width)


def level_meter(levels: Levels) -> Row:
    """The caller's level on a scale of -66 to -6 dBFS; `┊` marks the line's noise, `│` what would interrupt us."""
    if levels.floor_db is None or levels.threshold_db is None:
        return ()
    level, floor, threshold = (_cell(db) for db in (levels.caller_db, levels.floor_db, levels.threshold_db))
    cells = [("█" if cell <= level else "·", "meter-caller" if cell <= level else "off") for cell in range(METER)]
    if floor >= 0:
        cells[floor] = ("┊", "dim")
    if threshold >= 0:
        cells[threshold] = ("│", "warn")
    return (("level ", "dim"), *cells)


def _cell(db: float) -> int:
    """The cell of a level, -1 for what is below the scale."""
    return max(-1, min(METER - 1, int((db + 66) // (60 / METER))))


class CallHeader(Panel):
    """Shows the selected call."""

    DEFAULT_CSS = "CallHeader { height: 1; background: $surface; }"

    call: Call | None = None
    now = 0
    masked = False
    pending = ""
    alert = ""
    adrift = False
    holder = ""
    levels: Levels | None = None

    def show(
        self,
        call: Call | None,
        now: int,
        *,
        masked: bool,
        pending: str,
        alert: str,
        adrift: bool = False,
        levels: Levels | None = None,
        holder: str = "",
    ) -> None:
        """Draw `call` as it is at `now` (epoch ms)."""
        self.levels = levels
        self.call, self.now, self.masked, self.pending, self.alert = call, now, masked, pending, alert
        self.adrift, self.holder = adrift, holder
        self.redraw()

    def show_levels(self, levels: Levels | None) -> None:
        """Draw other levels of the same call."""
        if levels != self.levels:
            self.levels = levels
            self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        return [
            call_header_row(
                self.call,
                self.now,
                width,
                masked=self.masked,
                pending=self.pending,
                alert=self.alert,
                adrift=self.adrift,
                levels=self.levels,
                holder=self.holder,
            )
        ]
