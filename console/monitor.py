"""Local sound for the console: listening to the selected call, and the operator's microphone.

Everything runs in a thread of its own with a loop of its own: a terminal that stops reading holds the screen up for
seconds, and a live microphone, or a voice in somebody's ear, can not wait for that. The screen gives orders from its
thread and reads `state`, a value that is replaced as a whole.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from console.sound.devices import Device, SoundSystem
from console.sound.hearing import Hearing, HearingState
from console.sound.mixer import Layout
from console.sound.talking import Talking, TalkingState
from engine.client import EngineClient

log = logging.getLogger(__name__)

STOP_SECONDS: Final = 3.0
VOLUME_STEP: Final = 10


@dataclass(frozen=True, slots=True)
class SoundState:
    """All that the screen shows of sound."""

    hearing: HearingState = HearingState()
    talking: TalkingState = TalkingState()


class Monitor:
    """Starts its thread when sound is wanted first. All methods belong to the screen's thread."""

    def __init__(
        self, client: EngineClient, system: SoundSystem | None = None, loudspeaker: str = "", microphone: str = ""
    ) -> None:
        """The devices by a part of their names; empty: the default."""
        self._client = client
        self._loudspeaker, self._microphone = loudspeaker, microphone
        self._system = system or SoundSystem()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._stop: asyncio.Event | None = None
        self._hearing: Hearing | None = None
        self._talking: Talking | None = None
        self.state = SoundState()

    # -- listening ----------------------------------------------------------------------------

    def listen(self, call_id: str) -> None:
        """Listen to a call; empty: to none."""
        if call_id or self._thread is not None:
            self._tell(lambda hearing, _: hearing.listen(call_id))

    def louder(self, steps: int = 1) -> None:
        """Ten percent more for each step, less for negative ones."""
        volume = self.state.hearing.volume + steps * VOLUME_STEP
        self.set_volume(volume)

    def set_volume(self, percent: int) -> None:
        """0 to 200 percent."""
        self._tell(lambda hearing, _: hearing.set_volume(percent))

    def set_layout(self, layout: Layout | None = None) -> None:
        """How the sides are spread; None: the next way."""
        self._tell(lambda hearing, _: hearing.set_layout(layout))

    def toggle_muted(self) -> None:
        """Silence, or sound again."""
        self._tell(lambda hearing, _: hearing.set_muted(not hearing.state.muted))

    def set_devices(self, output: str | None = None, microphone: str | None = None) -> None:
        """Other devices, by a part of their names; empty: the default."""

        def change(hearing: Hearing, talking: Talking) -> None:
            if output is not None:
                hearing.set_device(output)
            if microphone is not None:
                talking.set_device(microphone)

        self._tell(change)

    def devices(self) -> tuple[list[Device], list[Device]]:
        """Loudspeakers and microphones that there are. May take a while. Raises NoSound."""
        return self._system.devices("output"), self._system.devices("input")

    # -- the microphone -----------------------------------------------------------------------

    def take(self, call_id: str) -> None:
        """Have the microphone for this caller, muted; empty: for none."""
        if call_id or self._thread is not None:
            self._tell(lambda _, talking: talking.take(call_id))

    def press(self) -> None:
        """The key to talk is down, or still is."""
        self._tell(lambda _, talking: talking.press())

    def latch(self) -> None:
        """Keep the microphone open, or not any more."""
        self._tell(lambda _, talking: talking.latch())

    # -- the thread ---------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of everything. Again is harmless."""
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        thread.join(STOP_SECONDS)

    def _tell(self, what: Callable[[Hearing, Talking], None]) -> None:
        """Have the sound's thread do something."""
        self._start()

        def do() -> None:
            if self._hearing is not None and self._talking is not None:
                what(self._hearing, self._talking)

        assert self._loop is not None
        self._loop.call_soon_threadsafe(do)

    def _start(self) -> None:
        if self._thread is None:
            self._ready.clear()
            self._thread = threading.Thread(target=self._run, name="local sound", daemon=True)
            self._thread.start()
            self._ready.wait()

    def _run(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        client = self._client.for_sound()
        self._hearing = Hearing(client, self._system, self._hears, self._loudspeaker)
        self._talking = Talking(client, self._system, self._talks, self._microphone)
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            await self._talking.close()
            await self._hearing.close()
            if client is not self._client:
                await client.close()

    def _hears(self, state: HearingState) -> None:
        self.state = replace(self.state, hearing=state)

    def _talks(self, state: TalkingState) -> None:
        if self._hearing is not None:
            self._hearing.mixer.without_ours = state.state == "live"
        self.state = replace(self.state, talking=state)
