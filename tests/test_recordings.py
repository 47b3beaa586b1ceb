"""The files of recordings: nobody waits for one for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.recordings import DISK_SECONDS, RecordingFailed, Recordings
from tests.virtual_time import virtual_time


def nothing(*_: object) -> None:
    """What is told is not looked at."""


@virtual_time
async def test_a_recording_that_was_never_opened_is_ended_within_the_limit_and_stays_without_a_file() -> None:
    loop, folder = asyncio.get_running_loop(), Path("/nowhere/recordings")
    recordings = Recordings(folder, loop.time)
    recording = recordings.new("c1", 1, nothing, nothing)
    assert await recordings.end(recording) == 0
    assert loop.time() == pytest.approx(DISK_SECONDS)
    with pytest.raises(RecordingFailed):
        await recordings.open(recording)
    assert recording.writer is None
