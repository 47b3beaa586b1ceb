"""How late the operator hears a call, and how late the caller's carrier gets the operator's voice.

    python bench/operator_sound.py

Clicks in a silence, through the console's own code and a PulseAudio server of our own (apt: pulseaudio
pulseaudio-utils libportaudio2 libasound2-plugins). Hearing: from the frame's arrival to its sound at the
loudspeaker's monitor. Talking: from the click's way into the microphone to the frame for the engine. The tools of
PulseAudio at the far ends (10 and 20 ms buffers) are in the figures.
"""

from __future__ import annotations

import asyncio
import audioop
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.common import arguments, percentile, show  # noqa: E402
from console.sound.devices import SoundSystem  # noqa: E402
from console.sound.hearing import Hearing  # noqa: E402
from console.sound.talking import Talking  # noqa: E402
from engine.client import AudioFrame, MicrophoneLine  # noqa: E402
from engine.clock import epoch_ms  # noqa: E402
from engine.media.levels import level_db  # noqa: E402
from tests.sound.pulse import Pulse, missing, pulse_server  # noqa: E402

QUIET: Final = bytes((0xFF,)) * 160
CLICK: Final = bytes((0x80, 0x80, 0x80, 0x80, 0x00, 0x00, 0x00, 0x00)) * 20
EVERY: Final = 30
"""Frames from one click to the next."""
WARM_FRAMES: Final = 150
LOUD: Final = 2000


class Clicks:
    """A call in which somebody clicks; `at`: when each click's frame came."""

    def __init__(self, clicks: int) -> None:
        self._clicks = clicks
        self.at: list[float] = []
        self.over = asyncio.Event()

    async def listen(self, call_id: str) -> AsyncGenerator[AudioFrame, None]:
        began = time.monotonic()
        for index in range(WARM_FRAMES + self._clicks * EVERY):
            await asyncio.sleep(max(0.0, began + index * 0.02 - time.monotonic()))
            is_click = index >= WARM_FRAMES and index % EVERY == 0
            if is_click:
                self.at.append(time.monotonic())
            yield AudioFrame("caller", CLICK if is_click else QUIET, epoch_ms())
        self.over.set()


class Ear:
    """What the loudspeaker's monitor gives, with the time of each loud piece."""

    def __init__(self, pulse: Pulse) -> None:
        command = ["parec", "-d", "speaker.monitor", "--format=s16le", "--rate=8000", "--channels=1"]
        self._process = subprocess.Popen(
            [*command, "--latency-msec=10"], stdout=subprocess.PIPE, env=pulse.environment, bufsize=0
        )
        self.heard: list[float] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        assert self._process.stdout is not None
        while data := self._process.stdout.read(80):
            now = time.monotonic()
            new = not self.heard or now - self.heard[-1] > 0.2
            if new and len(data) % 2 == 0 and audioop.max(data, 2) > LOUD:
                self.heard.append(now)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(5)


class Way:
    """The way to a caller; `at`: when the first frame of each click came."""

    def __init__(self) -> None:
        self.at: list[float] = []

    @asynccontextmanager
    async def microphone(self, call_id: str) -> AsyncIterator[MicrophoneLine]:
        yield self

    async def send(self, payload: bytes) -> None:
        now = time.monotonic()
        if level_db(payload) > -40 and (not self.at or now - self.at[-1] > 0.2):
            self.at.append(now)

    async def rest(self) -> None:
        """Nothing to do."""

    async def put_away(self) -> None:
        """Nothing to do."""

    async def ended(self) -> str:
        await asyncio.Event().wait()
        return ""


async def hearing_ms(pulse: Pulse, clicks: int) -> list[float]:
    """From the arrival of each click to the loudspeaker."""
    call, ear = Clicks(clicks), Ear(pulse)
    hearing = Hearing(call, SoundSystem(), lambda state: None)
    hearing.listen("a call")
    await call.over.wait()
    await asyncio.sleep(0.5)
    await hearing.close()
    ear.close()
    return _pairs(call.at, ear.heard)


async def talking_ms(pulse: Pulse, clicks: int) -> list[float]:
    """From each click's way into the microphone to its frame for the engine."""
    way = Way()
    talking = Talking(way, SoundSystem(), lambda state: None)
    talking.take("a call")
    await asyncio.sleep(1.0)
    talking.latch()
    said = await asyncio.to_thread(_say_clicks, pulse, clicks)
    await asyncio.sleep(0.5)
    await talking.close()
    return _pairs(said, way.at)


def _say_clicks(pulse: Pulse, clicks: int) -> list[float]:
    command = ["pacat", "-p", "-d", "micpipe", "--format=s16le", "--rate=8000", "--channels=1", "--latency-msec=20"]
    player = subprocess.Popen(command, stdin=subprocess.PIPE, env=pulse.environment, bufsize=0)
    assert player.stdin is not None
    said: list[float] = []
    began = time.monotonic()
    for index in range(WARM_FRAMES + clicks * EVERY):
        time.sleep(max(0.0, began + index * 0.02 - time.monotonic()))
        is_click = index >= WARM_FRAMES and index % EVERY == 0
        if is_click:
            said.append(time.monotonic())
        player.stdin.write(audioop.ulaw2lin(CLICK if is_click else QUIET, 2))
    player.stdin.close()
    player.wait(10)
    return said


def _pairs(began: list[float], came: list[float]) -> list[float]:
    """Milliseconds from each beginning to what came of it within half a second."""
    found = []
    for start in began:
        after = next((at for at in came if start <= at <= start + 0.5), None)
        if after is not None:
            found.append((after - start) * 1000)
    return found


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--clicks", type=int, default=30)
    options = parser.parse_args()
    if why := missing():
        sys.exit(f"there is no sound to measure with: {why}")
    figures: dict[str, Any] = {}
    lines = []
    with pulse_server() as pulse:
        for name, measure in (("hearing", hearing_ms), ("talking", talking_ms)):
            took = asyncio.run(measure(pulse, options.clicks))
            if not took:
                sys.exit(f"{name}: no click came through")
            p50, p95 = percentile(took, 0.5), percentile(took, 0.95)
            figures[name] = {"clicks": len(took), "p50Ms": round(p50, 1), "p95Ms": round(p95, 1), "maxMs": max(took)}
            lines.append(f"{name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, {len(took)} of {options.clicks} clicks")
    show(lines, figures, options.json)


if __name__ == "__main__":
    main()
