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
            return _command(config)
        case "operator":
            from engine.speech.brains.operator import OperatorBrain

            return OperatorBrain()
        case "openai":
            return _openai(config)


def _work_ms(config: Config, number: str = "") -> int:
    """How long a brain may work on a reply in all: what the caller waits for, and a late answer after that."""
    route = config.numbers.get(number)
    own = route.response_timeout_ms if route is not None else None
    return (own or config.response_timeout_ms) + config.response.late_answer_ms


def _command(config: Config) -> Brain:
    command = config.response.command
    if not command:
        raise SpeechUnavailable("the command brain has no command", "set `response.command`")
    timeouts = {number: _work_ms(config, number) for number in config.numbers}
    if config.response.command_mode == "session":
        from engine.speech.brains.session import SessionBrain

        return SessionBrain(command, _work_ms(config), timeouts)
    from engine.speech.brains.command import CommandBrain

    return CommandBrain(command, _work_ms(config), timeouts)


def _openai(config: Config) -> Brain:
    from engine.speech.brains.openai import DEFAULT_MODEL, DEFAULT_PROMPT, OpenAiBrain, Persona

    everywhere = Persona(
        config.response_model or DEFAULT_MODEL,
        config.response_system_prompt or DEFAULT_PROMPT,
        _work_ms(config),
    )
    by_number = {
        number: Persona(
            route.response_model or everywhere.model,
            route.response_system_prompt or everywhere.system_prompt,
            _work_ms(config, number),
        )
        for number, route in config.numbers.items()
    }
    return OpenAiBrain(reveal(config.response.api_key), config.response.base_url or "", everywhere, by_number)
