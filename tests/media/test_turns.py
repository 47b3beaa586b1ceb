"""Turns begin, interrupt and end when they should, and never in another order."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.media.audio import FRAME_MS
from engine.media.phrases import breaks_off, is_backchannel, is_echo, sounds_finished, words
from engine.media.turns import BargeIn, EndOfTurn, FalseStart, SpeechStarted, TurnEvent, TurnSettings, TurnTaker
from engine.media.vad import Gate, GateFrame
from tests.media import sounds
from tests.media.sounds import Samples, frames

VOICE = GateFrame(open=True, voiced=True, level_db=-25.0, floor_db=-60.0)
PAUSE = GateFrame(open=True, voiced=False, level_db=-60.0, floor_db=-60.0)
QUIET = GateFrame(open=False, voiced=False, level_db=-60.0, floor_db=-60.0)


class Line:
    """A turn taker on a clock of its own, fed frame by frame."""

    def __init__(self, settings: TurnSettings | None = None) -> None:
        self.turns = TurnTaker(settings)
        self.now = 10_000
        self.we_speak = False
        self.events: list[TurnEvent] = []

    def hear(self, frame: GateFrame, ms: int) -> Line:
        for _ in range(ms // FRAME_MS):
            self.now += FRAME_MS
            self.events += self.turns.frame(frame, self.now, self.we_speak)
        return self

    def voice(self, ms: int) -> Line:
        return self.hear(VOICE, ms)

    def quiet(self, ms: int) -> Line:
        return self.hear(QUIET, ms)

    def partial(self, text: str) -> Line:
        self.turns.partial(text, self.now)
        return self

    def confirm(self, probability: float) -> Line:
        self.turns.confirmed(probability, self.now)
        return self

    def kinds(self) -> list[type[TurnEvent]]:
        return [type(event) for event in self.events]


def overlapped() -> Line:
    """A line on which our voice has been playing for a second."""
    line = Line()
    line.we_speak = True
    return line.quiet(1000)


def test_a_turn_starts_with_speech_and_ends_after_the_silence() -> None:
    line = Line().quiet(500).voice(1000).quiet(1000)
    assert line.events == [
        SpeechStarted(at_ms=10_580, voiced_from_ms=10_500),
        EndOfTurn(voiced_until_ms=11_500, at_ms=12_300, voiced_from_ms=10_500),
    ]


def test_a_pause_shorter_than_the_silence_does_not_end_the_turn() -> None:
    line = Line().voice(600).quiet(700).voice(600).quiet(780)
    assert line.kinds() == [SpeechStarted]
    assert line.turns.caller_speaks
    assert line.quiet(20).kinds() == [SpeechStarted, EndOfTurn]
    assert not line.turns.caller_speaks


def test_the_configured_silence_is_kept() -> None:
    line = Line(TurnSettings(silence_ms=300)).voice(600).quiet(300)
    assert line.events[-1] == EndOfTurn(10_600, 10_900, 10_000)


def test_a_finished_sentence_ends_the_turn_sooner() -> None:
    line = Line(TurnSettings(complete_ms=500)).voice(900).quiet(200).partial("On Thursday at three.").quiet(300)
    assert line.events[-1] == EndOfTurn(10_900, 11_400, 10_000)


@pytest.mark.parametrize("text", ["On Thursday", ""])
def test_words_that_say_nothing_about_the_end_get_the_usual_silence(text: str) -> None:
    line = Line().voice(900).quiet(200).partial(text).quiet(580)
    assert line.kinds() == [SpeechStarted]
    assert line.quiet(20).kinds() == [SpeechStarted, EndOfTurn]


@pytest.mark.parametrize("text", ["On Thursday at", "On Thursday and.", "Well...", "My number is 5, 5, 5."])
def test_a_sentence_that_breaks_off_gets_more_silence(text: str) -> None:
    line = Line().voice(900).quiet(200).partial(text).quiet(1280)
    assert line.kinds() == [SpeechStarted]
    assert line.quiet(20).kinds() == [SpeechStarted, EndOfTurn]


def test_a_longer_silence_setting_is_never_shortened_by_a_sentence_that_breaks_off() -> None:
    line = Line(TurnSettings(silence_ms=2000)).voice(900).partial("On Thursday and").quiet(1980)
    assert line.kinds() == [SpeechStarted]


def test_a_recogniser_that_knows_the_end_of_a_turn_is_believed_sooner() -> None:
    line = Line().voice(900).quiet(200)
    line.turns.endpoint(line.now)
    assert line.quiet(180).kinds() == [SpeechStarted]
    assert line.quiet(20).events[-1] == EndOfTurn(10_900, 11_300, 10_000)


def test_sound_after_the_recognisers_end_of_a_turn_takes_it_back() -> None:
    line = Line().voice(900).quiet(200)
    line.turns.endpoint(line.now)
    assert line.voice(100).quiet(780).kinds() == [SpeechStarted]


def test_our_own_voice_coming_back_neither_interrupts_nor_is_a_turn() -> None:
    line = overlapped().voice(320).confirm(0.99)
    line.turns.echo(320)
    line.voice(160).confirm(0.99)
    line.turns.echo(160)
    line.we_speak = False
    assert line.quiet(1000).events[1:] == [FalseStart(at_ms=12_280, voiced_until_ms=11_480)]


def test_a_caller_who_talks_over_the_echo_interrupts() -> None:
    line = overlapped().voice(320)
    line.turns.echo(320)
    assert line.voice(200).confirm(0.9).voice(300).kinds() == [SpeechStarted, BargeIn]


def test_barging_in_can_be_turned_off() -> None:
    line = Line(TurnSettings(barge_in=False))
    line.we_speak = True
    line.quiet(1000).voice(400).confirm(0.9).partial("Stop, stop, stop it").voice(2000)
    assert line.kinds() == [SpeechStarted]


def test_a_text_older_than_the_last_sound_does_not_shorten_the_wait() -> None:
    line = Line().voice(500).partial("Good morning.").voice(500).quiet(780)
    assert line.kinds() == [SpeechStarted]


def test_a_short_silence_setting_is_never_lengthened_by_a_finished_sentence() -> None:
    line = Line(TurnSettings(silence_ms=200)).voice(500).partial("Good morning.").quiet(200)
    assert line.kinds() == [SpeechStarted, EndOfTurn]


def test_a_click_is_nothing() -> None:
    assert Line().voice(40).quiet(1000).voice(40).quiet(1000).events == []


def test_clicks_do_not_keep_a_turn_alive() -> None:
    line = Line().voice(600)
    for _ in range(4):
        line.quiet(180).voice(20)
    assert EndOfTurn in line.kinds()


def test_a_noise_that_the_second_opinion_denies_is_a_false_start() -> None:
    line = Line().voice(400).confirm(0.1).quiet(800)
    assert line.events == [SpeechStarted(10_080, 10_000), FalseStart(11_200, 10_400)]


def test_words_outweigh_a_second_opinion() -> None:
    assert Line().voice(400).confirm(0.1).partial("Hello").quiet(800).kinds() == [SpeechStarted, EndOfTurn]


def test_a_short_word_without_any_second_opinion_is_a_turn() -> None:
    assert Line().voice(120).quiet(800).kinds() == [SpeechStarted, EndOfTurn]


def test_sustained_confirmed_speech_over_our_voice_is_a_barge_in() -> None:
    line = overlapped().voice(300).confirm(0.9).voice(500)
    assert line.kinds() == [SpeechStarted, BargeIn]
    assert line.events[-1] == BargeIn(at_ms=11_700, voiced_from_ms=11_000, voiced_until_ms=11_700)


def test_words_make_a_barge_in_sooner() -> None:
    line = overlapped().voice(300).partial("No").voice(280)
    assert line.kinds() == [SpeechStarted]
    assert line.voice(20).events[-1] == BargeIn(at_ms=11_600, voiced_from_ms=11_000, voiced_until_ms=11_600)
    assert overlapped().voice(320).partial("No, not Monday").voice(20).kinds() == [SpeechStarted, BargeIn]


def test_a_guess_at_the_first_tenths_of_a_second_is_no_word() -> None:
    line = overlapped().voice(120).partial("Stop it now").voice(120)
    assert line.kinds() == [SpeechStarted]


def test_a_room_full_of_talk_does_not_interrupt_and_whoever_is_louder_does() -> None:
    babble = GateFrame(open=True, voiced=True, level_db=-36.0, floor_db=-50.0)
    line = Line().hear(babble, 2000)
    line.we_speak = True
    line.hear(babble, 400).confirm(0.9).partial("and then they said").hear(babble, 2000)
    assert line.kinds() == [SpeechStarted]
    assert line.voice(720).kinds() == [SpeechStarted, BargeIn]


def test_a_sound_far_below_the_callers_own_voice_does_not_interrupt() -> None:
    line = Line().voice(900).partial("On Thursday at three.").quiet(3000)
    line.we_speak = True
    television = GateFrame(open=True, voiced=True, level_db=-43.0, floor_db=-60.0)
    line.hear(television, 1000).confirm(0.9).partial("in other news").hear(television, 500)
    assert BargeIn not in line.kinds()


def test_a_voice_behind_the_caller_does_not_keep_their_turn_open() -> None:
    behind = GateFrame(open=True, voiced=True, level_db=-43.0, floor_db=-60.0)
    assert Line().voice(900).hear(behind, 800).kinds() == [SpeechStarted, EndOfTurn]


def test_a_whisper_below_the_set_level_does_not_interrupt() -> None:
    whisper = GateFrame(open=True, voiced=True, level_db=-48.0, floor_db=-65.0)
    assert overlapped().hear(whisper, 2000).kinds() == [SpeechStarted]
    line = Line(TurnSettings(barge_in_level_db=-55))
    line.we_speak = True
    assert line.quiet(1000).hear(whisper, 2000).kinds() == [SpeechStarted, BargeIn]


def test_a_barge_in_comes_once_while_our_voice_plays_and_the_turn_goes_on() -> None:
    line = overlapped().voice(200).confirm(0.9).voice(1500)
    line.we_speak = False
    line.voice(500).quiet(800)
    assert line.kinds() == [SpeechStarted, BargeIn, EndOfTurn]


def test_a_second_line_of_ours_can_be_interrupted_in_the_same_turn() -> None:
    line = overlapped().voice(200).confirm(0.9).voice(500)
    line.we_speak = False
    line.voice(100)
    line.we_speak = True
    line.voice(200).confirm(0.9).voice(500)
    assert line.kinds() == [SpeechStarted, BargeIn, BargeIn]


def test_a_cough_over_our_voice_is_not_a_barge_in() -> None:
    """Pain C1."""
    line = overlapped().voice(100).confirm(0.2).quiet(800)
    assert line.events[1:] == [FalseStart(at_ms=11_900, voiced_until_ms=11_100)]


def test_an_uh_huh_over_our_voice_is_a_backchannel() -> None:
    line = overlapped().voice(420).confirm(0.95).quiet(200).partial("Uh-huh.").quiet(800)
    assert line.kinds() == [SpeechStarted, FalseStart]
    assert line.events[-1] == FalseStart(12_140, 11_420, backchannel=True)


def test_a_short_word_that_means_something_is_a_barge_in_as_soon_as_it_is_read() -> None:
    line = overlapped().voice(260).confirm(0.9).quiet(240)
    assert line.kinds() == [SpeechStarted]
    assert line.partial("Stop.").quiet(20).kinds() == [SpeechStarted, BargeIn]


def test_a_long_okay_waits_for_more_before_it_interrupts() -> None:
    line = overlapped().voice(400).confirm(0.9).partial("Okay").voice(500)
    assert line.kinds() == [SpeechStarted]
    assert line.partial("Okay but not on Monday").voice(20).kinds() == [SpeechStarted, BargeIn]


def test_a_short_yes_that_outlasts_our_voice_is_an_answer() -> None:
    line = overlapped().voice(300).partial("Yes.")
    line.we_speak = False
    assert line.quiet(800).kinds() == [SpeechStarted, EndOfTurn]


def test_a_loud_noise_that_is_denied_never_interrupts() -> None:
    """Pain C1."""
    line = overlapped()
    for _ in range(20):
        line.voice(100).confirm(0.1)
    assert line.kinds() == [SpeechStarted]


def test_without_any_second_opinion_it_takes_longer_speech_to_interrupt() -> None:
    line = overlapped().voice(680)
    assert line.kinds() == [SpeechStarted]
    assert line.voice(20).kinds() == [SpeechStarted, BargeIn]


def test_our_own_words_coming_back_do_not_interrupt_us() -> None:
    """Pain C1."""
    line = overlapped()
    line.turns.our_line("We are open from eight to five on weekdays.")
    line.voice(400).confirm(0.9).partial("open from eight").voice(800)
    assert line.kinds() == [SpeechStarted]
    assert line.partial("open from eight no I meant Sunday").voice(20).kinds() == [SpeechStarted, BargeIn]


def test_speech_that_began_before_our_voice_counts_from_when_our_voice_began() -> None:
    line = Line().voice(1000).confirm(0.9)
    line.we_speak = True
    line.voice(600).confirm(0.9)
    assert line.kinds() == [SpeechStarted]
    assert line.voice(120).kinds() == [SpeechStarted, BargeIn]


def test_time_without_frames_ends_a_turn() -> None:
    line = Line().voice(500)
    assert line.turns.tick(line.now + 799, we_speak=False) == []
    assert line.turns.tick(line.now + 800, we_speak=False) == [EndOfTurn(10_500, 11_300, 10_000)]
    assert line.turns.tick(line.now + 5000, we_speak=False) == ()


def test_voiced_frames_far_apart_do_not_add_up() -> None:
    line = overlapped()
    for _ in range(10):
        line.voice(100).confirm(0.9)
        line.now += 600
    assert BargeIn not in line.kinds()


def test_an_endless_turn_is_ended() -> None:
    line = Line(TurnSettings(max_turn_ms=2000)).voice(2500)
    assert line.kinds() == [SpeechStarted, EndOfTurn, SpeechStarted]


def test_opinions_and_words_about_nothing_are_ignored() -> None:
    line = Line().confirm(1.0).partial("left over words").quiet(1000).voice(40).quiet(1000)
    assert line.events == []
    assert line.voice(400).confirm(0.0).quiet(800).kinds() == [SpeechStarted, FalseStart]


_STEP = st.one_of(
    st.tuples(st.just("frame"), st.booleans(), st.booleans(), st.booleans(), st.integers(-40, 400)),
    st.tuples(st.just("burst"), st.booleans(), st.booleans(), st.booleans(), st.integers(1, 60)),
    st.tuples(st.just("tick"), st.booleans(), st.booleans(), st.booleans(), st.integers(-40, 2000)),
    st.tuples(st.just("partial"), st.sampled_from(["", "Yes.", "uh-huh", "Stop that", "and so."])),
    st.tuples(st.just("opinion"), st.floats(0, 1)),
)


def _run(steps: Iterable[tuple[object, ...]]) -> list[TurnEvent]:
    turns, now, events = TurnTaker(TurnSettings(max_turn_ms=5000)), 0, list[TurnEvent]()
    for step in steps:
        match step:
            case ("frame" | "burst" as kind, bool(is_open), bool(voiced), bool(ours), int(n)):
                for _ in range(n if kind == "burst" else 1):
                    now += FRAME_MS if kind == "burst" else n
                    events += turns.frame(GateFrame(is_open, voiced, -30.0, -60.0), now, ours)
            case ("tick", _, _, bool(ours), int(n)):
                now += n
                events += turns.tick(now, ours)
            case ("partial", str(text)):
                turns.partial(text, now)
            case ("opinion", float(probability)):
                turns.confirmed(probability, now)
    return events


@given(st.lists(_STEP, max_size=80))
def test_events_keep_their_order_whatever_is_heard(steps: list[tuple[object, ...]]) -> None:
    """SpeechStarted, then barge-ins, then exactly one end; times never run backwards."""
    speaking, latest = False, 0
    for event in _run(steps):
        assert event.at_ms >= latest
        latest = event.at_ms
        match event:
            case SpeechStarted():
                assert not speaking
                assert event.voiced_from_ms <= event.at_ms
                speaking = True
            case BargeIn():
                assert speaking
            case EndOfTurn() | FalseStart():
                assert speaking
                assert event.voiced_until_ms <= event.at_ms
                speaking = False


@given(st.lists(_STEP, max_size=40))
def test_the_same_history_gives_the_same_events(steps: list[tuple[object, ...]]) -> None:
    assert _run(steps) == _run(steps)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(1, 60)), max_size=40))
def test_nobody_is_interrupted_who_does_not_speak(bursts: list[tuple[bool, bool, int]]) -> None:
    steps = [("burst", is_open, voiced, False, n) for is_open, voiced, n in bursts]
    assert not any(isinstance(event, BargeIn) for event in _run(steps))


def _events(*parts: Samples, we_speak: Callable[[int], bool] = lambda now: False) -> list[TurnEvent]:
    gate, turns, now, events = Gate(), TurnTaker(), 0, list[TurnEvent]()
    for frame in frames(*parts):
        now += FRAME_MS
        events += turns.frame(gate.frame(frame), now, we_speak(now))
    return events


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0], ids=["white", "pink", "brown"])
@pytest.mark.parametrize("db", [-60, -40, -29])
def test_room_tone_never_stops_our_voice_even_when_it_sets_in_with_the_first_frame(slope: float, db: float) -> None:
    """Pain C2."""
    events = _events(sounds.noise(10, db, slope), we_speak=lambda now: True)
    assert not any(isinstance(event, BargeIn | EndOfTurn) for event in events)


def test_a_synthesized_sentence_is_one_turn_with_its_last_sound_known() -> None:
    voice = sounds.over(sounds.spoken("I would like to move my appointment to Thursday.", db=-22), -55)
    before, after = sounds.noise(1, -55, 0.5), sounds.noise(2, -55, 0.5, seed=9)
    started, ended = _events(before, voice, after)
    spoken_ms = len(voice) * 1000 // sounds.RATE
    assert isinstance(started, SpeechStarted)
    assert isinstance(ended, EndOfTurn)
    assert 1000 <= started.voiced_from_ms <= 1060
    assert abs(ended.voiced_until_ms - (1000 + spoken_ms)) <= 120
    assert ended.at_ms - ended.voiced_until_ms == TurnSettings().silence_ms


def test_a_real_person_interrupts_our_voice_within_a_second() -> None:
    events = _events(sounds.noise(2, -60, 0.5), sounds.recorded("beckett.wav"), we_speak=lambda now: True)
    barge_in = next(event for event in events if isinstance(event, BargeIn))
    assert 500 <= barge_in.at_ms - barge_in.voiced_from_ms <= 1000


def test_a_cough_shaped_burst_of_noise_does_not_stop_our_voice() -> None:
    quiet = sounds.noise(2, -60, 0.5)
    events = _events(quiet, sounds.noise(0.1, -18), quiet, sounds.noise(0.1, -18), quiet, we_speak=lambda now: True)
    assert not any(isinstance(event, BargeIn) for event in events)


def test_words_are_read_without_case_and_punctuation() -> None:
    assert words("Uh-huh, I'm FINE \u2014 3 o'clock!") == ("uh-huh", "i'm", "fine", "3", "o'clock")


def test_finished_sentences_are_told_from_unfinished_ones() -> None:
    assert sounds_finished('He said "yes."')
    assert sounds_finished("Tomorrow?")
    assert not any(map(sounds_finished, ("", ".", "tomorrow", "so.", "I want to.", "hm...")))


def test_phrases_that_break_off_are_told_from_those_that_may_be_over() -> None:
    for text in (
        "I would like to",
        "On Monday, or",
        "my number is five five five",
        "The phone number is 555 01",
        "you can call me at five five five.",
        "My zip code is nine",
        "Well...",
        "Tuesday,",
    ):
        assert breaks_off(text), text
    for text in (
        "",
        "Tuesday",
        "Five.",
        "I need two",
        "at half past three",
        "My number is 555 010 0142.",
        "my number is five five five oh one oh oh",
        "What is it for?",
        "The extension is one two three.",
    ):
        assert not breaks_off(text), text


def test_an_echo_may_be_misheard_here_and_there() -> None:
    ours = words("We have Tuesday at ten, Wednesday at half past two, and Friday afternoon.")
    assert is_echo(words("Tuesday at tent Wednesday at half past two"), ours)
    assert not is_echo(words("no not Tuesday I would prefer Friday"), ours)


def test_backchannels_and_echoes_are_recognised() -> None:
    assert is_backchannel(words("Okay, I see."))
    assert not is_backchannel(words("Okay, stop."))
    assert not is_backchannel(words("yes yes yes yes"))
    assert is_echo(words("from eight"), words("open from eight to five"))
    assert not is_echo(words("eight"), words("open from eight to five"))
