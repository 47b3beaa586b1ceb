"""Lines that were being said when the engine died: what may have been heard of them stays in the transcript."""

from __future__ import annotations

import pytest

from engine.calls import Call, Event, apply
from engine.live.lines import estimated_ms, lost_lines

TEXT = "Good morning, this is the practice of Doctor Miller, and I am calling about your appointment."


def speaking(media: str) -> Call:
    """A call in the middle of a line that began at 1000 ms."""
    call: Call | None = None
    facts = [
        ("call.initiated", {"direction": "outbound", "media": media}),
        ("call.answered", {}),
        ("say.queued", {"sayId": "1", "speaker": "agent", "kind": "speak", "text": TEXT}),
        ("say.started", {"sayId": "1"}),
    ]
    for seq, (type_, data) in enumerate(facts, 1):
        call = apply(call, Event(seq, 1000, "c", type_, data))
    assert call is not None
    return call


def after(call: Call, ms: int) -> Call:
    for draft in lost_lines(call, "the engine stopped", 1000 + ms):
        done = apply(call, Event(9, 1000 + ms, "c", draft.type, draft.data))
        assert done is not None
        call = done
    return call


@pytest.mark.parametrize("media", ["stream", "native"])
def test_the_beginning_of_a_long_line_is_kept_as_cut(media: str) -> None:
    (line,) = after(speaking(media), estimated_ms(TEXT) // 2).transcript
    assert line.cut and not line.playing and line.text and TEXT.startswith(line.text) and line.unheard


def test_a_stream_that_fell_silent_with_us_never_counts_as_heard_to_the_end() -> None:
    (line,) = after(speaking("stream"), 600_000).transcript
    assert line.cut and line.text == TEXT


def test_a_carriers_own_voice_goes_on_without_us() -> None:
    (line,) = after(speaking("native"), 600_000).transcript
    assert not line.cut and line.text == TEXT


def test_of_a_line_that_had_just_begun_nothing_was_heard() -> None:
    (line,) = after(speaking("stream"), 0).transcript
    assert line.text == "" and line.unheard == TEXT
