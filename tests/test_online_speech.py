"""`setup --online` opens a session at each vendor that may have to recognise speech."""

from __future__ import annotations

from engine.config import Config, parse_config
from engine.online_speech import recognition
from tests.speech.far import elevenlabs_transcription as elevenlabs
from tests.speech.far import openai_transcription as openai
from tests.speech.far.elevenlabs_transcription import far_elevenlabs
from tests.speech.far.openai_transcription import far_openai


def parse(text: str) -> Config:
    return parse_config(text.encode(), None, {}).config


async def test_each_vendor_of_the_chain_is_asked_and_answers_for_itself() -> None:
    async with far_openai() as far, far_elevenlabs(elevenlabs.Manners(at_start="quota_exceeded")) as other:
        checks = await recognition(
            parse(
                "streaming: {provider: openai, fallback: [elevenlabs, local], providers: {"
                f"openai: {{api_key: {openai.KEY}, base_url: '{far.url}'}}, "
                f"elevenlabs: {{api_key: {elevenlabs.KEY}, base_url: '{other.url}'}}}}}}"
            )
        )
        assert far.sessions[0].audio == b"" and far.problems == []
    assert [(check.id, check.ok) for check in checks] == [
        ("recognition-openai", True),
        ("recognition-elevenlabs", False),
    ]
    assert "quota_exceeded" in checks[1].message and "elevenlabs.io" in checks[1].fix


async def test_who_listens_on_this_machine_is_not_asked_online() -> None:
    assert list(await recognition(parse("{}"))) == []
    assert list(await recognition(parse("streaming: {provider: openai, enabled: false}"))) == []
