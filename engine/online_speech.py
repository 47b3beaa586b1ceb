"""What `voicecall setup --online` asks of the vendors that recognise speech: a session, with everything it needs.

The session is opened as for a call and closed again, so that a key, a model, the credit and the protocol itself are
known to work. No audio is sent, and nothing is charged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from engine.check import Check
from engine.config import Config
from engine.speech.factory import make_recogniser
from engine.speech.ports import Recogniser, SpeechUnavailable
from engine.speech.stt.chain import RecogniserChain


async def recognition(config: Config) -> Sequence[Check]:
    """One check for each vendor that may have to recognise speech."""
    if not config.streaming.enabled:
        return []
    chain = make_recogniser(config)
    if not isinstance(chain, RecogniserChain):
        return []
    try:
        vendors = [engine for engine in chain.order() if engine.name != "local"]
        return await asyncio.gather(*map(_ask, vendors))
    finally:
        await chain.close()


async def _ask(engine: Recogniser) -> Check:
    id_ = f"recognition-{engine.name}"
    try:
        await engine.start()
    except SpeechUnavailable as error:
        return Check(id_, False, str(error), error.hint)
    return Check(id_, True, f"{engine.name} gave us a session: key, model and protocol work")
