"""A mouth on a carrier that speaks by itself, in virtual time: what it was told and when, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from engine.calls import Draft
from engine.carriers.base import CarrierError, Document, Listen
from engine.live.native_documents import Documents
from engine.live.native_mouth import NativeMouth

WEBHOOK = "https://calls.example.com/voice/webhook"


class Bench:
    """`takes` is how long the carrier needs for a request, in seconds; `fail` what its next requests meet."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.facts: list[Draft] = []
        self.told: list[tuple[float, Document]] = []
        self.fail: list[CarrierError] = []
        self.takes = 0.0
        self.under_way = 0
        self.may_speak = True
        self.documents = Documents("call-0001", lambda: WEBHOOK)
        self.mouth = NativeMouth(
            "call-0001", self.documents, self._instruct, lambda: self.may_speak, self.post, lambda: loop.time() * 1000
        )

    def post(self, *drafts: Draft) -> None:
        self.facts.extend(drafts)

    async def _instruct(self, document: Document) -> None:
        self.under_way += 1
        assert self.under_way == 1, "one request at a time"
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.under_way -= 1
        if self.fail:
            raise self.fail.pop(0)
        self.told.append((asyncio.get_running_loop().time(), document))

    @property
    def prompts(self) -> list[str]:
        """What the carrier was told to say by request, in order; empty for silence."""
        return [verb.prompt for _, document in self.told for verb in document if isinstance(verb, Listen)]

    def types(self) -> list[str]:
        return [draft.type for draft in self.facts]

    def of(self, type_: str) -> list[Any]:
        return [dict(draft.data) for draft in self.facts if draft.type == type_]

    def endings(self) -> dict[str, list[str]]:
        """Line -> the facts that ended it."""
        ends = ("say.heard", "say.cut", "say.skipped", "say.failed")
        found: dict[str, list[str]] = {data["sayId"]: [] for data in self.of("say.queued")}
        for draft in self.facts:
            if draft.type in ends:
                found[draft.data["sayId"]].append(draft.type)
        return found


@asynccontextmanager
async def native_bench(*, opened: bool = True) -> AsyncGenerator[Bench, None]:
    it = Bench()
    if opened:
        it.mouth.document()
    running = asyncio.create_task(it.mouth.run())
    try:
        yield it
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def prompt_of(document: Document) -> str:
    (verb,) = document
    assert isinstance(verb, Listen)
    return verb.prompt
