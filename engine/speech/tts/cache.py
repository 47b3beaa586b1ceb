"""Audio of what was spoken lately, for all voices of an engine: greetings and holding lines come at no cost.

Replies are mostly said once, greetings again and again. So that the many replies of a busy hour do not push out the
greeting of a quiet number, a line that was asked for again has a half of the room that only such lines can claim.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from engine.media.audio import Audio

CACHE_BYTES: Final = 8 * 1024 * 1024
"""About 17 minutes of telephone audio."""
_LARGEST: Final = 4
"""A line larger than this part of the room is not kept."""

Key = tuple[str, ...]
"""Who speaks how, and the text: engine, model, voice, settings, text."""


class AudioCache:
    """A bounded room of lines, least recently used out first."""

    def __init__(self, limit_bytes: int = CACHE_BYTES) -> None:
        self._limit = limit_bytes
        self._once: OrderedDict[Key, Audio] = OrderedDict()
        self._again: OrderedDict[Key, Audio] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes of audio that are kept."""
        return _bytes(self._once) + _bytes(self._again)

    def get(self, key: Key) -> Audio | None:
        """The line, when it was spoken lately."""
        if key in self._again:
            self._again.move_to_end(key)
            return self._again[key]
        audio = self._once.pop(key, None)
        if audio is not None:
            self._again[key] = audio
            self._shrink()
        return audio

    def put(self, key: Key, audio: Audio) -> None:
        """Keep a complete line."""
        if not audio.data or len(audio.data) > self._limit // _LARGEST or key in self._again:
            return
        self._once[key] = audio
        self._once.move_to_end(key)
        self._shrink()

    def _shrink(self) -> None:
        while _bytes(self._again) > self._limit // 2:
            key, audio = self._again.popitem(last=False)
            self._once[key] = audio  # the newest of the others: it has one more chance
        while _bytes(self._once) + _bytes(self._again) > self._limit:
            self._once.popitem(last=False)


def _bytes(lines: OrderedDict[Key, Audio]) -> int:
    return sum(len(audio.data) for audio in lines.values())
