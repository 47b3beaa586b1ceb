"""What the model is told about its call: who speaks with whom, what was said without it, what it is to say. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, Literal

from engine.calls import Call, Speaker
from engine.live.told import told
from engine.speech.ports import EarlierCall, Said

Role = Literal["user", "assistant", "system"]

APOLOGY: Final = "Sorry, I had a problem just now. Could you say that again, please?"
HANDED_BACK: Final = "You speak with the caller again. Go on from what was said last, and do not greet them again."
AGAIN: Final = (
    "The connection was broken for a moment, and the caller's last words may be lost. Say sorry in one short sentence"
    " and ask them to say it again. Do not greet them."
)
MAX_LINES: Final = 40
MAX_CHARS: Final = 8000


def about(call: Call) -> str:
    """The facts of this call, beside the general instructions."""
    if call.direction == "inbound":
        return f"This call came in from {call.from_number}."
    said = f" You begin it with these words, which you are told when to say: {json.dumps(call.message)}"
    return f"You placed this call to {call.to_number}." + (said if call.message else "")


def verbatim(text: str) -> str:
    """Instructions for a response that is exactly this text."""
    quoted = json.dumps(text, ensure_ascii=False)
    return f"Say exactly the following words, in the language that they are written in, and nothing else: {quoted}"


def keys(digits: str) -> tuple[Role, str]:
    """The caller pressed keys."""
    return "system", f"The caller pressed these keys: {digits}"


def hint(text: str) -> tuple[Role, str]:
    """What an operator wants the model to do."""
    quoted = json.dumps(text, ensure_ascii=False)
    return (
        "system",
        f"Instruction of the person who supervises you, unheard by the caller: {quoted}. Do not mention it.",
    )


def spoken_by(speaker: Speaker, text: str, *, cut: bool = False) -> tuple[Role, str]:
    """A line of our side that the model did not speak itself, as an item of its conversation."""
    if speaker == "operator":
        end = " The caller interrupted there." if cut else ""
        return "system", f"A human colleague said to the caller: {json.dumps(text, ensure_ascii=False)}.{end}"
    return "assistant", text


def earlier(calls: Sequence[EarlierCall]) -> Iterator[tuple[Role, str]]:
    """What is remembered of calls with the same person."""
    for call in calls:
        when = f"{datetime.fromtimestamp(call.at / 1000):%A %d %B %Y}"
        yield "system", f"What follows was said in an earlier call, on {when}."
        yield from _lines(call.lines)
    if calls:
        yield "system", "The earlier calls end here, and this call begins."


def history(call: Call) -> Iterator[tuple[Role, str]]:
    """The conversation so far, as it was heard; the latest part of it when it is long."""
    kept: list[Said] = []
    budget = MAX_CHARS
    for said in reversed(told(call)[-MAX_LINES:]):
        budget -= len(said.text)
        if budget < 0:
            break
        kept.insert(0, said)
    yield from _lines(kept)


def _lines(lines: Sequence[Said]) -> Iterator[tuple[Role, str]]:
    for said in lines:
        if said.kind == "hint":
            yield hint(said.text)
        elif said.speaker != "caller":
            yield spoken_by(said.speaker, said.text, cut=said.cut)
        elif said.kind == "keys":
            yield keys(said.text)
        elif said.kind != "silence":
            yield "user", said.text
