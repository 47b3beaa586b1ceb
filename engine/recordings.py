"""Recordings of calls: their files, and the one thread that writes them.

The media loop only ever puts pieces on a tape. Four times a second what waits on all tapes goes to a thread; while
that thread is held up by its disk, pieces wait, then are dropped and counted. No frame is ever late for it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeVar

from engine.api import Recorded, Refusal
from engine.calls import Call
from engine.clock import epoch_ms
from engine.media import wav
from engine.media.tape import Tape
from engine.media.wav import WavWriter
from engine.store.files import FOLDER_MODE

log = logging.getLogger(__name__)

FOLDER_NAME: Final = "recordings"
WRITE_SECONDS: Final = 0.25
DISK_SECONDS: Final = 5.0
"""How long anybody waits for the disk."""
MAX_STALLED_SECONDS: Final = 30.0
"""A disk that takes this long for one write is not waited for any more: its recordings end."""
_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,64}\.[0-9]{1,4}\.wav")
_T = TypeVar("_T")


class RecordingFailed(Exception):
    """The disk does not take a recording, in words for the operator."""


@dataclass(slots=True, eq=False)
class Recording:
    """One file on its way."""

    path: Path
    index: int
    """1, 2, ... of its call."""
    started_at: int
    """Epoch ms of its first sample."""
    tape: Tape
    on_lost: Callable[[], None]
    """Told when the disk is too slow, once for each time."""
    on_failed: Callable[[str], None]
    """Told why it can not be written any more; nothing is written after that."""
    writer: WavWriter | None = None
    lost: int = 0
    failed: str = ""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Its file was made, or could not be."""

    @property
    def lost_ms(self) -> int:
        """Audio that the disk was too slow for; it is silent in the file."""
        return self.tape.lost * 1000 // wav.RATE


class Recordings:
    """All recordings of one engine. Belongs to its loop."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: the one that playouts are paced by, in seconds."""
        self.folder = folder
        self.clock = clock
        self._open: set[Recording] = set()
        self._disk = _Disk()
        self._writing: asyncio.Future[None] | None = None
        self._since = 0.0

    def new(
        self, call_id: str, index: int, on_lost: Callable[[], None], on_failed: Callable[[str], None]
    ) -> Recording:
        """A new recording, whose sample 0 is now; what comes waits until `open` has made its file."""
        path = self.folder / f"{re.sub(r'[^0-9A-Za-z-]', '-', call_id)[:64]}.{index}.wav"
        return Recording(path, index, epoch_ms(), Tape(self.clock()), on_lost, on_failed)

    async def open(self, recording: Recording) -> None:
        """Make its file. Raises RecordingFailed."""
        if recording.failed:  # it was ended before it began
            raise RecordingFailed(recording.failed)
        made: list[WavWriter] = []

        def create() -> None:
            self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            made.append(WavWriter(recording.path))

        try:
            async with asyncio.timeout(DISK_SECONDS):
                await self._disk.run(create)
            (recording.writer,) = made
            self._open.add(recording)
        except TimeoutError:
            raise RecordingFailed(f"the disk of {self.folder} does not answer") from None
        except OSError as error:
            raise RecordingFailed(f"{recording.path} can not be written: {error.strerror or error}") from error
        finally:
            if recording.writer is None:
                self._disk.put(lambda: _undo(made))
            recording.ready.set()

    async def end(self, recording: Recording) -> int:
        """Write what waits and close the file; its length in ms. Waits for the disk, but not for ever."""
        try:
            async with asyncio.timeout(DISK_SECONDS):
                await recording.ready.wait()
        except TimeoutError:  # whoever was to open it was cancelled before
            recording.failed = "its file was never made"
            log.error("the recording %s: %s", recording.path, recording.failed)
        if recording not in self._open:
            return 0
        self._open.discard(recording)
        writer, samples = recording.writer, round((self.clock() - recording.tape.started) * wav.RATE)
        pieces = recording.tape.take()
        if writer is None:
            return 0

        def close() -> int:
            try:
                writer.put(pieces)
            finally:
                writer.close(writer.samples if recording.failed else samples)
            return writer.samples * 1000 // wav.RATE

        try:
            async with asyncio.timeout(DISK_SECONDS):
                return await self._disk.run(close)
        except TimeoutError:
            recording.failed = recording.failed or "the disk does not answer"
        except OSError as error:
            recording.failed = recording.failed or error.strerror or str(error)
        log.error("the recording %s was not closed: %s", recording.path, recording.failed)
        return samples * 1000 // wav.RATE

    async def run(self) -> None:
        """Write what waits, for ever."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            self._look()

    def _look(self) -> None:
        for recording in list(self._open):
            if recording.tape.lost > recording.lost:
                first, recording.lost = recording.lost == 0 or not self._busy, recording.tape.lost
                if first:
                    recording.on_lost()
        if self._busy:
            if self.clock() - self._since > MAX_STALLED_SECONDS:
                self._give_up()
            return
        work = [(each, each.tape.take()) for each in self._open if each.tape.waits and not each.failed]
        if work:
            self._since = self.clock()
            self._writing = asyncio.ensure_future(self._write(work))

    @property
    def _busy(self) -> bool:
        return self._writing is not None and not self._writing.done()

    async def _write(self, work: Sequence[tuple[Recording, list[wav.Piece]]]) -> None:
        def put() -> list[tuple[Recording, str]]:
            failed = []
            for recording, pieces in work:
                try:
                    if recording.writer is not None:
                        recording.writer.put(pieces)
                except OSError as error:
                    failed.append((recording, error.strerror or str(error)))
            return failed

        for recording, why in await self._disk.run(put):
            self._fail(recording, why)

    def _give_up(self) -> None:
        for recording in list(self._open):
            if not recording.failed:
                self._fail(recording, f"the disk did not answer for {MAX_STALLED_SECONDS:.0f} s")

    def _fail(self, recording: Recording, why: str) -> None:
        if not recording.failed:
            recording.failed = why
            log.error("the recording %s: %s", recording.path, why)
            recording.on_failed(why)

    async def part(self, call: Call | None, call_id: str, index: int, from_ms: int, ms: int) -> Recorded:
        """A stretch of a recording of a call, also of one that runs. Raises Refusal."""
        return await asyncio.to_thread(read_part, call, call_id, index, from_ms, ms)

    async def remove(self, files: Iterable[str]) -> int:
        """Delete recordings whose calls are forgotten; how many went."""
        return await asyncio.to_thread(lambda: sum(_remove(Path(file)) for file in files))

    async def close(self) -> None:
        """End what is left. Calls end theirs by themselves; this is for those that could not."""
        for recording in list(self._open):
            await self.end(recording)
        self._disk.stop()


def read_part(call: Call | None, call_id: str, index: int, from_ms: int, ms: int) -> Recorded:
    """A stretch of a recording of a call; `index` counts from 1, 0 is the last one. Blocks. Raises Refusal."""
    if call is None:
        raise Refusal("call_not_found", f"there is no call {call_id}", "`voicecall status` lists the calls")
    found = [each for each in call.recordings if index in (0, each.index)]
    if not found:
        hint = "recording.enabled: true records every call" if not call.recordings else ""
        raise Refusal("recording_not_found", f"the call {call.call_id} has no such recording", hint)
    path = Path(found[-1].file)
    try:
        if not is_ours(path):
            raise ValueError(f"{path.name} is no recording of ours")
        return Recorded(wav.read(path, from_ms, ms).astype("<i2").tobytes(), wav.length_ms(path))
    except FileNotFoundError:
        raise Refusal("recording_not_found", f"the recording {path} is gone", "it was deleted or moved") from None
    except (OSError, ValueError) as error:
        raise Refusal("recording_not_found", f"the recording {path} can not be read: {error}") from error


def is_ours(path: Path) -> bool:
    """Whether a file has a name that we give recordings."""
    return path.is_absolute() and _NAME.fullmatch(path.name) is not None


def _undo(made: Sequence[WavWriter]) -> None:
    """Nobody waited for these files."""
    for writer in made:
        try:
            writer.close(0)
            writer.path.unlink(missing_ok=True)
        except OSError as error:
            log.error("the empty recording %s stays: %s", writer.path, error)


def _remove(path: Path) -> bool:
    if not is_ours(path):
        return False
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        log.error("the recording %s of a forgotten call could not be deleted: %s", path, error)
        return False
    return True


class _Disk:
    """One thread for all files. It is a daemon: a disk that never answers must not keep the process alive."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, job: Callable[[], _T]) -> _T:
        """Do `job` after those before it. Who does not wait for it does not stop it."""
        result: Future[_T] = Future()

        def work() -> None:
            if not result.set_running_or_notify_cancel():
                return
            try:
                result.set_result(job())
            except Exception as error:
                result.set_exception(error)

        self.put(work)
        return await asyncio.shield(asyncio.wrap_future(result))

    def put(self, job: Callable[[], None]) -> None:
        """Do `job` after those before it, for nobody who waits."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="recordings", daemon=True)
            self._thread.start()
        self._work.put(job)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def stop(self) -> None:
        """End once all is done."""
        self._work.put(None)
