"""Sound cards, through PortAudio: which there are, and streams on them.

Nothing is imported before sound is wanted. Without PortAudio the import of sounddevice is an OSError; the list of
devices is made once, so it is made again before a device that went away is looked for.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

log = logging.getLogger(__name__)

RATES: Final = (8000, 16000, 48000)
"""What is asked for, one after the other: the telephone's own rate needs no conversion of ours."""
BLOCK_MS: Final = 20
LATENCY_SECONDS: Final = 0.04
"""Of sound in the card's own buffer. With the least that it can, sound servers stumble on a busy machine."""
STALE_SECONDS: Final = 3.0
"""A stream that asked for nothing for so long is dead, whatever it says of itself."""
_INSTALL: Final[Mapping[str, str]] = {
    "apt-get": "sudo apt install libportaudio2",
    "dnf": "sudo dnf install portaudio",
    "pacman": "sudo pacman -S portaudio",
    "zypper": "sudo zypper install libportaudio2",
    "apk": "sudo apk add portaudio",
    "brew": "brew install portaudio",
}
Direction = Literal["output", "input"]


class NoSound(Exception):
    """There is no sound here. `hint` says what to do about it."""

    def __init__(self, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Device:
    """One that can be chosen."""

    name: str
    is_default: bool = False


def install_hint(which: Callable[[str], str | None] = shutil.which) -> str:
    """The command that installs PortAudio here."""
    return next((command for tool, command in _INSTALL.items() if which(tool)), "install the library PortAudio")


Play = Callable[[int], bytes]
"""Samples wanted -> that many of 16-bit stereo at 8 kHz. Called in PortAudio's thread."""
Take = Callable[[bytes, int], None]
"""(16-bit mono, its rate). Called in PortAudio's thread."""


class Stream:
    """An open stream on a device."""

    def __init__(self, system: SoundSystem, name: str) -> None:
        self._system = system
        self._stream: Any = None
        self.name = name
        self.last = time.monotonic()
        """When the sound card asked last."""

    @property
    def latency_ms(self) -> float:
        """From here to the air, or from the air to here, as PortAudio believes."""
        return float(self._stream.latency) * 1000 if self._stream is not None else 0.0

    @property
    def alive(self) -> bool:
        """It still runs. A server that dies takes the stream with it without a word."""
        running = self._stream is not None and bool(self._stream.active)
        return running and time.monotonic() - self.last < STALE_SECONDS

    def close(self) -> None:
        """Let go of the device. Again is harmless."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self._system.closed(self, stream)


class SoundSystem:
    """PortAudio. Its calls may take a while: use it from a thread that may wait."""

    def __init__(self, load: Callable[[], Any] | None = None) -> None:
        self._load = load or _import
        self._library: Any = None
        self._open: set[Stream] = set()
        self._lock = threading.Lock()

    def devices(self, direction: Direction) -> list[Device]:
        """What can be chosen, the default first. Raises NoSound."""
        library = self._loaded(rescan=True)
        found = [
            Device(str(each["name"]), index == library.default.device[direction == "output"])
            for index, each in enumerate(library.query_devices())
            if each[f"max_{direction}_channels"] > 0
        ]
        return sorted(found, key=lambda each: not each.is_default)

    def open_output(self, wanted: str, play: Play) -> Stream:
        """Start to play. `wanted`: part of a device's name; empty: the default. Raises NoSound."""
        return self._start("output", wanted, lambda stream, rate: _output_callback(stream, rate, play))

    def open_input(self, wanted: str, take: Take) -> Stream:
        """Start to take sound from a microphone. Raises NoSound."""
        return self._start("input", wanted, lambda stream, rate: _input_callback(stream, rate, take))

    def _start(self, direction: Direction, wanted: str, callback: Callable[[Stream, int], Any]) -> Stream:
        library = self._loaded(rescan=True)
        index, name = self._find(library, direction, wanted)
        stream, error = Stream(self, name), ""
        make = library.RawOutputStream if direction == "output" else library.RawInputStream
        for rate in RATES:
            try:
                stream._stream = make(
                    samplerate=rate,
                    blocksize=rate * BLOCK_MS // 1000,
                    device=index,
                    channels=2 if direction == "output" else 1,
                    dtype="int16",
                    latency=LATENCY_SECONDS,
                    callback=callback(stream, rate),
                )
                stream.last = time.monotonic()
                stream._stream.start()
            except library.PortAudioError as failure:
                error = str(failure)
                continue
            self._open.add(stream)
            return stream
        raise NoSound(f"{name} can not be opened: {error}", "choose another one with `:device NAME`")

    def closed(self, stream: Stream, inner: Any) -> None:
        """A stream is let go of."""
        self._open.discard(stream)
        try:
            inner.abort(ignore_errors=True)
            inner.close(ignore_errors=True)
        except Exception as error:  # it is gone in any case, with the server that it belonged to
            log.info("closing a sound stream: %s", error)

    def _loaded(self, *, rescan: bool) -> Any:
        with self._lock:
            if self._library is None:
                try:
                    self._library = self._load()
                except (OSError, ImportError) as error:
                    raise NoSound(f"there is no sound: {error}", install_hint()) from error
            elif rescan and not self._open:
                self._library._terminate()
                self._library._initialize()
            return self._library

    @staticmethod
    def _find(library: Any, direction: Direction, wanted: str) -> tuple[int, str]:
        each: Any
        channels = f"max_{direction}_channels"
        usable = [(index, each) for index, each in enumerate(library.query_devices()) if each[channels] > 0]
        what = "loudspeaker" if direction == "output" else "microphone"
        if not usable:
            raise NoSound(
                f"this machine has no {what}",
                "connect one; over ssh, run the console where you sit: `voicecall attach URL`",
            )
        if wanted:
            for index, each in usable:
                if wanted.casefold() in str(each["name"]).casefold():
                    return index, str(each["name"])
            names = ", ".join(str(each["name"]) for _, each in usable[:6])
            raise NoSound(f"there is no {what} {wanted!r}", f"there are {names}")
        default = library.default.device[direction == "output"]
        for index, each in usable:
            if index == default:
                return index, str(each["name"])
        return usable[0][0], str(usable[0][1]["name"])


def _import() -> Any:
    import sounddevice

    return sounddevice


def _output_callback(stream: Stream, rate: int, play: Play) -> Callable[..., None]:
    ratio = rate // RATES[0]
    convert = _upsampler(ratio)

    def callback(out: Any, frames: int, when: Any, status: Any) -> None:
        stream.last = time.monotonic()
        data = convert(play(frames // ratio))
        out[: len(data)] = data
        if len(data) < len(out):
            out[len(data) :] = bytes(len(out) - len(data))

    return callback


def _upsampler(ratio: int) -> Callable[[bytes], bytes]:
    """8 kHz stereo to a multiple of it."""
    if ratio == 1:
        return lambda data: data
    import audioop

    state: list[Any] = [None]

    def convert(data: bytes) -> bytes:
        converted, state[0] = audioop.ratecv(data, 2, 2, RATES[0], RATES[0] * ratio, state[0])
        return converted

    return convert


def _input_callback(stream: Stream, rate: int, take: Take) -> Callable[..., None]:
    def callback(data: Any, frames: int, when: Any, status: Any) -> None:
        stream.last = time.monotonic()
        take(bytes(data), rate)

    return callback
