from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.speech.far.elevenlabs_speech import ElevenLabsFarEnd, elevenlabs_far_end
from tests.speech.far.openai_speech import OpenAiFarEnd, openai_far_end
from tests.speech.far.speech import Synthesizer


@pytest.fixture(scope="session")
def synthesizer(can_speak: None) -> Synthesizer:
    return Synthesizer()


@pytest.fixture
async def openai(synthesizer: Synthesizer) -> AsyncIterator[OpenAiFarEnd]:
    async with openai_far_end(synthesizer) as far:
        yield far


@pytest.fixture
async def elevenlabs(synthesizer: Synthesizer) -> AsyncIterator[ElevenLabsFarEnd]:
    async with elevenlabs_far_end(synthesizer) as far:
        yield far
