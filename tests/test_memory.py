"""What is remembered of a person: out of a real log, through restarts, within bounds, and only of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calls import Call, Draft
from engine.config import Config, parse_config
from engine.memory import BYTES_PER_TOKEN, Memory, bounded
from engine.speech.ports import EarlierCall, Said
from engine.store import EventLog
from tests.live.talking import a_call

ANNA, TOM, OURS, SHOP = "+15550100142", "+15550100143", "+15550100100", "+15550100200"


def config(text: str = "") -> Config:
    return parse_config(text.encode(), None, {}).config


def told_call(call_id: str, at: int, who: str, *said: tuple[str, str], ours: str = OURS, **facts: Any) -> list[Draft]:
    """The log of a call that was had and is over."""
    begun = {"provider": "mock", "direction": "inbound", "mode": "conversation", "from": who, "to": ours, **facts}
    drafts = [Draft("call.initiated", call_id, begun, at=at), Draft("call.answered", call_id, at=at + 1)]
    for number, (speaker, text) in enumerate(said):
        moment = at + 1000 * (number + 1)
        if speaker == "caller":
            drafts.append(Draft("speech.final", call_id, {"text": text}, at=moment))
            continue
        say_id = f"{call_id}-{number}"
        line = {"sayId": say_id, "speaker": speaker, "kind": "reply", "text": text}
        drafts += [
            Draft("say.queued", call_id, line, at=moment),
            Draft("say.started", call_id, {"sayId": say_id}, at=moment),
            Draft("say.heard", call_id, {"sayId": say_id, "ms": 100}, at=moment + 100),
        ]
    return [*drafts, Draft("call.ended", call_id, {"reason": "completed"}, at=at + 60_000)]


async def remembered(path: Path, settings: Config, call: Call) -> Sequence[EarlierCall]:
    """What an engine that has just been started on this log remembers."""
    async with await EventLog.open(path) as log:
        return await Memory(settings, log).earlier(call)


async def test_earlier_calls_of_the_same_number_are_remembered_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    async with await EventLog.open(path) as log:
        await log.append(told_call("a", 1000, ANNA, ("agent", "Hello."), ("caller", "Thursday, please.")))
        await log.append(told_call("t", 2000, TOM, ("agent", "Hello."), ("caller", "A secret.")))
        facts = {"from": OURS, "to": ANNA, "direction": "outbound"}
        await log.append(told_call("b", 3000, "", ("operator", "It is Kim."), **facts))
        await log.append(told_call("mute", 4000, ANNA))
    call = a_call(call_id="now", from_number=ANNA, to_number=OURS)
    assert await remembered(path, config(), call) == [
        EarlierCall(1000, "inbound", [Said("agent", "Hello."), Said("caller", "Thursday, please.")]),
        EarlierCall(3000, "outbound", [Said("operator", "It is Kim.")]),
    ]
    assert await remembered(path, config("session_scope: per-call"), call) == ()
    assert await remembered(path, config("response: {memory_calls: 0}"), call) == ()


async def test_retention_forgets(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    call = a_call(call_id="now", from_number=ANNA, to_number=OURS)
    async with await EventLog.open(path) as log:
        await log.append(told_call("a", 1000, ANNA, ("caller", "Old.")))
        await log.append(told_call("b", 200_000, ANNA, ("caller", "New.")))
        await log.forget(before=150_000)
        earlier = await Memory(config(), log).earlier(call)
    assert [line.text for each in earlier for line in each.lines] == ["New."]


@pytest.mark.parametrize("nobody", ["", "anonymous", "+266696687", "Restricted"])
async def test_callers_without_a_number_share_no_memory(tmp_path: Path, nobody: str) -> None:
    path = tmp_path / "calls.db"
    async with await EventLog.open(path) as log:
        await log.append(told_call("a", 1000, nobody, ("caller", "My secret.")))
    call = a_call(call_id="now", from_number=nobody, to_number=OURS)
    assert await remembered(path, config(), call) == ()


async def test_a_number_with_instructions_of_its_own_has_a_memory_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    settings = config(f'numbers: {{"{SHOP}": {{response_system_prompt: You sell bread.}}}}')
    async with await EventLog.open(path) as log:
        await log.append(told_call("a", 1000, ANNA, ("caller", "My tooth hurts.")))
        await log.append(told_call("b", 2000, ANNA, ("caller", "Two rolls."), ours=SHOP))
    for ours, text in ((OURS, "My tooth hurts."), (SHOP, "Two rolls.")):
        (earlier,) = await remembered(path, settings, a_call(call_id="now", from_number=ANNA, to_number=ours))
        assert [line.text for line in earlier.lines] == [text]


async def test_a_part_of_a_number_is_another_number(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    async with await EventLog.open(path) as log:
        await log.append(told_call("a", 1000, ANNA + "9", ("caller", "Not hers.")))
        await log.append(told_call("b", 1000, ANNA[:-1], ("caller", "Nor this.")))
        await log.append(told_call("c", 1000, "%", ("caller", "Nor that.")))
    assert not await remembered(path, config(), a_call(call_id="now", from_number=ANNA))


_CALLS = st.lists(
    st.builds(
        lambda at, texts: EarlierCall(at, "inbound", [Said("caller", text) for text in texts]),
        st.integers(0, 100),
        st.lists(st.text(min_size=1, max_size=1000), min_size=1, max_size=9),
    ),
    max_size=9,
)


@given(_CALLS, st.integers(0, 9), st.integers(0, 4000))
def test_memory_stays_within_its_bounds_and_keeps_the_newest(calls: list[EarlierCall], most: int, size: int) -> None:
    kept = bounded(calls, most, size)
    assert len(kept) <= most
    assert sum(len(line.text.encode()) + BYTES_PER_TOKEN for call in kept for line in call.lines) <= size
    assert [call.at for call in kept] == [call.at for call in calls[: len(kept)]][::-1]
    if kept and size >= 5000:
        assert kept[-1].lines[-1].text == calls[0].lines[-1].text[:600]
