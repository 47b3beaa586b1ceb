from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.media.audio import FRAME_BYTES, SILENCE
from engine.simulator.playback import LIMIT_BYTES, Playback

FRAME = b"\x11" * FRAME_BYTES


def drain(playback: Playback, frames: int) -> tuple[bytes, list[tuple[int, str]]]:
    """Everything that sounds in so many frames, and each mark with the bytes that had been played before it."""
    audio, marks = b"", list[tuple[int, str]]()
    for _ in range(frames):
        frame, names = playback.next_frame()
        marks += [(len(audio), name) for name in names]
        audio += frame or b""
    return audio, marks


def test_a_mark_comes_back_only_after_its_audio_has_sounded() -> None:
    playback = Playback()
    playback.push(FRAME)
    assert not playback.mark("end")
    assert playback.next_frame() == (FRAME, [])
    assert playback.next_frame() == (None, ["end"])


def test_a_mark_with_nothing_before_it_is_sent_back_at_once() -> None:
    assert Playback().mark("empty")


def test_a_mark_that_comes_while_the_last_frame_sounds_waits_for_its_end() -> None:
    playback = Playback()
    playback.push(FRAME)
    playback.next_frame()
    assert not playback.mark("late")
    assert playback.next_frame() == (None, ["late"])


def test_clear_drops_the_audio_and_hands_back_all_pending_marks_in_order() -> None:
    playback = Playback()
    for name in ("a", "b", "c"):
        playback.push(FRAME)
        playback.mark(name)
    playback.next_frame()
    assert playback.clear() == ["a", "b", "c"]
    assert playback.next_frame() == (None, [])
    assert playback.waiting_ms == 0


def test_more_than_ten_minutes_are_refused() -> None:
    playback = Playback()
    assert playback.push(bytes(LIMIT_BYTES))
    assert not playback.push(b"\x01")
    assert playback.waiting_ms == 600_000


@given(st.lists(st.one_of(st.binary(max_size=700), st.text(min_size=1, max_size=5)), max_size=30))
def test_chunks_of_any_length_sound_in_order_and_marks_follow_their_audio(items: list[bytes | str]) -> None:
    playback = Playback()
    for item in items:
        if isinstance(item, bytes):
            playback.push(item)
        else:
            playback._items.append(item)  # past the shortcut for an empty queue
    before: list[tuple[int, str]] = []
    sent = b""
    for item in items:
        if isinstance(item, bytes):
            sent += item
        else:
            before.append((len(sent), item))
    audio, marks = drain(playback, sum(len(item) for item in items) // FRAME_BYTES + 2 * len(items) + 2)
    assert [name for _, name in marks] == [name for _, name in before]
    assert all(played >= wanted for (played, _), (wanted, _) in zip(marks, before, strict=True))
    assert len(audio) % FRAME_BYTES == 0
    assert playback.idle and playback.waiting_ms == 0
    if not before:
        assert audio == sent + bytes([SILENCE]) * (len(audio) - len(sent))
