"""How replies behave when they take long, and callers when they say nothing: settings in seconds, and phrases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.calls import Call
from engine.config import Config
from engine.live.routes import response_timeout


@dataclass(frozen=True, slots=True)
class Manners:
    """Of one call. `timeout_s`: what a reply may take; `late_s`: how much longer it may still be offered."""

    timeout_s: float = 30.0
    late_s: float = 30.0
    holding: Sequence[str] = ()
    holding_after_s: float = 1.5
    holding_repeat_s: float = 8.0
    silence_prompt: str = ""
    silence_after_s: float = 15.0
    silence_prompts: int = 2
    silence_farewell: str = ""


def manners_of(config: Config, call: Call) -> Manners:
    """As configured for the number that the call is on."""
    response = config.response
    return Manners(
        timeout_s=response_timeout(config, call) / 1000,
        late_s=response.late_answer_ms / 1000,
        holding=tuple(filter(None, response.holding_phrases)),
        holding_after_s=response.holding_after_ms / 1000,
        holding_repeat_s=response.holding_repeat_ms / 1000,
        silence_prompt=response.silence_prompt if response.provider != "operator" else "",
        silence_after_s=response.silence_prompt_after_ms / 1000,
        silence_prompts=response.silence_prompts,
        silence_farewell=response.silence_farewell,
    )
