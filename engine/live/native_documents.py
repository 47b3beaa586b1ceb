"""What a carrier that speaks and listens by itself was told to do, one document after the other.

Each document has a token of its own, which comes back with whatever was heard while it ran. So it is known which of
our lines the caller had heard when they spoke, and what comes too late is seen to be late.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engine.carriers.base import Document, Hangup, Keys, Listen, Redirect, Say
from engine.carriers.links import Flow, link
from engine.live.lines import Utterance

KEEP: Final = 32
"""Documents whose answers may still come."""


@dataclass(frozen=True, slots=True)
class Told:
    """One document that the carrier was given. `after` is the id of our latest line in it or before it."""

    token: str
    number: int
    after: str


class Documents:
    """The documents of one call. `current` is the one that the carrier is believed to execute."""

    def __init__(self, call_id: str, webhook_url: Callable[[], str]) -> None:
        self._call_id = call_id
        self._webhook_url = webhook_url
        self._told: OrderedDict[str, Told] = OrderedDict()
        self._count = 0
        self._used: OrderedDict[str, None] = OrderedDict()
        """Tokens of documents that ended with what was heard in them."""
        self._newest_used = 0
        self.current: Told | None = None

    def tell(self, line: Utterance | None) -> tuple[Told, Document]:
        """A document that says `line`, if any, and listens then."""
        self._count += 1
        before = self.current.after if self.current is not None else ""
        told = Told(secrets.token_urlsafe(9), self._count, line.say_id if line is not None else before)
        self._told[told.token] = told
        while len(self._told) > KEEP:
            self._told.popitem(last=False)
        return told, self._document(told.token, line)

    def ask(self) -> tuple[str, Document]:
        """Have the carrier fetch its next document, which may be larger than what fits in a request of ours. The
        token comes back with the fetching, where the carrier hands it back."""
        token = secrets.token_urlsafe(9)
        return token, (Redirect(self._url("connect", n=token)),)

    def find(self, token: str) -> Told | None:
        """The document that something was heard in; None for one of an earlier life of this engine."""
        return self._told.get(token)

    def is_late(self, token: str) -> bool:
        """Whether it is from a document that was replaced meanwhile."""
        told = self.find(token)
        return told is not None and self.current is not None and told.number < self.current.number

    def is_stale(self, token: str) -> bool:
        """Whether what a document ended with was told before, or something of a newer one was: it was in order then,
        and is no words of now. A document that was merely replaced may still end with the caller's words."""
        if not token:
            return False
        told = self.find(token)
        return token in self._used or (told.number if told is not None else 0) < self._newest_used

    def use(self, token: str) -> None:
        """A document has ended with this: it does so once."""
        told = self.find(token)
        if not token:
            return
        self._used[token] = None
        while len(self._used) > KEEP:
            self._used.popitem(last=False)
        self._newest_used = max(self._newest_used, told.number if told is not None else 0)

    def _document(self, token: str, line: Utterance | None) -> Document:
        if line is not None and line.kind == "keys":
            # Each time another address: a carrier that signs no time would send the same bytes twice.
            return (Keys(line.text), Redirect(self._url("connect", n=token)))
        if line is not None and line.kind == "notify":
            return (Say(line.text, token), Hangup())
        listen, partial = self._url("listen", turn=token), self._url("partial", turn=token)
        return (Listen(listen, partial, line.text if line is not None else ""),)

    def _url(self, flow: Flow, **more: str) -> str:
        return link(self._webhook_url(), flow, self._call_id, **more)
