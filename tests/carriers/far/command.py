"""A far end by hand: the options that all have, and its life until a signal."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from engine.simulator.voices import VoiceBank
from tests.carriers.far.base import FarEnd
from tests.carriers.far.settings import OUR_NUMBER
from tests.carriers.far.sounds import tones


def options_of(name: str, description: str | None, port: int) -> argparse.ArgumentParser:
    """The options of every far end; `port` is where it listens by default."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.carriers.{name}", description=description)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--public", default="http://127.0.0.1:3334", help="the engine's public origin")
    parser.add_argument("--really", default="", help="where that origin really is, when it is not there")
    parser.add_argument("--path", default="/voice/webhook")
    parser.add_argument("--number", default=OUR_NUMBER, help="the account's number")
    parser.add_argument("--say-speed", type=float, default=1.0)
    parser.add_argument("--wait-speed", type=float, default=1.0)
    parser.add_argument("--tones", action="store_true", help="tones instead of synthesized voices")
    return parser


def webhook_of(options: argparse.Namespace) -> str:
    """The engine's public webhook address."""
    return f"{str(options.public).rstrip('/')}{options.path}"


def common_settings(options: argparse.Namespace) -> dict[str, Any]:
    """What the common options say of the settings."""
    return {
        "number": options.number,
        "say_speed": options.say_speed,
        "wait_speed": options.wait_speed,
        "routes": {options.public.rstrip("/"): options.really} if options.really else {},
    }


FarT = TypeVar("FarT", bound=FarEnd[Any, Any, Any, Any])


def serve(
    options: argparse.Namespace, make: Callable[[VoiceBank, int], FarT], shown: Callable[[FarT], Mapping[str, str]]
) -> int:
    """Run until a signal. Once it listens one JSON line is printed: its address, and what `shown` says."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_serve(options, make, shown))
    return 0


async def _serve(
    options: argparse.Namespace, make: Callable[[VoiceBank, int], FarT], shown: Callable[[FarT], Mapping[str, str]]
) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with make(tones() if options.tones else VoiceBank(), options.port) as far:
        print(json.dumps({"base_url": far.base_url, **shown(far)}), flush=True)
        await stop.wait()
