"""Makes the README's picture: the console on a running demonstration, as SVG.

python -m bench.picture console/picture.svg --seconds 40 --size 120x36 --theme harbour
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from console.app import ConsoleApp
from console.options import ConsoleOptions
from engine.carriers.mock import MockCarrier
from engine.client import InProcessClient
from engine.config import parse_config
from engine.demo import Demo, DemoPlan, demo_config
from engine.host import EngineThread


async def picture(thread: EngineThread, seconds: float, size: tuple[int, int], theme: str) -> str:
    """The screen after so many seconds."""
    app = ConsoleApp(InProcessClient(thread.engine, thread.loop, "console"), ConsoleOptions(theme=theme))
    async with app.run_test(size=size) as pilot:
        await asyncio.sleep(seconds)
        await pilot.pause()
        return app.export_screenshot(title="voicecall")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--size", default="120x36")
    parser.add_argument("--theme", default="harbour")
    args = parser.parse_args()
    width, height = (int(part) for part in args.size.split("x"))
    plan = DemoPlan()
    with tempfile.TemporaryDirectory() as folder:
        thread = EngineThread(demo_config(parse_config(b"", None, {}).config, plan, 0), Path(folder))
        thread.start()
        carrier = thread.engine.carrier
        assert isinstance(carrier, MockCarrier)
        demo = Demo(thread.engine, carrier, plan)
        asyncio.run_coroutine_threadsafe(demo.run(), thread.loop)
        svg = asyncio.run(picture(thread, args.seconds, (width, height), args.theme))
        asyncio.run_coroutine_threadsafe(demo.quiet(), thread.loop).result(10)
        thread.stop(now=True)
    args.out.write_text(svg)


if __name__ == "__main__":
    main()
