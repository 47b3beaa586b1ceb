"""The people of Riverside Dental's telephone: patients who call, and people who are called.

Their sentences are everyday English without rare names, so that a small recogniser has a fair chance.
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
            "Would next Tuesday in the afternoon be possible?",
            "Three o'clock is perfect. My name is Anna Miller.",
            "No, that is everything.",
        ),
    ),
    Person(
        "+15550100102",
        "Tom Baker",
        "tom",
        _script(
            "Hi, I need to move my appointment to another day.",
            "It is on Monday at ten in the morning. Could I come on Thursday?",
            "Yes, that works for me.",
        ),
        goodbye="Great, thanks a lot. Bye bye.",
    ),
    Person(
        "+15550100103",
        "Grace Young",
        "grace",
        _script(
            "Hello, what are your opening hours?",
            "Are you open on Saturday as well?",
            "And where are you? I will come by car.",
        ),
    ),
    Person(
        "+15550100104",
        "Henry Cook",
        "henry",
        _script(
            "Good afternoon. I am afraid I have to cancel my appointment ... on Friday morning.",
            "My name is Henry Cook.",
            "I will call again ... when I know my plans.",
        ),
        Manners.named("hesitates"),
    ),
    Person(
        "+15550100105",
        "Lucy Green",
        "lucy",
        _script(
            "Hello, how much does a check-up cost?",
            "Is the cleaning included in the price?",
            "All right. Then please book me in for Wednesday morning.",
            "Nine o'clock is fine.",
        ),
    ),
    Person(
        "+15550100106",
        "Peter Wood",
        "peter",
        _script(
            "Hello. I have had a bad toothache since yesterday.",
            "Can I please speak to a person?",
            "It hurts a lot when I drink something cold.",
        ),
        Manners.named("interrupts"),
        goodbye="Okay, thank you. Goodbye.",
    ),
    Person(
        "+15550100107",
        "Emma Stone",
        "emma",
        _script(
            "Hi, I want to bring my daughter for her first visit. What do I need to know?",
            "She is six years old.",
            "Do you have time for us next week?",
            "Monday at four would be good.",
            "Yes, please.",
        ),
    ),
    Person(
        "+15550100108",
        "George Hill",
        "george",
        (
            Line("Hello, I would like to confirm my appointment for tomorrow."),
            Keys("1"),
            Line("I have pressed one. Is it confirmed now?"),
            Keys("42#"),
        ),
    ),
    Person("+15550100109", "A silent caller", "anna", (), Manners.named(["silent", "impatient"])),
    Person(
        "+15550100110",
        "Mary Fox",
        "mary",
        _script(
            "Hello, do you have parking at the practice?",
            "I am calling from the train and the connection is very bad, so I may be gone any second.",
        ),
        Manners.named("hangs-up-mid-word"),
    ),
    Person(
        "+15550100111",
        "Frank Shaw",
        "frank",
        _script(
            "Good morning, where is the practice, please?",
            "Is that near the station?",
            "Good. I would like to see the dentist this week.",
            "Thursday would be best for me.",
            "Thank you, that is all I wanted.",
        ),
        Manners.named("patient"),
        goodbye="Goodbye.",
    ),
    Person(
        "+15550100112",
        "Alice Reed",
        "alice",
        _script(
            "Hello, can I pay with a credit card?",
            "And how long does a normal visit take?",
            "Wonderful. I will think about it.",
        ),
    ),
)

_CALLED: Final = (
    Person(
        "+15550100151",
        "Daniel White",
        "daniel",
        _script("Yes, this is Daniel speaking.", "Yes, that time is fine with me.", "No, I have no more questions."),
        calls_us=False,
    ),
    Person(
        "+15550100152",
        "Sarah King",
        "sarah",
        _script(
            "Yes, I remember the appointment.",
            "I am sorry, I can not come on that day. Is Friday possible?",
            "Friday at eleven is good.",
        ),
        calls_us=False,
        opening="Hello, Sarah speaking.",
    ),
    Person(
        "+15550100153",
        "James Hall",
        "james",
        _script("Oh, thank you for the call ... I had forgotten about it.", "Yes, I will be there on time."),
        Manners.named("hesitates"),
        calls_us=False,
        opening="Yes, hello?",
    ),
    Person(
        "+15550100154",
        "An answering machine",
        "grace",
        (Line("Hello. I can not come to the phone right now. Please leave a message after the tone."), Beep()),
        Manners.named("voicemail"),
        calls_us=False,
    ),
    Person("+15550100155", "A busy line", "tom", (), Manners.named("busy"), calls_us=False),
    Person("+15550100156", "Nobody at home", "tom", (), Manners.named("never-answers"), calls_us=False),
    Person(
        "+15550100157",
        "Ruth Long",
        "ruth",
        _script("I am busy at the moment, sorry, so could you please call me again", "Hello?"),
        Manners.named("hangs-up-mid-word", Manners(hangs_up_at=0)),
        calls_us=False,
    ),
    Person(
        "+15550100158",
        "Oliver Ward",
        "oliver",
        _script("Wait, who is calling, please?", "All right, now I understand. Yes, that is fine."),
        Manners.named("interrupts"),
        calls_us=False,
    ),
    Person(
        "+15550100190",
        "A talker",
        "henry",
        _script(
            "The weather has been lovely this week, and we have spent every evening in the garden.",
            "My neighbour has a new dog, and it barks whenever somebody walks past the house.",
            "On Sunday we went to the lake, and the children were in the water all day long.",
            "I have to buy bread and milk on the way home, and I must not forget the newspaper.",
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
