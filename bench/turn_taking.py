"""Turn taking in recorded situations: false and missed barge-ins, turns that ended wrongly.

Each situation goes frame by frame through the real gate, echo guard, turn taker and ears of a call, with the local
recogniser on the clock of the audio (`offline_ears`). Our own voice stops when the engine decides so, and so does its
echo. What is counted is what a caller would notice:

    false barge-in   our voice stopped, and nobody meant it to
    missed           the caller spoke over us, and our voice did not stop within 1.5 s (or before they had finished)
    cut              their turn was held to be over in its middle, and answered
    no end           their turn was not answered within 2.5 s of its last sound
    no turn          something was answered that was no turn

    python bench/turn_taking.py [--seed 1 2 3] [--wrong] [--set complete_ms=500]
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.common import arguments, percentile, show  # noqa: E402
from bench.offline_ears import OfflineRecogniser  # noqa: E402
from bench.situations import OUR_DB, Echo, Situation, Situations, Span  # noqa: E402
from bench.sounds import NoRecordings, at_level, frames, mulaw, room, synthesized  # noqa: E402
from engine.live.ears import Ears  # noqa: E402
from engine.live.turn_clock import TurnClock  # noqa: E402
from engine.media.audio import FRAME_BYTES, FRAME_MS  # noqa: E402
from engine.media.g711 import mulaw_to_pcm16  # noqa: E402
from engine.media.ledger import heard_text  # noqa: E402
from engine.media.phrases import is_nod  # noqa: E402
from engine.media.turns import TurnSettings, TurnTaker  # noqa: E402
from engine.media.vad import Gate  # noqa: E402

MISSED_MS: Final = 1500
NO_END_MS: Final = 2500
LEAD_FRAMES: Final = 8
CLEAR_FRAMES: Final = 3
"""Our voice sounds on for so long after the decision to stop it."""
HOPS: Final = 6
"""How often the loop turns until what a listener said has reached the ears."""
ERRORS: Final = ("false barge-in", "missed", "cut", "no end", "no turn")


@dataclass
class Outcome:
    """What the engine made of a situation, on the clock of its audio (ms)."""

    barge_ins: list[int] = field(default_factory=list)
    answers: list[tuple[int, str]] = field(default_factory=list)
    resumed: int = 0
    """Interrupted lines that went on, since nothing was said."""
    texts: list[str] = field(default_factory=list)


class _Call:
    """Our side of a call: `Hears` for the ears, and our voice."""

    def __init__(self, situation: Situation) -> None:
        self.now = 0
        self.outcome = Outcome()
        self._line = situation.ours
        line = at_level(synthesized(situation.ours), OUR_DB) if situation.ours else None
        self._voice = list(frames(line)) if line is not None else []
        self._echo = _echo_frames(self._voice, situation.echo)
        self._starts = situation.ours_at_ms // FRAME_MS
        self._stopped: int | None = None
        self._sent = 0

    def we_speak(self) -> bool:
        return self._starts <= self.now // FRAME_MS < min(self._stopped or 1 << 30, self._starts + len(self._voice))

    def to_send(self) -> list[bytes]:
        """What leaves for the caller in this tick: the lead first, then a frame a tick."""
        if not self.we_speak():
            return []
        wanted = self.now // FRAME_MS - self._starts + LEAD_FRAMES
        out = self._voice[self._sent : wanted]
        self._sent = max(self._sent, wanted)
        return out

    def echo(self) -> bytes | None:
        """What of our voice comes back in this tick."""
        at = self.now // FRAME_MS - self._starts
        heard_until = (self._stopped or 1 << 30) + CLEAR_FRAMES - self._starts
        return self._echo.get(at, (None, 0))[0] if self._echo.get(at, (None, 0))[1] < heard_until else None

    def caller_began(self) -> None:
        """A reply would wait."""

    def caller_interrupts(self) -> None:
        if self.we_speak():
            self.outcome.barge_ins.append(self.now)
            self._stopped = self.now // FRAME_MS

    def caller_said_nothing(self) -> None:
        """Nothing to answer; a line that was interrupted goes on."""
        self.outcome.resumed += self._stopped is not None and not self.outcome.answers

    def cannot_hear(self, for_good: bool) -> None:
        """The recogniser is in this process: it does not get lost."""

    def hears_again(self) -> None:
        """As always."""

    def caller_said(self, text: str, clock: TurnClock) -> None:
        if self._stopped is not None and not self.outcome.answers:  # as `LiveCall` does
            ms = (self._stopped - self._starts) * FRAME_MS
            heard = heard_text(self._line, ms, len(self._voice) * FRAME_MS)
            if is_nod(text, heard, self._line[len(heard) :]):
                self.outcome.resumed += 1
                return
        self.outcome.answers.append((round(clock.points["ended"]), text))


def _echo_frames(voice: list[bytes], echo: Echo | None) -> dict[int, tuple[bytes, int]]:
    """Tick since our line began -> (the echo in it, which tick of our voice it is)."""
    if echo is None or not voice:
        return {}
    import numpy as np

    said = np.frombuffer(mulaw_to_pcm16(b"".join(voice)), np.int16).astype(np.float64)
    back = (room(said) if echo.in_room else said) * 10 ** (echo.gain_db / 20)
    back = np.concatenate([np.zeros(echo.delay_ms * 8), back])
    coded = mulaw(back)
    pieces = [coded[at : at + FRAME_BYTES] for at in range(0, len(coded) - FRAME_BYTES, FRAME_BYTES)]
    return {at: (piece, at - echo.delay_ms // FRAME_MS) for at, piece in enumerate(pieces)}


def _added(frame: bytes, echo: bytes | None) -> bytes:
    if echo is None:
        return frame
    import audioop

    return audioop.lin2ulaw(audioop.add(mulaw_to_pcm16(frame), mulaw_to_pcm16(echo), 2), 2)


async def listen(situation: Situation, recogniser: OfflineRecogniser, settings: TurnSettings) -> Outcome:
    """Let the engine hear a situation."""
    call = _Call(situation)
    facts: list[Any] = []
    ears = Ears(
        "bench",
        recogniser,
        Gate(),
        TurnTaker(settings),
        call,
        call.we_speak,
        facts.append,
        lambda *_: None,
        lambda: float(call.now),
    )
    running = asyncio.create_task(ears.run())
    await ears.wait_ready()
    listener = recogniser.listener
    assert listener is not None
    ears.our_line(situation.ours)
    for frame in frames(situation.caller):
        for ours in call.to_send():
            ears.echo.sent(ours)
        call.now += FRAME_MS
        ears.on_frame(_added(frame, call.echo()), call.now)
        listener.advance(call.now)
        for _ in range(HOPS):
            await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    call.outcome.texts = [str(fact.data["text"]) for fact in facts if fact.type == "speech.final"]
    return call.outcome


def mistakes(situation: Situation, outcome: Outcome) -> list[str]:
    """What went wrong, in the words of `ERRORS`."""
    wrong: list[str] = []
    first = situation.said[0] if situation.interrupts else None
    meant = [
        at for at in outcome.barge_ins if first is not None and first.from_ms <= at <= first.until_ms + NO_END_MS
    ]
    wrong += ["false barge-in"] * (len(outcome.barge_ins) - len(meant))
    if first is not None and not (meant and meant[0] <= min(first.from_ms + MISSED_MS, first.until_ms + 400)):
        wrong.append("missed")
    answers = [at for at, _ in outcome.answers]
    for span in situation.said:
        inside = [at for at in answers if span.from_ms <= at < span.until_ms - 60]
        after = [at for at in answers if span.until_ms - 60 <= at <= span.until_ms + NO_END_MS]
        wrong += ["cut"] * len(inside) + ["no end"] * (not after)
        answers = [at for at in answers if at not in inside and at not in after[:1]]
    return wrong + ["no turn"] * len(answers)


def delays(situation: Situation, outcome: Outcome) -> Iterator[tuple[str, int]]:
    """How long a barge-in took from the caller's first sound, and an end of turn from their last."""
    first: Span | None = situation.said[0] if situation.interrupts else None
    if first is not None and outcome.barge_ins and outcome.barge_ins[0] >= first.from_ms:
        yield "barge-in", outcome.barge_ins[0] - first.from_ms
    for span in situation.said:
        after = [at for at, _ in outcome.answers if at >= span.until_ms - 60]
        if after:
            yield "end", after[0] - span.until_ms


async def run(
    seeds: list[int], only: list[str], settings: TurnSettings, wrong_only: bool
) -> tuple[list[str], dict[str, Any]]:
    """All situations of all seeds: lines for a person, and the figures."""
    recogniser = OfflineRecogniser()
    kinds: dict[str, Counter[str]] = {}
    waits: dict[str, list[int]] = {"barge-in": [], "end": []}
    lines, rows = [], []
    for seed in seeds:
        for situation in Situations(seed).all():
            if only and situation.kind not in only:
                continue
            outcome = await listen(situation, recogniser, settings)
            wrong = mistakes(situation, outcome)
            for name, ms in delays(situation, outcome):
                waits[name].append(ms)
            count = kinds.setdefault(situation.kind, Counter())
            count["situations"] += 1
            count["interruptions"] += situation.interrupts
            count["turns"] += len(situation.said)
            count.update(wrong)
            count["resumed"] += bool(outcome.resumed and "false barge-in" in wrong)
            heard = " | ".join(text for text in outcome.texts)
            rows.append(
                {"seed": seed, "kind": situation.kind, "name": situation.name, "wrong": wrong, "heard": heard}
            )
            if wrong or not wrong_only:
                mark = ", ".join(wrong) or "right"
                lines.append(f"{seed} {situation.kind:<12} {situation.name[:58]:<58} {mark:<16} {heard[:90]}")
    total: Counter[str] = sum(kinds.values(), Counter())
    lines += ["", f"{'':<13} {'cases':>6} {'turns':>6} " + " ".join(f"{name:>14}" for name in ERRORS)]
    for kind, count in (*kinds.items(), ("all", total)):
        cells = " ".join(f"{count[name]:>14}" for name in ERRORS)
        lines.append(f"{kind:<13} {count['situations']:>6} {count['turns']:>6} {cells}")
    lines.append(f"of {total['false barge-in']} false barge-ins our line went on by itself after {total['resumed']}")
    figures: dict[str, Any] = {
        "seeds": seeds,
        "resumed": total["resumed"],
        **_counts(total),
        "kinds": {k: _counts(c) for k, c in kinds.items()},
    }
    for name, values in waits.items():
        if values:
            spread = {f"p{share}": percentile(values, share / 100) for share in (50, 95)}
            figures[f"{name} ms"] = {**spread, "count": len(values)}
            lines.append(f"{name}: p50 {spread['p50']} ms, p95 {spread['p95']} ms after the sound ({len(values)})")
    figures["situationsTable"] = rows
    return lines, figures


def _counts(count: Counter[str]) -> dict[str, int]:
    return {name: count[name] for name in ("situations", "interruptions", "turns", *ERRORS)}


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="which people, noises and moments")
    parser.add_argument("--kind", nargs="+", default=[], help="only these: noise, echo, turn, ...")
    parser.add_argument("--wrong", action="store_true", help="list only what went wrong")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=MS", help="other settings of turn taking")
    options = parser.parse_args()
    changes: dict[str, Any] = {key: int(value) for key, _, value in (change.partition("=") for change in options.set)}
    settings = dataclasses.replace(TurnSettings(), **changes)
    try:
        lines, figures = asyncio.run(run(options.seed, options.kind, settings, options.wrong))
    except (NoRecordings, ImportError) as missing:
        print(f"can not run: {missing}", file=sys.stderr)
        return 1
    show(lines, figures, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
