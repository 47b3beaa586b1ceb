"""The real engine in this process, with N live calls on the real simulated carrier (a process of its own).

Started by `calls.py` and `keys.py`, one process for each measurement, because memory is measured too. What is real:
webhooks, tokens, media sockets, the voice gate and turn taking on every frame, playout, the event log on disk, and,
with `--view screen`, the console on this process's terminal. What is stood in for: synthesis (lines synthesized
beforehand, cut into the pieces of the local voice and converted for the telephone in each call) and recognition
(nobody is heard: 100 callers who talk without a pause are more than two cores can transcribe).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import os
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.common import cpu_seconds, resident_mb  # noqa: E402
from engine.api import Refusal  # noqa: E402
from engine.carriers.mock import MockCarrier  # noqa: E402
from engine.config import Config, parse_config  # noqa: E402
from engine.engine import Engine  # noqa: E402
from engine.host import EngineThread  # noqa: E402
from engine.media.audio import Audio, AudioFormat  # noqa: E402
from engine.media.playout_stats import PlayoutStats  # noqa: E402
from engine.simulator.launch import STATE_FILE  # noqa: E402
from engine.simulator.voices import (  # noqa: E402
    NoiseSynthesizer,
    PicoSynthesizer,
    Synthesizer,
    voice_spec,
)
from engine.speech.brains.script import ScriptBrain  # noqa: E402
from engine.speech.desk import SpeechDesk  # noqa: E402
from engine.speech.ports import (  # noqa: E402
    Final as FinalText,
)
from engine.speech.ports import (  # noqa: E402
    Hearing,
    Listener,
    Recogniser,
    SpeechUnavailable,
    Voice,
    VoiceConfirmed,
)

PCM: Final = AudioFormat("pcm16", 16_000)
PIECE_BYTES: Final = PCM.bytes_for(320)
OPINION_FEEDS: Final = 25
LINES: Final = (
    "Hello, this is Riverside Dental, and your check-up is due.",
    "We have Tuesday at ten, Wednesday at half past two, and Friday afternoon.",
    "Which of these would suit you best?",
    "Please bring your insurance card, and come ten minutes early if it is your first visit.",
    "You find us beside the train station.",
)
"""What the agent says: a sentence each, as the engine cuts replies into sentences; 4 s on average."""
LINES_AHEAD: Final = 2
"""Lines of a call that are under way: one is heard, the next one waits, so the agent never pauses."""
CONNECT_SECONDS: Final = 60.0
WARM_UP_SECONDS: Final = 2.0
LEAVE_SECONDS: Final = 30.0
SETTLE_SECONDS: Final = 5.0
"""Before each of the two looks at memory; the engine settles its heap in this time."""


# -- what is stood in for ----------------------------------------------------------------------


class ReadyMade(Voice):
    """Speaks lines that were synthesized before."""

    name = "ready-made"

    def __init__(self, lines: Sequence[str]) -> None:
        try:
            synthesizer: Synthesizer = PicoSynthesizer()
        except ImportError:
            synthesizer = NoiseSynthesizer()
        self.kind = synthesizer.kind
        self._audio = {line: synthesizer.speak(line, voice_spec("grace")) for line in lines}

    async def start(self) -> None:
        """Everything is there."""

    async def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        if text not in self._audio:
            raise SpeechUnavailable(f"{text!r} was not synthesized beforehand")
        audio = self._audio[text]
        for at in range(0, len(audio), PIECE_BYTES):
            yield Audio(PCM, audio[at : at + PIECE_BYTES])

    async def close(self) -> None:
        """Nothing to let go of."""


class Deaf(Listener):
    """Understands nothing, and holds twice a second that what it gets is no voice: nobody is interrupted."""

    def __init__(self) -> None:
        self._hearings: asyncio.Queue[Hearing | None] = asyncio.Queue()
        self._feeds = 0
        self._utterances = 0

    def feed(self, audio: bytes) -> None:
        self._feeds += 1
        if self._feeds % OPINION_FEEDS == 1:
            self._hearings.put_nowait(VoiceConfirmed(0.0))

    def finish(self) -> int:
        self._utterances += 1
        self._hearings.put_nowait(FinalText("", self._utterances))
        return self._utterances

    async def hearings(self) -> AsyncIterator[Hearing]:
        while (hearing := await self._hearings.get()) is not None:
            yield hearing

    async def close(self) -> None:
        self._hearings.put_nowait(None)


class NoRecogniser(Recogniser):
    """Makes deaf listeners."""

    name = "none"

    async def start(self) -> None:
        """Nothing to load."""

    async def listen(self, format: AudioFormat) -> Deaf:  # noqa: A002
        return Deaf()

    async def close(self) -> None:
        """Nothing to let go of."""


def settings(calls: int, manners: str) -> Config:
    """Room for `calls`, and as many people with a number of their own and the same manners."""
    config = parse_config(b"", None, {}).config
    people = [{"number": number(index), "manners": [manners], "script": list(LINES)} for index in range(calls + 1)]
    streaming = {"max_connections": calls + 8, "max_pending_connections": calls + 8}
    return config.model_copy(
        update={
            "from_number": "+15550100100",
            "serve": config.serve.model_copy(update={"port": 0}),
            "mock": config.mock.model_validate({**config.mock.model_dump(), "callers": people}),
            "streaming": config.streaming.model_copy(
                update={**streaming, "max_pending_connections_per_ip": calls + 8}
            ),
            "max_concurrent_calls": calls + 1,
            "max_duration_seconds": 3600,
        }
    )


def number(index: int) -> str:
    """The number of the person in call `index`."""
    return f"+1555012{index:04d}"


# -- load --------------------------------------------------------------------------------------


class Load:
    """Places the calls, keeps the agent speaking in all of them, and measures. On the engine's loop."""

    def __init__(self, engine: Engine, calls: int, tell: Callable[[str, dict[str, Any]], None]) -> None:
        assert isinstance(engine.carrier, MockCarrier)
        self._engine = engine
        self._carrier = engine.carrier
        self._calls = calls
        self._tell = tell
        self._simulator = int(json.loads((engine.state_dir / STATE_FILE).read_text())["pid"])

    async def run(self, seconds: float, ramp: float, settle: float) -> None:
        """Measure for `seconds` (0: until cancelled) with all calls up; `ramp` calls are placed in a second."""
        await self._engine.speech_settled()
        await self._warm_up()
        await asyncio.sleep(settle)
        gc.collect()
        idle_mb = resident_mb(os.getpid())
        async with asyncio.TaskGroup() as group:
            agents = await self._connect(group, ramp)
            await asyncio.sleep(settle)
            self._tell("up", {})
            figures = await self._measure(seconds or float("inf"), idle_mb)
            for agent in agents:
                agent.cancel()
        await self._end_all()
        self._tell("measured", figures)

    async def _warm_up(self) -> None:
        """One call before the first look at memory: what is loaded once is no call's."""
        call_id = await self._dial(self._calls)
        await self._answered(call_id)
        await asyncio.sleep(WARM_UP_SECONDS)
        await self._end_all()

    async def _dial(self, index: int) -> str:
        return await self._engine.initiate(number(index), LINES[0], "conversation", by="agent")

    async def _connect(self, group: asyncio.TaskGroup, ramp: float) -> list[asyncio.Task[None]]:
        agents = []
        for index in range(self._calls):
            call_id = await self._dial(index)
            agents += [group.create_task(self._speak_on(call_id)) for _ in range(LINES_AHEAD)]
            await asyncio.sleep(1 / ramp)
        async with asyncio.timeout(CONNECT_SECONDS):
            # Watching the events instead would be a watcher that headless engines do not have.
            while self._engine.health()["exposure"]["streams"] < self._calls:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        return agents

    async def _speak_on(self, call_id: str) -> None:
        """Speak line after line, once the call is connected, for as long as it is up."""
        await self._answered(call_id)
        for line in itertools.cycle(LINES):
            await self._engine.speak(call_id, line, by="agent")

    async def _answered(self, call_id: str) -> None:
        """Return once the call is answered. Raises RuntimeError when it ends instead."""
        async with asyncio.timeout(CONNECT_SECONDS):
            while (call := self._engine.call(call_id)) is None or call.answered_at is None:
                if call is not None and not call.live:
                    raise RuntimeError(f"no call to {call.to_number}: {call.state}, by {call.ended_by}, {call.error}")
                await asyncio.sleep(0.1)

    async def _end_all(self) -> None:
        for call in self._engine.live_calls():
            with contextlib.suppress(Refusal):
                await self._engine.end(call.call_id, by="agent")

    async def _measure(self, seconds: float, idle_mb: float) -> dict[str, Any]:
        loop, pid = asyncio.get_running_loop(), os.getpid()
        audio = await self._audio_at_the_callers()
        before, cpu, simulator = self._stats(), cpu_seconds(pid), cpu_seconds(self._simulator)
        began = loop.time()
        await asyncio.sleep(seconds)
        took = loop.time() - began
        after = self._stats()
        cpu, simulator = cpu_seconds(pid) - cpu, cpu_seconds(self._simulator) - simulator
        resident = resident_mb(pid)
        audio_after = await self._audio_at_the_callers()
        return {
            "calls": self._calls,
            "live": len(self._engine.live_calls()),
            "seconds": round(took, 1),
            **since(before, after),
            "silencePercent": _silence(audio, audio_after),
            "engineCpuPercent": round(100 * cpu / took, 1),
            "simulatorCpuPercent": round(100 * simulator / took, 1),
            "idleMb": round(idle_mb, 1),
            "residentMb": round(resident, 1),
            "kbPerCall": round((resident - idle_mb) * 1024 / self._calls),
        }

    def _stats(self) -> PlayoutStats:
        return self._engine._media.stats()

    async def _audio_at_the_callers(self) -> dict[str, tuple[int, int]]:
        """What the carrier knows: call -> ms since the answer, ms of them with audio of ours."""
        report = await self._carrier.report(self._calls)
        return {call["id"]: (call["line_ms"], call["heard"]["audio_ms"]) for call in report["calls"] if call["heard"]}


def since(before: PlayoutStats, after: PlayoutStats) -> dict[str, Any]:
    """How late frames left between two looks at the engine's own counts, in ms."""
    lateness = Counter(after.lateness)
    lateness.subtract(before.lateness)
    window = PlayoutStats(sent=after.sent - before.sent, lateness=dict(+lateness))
    return {
        "frames": window.sent,
        "lateMs": {
            "p50": window.percentile(0.50),
            "p99": window.percentile(0.99),
            "max": max(window.lateness, default=0),
        },
        "late20": window.late,
        "gaps": after.gaps - before.gaps,
    }


def _silence(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> float:
    """Percent of the callers' time in which they had nothing of ours to hear."""
    spans = [(after[call], before[call]) for call in after.keys() & before.keys()]
    line = sum(late[0] - early[0] for late, early in spans)
    heard = sum(late[1] - early[1] for late, early in spans)
    return round(100 * (1 - heard / line), 2) if line else 0.0


# -- process -----------------------------------------------------------------------------------


def run(options: argparse.Namespace, state_dir: Path, tell: Callable[[str, dict[str, Any]], None]) -> None:
    desk = SpeechDesk(NoRecogniser(), ReadyMade(LINES), ScriptBrain())
    thread = EngineThread(settings(options.calls, options.people), state_dir, desk)
    thread.start()
    try:
        load = Load(thread.engine, options.calls, tell)
        future = asyncio.run_coroutine_threadsafe(
            load.run(options.seconds, options.ramp, options.settle), thread.loop
        )
        if options.view == "screen":
            _console(thread, state_dir, future)
        if options.seconds or future.done():
            future.result(None if options.view == "headless" else LEAVE_SECONDS)
    finally:
        thread.stop(now=True)


def _console(thread: EngineThread, state_dir: Path, load: Future[None]) -> None:
    """The console on this terminal until the load is through, or SIGTERM comes."""
    from console.app import run_app
    from console.options import ConsoleOptions
    from engine.client import InProcessClient

    shown = threading.Event()
    shown.set()
    load.add_done_callback(lambda _: os.kill(os.getpid(), signal.SIGTERM) if shown.is_set() else None)
    client = InProcessClient(thread.engine, thread.loop, by="console")
    run_app(client, ConsoleOptions(log_path=state_dir / "console.log"))
    shown.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--view", choices=["headless", "screen"], default="headless")
    parser.add_argument("--people", choices=["talker", "sink"], default="talker")
    parser.add_argument("--ramp", type=float, default=15)
    parser.add_argument("--settle", type=float, default=SETTLE_SECONDS)
    parser.add_argument("--report-fd", type=int, default=1, help="where figures go, one JSON object a line")
    options = parser.parse_args()

    def tell(phase: str, figures: dict[str, Any]) -> None:
        os.write(options.report_fd, json.dumps({"phase": phase, **figures}).encode() + b"\n")

    with tempfile.TemporaryDirectory() as folder:
        run(options, Path(folder), tell)


if __name__ == "__main__":
    main()
