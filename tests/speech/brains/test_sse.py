"""Server-sent events are put together however the network split them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.speech.brains.sse import MAX_EVENT_BYTES, EventTooLarge, SseParser


def parse(*chunks: bytes) -> list[str]:
    parser = SseParser()
    return [data for chunk in chunks for data in parser.feed(chunk)] + parser.flush()


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_events_end_with_an_empty_line_in_any_kind_of_line_ending(newline: bytes) -> None:
    lines = [b": hello", b"event: x", b"data: one", b"data:two", b"", b"id: 3", b"data: [DONE]", b"", b""]
    stream = newline.join(lines)
    assert parse(stream) == ["one\ntwo", "[DONE]"]


def test_an_unfinished_last_event_counts() -> None:
    assert parse(b"data: one\n\ndata: two") == ["one", "two"]


@given(
    st.lists(st.text("ab \u20ac\u4f60", min_size=1, max_size=8), max_size=6),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(1, 9), min_size=1, max_size=9),
)
def test_splits_anywhere_make_no_difference(events: list[str], newline: str, sizes: list[int]) -> None:
    stream = "".join(f"data: {event}{newline}{newline}" for event in events).encode()
    chunks, start, turn = [], 0, 0
    while start < len(stream):
        size = sizes[turn % len(sizes)]
        chunks.append(stream[start : start + size])
        start, turn = start + size, turn + 1
    assert parse(*chunks) == events


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_bytes_are_parsed(chunks: list[bytes]) -> None:
    parse(*chunks)


def test_an_endless_event_is_refused() -> None:
    parser = SseParser()
    with pytest.raises(EventTooLarge):
        for _ in range(MAX_EVENT_BYTES // 50_000 + 2):
            parser.feed(b"data: " + b"x" * 50_000 + b"\n")
