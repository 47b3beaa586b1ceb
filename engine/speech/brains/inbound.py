"""Answering somebody who calls in: find out what they want, ask for what is missing, tell what is known."""

from __future__ import annotations

from engine.speech.brains.dialog import NAME_TRIES, PATIENCE, SWITCH, Dialog, Heard, Reply
from engine.speech.brains.script_file import Topic
from engine.speech.brains.when import TimeOfDay, find_when


def answer(dialog: Dialog, heard: Heard) -> Reply:
    """The reply to one line of the caller."""
    if "goodbye" in heard.cues:
        booked = dialog.goal is not None and dialog.day and dialog.time
        return Reply(dialog.text("farewell_open" if booked else "farewell"), ends=True)
    if "repeat" in heard.cues and not heard.topic:
        return _repeat(dialog)
    reply = _understood(dialog, heard)
    if reply is None:
        return _missed(dialog)
    dialog.misses = 0
    return reply


def _understood(dialog: Dialog, heard: Heard) -> Reply | None:
    topic = _chosen_topic(dialog, heard)
    if dialog.question == "more" and topic is None and not heard.when.day:
        if heard.cues & {"no", "enough"}:
            return Reply(dialog.text("farewell"), ends=True)
        if "yes" in heard.cues:
            dialog.question = ""
            return Reply(dialog.text("more"))
    if topic is not None and not topic.needs:
        return _tell(dialog, heard, topic)
    if topic is not None:
        return _begin(dialog, heard, topic)
    if dialog.goal is not None and _absorb(dialog, heard):
        return Reply(_next(dialog))
    if dialog.goal is None and (heard.when.day or heard.when.week):
        appointment = next((topic for topic in dialog.script.topics if "day" in topic.needs), None)
        return _begin(dialog, heard, appointment) if appointment else None
    return _small_talk(dialog, heard)


def _chosen_topic(dialog: Dialog, heard: Heard) -> Topic | None:
    """What the caller speaks of, unless it is what we are at already, or too vague to leave that for."""
    topic = heard.topic
    if topic is None or dialog.goal is None:
        return topic
    if topic is dialog.goal or (topic.needs and heard.topic_score < SWITCH):
        return None
    return topic


def _small_talk(dialog: Dialog, heard: Heard) -> Reply | None:
    if heard.name and not dialog.name:
        dialog.name = heard.name
    if "thanks" in heard.cues:
        return Reply(_and_more(dialog, dialog.text("welcome")))
    if "hello" in heard.cues or heard.name:
        return Reply(_and_ask(dialog, dialog.text("hello")) if dialog.goal else dialog.text("hello"))
    if dialog.question == "" and "yes" in heard.cues:
        return Reply(dialog.text("more"))
    if dialog.question == "" and "no" in heard.cues:
        return Reply(_and_more(dialog, ""))
    return None


def _tell(dialog: Dialog, heard: Heard, topic: Topic) -> Reply:
    """Answer a question, then go on where we were."""
    when = heard.when
    if dialog.goal is None and when.day:
        dialog.day = when.day
    text = dialog.text(f"topic.{topic.name}", topic.answers)
    if topic.ends:
        return Reply(text, ends=True)
    return Reply(_and_ask(dialog, text) if dialog.goal else _and_more(dialog, text))


def _begin(dialog: Dialog, heard: Heard, topic: Topic) -> Reply:
    """Start on a topic that takes more than an answer."""
    dialog.goal = topic
    dialog.day = dialog.weekday = dialog.week = dialog.part = ""
    dialog.time = dialog.offer = None
    dialog.agreed = dialog.declined = False
    dialog.name_tries = 0
    dialog.question = ""
    opening = dialog.text(f"topic.{topic.name}", topic.answers) if topic.answers else ""
    _absorb(dialog, heard)
    return Reply(f"{opening} {_next(dialog)}".strip())


def _absorb(dialog: Dialog, heard: Heard) -> bool:
    """Take over everything that the line tells about the goal. False: it told nothing."""
    when, told = heard.when, False
    if dialog.question in ("offer", "check") and not (when.day or when.time):
        told = _settle(dialog, heard)
    if when.day and when.day != dialog.day:
        dialog.day, dialog.weekday = when.day, when.weekday
        dialog.offer, dialog.agreed, told = None, False, True
        if not when.time:
            dialog.time = None
    if when.time:
        if dialog.offer and not dialog.day:
            dialog.day = dialog.offer[0]
        dialog.time, dialog.offer, told = when.time, None, True
        dialog.agreed = dialog.question in ("offer", "time")
    if when.part and not when.time:
        dialog.part, dialog.offer, told = when.part, None, True
    if when.week and not dialog.day:
        dialog.week, told = when.week, True
    if heard.name:
        dialog.name, told = heard.name, True
    if dialog.question == "name" and not told:
        told = _without_name(dialog, heard)
    return told or (when.day != "" and when.day == dialog.day)


def _settle(dialog: Dialog, heard: Heard) -> bool:
    """Yes or no to what we proposed."""
    if heard.cues & {"no", "cannot"}:
        dialog.offer, dialog.time, dialog.declined = None, None, True
        return True
    if heard.cues & {"yes", "thanks", "enough"}:
        if dialog.offer:
            dialog.day, dialog.time = dialog.offer
        dialog.offer, dialog.agreed = None, True
        return True
    return False


def _without_name(dialog: Dialog, heard: Heard) -> bool:
    """Asked for a name, the caller gave none. After two questions the telephone number has to do."""
    if heard.cues & {"no", "cannot"}:
        dialog.name_tries = NAME_TRIES
    return bool(heard.cues & {"yes", "no", "cannot"}) or dialog.name_tries >= NAME_TRIES


def _next(dialog: Dialog) -> str:
    """The next question about the goal or, when nothing is missing, that it is done."""
    goal = dialog.goal
    if goal is None:
        return _and_more(dialog, "")
    if "day" in goal.needs and (question := _about_day(dialog, goal)):
        return question
    if "time" in goal.needs and (question := _about_time(dialog, goal)):
        return question
    if "name" in goal.needs and not dialog.name and dialog.name_tries < NAME_TRIES:
        dialog.name_tries += 1
        dialog.question = "name"
        return dialog.text("ask_name", goal.ask.get("name"))
    done = dialog.text(f"done.{goal.name}", goal.done)
    dialog.goal = None
    return _and_more(dialog, done)


def _about_day(dialog: Dialog, goal: Topic) -> str:
    if dialog.weekday in dialog.script.hours.closed and "time" in goal.needs:
        text = dialog.text("closed")
        dialog.day = dialog.weekday = ""
        dialog.question = "day"
        return text
    if dialog.day:
        return ""
    if dialog.week and not dialog.declined and "time" in goal.needs:
        return _propose(dialog, dialog.script.offers.day, "offer_week")
    dialog.question = "day"
    return dialog.text("ask_day", goal.ask.get("day"))


def _about_time(dialog: Dialog, goal: Topic) -> str:
    hours = dialog.script.hours
    if dialog.time is not None and not hours.opens <= dialog.time.hour < hours.closes:
        text = dialog.text("outside")
        dialog.time = None
        dialog.question = "time"
        return text
    if dialog.time is None:
        if not dialog.declined:
            return _propose(dialog, dialog.day, "offer_time")
        dialog.question = "time"
        return dialog.text("ask_time", goal.ask.get("time"))
    if not dialog.agreed and not dialog.name:
        dialog.question = "check"
        return dialog.text("check")
    return ""


def _propose(dialog: Dialog, day: str, key: str) -> str:
    offers = dialog.script.offers
    time = find_when(getattr(offers, dialog.part or "morning"), asked=True).time or TimeOfDay(10)
    dialog.offer = (day, time)
    dialog.question = "offer"
    return dialog.text(key)


def _and_ask(dialog: Dialog, text: str) -> str:
    return f"{text} {_next(dialog)}".strip()


def _and_more(dialog: Dialog, text: str) -> str:
    dialog.question = "more"
    return f"{text} {dialog.text('anything_else')}".strip()


def _repeat(dialog: Dialog) -> Reply:
    ours = " ".join(line.text for line in dialog.said_before)
    return Reply(ours or dialog.text("repeat_nothing"))


def _missed(dialog: Dialog) -> Reply:
    """Ask again, at most twice in a row; then offer what always works, then let go."""
    dialog.misses += 1
    if dialog.misses > PATIENCE + 1:
        return Reply(dialog.text("farewell"), ends=True)
    if dialog.misses > PATIENCE:
        dialog.goal = None
        return Reply(_and_more(dialog, dialog.text("give_up")))
    text = dialog.text("not_understood")
    return Reply(_and_ask(dialog, text) if dialog.goal is not None else text)
