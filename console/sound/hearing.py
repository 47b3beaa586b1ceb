"""Listening in: the sound of one call to the loudspeaker of this machine.

What is here can ask for a call's sound and for nothing else: it is given `Hears`, not a client, and neither it nor
what it imports knows of microphones. A test holds that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Protocol

from console.sound.devices import Device, NoSound, SoundSystem, Stream
from console.sound.mixer import LAYOUTS, MAX_VOLUME, Layout, Mixer
from engine.client import AudioFrame, NoEngine, Refusal

log = logging.getLogger(__name__)

OPEN_SECONDS: Final = 5.0
"""A sound server that takes longer to give a stream does not answer."""
LOOK_SECONDS: Final = 0.25
AGAIN_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)
"""Pauses before a device, or an engine, that went away is tried again."""


class Hears(Protocol):
    """All that listening may do."""

    def listen(self, call_id: str) -> AsyncGenerator[AudioFrame, None]:
        """The sound of a call."""


@dataclass(frozen=True, slots=True)
class HearingState:
    """What the screen shows of it."""

    call_id: str = ""
    """The call that is listened to; empty: none."""
    device: str = ""
    """Where it sounds; empty while it does not."""
    layout: Layout = "split"
    volume: int = 100
    muted: bool = False
    trouble: str = ""
    """Why nothing is heard, and what to do."""
    latency_ms: float = 0.0
    """From here to the air, by the sound card's word."""


class Hearing:
    """Belongs to the loop of the sound thread. `changed` is told the new state, there."""

    def __init__(
        self, hears: Hears, system: SoundSystem, changed: Callable[[HearingState], None], device: str = ""
    ) -> None:
        self._hears = hears
        self._system = system
        self._changed = changed
        self._wanted_device = device
        self.mixer = Mixer()
        self.state = HearingState()
        self._stream: Stream | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._opening = asyncio.Lock()

    def listen(self, call_id: str) -> None:
        """Listen to another call, at once; empty: to none."""
        if call_id == self.state.call_id:
            return
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self.mixer.clear()
        self._say(call_id=call_id, trouble="")
        if call_id:
            self._tasks = [asyncio.create_task(self._take(call_id)), asyncio.create_task(self._play())]
        else:
            self._let_go()

    def set_layout(self, layout: Layout | None) -> None:
        """How the sides are spread; None: the next way."""
        now = LAYOUTS.index(self.mixer.layout)
        self.mixer.layout = layout or LAYOUTS[(now + 1) % len(LAYOUTS)]
        self._say(layout=self.mixer.layout)

    def set_volume(self, percent: int) -> None:
        """0 to 200."""
        self.mixer.volume = max(0, min(MAX_VOLUME, percent))
        self._say(volume=self.mixer.volume)

    def set_muted(self, muted: bool) -> None:
        """Silence, while everything else goes on."""
        self.mixer.muted = muted
        self._say(muted=muted)

    def set_device(self, wanted: str) -> None:
        """Play somewhere else: part of a device's name; empty: the default."""
        self._wanted_device = wanted
        self._let_go()  # `_play` opens the other one

    async def devices(self) -> list[Device]:
        """Where it could sound. Raises NoSound."""
        return await asyncio.to_thread(self._system.devices, "output")

    async def close(self) -> None:
        """No more sound."""
        tasks = list(self._tasks)
        self.listen("")
        if tasks:
            await asyncio.wait(tasks)

    # -- the call -----------------------------------------------------------------------------

    async def _take(self, call_id: str) -> None:
        """Fill the mixer until the call ends. An engine that is out of reach is asked again."""
        failures = 0
        while True:
            try:
                async with aclosing(self._hears.listen(call_id)) as frames:
                    async for frame in frames:
                        failures = 0
                        self.mixer.push(frame.side, frame.payload, time.monotonic())
                self._over("")
                return
            except Refusal as refusal:
                self._over("" if refusal.code == "call_ended" else f"{refusal.error}; {refusal.hint}".rstrip("; "))
                return
            except NoEngine as error:
                self._say(trouble=f"no sound: {error.error}")
            await asyncio.sleep(AGAIN_SECONDS[min(failures, len(AGAIN_SECONDS) - 1)])
            failures += 1

    def _over(self, trouble: str) -> None:
        """Nothing more comes of this call. What waits is still played."""
        self._say(trouble=trouble)

    # -- the device ---------------------------------------------------------------------------

    async def _play(self) -> None:
        """Have a stream that lives, for as long as a call is listened to."""
        failures = 0
        while True:
            if self._stream is not None and self._stream.alive:
                await asyncio.sleep(LOOK_SECONDS)
                continue
            if self._stream is not None:
                self._let_go()
                self._say(trouble="the sound device went away; trying again …")
            try:
                await self._open()
                failures = 0
                self._say(trouble="")
            except NoSound as error:
                self._say(device="", trouble=f"{error.error}: {error.hint}" if error.hint else error.error)
                await asyncio.sleep(AGAIN_SECONDS[min(failures, len(AGAIN_SECONDS) - 1)])
                failures += 1

    async def _open(self) -> None:
        """Open the device. Raises NoSound."""
        async with self._opening:
            if self._stream is not None:
                return
            opening = asyncio.create_task(asyncio.to_thread(self._system.open_output, self._wanted_device, self._mix))
            try:
                async with asyncio.timeout(OPEN_SECONDS):
                    stream = await asyncio.shield(opening)
            except TimeoutError:
                opening.add_done_callback(_close_late)
                raise NoSound("the sound server does not answer", "is it running?") from None
            except asyncio.CancelledError:
                opening.add_done_callback(_close_late)  # the thread goes on; what it brings is not wanted any more
                raise
            self._stream = stream
            self._say(device=stream.name, latency_ms=stream.latency_ms)

    def _mix(self, samples: int) -> bytes:
        return self.mixer.mix(samples, time.monotonic())

    def _let_go(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        self._say(device="", latency_ms=0.0)

    def _say(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self._changed(self.state)


def _close_late(opening: asyncio.Task[Stream]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
