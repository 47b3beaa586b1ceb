"""What the simulator knows about its calls: who said what, whether all of it got out, and what they heard."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from engine.simulator.call import SimCall
from engine.simulator.exchange import Exchange
from engine.simulator.leg import Leg
from engine.simulator.media import stream_report


def exchange_report(exchange: Exchange, last: int = 1000) -> dict[str, Any]:
    """The whole simulator: its clock, its voices and its newest `last` calls, oldest first."""
    calls = list(exchange.calls.values())[-last:] if last > 0 else []
    return {
        "seed": exchange.setup.seed,
        "voices": exchange.voices.kind,
        "clock": exchange.ticker.report(),
        "live": len(exchange.live()),
        "calls": [call_report(call) for call in calls],
    }


def call_report(call: SimCall) -> dict[str, Any]:
    """One call. Times are epoch ms at the top level, ms since the answer inside `said` and `heard`."""
    state = call.state
    return {
        **state.to_json(),
        "number": state.number,
        "person": call.person.name,
        "created_at": state.created_at,
        "answered_at": state.answered_at,
        "ended_at": state.ended_at,
        **_leg_report(call.leg),
        "streams": [stream_report(stats) for stats in call.streams],
        "webhooks": [asdict(delivery) for delivery in call.outbox.deliveries],
        "forged": [asdict(delivery) for delivery in call.outbox.forged],
    }


def _leg_report(leg: Leg | None) -> dict[str, Any]:
    if leg is None:
        return {"said": [], "heard": None, "pressed": "", "line_ms": 0}
    return {
        "said": [asdict(line) for line in leg.said],
        "heard": asdict(leg.heard),
        "pressed": leg.pressed,
        "line_ms": leg.now_ms,
    }
