"""Documents as Plivo XML: the same as Plivo's own builders make, and what Plivo would not take is refused here."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plivo import plivoxml

from engine.carriers.base import (
    Connect,
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
from engine.carriers.plivo_xml import AUDIO, MAX_DOCUMENT, SAY_LIMIT, carrier_voice, render, xml
from tests.carriers.plivo_far.xml import read_reply, read_xml

URL = "https://calls.example.com/voice/webhook?callId=1&flow=listen"
SPEAKING = {"voice": "Polly.Joanna", "language": "en-US"}


def made(*verbs: Verb) -> str:
    return xml(verbs, **SPEAKING)


def same(ours: str, theirs: Any) -> bool:
    canonical = [ElementTree.canonicalize(text, strip_text=True) for text in (ours, theirs.to_string(False))]
    return canonical[0] == canonical[1]


def test_the_same_comes_out_as_of_plivos_builders() -> None:
    speak = {"voice": "Polly.Joanna", "language": "en-US"}
    response = plivoxml.ResponseElement
    assert same(made(Say('Tom & "Ann" <3')), response().add(plivoxml.SpeakElement('Tom & "Ann" <3', **speak)))
    assert same(made(Keys("1,2p#")), response().add(plivoxml.DTMFElement("1W2w#")))
    assert same(made(Pause(3)), response().add(plivoxml.WaitElement(length=3)))
    assert same(made(Redirect(URL)), response().add(plivoxml.RedirectElement(URL, method="POST")))
    assert same(made(Reject("busy")), response().add(plivoxml.HangupElement(reason="busy")))
    assert same(made(Hangup()), response().add(plivoxml.HangupElement()))
    listen = plivoxml.GetInputElement(
        action=URL,
        method="POST",
        input_type="dtmf speech",
        execution_timeout=15,
        digit_end_timeout=2,
        speech_end_timeout=2,
        finish_on_key="none",
        language="en-US",
        interim_speech_results_callback=URL,
        interim_speech_results_callback_method="POST",
        redirect=True,
    ).add(plivoxml.SpeakElement("Which day?", **speak))
    theirs = response().add(listen).add(plivoxml.RedirectElement(URL, method="POST"))
    assert same(made(Listen(URL, URL, "Which day?")), theirs)
    stream = plivoxml.StreamElement(
        "wss://calls.example.com/voice/stream/t0k%26%3C",
        bidirectional=True,
        keepCallAlive=True,
        contentType=AUDIO,
        statusCallbackUrl=URL,
        statusCallbackMethod="POST",
    )
    connect = Connect("wss://calls.example.com/voice/stream", "t0k&<", URL, URL)
    theirs = response().add(stream).add(plivoxml.WaitElement(length=30))
    assert same(made(connect), theirs.add(plivoxml.RedirectElement(URL, method="POST")))
    dial = plivoxml.DialElement(action=URL, method="POST", redirect=True, timeout=9, caller_id="15550100000")
    dial.add(plivoxml.NumberElement("15550100100"))
    assert same(made(Transfer("+15550100100", "+15550100000", URL, 9)), response().add(dial))


def test_a_stream_lasts_says_its_format_and_goes_on_at_an_address_of_ours() -> None:
    reply = render((Connect("wss://calls.example.com/voice/stream", "tok", URL, URL),), **SPEAKING)
    stream, wait, again = read_reply(reply.content_type, reply.body).elements
    assert stream.get("keepCallAlive") == stream.get("bidirectional") == "true"
    assert stream.get("contentType") == "audio/x-mulaw;rate=8000" and stream.get("audioTrack") == ""
    assert stream.text == "wss://calls.example.com/voice/stream/tok"
    assert (wait.name, again.name, again.text) == ("Wait", "Redirect", URL)


def test_silence_is_told_because_a_getinput_that_hears_nothing_is_passed_over() -> None:
    heard, after = read_xml(made(Listen(URL, "", "Which day?")).encode()).elements
    assert (heard.get("action"), heard.get("redirect"), after.name, after.text) == (URL, "true", "Redirect", URL)
    assert heard.get("interimSpeechResultsCallback") == "" and heard.get("finishOnKey") == "none"


def test_long_texts_are_cut_into_what_one_speak_takes() -> None:
    text = "This is a sentence of some length. " * 200
    spoken = read_xml(made(Say(text)).encode()).elements
    assert len(spoken) > 2 and all(len(element.text) <= SAY_LIMIT for element in spoken)
    assert " ".join(element.text for element in spoken) == text.strip()


@pytest.mark.parametrize(
    "verb",
    [
        Keys("12x"),
        Keys(""),
        Redirect("/voice/webhook"),
        Redirect("https://calls.example.com/a b"),
        Listen("not a url", ""),
        Connect("https://calls.example.com/stream", "t"),
        Connect("wss://calls.example.com/stream?a=b", "t"),
        Connect("wss://calls.example.com/stream", "t" * 2100),
        Transfer("not a number", "+15550100000", URL),
        Transfer("+15550100100", "\x00", URL),
    ],
)
def test_what_plivo_would_not_take_is_refused(verb: Verb) -> None:
    with pytest.raises(ValueError):
        made(verb)


def test_a_document_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match=str(MAX_DOCUMENT)):
        render((Say("& " * 60_000),), **SPEAKING)


@pytest.mark.parametrize(
    ("asked", "voice"),
    [("Polly.Vicki", "Polly.Vicki"), ("woman", "WOMAN"), ("alloy", "Polly.Joanna"), ("", "Polly.Joanna")],
)
def test_a_voice_is_one_that_plivo_has(asked: str, voice: str) -> None:
    assert carrier_voice(asked) == voice


@given(st.text(max_size=300))
def test_whatever_is_said_the_document_can_be_read(text: str) -> None:
    reading = read_xml(xml((Say(text.encode("utf-8", "replace").decode()), Hangup()), **SPEAKING).encode())
    assert reading.remarks == [] and reading.elements[-1].name == "Hangup"
