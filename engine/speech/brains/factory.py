"""The brain that the configuration asks for."""

from __future__ import annotations

from engine.config import Config
from engine.config.base import reveal
from engine.speech.ports import Brain, SpeechUnavailable


def make_brain(config: Config) -> Brain:
    """A brain that still has to be started. Raises SpeechUnavailable when the configuration names none."""
    response = config.response
    match response.provider:
        case "script":
            from engine.speech.brains.script import ScriptBrain

            return ScriptBrain(response.script)
        case "command":
            from engine.speech.brains.command import CommandBrain

            if not response.command:
                raise SpeechUnavailable("the command brain has no command", "set `response.command`")
            return CommandBrain(response.command, config.response_timeout_ms)
        case "operator":
            from engine.speech.brains.operator import OperatorBrain

            return OperatorBrain()
        case "openai":
            return _openai(config)


def _openai(config: Config) -> Brain:
    from engine.speech.brains.openai import DEFAULT_MODEL, DEFAULT_PROMPT, OpenAiBrain, Persona

    everywhere = Persona(
        config.response_model or DEFAULT_MODEL,
        config.response_system_prompt or DEFAULT_PROMPT,
        config.response_timeout_ms,
    )
    by_number = {
        number: Persona(
            route.response_model or everywhere.model,
            route.response_system_prompt or everywhere.system_prompt,
            route.response_timeout_ms or everywhere.timeout_ms,
        )
        for number, route in config.numbers.items()
    }
    return OpenAiBrain(reveal(config.response.api_key), config.response.base_url or "", everywhere, by_number)
