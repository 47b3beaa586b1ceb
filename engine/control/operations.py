"""Answers that are fetched later: `voicecall.continue.start` returns at once, `.result` asks how it went."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.api import Refusal

KEEP_S: Final = 5 * 60.0
"""How long the result of an operation can be fetched, from its end on."""
MAX_OPERATIONS: Final = 256


@dataclass(slots=True)
class _Operation:
    task: asyncio.Task[Mapping[str, Any]]
    ended_at: float | None = None


class Operations:
    """A bounded number of operations: running ones, and ended ones for five minutes."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._operations: dict[str, _Operation] = {}

    def start(self, work: Coroutine[Any, Any, Mapping[str, Any]]) -> str:
        """Begin `work`; returns the id to ask for. Refuses with `at_capacity` when too many run at once."""
        self._make_room(work)
        operation_id = str(uuid.uuid4())
        operation = _Operation(asyncio.create_task(work))
        operation.task.add_done_callback(lambda task: self._ended(operation, task))
        self._operations[operation_id] = operation
        return operation_id

    def result(self, operation_id: str) -> Mapping[str, Any]:
        """`{"status": "pending"}`, or what the operation returned with `"status": "done"`. Raises its Refusal."""
        self._forget_old()
        operation = self._operations.get(operation_id)
        if operation is None:
            raise Refusal(
                "operation_not_found",
                "There is no such operation, or its result was kept long enough.",
                "Results are kept for five minutes; `voicecall.status` shows the transcript of the call.",
            )
        if not operation.task.done():
            return {"operationId": operation_id, "status": "pending"}
        if operation.task.cancelled():
            raise Refusal("engine_stopping", "The engine stopped before the operation ended.")
        return {"operationId": operation_id, "status": "done", **operation.task.result()}

    async def close(self) -> None:
        """Cancel what still runs."""
        tasks = [operation.task for operation in self._operations.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, operation: _Operation, task: asyncio.Task[Mapping[str, Any]]) -> None:
        operation.ended_at = self._now()
        if not task.cancelled():
            task.exception()  # asked for, so that asyncio does not report it as forgotten: `result` raises it

    def _forget_old(self) -> None:
        since = self._now() - KEEP_S
        self._operations = {
            key: operation
            for key, operation in self._operations.items()
            if operation.ended_at is None or operation.ended_at >= since
        }

    def _make_room(self, work: Coroutine[Any, Any, Mapping[str, Any]]) -> None:
        self._forget_old()
        if len(self._operations) < MAX_OPERATIONS:
            return
        ended = next((key for key, operation in self._operations.items() if operation.ended_at is not None), None)
        if ended is None:
            work.close()
            raise Refusal("at_capacity", f"{MAX_OPERATIONS} operations run already.", "Wait for one of them to end.")
        del self._operations[ended]
