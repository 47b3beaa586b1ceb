"""`python -m tests.carriers.plivo_far --port 4011 --public http://127.0.0.1:3334`: the far end, by hand.

Prints one JSON line: its address and what to put into the configuration. An engine with

    provider: plivo
    from_number: "+15550100000"
    public_url: http://127.0.0.1:3334/voice/webhook
    plivo: {auth_id: ..., auth_token: ..., api_base_url: http://127.0.0.1:4011}

can then dial the simulated people (+15550100151 and others) and be called:

    curl -d '{}' http://127.0.0.1:4011/sim/inbound
    curl -d '{"person": "Anna Miller"}' http://127.0.0.1:4011/sim/inbound
    curl http://127.0.0.1:4011/sim/report
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys

from engine.simulator.voices import VoiceBank
from tests.carriers.plivo_far import OUR_NUMBER, PlivoFar, Settings
from tests.carriers.twilio_far.sounds import tones


def main() -> int:
    options = _options()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_serve(options))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.carriers.plivo_far", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--port", type=int, default=4011)
    parser.add_argument("--public", default="http://127.0.0.1:3334", help="the engine's public origin")
    parser.add_argument("--really", default="", help="where that origin really is, when it is not there")
    parser.add_argument("--path", default="/voice/webhook")
    parser.add_argument("--number", default=OUR_NUMBER, help="the account's number")
    parser.add_argument("--auth-id", default=Settings.auth_id)
    parser.add_argument("--auth-token", default="far-end-token")
    parser.add_argument("--get", action="store_true", help="the application asks by GET")
    parser.add_argument("--say-speed", type=float, default=1.0)
    parser.add_argument("--wait-speed", type=float, default=1.0)
    parser.add_argument("--tones", action="store_true", help="tones instead of synthesized voices")
    return parser.parse_args()


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    answer_url = options.public.rstrip("/") + options.path
    settings = Settings(
        auth_id=options.auth_id,
        auth_token=options.auth_token,
        number=options.number,
        answer_url=answer_url,
        hangup_url=f"{answer_url}?type=status",
        method="GET" if options.get else "POST",
        say_speed=options.say_speed,
        wait_speed=options.wait_speed,
        routes={options.public.rstrip("/"): options.really} if options.really else {},
    )
    async with PlivoFar(settings, tones() if options.tones else VoiceBank(), options.port) as far:
        shown = {
            "base_url": far.base_url,
            "auth_id": settings.auth_id,
            "auth_token": settings.auth_token,
            "number": settings.number,
            "answer_url": answer_url,
        }
        print(json.dumps(shown), flush=True)
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
