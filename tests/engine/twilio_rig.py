"""A whole engine and, at the other end of its wires, a Twilio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from engine.calls import Call
from engine.config import Config
from engine.simulator.voices import VoiceBank
from engine.speech.ports import Recogniser, Voice
from tests.carriers.twilio_far import OUR_NUMBER, FarCall, Settings, TwilioFar
from tests.engine import carrier_rig
from tests.engine.carrier_rig import (
    BUSY,
    CALLERS,
    COLLEAGUE,
    LIMIT_S,
    MACHINE,
    SINK,
    carrier_config,
    no_streams,
    person,
    running_engine,
)

__all__ = [
    "BUSY",
    "CALLERS",
    "COLLEAGUE",
    "LIMIT_S",
    "MACHINE",
    "SINK",
    "Live",
    "live",
    "native",
    "person",
    "ring_in",
]

Live = carrier_rig.Live[TwilioFar, FarCall]


async def ring_in(at: Live, from_number: str = SINK, to_number: str = OUR_NUMBER) -> tuple[Call, FarCall]:
    """Somebody calls a number of ours, whose settings at Twilio are what `setup` asks for."""
    webhook = str(at.engine.health()["exposure"]["publicUrl"])
    at.far.add_number(to_number, webhook, f"{webhook}?type=status")
    return await at.known(at.far.ring_in("Sink", to_number, from_number))


def config_for(
    far: TwilioFar, outbound: Mapping[str, Any], changes: Mapping[str, Any], twilio: Mapping[str, Any] | None = None
) -> Config:
    """The configuration of an account at the far end, on any free port; `twilio` is more of that part of it."""
    account = {"account_sid": far.settings.account_sid, "auth_token": far.settings.auth_token, **(twilio or {})}
    return carrier_config("twilio", {**account, "api_base_url": far.base_url}, outbound, changes)


@asynccontextmanager
async def live(
    state_dir: Path,
    wait_speed: float = 20,
    changes: Mapping[str, Any] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    twilio: Mapping[str, Any] | None = None,
    voices: VoiceBank | None = None,
    voice: Voice | None = None,
    hears: str | Recogniser = "what are your opening hours",
    **outbound: Any,
) -> AsyncIterator[Live]:
    """`changes` are to the configuration, `twilio` and `outbound` to those parts of it, `settings` to the far end.
    `voices` are those of the people there, `voice` is ours, and `hears` is what is understood of them. Our number
    rings here."""
    set_up = {"callers": CALLERS, "say_speed": 20, "wait_speed": wait_speed, **(settings or {})}
    async with TwilioFar(Settings(**set_up), voices) as far:
        async with running_engine(
            state_dir, config_for(far, outbound, changes or {}, twilio), voice, hears
        ) as engine:
            yield Live(engine, far)
        assert far.complaints == []


def native(state_dir: Path, **changes: Any) -> AbstractAsyncContextManager[Live]:
    """An engine that opens no media streams."""
    return live(state_dir, changes={**no_streams(), **changes})
