from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.speech.worker_process import RestartBudget, WorkerFailed, WorkerProcess, _environment
from engine.speech.worker_wire import MAX_PAYLOAD, BrokenStream, Frame, Kind, receive_frame


@given(st.sampled_from(Kind), st.integers(0, 2**32 - 1), st.binary(max_size=2000))
def test_a_frame_survives_the_wire(kind: Kind, id_: int, payload: bytes) -> None:
    frame = Frame(kind, id_, payload)
    assert receive_frame(io.BytesIO(frame.encode()).read) == frame


@given(st.binary(max_size=40))
def test_bytes_of_any_shape_are_a_frame_an_end_or_a_broken_stream(data: bytes) -> None:
    try:
        frame = receive_frame(io.BytesIO(data).read)
    except BrokenStream:
        return
    assert frame is None or data.startswith(frame.encode())


def test_a_length_beyond_the_bound_is_refused_before_anything_is_read() -> None:
    with pytest.raises(BrokenStream, match=str(MAX_PAYLOAD)):
        receive_frame(io.BytesIO(b"\xff" * 9).read)


def test_a_restart_is_allowed_again_when_the_window_has_passed() -> None:
    now = [0.0]
    budget = RestartBudget(limit=2, window=60, clock=lambda: now[0])
    assert [budget.take(), budget.take(), budget.take()] == [True, True, False]
    now[0] = 61
    assert budget.take()


def test_the_worker_is_not_told_the_keys_of_the_engine() -> None:
    environment = _environment({"PATH": "/bin", "TWILIO_AUTH_TOKEN": "secret", "OPENAI_API_KEY": "secret"})
    assert "secret" not in environment.values()
    assert environment["PATH"] == "/bin"
    assert environment["OMP_THREAD_LIMIT"] == "1"


async def test_a_worker_that_can_not_load_says_why_in_its_own_words() -> None:
    worker = WorkerProcess("engine.speech.no_such_worker", lambda frame: None, lambda why: None)
    with pytest.raises(WorkerFailed, match="no_such_worker"):
        await worker.start()
    assert worker.pid is not None
