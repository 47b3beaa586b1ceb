from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.simulator.behaviour import (
    HANGOVER_MS,
    MACHINE_SILENCE_MS,
    SILENT_LIMIT_MS,
    Act,
    Behaviour,
    Leave,
    Phase,
    Press,
    Speak,
    Tone,
)
from engine.simulator.people import ARE_YOU_THERE, GIVE_UP, MANNERS, Beep, Keys, Line, Manners, Person, Step

VOICE_DB, QUIET_DB = -20.0, -90.0
LINE_MS = 1000
PERSON = Person("+15550100199", "Test", "anna", (Line("First."), Line("Second.")))


def person(*script: Step, manners: str | list[str] | None = None, **fields: Any) -> Person:
    return replace(PERSON, script=script or PERSON.script, manners=Manners.named(manners), **fields)


@dataclass
class Room:
    """A virtual clock around one person: every line takes a second, and the agent speaks when told."""

    behaviour: Behaviour
    now: int = 0
    acts: list[tuple[int, Act]] = field(default_factory=list)
    mouth_until: int = 0

    def tick(self, agent: bool) -> list[Act]:
        self.now += 20
        acts = list(
            self.behaviour.step(self.now, VOICE_DB if agent else QUIET_DB, mouth_busy=self.now < self.mouth_until)
        )
        for act in acts:
            self.acts.append((self.now, act))
            if isinstance(act, Speak):
                self.mouth_until = self.now + int(LINE_MS * act.until)
        return acts

    def agent_says(self, ms: int) -> None:
        for _ in range(ms // 20):
            self.tick(agent=True)

    def quiet(self, ms: int) -> None:
        for _ in range(ms // 20):
            self.tick(agent=False)

    def until_said(self, count: int, limit_ms: int = 60_000) -> None:
        start = self.now
        while len(self.said) < count:
            assert self.now - start < limit_ms, f"only said {self.said}"
            self.tick(agent=False)
        while self.now <= self.mouth_until:
            self.tick(agent=False)

    @property
    def said(self) -> list[str]:
        return [" ".join(act.parts) for _, act in self.acts if isinstance(act, Speak)]

    @property
    def gone(self) -> bool:
        return any(isinstance(act, Leave) for _, act in self.acts)


def room(who: Person, called: bool = False, seed: int = 1) -> Room:
    return Room(Behaviour(who, Random(seed), called))


def test_a_caller_waits_for_the_greeting_and_speaks_after_its_end_and_a_thought() -> None:
    scene = room(PERSON)
    scene.agent_says(2000)
    assert scene.said == []
    scene.quiet(HANGOVER_MS - 100)
    assert scene.said == []
    scene.until_said(1)
    spoke_at = scene.acts[0][0]
    low, high = PERSON.manners.think_ms
    assert 2000 + HANGOVER_MS + low <= spoke_at <= 2000 + HANGOVER_MS + high + 60


def test_a_pause_between_two_sentences_of_ours_does_not_make_them_talk() -> None:
    scene = room(PERSON)
    for _ in range(3):
        scene.agent_says(1000)
        scene.quiet(700)
    assert scene.said == []


def test_if_we_talk_on_while_they_think_they_keep_their_line_for_later() -> None:
    scene = room(PERSON)
    scene.agent_says(1000)
    while scene.behaviour.phase is not Phase.THINKING:
        scene.tick(agent=False)
    scene.agent_says(1000)
    assert scene.said == []
    scene.until_said(1)
    assert scene.said == ["First."]


def test_the_whole_script_then_goodbye_then_they_hang_up() -> None:
    scene = room(PERSON)
    for count in (1, 2, 3):
        scene.agent_says(1000)
        scene.until_said(count)
    assert scene.said == ["First.", "Second.", PERSON.goodbye]
    assert not scene.gone
    scene.agent_says(1000)
    scene.quiet(3000)
    assert scene.gone and isinstance(scene.acts[-1][1], Leave)


def test_somebody_who_is_called_says_hello_first() -> None:
    scene = room(PERSON, called=True)
    scene.until_said(1)
    assert scene.said == ["Hello?"]
    scene.agent_says(1000)
    scene.until_said(2)
    assert scene.said[-1] == "First."


def test_somebody_who_is_called_skips_the_hello_when_we_speak_first() -> None:
    scene = room(PERSON, called=True)
    scene.agent_says(1500)
    scene.until_said(1)
    assert scene.said == ["First."]


def test_when_nothing_comes_they_ask_and_in_the_end_give_up() -> None:
    scene = room(PERSON)
    scene.quiet(60_000)
    assert scene.said == [*(line.text for line in ARE_YOU_THERE), GIVE_UP.text]
    assert scene.gone


def test_an_answer_after_asking_resets_their_patience() -> None:
    scene = room(PERSON)
    scene.until_said(1)
    scene.agent_says(1000)
    scene.until_said(2)
    assert scene.said == [ARE_YOU_THERE[0].text, "First."]
    scene.until_said(3)
    assert scene.said[-1] == ARE_YOU_THERE[0].text


def test_the_tail_of_our_cut_line_is_not_taken_for_an_answer() -> None:
    scene = room(person(manners="interrupts"))
    scene.agent_says(1600)  # interrupted at 1500; our voice stops within their line
    assert scene.said == ["First."]
    while scene.now <= scene.mouth_until:
        scene.tick(agent=False)
    scene.quiet(3000)
    assert scene.said == ["First."]


def test_an_interrupter_speaks_over_us_after_a_while() -> None:
    scene = room(person(manners="interrupts"))
    scene.agent_says(5000)
    assert scene.acts[0][0] == pytest.approx(1500, abs=40)


def test_a_hesitant_person_stops_inside_a_line() -> None:
    scene = room(person(Line("I want ... to come."), manners="hesitates"))
    scene.agent_says(1000)
    scene.until_said(1)
    act = scene.acts[0][1]
    assert isinstance(act, Speak)
    low, high = scene.behaviour._manners.hesitate_ms
    assert act.parts == ("I want", "to come.") and low <= act.pauses_ms[0] <= high


def test_somebody_hangs_up_in_the_middle_of_a_word() -> None:
    scene = room(person(manners="hangs-up-mid-word"))
    scene.agent_says(1000)
    scene.until_said(1)
    scene.agent_says(1000)
    scene.until_said(2)
    last = [act for _, act in scene.acts if isinstance(act, Speak)][-1]
    assert 0.4 <= last.until <= 0.7
    scene.quiet(100)
    assert scene.gone


def test_keys_are_pressed_where_the_script_says_so() -> None:
    scene = room(person(Line("Wait."), Keys("42#")))
    scene.agent_says(1000)
    scene.until_said(1)
    scene.agent_says(1000)
    scene.quiet(2500)
    assert Press("42#") in [act for _, act in scene.acts]


def test_a_silent_caller_never_says_a_word_and_leaves_at_last() -> None:
    scene = room(person(manners="silent"))
    scene.agent_says(3000)
    scene.quiet(SILENT_LIMIT_MS)
    assert scene.said == [] and scene.gone


def test_an_answering_machine_does_not_listen_beeps_records_and_hangs_up_after_silence() -> None:
    scene = room(person(Line("Leave a message."), Beep(), manners="voicemail"), called=True)
    scene.agent_says(4000)
    kinds = [type(act) for _, act in scene.acts]
    assert kinds == [Speak, Tone]
    scene.quiet(MACHINE_SILENCE_MS + 100)
    assert scene.gone


def test_a_talker_never_stops_and_a_sink_never_starts() -> None:
    talker, sink = room(person(manners="talker")), room(person(manners="sink"))
    for scene in (talker, sink):
        scene.agent_says(30_000)
        scene.quiet(30_000)
        assert not scene.gone
    assert len(talker.said) > 30 and set(talker.said) == {"First.", "Second."}
    assert sink.said == []


LISTENERS = sorted(set(MANNERS) - {"interrupts", "voicemail", "talker", "sink"})
turns = st.lists(st.tuples(st.booleans(), st.integers(1, 250)), min_size=1, max_size=40)


def frames(pattern: list[tuple[bool, int]]) -> Iterator[bool]:
    for agent, count in pattern:
        yield from (agent for _ in range(count))


def play(
    who: Person, called: bool, seed: int, pattern: list[tuple[bool, int]], check: Callable[[Room], None]
) -> Room:
    scene = room(who, called, seed)
    for agent in frames(pattern):
        scene.tick(agent)
        check(scene)
    return scene


@settings(max_examples=60, deadline=None)
@given(turns, st.sampled_from(LISTENERS), st.booleans(), st.integers(0, 9))
def test_polite_people_never_begin_while_we_speak(
    pattern: list[tuple[bool, int]], manners: str, called: bool, seed: int
) -> None:
    spoken = 0

    def check(scene: Room) -> None:
        nonlocal spoken
        if len(scene.said) > spoken:
            spoken = len(scene.said)
            assert not scene.behaviour._ear.talking

    play(person(manners=manners), called, seed, pattern, check)


@settings(max_examples=40, deadline=None)
@given(turns, st.sampled_from(sorted(MANNERS)), st.booleans(), st.integers(0, 9))
def test_after_hanging_up_nothing_comes_and_the_same_seed_does_the_same(
    pattern: list[tuple[bool, int]], manners: str, called: bool, seed: int
) -> None:
    who = person(Line("One ... two."), Keys("1"), manners=manners)
    first = play(who, called, seed, pattern, lambda _: None)
    again = play(who, called, seed, pattern, lambda _: None)
    assert first.acts == again.acts
    leaves = [index for index, (_, act) in enumerate(first.acts) if isinstance(act, Leave)]
    assert leaves in ([], [len(first.acts) - 1])


@settings(max_examples=30, deadline=None)
@given(turns, st.sampled_from(sorted(set(MANNERS) - {"talker", "sink"})), st.booleans())
def test_left_alone_everybody_hangs_up_in_the_end(
    pattern: list[tuple[bool, int]], manners: str, called: bool
) -> None:
    scene = play(person(manners=manners), called, 1, pattern, lambda _: None)
    scene.quiet(120_000)
    assert scene.gone
