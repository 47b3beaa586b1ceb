"""A whole engine and, at the other end of its wires, a Plivo."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from engine.calls import Call
from engine.config import Config
from engine.simulator.voices import VoiceBank
from engine.speech.ports import Recogniser, Voice
from tests.carriers.plivo_far import OUR_NUMBER, FarCall, PlivoFar, Settings
from tests.engine import carrier_rig
from tests.engine.carrier_rig import (
    BUSY,
    CALLERS,
    COLLEAGUE,
    MACHINE,
    SINK,
    STRANGER,
    carrier_config,
    no_streams,
    person,
    running_engine,
)

__all__ = ["BUSY", "COLLEAGUE", "MACHINE", "SINK", "STRANGER", "Live", "live", "native", "person", "ring_in"]

Live = carrier_rig.Live[PlivoFar, FarCall]


async def ring_in(at: Live, from_number: str = SINK, to_number: str = OUR_NUMBER) -> tuple[Call, FarCall]:
    """Somebody calls a number of ours, whose application is as `setup` asks for."""
    webhook = str(at.engine.health()["exposure"]["publicUrl"])
    if to_number not in at.far.numbers:
        at.far.add_number(to_number, next(iter(at.far.applications)))
    application = at.far.applications[at.far.numbers[to_number].app_id]
    application.answer_url, application.hangup_url = webhook, f"{webhook}?type=status"
    return await at.known(at.far.ring_in("Sink", to_number, from_number))


def config_for(far: PlivoFar, outbound: Mapping[str, Any], changes: Mapping[str, Any]) -> Config:
    """The configuration of an account at the far end, on any free port."""
    account = {"auth_id": far.settings.auth_id, "auth_token": far.settings.auth_token}
    return carrier_config("plivo", {**account, "api_base_url": far.base_url}, outbound, changes)


@asynccontextmanager
async def live(
    state_dir: Path,
    wait_speed: float = 20,
    changes: Mapping[str, Any] | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    voices: VoiceBank | None = None,
    voice: Voice | None = None,
    hears: str | Recogniser = "what are your opening hours",
    **outbound: Any,
) -> AsyncIterator[Live]:
    """`changes` are to the configuration, `outbound` to that part of it, `settings` to the far end. `voices` are
    those of the people there, `voice` is ours, and `hears` is what is understood of them. Our number rings here."""
    set_up = {"callers": CALLERS, "say_speed": 20, "wait_speed": wait_speed, **(settings or {})}
    async with PlivoFar(Settings(**set_up), voices) as far:
        async with running_engine(state_dir, config_for(far, outbound, changes or {}), voice, hears) as engine:
            yield Live(engine, far)
        assert far.complaints == []
        for told in far.calls.values():
            assert [stream.problems for stream in told.streams if stream.problems] == []


def native(state_dir: Path, **more: Any) -> AbstractAsyncContextManager[Live]:
    """An engine that opens no media streams."""
    return live(state_dir, changes={**no_streams(), **more.pop("changes", {})}, **more)
