"""Our voice on its way to one caller: paced, accounted for, and stopped at once when it must be.

The carrier holds between 60 and 200 ms of our audio (the lead): enough that a busy moment here is not heard, little
enough that what was heard is known. `_horizon` is the time at which the carrier will have played all that it has;
frames go out whenever that is nearer than the lead. It moves by 20 ms per frame and by nothing else, so a late tick
sends what it missed, and the schedule does not drift.

Marks tell what was played: one after the first frame of a line, then one every 260 ms, and one at its end. After a
`clear` the carrier returns pending marks at once; those no longer count.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from engine.media.audio import FRAME_BYTES, FRAME_MS, PHONE
from engine.media.line import Line
from engine.media.marks import Mark, MarkBook
from engine.media.playout_stats import PlayoutStats
from engine.media.ticker import PERIOD, Ticker
from engine.media.wire import MediaWire

log = logging.getLogger(__name__)

LEAD_MS: Final = 160
"""Audio that the carrier holds ahead of what is heard, by default."""
MIN_LEAD_MS: Final = 60
MAX_LEAD_MS: Final = 200
MAX_LINE_SECONDS: Final = 120
"""Audio of one line that may wait here."""
MAX_LINES: Final = 8
"""Lines that may wait, besides the one that plays."""
MARK_FRAMES: Final = 13
"""Frames between two marks inside a line (260 ms)."""
MARK_PATIENCE: Final = 2.0
"""Seconds after the end of a line until its last mark counts as lost."""
VOICE_PATIENCE: Final = 30.0
"""Seconds for which a line that is not finished may get no audio; then it ends as it is, for those behind it."""
_MAX_LINE_BYTES: Final = MAX_LINE_SECONDS * PHONE.bytes_per_second
_EXACT: Final = 1e-6
"""Seconds; sums of 20 ms in floating point are not exact."""


class PlayoutFull(Exception):
    """Too much waits to be played."""


class Playout:
    """The voice of one stream. Everything happens in the event loop of its ticker.

    Each line that plays to its end is reported by `on_heard`, exactly once. Lines that end otherwise end by the
    caller's own act: `clear` returns the one that was cut, `drop` takes one away. Callbacks may call back in.
    """

    def __init__(
        self,
        wire: MediaWire,
        send: Callable[[Sequence[bytes]], None],
        ticker: Ticker,
        *,
        lead_ms: int = LEAD_MS,
    ) -> None:
        if not MIN_LEAD_MS <= lead_ms <= MAX_LEAD_MS:
            raise ValueError(f"a lead of {lead_ms} ms: it must be between {MIN_LEAD_MS} and {MAX_LEAD_MS} ms")
        self._wire = wire
        self._send = send
        self._ticker = ticker
        self._lead = lead_ms / 1000
        self._lines: deque[Line] = deque()
        """Not sent to the end; the first one may have started."""
        self._audible: deque[Line] = deque()
        """Started and not over, in the order in which they are heard."""
        self._marks: MarkBook[Line] = MarkBook()
        self._horizon = float("-inf")
        self._sent_ms = 0
        """The stream's timeline: all audio ever sent."""
        self._starved = False
        """The first line had no audio when it was looked at last."""
        self.stats = PlayoutStats()
        self.on_started: Callable[[str], None] = _ignore
        """(say_id): its first frame was sent."""
        self.on_progress: Callable[[str, int], None] = _ignore
        """(say_id, heard_ms): a mark inside the line came back."""
        self.on_heard: Callable[[str, int, bool], None] = _ignore
        """(say_id, ms, confirmed): it was played to its end. Not confirmed: its last mark is missing."""
        self.on_frame: Callable[[bytes], None] = _ignore
        """(mu-law, 20 ms): this went out, the lead ahead of being heard."""
        self.on_placed: Callable[[bytes, float], None] = _ignore
        """(mu-law, 20 ms, when): this is heard from `when` on (the ticker's clock), unless `on_silenced` says not."""
        self.on_silenced: Callable[[float], None] = _ignore
        """(when): nothing of what was placed is heard from then on."""
        self.on_failed: Callable[[Exception], None] = _log_failure
        """A callback raised while the ticker ran; nothing more will be sent."""

    # -- lines --------------------------------------------------------------------------------

    def begin(self, say_id: str) -> None:
        """A new line, after all others. Raises PlayoutFull, and ValueError for a line that is here already."""
        if len(self._lines) > MAX_LINES:
            raise PlayoutFull(f"{MAX_LINES} lines wait to be played already")
        if self._line(say_id) is not None:
            raise ValueError(f"the line {say_id} has begun already")
        self._lines.append(Line(say_id, self._ticker.clock()))
        self._ticker.add(self)

    def push(self, say_id: str, payload: bytes) -> None:
        """More mu-law of a line, any length. Nothing happens when it was cut or dropped. Raises PlayoutFull."""
        line = self._line(say_id)
        if line is None or line.finished:
            return
        if len(line.frames) * FRAME_BYTES + len(payload) > _MAX_LINE_BYTES:
            raise PlayoutFull(f"more than {MAX_LINE_SECONDS} s of audio wait to be played")
        waiting = bool(line.frames)
        line.push(payload)
        line.fed_at = self._ticker.clock()
        if not waiting and line is self._lines[0]:
            self._flow()

    def waiting_ms(self, say_id: str) -> int:
        """Audio of a line that is here and was not sent yet."""
        line = self._line(say_id)
        return 0 if line is None else len(line.frames) * FRAME_MS

    def finish(self, say_id: str) -> None:
        """The line is complete."""
        line = self._line(say_id)
        if line is None or line.finished:
            return
        line.finish()
        if line is self._lines[0]:
            self._flow()

    def drop(self, say_id: str) -> None:
        """Send nothing more of this line and report nothing more about it. What was sent already plays out."""
        line = self._line(say_id)
        if line is not None:
            self._lines.remove(line)
            self._starved = False
            self._flow()
        self._audible = deque(line for line in self._audible if line.say_id != say_id)

    def clear(self) -> tuple[str, int] | None:
        """Be silent now: empty the carrier's buffer, forget every line.

        Returns the line that the caller was hearing and how many ms of it were heard. A line that had been played
        to its end, only its mark was still on the way, is reported by `on_heard` instead.
        """
        now = self._ticker.clock()
        played = self._played_ms(now)
        if self._audible or self._horizon > now:
            self._send((self._wire.clear(),))
            self.on_silenced(now)
        audible, self._audible = self._audible, deque()
        self._lines.clear()
        self._marks.clear(self._sent_ms)
        self._horizon = min(self._horizon, now)
        self._starved = False
        self._ticker.remove(self)
        while audible and audible[0].is_over(played):
            line = audible.popleft()
            self.on_heard(line.say_id, line.ledger.heard(played - line.start_ms), False)
        if not audible:
            return None
        line = audible[0]
        return line.say_id, line.ledger.heard(played - line.start_ms)

    @property
    def playing(self) -> str | None:
        """The line that the caller hears, or is about to."""
        return self._audible[0].say_id if self._audible else None

    # -- the carrier --------------------------------------------------------------------------

    def mark_returned(self, name: str) -> None:
        """The carrier has played everything before this mark. Marks before it that got lost are implied."""
        confirmed = self._marks.returned(name, self._ticker.clock())
        if not confirmed:
            self.stats.late_marks += 1
        for mark in confirmed:
            self._confirm(mark)

    def _confirm(self, mark: Mark[Line]) -> None:
        line = mark.of
        if line not in self._audible:
            return
        heard_ms = line.ledger.heard(mark.at_ms - line.start_ms)
        if mark.final:
            self._audible.remove(line)
            self.on_heard(line.say_id, heard_ms, True)
        else:
            self.on_progress(line.say_id, heard_ms)

    # -- the clock ----------------------------------------------------------------------------

    def tick(self, now: float, due: float) -> None:
        """Keep the carrier's buffer filled up to the lead; give up on marks that do not come back."""
        missed = int((now - due) / PERIOD)
        self._fill(now, due, due + max(0, missed) * PERIOD)
        while self._audible and self._audible[0].deadline and now > self._audible[0].deadline:
            self._give_up_mark(self._audible.popleft())
        if self._starved:
            self._give_up_voice(now)
        elif not self._lines and not self._audible:
            self._ticker.remove(self)

    def tick_failed(self, error: Exception) -> None:
        """End of the ticks; whoever owns the stream has to know."""
        self.on_failed(error)

    def _flow(self) -> None:
        """Audio came for a carrier that may have none: do not wait for the next tick."""
        now = self._ticker.clock()
        self._fill(now, now, now)
        if self._lines or self._audible:
            self._ticker.add(self)

    def _fill(self, now: float, due: float, reference: float) -> None:
        """Send what has to be out by `reference`: for a tick its place in the grid, so that a tick which came a
        little early or late makes no difference to what it sends.
        """
        if self._horizon < now - _EXACT:
            self._ran_dry(now)
        out: list[bytes] = []
        began: list[str] = []
        late_ms = int((now - due) * 1000)
        while self._lines:
            line = self._lines[0]
            if not line.frames:
                if not line.finished:
                    self._starved = True
                    break
                self._close_line(line, now, out, began)
                continue
            if self._horizon - reference >= self._lead - _EXACT:
                break
            self._take_frame(line, now, out, began)
            self.stats.count(max(0, late_ms))
            late_ms -= FRAME_MS
        if out:
            self._send(out)
        for say_id in began:
            self.on_started(say_id)

    def _ran_dry(self, now: float) -> None:
        """The carrier has nothing left, and more of the line that it was playing is here: that was silence."""
        line = self._lines[0] if self._lines else None
        if line is None or not line.started or not line.frames:
            return
        if self._starved:
            self.stats.under_runs += 1
        else:
            self.stats.gaps += 1
        self.stats.silence_ms += round((now - self._horizon) * 1000)
        self._horizon = now

    def _take_frame(self, line: Line, now: float, out: list[bytes], began: list[str]) -> None:
        if not line.started:
            self._start(line, now, began)
        frame = line.frames.popleft()
        out.append(self._wire.media(frame))
        self.on_frame(frame)
        self.on_placed(frame, self._horizon)
        self._starved = False
        self._horizon += PERIOD
        self._sent_ms += FRAME_MS
        ledger = line.ledger
        ledger.sent_frames += 1
        if ledger.sent_frames % MARK_FRAMES == 1 and (line.frames or not line.finished):
            out.append(self._mark(line, final=False))

    def _start(self, line: Line, now: float, began: list[str]) -> None:
        line.started = True
        line.start_ms = self._sent_ms
        self._horizon = max(self._horizon, now)
        self._audible.append(line)
        began.append(line.say_id)

    def _close_line(self, line: Line, now: float, out: list[bytes], began: list[str]) -> None:
        if not line.started:
            self._start(line, now, began)
        self._lines.popleft()
        self._starved = False
        out.append(self._mark(line, final=True))
        line.deadline = max(self._horizon, now) + MARK_PATIENCE

    def _mark(self, line: Line, final: bool) -> bytes:
        return self._wire.mark(self._marks.ask(line, self._sent_ms, final))

    def _give_up_mark(self, line: Line) -> None:
        self._marks.forget(line)
        self.on_heard(line.say_id, line.ledger.heard(line.ledger.sent_ms), False)

    def _give_up_voice(self, now: float) -> None:
        line = self._lines[0]
        if now - line.fed_at > VOICE_PATIENCE:
            log.warning("line %s got no audio for %.0f s and was ended as it is", line.say_id, VOICE_PATIENCE)
            self.finish(line.say_id)

    def _played_ms(self, now: float) -> int:
        by_clock = self._sent_ms - max(0.0, self._horizon - now) * 1000
        return self._marks.played_ms(now, by_clock, self._sent_ms)

    def _line(self, say_id: str) -> Line | None:
        return next((line for line in self._lines if line.say_id == say_id), None)


def _ignore(*_: object) -> None:
    """Nobody listens."""


def _log_failure(error: Exception) -> None:
    log.error("a playout stopped", exc_info=error)
