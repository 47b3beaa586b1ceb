"""Our own voice coming back is known for what it is, and a caller who talks over it is not."""

from __future__ import annotations

import numpy as np
import pytest

from engine.media.echo import EchoGuard
from engine.media.levels import level_db
from tests.media import sounds
from tests.media.sounds import Samples, frames

OURS = "We have Tuesday at ten, Wednesday at half past two, and Friday in the afternoon. Which of these suits you?"
THEIRS = "No, please stop reading, I only want to know what the check-up costs and how long it takes."
LEAD = 8


def heard(ours: Samples, caller: Samples) -> list[bool]:
    """Per frame of the caller whose side is loud: whether the guard takes it for our echo."""
    guard, sent = EchoGuard(), list(frames(ours))
    verdicts: list[bool] = []
    for at, frame in enumerate(frames(caller)):
        for ours_now in sent[:LEAD] if at == 0 else sent[at + LEAD - 1 : at + LEAD]:
            guard.sent(ours_now)
        level = level_db(frame)
        is_ours, found_ms = guard.frame(frame, level, level > -50)
        if level > -50:
            verdicts.append(is_ours)
        for back in range(1, min(found_ms // 20, len(verdicts)) + 1):
            verdicts[-back] = True
    return verdicts


def echo(ours: Samples, db: float, ms: int, tone_db: float = -58.0) -> Samples:
    back = np.concatenate([np.zeros(ms * 8), ours * 10 ** (db / 20)])
    return sounds.over(back, tone_db)


@pytest.mark.parametrize(("db", "ms"), [(-24, 60), (-18, 245), (-12, 400), (-6, 690)])
def test_an_echo_is_found_at_any_loss_and_delay(db: float, ms: int) -> None:
    ours = sounds.spoken(OURS, db=-20)
    verdicts = heard(ours, echo(ours, db, ms))
    assert len(verdicts) > 80
    assert sum(verdicts) / len(verdicts) > 0.9


def test_the_same_synthetic_voice_with_other_words_is_no_echo() -> None:
    """Its syllables have the same waveform each time, so this is the hardest case."""
    ours = sounds.spoken(OURS, db=-20)
    verdicts = heard(ours, sounds.over(sounds.spoken(THEIRS, db=-22), -58))
    assert len(verdicts) > 80
    assert not any(verdicts)


def test_real_people_are_no_echo() -> None:
    ours = sounds.spoken(OURS, db=-20)
    for recording in ("beckett.wav", "two_cities.wav"):
        people = sounds.at_level(sounds.recorded(recording)[: len(ours)], -22)
        assert not any(heard(ours, people))


def test_a_caller_who_talks_over_a_known_echo_is_heard() -> None:
    ours, theirs = sounds.spoken(OURS, db=-20), sounds.spoken(THEIRS, db=-20)
    both = echo(ours, -20, 180)
    start = 3 * sounds.RATE
    end = min(len(both), start + len(theirs))
    before = heard(ours, both[:start])
    both[start:end] += theirs[: end - start]
    over = heard(ours, both)[len(before) :]
    assert sum(before) / len(before) > 0.9
    assert sum(over) / len(over) < 0.5


def test_nothing_is_compared_while_we_are_silent() -> None:
    guard = EchoGuard()
    for frame in frames(sounds.noise(1, -30)):
        assert guard.frame(frame, -30.0, True) == (False, 0)
    assert guard.lag_ms is None
