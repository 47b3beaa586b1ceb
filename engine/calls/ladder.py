"""The ladder of a call: the chain of facts that a healthy call shows, and the first one that is missing.

Each rung has a deadline that counts from the rung before it. A rung that is past its deadline names the most
likely cause, so that a silent call explains itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from engine.calls.call import Call
from engine.calls.state import State

RungState = Literal["done", "waiting", "missing", "open"]
"""`waiting`: the next one, within its deadline. `missing`: the next one, late. `open`: further down."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the chain as it stands now. `at` is epoch ms, `deadline_ms` counts from the rung before."""

    name: str
    state: RungState
    at: int | None
    deadline_ms: int
    why: str = ""


_WHY: Final[dict[str, str]] = {
    "dialled": "the dial was not sent to the carrier",
    "accepted": "the carrier has not answered the dial request: check credentials and network",
    "signed": "no webhook with a valid signature came in: check the public URL and the carrier's secret",
    "ringing": "the carrier has not reported ringing yet",
    "answered": "nobody has picked up yet",
    "waiting": "it was not recorded that the caller waits",
    "admitted": "nobody has let the caller in yet",
    "document": "the carrier has not fetched its instructions: the webhook path may not be reachable",
    "socket": "no media socket was opened: the stream path is probably not reachable from outside",
    "start": "the media socket sent no acceptable start frame: check the stream token",
    "caller": "no audio frame has come from the caller: the carrier's stream may be muted",
    "stt": "speech recognition is not ready: run `voicecall setup`",
    "voice": "nothing was synthesized: the voice engine is missing or failing",
    "heard": "audio was sent but the carrier has not confirmed that it was played",
    "understood": "the caller has not been understood yet: silence, or recognition is deaf",
    "reply": "no reply has been heard: the brain may be failing or slow",
}

_WHY_BY_CARRIER: Final[dict[str, str]] = {
    "voice": "nothing was given to the carrier to say: see the call's errors for what it did not take",
    "heard": "the carrier has not said that the line is over, and its time is not over yet",
    "understood": "the carrier has reported no words of the caller: silence, or its language is set to another one",
}
"""The same where the carrier speaks and listens by itself."""
_ENDED: Final = {
    State.HANGUP_USER: "the other side hung up",
    State.HANGUP_BOT: "we hung up",
    State.TIMEOUT: "its time was over",
    State.NO_ANSWER: "nobody answered",
    State.VOICEMAIL: "an answering machine took it",
}
_DEAF: Final = "nobody hears the caller: see the call's speech.failed events"
_OUTBOUND: Final = (
    ("dialled", 1_000),
    ("accepted", 10_000),
    ("signed", 5_000),
    ("ringing", 15_000),
    ("answered", 60_000),
    ("document", 3_000),
)
_INBOUND: Final = (("signed", 2_000), ("document", 2_000), ("answered", 10_000))
_PAIRED: Final = (
    ("signed", 2_000),
    ("waiting", 2_000),
    ("admitted", 32_000),
    ("document", 5_000),
    ("answered", 10_000),
)
"""A caller whom nobody knew: the document comes with the carrier's next question after the decision."""
_STREAM: Final = (("socket", 3_000), ("start", 3_000), ("caller", 3_000))
_TALK: Final = (
    ("stt", 5_000),
    ("voice", 5_000),
    ("heard", 30_000),
    ("understood", 60_000),
    ("reply", 15_000),
)


_EARLY: Final = frozenset({"stt"})
"""Made ready while the phone still rings: being there says nothing about the rungs before."""


def expected(call: Call) -> tuple[tuple[str, int], ...]:
    """The rungs that a call should climb as it stands now, with their deadlines in ms."""
    chain = _climb(call)
    if call.transferred_to:
        return tuple(rung for rung in chain if rung[0] in call.rungs)  # the caller is not with us: nothing is missed
    if call.floor != "agent":
        return tuple(rung for rung in chain if rung[0] != "reply" or "reply" in call.rungs)  # a person answers
    return chain


def _climb(call: Call) -> tuple[tuple[str, int], ...]:
    head: tuple[tuple[str, int], ...] = _INBOUND if call.direction == "inbound" else _OUTBOUND
    if "waiting" in call.rungs:
        head = _PAIRED
    if call.media == "inline":
        return (*(rung for rung in head if rung[0] != "document"), ("voice", 2_000), ("heard", 300_000))
    if call.media == "native":
        if call.mode == "notify":
            return (*head, ("voice", 5_000), ("heard", 300_000))
        return (*head, ("voice", 5_000), ("heard", 60_000), ("understood", 60_000), ("reply", 15_000))
    if call.mode == "notify":
        return (*head, *_STREAM, ("voice", 5_000), ("heard", 60_000))
    return (*head, *_STREAM, *_TALK)


def ladder(call: Call, now: int) -> tuple[Rung, ...]:
    """The ladder of `call` at `now` (epoch ms). A rung below a reached one counts as passed over, not missing."""
    chain = expected(call)
    reached = [i for i, (name, _) in enumerate(chain) if name in call.rungs and name not in _EARLY]
    top = reached[-1] if reached else -1
    previous = call.rungs.get(chain[top][0], call.started_at) if top >= 0 else call.started_at
    rungs: list[Rung] = []
    found = False
    for index, (name, deadline) in enumerate(chain):
        at = call.rungs.get(name)
        if name == "stt" and call.deaf and call.live and not found:
            found = True
            rungs.append(Rung(name, "missing", None, deadline, _DEAF))
        elif at is not None or index < top:
            rungs.append(Rung(name, "done", at, deadline))
        elif not found:
            found = True
            late = call.state.terminal or now - previous > deadline
            rungs.append(Rung(name, "missing" if late else "waiting", None, deadline, _why(call, name, late)))
        else:
            rungs.append(Rung(name, "open", None, deadline))
    return tuple(rungs)


def first_missing(call: Call, now: int) -> Rung | None:
    """The rung where a live call hangs, if it does."""
    return next((rung for rung in ladder(call, now) if rung.state == "missing"), None)


def _why(call: Call, name: str, late: bool) -> str:
    if not late:
        return ""
    if call.refused:
        return f"the caller was refused: {call.refused}"
    if call.state.terminal and call.state is not State.COMPLETED:
        return f"the call ended first ({_ENDED.get(call.state, call.state.value)})"
    if call.state.terminal:
        return "the call ended first"
    return usual_why(call, name)


def usual_why(call: Call, name: str) -> str:
    """Why a rung is missing when nothing else is known."""
    return _WHY[name] if call.media == "stream" else _WHY_BY_CARRIER.get(name, _WHY[name])
