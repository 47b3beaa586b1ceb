"""A call on disk: both sides on one clock with the events, only what may be kept, and nothing holds up the call."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
import wave
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine.api import Refusal
from engine.calls import Call
from engine.config.recording import Recording as Settings
from engine.media.audio import Audio
from engine.media.wav import WavWriter
from engine.speech.ports import Voice
from tests.engine.conftest import PCM, Running, running, settings
from tests.engine.simulators import Simulator, simulator_process

DANIEL = "+15550100151"
SINK = "+15550100191"
RATE = 8000
FRAME_S = 0.02
Channel = npt.NDArray[np.float64]


class Rushing(Voice):
    """A voice of seeded noise: no stretch of it is like another, so that any shift is found."""

    name = "rushing"

    def __init__(self) -> None:
        self._noise = np.random.default_rng(7)

    async def start(self) -> None:
        """Nothing to load."""

    async def speak(self, text: str, voice: str = "") -> AsyncGenerator[Audio, None]:
        samples = self._noise.normal(0, 4000, PCM.rate * 40 * len(text) // 1000)
        yield Audio(PCM, np.clip(samples, -20000, 20000).astype("<i2").tobytes())

    async def close(self) -> None:
        """Nothing to let go of."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulator, Path]]:
    """A simulated carrier that records by itself, and its folder: left what people say, right what they hear."""
    folder = tmp_path_factory.mktemp("truth")
    with simulator_process(record_dir=str(folder)) as simulator:
        yield simulator, folder


def channels(path: str | Path) -> tuple[Channel, Channel]:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, RATE)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).astype(np.float64)
    return samples[:, 0], samples[:, 1]


def lags(ours: Channel, theirs: Channel, near_s: float) -> list[float]:
    """For every fifth of a second of sound the seconds by which `ours` stands later, looked for around `near_s`.

    Of unbroken sound: two sounds may each be off by their own part of a frame.
    """
    found, size, slack = [], RATE // 5, RATE // 10
    for at in range(0, len(ours) - size, size):
        part = ours[at : at + size]
        start = at - round(near_s * RATE) - slack
        there = theirs[max(0, start) : start + size + 2 * slack]
        quiet = np.abs(part.reshape(-1, 160)).mean(axis=1).min() < 100 or sounds(part) != [(0, size)]
        if quiet or start < 0 or len(there) < size + 2 * slack:
            continue
        match = np.correlate(there, part, "valid")
        best = int(np.argmax(match))
        same = there[best : best + size]
        assert match[best] / np.sqrt((part**2).sum() * (same**2).sum()) > 0.95
        found.append((slack - best) / RATE + round(near_s * RATE) / RATE)
    return found


def whole_lag(ours: Channel, theirs: Channel) -> float:
    """Seconds by which the whole stands later."""
    size = 1 << (len(ours) + len(theirs)).bit_length()
    match = np.fft.irfft(np.fft.rfft(ours, size) * np.conj(np.fft.rfft(theirs, size)), size)
    best = int(np.argmax(match))
    return (best if best < size // 2 else best - size) / RATE


def sounds(channel: Channel) -> list[tuple[int, int]]:
    """Where each sound begins and ends, to the sample: between two of them is silence of more than 5 ms. Noise is
    never at zero for so long."""
    (loud,) = np.nonzero(np.concatenate([[1.0], channel, [1.0]]))
    gaps = [(int(a), int(b) - 1) for a, b in zip(loud[:-1], loud[1:], strict=True) if b - a > 40]
    edges = [0, *[at for gap in gaps for at in gap], len(channel)]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(begins, ends) for begins, ends in pairs if ends > begins]


def sounding_s(channel: Channel) -> float:
    """Seconds of noise, to the sample."""
    return sum(ends - begins for begins, ends in sounds(channel)) / RATE


def loud_s(channel: Channel) -> float:
    """Seconds of sound."""
    frames = channel[: len(channel) // 160 * 160].reshape(-1, 160)
    return float((np.abs(frames).mean(axis=1) > 100).sum()) * FRAME_S


@pytest.fixture
def config() -> Settings:
    return Settings(enabled=True)


async def ended(run: Running, call_id: str) -> Call:
    """The call once its recording is closed."""
    await run.until_event(lambda event: event.type == "recording.stopped" and event.call_id == call_id)
    call = run.engine.call(call_id)
    assert call is not None
    return call


async def test_both_channels_are_what_the_phone_said_and_heard_within_a_frame(
    recorded: tuple[Simulator, Path], tmp_path: Path, config: Settings
) -> None:
    simulator, truth = recorded
    async with running(tmp_path, settings(simulator, recording=config), simulator, voice=Rushing()) as run:
        call_id = await run.engine.initiate(DANIEL, "Hello there, how are you today?", "conversation")
        await run.until_call(call_id, lambda call: "understood" in call.rungs)
        await run.engine.speak(call_id, "One more line.", "test")
        await run.engine.end(call_id)
        call = await ended(run, call_id)
    (file,) = call.recordings
    left, right = channels(file.file)
    said, heard = channels(truth / f"{call.provider_call_id}.wav")
    apart = whole_lag(left, said)
    left_lags, right_lags = lags(left, said, apart), lags(right, heard, apart)
    assert left_lags and len(right_lags) > 3
    assert max(left_lags) - min(left_lags) < 0.001
    assert max(abs(each - apart) for each in right_lags) <= FRAME_S
    assert abs(loud_s(left) - loud_s(said)) < 0.1 and abs(loud_s(right) - loud_s(heard)) < 0.1
    assert file.ms == len(left) * 1000 // RATE
    assert stat.S_IMODE(os.stat(file.file).st_mode) == 0o600
    assert stat.S_IMODE(Path(file.file).parent.stat().st_mode) == 0o700


async def test_an_events_offset_is_its_place_in_the_sound(
    recorded: tuple[Simulator, Path], tmp_path: Path, config: Settings
) -> None:
    simulator, _ = recorded
    async with running(tmp_path, settings(simulator, recording=config), simulator, voice=Rushing()) as run:
        call_id = await run.engine.initiate(SINK, "Hello.", "conversation")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        for _ in range(3):
            await asyncio.sleep(0.3)  # of silence
            await run.engine.speak(call_id, "A line to be found.", "test")
        await run.engine.end(call_id)
        call = await ended(run, call_id)
        began = [event.at for event in await run.events(call_id) if event.type == "say.started"]
    _, right = channels(call.recordings[0].file)
    for at in began:
        offset = at - call.recordings[0].started_at
        place = round(offset * RATE / 1000)
        before = np.abs(right[max(0, place - 800) : max(0, place - 240)]).mean() if place > 800 else 0.0
        after = np.abs(right[place + 240 : place + 800]).mean()
        assert after > 1000 and before < 50  # 30 ms: the event is stamped after its first frame was sent


async def test_a_line_that_is_cut_is_cut_in_the_recording(
    recorded: tuple[Simulator, Path], tmp_path: Path, config: Settings
) -> None:
    simulator, truth = recorded
    async with running(tmp_path, settings(simulator, recording=config), simulator, voice=Rushing()) as run:
        call_id = await run.engine.initiate(SINK, "Hello.", "conversation")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        speaking = asyncio.create_task(run.engine.speak(call_id, "word " * 60, "test"))
        await run.until_call(call_id, lambda call: any("word" in line.text for line in call.transcript))
        await asyncio.sleep(0.7)  # something of it is heard
        await run.engine.set_floor(call_id, "operator", "test")
        await asyncio.gather(speaking, return_exceptions=True)
        await asyncio.sleep(0.4)
        await run.engine.end(call_id)
        call = await ended(run, call_id)
    _, right = channels(call.recordings[0].file)
    _, heard = channels(truth / f"{call.provider_call_id}.wav")
    # The carrier begins and ends a sound with the 20 ms of its clock, each up to a frame after ours: 16 ms measured.
    assert abs(sounding_s(right) - sounding_s(heard)) <= 2 * FRAME_S
    assert loud_s(right) < 2.5  # of twelve seconds
    assert len(lags(right, heard, whole_lag(right, heard))) >= 2


async def test_the_consent_line_comes_first_and_is_not_kept(recorded: tuple[Simulator, Path], tmp_path: Path) -> None:
    simulator, _ = recorded
    told = Settings(enabled=True, consent_line="This call is recorded.")
    async with running(tmp_path, settings(simulator, recording=told), simulator, voice=Rushing()) as run:
        call_id = await run.engine.initiate(SINK, "Hello there, this is the greeting.", "conversation")
        await run.until_event(lambda event: event.type == "recording.started" and event.call_id == call_id)
        await run.until_call(call_id, lambda call: len(call.transcript) == 2 and not call.transcript[1].playing)
        await run.engine.end(call_id)
        call = await ended(run, call_id)
        events = await run.events(call_id)
    assert [line.text for line in call.transcript] == ["This call is recorded.", "Hello there, this is the greeting."]
    types = [event.type for event in events if event.type in ("say.heard", "recording.started")]
    assert types == ["say.heard", "recording.started", "say.heard"]
    _, right = channels(call.recordings[0].file)
    greeting_s = 0.04 * len("Hello there, this is the greeting.")
    assert abs(loud_s(right) - greeting_s) < 0.3  # a lead of the greeting was under way


async def test_one_call_is_recorded_on_demand_stopped_for_good_and_begun_again_by_hand(
    recorded: tuple[Simulator, Path], tmp_path: Path
) -> None:
    simulator, _ = recorded
    async with running(tmp_path, settings(simulator), simulator, voice=Rushing()) as run:
        call_id = await run.engine.initiate(SINK, "Hello.", "conversation")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        assert not (tmp_path / "recordings").exists()
        for _ in range(2):
            await run.engine.record_call(call_id, True, "console anna")
            await run.engine.record_call(call_id, True, "console anna")
            await run.until_call(call_id, lambda call: call.recording == "on")
            await run.engine.speak(call_id, "Kept.", "test")
            await run.engine.record_call(call_id, False, "console anna")
            await run.engine.record_call(call_id, False, "console anna")
            call = await run.until_call(call_id, lambda call: call.recording == "off")
        await run.engine.speak(call_id, "Not kept.", "test")
        await run.engine.end(call_id)
        by = [event.data["by"] for event in await run.events(call_id) if event.type == "recording.started"]
    assert by == ["console anna"] * 2
    assert [each.index for each in call.recordings] == [1, 2]
    for each in call.recordings:
        assert 0.1 < loud_s(channels(each.file)[1]) <= 0.26
        assert each.ms is not None and abs(len(channels(each.file)[0]) / 8 - each.ms) < 1


async def test_a_slow_disk_drops_and_says_so_and_no_frame_is_late(
    recorded: tuple[Simulator, Path], tmp_path: Path, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator, _ = recorded
    held = threading.Event()
    put = WavWriter.put

    def slow(self: WavWriter, pieces: Any) -> None:
        held.wait(10)
        put(self, pieces)

    monkeypatch.setattr(WavWriter, "put", slow)
    monkeypatch.setattr("engine.media.tape.MAX_WAITING", 50)
    async with running(tmp_path, settings(simulator, recording=config), simulator, voice=Rushing()) as run:
        call_id = await run.engine.initiate(SINK, "A greeting of some length, which is said.", "conversation")
        lost = await run.until_event(lambda event: event.type == "recording.lost" and event.call_id == call_id)
        assert lost.data["why"] == "the disk is too slow"
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        heard = await run.until_event(lambda event: event.type == "say.heard" and event.call_id == call_id)
        frames = run.engine.health()["frames"]
        held.set()
        await run.engine.end(call_id)
        call = await ended(run, call_id)
    assert heard.data["ms"] == 40 * len("A greeting of some length, which is said.")
    assert frames["late"] <= frames["sent"] // 10
    assert call.recordings[0].lost_ms > 0
    channels(call.recordings[0].file)


async def test_a_folder_that_can_not_be_written_is_said_and_the_call_goes_on(
    recorded: tuple[Simulator, Path], tmp_path: Path
) -> None:
    simulator, _ = recorded
    (tmp_path / "file").write_text("in the way")
    config = Settings(enabled=True, folder=tmp_path / "file")
    async with running(tmp_path / "state", settings(simulator, recording=config), simulator) as run:
        call_id = await run.engine.initiate(SINK, "Hello.", "conversation")
        refused = await run.until_event(lambda event: event.type == "recording.refused" and event.call_id == call_id)
        assert "can not be written" in refused.data["why"]
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        with pytest.raises(Refusal) as error:
            await run.engine.record_call(call_id, True, "test")
        assert error.value.code == "store_failed"


async def test_a_stretch_can_be_read_while_it_is_written(
    recorded: tuple[Simulator, Path], tmp_path: Path, config: Settings
) -> None:
    simulator, _ = recorded
    async with running(tmp_path, settings(simulator, recording=config), simulator, voice=Rushing()) as run:
        call_id = await run.engine.initiate(SINK, "A greeting of some length, which is said.", "conversation")
        await run.until_call(call_id, lambda call: "heard" in call.rungs)
        await asyncio.sleep(0.6)  # written four times a second
        part = await run.engine.recorded(call_id, 0, 500, 500)
        assert len(part.pcm) == 500 * 8 * 4 and part.total_ms > 1000
        assert np.abs(np.frombuffer(part.pcm, "<i2").reshape(-1, 2)[:, 1]).mean() > 1000
        for index, id_ in ((5, call_id), (0, "nobody")):
            with pytest.raises(Refusal):
                await run.engine.recorded(id_, index, 0, 20)
        call = run.engine.call(call_id)
        assert call is not None
        os.unlink(call.recordings[0].file)
        with pytest.raises(Refusal) as error:
            await run.engine.recorded(call_id, 0, 0, 20)
        assert error.value.code == "recording_not_found"
