"""The top line: product, carrier, counts, public address, and the screen's own health; below it alarms, if any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.facts import Exposure
from console.paint import Part, Row, crop_row, pack
from console.text import clean
from console.widgets.lines import Panel


@dataclass(frozen=True, slots=True)
class Health:
    """How the console and its engine fare. Lags in ms; None is unknown."""

    loop_lag_ms: float = 0.0
    engine_lag_ms: float | None = None
    dropped: int = 0
    """Updates that the screen missed because it was too slow; it caught up from the store."""


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """All that the top line says."""

    provider: str = ""
    connected: bool = False
    live: int = 0
    ringing: int = 0
    today: int = 0
    alerts: int = 0
    exposure: Exposure = Exposure()
    health: Health = Health()
    frozen: bool = False
    masked: bool = False
    unknown: int = 0
    """Calls that were live when the engine was last heard of."""
    waiting: int = 0
    """Callers who wait to be let in."""
    starting: bool = False
    """The engine has not said anything yet."""


def header_row(facts: HeaderFacts, width: int) -> Row:
    """The top line in `width` cells; what matters least makes room."""
    mark: Row = (("●", "good"),) if facts.connected else (("✗", "bad"),)
    if facts.starting:
        mark = (("… starting", "dim"),)
    left: list[Part] = [
        (0, ((" voicecall", "title"),)),
        (2, ((f"{facts.provider or ('' if facts.starting else 'no carrier')} ", "text"), *mark)),
        (1, counts(facts)),
        (0, ((f" {facts.alerts} ! ", "alarm"),) if facts.alerts else ()),
        (1, ((" FROZEN ", "badge"),) if facts.frozen else ()),
        (3, ((" MASKED ", "badge"),) if facts.masked else ()),
    ]
    where: Row = () if facts.starting else address(facts.exposure)
    right: list[Part] = [(4, where), (3, health(facts.health))]
    return pack(left, right, width)


def counts(facts: HeaderFacts) -> Row:
    """Live, ringing and today's calls."""
    if facts.unknown:
        return ((f"{facts.unknown} unknown", "warn"), (" · ", "dim"), (f"{facts.today}", "text"), (" today", "dim"))
    waiting: Row = ((f"{facts.waiting}", "warn"), (" waiting · ", "dim")) if facts.waiting else ()
    return (
        *waiting,
        (f"{facts.live}", "live" if facts.live else "dim"),
        (" live · ", "dim"),
        (f"{facts.ringing}", "ringing" if facts.ringing else "dim"),
        (" ringing · ", "dim"),
        (f"{facts.today}", "text"),
        (" today", "dim"),
    )


def address(exposure: Exposure) -> Row:
    """The public address and how the last probe went."""
    if not exposure.public_url:
        return (("not exposed", "dim"),)
    url = exposure.public_url.removesuffix("/")
    if exposure.ok is None:
        return ((f"{url} ", "text"), ("○", "dim"))
    if not exposure.ok:
        return ((f"{url} ", "text"), ("✗ unreachable", "bad"))
    took = f" {exposure.ms:.0f} ms" if exposure.ms is not None and exposure.ms >= 0 else ""
    return ((f"{url} ", "text"), ("●", "good"), (took, "dim"))


def health(state: Health) -> Row:
    """Loop lag, engine lag and dropped updates: a number is shown in colour when it is bad."""
    engine = "–" if state.engine_lag_ms is None else f"{state.engine_lag_ms:.0f}"
    return (
        ("ui ", "dim"),
        (f"{state.loop_lag_ms:.0f}", _judged(state.loop_lag_ms, 50, 200)),
        (" engine ", "dim"),
        (engine, _judged(state.engine_lag_ms or 0, 10, 40)),
        (" ms", "dim"),
        (f" · {state.dropped} dropped" if state.dropped else "", "warn"),
        (" ", "dim"),
    )


def _judged(value: float, warn: float, bad: float) -> str:
    return "bad" if value >= bad else "warn" if value >= warn else "dim"


class Header(Panel):
    """The top line."""

    DEFAULT_CSS = "Header { height: 1; background: $panel; }"

    facts = HeaderFacts()

    def show(self, facts: HeaderFacts) -> None:
        """Draw these facts."""
        if facts != self.facts:
            self.facts = facts
            self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        return [header_row(self.facts, width)]


class Banner(Panel):
    """Alarms: one line each, no space when there are none."""

    DEFAULT_CSS = "Banner { height: 0; background: $panel; }"

    alarms: tuple[str, ...] = ()

    def show(self, alarms: Sequence[str]) -> None:
        """Draw these alarms."""
        alarms = tuple(clean(alarm, 300) for alarm in alarms)[:3]
        if alarms == self.alarms:
            return
        if len(alarms) != len(self.alarms):
            self.styles.height = len(alarms)
        self.alarms = alarms
        self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        return [crop_row(((f" ! {alarm} ".ljust(width), "alarm"),), width) for alarm in self.alarms]
