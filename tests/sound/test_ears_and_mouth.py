"""With a real sound server: what the operator hears is what was said, and what they say is what the caller gets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from console.sound.devices import SoundSystem
from console.sound.hearing import Hearing
from console.sound.talking import Talking, TalkingState
from engine.client import AudioFrame, MicrophoneLine
from engine.clock import epoch_ms
from engine.media.audio import FRAME_BYTES
from engine.media.g711 import mulaw_to_pcm16, pcm16_to_mulaw
from engine.media.levels import level_db
from tests.sound.pulse import Pulse, missing, pulse_server

PIECE = 3200
"""Bytes of 200 ms."""
SPEAKER_RATE = 48_000
Samples = npt.NDArray[np.float64]
pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "there is sound")


@pytest.fixture(scope="module")
def pulse() -> Iterator[Pulse]:
    with pulse_server() as pulse:
        yield pulse


def sweep(seconds: float, low: float, high: float) -> bytes:
    """A sound that is like itself at one place only, 16-bit at 8 kHz."""
    at = np.arange(int(seconds * 8000)) / 8000
    wave = 9000 * np.sin(2 * np.pi * (low * at + (high - low) / (2 * seconds) * at**2))
    return wave.astype("<i2").tobytes()


def frames_of(pcm: bytes) -> list[bytes]:
    mulaw = pcm16_to_mulaw(pcm)
    return [mulaw[at : at + FRAME_BYTES] for at in range(0, len(mulaw), FRAME_BYTES)]


def finer(samples: Samples, times: int) -> Samples:
    """The same sound with so many times the samples a second."""
    return np.fft.irfft(np.fft.rfft(samples), len(samples) * times) * times


def likeness(wanted: bytes, captured: bytes, rate: int = 8000) -> float:
    """How well pieces of `wanted` (200 ms) are found somewhere in `captured`, in the median: 1 is exactly.

    In pieces, because two clocks never run alike: a piece is left out or a silence put in between, now and then.
    `rate` is that of `captured`. What was played stands at any place between two samples at 8 kHz, and half a sample
    off is as little as 0.4 at 3 kHz: what the loudspeaker played is looked at with the loudspeaker's own 48 kHz.
    """
    b = np.frombuffer(captured, dtype="<i2").astype(float)
    found = []
    for start in range(0, len(wanted) - PIECE + 1, PIECE):
        a = finer(np.frombuffer(wanted[start : start + PIECE], dtype="<i2").astype(float), rate // 8000)
        size = 1 << (len(a) + len(b)).bit_length()
        matched = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)
        at = int(np.argmax(matched[: max(1, len(b) - len(a))]))
        piece = b[at : at + len(a)]
        found.append(float(np.dot(a, piece) / (np.linalg.norm(a) * np.linalg.norm(piece) + 1e-9)))
    return float(np.median(found))


class OneCall:
    """Plays both sides of a call at their pace."""

    def __init__(self, caller: bytes, agent: bytes) -> None:
        self.sides = (frames_of(caller), frames_of(agent))
        self.over = asyncio.Event()

    async def listen(self, call_id: str) -> AsyncGenerator[AudioFrame, None]:
        began = time.monotonic()
        for index, (caller, agent) in enumerate(zip(*self.sides, strict=True)):
            await asyncio.sleep(max(0.0, began + index * 0.02 - time.monotonic()))
            yield AudioFrame("caller", caller, epoch_ms())
            yield AudioFrame("agent", agent, epoch_ms())
        self.over.set()


async def test_the_caller_is_heard_left_and_our_side_right(pulse: Pulse, tmp_path: Path) -> None:
    caller, agent = sweep(1.5, 300, 1500), sweep(1.5, 3000, 1800)
    call = OneCall(caller, agent)
    hearing = Hearing(call, SoundSystem(), lambda state: None)
    path = tmp_path / "heard.raw"
    with pulse.heard(path, rate=SPEAKER_RATE):
        hearing.listen("a call")
        async with asyncio.timeout(10):
            await call.over.wait()
        await asyncio.sleep(0.5)
        assert not hearing.state.trouble and hearing.state.device
        await hearing.close()
    captured = np.frombuffer(path.read_bytes(), dtype="<i2").reshape(-1, 2)
    left, right = captured[:, 0].tobytes(), captured[:, 1].tobytes()
    assert likeness(caller, left, SPEAKER_RATE) > 0.95 and likeness(agent, right, SPEAKER_RATE) > 0.95
    assert likeness(agent, left, SPEAKER_RATE) < 0.05 and likeness(caller, right, SPEAKER_RATE) < 0.05


class Way:
    """The way to a caller: remembers what went there."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.rests = 0
        self.away = asyncio.Event()

    @asynccontextmanager
    async def microphone(self, call_id: str) -> AsyncIterator[MicrophoneLine]:
        yield self

    async def send(self, payload: bytes) -> None:
        self.sent.append(payload)

    async def rest(self) -> None:
        self.rests += 1

    async def put_away(self) -> None:
        self.away.set()

    async def ended(self) -> str:
        await self.away.wait()
        return "put away"


async def test_a_microphone_is_silent_until_it_is_opened_and_again_when_it_is_muted(pulse: Pulse) -> None:
    way = Way()
    opened = asyncio.Event()
    talking = Talking(way, SoundSystem(), lambda state: opened.set() if state.device else None)
    talking.take("a call")
    async with asyncio.timeout(10):
        await opened.wait()
    said = sweep(1.0, 300, 2500)
    pulse.say(said, 8000).wait(10)
    assert (talking.state.state, way.sent) == ("muted", [])
    talking.latch()
    player = pulse.say(said, 8000)
    await asyncio.to_thread(player.wait, 10)
    await asyncio.sleep(0.3)
    talking.latch()
    count = len(way.sent)
    await asyncio.sleep(0.3)
    assert talking.state == replace(talking.state, state="muted")
    assert len(way.sent) <= count + 1 and way.rests == 1
    assert max(level_db(frame) for frame in way.sent) > -25
    assert likeness(said, mulaw_to_pcm16(b"".join(way.sent))) > 0.9
    await talking.close()
    assert way.away.is_set() and talking.state == TalkingState()
