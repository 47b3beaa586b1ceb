"""The words in an answer that is a JSON object, `{"spoken": "..."}`, as it arrives.

The value of `spoken` (what OpenClaw's agents answer with) is passed on while it is being written; of the other keys
that models use the best one is taken at the object's end. Everything else in the object is dropped: it is reasoning,
metadata or the text of a tool call. An object that breaks off still gives the words that it had.
"""

from __future__ import annotations

import json
from typing import Final

STREAMED: Final = "spoken"
WRAPPER_KEYS: Final = ("say", "speech", "response", "reply", "answer", "text", "message", "content")
"""Where else the words may be, in order of preference."""
MAX_KEPT_CHARS: Final = 65_536
_SIMPLE: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "", "f": ""}


class ObjectReader:
    """One object, or an array of objects, from its opening brace on. Belongs to the text that it is found in."""

    def __init__(self) -> None:
        self.closed = False
        self._open: list[str] = []
        self._quote = ""
        self._style = ""
        """The mark that quotes strings in this object."""
        self._text = ""
        """The string that is being read, as far as it matters."""
        self._escape = ""
        self._high = ""
        """The first half of a character that JSON writes in two."""
        self._key: str | None = None
        self._awaits_value = False
        self._values: dict[str, str] = {}
        self._spoke = False

    def feed(self, text: str) -> tuple[str, int]:
        """Words, and how many characters of `text` belong to the object."""
        words: list[str] = []
        for index, character in enumerate(text):
            if self._quote:
                words.append(self._in_string(character))
            else:
                self._outside(character)
            if self.closed:
                return "".join(words) + self._best(), index + 1
        return "".join(words), len(text)

    def flush(self) -> str:
        """The text is over, and the object is not."""
        if self._quote and self._is_value() and self._key in WRAPPER_KEYS:
            self._values.setdefault(self._key or "", self._text)
        return self._best()

    def _best(self) -> str:
        if self._spoke:
            return ""
        return next((self._values[key] for key in WRAPPER_KEYS if key in self._values), "")

    def _outside(self, character: str) -> None:
        match character:
            case "{" | "[":
                self._open.append(character)
                self._awaits_value = False
            case "}" | "]":
                self._open.pop()
                self._awaits_value = False
                self.closed = not self._open
            case '"' | "'" if self._style in ("", character):
                self._style = character
                self._quote, self._text, self._escape, self._high = character, "", "", ""
            case ":":
                self._awaits_value = True
            case ",":
                self._awaits_value = False

    def _is_value(self) -> bool:
        return self._awaits_value and self._open == ["{"]

    def _in_string(self, character: str) -> str:
        if self._escape:
            self._escape += character
            if self._escape == "\\u" or (self._escape[1] == "u" and len(self._escape) < 6):
                return ""
            character, self._escape = self._unescaped(self._escape), ""
        elif character == "\\":
            self._escape = character
            return ""
        elif character == self._quote:
            return self._string_over()
        return self._add(character)

    def _add(self, text: str) -> str:
        if self._is_value() and self._key == STREAMED:
            self._spoke = True
            return text
        if len(self._text) < MAX_KEPT_CHARS:
            self._text += text
        return ""

    def _unescaped(self, escape: str) -> str:
        if escape[1] != "u":
            return _SIMPLE.get(escape[1], escape[1])
        try:
            code = int(escape[2:], 16)
        except ValueError:
            return ""
        if 0xD800 <= code < 0xDC00:
            self._high = escape
            return ""
        if 0xDC00 <= code < 0xE000:
            high, self._high = self._high, ""
            return str(json.loads(f'"{high}{escape}"')) if high else ""
        return chr(code)

    def _string_over(self) -> str:
        self._quote = ""
        if self._awaits_value:
            if self._is_value() and self._key in WRAPPER_KEYS:
                self._values.setdefault(self._key, self._text)
        elif len(self._open) == 1:
            self._key = self._text
        return ""
