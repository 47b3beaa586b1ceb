"""The person's end of a call: a mouth, an ear and a telephone, moved by the carrier's 20 ms tick.

What the leg says goes to the media stream while one is attached, and into the void otherwise, as on a real line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final, Protocol

from engine.media.audio import FRAME_MS
from engine.media.levels import FLOOR_DB, level_db
from engine.simulator.behaviour import LOUD_DB, Act, Behaviour, Leave, Press, Speak, Tone
from engine.simulator.handset import Handset
from engine.simulator.people import Person
from engine.simulator.playback import Playback
from engine.simulator.recording import Recording
from engine.simulator.voices import Utterance, VoiceBank

KEY_FRAMES: Final = 8
"""How long one key is held, in frames: 160 ms."""


class Stream(Protocol):
    """Where the leg's audio, keys and returned marks go."""

    def send_audio(self, payload: str) -> None:
        """One frame, in base64."""

    def send_key(self, digit: str) -> None: ...

    def send_mark(self, name: str) -> None: ...


@dataclass(slots=True)
class SaidLine:
    """A line that the person said. Times in ms since the answer."""

    text: str
    start_ms: int
    end_ms: int = 0
    whole: bool = False
    """Said to the end, and a stream was up all the while."""


@dataclass(slots=True)
class Heard:
    """What sounded at the person's ear, in ms."""

    audio_ms: int = 0
    loud_ms: int = 0
    first_ms: int | None = None
    """The first loud frame, since the answer."""
    peak_db: float = FLOOR_DB
    digits: str = ""
    """Keys that were played to them."""


@dataclass(slots=True)
class _Mouth:
    """The line that is being said: its frames and what remains of it."""

    said: SaidLine
    parts: tuple[str, ...]
    pauses_ms: tuple[int, ...]
    until: float
    frames: Iterator[tuple[bytes, str]] | None = None
    """None while the line is still being synthesized."""
    broken: bool = False
    """No stream was up for a part of it."""


@dataclass(slots=True)
class Leg:
    """One person in one call, from the answer on. `on_leave` is told once, when they hang up."""

    person: Person
    called: bool
    rng: Random
    voices: VoiceBank
    on_leave: Callable[[], None]
    on_key: Callable[[str], None]
    """A key pressed while no stream is up."""
    handset: Handset | None = None
    """Somebody real, in place of the person's own mouth."""
    recording: Recording | None = None
    playback: Playback = field(default_factory=Playback)
    stream: Stream | None = None
    now_ms: int = 0
    said: list[SaidLine] = field(default_factory=list)
    heard: Heard = field(default_factory=Heard)
    pressed: str = ""
    _behaviour: Behaviour = field(init=False)
    _mouth: _Mouth | None = None
    _tone: Iterator[tuple[bytes, str]] | None = None
    _keys: deque[str] = field(default_factory=deque)
    _key_wait: int = 0
    _quiet_at: int = 0
    _quiet: Utterance = field(init=False)

    def __post_init__(self) -> None:
        self._behaviour = Behaviour(self.person, self.rng, self.called)
        self._quiet = self.voices.quiet
        self._quiet_at = self.rng.randrange(len(self._quiet.frames))

    def tick(self) -> None:
        """The next 20 ms: hear, decide, speak."""
        self.now_ms += FRAME_MS
        heard, marks = self.playback.next_frame()
        if self.stream is not None:
            for name in marks:
                self.stream.send_mark(name)
        level = self._hear(heard)
        for act in self._behaviour.step(self.now_ms, level, self._busy):
            self._do(act)
        if self.handset is not None:
            self.handset.ring_out(heard)
            self._keys.extend(self.handset.next_keys())
        said, encoded = self._next_frame()
        if self.stream is not None:
            self.stream.send_audio(encoded)
        self._press_next()
        if self.recording is not None:
            self.recording.write(said, heard)

    def close(self) -> None:
        """The call is over: a line that is being said is cut here."""
        self._end_line(whole=False)
        if self.recording is not None:
            self.recording.close()

    @property
    def _busy(self) -> bool:
        return self._mouth is not None or self._tone is not None or bool(self._keys)

    def _hear(self, frame: bytes | None) -> float:
        if frame is None:
            return FLOOR_DB
        level = level_db(frame)
        heard = self.heard
        heard.audio_ms += FRAME_MS
        if level > LOUD_DB:
            heard.loud_ms += FRAME_MS
            heard.peak_db = max(heard.peak_db, level)
            if heard.first_ms is None:
                heard.first_ms = self.now_ms
        return level

    def _do(self, act: Act) -> None:
        match act:
            case Speak(parts, pauses_ms, until):
                line = SaidLine(" ".join(parts), self.now_ms)
                self.said.append(line)
                self._mouth = _Mouth(line, parts, pauses_ms, until)
            case Press(digits):
                self._keys.extend(digits)
            case Tone():
                beep = self.voices.beep
                self._tone = zip(beep.frames, beep.encoded, strict=True)
            case Leave():
                self.on_leave()

    def _next_frame(self) -> tuple[bytes, str]:
        """What leaves the mouth: the line, the beep, or the quiet of the line."""
        if self.handset is not None and (frame := self.handset.next_frame()) is not None:
            return frame
        if self._mouth is not None:
            frame = self._speak(self._mouth)
            if frame is not None:
                return frame
        if self._tone is not None:
            frame = next(self._tone, None)
            if frame is not None:
                return frame
            self._tone = None
        return self._quiet_frame()

    def _speak(self, mouth: _Mouth) -> tuple[bytes, str] | None:
        if mouth.frames is None:
            mouth.frames = self._line_frames(mouth)
            if mouth.frames is None:
                return None
            mouth.said.start_ms = self.now_ms
        mouth.broken = mouth.broken or self.stream is None
        frame = next(mouth.frames, None)
        if frame is None:
            self._end_line(whole=mouth.until >= 1.0 and not mouth.broken)
        return frame

    def _line_frames(self, mouth: _Mouth) -> Iterator[tuple[bytes, str]] | None:
        """The frames of a line with its pauses, up to where the person hangs up; None until it is synthesized."""
        lines = [self.voices.get(self.person.voice, part) for part in mouth.parts]
        frames: list[tuple[bytes, str]] = []
        for line, pause_ms in zip(lines, (*mouth.pauses_ms, 0), strict=True):
            if line is None:
                return None
            frames += zip(line.frames, line.encoded, strict=True)
            frames += [self._quiet_frame() for _ in range(pause_ms // FRAME_MS)]
        return iter(frames[: max(1, int(len(frames) * mouth.until))])

    def _end_line(self, whole: bool) -> None:
        if self._mouth is not None:
            self._mouth.said.end_ms = self.now_ms
            self._mouth.said.whole = whole
            self._mouth = None

    def _quiet_frame(self) -> tuple[bytes, str]:
        at = self._quiet_at
        self._quiet_at = (at + 1) % len(self._quiet.frames)
        return self._quiet.frames[at], self._quiet.encoded[at]

    def _press_next(self) -> None:
        if self._key_wait:
            self._key_wait -= 1
        elif self._keys:
            digit = self._keys.popleft()
            self._key_wait = KEY_FRAMES
            self.pressed += digit
            if self.stream is not None:
                self.stream.send_key(digit)
            else:
                self.on_key(digit)
