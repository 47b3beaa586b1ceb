from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.media.audio import PHONE, Audio
from engine.speech.tts.cache import AudioCache


def audio(size: int) -> Audio:
    return Audio(PHONE, bytes(size))


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(0, 400)), max_size=200),
    st.integers(100, 2000),
)
def test_it_never_holds_more_than_its_room(steps: list[tuple[bool, int, int]], room: int) -> None:
    cache = AudioCache(room)
    for put, name, size in steps:
        if put:
            cache.put((str(name),), audio(size))
        else:
            cache.get((str(name),))
        assert cache.size <= room


def test_a_line_is_found_by_all_of_its_key() -> None:
    cache = AudioCache(1000)
    cache.put(("openai", "coral", "Hello."), audio(10))
    assert cache.get(("openai", "coral", "Hello.")) == audio(10)
    assert cache.get(("openai", "ash", "Hello.")) is None


def test_many_lines_that_are_said_once_do_not_push_out_the_greeting() -> None:
    cache = AudioCache(1000)
    cache.put(("greeting",), audio(100))
    assert cache.get(("greeting",)) is not None
    for number in range(100):
        cache.put((f"reply {number}",), audio(100))
    assert cache.get(("greeting",)) is not None
    assert cache.get(("reply 0",)) is None
    assert cache.get(("reply 99",)) is not None


def test_greetings_that_nobody_asks_for_any_more_go_too() -> None:
    cache = AudioCache(1000)
    for number in range(30):
        cache.put((f"greeting {number}",), audio(100))
        cache.get((f"greeting {number}",))
    assert cache.get(("greeting 0",)) is None
    assert cache.get(("greeting 29",)) is not None


def test_a_line_as_long_as_a_speech_is_not_kept() -> None:
    cache = AudioCache(1000)
    cache.put(("speech",), audio(300))
    assert cache.size == 0
