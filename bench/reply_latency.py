"""What the engine itself adds to an answer, and how soon a barge-in is at the carrier, with 20 calls at once.

Real calls on the simulated carrier (a process of its own). The vendors are servers of known delays (`vendors`):

    added      from the end of a turn to the first frame of the answer on the wire, less what the vendors take.
               The wait for the end of the turn is no part of it, nor is what people take.
    barge-in   from the decision that the caller interrupts to the carrier's receipt of `clear`, on the clock that all
               processes of a machine share

    python bench/reply_latency.py [--calls 20] [--seconds 45]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.common import arguments, percentile, show  # noqa: E402
from bench.sounds import NoRecordings  # noqa: E402
from bench.vendors import Delays, KnownRecogniser, VendorServer  # noqa: E402
from engine.carriers.mock import MockCarrier  # noqa: E402
from engine.config import Config, parse_config  # noqa: E402
from engine.engine import Engine  # noqa: E402
from engine.host import EngineThread  # noqa: E402
from engine.live import streamed  # noqa: E402
from engine.media.turns import BargeIn, TurnEvent, TurnTaker  # noqa: E402
from engine.media.vad import GateFrame  # noqa: E402
from engine.speech.brains.factory import make_brain  # noqa: E402
from engine.speech.desk import SpeechDesk  # noqa: E402
from engine.speech.factory import make_voice  # noqa: E402

OURS: Final = ("text", "agent", "sentence", "voice", "send")
"""The stages between the end of a turn and the first frame of its answer."""
SCRIPT: Final = (
    "Hi, I would like to move my appointment to another day, please.",
    "I am not sure whether that is possible for me.",
    "Do you have anything later in the afternoon?",
    "Could you please repeat the very last one of them?",
    "And how long would such an appointment take?",
    "My sister wants to come along, is that all right?",
)
RAMP: Final = 10.0
"""Calls placed in a second."""
DECISIONS: list[float] = []
"""When the callers' barge-ins were decided, monotonic ms."""


class WatchedTurns(TurnTaker):
    """Notes when it decides that the caller interrupts."""

    def frame(self, gate: GateFrame, now_ms: int, we_speak: bool) -> Sequence[TurnEvent]:
        events = super().frame(gate, now_ms, we_speak)
        if any(isinstance(event, BargeIn) for event in events):
            DECISIONS.append(time.monotonic() * 1000)
        return events


def settings(calls: int, vendors: str) -> Config:
    """Half of the people let us finish, half interrupt."""
    config = parse_config(b"", None, {}).config
    people = [
        {"number": number(index), "manners": ["interrupts" if index % 2 else "patient"], "script": list(SCRIPT)}
        for index in range(calls)
    ]
    tts = {"provider": "openai", "providers": {"openai": {"base_url": vendors, "api_key": "k", "model": "known"}}}
    limits = {"max_connections": calls + 8, "max_pending_connections": calls + 8}
    changes = {
        "from_number": "+15550100100",
        "serve": {"port": 0},
        "mock": {"callers": people},
        "tts": tts,
        "response": {"provider": "openai", "base_url": vendors, "api_key": "k"},
        "streaming": {**limits, "max_pending_connections_per_ip": calls + 8},
        "max_concurrent_calls": calls + 1,
    }
    return config.model_validate(changes)


def number(index: int) -> str:
    """The number of the person in call `index`."""
    return f"+1555013{index:04d}"


async def measure(engine: Engine, calls: int, seconds: float, delays: Delays) -> dict[str, Any]:
    """Place the calls, let them talk, and read what the log and the carrier say."""
    await engine.speech_settled()
    for index in range(calls):
        await engine.initiate(number(index), "Hello, this is Riverside Dental.", "conversation", by="agent")
        await asyncio.sleep(1 / RAMP)
    await asyncio.sleep(seconds)
    carrier = engine.carrier
    assert isinstance(carrier, MockCarrier)
    live = len(engine.live_calls())
    turns = [event.data["stages"] for event in await engine._log.read_turns(10_000)]
    report = await carrier.report()
    clears = sorted(at for call in report["calls"] for stream in call["streams"] for at in stream["cleared_at"])
    added = [sum(stages[name] for name in OURS) - delays.total for stages in turns]
    each = {name: [stages[name] for stages in turns] for name in OURS}
    known = {"text": delays.text, "agent": delays.words, "voice": delays.voice}
    return {
        "calls": calls,
        "live": live,
        "turns": len(turns),
        "addedMs": spread(added),
        "stagesAddedMs": {name: spread([ms - known.get(name, 0) for ms in values]) for name, values in each.items()},
        "bargeIns": len(DECISIONS),
        "clearMs": spread(list(_pairs(DECISIONS, clears))),
    }


def _pairs(decisions: Sequence[float], clears: Sequence[float]) -> list[float]:
    """Decision -> the first clear after it that belongs to no earlier one, ms."""
    left = list(clears)
    out = []
    for at in sorted(decisions):
        arrived = next((clear for clear in left if clear >= at), None)
        if arrived is not None:
            left.remove(arrived)
            out.append(arrived - at)
    return out


def spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    return {name: round(percentile(values, share), 1) for name, share in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))}


def main() -> int:
    parser = arguments(__doc__ or "")
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=45.0, help="how long they talk")
    options = parser.parse_args()
    streamed.TurnTaker = WatchedTurns  # type: ignore[attr-defined]
    delays = Delays()
    try:
        with VendorServer(delays) as vendors, tempfile.TemporaryDirectory() as folder:
            config = settings(options.calls, vendors.url)
            desk = SpeechDesk(KnownRecogniser(delays), make_voice(config), make_brain(config))
            thread = EngineThread(config, Path(folder), desk)
            thread.start()
            try:
                work = measure(thread.engine, options.calls, options.seconds, delays)
                figures = asyncio.run_coroutine_threadsafe(work, thread.loop).result()
            finally:
                thread.stop(now=True)
    except NoRecordings as missing:
        print(f"can not run: {missing}", file=sys.stderr)
        return 1
    lines = [
        f"{figures['calls']} calls, {figures['turns']} answered turns, {figures['bargeIns']} barge-ins",
        f"the engine adds to an answer, ms:          {_text(figures['addedMs'])}",
        *(f"    {name:<10} {_text(values)}" for name, values in figures["stagesAddedMs"].items()),
        f"barge-in decided to clear at the carrier:  {_text(figures['clearMs'])}",
    ]
    show(lines, figures, options.json)
    return 0 if figures["turns"] else 1


def _text(values: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:g}" for name, value in values.items()) or "nothing measured"


if __name__ == "__main__":
    sys.exit(main())
