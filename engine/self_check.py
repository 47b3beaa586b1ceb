"""The checks of `voicecall setup`, made by a running engine about itself, for a console that may be elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

from engine.check import Check
from engine.config import Config, Loaded

_NOT_KNOWN: Final = frozenset({"config", "settings"})
"""What is about the file: an engine has only its values."""


async def self_check(
    config: Config,
    state_dir: Path,
    look: Callable[[], Awaitable[Mapping[str, Any] | None]],
    exposure: Callable[[], Mapping[str, Any]],
    *,
    online: bool,
) -> Mapping[str, Any]:
    """`look`: one probe of the public address. `exposure`: that part of the health."""
    from engine.checks import run_checks
    from engine.online import ask_vendors
    from engine.online_exposure import checks_of

    def static() -> list[Check]:
        return [check for check in run_checks(Loaded(config, None), state_dir) if check.id not in _NOT_KNOWN]

    checks = await asyncio.to_thread(static)
    if online:
        checks += (await ask_vendors(config, state_dir)).checks
        report = await look()  # before the health is asked: it is in there
        checks += checks_of(config, report, exposure())
    return {"ok": all(check.ok for check in checks), "checks": [check.to_json() for check in checks]}
