"""The people of Riverside Dental's telephone: patients who call, and people who are called.

Their sentences are everyday English without rare names, chosen so that a small recogniser understands them in these
voices over a telephone line: word errors in the demonstration are then the engine's, not the synthesizer's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any, Final

from engine.simulator.people import Beep, Keys, Line, Manners, Person, Step, person_from_config


def _script(*texts: str) -> tuple[Step, ...]:
    return tuple(Line(text) for text in texts)


_CALLERS: Final = (
    Person(
        "+15550100101",
        "Anna Miller",
        "anna",
        _script(
            "Good morning. I would like to book an appointment for a check-up.",
            "Do you have something free next week?",
            "Then I would like to come on Wednesday morning.",
            "My name is Anna.",
        ),
        goodbye="Thank you, and have a good day. Goodbye.",
    ),
    Person(
        "+15550100102",
        "Tom Baker",
        "tom",
        _script(
            "Hi, I want to change my appointment.",
            "It is on Monday morning at ten o'clock.",
            "I would rather come on Friday afternoon.",
            "That is a very good time for me.",
        ),
        goodbye="Okay, thank you very much. Have a nice day.",
    ),
    Person(
        "+15550100103",
        "Grace Young",
        "grace",
        _script(
            "I would like to know when you are open.",
            "Do you open on Saturday?",
            "Is it close to the train station?",
        ),
    ),
    Person(
        "+15550100104",
        "Henry Cook",
        "henry",
        _script(
            "Good afternoon. I have to cancel ... my appointment on Friday morning.",
            "My name is Henry.",
            "I will call you again ... when I know my plans.",
        ),
        Manners.named("hesitates"),
    ),
    Person(
        "+15550100105",
        "Lucy Green",
        "lucy",
        _script(
            "How much do I have to pay for a check-up?",
            "Do you take credit cards?",
            "Then I would like to come on Wednesday morning.",
            "Nine o'clock in the morning is fine.",
        ),
    ),
    Person(
        "+15550100106",
        "Peter Wood",
        "peter",
        _script(
            "Hello. I have a terrible pain in my tooth since last night.",
            "It hurts when I drink something cold.",
            "Can I speak to a person, please?",
        ),
        Manners.named("interrupts"),
    ),
    Person(
        "+15550100107",
        "Emma Stone",
        "emma",
        _script(
            "Hi, my daughter needs an appointment. It is her first visit.",
            "My daughter is seven years old.",
            "Do you have time for us next week?",
            "That is a very good time for me.",
        ),
    ),
    Person(
        "+15550100108",
        "George Hill",
        "george",
        (
            Line("I want to confirm my appointment for tomorrow."),
            Keys("1"),
            Line("I have pressed the number one. Is it confirmed now?"),
            Keys("42#"),
            Line("No, I do not have any more questions."),
        ),
    ),
    Person("+15550100109", "A silent caller", "anna", (), Manners.named(["silent", "impatient"])),
    Person(
        "+15550100110",
        "Mary Fox",
        "mary",
        _script(
            "Can I leave my car in front of your office?",
            "I am calling from the train, and I think that we will be cut off in a moment.",
        ),
        Manners.named("hangs-up-mid-word"),
    ),
    Person(
        "+15550100111",
        "Frank Shaw",
        "frank",
        _script(
            "Good morning, I am looking for your office.",
            "Can you tell me how to get there?",
            "I would like to see the dentist this week.",
            "Thursday afternoon would be the best time for me.",
        ),
        Manners.named("patient"),
    ),
    Person(
        "+15550100112",
        "Alice Reed",
        "alice",
        _script(
            "I have a question about my appointment.",
            "How long does it take?",
            "Wonderful. I will think about it.",
        ),
    ),
)

_CALLED: Final = (
    Person(
        "+15550100151",
        "Daniel White",
        "daniel",
        _script("I understand. That is fine with me.", "No, I do not have any more questions."),
        calls_us=False,
    ),
    Person(
        "+15550100152",
        "Sarah King",
        "sarah",
        _script(
            "I remember my appointment.",
            "I can not come on Monday. Can we make it Friday?",
            "That is a very good time for me.",
        ),
        calls_us=False,
    ),
    Person(
        "+15550100153",
        "James Hall",
        "james",
        _script("I had forgotten about it.", "I remember my appointment ... and I will be there on time."),
        Manners.named("hesitates"),
        calls_us=False,
    ),
    Person(
        "+15550100154",
        "An answering machine",
        "anna",
        (Line("This is an answering machine. You can leave your message after the tone."), Beep()),
        Manners.named("voicemail"),
        calls_us=False,
    ),
    Person("+15550100155", "A busy line", "tom", (), Manners.named("busy"), calls_us=False),
    Person("+15550100156", "Nobody at home", "tom", (), Manners.named("never-answers"), calls_us=False),
    Person(
        "+15550100157",
        "Ruth Long",
        "ruth",
        _script(
            "I am driving my car at the moment, and I can not talk to you, so please call me again in the evening"
        ),
        Manners.named("hangs-up-mid-word", Manners(hangs_up_at=0)),
        calls_us=False,
    ),
    Person(
        "+15550100158",
        "Oliver Ward",
        "oliver",
        _script("What is this call about?", "I understand. That is fine with me."),
        Manners.named("interrupts"),
        calls_us=False,
    ),
    Person(
        "+15550100190",
        "A talker",
        "anna",
        _script(
            "I have to buy some bread and some milk on my way home from work.",
            "We went to the lake on Sunday, and the children were very happy.",
            "The weather is very nice today, and I am going to sit in the garden all afternoon.",
            "I am looking for a new dentist.",
        ),
        Manners.named("talker"),
        calls_us=False,
    ),
    Person("+15550100191", "A sink", "tom", (), Manners.named("sink"), calls_us=False),
)

CAST: Final = (*_CALLERS, *_CALLED)


class Cast:
    """The people of one simulator: the cast above, with the configuration's changes and additions."""

    def __init__(self, callers: Iterable[Mapping[str, Any]] = ()) -> None:
        self._people = {person.number: person for person in CAST}
        self.add(callers)

    def add(self, callers: Iterable[Mapping[str, Any]]) -> None:
        """Take over `mock.callers` entries. Raises ValueError and then changes nothing."""
        people = dict(self._people)
        for value in callers:
            number = str(value.get("number", ""))
            people[number] = person_from_config(value, people.get(number))
        self._people = people

    def everybody(self) -> Sequence[Person]:
        return tuple(self._people.values())

    def callers(self) -> Sequence[Person]:
        """Those who call in, in the order in which they take their turns."""
        return tuple(person for person in self._people.values() if person.calls_us)

    def find(self, name_or_number: str) -> Person | None:
        """Somebody by number or by name (case does not matter)."""
        if name_or_number in self._people:
            return self._people[name_or_number]
        wanted = name_or_number.casefold()
        return next((person for person in self._people.values() if person.name.casefold() == wanted), None)

    def at(self, number: str, rng: Random) -> Person:
        """Who answers at `number`: for a number that is nobody's, one of the polite people who can be called."""
        if number in self._people:
            return self._people[number]
        polite = [p for p in self._people.values() if not p.calls_us and p.script and p.manners == Manners()]
        return rng.choice(polite or list(self._people.values()))
