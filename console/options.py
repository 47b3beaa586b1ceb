"""What the console is told when it starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from console.theming import DEFAULT_THEME

if TYPE_CHECKING:
    from console.sound.devices import SoundSystem


def epoch_ms() -> int:
    """The wall clock in epoch milliseconds, as events are stamped."""
    return time.time_ns() // 1_000_000


class ExitChoice(Enum):
    """How the screen was left. In none of these cases has it ended a call."""

    DETACH = "detach"
    """The operator left; the engine goes on."""
    STOP_ENGINE = "stop-engine"
    """The operator wants the engine stopped: live calls are ended, then the process."""
    TERMINAL_LOST = "terminal-lost"
    """The terminal is gone (SIGHUP): nothing may be written to it; the engine goes on."""
    CRASHED = "crashed"
    """An error in the console; it is in the log. The engine goes on, the console may be started again."""


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """Everything has a default that works."""

    attached: bool = False
    """The engine is another process: leaving never stops it."""
    theme: str | None = None
    mask_numbers: bool = False
    keys: Mapping[str, str] = field(default_factory=dict)
    """Command -> keys, as `console.keys` in the configuration."""
    theme_folders: tuple[Path, ...] = ()
    """Where the operator's own themes are, beside those that ship."""
    log_path: Path | None = None
    """Takes what libraries write to file descriptor 2; None discards it."""
    notice: str = ""
    """Shown once at the start: a supervisor says here that the console crashed and was started again."""
    clock: Callable[[], int] = epoch_ms
    me: str = ""
    """Who sits here, as the engine records it (`console.who`)."""
    loudspeaker: str = ""
    """Where calls are listened to: a part of a device's name."""
    microphone: str = ""
    sound: SoundSystem | None = None
    """Sound cards; None: this machine's."""
    alerts: Literal["off", "bell", "desktop"] = "bell"
    """How a call that needs a person calls for one; desktop: with a notification too."""
    typing_pause: float = 0.25
    """Seconds without a key after which a letter is meant as an answer, and not as part of a text that is typed."""

    @property
    def theme_name(self) -> str:
        return self.theme or DEFAULT_THEME
