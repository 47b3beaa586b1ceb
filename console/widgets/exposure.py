"""The exposure panel: who reaches us where, how webhooks were judged, and how the last one and the media fared."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from console.facts import Answers, Exposure, Streams, Webhooks
from console.paint import Part, Row, crop_row, pack
from console.widgets.lines import Panel


@dataclass(frozen=True, slots=True)
class ExposureFacts:
    """All that the panel says."""

    exposure: Exposure = Exposure()
    webhooks: Webhooks = Webhooks()
    streams: Streams = Streams()
    streams_lost_now: int = 0
    """Live calls that have no audio just now."""
    streaming: bool = True
    """Calls get media streams at all."""
    port: int | None = None
    answers: Answers = Answers()
    verifying: bool = True


def exposure_rows(facts: ExposureFacts, width: int, height: int) -> list[Row]:
    """One or two lines; a refused webhook always says why."""
    hooks = facts.webhooks
    left: list[Part] = [
        (3, ((" EXPOSURE", "title"),)),
        (1, ((" ", "text"), *_route(facts))),
        (1, ((" ", "text"), *_webhooks(hooks))),
        (1, _outside(facts.exposure)),
        (1, _streams(facts.streams, facts.streams_lost_now) if facts.streaming or facts.streams.last else ()),
        (2 if _all_verified(facts) else 0, _signatures(facts)),
        (0 if _slow(facts.answers) else 2, _answers(facts.answers)),
    ]
    last, bad = _last(hooks), _dead(facts.exposure) or _refused(hooks) or _trouble(facts)
    if height == 1:
        return [bad or pack(left, [(3, last)], width)]
    return [pack(left, [(3, _address(facts))], width), crop_row(bad or last, width)]


def _route(facts: ExposureFacts) -> Row:
    provider = facts.exposure.provider or "loopback"
    port = f" → :{facts.port}" if facts.port else ""
    return ((f"{provider}{port}", "open" if facts.exposure.public_url else "closed"),)


def _outside(exposure: Exposure) -> Row:
    """How our address looks from outside; nothing where nobody looks."""
    if not exposure.looked or (exposure.ok is None and not exposure.failing):
        return ()
    if exposure.failing or exposure.ok is False:
        word, ink = ("✗ dead", "bad") if exposure.ok is False else ("… failing", "warn")
        return (("outside ", "dim"), (word, ink))
    took = f" {exposure.ms:.0f} ms" if exposure.ms is not None and exposure.ms >= 0 else ""
    return (("outside ", "dim"), ("● ", "good"), (f"ok{took}", "text"))


def _dead(exposure: Exposure) -> Row:
    if exposure.ok is not False:
        return ()
    fix = f" → {exposure.fix}" if exposure.fix else ""
    return ((" ✗ from outside: ", "bad"), (f"{exposure.error or 'not reachable'}{fix}", "text"))


def _slow(answers: Answers) -> bool:
    """So slow that the carrier may soon give up."""
    return answers.p95_ms >= answers.limit_ms / 2 or answers.worst_ms >= answers.limit_ms


def _answers(answers: Answers) -> Row:
    """How fast webhooks are answered, against the carrier's patience."""
    if not answers.count:
        return ()
    said = f"p95 {answers.p95_ms:.0f} ms of {answers.limit_ms / 1000:.0f} s"
    return (("answers ", "dim"), (said, "bad" if _slow(answers) else "text"))


def _webhooks(hooks: Webhooks) -> Row:
    if not hooks.last_at:
        return (("webhook ", "dim"), ("○ none yet", "off"))
    good = hooks.last_verdict in ("ok", "replay")
    mark = ("● ", "good") if good else ("✗ ", "bad")
    words = [f"{hooks.ok} ok"]
    words += [f"{hooks.replays} replayed"] if hooks.replays else []
    words += [f"{hooks.refused} refused"] if hooks.refused else []
    return (("webhook ", "dim"), mark, (" ".join(words), "text"))


def _streams(streams: Streams, lost_now: int) -> Row:
    if not streams.last:
        return (("stream ", "dim"), ("○", "off"))
    if streams.last == "lost" and lost_now:
        return (("stream ", "dim"), ("✗ lost", "bad"))
    lost = f" {streams.lost} lost" if streams.lost else ""
    return (
        ("stream ", "dim"),
        ("● ", "good"),
        (f"{streams.started}/{streams.opened}", "text"),
        (lost, "warn" if lost_now else "dim"),
    )


def _all_verified(facts: ExposureFacts) -> bool:
    return facts.verifying and not facts.webhooks.refused


def _signatures(facts: ExposureFacts) -> Row:
    if not facts.verifying:
        return (("signatures ", "dim"), ("✗ NOT CHECKED", "bad"))
    hooks = facts.webhooks
    total = hooks.ok + hooks.replays + hooks.refused
    good = hooks.ok + hooks.replays
    return (("signatures ", "dim"), (f"{good}/{total}", "text" if good == total else "bad"))


def _last(hooks: Webhooks) -> Row:
    if not hooks.last_at:
        return ()
    took = f" {hooks.last_ms:.0f} ms" if hooks.last_ms is not None and hooks.last_ms >= 0 else ""
    when = time.strftime("%H:%M:%S", time.localtime(hooks.last_at / 1000))
    effect = f" → {hooks.last_effect}" if hooks.last_effect else ""
    said = f"{hooks.last_type or 'webhook'} {hooks.last_verdict}{effect}{took} "
    return ((f" last {when} ", "dim"), (said, "text"))


def _refused(hooks: Webhooks) -> Row:
    if hooks.last_verdict in ("ok", "replay", ""):
        return ()
    why = hooks.last_why or "the signature did not verify"
    return ((" ✗ last webhook refused: ", "bad"), (why, "text"))


def _trouble(facts: ExposureFacts) -> Row:
    if facts.exposure.error and not facts.exposure.failing:
        return ((" ✗ probe: ", "bad"), (facts.exposure.error, "text"))
    if facts.streams_lost_now and facts.streams.last == "lost" and facts.streams.last_why:
        return ((" ✗ stream lost: ", "bad"), (facts.streams.last_why, "text"))
    return ()


def _address(facts: ExposureFacts) -> Row:
    return ((f"{facts.exposure.public_url} ", "dim"),) if facts.exposure.public_url else ()


class ExposurePanel(Panel):
    """Shows exposure, webhooks and media streams."""

    DEFAULT_CSS = "ExposurePanel { height: 2; background: $surface; }"

    facts = ExposureFacts()

    def show(self, facts: ExposureFacts) -> None:
        """Draw these facts."""
        if facts != self.facts:
            self.facts = facts
            self.redraw()

    def draw(self, width: int, height: int) -> Sequence[Row]:
        return exposure_rows(self.facts, width, height)
