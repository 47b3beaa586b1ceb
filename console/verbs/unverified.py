"""The same warning for commands and for an engine without a screen: on stderr, red where a person reads it."""

from __future__ import annotations

import contextlib
import os
import sys

from console.words import UNVERIFIED
from engine.config import Config


def warn_unverified(config: Config) -> None:
    """Say so when webhooks are not verified."""
    if not config.skip_signature_verification:
        return
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    text = f"voicecall: {UNVERIFIED}"
    with contextlib.suppress(OSError):
        print(f"\x1b[1;37;41m{text}\x1b[0m" if colour else text, file=sys.stderr, flush=True)
