"""Load for a media server: N simulated Twilio callers, and how late the server's audio reaches them.

    python bench/media_load.py --calls 400 --mode tts
    python bench/media_load.py --calls 20 --arrivals 0.3        # new calls while others play
    python bench/media_load.py --calls 100 --url-port 8765 --pid 123   # a server that runs already

Starts `bench/media_server.py` on one core and itself on the other, opens the calls, sends 50 frames a second for each
and prints one JSON object. Lateness of a frame is how much later it came than its place in a 20 ms grid through the
call's most punctual frame of the window: the lead does not make it better, and no clock that starts over hides it.
`gaps` are moments in which a carrier that plays 8 kHz would have had nothing left to play.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from array import array
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

FRAME = 0.02
PHASES = 4
RING = 3000
"""Prepared inbound frames: a minute of them, shared by all calls."""
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(message: dict[str, Any]) -> bytes:
    """A client's text frame. The mask is zero, which is a mask like any other to the server."""
    text = json.dumps(message, separators=(",", ":")).encode()
    size = bytes((0x80 | len(text),)) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + size + b"\0\0\0\0" + text


def inbound_frames() -> list[bytes]:
    """What callers say: 220 Hz, so that gates and meters have something to do."""
    wave = np.sin(2 * np.pi * 220 * np.arange(8000) / 8000)
    codes = (0xFF - np.abs(wave * 100).astype(np.uint8)).tobytes()
    frames = []
    for index in range(RING):
        at = index % 50 * 160
        media = {
            "track": "inbound",
            "chunk": str(index + 1),
            "timestamp": str(index * 20),
            "payload": base64.b64encode(codes[at : at + 160]).decode(),
        }
        frames.append(masked({"event": "media", "sequenceNumber": str(index + 2), "streamSid": SID, "media": media}))
    return frames


SID = "MZ" + "0" * 32


class Caller(asyncio.Protocol):
    """One call. Frames are told apart by their size: all media frames of a stream have the same."""

    def __init__(self, number: int, opened: asyncio.Future[None]) -> None:
        self._number = number
        self._opened = opened
        self._rest = b""
        self._media_size = 0
        self._marks: deque[tuple[float, str]] = deque()
        self._until = 0.0
        self.transport: asyncio.Transport | None = None
        self.arrivals = array("d")
        self.gaps = 0
        self.gap_ms = 0.0
        self.sent = 0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._write(HANDSHAKE)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self._opened.done():
            self._opened.set_exception(exc or ConnectionResetError("closed during the handshake"))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self._opened.done():
            self._rest += data
            head, end, rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._opened.set_exception(ConnectionError(head[:80].decode(errors="replace")))
                return
            self._start()
            self._opened.set_result(None)
            data, self._rest = rest, b""
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        while size - at >= 4:
            length = data[at + 1]
            body = at + 2
            if length == 126:
                length = data[at + 2] << 8 | data[at + 3]
                body = at + 4
            if size - body < length:
                break
            if length == self._media_size or b'"event":"media"' in data[body : body + length]:
                self._media_size = length
                self._media(now)
            else:
                self._other(data[body : body + length])
            at = body + length
        self._rest = data[at:]

    def _media(self, now: float) -> None:
        self.arrivals.append(now)
        if now > self._until:
            if self._until:
                self.gaps += 1
                self.gap_ms += (now - self._until) * 1000
            self._until = now
        self._until += FRAME

    def _other(self, body: bytes) -> None:
        message = json.loads(body)
        if message["event"] == "mark":
            self._marks.append((self._until, message["mark"]["name"]))
        elif message["event"] == "clear":
            self._until = 0.0

    def tick(self, now: float, frame: bytes) -> None:
        """Send the next 20 ms, and the marks that were reached."""
        if self.lost:
            return
        self.sent += 1
        while self._marks and self._marks[0][0] <= now:
            name = self._marks.popleft()[1]
            frame += masked({"event": "mark", "sequenceNumber": "9", "streamSid": SID, "mark": {"name": name}})
        self._write(frame)

    def _start(self) -> None:
        self._write(masked({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        start = {
            "accountSid": "AC" + "0" * 32,
            "streamSid": SID,
            "callSid": f"CA{self._number:032d}",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        }
        self._write(masked({"event": "start", "sequenceNumber": "1", "streamSid": SID, "start": start}))

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Load:
    """All callers, one timer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._frames = inbound_frames()
        self.phases: list[list[Caller]] = [[] for _ in range(PHASES)]
        self._opened = 0
        self.own_lateness = array("d")

    async def open(self) -> Caller:
        """One more call."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        number = self._opened
        self._opened += 1
        _, caller = await loop.create_connection(lambda: Caller(number, opened), "127.0.0.1", self._port)
        async with asyncio.timeout(10):
            await opened
        self.phases[number % PHASES].append(caller)
        return caller

    async def send(self) -> None:
        """50 frames a second for every caller, on an absolute clock, the calls spread over the 20 ms."""
        begin, slot = time.perf_counter(), 0
        while True:
            due = begin + slot * FRAME / PHASES
            now = time.perf_counter()
            if due - now > 0.0005:
                await asyncio.sleep(due - now)
                continue
            self.own_lateness.append(now - due)
            frame = self._frames[slot // PHASES % RING]
            for caller in self.phases[slot % PHASES]:
                caller.tick(now, frame)
            slot += 1
            await asyncio.sleep(0)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Resident memory of a process (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def lateness_ms(caller: Caller, begin: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How late every frame of the window was, against the grid through the most punctual of them."""
    times = np.frombuffer(caller.arrivals, dtype=np.float64)
    first = int(np.searchsorted(times, begin))
    offsets = (times[first:] - (np.arange(first, len(times)) * FRAME)) * 1000
    return offsets - offsets.min() if len(offsets) else offsets


async def measure(options: argparse.Namespace, port: int, pid: int) -> dict[str, Any]:
    load = Load(port)
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(load.send())
        callers = []
        for _ in range(options.calls):
            callers.append(await load.open())
            await asyncio.sleep(1 / options.ramp)
        await asyncio.sleep(options.settle)
        cpu, begin = cpu_seconds(pid), time.perf_counter()
        before = [(caller.gaps, caller.gap_ms, len(caller.arrivals)) for caller in callers]
        load.own_lateness = array("d")
        arrivals = 0
        while (left := begin + options.seconds - time.perf_counter()) > 0:
            if options.arrivals:
                await asyncio.sleep(min(left, options.arrivals))
                await load.open()
                arrivals += 1
            else:
                await asyncio.sleep(left)
        seconds = time.perf_counter() - begin
        cpu = cpu_seconds(pid) - cpu
        sending.cancel()
    late = np.concatenate([lateness_ms(caller, begin) for caller in callers])
    minutes = seconds / 60 * options.calls
    frames = sum(len(caller.arrivals) - count for caller, (_, _, count) in zip(callers, before, strict=True))
    gaps = sum(caller.gaps - count for caller, (count, _, _) in zip(callers, before, strict=True))
    gap_ms = sum(caller.gap_ms - ms for caller, (_, ms, _) in zip(callers, before, strict=True))
    call_seconds = options.calls * seconds + sum(range(arrivals)) * (options.arrivals or 0)
    return {
        "mode": options.mode,
        "calls": options.calls,
        "newCalls": arrivals,
        "lost": sum(caller.lost for caller in callers),
        "seconds": round(seconds, 1),
        "frames": frames,
        "framesExpected": round(options.calls * seconds / FRAME),
        "lateMs": {name: round(float(np.percentile(late, q)), 2) for name, q in (("p50", 50), ("p99", 99))}
        | {"max": round(float(late.max()), 2)},
        "late20": int((late > 20).sum()),
        "gapsPerCallMinute": round(gaps / minutes, 3),
        "silenceMsPerCallMinute": round(gap_ms / minutes, 2),
        "serverCpuPercent": round(100 * cpu / seconds, 1),
        "serverCpuMsPerCallSecond": round(1000 * cpu / call_seconds, 2),
        "serverResidentMb": round(resident_mb(pid), 1),
        "clientLateP99Ms": round(float(np.percentile(load.own_lateness, 99)) * 1000, 2),
    }


def pin(core: int) -> None:
    """Stay on one core, where the system can do that and has it."""
    if hasattr(os, "sched_setaffinity") and core in os.sched_getaffinity(0):
        os.sched_setaffinity(0, {core})


def start_server(options: argparse.Namespace) -> subprocess.Popen[str]:
    here = Path(__file__).resolve().parent
    command = [sys.executable, str(here / "media_server.py"), "0", options.mode, "--lead", str(options.lead)]
    command += ["--ears"] if options.ears else []

    def first() -> None:
        pin(0)
        if options.realtime:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))

    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=first)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--mode", choices=["echo", "tts"], default="tts")
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--settle", type=float, default=5, help="seconds between the last call and the measurement")
    parser.add_argument("--ramp", type=float, default=100, help="calls opened per second before it")
    parser.add_argument(
        "--arrivals", type=float, default=0, help="open one more call every so many seconds meanwhile"
    )
    parser.add_argument("--lead", type=int, default=160)
    parser.add_argument("--ears", action="store_true")
    parser.add_argument("--realtime", action="store_true", help="SCHED_FIFO for both sides (needs the right to)")
    parser.add_argument("--url-port", type=int, help="measure a server that runs already")
    parser.add_argument("--pid", type=int, help="its process id")
    options = parser.parse_args()
    server = None if options.url_port else start_server(options)
    try:
        if server is None:
            port, pid = options.url_port, options.pid
        else:
            assert server.stdout is not None
            port, pid = int(server.stdout.readline().split()[-1]), server.pid
        pin(1)
        if options.realtime:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        print(json.dumps(uvloop.run(measure(options, port, pid))))
    finally:
        if server is not None:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
