"""What of a model's text is meant for the listener, while it arrives in pieces that may end anywhere.

Models write for screens: they reason in tags, answer with JSON objects, fence code, link, and write tool calls in
between. All of that is taken out here. Every decision depends on the text alone and never on where a piece ends, so
any cutting of the same text gives the same words. What is held back is bounded.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from engine.speech.json_words import ObjectReader

REASONING_TAGS: Final = (
    "think", "thinking", "thought", "thoughts", "reasoning", "reflection", "scratchpad", "analysis", "plan",
)  # fmt: skip
"""Elements in which models put what is not meant for the listener."""
_TOOL_TAGS: Final = (
    "tool_call", "tool_calls", "tool_use", "tool_response", "tool_result", "tool", "function", "function_call",
    "function_calls", "function_results", "invoke", "parameter", "tools",
)  # fmt: skip
"""Elements in which models write the calls of tools that the server did not understand as such."""
_HIDDEN_TAGS: Final = frozenset((*REASONING_TAGS, *_TOOL_TAGS, "script", "style"))
_LINE_TAGS: Final = frozenset(("br", "p", "li", "ul", "ol", "div", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "hr"))
_STOPS: Final = frozenset(
    (
        "</s>",
        "<end_of_turn>",
        "<|im_end|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|endoftext|>",
        "<|end_of_text|>",
        "<|return|>",
    )
)
"""Tokens at which an answer is over; a model that writes on plays the caller's part."""
MAX_TAG_CHARS: Final = 300
MAX_LABEL_CHARS: Final = 300
MAX_LINK_CHARS: Final = 2000
_CHANNEL: Final = "<|channel|>"
_ANSWER: Final = re.compile(r"<\|channel\|>\s{0,9}final\b[^<]{0,40}<\|message\|>")
"""Where an answer in channels comes to what is meant for the listener (OpenAI's harmony format)."""

_SPECIAL: Final = re.compile(r"!?\[|[<`~{]|https?://|www\.", re.IGNORECASE)
_MAYBE: Final = re.compile(r"(?:!|h|ht|htt|http|https|https?:|https?:/|w|ww|www)\Z", re.IGNORECASE)
"""The end of a text that may be the beginning of something special."""
_URL_END: Final = re.compile(r"[\s<>\"'\]]")
_FENCE_INFO: Final = re.compile(r"[^\S\n]*+([\w+-]{0,20}+)\s*+(\S)")
_GAP: Final = re.compile(r"\s{0,40}")


class VisibleText:
    """The words of one reply. `feed` returns what can be passed on, `flush` what is left at the end."""

    def __init__(self, depth: int = 0) -> None:
        self._depth = depth
        """An answer may be a JSON object whose words are an answer again; not for ever."""
        self._reset()

    def _reset(self) -> None:
        self._held = ""
        self._closing: re.Pattern[str] | None = None
        self._object: ObjectReader | None = None
        self._inner: VisibleText | None = None
        self._fenced = False
        self._over = False
        self._last = ""

    def feed(self, text: str) -> str:
        """Take the next piece."""
        self._held += text
        return self._run(final=False)

    def flush(self) -> str:
        """The reply is complete; this can be used for another one afterwards."""
        rest = self._run(final=True)
        if self._object is not None:
            rest += self._words(self._object.flush()) + self._words_over()
        self._reset()
        return rest

    def _run(self, *, final: bool) -> str:
        passed: list[str] = []
        while self._held and not self._over:
            before = len(self._held)
            was = (self._closing, self._object)
            found = self._step(final)
            if found:
                self._last = found[-1]
                passed.append(found)
            if len(self._held) == before and was == (self._closing, self._object):
                break
        if self._over:
            self._held = ""
        return "".join(passed)

    def _step(self, final: bool) -> str:
        """Take something from the front of what is held; nothing when more text has to come first."""
        if self._object is not None:
            return self._read_object()
        if self._closing is not None:
            return self._hide(self._closing)
        match = _SPECIAL.search(self._held)
        if match is None:
            maybe = None if final else _MAYBE.search(self._held)
            return self._take(maybe.start() if maybe else len(self._held))
        if match.start():
            return self._take(match.start())
        match match.group()[-1]:
            case "[":
                return self._bracket(match.end(), final)
            case "<":
                return self._tag(final)
            case "`" | "~" as mark:
                return self._fence(mark, final)
            case "{":
                return self._brace(final)
        return self._url(match.end(), final)

    def _take(self, size: int) -> str:
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def _drop(self, size: int, instead: str = " ") -> str:
        self._held = self._held[size:]
        return instead

    # -- what is hidden up to its end ---------------------------------------------------------

    def _hide(self, closing: re.Pattern[str]) -> str:
        match = closing.search(self._held)
        if match is None:
            self._held = self._held[-MAX_TAG_CHARS:]
            return ""
        self._closing = None
        return self._drop(match.end())

    def _fence(self, mark: str, final: bool) -> str:
        """Code; but a JSON object in a fence is an answer."""
        run = len(self._held) - len(self._held.lstrip(mark))
        if run == len(self._held) and not final:
            return "" if run <= MAX_TAG_CHARS else self._drop(run)
        if run < 3:
            return self._drop(run, "~" if (mark, run) == ("~", 1) else "")
        if self._fenced:
            self._fenced = False
            return self._drop(run, "\n")
        info = _FENCE_INFO.match(self._held, run)
        if info is None and not final and len(self._held) <= MAX_TAG_CHARS:
            return ""
        if info is not None and info.group(1).lower() in ("", "json") and info.group(2) == "{":
            self._fenced = True
            return self._drop(info.end() - 1)
        self._closing = re.compile(f"{mark * 3}+(?=[^{mark}])")
        return self._drop(run)

    def _tag(self, final: bool) -> str:
        if len(self._held) == 1:
            return self._drop(1) if final else ""
        if not (self._held[1].isalpha() or self._held[1] in "/|!?_\uff5c"):
            return self._take(1)
        inside = re.match(r"<[^<>\n]*", self._held)
        assert inside is not None
        end = inside.end()
        if end == len(self._held) and end <= MAX_TAG_CHARS and not final:
            return ""
        if end > MAX_TAG_CHARS or self._held[end : end + 1] != ">":
            return self._drop(1)
        tag = self._held[: end + 1].lower()
        if tag.startswith(("<http://", "<https://", "<www.")):
            self._held = self._held[1:end] + " " + self._held[end + 1 :]
            return ""
        if tag in _STOPS:
            self._over = True
            return ""
        if tag.startswith(("<|", "<\uff5c")):
            return self._token(tag, final)
        name = re.sub(r"[^a-z0-9_].*", "", tag.lstrip("</"), flags=re.DOTALL)
        if name in _HIDDEN_TAGS and tag[1] != "/" and not tag.endswith("/>"):
            self._closing = re.compile(rf"</\s{{0,9}}{re.escape(name)}\s{{0,9}}>", re.IGNORECASE)
        return self._drop(len(tag), "\n" if name in _LINE_TAGS else " ")

    def _token(self, tag: str, final: bool) -> str:
        """A token of a chat template that slipped through."""
        if tag == _CHANNEL:
            named = re.match(r"<\|channel\|>[^<]{0,200}<\|message\|>", self._held)
            if named is None and len(self._held) <= MAX_TAG_CHARS and not final:
                return ""
            if named is not None and _ANSWER.match(self._held):
                return self._drop(named.end())
            self._closing = _ANSWER
        elif "tool" in tag or "python" in tag or "function" in tag:
            self._over = True
        return self._drop(len(tag))

    # -- JSON ---------------------------------------------------------------------------------

    def _brace(self, final: bool) -> str:
        first = self._after_gap(1)
        if not first and not final:
            return ""
        if first and first in "\"'}" and self._depth < 2:
            self._object = ObjectReader()
            return ""
        return self._drop(1)

    def _after_gap(self, start: int) -> str:
        """The character after a little white space; nothing while that is not known."""
        gap = _GAP.match(self._held, start)
        return self._held[gap.end() : gap.end() + 1] if gap is not None else ""

    def _read_object(self) -> str:
        reader = self._object
        assert reader is not None
        words, used = reader.feed(self._held)
        self._held = self._held[used:]
        found = self._words(words)
        if reader.closed:
            self._object = None
            found += self._words_over()
        return found

    def _words(self, text: str) -> str:
        if not text:
            return ""
        if self._inner is None:
            self._inner = VisibleText(self._depth + 1)
        return self._inner.feed(text)

    def _words_over(self) -> str:
        inner, self._inner = self._inner, None
        return (inner.flush() if inner is not None else "") + "\n"

    # -- links --------------------------------------------------------------------------------

    def _bracket(self, opening: int, final: bool) -> str:
        """`[label](address)` is its label. Anything else in brackets is a note: a citation, a mark, a direction."""
        first = self._after_gap(opening)
        if not first and not final:
            return ""
        if first == "{" and self._depth < 2:
            self._object = ObjectReader()
            return self._drop(opening - 1, "")
        label = re.compile(r"[^\[\]\n]*").match(self._held, opening)
        assert label is not None
        end = label.end()
        if end == len(self._held) and end <= MAX_LABEL_CHARS and not final:
            return ""
        if end > MAX_LABEL_CHARS or self._held[end : end + 1] != "]":
            return self._drop(opening)
        after = self._held[end + 1 : end + 2]
        if not after and not final:
            return ""
        if after != "(":
            return self._drop(end + 1)
        address = re.compile(r"\([^()\n]*").match(self._held, end + 1)
        assert address is not None
        if address.end() == len(self._held) and len(self._held) <= MAX_LINK_CHARS and not final:
            return ""
        closed = self._held[address.end() : address.end() + 1] == ")"
        self._held = label.group() + self._held[address.end() + closed :]
        return " " if not label.group() else ""

    def _url(self, scheme: int, final: bool) -> str:
        """An address as one would say it: the host, without scheme, www and path."""
        end = _URL_END.search(self._held, scheme)
        if end is None and not final and len(self._held) <= MAX_LINK_CHARS:
            return ""
        found = self._held[: end.start() if end else len(self._held)]
        if len(found) == scheme or (found[0] in "wW" and self._last.isalnum()):
            return self._take(scheme)
        return self._drop(len(found), _host(found))


def _host(found: str) -> str:
    url = found.rstrip(".,;:!?)*_")
    try:
        host = urlsplit(url if "://" in url else f"//{url}").hostname or ""
    except ValueError:
        host = ""
    return host.removeprefix("www.") + found[len(url) :].replace(")", "")
