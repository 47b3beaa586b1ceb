"""`kill -9` at any moment loses nothing that was acknowledged."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from engine.calls import Draft
from engine.store import EventLog, open_readonly

WRITER = """
import asyncio, os, sys
from pathlib import Path
from engine.calls import Draft
from engine.store import EventLog

async def talk(log, name):
    while True:
        events = await log.append([Draft("speech.final", name, {"text": f"{name} {part}"}) for part in range(3)])
        os.write(1, "".join(f"{event.seq} {event.data['text']}\\n" for event in events).encode())

async def main():
    log = await EventLog.open(Path(sys.argv[1]))
    await asyncio.gather(*[talk(log, f"c{number}") for number in range(8)])

asyncio.run(main())
"""


def run_and_kill(path: Path, lines: int) -> dict[int, str]:
    """Let the writer acknowledge about `lines` events, kill it, return everything that it acknowledged."""
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = b""
        while told.count(b"\n") < lines and (some := os.read(process.stdout.fileno(), 65536)):
            told += some
        process.kill()
        told += process.stdout.read()
    whole = told[: told.rfind(b"\n") + 1].decode().splitlines()
    return {int(seq): text for seq, _, text in (line.partition(" ") for line in whole)}


@pytest.mark.parametrize("seed", range(4))
async def test_kill_at_any_moment_loses_nothing_acknowledged(path: Path, seed: int) -> None:
    moments = random.Random(seed)
    acknowledged: dict[int, str] = {}
    for _ in range(2):
        acknowledged |= run_and_kill(path, moments.randrange(1, 3000))
        if seed % 2:
            with open_readonly(path) as reader:
                assert reader.last_seq >= max(acknowledged)
        async with await EventLog.open(path) as log:
            stored = {event.seq: event.data["text"] for event in await log.read(0, 1_000_000)}
            assert acknowledged.items() <= stored.items()
            assert list(stored) == list(range(1, log.last_seq + 1))
            # What was appended together was stored together.
            assert log.last_seq % 3 == 0
            await log.append([Draft("engine.started", None, {"text": ""})] * 3)
