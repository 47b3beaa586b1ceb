"""The REST interface, and whole calls driven through it."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.simulator.conftest import OUR_NUMBER, QUICK, SINK, Start
from tests.simulator.office import LIMIT_S, Answer


async def test_nothing_is_told_without_the_key(start: Start) -> None:
    line = await start()
    for method, path in (("GET", "/v1/ping"), ("POST", "/v1/calls"), ("GET", "/sim/report"), ("GET", "/nowhere")):
        status, reply = await line.ask(method, path, key="wrong")
        assert (status, reply["code"]) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to": "555"}, "to"),
        ({"client_ref": ""}, "client_ref"),
        ({"webhook_url": "ftp://x"}, "webhook_url"),
        ({"ring_timeout_ms": 0}, "ring_timeout_ms"),
        ({"dtmf_sequence": "1x"}, "dtmf_sequence"),
        ({"document": [{"verb": "connect", "url": "http://no-socket"}]}, "document.0.connect.url"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_wrong_dial_is_refused_and_names_the_field(start: Start, change: dict[str, Any], field: str) -> None:
    line = await start()
    status, reply = await line.ask("POST", "/v1/calls", line.order(SINK, **{"ref": "r"}) | change)
    assert (status, reply["code"], reply["field"]) == (400, "invalid_request", field)
    assert line.exchange.live() == []


async def test_the_same_client_ref_is_one_call(start: Start) -> None:
    line = await start()
    call_id = await line.dial(SINK, "ours-7")
    status, reply = await line.ask("POST", "/v1/calls", line.order(SINK, "ours-7"))
    assert (status, reply["code"], reply["id"]) == (409, "already_dialled", call_id)
    status, found = await line.ask("GET", "/v1/calls?client_ref=ours-7")
    assert (status, found["id"], found["direction"]) == (200, call_id, "outbound")
    assert (await line.ask("GET", "/v1/calls?client_ref=other"))[0] == 404


async def test_calls_that_do_not_exist_are_not_found(start: Start) -> None:
    line = await start()
    assert (await line.ask("GET", "/v1/calls/CA0"))[0] == 404
    assert (await line.ask("POST", "/v1/calls/CA0/hangup"))[0] == 404
    assert (await line.ask("POST", "/v1/calls/CA0/dtmf", {"digits": "1"}))[0] == 404
    assert (await line.ask("POST", "/sim/inbound", {"to": "+15559999999"}))[0] == 404


async def test_hanging_up_works_in_every_state_and_twice(start: Start) -> None:
    line = await start(callers=[{"number": SINK, "manners": {"ring_ms": 60_000, "deaf_and_mute": True}}])
    call_id = await line.dial(SINK)
    for _ in range(2):
        status, reply = await line.ask("POST", f"/v1/calls/{call_id}/hangup")
        assert (status, reply["status"]) == (200, "canceled")
    ended = await line.office.webhook("call.ended")
    assert ended["call"]["reason"] == "hangup-api"


async def test_a_call_that_is_over_takes_no_keys_and_no_stream(start: Start) -> None:
    line = await start()
    call_id = await line.dial(SINK)
    await line.ask("POST", f"/v1/calls/{call_id}/hangup")
    assert (await line.ask("POST", f"/v1/calls/{call_id}/dtmf", {"digits": "1"}))[0] == 409
    body = {"url": line.office.stream_url}
    assert (await line.ask("POST", f"/v1/calls/{call_id}/stream", body))[0] == 409


@pytest.mark.parametrize(
    ("manners", "settings", "status", "reason"),
    [
        ({**QUICK, "answers": "busy"}, {}, "busy", "busy"),
        ({**QUICK, "answers": "never"}, {"ring_timeout_ms": 1000}, "no-answer", "no-answer"),
        ({"ring_ms": 5000}, {"ring_timeout_ms": 1000}, "no-answer", "no-answer"),
        ({**QUICK, "deaf_and_mute": True}, {"time_limit_s": 1}, "completed", "time-limit"),
    ],
)
async def test_how_outbound_calls_end(
    start: Start, manners: dict[str, Any], settings: dict[str, Any], status: str, reason: str
) -> None:
    line = await start(callers=[{"number": SINK, "manners": manners}])
    call_id = await line.dial(SINK, **settings)
    ended = await line.office.webhook("call.ended")
    assert (ended["call"]["status"], ended["call"]["reason"]) == (status, reason)
    assert (await line.ask("GET", f"/v1/calls/{call_id}"))[1] == ended["call"]


@pytest.mark.parametrize(("reason", "status"), [("busy", "busy"), ("rejected", "canceled")])
async def test_an_inbound_call_can_be_rejected_before_it_is_answered(start: Start, reason: str, status: str) -> None:
    line = await start()

    async def reject(webhook: dict[str, Any]) -> Answer:
        return 200, {"document": [{"verb": "reject", "reason": reason}]}

    line.office.answer = reject
    call_id = await line.ring_in("Quick sink")
    ended = await line.office.webhook("call.ended")
    assert (ended["call"]["status"], ended["call"]["reason"]) == (status, reason)
    assert (await line.report(call_id))["answered_at"] is None
    assert line.office.of("call.answered") == []


async def test_an_inline_document_needs_no_webhook_and_is_heard(start: Start) -> None:
    line = await start()
    document = [{"verb": "say", "text": "Your appointment is tomorrow."}, {"verb": "hangup"}]
    call_id = await line.dial(SINK, document=document)
    ended = await line.office.webhook("call.ended")
    assert ended["call"]["reason"] == "hangup-document"
    answered = line.office.of("call.answered")[0]
    assert answered["document_wanted"] is False
    assert (await line.report(call_id))["heard"]["loud_ms"] > 500


async def test_a_conversation_is_reported_line_by_line(start: Start) -> None:
    caller = {"number": SINK, "name": "Ada", "script": ["One two."], "goodbye": "Bye.", "manners": {"think_ms": 20}}
    line = await start(callers=[caller])
    call_id = await line.ring_in("Ada")
    stream = await line.office.stream()
    loud = bytes([0x20, 0xA0] * 80) * 20
    await stream.play(loud)
    await stream.until(lambda: line.exchange.calls[call_id].leg.said)  # type: ignore[union-attr]
    leg = line.exchange.calls[call_id].leg
    assert leg is not None
    await stream.until(lambda: leg.said[0].end_ms)
    await stream.play(loud)
    ended = await line.office.webhook("call.ended")
    assert ended["call"]["reason"] == "hangup-person"
    report = await line.report(call_id)
    assert [(said["text"], said["whole"]) for said in report["said"]] == [("One two.", True), ("Bye.", True)]
    assert all(said["start_ms"] < said["end_ms"] for said in report["said"])
    assert report["heard"]["loud_ms"] == 800


async def test_a_hang_up_in_mid_word_is_reported_as_cut(start: Start) -> None:
    manners = {**QUICK, "hangs_up_at": 0, "machine": False}
    line = await start(callers=[{"number": SINK, "script": ["A long sentence."], "manners": manners, "opening": ""}])
    call_id = await line.ring_in(SINK)
    stream = await line.office.stream()
    await stream.play(bytes([0x20, 0xA0] * 80) * 10)
    await line.office.webhook("call.ended")
    said = (await line.report(call_id))["said"]
    assert [(entry["text"], entry["whole"]) for entry in said] == [("A long sentence.", False)]


async def test_people_call_in_at_the_set_pace_up_to_the_limit(start: Start) -> None:
    line = await start(callers=[{"number": "+15550100101", "manners": "sink"}])
    await line.ask("PUT", f"/v1/numbers/{OUR_NUMBER}", {"webhook_url": line.office.webhook_url})
    await line.ask("POST", "/sim/pace", {"every_seconds": 0.05, "max_live": 3})
    await line.office.stream(2)
    callers = [webhook["call"]["from"] for webhook in line.office.of("call.incoming")]
    assert len(set(callers)) == 3, "they take turns"
    await asyncio.sleep(0.3)  # room for a fourth call, which must not come
    assert len(line.exchange.live()) == 3
    await line.ask("POST", "/sim/pace", {})
    assert line.exchange.pace.every_seconds == 0


async def test_the_cast_and_the_faults_can_be_changed_and_wrong_ones_are_refused(start: Start) -> None:
    line = await start()
    status, reply = await line.ask("POST", "/sim/cast", {"callers": [{"number": "+15550100299", "name": "New"}]})
    assert status == 200 and {"number": "+15550100299", "name": "New"} in reply["people"]
    status, reply = await line.ask("POST", "/sim/cast", {"callers": [{"number": "+1555", "manners": ["rude"]}]})
    assert status == 400 and "rude" in reply["message"]
    status, reply = await line.ask("POST", "/sim/faults", {"drop": 2})
    assert (status, reply["field"]) == (400, "drop")


async def test_a_dial_whose_reply_is_lost_has_happened_and_one_that_is_refused_has_not(start: Start) -> None:
    line = await start(faults={"lose_dial": 1})
    with pytest.raises(aiohttp.ClientError):
        await line.ask("POST", "/v1/calls", line.order(SINK, "lost"))
    assert (await line.ask("GET", "/v1/calls?client_ref=lost"))[0] == 200
    await line.ask("POST", "/sim/faults", {"refuse_dial": 1})
    assert (await line.ask("POST", "/v1/calls", line.order(SINK, "refused")))[0] == 503
    assert (await line.ask("GET", "/v1/calls?client_ref=refused"))[0] == 404


async def test_more_calls_than_the_carrier_takes_are_refused(start: Start) -> None:
    line = await start(max_calls=1)
    await line.dial(SINK, "one")
    status, reply = await line.ask("POST", "/v1/calls", line.order(SINK, "two"))
    assert (status, reply["code"]) == (429, "too_many_calls")


async def test_a_call_is_recorded_in_two_channels(start: Start, tmp_path: Path) -> None:
    line = await start(record_dir=str(tmp_path / "calls"))
    call_id = await line.ring_in("Quick talker")
    stream = await line.office.stream()
    await stream.until(lambda: len(stream.of("media")) >= 60)
    await line.ask("POST", f"/v1/calls/{call_id}/hangup")
    async with asyncio.timeout(LIMIT_S):
        await stream.closed.wait()
    with wave.open(str(tmp_path / "calls" / f"{call_id}.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        assert file.getnframes() == 8 * (await line.report(call_id))["line_ms"]
        samples = memoryview(file.readframes(file.getnframes())).cast("h")
    assert max(samples[0::2]) > 3000 and max(samples[1::2]) == 0


async def test_the_same_seed_gives_the_same_call(start: Start) -> None:
    waits = []
    for seed in (5, 5, 6):
        line = await start(seed=seed)
        await line.dial(SINK)
        call = next(iter(line.exchange.calls.values()))
        waits.append([call._rng.random() for _ in range(3)])
        await line.ask("POST", f"/v1/calls/{call.state.id}/hangup")
    assert waits[0] == waits[1] != waits[2]
