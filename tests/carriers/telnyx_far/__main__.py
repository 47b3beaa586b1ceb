"""`python -m tests.carriers.telnyx_far --port 4020 --public http://127.0.0.1:3334`: the far end, by hand.

Prints one JSON line: its address and what to put into the configuration. An engine with

    provider: telnyx
    from_number: "+15550100000"
    public_url: http://127.0.0.1:3334/voice/webhook
    telnyx: {api_key: ..., connection_id: ..., public_key: ..., api_base_url: http://127.0.0.1:4020}

can then dial the simulated people (+15550100151 and others) and be called:

    curl -d '{}' http://127.0.0.1:4020/sim/inbound
    curl http://127.0.0.1:4020/sim/report
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys

from engine.simulator.voices import VoiceBank
from tests.carriers.telnyx_far import OUR_NUMBER, Settings, TelnyxFar
from tests.carriers.twilio_far.sounds import tones


def main() -> int:
    options = _options()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_serve(options))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.carriers.telnyx_far", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--port", type=int, default=4020)
    parser.add_argument("--public", default="http://127.0.0.1:3334", help="the engine's public origin")
    parser.add_argument("--really", default="", help="where that origin really is, when it is not there")
    parser.add_argument("--path", default="/voice/webhook")
    parser.add_argument("--number", default=OUR_NUMBER, help="the account's number")
    parser.add_argument("--codec", choices=("PCMU", "PCMA", "G722", "OPUS"), default="PCMU", help="of the legs")
    parser.add_argument("--api-version", choices=("1", "2"), default="2")
    parser.add_argument("--say-speed", type=float, default=1.0)
    parser.add_argument("--wait-speed", type=float, default=1.0)
    parser.add_argument("--cost", action="store_true", help="tell what calls cost")
    parser.add_argument("--tones", action="store_true", help="tones instead of synthesized voices")
    return parser.parse_args()


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    settings = Settings(
        number=options.number,
        webhook_url=options.public.rstrip("/") + options.path,
        api_version=options.api_version,
        call_cost=options.cost,
        leg_codec=options.codec,
        say_speed=options.say_speed,
        wait_speed=options.wait_speed,
        routes={options.public.rstrip("/"): options.really} if options.really else {},
    )
    async with TelnyxFar(settings, tones() if options.tones else VoiceBank(), options.port) as far:
        shown = {
            "base_url": far.base_url,
            "api_key": settings.api_key,
            "connection_id": settings.connection_id,
            "public_key": far.public_key,
            "number": settings.number,
            "webhook_url": settings.webhook_url,
        }
        print(json.dumps(shown), flush=True)
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
