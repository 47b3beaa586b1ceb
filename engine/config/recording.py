"""Configuration of recording: whether calls are kept as sound, and what callers are told before."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from engine.config.base import Section


class Recording(Section):
    """Calls as two-channel WAV files: the caller left, our side as it was heard right."""

    enabled: bool = Field(
        default=False,
        description="Record every call with a media stream; a single one is recorded with a key or `record`.",
    )
    consent_line: str | None = Field(
        default=None,
        max_length=1000,
        description="Said before a recording begins, which it does once this was heard to its end; unset: nothing.",
        examples=["This call is recorded."],
    )
    folder: Path | None = Field(
        default=None, description="Where the files go; unset: `recordings` in the state folder."
    )
