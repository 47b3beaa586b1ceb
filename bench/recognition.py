"""Does the media path lose words? The word error rate of the bare recogniser against the same through a whole call.

Recorded prompts with known texts, at 8 kHz. *Bare*: each recording is fed as it is, whole, and finished. *Path*: the
recordings are said one after the other in one call, with the noise of a line under them and between them, and go
frame by frame through the carrier's messages, the gate, the turn taker and the ears, which decide what is fed and
when a turn is over. Both use the same model on the same audio, so the difference is what the path loses. Only the
socket between carrier and engine is left out, so that it does not take as long as the people speak.

    python bench/recognition.py [--prompts 60] [--seed 1] [--lines]
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.common import arguments, show  # noqa: E402
from bench.offline_ears import OfflineRecogniser  # noqa: E402
from bench.sounds import RATE, VOICE_DB, NoRecordings, Samples, at_level, frames, mulaw, noise, prompt, texts  # noqa: E402
from engine.live.ears import Ears  # noqa: E402
from engine.live.turn_clock import TurnClock  # noqa: E402
from engine.media.audio import FRAME_MS, PHONE  # noqa: E402
from engine.media.turns import TurnTaker  # noqa: E402
from engine.media.twilio_wire import TwilioWire  # noqa: E402
from engine.media.vad import Gate  # noqa: E402
from engine.media.wire import MediaFrame, Started  # noqa: E402
from engine.speech.ports import Final as FinalText  # noqa: E402
from engine.speech.wer import word_error_rate  # noqa: E402

LINES: Final = {"a good line, -58 dB": -58.0, "room tone, -45 dB": -45.0}
GAP_SECONDS: Final = 2.5
MARGIN_SECONDS: Final = 0.4
HOPS: Final = 6
STREAM: Final = "MZ" + "0" * 32


@dataclass
class _Caller:
    """`Hears`: collects what was understood."""

    said: list[str] = field(default_factory=list)
    turns: int = 0

    def caller_began(self) -> None: ...

    def caller_interrupts(self) -> None: ...

    def caller_said_nothing(self) -> None: ...

    def cannot_hear(self, for_good: bool) -> None: ...

    def hears_again(self) -> None: ...

    def caller_said(self, text: str, clock: TurnClock) -> None:
        self.said.append(text)
        self.turns += 1


def choose(count: int, seed: int) -> list[str]:
    """Names of recordings of 8 to 20 words."""
    names = []
    for name, text in texts().items():
        if 8 <= len(text.split()) <= 20 and text.isascii() and "[" not in text:
            with contextlib.suppress(NoRecordings):
                prompt(name)
                names.append(name)
    return [str(name) for name in np.random.default_rng(seed).permutation(sorted(names))[:count]]


async def bare(audio: list[Samples], recogniser: OfflineRecogniser) -> list[str]:
    """What the recogniser makes of each recording by itself."""
    found = []
    for samples in audio:
        listener = await recogniser.listen(PHONE)
        listener.feed(mulaw(samples))
        listener.finish()
        listener.advance(10**9)
        async for hearing in listener.hearings():
            if isinstance(hearing, FinalText):
                found.append(hearing.text)
                break
    return found


async def through_a_call(audio: list[Samples], gaps: list[Samples], recogniser: OfflineRecogniser) -> list[list[str]]:
    """The turns that a call makes of each recording, said one after the other."""
    now, caller = 0, _Caller()
    wire = TwilioWire()
    assert isinstance(wire.receive(_start()), Started)
    ears = Ears(
        "bench",
        recogniser,
        Gate(),
        TurnTaker(),
        caller,
        lambda: False,
        lambda *_: None,
        lambda *_: None,
        lambda: float(now),
    )
    running = asyncio.create_task(ears.run())
    await ears.wait_ready()
    listener = recogniser.listener
    assert listener is not None
    found: list[list[str]] = []
    for samples, gap in zip(audio, gaps, strict=True):
        for frame in frames(np.concatenate([samples, gap])):
            now += FRAME_MS
            event = wire.receive(_message(frame, now))
            assert isinstance(event, MediaFrame)
            ears.on_frame(event.payload, event.at_ms)
            listener.advance(now)
            for _ in range(HOPS):
                await asyncio.sleep(0)
        found.append(caller.said)
        caller.said = []
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return found


def _start() -> str:
    return json.dumps(
        {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": STREAM,
            "start": {
                "accountSid": "AC" + "0" * 32,
                "streamSid": STREAM,
                "callSid": "CA" + "0" * 32,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": {},
            },
        }
    )


def _message(frame: bytes, now_ms: int) -> str:
    payload = base64.b64encode(frame).decode()
    number = now_ms // FRAME_MS
    return (
        f'{{"event":"media","sequenceNumber":"{number + 1}","streamSid":"{STREAM}",'
        f'"media":{{"track":"inbound","chunk":"{number}","timestamp":"{now_ms}","payload":"{payload}"}}}}'
    )


async def compare(names: list[str], tone_db: float, seed: int) -> dict[str, Any]:
    """Both ways for the same recordings on the same line."""
    recogniser = OfflineRecogniser()
    said = [texts()[name] for name in names]
    clean = [at_level(prompt(name), VOICE_DB) for name in names]
    margin = np.zeros(int(MARGIN_SECONDS * RATE))
    audio = []
    for number, samples in enumerate(clean):
        padded = np.concatenate([margin, samples, margin])
        audio.append(padded + noise(len(padded) / RATE + 0.01, tone_db, 0.5, seed + number)[: len(padded)])
    gaps = [noise(GAP_SECONDS, tone_db, 0.5, seed + 1000 + number) for number in range(len(names))]
    alone = await bare(audio, recogniser)
    turns = await through_a_call(audio, gaps, recogniser)
    pairs = [
        (word_error_rate(t, a), word_error_rate(t, " ".join(p))) for t, a, p in zip(said, alone, turns, strict=True)
    ]
    words = sum(one[1] for one, _ in pairs)
    wrong = [sum(pair[way][0] for pair in pairs) for way in (0, 1)]
    rows = [
        {"name": name, "said": text, "bare": one, "path": two, "errors": [a[0], b[0]]}
        for name, text, one, two, (a, b) in zip(names, said, alone, turns, pairs, strict=True)
    ]
    return {
        "recordings": len(names),
        "words": words,
        "bareWer": round(wrong[0] / words, 4),
        "pathWer": round(wrong[1] / words, 4),
        "differencePoints": round(100 * (wrong[1] - wrong[0]) / words, 2),
        "turns": sum(map(len, turns)),
        "rows": rows,
    }


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lines", action="store_true", help="show every recording that differs")
    options = parser.parse_args()
    try:
        names = choose(options.prompts, options.seed)
        figures = {name: asyncio.run(compare(names, db, options.seed + 10)) for name, db in LINES.items()}
    except (NoRecordings, ImportError) as missing:
        print(f"can not run: {missing}", file=sys.stderr)
        return 1
    out = []
    for name, found in figures.items():
        rows = found["rows"]
        for row in rows if options.lines else ():
            if row["errors"][0] != row["errors"][1]:
                out.append(f"  {row['name']}: {row['errors']}  {row['said']!r}")
                out.append(f"    bare {row['bare']!r}")
                out.append(f"    path {row['path']}")
        out.append(
            f"{name}: {found['words']} words of {found['recordings']} recordings in {found['turns']} turns, "
            f"word error rate bare {found['bareWer']:.2%}, through the call {found['pathWer']:.2%}: "
            f"{found['differencePoints']:+.2f} points"
        )
    show(out, figures, options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
