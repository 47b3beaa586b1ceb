"""The laws of a call hold for any order, duplication and loss of what carriers tell."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.calls import END_REASONS, Call, Draft, Event, State, apply, fold, next_state
from engine.store import EventLog
from tests.calls.stories import CARRIER_TYPES, begun, drafts, hostile_drafts, numbered

ORDER = {state: index for index, state in enumerate(State)}
TALK = {State.SPEAKING, State.LISTENING}


def history(events: Sequence[Event]) -> list[Call]:
    """The call after each event, from its beginning on."""
    calls: list[Call] = []
    for event in events:
        call = apply(calls[-1] if calls else None, event)
        if call is not None:
            calls.append(call)
    return calls


def assert_laws(before: Call, after: Call) -> None:
    """What no event may ever do."""
    if before.state.terminal:
        frozen = replace(
            after,
            provider_call_id=before.provider_call_id,
            rungs=before.rungs,
            turns=before.turns,
            error=before.error,
            last_at=before.last_at,
        )
        assert frozen == before, "terminal is sticky"
    elif not after.state.terminal and not (before.state in TALK and after.state in TALK):
        assert ORDER[after.state] >= ORDER[before.state], "forward only"
    assert (after.end_reason is not None) == (after.ended_at is not None) == after.state.terminal
    assert before.rungs.items() <= after.rungs.items(), "a rung is reached once"
    assert before.answered_at in (None, after.answered_at)
    assert after.last_at >= before.last_at
    assert (before.call_id, before.started_at, before.direction) == (after.call_id, after.started_at, after.direction)
    assert len(after.transcript) >= len(before.transcript)
    assert not (after.state.terminal and (after.queued or any(line.playing for line in after.transcript)))


@given(st.lists(drafts(), max_size=40))
def test_any_sequence_of_facts_keeps_the_laws(facts: list[Draft]) -> None:
    for before, after in pairwise(history(begun(facts))):
        assert_laws(before, after)


@given(st.lists(hostile_drafts | drafts(), max_size=30))
def test_hostile_data_never_raises_and_keeps_the_laws(facts: list[Draft]) -> None:
    events = numbered(facts)
    for call in fold(events).values():
        orjson.dumps(call.to_json(), default=str)
    for before, after in pairwise(history(begun(facts))):
        assert_laws(before, after)


@given(st.lists(drafts(CARRIER_TYPES), max_size=20), st.data())
def test_any_order_duplication_and_loss_leaves_one_end(facts: list[Draft], data: st.DataObject) -> None:
    """Trap 1.3/order."""
    delivered = data.draw(st.lists(st.sampled_from(facts), max_size=40)) if facts else []
    events = begun(delivered)
    ends = [event for event in events if event.type == "call.ended"]
    call = fold(events)["c1"]
    assert call.state.terminal == bool(ends)
    if ends:
        assert call.end_reason == ends[0].data["reason"]
        assert call.ended_at == ends[0].at


@given(st.lists(drafts(CARRIER_TYPES), max_size=20), st.data())
def test_what_a_carrier_tells_again_changes_nothing(facts: list[Draft], data: st.DataObject) -> None:
    events = begun(facts)
    again = [*events, *data.draw(st.lists(st.sampled_from(events), max_size=10))]
    told_once, told_again = fold(events)["c1"], fold(again)["c1"]
    # The carrier's id is the newest that it gave; everything else is as it was.
    assert replace(told_again, provider_call_id=None) == replace(told_once, provider_call_id=None)


@given(st.lists(drafts(call_id="c1"), max_size=15), st.lists(drafts(call_id="c2"), max_size=15), st.data())
def test_calls_do_not_touch_each_other(one: list[Draft], two: list[Draft], data: st.DataObject) -> None:
    first, second = begun(one, "c1"), begun(two, "c2")
    both = [Draft(event.type, event.call_id, event.data) for event in (*first, *second)]
    mixed = data.draw(st.permutations(range(len(both))))
    events = [replace(event, seq=place) for place, event in zip(mixed, (*first, *second), strict=True)]
    events.sort(key=lambda event: event.seq)
    for call_id in ("c1", "c2"):
        alone = [event for event in events if event.call_id == call_id]
        assert fold(events).get(call_id) == fold(alone).get(call_id)


@given(st.lists(hostile_drafts | drafts() | drafts(call_id="c2"), max_size=30))
@settings(max_examples=40, deadline=None)
def test_a_replay_of_the_log_gives_the_same_calls_byte_for_byte(facts: list[Draft]) -> None:
    async def live_and_replayed(path: Path) -> tuple[Sequence[Event], Sequence[Event]]:
        ticks = iter(range(1_000_000))
        async with await EventLog.open(path, clock=lambda: next(ticks)) as log:
            live = [event for fact in facts for event in await log.append([fact])]
        async with await EventLog.open(path) as log:
            return live, await log.read(0, 1000)

    with tempfile.TemporaryDirectory() as folder:
        live, replayed = asyncio.run(live_and_replayed(Path(folder) / "calls.db"))
    sent = [Event.from_json(json.loads(json.dumps(event.to_json()))) for event in live]
    assert as_bytes(live) == as_bytes(replayed) == as_bytes(sent)


def as_bytes(events: Sequence[Event]) -> bytes:
    return orjson.dumps([call.to_json() for call in fold(events).values()])


def test_every_move_between_states_is_as_the_rule_says() -> None:
    for current in State:
        for wanted in State:
            after = next_state(current, wanted)
            assert after in (current, wanted)
            if current.terminal:
                assert after is current
            elif wanted.terminal or {current, wanted} == TALK:
                assert after is wanted
            else:
                assert after is (wanted if ORDER[wanted] > ORDER[current] else current)


def test_the_end_reasons_are_the_nine_last_states() -> None:
    assert [state for state in State if state in END_REASONS] == list(State)[6:]
