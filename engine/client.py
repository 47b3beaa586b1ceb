"""EngineClient: the one door to an engine for the console, the command line and agents.

`InProcessClient` drives an engine of this process from any thread, `SocketClient` one behind its control door. Both
take the same way through `engine.control.methods`, so both check, refuse and answer alike.

What a client needs to understand events and calls is here too: the console imports `engine.client` and
`engine.config`, nothing else of the engine.
"""

from __future__ import annotations

from engine.api import AudioFrame, Page, Refusal, ReplayInto, Slug
from engine.calls import (
    END_REASONS,
    EPHEMERAL_TYPES,
    EVENT_TYPES,
    Around,
    Call,
    Clues,
    Cursor,
    Diagnosis,
    Direction,
    Event,
    Floor,
    Line,
    Mode,
    Need,
    Rung,
    Speaker,
    State,
    apply,
    clue,
    diagnose,
    first_missing,
    fold,
    is_over_budget,
    ladder,
    needs,
    surround,
)
from engine.calls.call import Queued
from engine.calls.policy import Decision
from engine.control.clients.base import EngineClient, MicrophoneLine, NoEngine
from engine.control.clients.in_process import InProcessClient
from engine.control.clients.over_socket import Connection, SocketClient
from engine.control.feed import Batch

__all__ = [
    "is_over_budget",
    "END_REASONS",
    "EPHEMERAL_TYPES",
    "EVENT_TYPES",
    "AudioFrame",
    "MicrophoneLine",
    "Around",
    "Batch",
    "Call",
    "Clues",
    "Diagnosis",
    "Connection",
    "Cursor",
    "Decision",
    "Direction",
    "EngineClient",
    "Event",
    "Floor",
    "InProcessClient",
    "Line",
    "Mode",
    "Need",
    "NoEngine",
    "Page",
    "Queued",
    "Refusal",
    "ReplayInto",
    "Rung",
    "Slug",
    "SocketClient",
    "Speaker",
    "State",
    "apply",
    "clue",
    "diagnose",
    "surround",
    "first_missing",
    "fold",
    "ladder",
    "needs",
]
