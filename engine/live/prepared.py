"""A line that is synthesized ahead of time, while the phone still rings.

It can be spoken while it is still being made. One that failed before anybody listened is as if it had not been made:
it is synthesized again when it is needed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from engine.media.audio import PHONE, Audio
from engine.speech.ports import SpeechUnavailable

log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 20.0
"""For how long the voice may give nothing."""
MOST_BYTES: Final = PHONE.bytes_for(600_000)
"""No text that we take is longer than ten minutes: a voice that goes on is broken."""


class Prepared:
    """Audio of one line, kept as it comes. Its task belongs to `group`."""

    def __init__(self, pieces: AsyncGenerator[Audio, None], group: asyncio.TaskGroup) -> None:
        self._kept: list[Audio] = []
        self._more = asyncio.Event()
        self._over = False
        self._error: SpeechUnavailable | None = None
        self._task = group.create_task(self._make(pieces))

    async def done(self) -> None:
        """Return when it is made, or has failed."""
        await asyncio.wait([self._task])

    def cancel(self) -> None:
        """It is not needed any more."""
        self._task.cancel()

    async def pieces(self) -> AsyncGenerator[Audio, None]:
        """The audio, from its beginning; nothing when it has failed by now. Raises SpeechUnavailable when it breaks
        off later."""
        if self._error is not None:
            return
        at = 0
        while True:
            while at < len(self._kept):
                yield self._kept[at]
                at += 1
            if self._over:
                break
            self._more.clear()
            await self._more.wait()
        if self._error is not None and at:
            raise self._error

    async def _make(self, pieces: AsyncGenerator[Audio, None]) -> None:
        try:
            async with aclosing(pieces):
                await self._keep(pieces)
        except SpeechUnavailable as error:
            log.warning("not prepared: %s", error)
            self._error = error
        except Exception as error:
            log.exception("not prepared: the voice failed")
            self._error = SpeechUnavailable(f"the voice failed: {type(error).__name__}")
        finally:
            self._over = True
            self._more.set()

    async def _keep(self, pieces: AsyncGenerator[Audio, None]) -> None:
        size = 0
        try:
            async with asyncio.timeout(PATIENCE_SECONDS) as limit:
                async for piece in pieces:
                    limit.reschedule(asyncio.get_running_loop().time() + PATIENCE_SECONDS)
                    size += len(piece.data)
                    if size > MOST_BYTES:
                        raise SpeechUnavailable("the voice does not stop")
                    self._kept.append(piece)
                    self._more.set()
        except TimeoutError:
            raise SpeechUnavailable(f"the voice took more than {PATIENCE_SECONDS:.0f} s") from None
