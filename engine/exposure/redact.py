"""Takes secrets out of what tunnel programs print, before it gets into a log or a message."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from typing import Final

HIDDEN: Final = "…"
_NAMED: Final = re.compile(
    r"(?i)\b((?:auth[_-]?)?token|secret|password|passwd|api[_-]?key|access[_-]?key|authorization)"
    r"(\"?\s*[=:]\s*\"?(?:bearer\s+|basic\s+)?)[^\s\"',;&]{4,}"
)
_BEARER: Final = re.compile(r"(?i)(?<![\w-])(bearer|basic|--(?:auth-?)?token)(\s+)[^\s\"',;&]{6,}")
_USER: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@:]+:[^\s/@]+@")
_SHORTEST: Final = 6
"""Characters of a known secret that is looked for: a shorter one would be found in every word."""


class Redactor:
    """Hides known secrets, whatever stands after a word like token, and passwords in URLs."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._known = sorted((secret for secret in secrets if len(secret) >= _SHORTEST), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        text = _USER.sub(rf"\1{HIDDEN}@", text)
        return _BEARER.sub(rf"\1\2{HIDDEN}", _NAMED.sub(rf"\1\2{HIDDEN}", text))


class KnownSecrets(logging.Filter):
    """Hides known secrets in the records of one logger: the rest of them is the vendor's own words."""

    def __init__(self, secrets: Collection[str]) -> None:
        super().__init__()
        self._known = [secret for secret in secrets if secret]

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        record.msg, record.args = text, ()
        return True

    def hides(self, secret: str) -> bool:
        return secret in self._known
