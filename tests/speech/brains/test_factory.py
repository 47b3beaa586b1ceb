"""The configured brain is made, and the one in which a person answers says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config import Config
from engine.speech.brains.command import CommandBrain
from engine.speech.brains.factory import make_brain
from engine.speech.brains.openai import OpenAiBrain
from engine.speech.brains.operator import OperatorBrain
from engine.speech.brains.script import ScriptBrain
from engine.speech.brains.session import SessionBrain
from engine.speech.ports import SpeechUnavailable
from tests.speech.brains.talk import caller, conversation, replies


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        ({}, ScriptBrain),
        ({"provider": "openai", "api_key": "k"}, OpenAiBrain),
        ({"provider": "command", "command": "cat"}, CommandBrain),
        ({"provider": "command", "command": "cat", "command_mode": "session"}, SessionBrain),
        ({"provider": "operator"}, OperatorBrain),
    ],
)
def test_the_configured_brain_is_made(response: dict[str, Any], kind: type) -> None:
    brain = make_brain(Config.model_validate({"response": response}))
    assert isinstance(brain, kind)
    assert brain.name == response.get("provider", "script")


def test_a_command_brain_without_a_command_is_refused() -> None:
    with pytest.raises(SpeechUnavailable, match="no command"):
        make_brain(Config.model_validate({"response": {"provider": "command"}}))


@pytest.mark.parametrize("mode", ["per-reply", "session"])
async def test_a_program_may_work_as_long_as_an_answer_is_waited_for_on_that_number(mode: str) -> None:
    talk = conversation(caller("Hello?"))
    block = {"provider": "command", "command": "sleep 60", "command_mode": mode, "late_answer_ms": 100}
    config = {"response": block, "numbers": {talk.our_number: {"response_timeout_ms": 150}}}
    brain = make_brain(Config.model_validate(config))
    await brain.start()
    with pytest.raises(SpeechUnavailable, match="within 0.25 s"):
        await replies(brain, talk)
    await brain.close()


async def test_the_operator_brain_is_silent() -> None:
    brain = OperatorBrain()
    await brain.start()
    assert await replies(brain, conversation(caller("Hello?"))) == []
    await brain.close()
