"""Events for the property tests: what carriers tell, what the engine adds, and what nobody should ever send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from engine.calls import EVENT_TYPES, Draft, Event, State

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_known_keys = st.sampled_from(
    [
        "reason",
        "by",
        "text",
        "sayId",
        "speaker",
        "kind",
        "heardText",
        "stages",
        "digits",
        "holder",
        "verdict",
        "effect",
    ]
    + ["direction", "mode", "from", "to", "message", "provider", "providerCallId"]
)
_known_values = st.sampled_from(
    [
        *(state.value for state in State),
        "s1",
        "s2",
        "agent",
        "operator",
        "held",
        "ok",
        "document",
        "inbound",
        "notify",
    ]
)
hostile_data = st.dictionaries(_known_keys, _known_values | json_values, max_size=5)


def _data(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    say = st.sampled_from(["s1", "s2", "s3"])
    reasons = st.sampled_from([state.value for state in State if state.terminal])
    shapes: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "call.initiated": {"provider": st.just("mock"), "direction": st.sampled_from(["inbound", "outbound"])},
        "call.accepted": {"providerCallId": st.sampled_from(["CA1", "CA2"])},
        "call.ended": {"reason": reasons, "by": st.just("carrier")},
        "webhook.received": {"verdict": st.sampled_from(["ok", "refused"]), "effect": st.just("document")},
        "say.queued": {
            "sayId": say,
            "speaker": st.just("agent"),
            "kind": st.just("reply"),
            "text": st.just("Good day"),
        },
        "say.started": {"sayId": say, "synthMs": st.integers(0, 900)},
        "say.heard": {"sayId": say, "ms": st.integers(0, 900)},
        "say.cut": {"sayId": say, "heardMs": st.integers(0, 900), "heardText": st.sampled_from(["", "Good"])},
        "say.skipped": {"sayId": say, "why": st.just("revoked")},
        "say.failed": {"sayId": say, "error": st.just("no voice")},
        "speech.final": {"text": st.sampled_from(["", "Hello", "Thursday"]), "turn": st.integers(0, 9)},
        "turn.completed": {"turn": st.integers(0, 9), "stages": st.just({"stt": 90, "brain": 180})},
        "dtmf.received": {"digits": st.sampled_from("0123456789*#")},
        "floor.changed": {"holder": st.sampled_from(["agent", "operator", "held"]), "by": st.just("console")},
    }
    return st.fixed_dictionaries(shapes.get(kind, {}))


CARRIER_TYPES = (
    "call.dialing",
    "call.accepted",
    "call.ringing",
    "call.answered",
    "call.active",
    "call.ended",
    "webhook.received",
    "stream.opened",
    "stream.started",
    "stream.first_frame",
    "stream.lost",
    "stream.resumed",
)


def drafts(types: Sequence[str] = tuple(sorted(EVENT_TYPES)), call_id: str = "c1") -> st.SearchStrategy[Draft]:
    """Facts of one call with the data that the engine writes."""
    return st.sampled_from(types).flatmap(lambda kind: _data(kind).map(lambda data: Draft(kind, call_id, data)))


hostile_drafts = st.builds(
    Draft,
    st.sampled_from(sorted(EVENT_TYPES)) | st.text(max_size=12),
    st.sampled_from(["c1", "c2", None]),
    hostile_data,
)


def numbered(facts: Sequence[Draft], first_at: int = 1_000) -> list[Event]:
    """What the log makes of facts."""
    return [Event(n, first_at + 20 * n, fact.call_id, fact.type, fact.data) for n, fact in enumerate(facts, 1)]


def begun(facts: Sequence[Draft], call_id: str = "c1") -> list[Event]:
    """The events of a call that begins and then has these facts, in whatever order they are."""
    return numbered([Draft("call.initiated", call_id, {"provider": "mock", "direction": "outbound"}), *facts])
