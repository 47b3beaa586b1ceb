"""One webhook in full, and what came of a replay, as rows: pure functions from the engine's answer."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from console.hooks import UNKNOWN, VERDICTS
from console.paint import Row, Span
from console.text import clean, mask, wrap
from console.words import mask_numbers

LABEL: Final = 12
MAX_ROWS: Final = 600
"""Rows of one part; a body of 64 kB has more."""
MAX_FIELDS: Final = 200
_QUOTED_NUMBER: Final = re.compile(r"%2[Bb]([1-9][0-9]{6,14})")
_TAG_GAP: Final = re.compile(r">\s*<")


class Page:
    """Collects rows of one width. All text goes through `clean`, and numbers are masked when they are to be."""

    def __init__(self, width: int, masked: bool) -> None:
        self.width = max(20, width)
        self.masked = masked
        self.rows: list[Row] = []

    def said(self, text: object) -> str:
        """A stranger's text as it may be drawn."""
        line = mask_numbers(clean(text if isinstance(text, str) else str(text)), self.masked)
        if not self.masked:
            return line
        return _QUOTED_NUMBER.sub(lambda found: f"%2B{mask('+' + found[1])[1:]}", line)

    def title(self, text: str) -> None:
        self.rows += [(), ((f" {text}", "title"),)]

    def line(self, text: object, ink: str = "text", head: Span = ("", "text"), indent: int = 1) -> None:
        """A text wrapped to the width; `head` stands before its first row."""
        line = self.said(text)
        left = max(indent, indent + len(head[0]))
        for index, (start, end) in enumerate(wrap(line, self.width - left - 1)):
            before = (" " * indent, "text") if index == 0 else (" " * left, "text")
            first = (head,) if index == 0 and head[0] else ()
            self.rows.append((before, *first, (line[start:end], ink)))

    def field(self, name: object, value: object, ink: str = "text") -> None:
        """A name and what belongs to it."""
        label = self.said(name)
        shown = label.ljust(LABEL) if len(label) < LABEL else f"{label} "
        self.line(value, ink, (shown, "dim"))

    def block(self, lines: Iterable[str]) -> None:
        """Lines that keep their indentation."""
        for count, text in enumerate(lines):
            if count >= MAX_ROWS:
                self.line("… and more", "dim")
                return
            depth = min(30, len(text) - len(text.lstrip(" ")))
            self.line(text, indent=1 + depth)


def hook_rows(hook: Mapping[str, Any], width: int, *, masked: bool) -> list[Row]:
    """All that is known of a request."""
    page = Page(width, masked)
    look = VERDICTS.get(_text(hook, "verdict"), UNKNOWN)
    page.line(f"{look.word}: {_text(hook, 'why')}", look.ink, (f"{look.symbol} ", look.ink))
    for name, value in _facts(hook):
        page.field(name, value)
    _signed(page, hook)
    _request(page, hook)
    _answer(page, _part(hook, "answer"), hook.get("status"))
    if unfit := _text(hook, "unfit"):
        page.title("Replay")
        page.line(f"not possible: {unfit}", "dim")
    return page.rows


def _facts(hook: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    at = hook.get("at")
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at / 1000)) if isinstance(at, int) else "unknown"
    yield "came", f"{when} from {_text(hook, 'peer') or 'nobody knows where'}, answered in {hook.get('ms')} ms"
    yield "event", _text(hook, "type") or "none that could be read"
    yield "call", _text(hook, "callId") or "none matches"
    yield "effect", _text(hook, "effect")
    replayed = _part(hook, "replayed")
    if replayed:
        yield "replay", f"of webhook {replayed.get('of')}, by {replayed.get('by')}"


def _signed(page: Page, hook: Mapping[str, Any]) -> None:
    page.title("Addresses that were tried")
    tried = [each for each in _list(hook, "tried") if isinstance(each, Mapping)]
    if not tried:
        page.line("none: it was refused before that", "dim")
    for each in tried:
        fits = each.get("fits") is True
        page.line(
            _text(each, "url"),
            "good" if fits else "text",
            ("✓ fits  " if fits else "✗       ", "good" if fits else "bad"),
        )
    if tried and not any(each.get("fits") is True for each in tried):
        page.line(
            "none of them would have verified: another key or secret signed it, or the body was changed", "warn"
        )
    if doubt := _text(hook, "forwarded"):
        page.line(f"forwarded headers were not believed: {doubt}", "warn")
    if signed := _text(hook, "signed"):
        page.title("What was signed")
        page.block(_lines(signed))


def _request(page: Page, hook: Mapping[str, Any]) -> None:
    page.title("Request")
    page.line(f"{_text(hook, 'method')} {_text(hook, 'target')}")
    for header in _list(hook, "headers")[:MAX_FIELDS]:
        if isinstance(header, Sequence) and len(header) == 2:
            page.line(header[1], head=(f"{page.said(header[0])}: ", "dim"))
    size = hook.get("bodySize")
    page.title(f"Body, {size if isinstance(size, int) else 0} bytes")
    if hook.get("bodyRead") is not True:
        page.line("it was not read", "dim")
        return
    body = _text(hook, "body")
    pairs = form_of(body)
    for name, value in pairs:
        page.field(name, value)
    if not pairs:
        page.block(pretty(body))
    if hook.get("whole") is not True:
        page.line("not all of it is kept", "dim")


def _answer(page: Page, answer: Mapping[str, Any], status: object) -> None:
    page.title(f"Answer, {status if isinstance(status, int) else '?'} {page.said(_text(answer, 'type'))}")
    page.block(pretty(_text(answer, "body")) or ["nothing"])


def replay_rows(result: Mapping[str, Any], width: int, *, masked: bool) -> list[Row]:
    """What came of a replay."""
    page = Page(width, masked)
    look = VERDICTS.get(_text(result, "verdict"), UNKNOWN)
    where = "into the sandbox: nothing of it has happened" if result.get("into") == "sandbox" else "live"
    page.line(f"replayed {where}", "text")
    page.line(f"{look.word}: {_text(result, 'why')}", look.ink, (f"{look.symbol} ", look.ink))
    page.field("effect", _text(result, "effect"))
    for name in ("note", "live", "against"):
        if said := _text(result, name):
            page.field(name, said, "warn" if name == "live" else "text")
    if result.get("into") == "sandbox":
        _folded(page, result)
    document = _part(result, "document")
    if document:
        _answer(page, document, document.get("status"))
    return page.rows


def _folded(page: Page, result: Mapping[str, Any]) -> None:
    page.title("Facts that it would add")
    events = [each for each in _list(result, "events") if isinstance(each, Mapping)]
    for event in events[:MAX_FIELDS]:
        page.field(_text(event, "type"), json.dumps(event.get("data"), ensure_ascii=False))
    if not events:
        page.line("none", "dim")
    verbs = ", ".join(verb for verb in _list(result, "instructions") if isinstance(verb, str))
    page.field("then", f"the carrier is told: {verbs or 'nothing'}")
    before, after = result.get("before") or "no call", result.get("state") or "no call"
    page.title(f"The call: {page.said(before)} → {page.said(after)}")
    for change in _list(result, "changes")[:MAX_FIELDS]:
        if isinstance(change, Mapping):
            old, new = (json.dumps(change.get(name), ensure_ascii=False) for name in ("before", "after"))
            page.field(_text(change, "field"), f"{old} → {new}")


def form_of(body: str) -> list[tuple[str, str]]:
    """The fields of a form; nothing for a body that is none."""
    if "=" not in body.partition("&")[0] or body.lstrip()[:1] in ("{", "[", "<"):
        return []
    try:
        return parse_qsl(body, keep_blank_values=True, errors="replace", max_num_fields=MAX_FIELDS)
    except ValueError:
        return []


def pretty(body: str) -> list[str]:
    """JSON and XML in lines with indentation; anything else in its own lines."""
    start = body.lstrip()[:1]
    if start in ("{", "["):
        try:
            return json.dumps(json.loads(body), indent=2, ensure_ascii=False).splitlines()
        except (ValueError, RecursionError):
            return _lines(body)
    return _tags(body) if start == "<" else _lines(body)


def _tags(body: str) -> list[str]:
    lines: list[str] = []
    depth = 0
    for part in _TAG_GAP.sub(">\n<", body).splitlines():
        closes = part.startswith("</")
        depth -= closes
        lines.append("  " * max(0, min(depth, 15)) + part)
        opens = part.startswith("<") and not part.startswith(("<?", "<!")) and not closes
        depth += opens and not part.endswith("/>") and "</" not in part
    return lines


def _lines(text: str) -> list[str]:
    return text.splitlines()


def _text(value: Mapping[str, Any], key: str) -> str:
    text = value.get(key)
    return text if isinstance(text, str) else ""


def _part(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = value.get(key)
    return part if isinstance(part, Mapping) else {}


def _list(value: Mapping[str, Any], key: str) -> Sequence[Any]:
    found = value.get(key)
    return found if isinstance(found, list | tuple) else ()
