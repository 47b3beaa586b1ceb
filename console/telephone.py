"""`voicecall phone`: this machine's microphone and loudspeaker are the caller, on the simulated carrier."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from console.sound.devices import NoSound, SoundSystem, Stream
from console.sound.mixer import Mixer
from engine.simulator.launch import find_simulator
from engine.simulator.telephone import LineState, NoLine, Telephone

if TYPE_CHECKING:
    from engine.media.convert import PhoneConverter

MAX_UNSENT: Final = 25
KEYS: Final = "0123456789*#ABCD"
_ENDINGS: Final = {
    "rejected": "the call was rejected: inbound_policy decides who may call in",
    "busy": "busy",
    "hangup-api": "the other side hung up",
    "hangup-person": "you hung up",
    "no-document": "the engine gave no answer: see voicecall.log",
    "no-answer": "nobody answered",
}


class PhoneFailed(Exception):
    """There is no call to be had. `hint` says what to do."""

    def __init__(self, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.hint = hint


async def talk(
    state_dirs: Sequence[Path],
    say: Callable[[str], None],
    *,
    to: str = "",
    number: str = "",
    wait: bool = False,
    loudspeaker: str = "",
    microphone: str = "",
    system: SoundSystem | None = None,
) -> str:
    """One call with the first simulated carrier that runs on one of `state_dirs`; returns how it ended.

    `say` tells the person what happens. Raises PhoneFailed and NoSound.
    """
    for state_dir in state_dirs:
        if (address := await find_simulator(state_dir)) is not None:
            break
    else:
        raise PhoneFailed(
            "no simulated carrier runs on this state folder",
            "start `voicecall`, `voicecall serve` or `voicecall demo` with provider: mock",
        )
    given = {"number": number} if number else {}
    try:
        async with Telephone.call(address, to=to, wait=wait, **given) as telephone:
            if wait:
                say("waiting to be called …")
            with _sound(system or SoundSystem(), loudspeaker, microphone) as (mixer, frames):
                return await _carry(telephone, mixer, frames, say)
    except NoLine as error:
        raise PhoneFailed(str(error)) from error


async def _carry(telephone: Telephone, mixer: Mixer, frames: asyncio.Queue[bytes], say: Callable[[str], None]) -> str:
    async def send() -> None:
        while True:
            await telephone.say(await frames.get())

    sending = asyncio.create_task(send())
    ending = "the simulated carrier went away"
    try:
        with _keys(telephone):
            async for item in telephone:
                if isinstance(item, bytes):
                    mixer.push("caller", item, time.monotonic())
                    continue
                say(_told(item))
                if item.state == "ended":
                    ending = _ENDINGS.get(item.detail, item.detail)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return ending


def _told(item: LineState) -> str:
    match item.state:
        case "ringing":
            return "ringing …"
        case "answered":
            return "connected: talk. Keys 0-9 * # are pressed, q hangs up."
        case _:
            return f"over: {_ENDINGS.get(item.detail, item.detail)}"


@contextmanager
def _sound(system: SoundSystem, loudspeaker: str, microphone: str) -> Iterator[tuple[Mixer, asyncio.Queue[bytes]]]:
    """The ear and the mouth. Raises NoSound."""
    from engine.media.audio import AudioFormat
    from engine.media.convert import PhoneConverter

    loop = asyncio.get_running_loop()
    mixer, frames = Mixer(), asyncio.Queue[bytes](MAX_UNSENT)
    mixer.layout = "mixed"
    converters: dict[int, PhoneConverter] = {}

    def took(pcm: bytes, rate: int) -> None:
        converter = converters.setdefault(rate, PhoneConverter(AudioFormat("pcm16", rate)))
        if frames.full():
            frames.get_nowait()
        frames.put_nowait(converter.feed(pcm))

    def take(pcm: bytes, rate: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(took, pcm, rate)

    streams: list[Stream] = []
    with _quiet_libraries():
        try:
            streams.append(system.open_output(loudspeaker, lambda count: mixer.mix(count, time.monotonic())))
            streams.append(system.open_input(microphone, take))
            yield mixer, frames
        finally:
            for stream in streams:
                stream.close()


@contextmanager
def _keys(telephone: Telephone) -> Iterator[None]:
    """Keys of the keyboard are the telephone's, where there is a keyboard."""
    if sys.stdin is None or not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()
    tasks: set[asyncio.Task[None]] = set()

    def pressed() -> None:
        for char in os.read(descriptor, 32).decode("ascii", "ignore").upper():
            if char in KEYS or char == "Q":
                task = asyncio.create_task(telephone.hang_up() if char == "Q" else telephone.press(char))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, pressed)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """ALSA and PortAudio write to file descriptor 2 behind Python's back; nobody wants to read that."""
    kept = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    os.close(sink)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


__all__ = ["NoSound", "PhoneFailed", "talk"]
