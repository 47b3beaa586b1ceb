from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.speech.stt.outbox import Outbox

STEPS = st.lists(st.binary(max_size=30) | st.integers(0, 9), max_size=30)
"""Audio, or the end of an utterance."""


def test_audio_gathers_between_the_ends_of_utterances() -> None:
    outbox: Outbox[int] = Outbox(8000)
    outbox.audio(b"ab")
    outbox.audio(b"c")
    outbox.mark(1)
    outbox.audio(b"d")
    assert outbox.marked and outbox.queued_bytes == 4
    assert outbox.take() == [b"abc", 1, b"d"]
    assert len(outbox) == 0 and outbox.queued_bytes == 0 and not outbox.marked


@given(STEPS)
def test_the_newest_audio_stays_every_end_stays_and_what_went_is_counted(steps: list[bytes | int]) -> None:
    outbox: Outbox[int] = Outbox(1000, seconds=0.02)  # 20 bytes, one per millisecond
    for step in steps:
        if isinstance(step, bytes):
            outbox.audio(step)
        else:
            outbox.mark(step)
    everything = b"".join(step for step in steps if isinstance(step, bytes))
    taken = outbox.take()
    kept = b"".join(item for item in taken if isinstance(item, bytes))
    assert kept == everything[-20:]
    assert [item for item in taken if isinstance(item, int)] == [step for step in steps if isinstance(step, int)]
    assert outbox.take_dropped_ms() == len(everything) - len(kept)
    assert outbox.take_dropped_ms() == 0


def test_what_was_understood_is_forgotten_and_not_counted_as_dropped() -> None:
    outbox: Outbox[int] = Outbox(8000)
    for mark, audio in ((1, b"aa"), (2, b"bb"), (3, b"cc")):
        outbox.audio(audio)
        outbox.mark(mark)
    outbox.forget_until(2)
    assert list(outbox) == [b"cc", 3]
    assert outbox.queued_bytes == 2 and outbox.take_dropped_ms() == 0
