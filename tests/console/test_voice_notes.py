"""What an operator reads about voices that fail."""

from __future__ import annotations

from console.board import Board
from console.facts import Note
from tests.console.scenes import morning


def test_a_voice_that_stands_in_is_named_with_the_reason_and_what_to_do() -> None:
    script = morning()
    script.add(
        "say.fallback",
        "anna",
        sayId="s9",
        engine="openai gpt-4o-mini-tts coral",
        to="local anna",
        error="the speech service answered 401 invalid_api_key: wrong",
        hint="check `tts.providers.openai.api_key`",
    )
    board = Board()
    board.take(script.events)
    assert board.notes["anna"][-1] == Note(
        script.at,
        "local anna speaks instead of openai gpt-4o-mini-tts coral: the speech service answered 401 invalid_api_key: "
        "wrong. check `tts.providers.openai.api_key`",
        bad=True,
    )


def test_a_voice_that_broke_off_is_told_and_a_caller_who_interrupts_is_not() -> None:
    script = morning()
    script.add("say.queued", "anna", sayId="s8", speaker="agent", kind="reply", text="Some words.")
    script.add("say.started", "anna", sayId="s8", synthMs=700, engine="openai")
    script.add("say.cut", "anna", sayId="s8", heardMs=500, heardText="Some")
    board = Board()
    board.take(script.events)
    before = len(board.notes.get("anna", ()))
    script.add("say.queued", "anna", sayId="s9", speaker="agent", kind="reply", text="More words.")
    script.add("say.started", "anna", sayId="s9", synthMs=700, engine="openai")
    board.take([*script.events[-2:]])
    board.take([script.add("say.cut", "anna", sayId="s9", heardMs=500, heardText="More", error="it went silent")])
    notes = board.notes["anna"][before:]
    assert [note.text for note in notes if isinstance(note, Note)] == ["the voice broke off: it went silent"]
