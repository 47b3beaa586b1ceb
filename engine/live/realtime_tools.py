"""What the model may do besides speaking: hang up, once its farewell was heard.

A tool that does not exist is answered with an error, so that the model does not wait for it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from engine.live.lines import MouthFull, Utterance
from engine.speech.ports import EndCall
from engine.speech.realtime.notices import ToolCall
from engine.speech.realtime.setup import END_CALL

log = logging.getLogger(__name__)

MAX_FOLLOW_UPS: Final = 3
"""Answers to tools that may follow each other until the caller speaks again."""
MAX_FAREWELL: Final = 400


class Works(Protocol):
    """The model's side of the call."""

    generation: int
    """Grows whenever something that was meant for an older moment must not happen any more."""

    def wants_answer(self) -> bool:
        """The agent speaks for us now."""

    def agent_spoke_last(self) -> bool:
        """Nobody said anything after the agent's latest line."""

    def say(self, text: str) -> Utterance:
        """Say a line as the agent. Raises MouthFull."""

    async def caller_quiet(self) -> None:
        """Return when the caller does not speak."""

    def tell_tool(self, call_id: str, output: str) -> None:
        """What became of a call."""

    def follow_up(self) -> None:
        """Have the model go on."""


class Tools:
    """The tool calls of one call."""

    def __init__(self, call_id: str, works: Works, hang_up: Callable[[EndCall], None]) -> None:
        self._call_id = call_id
        self._works = works
        self._hang_up = hang_up
        self._follow_ups = 0

    def caller_spoke(self) -> None:
        """A new turn: the model may use tools again."""
        self._follow_ups = 0

    async def use(self, calls: Sequence[ToolCall], said: Sequence[Utterance]) -> None:
        """Do what a response asks for, which also said these lines."""
        ends = [call for call in calls if call.name == END_CALL]
        for call in calls:
            if call.name != END_CALL:
                log.warning("call %s: the model called a tool that does not exist: %s", self._call_id, call.name[:60])
                known = f"there is no tool {call.name[:60]}; the only tool is {END_CALL}"
                self._works.tell_tool(call.call_id, json.dumps({"error": known}))
        for call in ends[1:]:
            self._works.tell_tool(call.call_id, json.dumps({"error": "asked twice"}))
        if ends:
            await self._end(ends[0], said)
        elif calls:
            self._go_on()

    async def _end(self, call: ToolCall, said: Sequence[Utterance]) -> None:
        """Hang up after the farewell was heard, unless the caller speaks again or a person takes over."""
        works, generation = self._works, self._works.generation
        if not works.wants_answer():
            self._works.tell_tool(call.call_id, json.dumps({"error": "a human colleague has the call"}))
            return
        lines = list(said) or self._farewell(call)
        if not lines and not works.agent_spoke_last() and self._follow_ups < MAX_FOLLOW_UPS:
            why = f"say goodbye aloud first, then call {END_CALL}"
            works.tell_tool(call.call_id, json.dumps({"error": why}))
            self._go_on()
            return
        endings = [await line.done for line in lines]
        await works.caller_quiet()
        heard = all(ending == "heard" for ending in endings)
        if heard and generation == works.generation and works.wants_answer():
            self._hang_up(EndCall())
            return
        works.tell_tool(call.call_id, json.dumps({"ended": False, "why": "the caller spoke; the call goes on"}))

    def _farewell(self, call: ToolCall) -> list[Utterance]:
        try:
            arguments = json.loads(call.arguments or "{}")
        except ValueError:
            return []
        farewell = arguments.get("farewell") if isinstance(arguments, dict) else None
        if not isinstance(farewell, str) or not farewell.strip():
            return []
        try:
            return [self._works.say(farewell.strip()[:MAX_FAREWELL])]
        except MouthFull:
            return []

    def _go_on(self) -> None:
        if self._follow_ups < MAX_FOLLOW_UPS:
            self._follow_ups += 1
            self._works.follow_up()
