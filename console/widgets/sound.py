"""The line of local sound: whether our microphone is live, and what is listened to. Red means that we are heard.

It takes no space while there is nothing to say. The same words stand on top of every other screen while the
microphone is live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from console.keys import Registry
from console.monitor import SoundState
from console.paint import Part, Row, pack
from console.text import clean
from console.widgets.lines import Panel

BARS: Final = " ▁▂▃▄▅▆▇█"
_LAYOUTS: Final = {"split": "caller left, us right", "mixed": "both", "caller": "caller only", "ours": "us only"}
LIVE: Final = "● MIC LIVE"


@dataclass(frozen=True, slots=True)
class SoundFacts:
    """What the line says."""

    sound: SoundState = SoundState()
    wanted: bool = False
    """Listening is switched on, also where nothing can be heard."""
    mic_at: str = ""
    """The number that the microphone reaches."""
    heard: str = ""
    """The number that is listened to."""
    ours: bool = False
    """The caller on the screen waits for our person to speak."""

    @property
    def live(self) -> bool:
        """The caller hears this machine's microphone."""
        return self.sound.talking.state == "live"


def level_bar(db: float) -> str:
    """A level of -60 to -10 dBFS as one cell."""
    return BARS[max(1, min(8, round((db + 60) / 50 * 8)))]


def sound_row(facts: SoundFacts, registry: Registry, width: int) -> Row:
    """The line; nothing when there is nothing to say."""
    mic, hearing = facts.sound.talking, facts.sound.hearing
    parts: list[Part] = []
    if mic.state == "live":
        parts.append((0, ((f" {LIVE} ", "alarm"), (f" {facts.mic_at} hears you ", "bad"))))
        parts.append((1, ((level_bar(mic.level_db), "bad"),)))
        keys = f"{registry.key('latch')} mutes" if mic.latched else f"{registry.key('latch')} keeps it open"
        parts.append((2, ((keys, "dim"),)))
    elif mic.state == "muted":
        parts.append((0, ((" ○ mic muted ", "badge"), (f" {facts.mic_at} ", "text"))))
        parts.append((1, ((level_bar(mic.level_db), "dim"),)))
        parts.append((1, ((f"hold {registry.key('talk')} to talk", "key"),)))
        parts.append((2, ((f"{registry.key('latch')} opens it, {registry.key('hand-back')} hands back", "dim"),)))
    elif mic.trouble and facts.ours:
        parts.append((0, ((f" ○ no mic: {clean(mic.trouble, 200)}", "warn"),)))
    right: list[Part] = []
    if facts.wanted and hearing.trouble:
        right.append((1, ((f"♪ no sound: {clean(hearing.trouble, 200)} ", "warn"),)))
    elif facts.wanted and not facts.heard:
        right.append((1, (("♪ listening: this call has no sound ", "dim"),)))
    elif facts.wanted:
        muted: Row = (("MUTED ", "badge"),) if hearing.muted else ()
        right.append((0, ((f"♪ {facts.heard} ", "live"), *muted)))
        right.append((3, ((f"{_LAYOUTS[hearing.layout]} ", "dim"),)))
        right.append((2, ((f"{hearing.volume} % ", "dim"),)))
    return pack(parts, right, width) if parts or right else ()


class SoundBar(Panel):
    """Shows it on the main screen."""

    DEFAULT_CSS = "SoundBar { height: 0; background: $panel; }"

    facts = SoundFacts()

    def __init__(self, registry: Registry) -> None:
        super().__init__(id="sound")
        self._registry = registry
        self._row: Row = ()

    def show(self, facts: SoundFacts) -> None:
        """Draw these facts."""
        self.facts = facts
        row = sound_row(facts, self._registry, max(20, self.app.size.width))
        if row == self._row:
            return
        if bool(row) is not bool(self._row):
            self.styles.height = 1 if row else 0
        self._row = row
        self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        return [self._row] if self._row else []


class MicLive(Static):
    """One red line at the very top of a screen."""

    DEFAULT_CSS = """
    MicLive {
        dock: top; height: 1; width: 100%; background: $alarm; color: $alarm-text; text-style: bold; padding: 0 1;
    }
    """

    def __init__(self, number: str) -> None:
        super().__init__(Content(f"{LIVE}  {number} hears you"), markup=False)


def keep_mic_line(screen: Screen[object], live_at: str) -> None:
    """Put the line on `screen`, or take it away. Again is harmless."""
    lines = screen.query(MicLive)
    if live_at and not lines:
        screen.mount(MicLive(live_at))
    elif not live_at and lines:
        lines.remove()
