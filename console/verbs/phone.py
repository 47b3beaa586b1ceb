"""`voicecall phone`: call your own agent without any number."""

from __future__ import annotations

import asyncio
import sys

from console.verbs.door import DEMO_FOLDER
from console.verbs.runner import DONE, FAILED, Session, fail


def run(session: Session) -> int:
    from console.telephone import NoSound, PhoneFailed, talk

    args = session.args
    loaded = session.load()
    state_dir = session.state_dir(loaded)
    console = loaded.config.console

    def say(text: str) -> None:
        print(text, file=sys.stderr if session.out.json else sys.stdout, flush=True)

    call = talk(
        (state_dir, state_dir / DEMO_FOLDER),
        say,
        to=args.to or "",
        number=args.number or "",
        wait=args.wait,
        loudspeaker=console.loudspeaker,
        microphone=console.microphone,
    )
    try:
        ending = asyncio.run(call)
    except NoSound as error:
        return fail(session.out, FAILED, "no_sound", error.error, error.hint)
    except PhoneFailed as error:
        return fail(session.out, FAILED, "no_line", str(error), error.hint)
    except KeyboardInterrupt:
        ending = "you hung up"
    session.out.result({"success": True, "ended": ending}, ())
    return DONE
