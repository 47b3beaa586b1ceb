"""What may be said aloud: a line as written by a model or a program, made fit for a voice.

Models write for screens. A voice that reads asterisks, bullets, emojis or stage directions to a caller is a fault of
ours, so they are removed here, whatever brain the text came from. What spans lines or pieces (reasoning, code, JSON,
links) is taken out before: `engine.speech.visible`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from engine.speech.visible import VisibleText

_TABLE_RULE: Final = re.compile(r"^[ \t]*\|?(?:[ \t]*:?-{2,}:?[ \t]*\|?)+[ \t]*$", re.MULTILINE)
_RULE: Final = re.compile(r"^[ \t]*(?:[-*_=][ \t]*){3,}$", re.MULTILINE)
_LINE_MARKER: Final = re.compile(
    r"^[ \t]*(?:>[ \t]*)*(?:#{1,6}[ \t]+|[-*+\u2022\u25e6\u25aa][ \t]+|\d{1,3}[.)][ \t]+(?=\S))?", re.M
)
_STAGE: Final = re.compile(
    r"[*(_]+\s*(?:\w+ly\s+)?(?:smil|laugh|chuckl|sigh|paus|nod|giggl|grin|whisper|cough|gasp|hum+(?:s|ming)\b|wink|shrug"
    r"|typing|types|beat\b|silence\b|wait(?:s|ing)\b|think(?:s|ing)\b|breath|inhal|exhal|clear(?:s|ing)?\s+(?:\w+\s+)?throat"
    r"|softly|warmly|cheerfully|gently|quietly|friendly tone|long pause)[^*()_\n]{0,40}[*)_]+",
    re.IGNORECASE,
)
"""What an actor would do and not say."""
_LABEL: Final = re.compile(r"\A\W{0,4}(?:assistant|agent|ai|bot|receptionist)\s*:\W{0,3}\s", re.IGNORECASE)
"""A model that writes a script begins with who speaks."""
_CALL: Final = re.compile(r"(?:\bfunctions?\.)?\bend_call\b(?:\s*\([^)]*\))?", re.IGNORECASE)
_EMPHASIS: Final = re.compile(r"(?<!\d )\*+|\*+(?! \d)|~~|`+|(?<!\w)_+(?=\w)|(?<=[\w.,!?])_+(?!\w)")
_OPENED: Final = re.compile(r"<(?=[^\s\d=])")
_ABOUT: Final = re.compile(r"(?<!\w)~\s?(?=\d)")
_SPACE_BEFORE: Final = re.compile(r"\s+([.,;:!?])(?!\d)")
_KEPT: Final = frozenset("\u00b0\u200c")
"""The degree sign, which is a symbol like the emojis, and the non-joiner, which some scripts spell with."""
_UNSPEAKABLE: Final = frozenset({"So", "Sk", "Cc", "Cf", "Cs", "Co", "Cn"})
_BRACES: Final = str.maketrans(dict.fromkeys("{}[]|", " "))


def spoken(text: str) -> str:
    """`text`, a whole reply, as one line that a voice can read; empty when nothing of it can be said."""
    visible = VisibleText()
    return speakable(visible.feed(text) + visible.flush())


def speakable(text: str) -> str:
    """The same for text that is visible already."""
    text = _RULE.sub("", _TABLE_RULE.sub("", text))
    text = _LINE_MARKER.sub("", text)
    text = _CALL.sub(" ", _STAGE.sub(" ", _LABEL.sub("", text)))
    text = _EMPHASIS.sub("", _ABOUT.sub("about ", text))
    text = _OPENED.sub(" ", text).translate(_BRACES)
    text = " ".join(_pronounceable(text).split())
    text = _SPACE_BEFORE.sub(r"\1", text)
    return text if any(character.isalnum() for character in text) else ""


def _pronounceable(text: str) -> str:
    """Without emojis, control and invisible characters (a tab or a line break becomes a space)."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character in _KEPT or unicodedata.category(character) not in _UNSPEAKABLE
        else (" " if character.isspace() else "")
        for character in text
        if not "\ufe00" <= character <= "\ufe0f"
    )
