"""Replies are cut into lines early and rightly, and nothing is said that was written for a screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.speech.hygiene import spoken
from engine.speech.sentences import LONG_CHARS, SentenceCutter


def cut(text: str, piece: int = 1) -> list[str]:
    cutter = SentenceCutter()
    lines = [line for start in range(0, len(text), piece) for line in cutter.feed(text[start : start + piece])]
    return lines + cutter.flush()


@pytest.mark.parametrize("piece", [1, 2, 7, 10_000])
@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("Hello. How are you? Fine!", ["Hello.", "How are you?", "Fine!"]),
        ("Dr. Smith and Mrs. Jones are in. Call them.", ["Dr. Smith and Mrs. Jones are in.", "Call them."]),
        ("It is $3.50 or 20.5 percent. Really.", ["It is $3.50 or 20.5 percent.", "Really."]),
        ("We open at 8 a.m. on weekdays.", ["We open at 8 a.m. on weekdays."]),
        ("We open at 8 a.m. We close at 6 p.m.", ["We open at 8 a.m.", "We close at 6 p.m."]),
        ("No. 5 is free. No. We are closed.", ["No. 5 is free.", "No.", "We are closed."]),
        ("Well... maybe. Yes", ["Well... maybe.", "Yes"]),
        ("J. Smith, e.g. the dentist, is in.", ["J. Smith, e.g. the dentist, is in."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("First line\nsecond line\n\n- item one\n2. item two", ["First line", "second line", "item one", "item two"]),
        ("See https://www.example.com/a?b=c.d for more. Bye.", ["See example.com for more.", "Bye."]),
        ("\u4f60\u597d\u3002\u518d\u89c1\u3002", ["\u4f60\u597d\u3002", "\u518d\u89c1\u3002"]),
        ("<think>They want. A plan.</think>Sure. Done.", ["Sure.", "Done."]),
        ("<THINKING kind='x'>no\n</THINKING>\n\nYes.", ["Yes."]),
        ("Use this: ```py\nprint('x. y')\n``` and go.", ["Use this: and go."]),
        ('{"spoken": "Hello there. Bye."}', ["Hello there.", "Bye."]),
        ('```json\n{"say": "Hi."}\n```', ["Hi."]),
        ("A < B and <b>bold</b>.", ["A < B and bold."]),
        ("", []),
        (" \n ... \n", []),
    ],
)
def test_text_is_cut_the_same_however_it_arrives(text: str, lines: list[str], piece: int) -> None:
    assert cut(text, piece) == lines


def test_the_first_sentence_comes_before_the_second_is_complete() -> None:
    """Pain B1."""
    cutter = SentenceCutter()
    assert cutter.feed("Good morning. How can") == ["Good morning."]
    assert cutter.feed(" I help?") == []
    assert cutter.feed(" I") == ["How can I help?"]
    assert cutter.flush() == ["I"]


def test_a_full_stop_waits_for_what_follows_it() -> None:
    cutter = SentenceCutter()
    assert cutter.feed("It costs 3.") == []
    assert cutter.feed("50 dollars") == []
    assert cutter.flush() == ["It costs 3.50 dollars"]


def test_a_long_sentence_is_cut_at_a_comma() -> None:
    text = "We have time on Monday at nine, " * 12
    lines = cut(text)
    assert len(lines) > 1
    assert all(len(line) <= LONG_CHARS and line.endswith("nine,") for line in lines)


def test_a_long_sentence_without_commas_is_cut_between_words() -> None:
    lines = cut("word " * 100)
    assert all(len(line) <= LONG_CHARS and set(line.split()) == {"word"} for line in lines)
    assert sum(len(line.split()) for line in lines) == 100


def test_text_without_any_space_is_cut_too() -> None:
    assert [len(line) for line in cut("x" * 450)] == [200, 200, 50]


def test_an_unfinished_thought_is_never_spoken() -> None:
    assert cut("Hello. <think>the caller seems to be") == ["Hello."]


@pytest.mark.parametrize("key", ["spoken", "text", "reply"])
def test_an_object_that_breaks_off_gives_the_words_it_had_and_no_json(key: str) -> None:
    assert cut(f'{{"mood": "kind", "{key}": "Hello \\"Anna\\". How are') == ['Hello "Anna".', "How are"]


def test_the_words_of_an_object_are_spoken_while_it_is_written() -> None:
    cutter = SentenceCutter()
    assert cutter.feed('{"mood": "kind", "spoken": "Good mor') == []
    assert cutter.feed("ning. How can I") == ["Good morning."]
    assert cutter.feed(' help?", "internal": "Say. Nothing."}') == ["How can I help?"]
    assert cutter.flush() == []


LEAKS = [
    (
        'Here you are: {"spoken": "Yes. \\ud83d\\ude00 Gr\\u00fc\\u00dfe."}',
        ["Here you are: Yes.", "Gr\u00fc\u00dfe."],
    ),
    ('{"text": "no", "spoken": "Only this."}', ["Only this."]),
    ("{'spoken': 'It works.'}", ["It works."]),
    ('{"reply": "<think>hm</think>Fine.", "end": true}', ["Fine."]),
    ('```\n{"response": "In a fence."}\n```\nAfter it.', ["In a fence.", "After it."]),
    ('{"spoken": "One."}\n{"spoken": "Two."}', ["One.", "Two."]),
    ('Bye. {"name": "end_call", "arguments": {"farewell": "x"}}', ["Bye."]),
    ('Bye. [TOOL_CALLS] [{"name": "end_call", "arguments": {}}]', ["Bye."]),
    ('<tool_call>{"name": "end_call"}</tool_call>Bye.', ["Bye."]),
    ("<function=end_call>{}</function> Goodbye.", ["Goodbye."]),
    ("Goodbye. end_call()", ["Goodbye."]),
    ("Goodbye. functions.end_call(farewell='x')", ["Goodbye."]),
    ("Sure.<|im_end|>\n<|im_start|>user\nThanks.", ["Sure."]),
    ("<|channel|>analysis<|message|>They ask. Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.", ["Yes."]),
    ("*smiles warmly* Good morning. (laughs) [pause] Go on.", ["Good morning.", "Go on."]),
    ("I *really* mean (honestly) that.", ["I really mean (honestly) that."]),
    ("Assistant: Good morning.", ["Good morning."]),
    ("[Ask us?](https://example.com/a) now.", ["Ask us?", "now."]),
    ("![map](a.png) Here. It says [1] so.", ["map Here.", "It says so."]),
    ("I heard \u2026 [interrupted] that. [pressed 5]", ["I heard \u2026 that."]),
    ("**What?** Yes. It is ~5 km.", ["What?", "Yes.", "It is about 5 km."]),
    ("Well<br>then<speak>now <break time='1s'/>go</speak>.", ["Well", "then now go."]),
    ("<usesig file='" + "x" * 400 + "'/> Go.", []),
    ("<script>alert(1)</script>Hi.", ["Hi."]),
    ("Step one:\n* **Call** us\n* Wait", ["Step one:", "Call us", "Wait"]),
]


@pytest.mark.parametrize("piece", [1, 3, 10_000])
@pytest.mark.parametrize(("text", "lines"), [case for case in LEAKS if case[1]])
def test_nothing_that_was_not_meant_for_the_listener_is_spoken(text: str, lines: list[str], piece: int) -> None:
    assert cut(text, piece) == lines


def test_no_markup_that_a_voice_might_obey_reaches_it() -> None:
    for text, _ in LEAKS:
        assert not any(bad in " ".join(cut(text)) for bad in ("<", "{", "}", "[", "]", "end_call", "http"))


_WORDS = (
    '<think> </think> ``` ~~~ ` json <th . ! ? , word 3. 50 {" " : } { [ ]( ) ](http://a.b/c ![ https://x.org/y?z=1.'
    " www. www.example.org ... a.m. Dr. ** * _ ~ < > <| <|channel|> final <|message|> analysis <|im_start|> </b> # -"
    ' spoken {"spoken":" {"text": \\n \\u00e9 \\ud83d \\ude00 [{" }] end_call() (laughs) *sighs* | --- \u3002 \u4f60'
    " \U0001f600 ' Assistant:"
)
_PARTS = st.lists(st.sampled_from([*_WORDS.split(" "), " ", "\n", " ", "  "]), max_size=30)


@given(_PARTS, st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_any_cutting_of_a_text_gives_the_same_lines(parts: list[str], sizes: list[int]) -> None:
    text = "".join(parts)
    cutter, lines, at = SentenceCutter(), list[str](), 0
    for size in sizes * (len(text) // sum(sizes) + 1):
        lines += cutter.feed(text[at : at + size])
        at += size
    lines += cutter.feed(text[at:]) + cutter.flush()
    assert lines == cut(text, len(text) or 1)


@given(st.text(max_size=300), st.integers(1, 9))
def test_any_text_at_all_may_be_cut_anywhere(text: str, piece: int) -> None:
    assert cut(text, piece) == cut(text, len(text) or 1)


def test_a_cutter_can_be_used_again_after_flush() -> None:
    cutter = SentenceCutter()
    assert cutter.feed('{"say": "One."}') == ["One."]
    assert cutter.flush() == []
    assert cutter.feed("Two. Three") == ["Two."]
    assert cutter.flush() == ["Three"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("**Bold** and *it* and __both__ and ~~gone~~", "Bold and it and both and gone"),
        ("## Heading", "Heading"),
        ("> quoted `code`", "quoted code"),
        ("[our page](https://example.com/x) ![map](a.png)", "our page map"),
        ("Mail me: www.example.org/contact!", "Mail me: example.org!"),
        ("Great \U0001f600\U0001f44d\U0001f3fd job \u2764\ufe0f!", "Great job!"),
        ("20\u00b0C for 5 \u20ac", "20\u00b0C for 5 \u20ac"),
        ("bell\x07 and \x1b[31mred\x1b[0m\u202e", "bell and 31mred 0m"),
        ("| a | b |\n|---|---|\n| c | d |", "a b c d"),
        ("snake_case stays, _this_ does not", "snake_case stays, this does not"),
        ("5 * 3 is 15", "5 * 3 is 15"),
        ("---", ""),
        ("\U0001f600", ""),
        ('{"reply": "Yes."}', "Yes."),
        ("<br/>Line", "Line"),
    ],
)
def test_what_a_voice_can_not_say_is_removed(text: str, said: str) -> None:
    assert spoken(text) == said


@given(st.text(max_size=600), st.integers(1, 50))
def test_any_text_gives_clean_single_lines(text: str, piece: int) -> None:
    for line in cut(text, piece):
        assert line.strip()
        assert line.isprintable() or "\u200c" in line
        assert any(character.isalnum() for character in line)


@given(st.lists(st.sampled_from(["<think>", "</think>", "```", "`", "<th", ". ", "word ", '{"', "\n"]), max_size=40))
def test_markup_in_pieces_and_markup_at_once_hide_the_same(pieces: list[str]) -> None:
    cutter = SentenceCutter()
    lines = [line for piece in pieces for line in cutter.feed(piece)] + cutter.flush()
    assert " ".join(lines).split() == " ".join(cut("".join(pieces))).split()
