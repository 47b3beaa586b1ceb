"""Whole calls on the simulated carrier whose voice comes from far ends that speak as OpenAI and ElevenLabs do."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.calls import Call, Event
from engine.config import Config, parse_config
from engine.media.audio import PHONE, SILENCE, Audio, AudioFormat
from engine.media.convert import to_phone
from engine.media.g711 import mulaw_to_pcm16
from engine.speech.factory import make_voice
from engine.speech.stt.local import LocalRecogniser
from engine.speech.wer import word_error_rate
from tests.engine.conftest import Running, Understands, running, settings
from tests.engine.simulators import Simulator, simulator_process
from tests.speech.conftest import can_recognise, can_speak
from tests.speech.far import elevenlabs_speech, openai_speech
from tests.speech.far.elevenlabs_speech import ElevenLabsFarEnd, elevenlabs_far_end
from tests.speech.far.openai_speech import OpenAiFarEnd, openai_far_end
from tests.speech.far.speech import Manners, Synthesizer
from tests.speech.helpers import recognise

__all__ = ["can_recognise", "can_speak"]

GREETING = "Good morning, this is Doctor Evans. What can I do for you?"
SINK = "+15550100191"


class Far:
    """Both services, and a carrier that records what people hear."""

    def __init__(
        self, openai: OpenAiFarEnd, elevenlabs: ElevenLabsFarEnd, simulator: Simulator, folder: Path, state: Path
    ) -> None:
        self.openai, self.elevenlabs = openai, elevenlabs
        self._simulator, self._recordings, self._state = simulator, folder, state
        self._stack = AsyncExitStack()

    def config(self, tts: str, **changes: Any) -> Config:
        """A configuration whose `tts` knows both services; `tts` says who speaks."""
        text = f"""
        inbound_greeting: "{GREETING}"
        tts:
          {tts}
          openai: {{api_key: {openai_speech.KEY}, base_url: '{self.openai.url}'}}
          elevenlabs:
            api_key: {elevenlabs_speech.KEY}
            base_url: '{self.elevenlabs.url}'
            voice_id: {elevenlabs_speech.VOICE}
        """
        parsed = parse_config(text.encode(), None, {}).config
        return settings(self._simulator, tts=parsed.tts, inbound_greeting=GREETING, **changes)

    async def start(self, config: Config) -> Running:
        """An engine whose voices are the ones that the configuration names."""
        return await self._stack.enter_async_context(
            running(self._state, config, self._simulator, voice=make_voice(config), recogniser=Understands())
        )

    def heard(self, call: Call) -> np.ndarray[Any, np.dtype[np.int16]]:
        """What the person heard of a call that is over."""
        with wave.open(str(self._recordings / f"{call.provider_call_id}.wav")) as recording:
            both = np.frombuffer(recording.readframes(recording.getnframes()), "<i2")
        return both[1::2]

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module")
def recording_simulator(recordings: Path) -> Iterator[Simulator]:
    with simulator_process(record_dir=str(recordings)) as simulator:
        yield simulator


@pytest.fixture
async def far(
    can_speak: None, recording_simulator: Simulator, recordings: Path, tmp_path: Path
) -> AsyncIterator[Far]:
    synthesizer = Synthesizer()
    async with openai_far_end(synthesizer) as openai, elevenlabs_far_end(synthesizer) as elevenlabs:
        far = Far(openai, elevenlabs, recording_simulator, recordings, tmp_path)
        try:
            yield far
        finally:
            await far.close()


@pytest.fixture
async def ear(can_recognise: None) -> AsyncIterator[LocalRecogniser]:
    ear = LocalRecogniser(patience_seconds=30)
    await ear.start()
    yield ear
    await ear.close()


def of(events: list[Event], type_: str) -> list[dict[str, Any]]:
    return [dict(event.data) for event in events if event.type == type_]


async def greeted(run: Running) -> Call:
    """Somebody calls in, hears the greeting to its end, and the call is over."""
    call = await run.ring_in("Grace Young")
    await run.until_call(call.call_id, lambda call: any(not line.playing for line in call.transcript))
    await run.engine.end(call.call_id, "test")
    return await run.until_call(call.call_id, lambda call: not call.live)


WAYS = {
    "openai over /audio/speech": "provider: openai\n          providers: {openai: {model: gpt-4o-mini-tts}}",
    "openai over the realtime API": "provider: openai",
    "elevenlabs": "provider: elevenlabs",
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_caller_hears_the_greeting_in_the_voice_of_the_service(
    far: Far, ear: LocalRecogniser, way: str
) -> None:
    run = await far.start(far.config(WAYS[way]))
    call = await greeted(run)
    assert (call.transcript[0].text, call.transcript[0].cut) == (GREETING, False)
    heard = far.heard(call)
    if way == "openai over /audio/speech":
        assert far.openai.texts[0] == GREETING
        sent = to_phone(Audio(AudioFormat("pcm16", 24_000), far.openai.pcm(GREETING)))
    else:
        sent = far.openai.mulaw(GREETING)
    assert mulaw_to_pcm16(sent) in heard.tobytes(), "every sample arrives as it was made, in its order"
    pause = bytes((SILENCE,)) * PHONE.bytes_for(300)
    mishears, words = word_error_rate(GREETING, (await recognise(ear, pause + sent + pause)).text)
    assert mishears <= 0.1 * words
    started = of(await run.events(call.call_id), "say.started")[0]
    assert started["engine"].startswith("elevenlabs" if way == "elevenlabs" else "openai")


async def test_the_greeting_is_made_while_it_rings_and_the_second_caller_costs_nothing(far: Far) -> None:
    """Pain A13."""
    run = await far.start(far.config("provider: elevenlabs"))
    first, second = await greeted(run), await greeted(run)
    assert far.elevenlabs.texts.count(GREETING) == 1
    events = await run.events(second.call_id)
    assert of(events, "say.started")[0]["cached"] is True
    one, two = far.heard(first), far.heard(second)
    sent = mulaw_to_pcm16(far.elevenlabs.mulaw(GREETING))
    assert sent in one.tobytes() and sent in two.tobytes()


async def test_a_service_that_is_down_is_stood_in_for_and_everybody_can_see_it(far: Far) -> None:
    far.openai.manners = Manners(status=500, error=openai_speech.OVERLOADED)
    config = far.config(
        "provider: openai\n          fallback: [elevenlabs]\n          providers: {openai: {model: gpt-4o-mini-tts}}"
    )
    run = await far.start(config)
    call = await greeted(run)
    assert mulaw_to_pcm16(far.elevenlabs.mulaw(GREETING)) in far.heard(call).tobytes()
    (change, *_) = of(await run.events(call.call_id), "say.fallback")
    assert change["engine"].startswith("openai")
    assert change["to"].startswith("elevenlabs")
    assert "500 server_error" in change["error"]
    tts = run.engine.health()["speech"]["tts"]
    assert tts["ok"] is False
    assert "speaks instead" in tts["error"]


async def test_a_service_that_breaks_off_in_the_middle_is_stood_in_for_from_the_last_sentence(far: Far) -> None:
    far.openai.manners = Manners(drop_after=24_000 * 2 * 4)
    config = far.config(
        "provider: openai\n          fallback: [elevenlabs]\n          providers: {openai: {model: gpt-4o-mini-tts}}"
    )
    run = await far.start(config)
    call = await greeted(run)
    rest = far.elevenlabs.texts[0]
    assert GREETING.endswith(rest)
    assert 0 < len(rest) < len(GREETING)
    assert mulaw_to_pcm16(far.elevenlabs.mulaw(rest)) in far.heard(call).tobytes()
    assert call.transcript[0].text == GREETING


async def test_with_no_voice_left_the_line_fails_and_says_why(far: Far) -> None:
    far.elevenlabs.manners = Manners(status=401, error=elevenlabs_speech.QUOTA)
    run = await far.start(far.config("provider: elevenlabs"))
    call_id = await run.engine.initiate(SINK, "Hello there.", "conversation")
    failed = await run.until_event(lambda event: event.type == "say.failed" and event.call_id == call_id)
    assert "quota_exceeded" in failed.data["error"]
    tts = run.engine.health()["speech"]["tts"]
    assert tts["ok"] is False
    assert "characters are used up" in tts["hint"]


async def test_a_number_speaks_with_a_voice_of_its_own(far: Far) -> None:
    general = far.config("provider: openai")
    own = parse_config(
        f"""
        tts: {{provider: openai, elevenlabs: {{api_key: {elevenlabs_speech.KEY}, base_url: '{far.elevenlabs.url}'}}}}
        numbers:
          "{general.from_number}":
            tts: {{provider: elevenlabs, elevenlabs: {{voice_id: {elevenlabs_speech.OTHER_VOICE}}}}}
        """.encode(),
        None,
        {"OPENAI_API_KEY": openai_speech.KEY},
    ).config
    run = await far.start(general.model_copy(update={"numbers": own.numbers}))
    call = await greeted(run)
    assert far.elevenlabs.asked[0].path.split("/")[3] == elevenlabs_speech.OTHER_VOICE
    assert far.openai.sockets[0].events[1:] == []
    assert mulaw_to_pcm16(far.elevenlabs.mulaw(GREETING)) in far.heard(call).tobytes()


async def test_a_cut_takes_the_request_back_while_it_is_still_being_made(far: Far) -> None:
    far.elevenlabs.turns = [Manners(), Manners(pace=0.1, chunks=(800,))]
    run = await far.start(far.config("provider: elevenlabs"))
    call_id = await run.engine.initiate(SINK, "Hello there.", "conversation")
    await run.until_call(call_id, lambda call: "heard" in call.rungs)
    speaking = asyncio.create_task(run.engine.speak(call_id, GREETING, by="agent"))
    await run.until_call(
        call_id, lambda call: any(line.playing and line.text == GREETING for line in call.transcript)
    )
    await run.engine.set_floor(call_id, "operator", by="test")
    async with asyncio.timeout(0.5):
        await far.elevenlabs.asked[1].gone.wait()
    await asyncio.gather(speaking, return_exceptions=True)
    over = await run.until_event(lambda event: event.type in ("say.cut", "say.failed") and event.call_id == call_id)
    assert over.type == "say.cut"
    assert GREETING.startswith(over.data["heardText"])
    assert len(over.data["heardText"]) < len(GREETING)


async def test_a_message_is_made_when_it_is_dialled_and_again_when_that_failed(far: Far) -> None:
    """Pain A13."""
    far.elevenlabs.turns = [Manners(status=503, error="busy")]
    run = await far.start(far.config("provider: elevenlabs"))
    call_id = await run.engine.initiate(SINK, GREETING, "conversation")
    await run.until_event(lambda event: event.type == "call.answered" and event.call_id == call_id)
    assert far.elevenlabs.texts[:1] == [GREETING], "before anybody answered"
    await run.until_call(call_id, lambda call: any(not line.playing for line in call.transcript))
    call = run.engine.call(call_id)
    assert call is not None and (call.transcript[0].text, call.transcript[0].cut) == (GREETING, False)
    assert far.elevenlabs.texts == [GREETING, GREETING]
