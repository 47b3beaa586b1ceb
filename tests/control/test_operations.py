"""Results are kept for five minutes, and not without bound."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from engine.api import Refusal
from engine.control.operations import KEEP_S, MAX_OPERATIONS, Operations


async def done() -> Mapping[str, object]:
    return {"success": True}


async def refuse() -> Mapping[str, object]:
    raise Refusal("call_ended", "The call is over.")


async def never() -> Mapping[str, object]:
    await asyncio.Event().wait()
    return {}


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_result_is_kept_for_five_minutes_from_its_end_and_can_be_asked_for_again() -> None:
    now = 100.0
    operations = Operations(lambda: now)
    operation_id = operations.start(done())
    await settle()
    now += KEEP_S
    for _ in range(2):
        assert operations.result(operation_id) == {"operationId": operation_id, "status": "done", "success": True}
    now += 1
    with pytest.raises(Refusal) as caught:
        operations.result(operation_id)
    assert caught.value.code == "operation_not_found"


async def test_a_refusal_is_the_result_that_it_is() -> None:
    operations = Operations()
    operation_id = operations.start(refuse())
    await settle()
    with pytest.raises(Refusal, match="over"):
        operations.result(operation_id)


async def test_a_running_operation_is_never_forgotten_for_its_age() -> None:
    now = 0.0
    operations = Operations(lambda: now)
    operation_id = operations.start(never())
    now = 10 * KEEP_S
    assert operations.result(operation_id)["status"] == "pending"
    await operations.close()
    with pytest.raises(Refusal) as caught:
        operations.result(operation_id)
    assert caught.value.code == "engine_stopping"


async def test_the_oldest_result_makes_room_and_running_ones_do_not() -> None:
    operations = Operations()
    first = operations.start(done())
    await settle()
    running = [operations.start(never()) for _ in range(MAX_OPERATIONS)]
    with pytest.raises(Refusal, match="no such operation"):
        operations.result(first)
    with pytest.raises(Refusal) as caught:
        operations.start(never())
    assert caught.value.code == "at_capacity"
    assert operations.result(running[0])["status"] == "pending"
    await operations.close()
