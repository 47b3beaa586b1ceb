"""Voices of pico on a telephone line, understood by the real recogniser.

The bounds on word errors are loose on purpose: they catch a broken chain (rate, companding, cuts, order), not a
change of the third digit.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from engine.media.audio import PHONE, AudioFormat
from engine.media.g711 import pcm16_to_mulaw
from engine.speech.ports import Final, Lost, Partial, SpeechUnavailable
from engine.speech.stt.local import LocalRecogniser
from engine.speech.stt.outbox import SECONDS as OUTBOX_SECONDS
from engine.speech.tts.local import LocalVoice
from engine.speech.wer import word_error_rate
from engine.speech.worker_process import RestartBudget
from tests.speech.helpers import FRAME, SILENCE_100_MS, feed, phone_line, recognise, until_final

pytestmark = pytest.mark.asyncio(loop_scope="module")

SENTENCES = (
    "Hi, I need to move my appointment to Thursday afternoon if that is possible.",
    "Can you tell me what time you open on Saturday?",
    "My name is Sarah Johnson and I am calling about my order.",
    "Yes, that works for me, thank you very much.",
    "I am sorry, could you repeat that please?",
    "The delivery never arrived, and I have been waiting since Monday.",
    "How much does it cost without insurance?",
    "I would rather come in the morning, around nine o'clock.",
    "No, that is all I needed today.",
    "Please tell the doctor that I will be late.",
)
SPEAKERS = ("anna", "clara", "david")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hello(voice: LocalVoice) -> bytes:
    return await phone_line(voice, "Good morning, I would like to make an appointment for Friday.")


@pytest_asyncio.fixture(loop_scope="module")
async def fragile(can_recognise: None) -> AsyncIterator[LocalRecogniser]:
    """A recogniser of its own, for a test that breaks it."""
    recogniser = LocalRecogniser(patience_seconds=1)
    await recogniser.start()
    yield recogniser
    await recogniser.close()


@pytest.mark.parametrize("speaker", SPEAKERS)
async def test_telephone_speech_is_understood(recogniser: LocalRecogniser, voice: LocalVoice, speaker: str) -> None:
    lines = [await phone_line(voice, sentence, speaker) for sentence in SENTENCES]
    errors, words = 0, 0
    for at in range(0, len(lines), 2):  # two calls at a time
        heard = await asyncio.gather(*(recognise(recogniser, line) for line in lines[at : at + 2]))
        for sentence, one in zip(SENTENCES[at : at + 2], heard, strict=True):
            wrong, of = word_error_rate(sentence, one.text)
            errors, words = errors + wrong, words + of
    assert errors / words < 0.15, f"{errors} of {words} words"


async def test_partials_grow_while_the_caller_speaks_and_the_final_comes_after_finish(
    recogniser: LocalRecogniser, hello: bytes
) -> None:
    listener = await recogniser.listen(PHONE)
    partials: list[str] = []
    third = len(hello) // 3
    for at in (0, third):
        feed(listener, hello[at : at + third])
        async with asyncio.timeout(20):
            async for hearing in listener.hearings():
                assert not isinstance(hearing, Final | Lost)
                if isinstance(hearing, Partial):
                    partials.append(hearing.text)
                    break
    feed(listener, hello[2 * third :])
    number = listener.finish()
    heard = await until_final(listener)
    await listener.close()
    assert heard.final is not None and heard.final.utterance == number == 1
    lengths = [len(partial.split()) for partial in partials]
    assert lengths[0] < lengths[1] < len(heard.text.split())


async def test_utterances_of_one_call_do_not_run_into_each_other(
    recogniser: LocalRecogniser, voice: LocalVoice
) -> None:
    listener = await recogniser.listen(PHONE)
    said = ("My name is Sarah Johnson.", "Thank you very much.")
    numbers = []
    for text in said:
        feed(listener, await phone_line(voice, text))
        numbers.append(listener.finish())
    finals = [(await until_final(listener)).final for _ in said]
    await listener.close()
    assert numbers == [final.utterance for final in finals if final] == [1, 2]
    assert [word_error_rate(text, final.text)[0] <= 1 for text, final in zip(said, finals, strict=True) if final] == [
        True,
        True,
    ]


async def test_four_calls_at_once_are_kept_apart(recogniser: LocalRecogniser, voice: LocalVoice) -> None:
    lines = [await phone_line(voice, sentence) for sentence in SENTENCES[:4]]
    heard = await asyncio.gather(*(recognise(recogniser, line) for line in lines))
    for sentence, one in zip(SENTENCES, heard, strict=False):
        errors, words = word_error_rate(sentence, one.text)
        assert errors < words / 2, one.text


async def test_a_short_answer_gets_a_text_and_an_opinion(recogniser: LocalRecogniser, voice: LocalVoice) -> None:
    heard = await recognise(recogniser, await phone_line(voice, "Yes."))
    assert heard.text
    assert max(heard.opinions) > 0.8


async def test_silence_and_noise_have_no_words(recogniser: LocalRecogniser) -> None:
    noise = np.random.default_rng(1).normal(0, 1500, 16_000).astype("<i2").tobytes()
    ring = (6000 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 8000)).astype("<i2").tobytes()
    for line in (SILENCE_100_MS * 10, pcm16_to_mulaw(noise), pcm16_to_mulaw(ring)):
        heard = await recognise(recogniser, line)
        assert heard.text == ""
        assert heard.partials == []
        assert max(heard.opinions) < 0.5


async def test_finishing_without_audio_still_has_a_final(recogniser: LocalRecogniser) -> None:
    assert (await recognise(recogniser, b"")).text == ""


async def test_speech_longer_than_the_model_likes_is_understood_to_its_end(
    recogniser: LocalRecogniser, voice: LocalVoice
) -> None:
    listener = await recogniser.listen(PHONE)
    for sentence in SENTENCES[:8]:  # about 25 s
        feed(listener, await phone_line(voice, sentence) + SILENCE_100_MS * 2)
        await until_heard(recogniser)
    listener.finish()
    heard = await until_final(listener)
    await listener.close()
    errors, words = word_error_rate(" ".join(SENTENCES[:8]), heard.text)
    assert errors / words < 0.2, heard.text
    assert heard.final is not None and heard.final.dropped_ms == 0


async def until_heard(recogniser: LocalRecogniser) -> None:
    """Wait until the worker has worked off what was fed: it answers a call of its own after it."""
    await recognise(recogniser, SILENCE_100_MS)


async def test_too_much_audio_at_once_drops_the_oldest_and_says_so(recogniser: LocalRecogniser, hello: bytes) -> None:
    listener = await recogniser.listen(PHONE)
    for _ in range(30):
        listener.feed(b"\xff" * PHONE.bytes_per_second)  # nothing is sent before this test awaits
    listener.feed(hello)
    assert listener.queued_bytes == OUTBOX_SECONDS * PHONE.bytes_per_second
    listener.finish()
    heard = await until_final(listener)
    await listener.close()
    assert heard.final is not None
    assert heard.final.dropped_ms >= 20_000 + len(hello) // 8
    assert "Friday" in heard.text


async def test_a_closed_listener_ends_and_frees_its_stream(recogniser: LocalRecogniser, hello: bytes) -> None:
    before = recogniser.listening
    listener = await recogniser.listen(PHONE)
    feed(listener, hello)
    reader = asyncio.create_task(until_final(listener))
    await asyncio.sleep(0)
    await listener.close()
    heard = await reader
    assert heard.final is None and heard.lost is None
    assert recogniser.listening == before
    listener.feed(hello)  # harmless
    assert listener.queued_bytes == 0


async def test_audio_that_can_not_be_telephone_audio_is_refused(recogniser: LocalRecogniser) -> None:
    with pytest.raises(SpeechUnavailable, match="44100"):
        await recogniser.listen(AudioFormat("pcm16", 44_100))


async def test_a_killed_worker_is_reported_to_every_call_and_started_again(
    fragile: LocalRecogniser, hello: bytes
) -> None:
    listeners = [await fragile.listen(PHONE) for _ in range(3)]
    for listener in listeners:
        listener.feed(hello[:FRAME])
    assert fragile.worker_pid is not None
    os.kill(fragile.worker_pid, signal.SIGKILL)
    heard = await asyncio.gather(*(until_final(listener) for listener in listeners))
    assert ["SIGKILL" in one.lost.why for one in heard if one.lost] == [True] * 3
    assert (await recognise(fragile, hello)).text


async def test_a_worker_that_hangs_is_reported_and_replaced(fragile: LocalRecogniser, hello: bytes) -> None:
    listener = await fragile.listen(PHONE)
    hung = fragile.worker_pid
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)
    heard = await until_final(listener)
    assert heard.lost is not None and "did nothing for 1 s" in heard.lost.why
    await fragile.listen(PHONE)
    assert fragile.worker_pid != hung


async def test_a_worker_that_keeps_dying_is_not_started_for_ever(can_recognise: None) -> None:
    recogniser = LocalRecogniser(budget=RestartBudget(limit=1))
    await recogniser.start()
    listener = await recogniser.listen(PHONE)
    assert recogniser.worker_pid is not None
    os.kill(recogniser.worker_pid, signal.SIGKILL)
    assert (await until_final(listener)).lost is not None
    with pytest.raises(SpeechUnavailable, match="started 1 times"):
        await recogniser.listen(PHONE)
    await recogniser.close()
