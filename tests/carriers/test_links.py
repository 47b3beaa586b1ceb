"""The addresses that a carrier is given, and what they say when they come back."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.carriers.links import Flow, link, read_link

URL = "https://calls.example.com/voice/webhook"
words = st.text(st.characters(codec="utf-8"), max_size=30)


@given(
    flow=st.sampled_from(get_args(Flow)), call_id=words, turn=words, base=st.sampled_from([URL, f"{URL}?key=a%20b"])
)
def test_an_address_says_what_it_was_made_for(flow: Flow, call_id: str, turn: str, base: str) -> None:
    found, query = read_link(link(base, flow, call_id, turn=turn))
    assert (found, query["callId"], query["turn"]) == (flow, call_id, turn)
    assert query.get("key") == ("a b" if "?" in base else None)


def test_progress_is_told_as_openclaws_plugin_has_it() -> None:
    assert link(URL, "status", "1") == f"{URL}?callId=1&type=status"
    assert read_link(f"{URL}?type=status") == ("status", {"type": "status"})
    assert read_link(f"{URL}?type=status&flow=answer")[0] == "status"


@pytest.mark.parametrize("query", ["", "?", "?callId=1", "?flow=", "?flow=fly&callId=1", "?type=other"])
def test_a_bare_address_and_an_unknown_purpose_are_none(query: str) -> None:
    assert read_link(URL + query)[0] is None


def test_what_stands_in_an_address_is_for_xml_and_urls_alike() -> None:
    """Query values never hold what could end the value: they are written into attributes and into other queries."""
    made = link(URL, "listen", 'a&b="c"<d>#e', turn="x/y+z %")
    assert not set(made.partition("?")[2]) & set('"<># ')
    assert read_link(made)[1] == {"callId": 'a&b="c"<d>#e', "flow": "listen", "turn": "x/y+z %"}


@given(url=words)
def test_any_address_is_read_or_refused(url: str) -> None:
    try:
        flow, _ = read_link(url)
    except ValueError:
        return
    assert flow is None or flow in get_args(Flow)
