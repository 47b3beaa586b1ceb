"""Speaking with somebody whom we called with a message: acknowledge what they say and end politely.

What the message was about is not known here, so nothing is promised but to pass the answer on.
"""

from __future__ import annotations

from typing import Final

from engine.speech.brains.dialog import PATIENCE, Dialog, Heard, Reply

SHORT_ANSWER_WORDS: Final = 3
"""A yes with more words than this says something by itself."""


def answer(dialog: Dialog, heard: Heard) -> Reply:
    """The reply to one line of the person called."""
    if heard.topic is not None and heard.topic.only == "outbound":
        return _tell(dialog, heard)
    if "goodbye" in heard.cues:
        return _farewell(dialog)
    if "repeat" in heard.cues:
        return _announce(dialog)
    if _only_greets(heard):
        return _greet(dialog, heard)
    if heard.topic is not None and not heard.topic.needs:
        return _tell(dialog, heard)
    return _acknowledge(dialog, heard)


def _only_greets(heard: Heard) -> bool:
    greeting = "hello" in heard.cues or bool(heard.name)
    return greeting and heard.topic is None and not heard.when.day and not heard.cues & {"no", "cannot", "thanks"}


def _greet(dialog: Dialog, heard: Heard) -> Reply:
    """Somebody picks up. Our message comes by itself, unless this greeting cut it off."""
    dialog.name = heard.name or dialog.name
    if not dialog.said_before:
        return Reply("")
    if dialog.said_before[-1].cut:
        return _announce(dialog)
    dialog.question = ""
    return Reply(dialog.text("outbound_greet"))


def _announce(dialog: Dialog) -> Reply:
    dialog.question = ""
    return Reply(dialog.text("outbound_hello"))


def _tell(dialog: Dialog, heard: Heard) -> Reply:
    topic = heard.topic
    assert topic is not None
    text = dialog.text(f"topic.{topic.name}", topic.answers)
    return Reply(text, ends=True, voicemail=topic.voicemail) if topic.ends else _and_more(dialog, text)


def _acknowledge(dialog: Dialog, heard: Heard) -> Reply:
    if dialog.question == "more" and not heard.when.day and "cannot" not in heard.cues:
        if heard.cues & {"no", "enough"} or ("thanks" in heard.cues and "yes" not in heard.cues):
            return _farewell(dialog)
        if "yes" in heard.cues and len(heard.words) <= SHORT_ANSWER_WORDS:
            dialog.question = ""
            return Reply(dialog.text("more"))
    if heard.when.day:
        dialog.day, dialog.time = heard.when.day, heard.when.time
        return _and_more(dialog, dialog.text("outbound_when"))
    if heard.cues & {"no", "cannot"}:
        dialog.misses = 0
        return _and_more(dialog, dialog.text("outbound_no"))
    if heard.cues & {"yes", "thanks"}:
        dialog.misses = 0
        return _and_more(dialog, dialog.text("outbound_yes"))
    return _note(dialog)


def _note(dialog: Dialog) -> Reply:
    """Not understood, but noted; somebody who says so a third time in a row is let go."""
    dialog.misses += 1
    if dialog.misses > PATIENCE:
        return _farewell(dialog)
    return _and_more(dialog, dialog.text("outbound_noted"))


def _farewell(dialog: Dialog) -> Reply:
    return Reply(dialog.text("outbound_farewell"), ends=True)


def _and_more(dialog: Dialog, text: str) -> Reply:
    dialog.question = "more"
    return Reply(f"{text} {dialog.text('outbound_more')}".strip())
