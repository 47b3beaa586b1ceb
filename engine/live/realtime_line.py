"""One line that the model speaks: its audio and its words as they come, kept until the line is over.

The audio comes faster than it is said and is kept from the beginning: when a media stream is lost before the caller
heard any of it, the line is played again on the next one. A line that the model was told to say word by word is held
back until its transcript shows that it does: a model may answer a text instead of saying it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from engine.live.lines import Utterance
from engine.media.audio import PHONE, Audio
from engine.speech.tts.verbatim import JUDGED_WORDS, Reading

OTHER_WORDS: Final = "the model said something else than it was told to"
MAX_MS: Final = 120_000
"""Audio of one line. A model that talks for longer is stopped."""


class ModelLost(Exception):
    """The model will not say this line, and nothing of it was made."""


class ModelLine:
    """`wanted` is the text to say, empty where the model chooses its own words."""

    def __init__(self, key: str, wanted: str = "") -> None:
        self.key = key
        self.wanted = wanted
        self.item = ""
        self.text = ""
        self.utterance: Utterance | None = None
        self.settled = False
        """The model knows how much of it was heard, or never needs to."""
        self.failed = ""
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._complete = False
        self._news = asyncio.Event()
        self._reading = Reading(wanted) if wanted else None
        self._checked = asyncio.Event()
        """It may be heard."""
        if self._reading is None:
            self._checked.set()

    @property
    def ms(self) -> int:
        """Audio that is here."""
        return self._bytes * 1000 // PHONE.bytes_per_second

    @property
    def complete(self) -> bool:
        """Nothing more comes."""
        return self._complete

    @property
    def begun(self) -> bool:
        """Some of it may have been heard."""
        return bool(self._pieces) and self._checked.is_set()

    def feed(self, audio: bytes) -> None:
        """More audio."""
        if not self._complete:
            self._pieces.append(audio)
            self._bytes += len(audio)
            self._news.set()

    def words(self, text: str) -> bool:
        """The words so far, all of them. False when they are not those that were wanted."""
        more = text[len(self.text) :] if text.startswith(self.text) else ""
        self.text = text
        if self._reading is None:
            return True
        if not self._reading.goes_on(more):
            return False
        if len(self._reading.said.split()) > JUDGED_WORDS:
            self._checked.set()
        return True

    def finish(self, failed: str = "") -> None:
        """Nothing more comes. Again: nothing happens."""
        if self._complete:
            return
        if not failed and self._reading is not None and not self._reading.ends():
            failed = OTHER_WORDS
        if failed == OTHER_WORDS and not self._checked.is_set():
            self._pieces.clear()
        self._complete, self.failed = True, failed
        self._checked.set()
        self._news.set()

    async def audio(self) -> AsyncGenerator[Audio, None]:
        """All of it from the beginning. Raises ModelLost when there is none."""
        await self._checked.wait()
        at = 0
        while True:
            while at < len(self._pieces):
                yield Audio(PHONE, self._pieces[at])
                at += 1
            if self._complete:
                break
            self._news.clear()
            await self._news.wait()
        if not self._pieces:
            raise ModelLost(self.failed or "the model said nothing")
