from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.speech.stt.samples import RATE, Samples
from engine.speech.stt.utterance import CHUNK, Utterance

PER_SECOND = RATE // CHUNK


def say(utterance: Utterance, seconds: float, probability: float = 0.9) -> None:
    for _ in range(round(seconds * PER_SECOND)):
        utterance.add(np.full(CHUNK, probability, np.float32), probability)


def seconds_of(samples: Samples) -> float:
    return len(samples) / RATE


def test_audio_without_a_voice_is_never_transcribed_and_not_kept() -> None:
    utterance = Utterance()
    say(utterance, 60, probability=0.2)
    assert not utterance.has_news
    assert utterance.text == ""
    assert utterance.seconds < 1


def test_a_single_click_is_no_word() -> None:
    utterance = Utterance()
    utterance.add(np.zeros(CHUNK, np.float32), 0.9)
    say(utterance, 1, probability=0.0)
    assert not utterance.has_news


def test_speech_is_transcribed_with_a_margin_and_padding_and_only_once() -> None:
    utterance = Utterance()
    say(utterance, 3, probability=0.0)
    say(utterance, 1)
    say(utterance, 2, probability=0.0)
    assert utterance.has_news and utterance.pausing
    samples, mark, cut = utterance.next_audio()
    assert not cut
    assert 1 + 2 * 0.3 + 0.8 < seconds_of(samples) < 1 + 2 * 0.35 + 0.85
    assert samples[: RATE * 3 // 10].max() == 0
    utterance.transcribed("Hello.", mark, cut)
    assert utterance.text == "Hello."
    assert not utterance.has_news


def test_speech_that_arrives_while_the_model_works_is_news_again() -> None:
    utterance = Utterance()
    say(utterance, 1)
    _, mark, cut = utterance.next_audio()
    say(utterance, 0.5)
    utterance.transcribed("Hello", mark, cut)
    assert utterance.has_news


def test_a_long_utterance_is_cut_at_its_pause_and_its_text_goes_on() -> None:
    utterance = Utterance()
    say(utterance, 6)
    say(utterance, 0.4, probability=0.1)
    say(utterance, 3)
    samples, mark, cut = utterance.next_audio()
    assert cut
    assert 6.5 < seconds_of(samples) < 7.3
    utterance.transcribed("First part.", mark, cut)
    assert utterance.has_news
    _, mark, cut = utterance.next_audio()
    assert not cut
    utterance.transcribed("Second part.", mark, cut)
    assert utterance.text == "First part. Second part."


def test_breathless_speech_is_cut_at_its_quietest_point() -> None:
    utterance = Utterance()
    say(utterance, 9)
    say(utterance, 0.16, probability=0.6)
    say(utterance, 6)
    samples, _, cut = utterance.next_audio()
    assert cut
    assert 9.7 < seconds_of(samples) < 10.1


def test_what_was_said_before_a_long_pause_stays() -> None:
    utterance = Utterance()
    say(utterance, 1)
    _, mark, cut = utterance.next_audio()
    utterance.transcribed("Hold on.", mark, cut)
    say(utterance, 20, probability=0.1)
    assert utterance.seconds < 1
    say(utterance, 1)
    _, mark, cut = utterance.next_audio()
    utterance.transcribed("Here it is.", mark, cut)
    assert utterance.text == "Hold on. Here it is."


def test_speech_that_nobody_has_time_for_is_bounded_and_counted() -> None:
    utterance = Utterance()
    say(utterance, 100)
    assert utterance.seconds <= 60
    assert utterance.seconds + utterance.lost_chunks * CHUNK / RATE > 99


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=700))
def test_any_course_of_speech_and_transcription_ends_with_everything_heard(steps: list[tuple[float, bool]]) -> None:
    utterance = Utterance()
    samples = np.zeros(CHUNK, np.float32)
    for probability, transcribe in steps:
        utterance.add(samples, probability)
        if transcribe and utterance.has_news:
            _, mark, cut = utterance.next_audio()
            utterance.transcribed("word", mark, cut)
    for _ in range(100):
        if not utterance.has_news:
            break
        _, mark, cut = utterance.next_audio()
        utterance.transcribed("word", mark, cut)
    assert not utterance.has_news
