"""One voice and one recogniser for all tests of a module; they are skipped where offline speech can not run."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from engine.speech.local_extra import (
    RECOGNISER_PACKAGES,
    VOICE_PACKAGES,
    require_moonshine_platform,
    require_packages,
)
from engine.speech.ports import SpeechUnavailable
from engine.speech.stt.local import LocalRecogniser
from engine.speech.tts.local import LocalVoice


@pytest.fixture(scope="session")
def can_speak() -> None:
    try:
        require_packages("this test", VOICE_PACKAGES)
    except SpeechUnavailable as why:
        pytest.skip(f"{why}: {why.hint}")


@pytest.fixture(scope="session")
def can_recognise(can_speak: None) -> None:
    try:
        require_moonshine_platform()
        require_packages("this test", RECOGNISER_PACKAGES)
    except SpeechUnavailable as why:
        pytest.skip(f"{why}: {why.hint}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def voice(can_speak: None) -> AsyncIterator[LocalVoice]:
    voice = LocalVoice()
    await voice.start()
    yield voice
    await voice.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recogniser(can_recognise: None) -> AsyncIterator[LocalRecogniser]:
    recogniser = LocalRecogniser(patience_seconds=30)  # a machine that runs tests is a busy one
    await recogniser.start()
    yield recogniser
    await recogniser.close()
