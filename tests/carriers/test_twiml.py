"""Documents as Twilio reads them. Each trap that Twilio punishes with an error has a test with its number."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.carriers.base import (
    Connect,
    Document,
    Hangup,
    Keys,
    Listen,
    Pause,
    Redirect,
    Reject,
    Say,
    Transfer,
    Verb,
)
from engine.carriers.twiml import LISTEN_SECONDS, SAY_LIMIT, carrier_voice, render, twiml
from engine.carriers.xml_text import split_text

URL = "https://calls.example.com/w?a=1&b=2"
SOCKET = "wss://calls.example.com/voice/stream"
OFFICIAL = json.loads((Path(__file__).parents[1] / "fixtures/twilio_twiml_documents.json").read_text())["documents"]
Element = ElementTree.Element


def xml(*document: Verb, voice: str = "alloy", language: str = "en-US") -> str:
    return twiml(document, voice=voice, language=language)


def parts(*document: Verb) -> list[Element]:
    root = ElementTree.fromstring(xml(*document))
    assert root.tag == "Response"
    return list(root)


def one(*document: Verb) -> Element:
    (element,) = parts(*document)
    return element


def texts(elements: Sequence[Element]) -> list[str]:
    return [element.text or "" for element in elements]


class TestAReply:
    def test_a2_is_never_empty_11770(self) -> None:
        """Trap 1.3/11770."""
        reply = render((), voice="alloy", language="en-US")
        assert (reply.status, reply.content_type) == (200, "text/xml")
        assert reply.body.decode() == OFFICIAL[0]

    def test_has_a_content_type_that_twilio_reads_12300(self) -> None:
        """Trap 1.3/12300."""
        assert render((Hangup(),), voice="alloy", language="en-US").content_type == "text/xml"

    def test_has_less_than_64_kb_11750(self) -> None:
        """Trap 1.3/11750."""
        for letter, times in (("a", 64_000), ("&", 13_000), ("€", 22_000)):
            with pytest.raises(ValueError, match="bytes"):
                render((Say(letter * times),), voice="alloy", language="en-US")
        assert render((Say("a" * 60_000),), voice="alloy", language="en-US").body

    @pytest.mark.parametrize(
        ("verb", "official"),
        [
            (Hangup(), "<Response><Hangup /></Response>"),
            (Keys("w123"), '<Response><Play digits="w123" /></Response>'),
        ],
    )
    def test_is_what_the_sdks_own_tests_expect(self, verb: Verb, official: str) -> None:
        document = xml(verb)
        assert document in OFFICIAL and document.endswith(official)

    def test_escapes_what_stands_in_addresses_and_texts_12100(self) -> None:
        """Traps 1.3/12100 and 1.4/escape."""
        said = "Tom & \"Ann\" <3 ]]> 'é' 漢 🙂"
        say, redirect = parts(Say(said), Redirect(URL))
        assert (say.text, redirect.text) == (said, URL)
        assert "a=1&amp;b=2" in xml(Redirect(URL))


class TestSay:
    def test_speaks_with_a_voice_of_twilios(self) -> None:
        say = one(Say("Hello"))
        assert (say.tag, say.text, say.attrib) == ("Say", "Hello", {"voice": "Polly.Joanna", "language": "en-US"})

    @pytest.mark.parametrize(
        ("name", "voice"),
        [
            ("alloy", "Polly.Joanna"),
            ("Echo", "Polly.Matthew"),
            ("fable", "Polly.Amy"),
            ("onyx", "Polly.Brian"),
            ("nova", "Polly.Salli"),
            ("shimmer", "Polly.Kimberly"),
            ("Polly.Vicki-Neural", "Polly.Vicki-Neural"),
            ("Google.de-DE-Standard-A", "Google.de-DE-Standard-A"),
            ("woman", "woman"),
            ("mandy", "Polly.Joanna"),
            ("", "Polly.Joanna"),
        ],
    )
    def test_knows_the_names_of_other_vendors(self, name: str, voice: str) -> None:
        assert carrier_voice(name) == voice

    @pytest.mark.parametrize("text", ["", "  ", "\n\t", "\x00\x1b"])
    def test_of_nothing_is_left_out_13520(self, text: str) -> None:
        """Trap 1.4/13520."""
        assert parts(Say(text)) == []

    def test_drops_what_no_xml_may_hold_12100(self) -> None:
        """Trap 1.3/12100."""
        assert one(Say("a\x00b\x1b[31mc\ud800d\uffff")).text == "a b [31mc d"

    def test_longer_than_a_say_is_cut_after_sentences(self) -> None:
        sentence = "This is what she said: it rains. "
        says = parts(Say(sentence * 300))
        assert len(says) > 2 and all(len(text) <= SAY_LIMIT for text in texts(says))
        assert all(text.endswith("rains.") for text in texts(says))
        assert " ".join(texts(says)) == (sentence * 300).strip()

    @pytest.mark.parametrize(
        ("text", "limit", "pieces"),
        [
            ("One. Two. Three.", 10, ["One. Two.", "Three."]),
            ("One two three", 8, ["One two", "three"]),
            ("One. Andthenaverylongword more", 24, ["One.", "Andthenaverylongword", "more"]),
            ('He said "No." Then left.', 14, ['He said "No."', "Then left."]),
            ("3.14159 is pi", 8, ["3.14159", "is pi"]),
            ("unbroken", 3, ["unb", "rok", "en"]),
            ("fits", 4, ["fits"]),
            ("fits now", 4, ["fits", "now"]),
            ("", 4, []),
        ],
    )
    def test_is_cut_after_words_where_no_sentence_ends(self, text: str, limit: int, pieces: list[str]) -> None:
        assert split_text(text, limit) == pieces

    @given(text=st.text(st.sampled_from("ab .!?\n€\x00"), max_size=80), limit=st.integers(1, 20))
    def test_loses_no_word_when_it_is_cut(self, text: str, limit: int) -> None:
        pieces = split_text(text, limit)
        assert all(0 < len(piece) <= limit and piece == piece.strip() for piece in pieces)
        assert "".join("".join(pieces).split()) == "".join(text.replace("\x00", " ").split())


class TestListen:
    listen = Listen(URL, "https://calls.example.com/p?x=1&y=2", "Which day?")

    def test_takes_speech_and_keys_and_lets_the_caller_interrupt(self) -> None:
        gather, redirect = parts(self.listen)
        assert gather.tag == "Gather"
        assert gather.attrib == {
            "input": "speech dtmf",
            "action": URL,
            "method": "POST",
            "timeout": str(LISTEN_SECONDS),
            "speechTimeout": "auto",
            "actionOnEmptyResult": "true",
            "bargeIn": "true",
            "partialResultCallback": "https://calls.example.com/p?x=1&y=2",
            "partialResultCallbackMethod": "POST",
            "language": "en-US",
        }
        assert LISTEN_SECONDS <= 120
        (say,) = list(gather)
        assert (say.tag, say.text, say.get("voice")) == ("Say", "Which day?", "Polly.Joanna")

    def test_silence_does_not_end_the_call(self) -> None:
        _, redirect = parts(self.listen)
        assert (redirect.tag, redirect.text, redirect.attrib) == ("Redirect", URL, {"method": "POST"})

    def test_may_have_nothing_to_say_and_nobody_who_wants_partials(self) -> None:
        gather, _ = parts(Listen(URL, ""))
        assert list(gather) == []
        assert not any(name.startswith("partial") for name in gather.attrib)

    def test_says_long_prompts_in_pieces(self) -> None:
        gather, _ = parts(Listen(URL, "", "Yes. " * 2000))
        assert len(list(gather)) == 3


class TestConnect:
    def test_d2_the_token_is_a_parameter_because_queries_are_dropped(self) -> None:
        """Traps 1.4/31941 and 1.4/query-dropped."""
        connect = one(Connect(SOCKET, 't0k&"<en'))
        (stream,) = list(connect)
        (parameter,) = list(stream)
        assert (connect.tag, connect.attrib, stream.attrib) == ("Connect", {}, {"url": SOCKET})
        assert parameter.attrib == {"name": "token", "value": 't0k&"<en'}

    def test_reports_trouble_where_it_is_told_to(self) -> None:
        (stream,) = list(one(Connect(SOCKET, "t", status_url=URL)))
        assert stream.attrib == {"url": SOCKET, "statusCallback": URL, "statusCallbackMethod": "POST"}

    def test_f9_a_lost_socket_does_not_end_the_call(self) -> None:
        """Trap 1.4/connect-blocks."""
        connect, pause, redirect = parts(Connect(SOCKET, "t", again_url=URL))
        assert [connect.tag, pause.tag, redirect.tag] == ["Connect", "Pause", "Redirect"]
        assert pause.get("length") == "30" and redirect.text == URL

    @pytest.mark.parametrize(
        "url", [f"{SOCKET}?token=x", "https://calls.example.com/s", "", "calls.example.com", f"{SOCKET} x"]
    )
    def test_an_address_that_twilio_would_not_dial_is_refused_31922_31923(self, url: str) -> None:
        """Trap 1.4/wss-only."""
        with pytest.raises(ValueError):
            xml(Connect(url, "t"))

    def test_a_parameter_has_less_than_500_characters(self) -> None:
        """Trap 1.4/parameter-500."""
        assert xml(Connect(SOCKET, "t" * 494))
        with pytest.raises(ValueError, match="token"):
            xml(Connect(SOCKET, "t" * 495))


class TestOtherVerbs:
    @pytest.mark.parametrize(
        ("keys", "digits"), [("12#ww9*", "12#ww9*"), ("1p2P3,4", "1w2W3W4"), ("ABCD", "ABCD"), ("1W2", "1W2")]
    )
    def test_keys_are_those_that_twilio_takes(self, keys: str, digits: str) -> None:
        play = one(Keys(keys))
        assert (play.tag, play.attrib) == ("Play", {"digits": digits})

    @pytest.mark.parametrize("keys", ["", "1 2", "e", "1\n", "<1>", "١"])
    def test_other_keys_are_refused(self, keys: str) -> None:
        with pytest.raises(ValueError, match="keys"):
            xml(Keys(keys))

    def test_a_transfer_dials_and_asks_what_then(self) -> None:
        dial = one(Transfer("+15550100100", "+15550000000", URL, ring_seconds=20))
        assert dial.tag == "Dial"
        assert dial.attrib == {"callerId": "+15550000000", "timeout": "20", "action": URL, "method": "POST"}
        (number,) = list(dial)
        assert (number.tag, number.text, number.attrib) == ("Number", "+15550100100", {})

    def test_a_transfer_rings_as_long_as_twilio_lets_it(self) -> None:
        assert one(Transfer("+15550100100", "", URL, ring_seconds=9999)).get("timeout") == "600"
        assert one(Transfer("+15550100100", "", URL, ring_seconds=0)).get("timeout") == "1"
        assert one(Transfer("+15550100100", "", URL)).get("callerId") is None

    @pytest.mark.parametrize("number", ["", "sip:a@b", "+1 555", "+1555<", "1" * 30])
    def test_a_transfer_to_no_number_is_refused_13223(self, number: str) -> None:
        """Trap 1.4/13223."""
        with pytest.raises(ValueError, match="dialled"):
            xml(Transfer(number, "+15550000000", URL))

    def test_the_rest(self) -> None:
        pause, redirect, reject, hangup = parts(Pause(5), Redirect(URL), Reject("busy"), Hangup())
        assert pause.attrib == {"length": "5"}
        assert (redirect.text, redirect.attrib) == (URL, {"method": "POST"})
        assert reject.attrib == {"reason": "busy"} and hangup.tag == "Hangup"
        assert one(Reject()).attrib == {"reason": "rejected"}
        assert one(Pause(0)).attrib == {"length": "1"}

    @pytest.mark.parametrize("url", ["", "/relative", "javascript:x", "https://h/\x00", "https://h/a b"])
    def test_an_address_that_is_none_is_refused(self, url: str) -> None:
        for verb in (Redirect(url), Listen(url, ""), Transfer("+15550100100", "", url)):
            with pytest.raises(ValueError):
                xml(verb)


any_text = st.text(max_size=60)
addresses = st.from_regex(r"https://[a-z]{1,9}\.example/[a-z0-9&='%?+;]{0,20}", fullmatch=True)
verbs = st.one_of(
    st.builds(Say, any_text),
    st.builds(Listen, addresses, addresses | st.just(""), any_text),
    st.builds(Keys, st.text(st.sampled_from("0123456789ABCD*#wWpP,"), min_size=1, max_size=20)),
    st.builds(Connect, st.just(SOCKET), st.text(st.sampled_from("aZ9-_&<\"'"), max_size=40), addresses, addresses),
    st.builds(Transfer, st.just("+15550100100"), st.just("+15550000000"), addresses, st.integers(-5, 1000)),
    st.builds(Pause, st.integers(-5, 1000)),
    st.builds(Redirect, addresses),
    st.just(Reject("busy")),
    st.just(Hangup()),
)
ATTRIBUTES = {
    "Response": "",
    "Say": "voice language",
    "Play": "digits",
    "Gather": "input action method timeout speechTimeout actionOnEmptyResult bargeIn partialResultCallback "
    "partialResultCallbackMethod language",
    "Connect": "",
    "Stream": "url statusCallback statusCallbackMethod",
    "Parameter": "name value",
    "Pause": "length",
    "Redirect": "method",
    "Dial": "callerId timeout action method",
    "Number": "",
    "Reject": "reason",
    "Hangup": "",
}
"""What Twilio's schema knows (12200) and we use."""


@settings(max_examples=300)
@given(document=st.lists(verbs, max_size=6))
def test_every_document_is_xml_of_twilios_schema(document: Document) -> None:
    """Trap 1.3/12200."""
    written = twiml(document, voice="alloy", language="en-US")
    assert written == twiml(document, voice="alloy", language="en-US")
    root = ElementTree.fromstring(written)
    for element in root.iter():
        assert set(element.attrib) <= set(ATTRIBUTES[element.tag].split())
        assert element.tag != "Say" or (element.text or "").strip()
    redirects = [verb.url for verb in document if isinstance(verb, Redirect | Listen)]
    found = [element.text for element in root.iter("Redirect")]
    assert Counter(redirects) <= Counter(found)
    assert len(found) == len(redirects) + sum(isinstance(verb, Connect) for verb in document)
    assert not re.search("[\x00-\x08]", written)
