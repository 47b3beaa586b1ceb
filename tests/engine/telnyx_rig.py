"""A whole engine and, at the other end of its wires, a Telnyx."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from engine.calls import Call
from engine.config import Config
from engine.simulator.voices import VoiceBank
from engine.speech.ports import Recogniser, Voice
from tests.carriers.telnyx_far import FarCall, Settings, TelnyxFar
from tests.engine import carrier_rig
from tests.engine.carrier_rig import (
    BUSY,
    COLLEAGUE,
    LIMIT_S,
    MACHINE,
    SINK,
    carrier_config,
    no_streams,
    person,
    running_engine,
)

__all__ = ["BUSY", "COLLEAGUE", "LATE", "LIMIT_S", "MACHINE", "SINK", "Live", "live", "native"]

LATE = "+15550100208"
CALLERS = [*carrier_rig.CALLERS, person(LATE, "Late", deaf_and_mute=True, ring_ms=1500)]


class Live(carrier_rig.Live[TelnyxFar, FarCall]):
    """A running engine and the far end that it talks to."""

    async def ring_in(self, person: str = "Sink") -> tuple[Call, FarCall]:
        """Somebody calls; returns once we know of it."""
        return await self.known(self.far.ring_in(person))


def config_for(
    far: TelnyxFar, outbound: Mapping[str, Any], changes: Mapping[str, Any], telnyx: Mapping[str, Any] | None = None
) -> Config:
    """The configuration of an account at the far end, on any free port; `telnyx` is more of that part of it."""
    account: dict[str, Any] = {"api_key": far.settings.api_key, "connection_id": far.settings.connection_id}
    account |= {"public_key": far.public_key, "api_base_url": far.base_url, **(telnyx or {})}
    return carrier_config("telnyx", account, outbound, {"inbound_policy": "open", **changes})


@asynccontextmanager
async def live(
    state_dir: Path,
    wait_speed: float = 20,
    changes: Mapping[str, Any] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    telnyx: Mapping[str, Any] | None = None,
    voices: VoiceBank | None = None,
    voice: Voice | None = None,
    hears: str | Recogniser = "what are your opening hours",
    **outbound: Any,
) -> AsyncIterator[Live]:
    """`changes` are to the configuration, `telnyx` and `outbound` to those parts of it, `settings` to the far end.
    `voices` are those of the people there, `voice` is ours, and `hears` is what is understood of them. Our number
    rings here."""
    set_up = {"callers": CALLERS, "say_speed": 1, "wait_speed": wait_speed, **(settings or {})}
    async with TelnyxFar(Settings(**set_up), voices) as far:
        config = config_for(far, outbound, changes or {}, telnyx)
        async with running_engine(state_dir, config, voice, hears) as engine:
            far.app.webhook_url = engine.health()["exposure"]["publicUrl"]
            yield Live(engine, far)
        assert far.complaints == []


def native(state_dir: Path, wait_speed: float = 20, **more: Any) -> AbstractAsyncContextManager[Live]:
    """An engine that opens no media streams."""
    return live(state_dir, wait_speed, changes={**no_streams(), **more.pop("changes", {})}, **more)
