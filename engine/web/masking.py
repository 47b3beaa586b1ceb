"""What is secret in a request, and how it looks without: by name, by place, and by what the configuration holds.

Nothing here is a matter of care: whatever leaves the store passes `Masker.scrub`, so that a secret of the
configuration is hidden in whatever part of a request, however it is escaped there.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final
from urllib.parse import unquote_plus

from pydantic import BaseModel, SecretStr

from engine.carriers.urls import take_apart

HIDDEN: Final = "…"
SHORTEST: Final = 4
"""Characters of a secret that is looked for: a shorter one would be found in every word."""
_SHORTEST_VALUE: Final = 6
_NAMES: Final = re.compile(
    r"token|secret|passw|pwd|signature|^sig$|api[_-]?key|access[_-]?key|^key$|auth(?!ors?\b|or$|or_)|credential"
    r"|jwt|session|cookie|bearer|assertion|stream_url",
    re.IGNORECASE,
)
"""Names of headers, parameters and fields whose values are secret. The address of a stream may end in the token that
opens it, and Telnyx tells it."""
_PLAIN: Final = re.compile(r"[0-9A-Za-z]+", re.ASCII)
_ESCAPED: Final = re.compile(r"%(?:3[0-9]|4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a])|\\u00[3-7]|&\#", re.IGNORECASE)
"""A letter or a digit that was escaped without need: then the quick look sees nothing."""
_JSON_FIELD: Final = re.compile(r'("((?:[^"\\]|\\.){1,80})"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^\s,}\]{\["]+)')


def is_secret_name(name: str) -> bool:
    """Whether what has this name is to be hidden."""
    return _NAMES.search(name) is not None


def secrets_of(section: BaseModel) -> frozenset[str]:
    """Every secret of a configuration."""
    return frozenset(_secrets(section))


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, dict):
        for each in value.values():
            yield from _secrets(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _secrets(each)


class Masker:
    """Hides known secrets in any text, in every spelling that URLs, forms, JSON and XML have for it."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrets = frozenset(text for secret in secrets if len(text := secret.strip()) >= SHORTEST)
        known = sorted(self._secrets, key=lambda secret: (-len(secret), secret))
        self._pattern = re.compile("|".join(map(_spellings, known))) if known else None
        self._cores = [max(_PLAIN.findall(secret), key=len, default="") for secret in known]

    def also(self, secrets: Iterable[str]) -> Masker:
        """One that hides these as well."""
        return Masker([*self._secrets, *secrets])

    def scrub(self, text: str) -> str:
        """`text` without secrets."""
        if self._pattern is None or not self._is_suspect(text):
            return text
        return self._pattern.sub(HIDDEN, text)

    def _is_suspect(self, text: str) -> bool:
        """Quickly, and for nearly every text: none of the secrets can be in it. The search itself takes tens of
        milliseconds for a large body, in which no other thread can do anything."""
        return any(core in text for core in self._cores) or _ESCAPED.search(text) is not None

    def scrub_all(self, value: Any) -> Any:
        """The same for every text in a JSON value. Keys are our own words."""
        if isinstance(value, str):
            return self.scrub(value)
        if isinstance(value, dict):
            return {key: self.scrub_all(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.scrub_all(item) for item in value]
        return value


def _spellings(secret: str) -> str:
    return "".join(map(_spelling, secret))


def _spelling(char: str) -> str:
    """A character as it is, or escaped for a URL, a form, JSON, XML, or read as Latin-1."""
    code = char.encode("utf-8", "replace")
    escaped = "".join(f"%{byte:02x}" for byte in code)
    ways = {re.escape(char), f"(?i:{escaped})", f"(?i:&\\#{ord(char)};)", f"(?i:&\\#x{ord(char):x};)"}
    if ord(char) < 0x10000:
        ways.add(rf"(?i:\\u{ord(char):04x})")
    if char == " ":
        ways.add(r"\+")
    if char in '"\\/':
        ways.add(re.escape("\\" + char))
    if (xml := html.escape(char)) != char:
        ways.add(re.escape(xml))
    if not char.isascii():
        ways.add(re.escape(code.decode("latin-1")))
    return f"(?:{'|'.join(sorted(ways, key=len, reverse=True))})"


def mask_target(target: str) -> str:
    """A path with its query: values of parameters with a secret's name are hidden."""
    path, mark, query = target.partition("?")
    return path + mark + mask_form(query)


def mask_url(url: str) -> str:
    """A whole URL: the same, and no password."""
    parts = take_apart(url)
    if parts is None:
        return mask_target(url)
    user = f"{HIDDEN}@" if parts.user else ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{user}{parts.host}{port}{mask_target(parts.path + parts.query)}"


def mask_form(text: str) -> str:
    """A query, or the body of a form."""
    return "&".join(_masked_pair(pair) for pair in text.split("&"))


def _masked_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}={HIDDEN}" if equals and value and is_secret_name(unquote_plus(name)) else pair


def mask_body(text: str) -> str:
    """A body: a form, or JSON."""
    if not looks_like_json(text):
        return mask_form(text)
    return _JSON_FIELD.sub(lambda found: found[1] + f'"{HIDDEN}"' if is_secret_name(found[2]) else found[0], text)


def looks_like_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def named_secrets(*texts: str) -> Iterator[str]:
    """The values that `mask_form` and `mask_body` hide, as they stand there and decoded: what is signed repeats them
    without their names."""
    for text in texts:
        if looks_like_json(text):
            values = [found[3].strip('"') for found in _JSON_FIELD.finditer(text) if is_secret_name(found[2])]
        else:
            pairs = (pair.partition("=") for pair in text.partition("?")[2].split("&") + text.split("&"))
            values = [value for name, equals, value in pairs if equals and is_secret_name(unquote_plus(name))]
        for value in values:
            if len(value) >= _SHORTEST_VALUE:
                yield value
                yield unquote_plus(value)


def shortened(value: str) -> str:
    """A signature that can be compared by eye and not be used."""
    return f"{value[:6]}{HIDDEN} ({len(value)} characters)" if len(value) > 12 else HIDDEN
