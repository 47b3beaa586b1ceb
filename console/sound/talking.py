"""The operator's microphone: open while they have the floor, silent until they talk, and never a surprise.

It is muted until a key is held or it is latched. Whatever goes wrong with the way to the caller mutes it and says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, Protocol

from console.sound.devices import NoSound, SoundSystem, Stream
from console.sound.hearing import OPEN_SECONDS
from engine.client import MicrophoneLine, NoEngine, Refusal
from engine.media.audio import FRAME_BYTES, AudioFormat
from engine.media.levels import FLOOR_DB, level_db

if TYPE_CHECKING:
    from engine.media.convert import PhoneConverter

log = logging.getLogger(__name__)

FIRST_PRESS_SECONDS: Final = 0.7
"""A key that is held tells so again after about half a second ..."""
HELD_SECONDS: Final = 0.3
"""... and then every thirtieth of a second. Without that it was let go."""
LOOK_SECONDS: Final = 0.25
MAX_UNSENT: Final = 25
"""Frames (half a second) that wait for a way that is slow."""
MicState = Literal["off", "muted", "live"]


class Speaks(Protocol):
    """All that talking may do."""

    def microphone(self, call_id: str) -> AbstractAsyncContextManager[MicrophoneLine]:
        """The way to one caller."""


@dataclass(frozen=True, slots=True)
class TalkingState:
    """What the screen shows of it."""

    call_id: str = ""
    """Whose caller it reaches; empty: it is off."""
    state: MicState = "off"
    latched: bool = False
    device: str = ""
    level_db: float = FLOOR_DB
    trouble: str = ""
    """Why it does not work, and what to do."""


class Talking:
    """Belongs to the loop of the sound thread. `changed` is told the new state, there."""

    def __init__(
        self, speaks: Speaks, system: SoundSystem, changed: Callable[[TalkingState], None], device: str = ""
    ) -> None:
        self._speaks = speaks
        self._system = system
        self._changed = changed
        self._wanted_device = device
        self.state = TalkingState()
        self._task: asyncio.Task[None] | None = None
        self._frames: asyncio.Queue[bytes] = asyncio.Queue(MAX_UNSENT)
        self._release: asyncio.TimerHandle | None = None
        self._converter: PhoneConverter | None = None
        self._put_away = asyncio.Event()
        self._wanted_call = ""

    def take(self, call_id: str) -> None:
        """Have a microphone for this caller, muted; empty: have none."""
        if call_id == self._wanted_call:
            return
        self._wanted_call = call_id
        if self._task is not None:
            self._put_away.set()
        self._mute()
        if not call_id:
            return
        self._put_away = asyncio.Event()
        self._say(call_id=call_id, state="muted", latched=False, trouble="")
        self._task = asyncio.create_task(self._run(call_id, self._put_away, self._task))

    def press(self) -> None:
        """The key to talk is down, or still is."""
        if self.state.state == "off" or self.state.latched:
            return
        seconds = HELD_SECONDS if self.state.state == "live" and self._release is not None else FIRST_PRESS_SECONDS
        if self._release is not None:
            left = self._release.when() - asyncio.get_running_loop().time()
            seconds = max(seconds, left)
            self._release.cancel()
        self._say(state="live")
        self._release = asyncio.get_running_loop().call_later(seconds, self._mute)

    def latch(self) -> None:
        """Stay open until this is asked again."""
        if self.state.state == "off":
            return
        if self.state.latched:
            self._mute()
            return
        if self._release is not None:
            self._release.cancel()
            self._release = None
        self._say(state="live", latched=True)

    def set_device(self, wanted: str) -> None:
        """Another microphone from the next time on."""
        self._wanted_device = wanted

    async def close(self) -> None:
        """Put it away."""
        task = self._task
        self.take("")
        if task is not None:
            await asyncio.wait([task], timeout=2)
            task.cancel()

    def _mute(self) -> None:
        if self._release is not None:
            self._release.cancel()
            self._release = None
        if self.state.state == "live":
            self._say(state="muted", latched=False)

    # -- the way to the caller ----------------------------------------------------------------

    async def _run(self, call_id: str, put_away: asyncio.Event, before: asyncio.Task[None] | None) -> None:
        """Hold the way open until it is put away, by us or by the engine."""
        if before is not None:
            await asyncio.wait([before])
        trouble, stream = "", None
        try:
            stream = await self._open()
            async with self._speaks.microphone(call_id) as line:
                trouble = await self._carry(line, stream, put_away)
        except NoSound as error:
            trouble = f"{error.error}: {error.hint}" if error.hint else error.error
        except Refusal as refusal:
            trouble = f"{refusal.error}; {refusal.hint}".rstrip("; ")
        except NoEngine as error:
            trouble = f"the microphone was cut off: {error.error}"
        finally:
            if stream is not None:
                stream.close()
            if self._put_away is put_away:
                self._mute()
                self._task, self._wanted_call = None, ""
                trouble = "" if put_away.is_set() else trouble
                self._say(call_id="", state="off", latched=False, device="", level_db=FLOOR_DB, trouble=trouble)

    async def _carry(self, line: MicrophoneLine, stream: Stream, put_away: asyncio.Event) -> str:
        """Send while it is live; returns what went wrong, if anything did."""
        sending = asyncio.create_task(self._send(line))
        ended = asyncio.create_task(line.ended())
        away = asyncio.create_task(put_away.wait())
        watching = asyncio.create_task(_until_dead(stream))
        tasks: list[asyncio.Task[object]] = [sending, ended, away, watching]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if away.done() or watching.done():
                self._mute()
                await line.put_away()
                if not away.done():
                    return "the microphone went away; take the floor again to have one"
                async with asyncio.timeout(2):
                    await asyncio.wait([ended])
                return ""
            if ended.done():
                return f"the microphone is off: {ended.result()}"
            await sending
            return ""
        except TimeoutError:
            return ""
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, line: MicrophoneLine) -> None:
        live = False
        while True:
            frame = await self._frames.get()
            if self.state.state == "live":
                live = True
                await line.send(frame)
            elif live:
                live = False
                await line.rest()

    # -- the device ---------------------------------------------------------------------------

    async def _open(self) -> Stream:
        """Open the microphone. Raises NoSound."""
        loop = asyncio.get_running_loop()
        self._converter = None
        while not self._frames.empty():
            self._frames.get_nowait()

        def take(pcm: bytes, rate: int) -> None:
            loop.call_soon_threadsafe(self._took, pcm, rate)

        opening = asyncio.create_task(asyncio.to_thread(self._system.open_input, self._wanted_device, take))
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                stream = await asyncio.shield(opening)
        except TimeoutError:
            raise NoSound("the sound server does not answer", "is it running?") from None
        self._say(device=stream.name)
        return stream

    def _took(self, pcm: bytes, rate: int) -> None:
        if self._converter is None:
            from engine.media.convert import PhoneConverter  # numpy: only those who talk pay for it

            self._converter = PhoneConverter(AudioFormat("pcm16", rate))
        payload = self._converter.feed(pcm)
        if not payload:
            return
        for start in range(0, len(payload), FRAME_BYTES):
            if self._frames.full():
                self._frames.get_nowait()
            self._frames.put_nowait(payload[start : start + FRAME_BYTES])
        self._say(level_db=level_db(payload))

    def _say(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self._changed(self.state)


async def _until_dead(stream: Stream) -> None:
    while True:  # PortAudio has nobody to tell
        await asyncio.sleep(LOOK_SECONDS)
        if not stream.alive:
            return
