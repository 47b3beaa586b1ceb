"""A call of real words: a person who speaks, a model that hears them really and answers in a real voice."""

from __future__ import annotations

from pathlib import Path

from engine.media.g711 import pcm16_to_mulaw
from engine.speech.stt.local import LocalRecogniser
from engine.speech.wer import word_error_rate
from tests.engine.simulators import Simulator
from tests.engine.test_realtime_calls import calling, texts
from tests.speech.far.openai_realtime import Answer, far_realtime
from tests.speech.far.speech import Synthesizer
from tests.speech.helpers import recognise

ANSWER = "Of course. Which day would suit you best?"


async def test_what_a_person_says_reaches_the_model_word_by_word(tmp_path: Path, simulator: Simulator) -> None:
    recogniser, voice = LocalRecogniser(), Synthesizer()
    await recogniser.start()

    async def hear(audio: bytes) -> str:
        return (await recognise(recogniser, audio)).text

    def speak(text: str) -> bytes:
        return pcm16_to_mulaw(voice.pcm(text, 8000))

    try:
        async with (
            far_realtime(answers=(Answer(ANSWER),), transcribe=hear, speech=speak) as far,
            calling(tmp_path, simulator, far, openai={"silence_duration_ms": 900}) as run,
        ):
            call = await run.ring_in("Emma Stone")
            done = await run.until_call(
                call.call_id, lambda call: any(line.text == ANSWER and not line.playing for line in call.transcript)
            )
            (heard,) = [line.text for line in done.in_order if line.speaker == "caller"][:1]
            said = "Hi, my daughter needs an appointment. It is her first visit."
            wrong, of = word_error_rate(said, heard)
            assert wrong <= of * 0.35, heard
            assert texts(done)[0] == "Hello, how can I help you?"
    finally:
        await recogniser.close()
