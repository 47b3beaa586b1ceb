"""What a brain remembers of a person: earlier calls with the same number, out of the log.

Nothing is kept beside the log: what retention deletes is forgotten, and a restart forgets nothing. Callers without a
number, or who hide it, are nobody in particular and are not remembered. Neither is a call on a number of ours with
other instructions: another assistant had that one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from engine.calls import Call, fold
from engine.config import Config
from engine.config.base import is_phone_number
from engine.live import told
from engine.speech.ports import EarlierCall, Said
from engine.store import EventLog, StoreError

log = logging.getLogger(__name__)

NOBODY: Final = frozenset(("+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253", "+7748483"))
"""What carriers write for callers who hide their number: "anonymous", "restricted", "blocked", "unknown" on a
telephone's keys (Twilio's documentation of the parameter `From`)."""
LOOKED_AT: Final = 4
"""So many times as many calls are read as are told of: some had no words."""
MAX_LINE_CHARS: Final = 600
BYTES_PER_TOKEN: Final = 4
"""Of text in UTF-8, about; exact counting differs with every model."""


class Memory:
    """Earlier calls, as far as `session_scope` and its bounds allow."""

    def __init__(self, config: Config, event_log: EventLog) -> None:
        self._config = config
        self._log = event_log

    async def earlier(self, call: Call) -> Sequence[EarlierCall]:
        """The newest calls with the same person that fit, oldest first."""
        response = self._config.response
        wanted = response.memory_calls
        somebody = is_phone_number(call.peer) and call.peer not in NOBODY
        if self._config.session_scope != "per-phone" or not wanted or not somebody:
            return ()
        try:
            ids = await self._log.calls_with(call.peer, wanted * LOOKED_AT + 1)
            before = fold(await self._log.read_calls(each for each in ids if each != call.call_id))
        except StoreError as error:
            log.warning("call %s: nothing is remembered: %s", call.call_id, error)
            return ()
        newest_first = sorted(before.values(), key=lambda each: each.started_at, reverse=True)
        known = (each for each in newest_first if each.peer == call.peer and self._same_assistant(each, call))
        return bounded(known_lines(known), wanted, response.memory_tokens * BYTES_PER_TOKEN)

    def _same_assistant(self, one: Call, other: Call) -> bool:
        prompts = [self._config.numbers.get(each.ours) for each in (one, other)]
        first, second = (route.response_system_prompt if route is not None else None for route in prompts)
        return first == second


def known_lines(calls: Iterable[Call]) -> Sequence[EarlierCall]:
    """What was said in each call that is over, of those in which anything was."""
    found: list[EarlierCall] = []
    for call in calls:
        lines = [line for line in told.told(call) if line.kind not in ("silence", "hint")]
        if lines and not call.live:
            found.append(EarlierCall(call.started_at, call.direction, lines))
    return found


def bounded(calls: Sequence[EarlierCall], most: int, size: int) -> Sequence[EarlierCall]:
    """At most `most` calls and `size` bytes of `calls`, which come newest first; returned oldest first.

    The end of a call says most about how it was left, so a call that does not fit loses its beginning.
    """
    kept: list[EarlierCall] = []
    for call in calls[:most]:
        lines: list[Said] = []
        for line in reversed(call.lines):
            text = line.text[:MAX_LINE_CHARS]
            size -= len(text.encode()) + BYTES_PER_TOKEN
            if size < 0:
                break
            lines.insert(0, Said(line.speaker, text, line.cut or len(line.text) > len(text), line.kind))
        if lines:
            kept.insert(0, EarlierCall(call.at, call.direction, lines))
        if size < 0:
            break
    return kept
