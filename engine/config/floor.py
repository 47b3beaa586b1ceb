"""Configuration of the floor: what callers hear when a person has taken it, holds the agent, or is gone."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.config.base import Positive, Section


class FloorSettings(Section):
    """Who speaks for us, when it is not the agent."""

    when_gone: Literal["held", "agent"] = Field(
        default="held",
        description="Who gets the floor when the console of the person who had it is gone: nobody, or the agent.",
    )
    held_limit_seconds: Positive = Field(
        default=60, description="After this the agent gets it all the same, if nobody has come back."
    )
    holding_line: str = Field(default="One moment, please.", description="What callers hear on hold.")
    holding_repeat_seconds: Positive = Field(default=20, description="How often they hear it again.")
    handed_back_line: str = Field(
        default="", description="What callers hear when the agent gets the floor back from a person; empty: nothing."
    )
