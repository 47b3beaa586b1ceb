"""What the engine adds between a service's first byte of audio and the first frame that goes to the carrier."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable, Sequence

import orjson
import pytest

from engine.calls import Draft
from engine.live.mouth import Mouth
from engine.media.playout import Playout
from engine.media.ticker import Ticker
from engine.media.twilio_wire import TwilioWire
from engine.speech.tts.chain import Speaker, Voices
from tests.live.test_mouth import _START
from tests.speech.conftest import can_speak
from tests.speech.far.elevenlabs_speech import elevenlabs_far_end
from tests.speech.far.openai_speech import openai_far_end
from tests.speech.far.speech import Manners, SpeechServer, Synthesizer
from tests.speech.tts.cloud import elevenlabs_voice, openai_voice

__all__ = ["can_speak"]

CALLS = 20
MOST_MS = 30.0
"""What the engine itself may add."""


class Carrier:
    """Notes when frames arrive, and returns marks at once."""

    def __init__(self) -> None:
        self.first_frame: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.playout: Playout | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        loop = asyncio.get_running_loop()
        for message in messages:
            frame = orjson.loads(message)
            if frame["event"] == "media" and not self.first_frame.done():
                self.first_frame.set_result(loop.time())
            if frame["event"] == "mark" and self.playout is not None:
                loop.call_soon(self.playout.mark_returned, frame["mark"]["name"])


Far = tuple[SpeechServer, Voices]


@pytest.fixture(params=["openai", "elevenlabs"])
async def far(request: pytest.FixtureRequest, can_speak: None) -> AsyncIterator[Far]:
    synthesizer = Synthesizer()
    async with openai_far_end(synthesizer) as openai, elevenlabs_far_end(synthesizer) as elevenlabs:
        server: SpeechServer = openai if request.param == "openai" else elevenlabs
        voice = openai_voice(openai) if request.param == "openai" else elevenlabs_voice(elevenlabs)
        voices = Voices({"": [Speaker(voice, voice.name, (voice.name,))]})
        await voices.start()
        try:
            yield server, voices
        finally:
            await voices.close()


async def first_frame(voices: Voices, ticker: Ticker, text: str, post: Callable[..., None]) -> float:
    """Say a line on a call of its own; when its first frame went out."""
    loop = asyncio.get_running_loop()
    carrier, wire = Carrier(), TwilioWire()
    wire.receive(_START)
    playout = Playout(wire, carrier.send, ticker)
    carrier.playout = playout
    mouth = Mouth("call-0001", voices, "", post, lambda: loop.time() * 1000)
    running = asyncio.create_task(mouth.run())
    try:
        mouth.attach(playout)
        line = mouth.say(text)
        async with asyncio.timeout(20):
            at = await carrier.first_frame
        mouth.cut("measured")
        assert await line.done == "cut"
        return at
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_frame_goes_out_as_soon_as_there_is_audio_for_it_on_twenty_calls_at_once(far: Far) -> None:
    """Pain B1. The service takes 200 ms and then goes on for seconds: only what comes after its first byte counts."""
    server, voices = far
    server.manners = Manners(first_byte=0.2, pace=0.05, chunks=(4800,))
    facts: list[Draft] = []
    ticker = Ticker(asyncio.get_running_loop().time)
    ticking = asyncio.create_task(ticker.run())
    texts = [f"This is what call number {number} has to say to you." for number in range(CALLS)]
    for text in texts:  # what takes time at the far end is done before
        server.audio(text)
    frames = await asyncio.gather(*(first_frame(voices, ticker, text, facts.append) for text in texts))
    ticking.cancel()
    began = {text: asked.began for text, asked in zip(server.texts, server.asked, strict=True)}
    added = [(frame - began[text]) * 1000 for frame, text in zip(frames, texts, strict=True)]
    assert min(added) >= 0
    assert statistics.quantiles(added, n=20)[-1] < MOST_MS, sorted(added)
