"""Which pieces of audio, committed at a vendor, make up which utterance of ours. Pure; times are given in seconds.

A vendor transcribes committed pieces (items). We commit at the end of each utterance, and a vendor with a voice
detector commits on its own too. Items are released in the order in which they were committed, which each one tells
by naming the one before it, however late the text of any of them comes:

    utterance N = every item after those of utterance N-1, up to the one that our Nth commit made

A commit that the vendor refuses because there was nothing (left) to commit makes no item, and ends its utterance all
the same. An item whose transcription failed holds nothing up. Everything that waits for the vendor has a limit here;
one that says nothing at all is the socket's business (`waiting_since`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from engine.speech.ports import Final as FinalText

GRACE_SECONDS: Final = 0.3
"""After an item that the vendor committed by itself while ours was on its way: how long ours, or its refusal, may
take before that item is taken for ours."""
QUIET_SECONDS: Final = 1.0
"""How long our commit may go unanswered where the vendor's detector has committed everything that it found."""
ORDER_SECONDS: Final = 0.5
"""How long an item waits for the one that it names as the one before."""
MAX_ITEMS: Final = 64
"""Items without a text; more are a vendor that has stopped transcribing."""
_REMEMBERED: Final = 256


class TooManyItems(Exception):
    """The vendor commits and commits, and transcribes nothing."""


@dataclass(slots=True, eq=False)
class _Item:
    """One piece of audio at the vendor."""

    id: str
    text: str = ""
    settled: bool = False
    error: str = ""
    ours: bool = False
    claimed: bool = False


@dataclass(slots=True, eq=False)
class _Asked:
    """An utterance of ours that ended at `at`."""

    number: int
    dropped_ms: int
    at: float
    items: list[_Item] | None = None
    """What it is made of, once that is known."""
    theirs_at: float | None = None
    """When the vendor committed by itself after our commit had been sent."""
    error: str = ""


@dataclass(slots=True, eq=False)
class Commits:
    """The items and utterances of one session. `vendor_commits`: the vendor's voice detector commits too."""

    vendor_commits: bool = False
    _items: dict[str, _Item] = field(default_factory=dict)
    _chain: list[_Item] = field(default_factory=list)
    """Committed, in order, and of no utterance yet."""
    _early: dict[str, tuple[_Item, float]] = field(default_factory=dict)
    """The item before -> an item that came earlier than that one, and when."""
    _seen: deque[str] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """Ids of items that were linked, newest last."""
    _asked: deque[_Asked] = field(default_factory=deque)

    @property
    def waiting_since(self) -> float | None:
        """Since when the oldest utterance waits for its text."""
        return self._asked[0].at if self._asked else None

    @property
    def idle(self) -> bool:
        """Nothing is under way: no text is awaited and no words are half said."""
        return not (self._asked or self._chain or self._items)

    @property
    def complete(self) -> bool:
        """The vendor's detector found something, and has committed all of it: no commit of ours is needed. One would
        be of silence, which some models fill with words."""
        return bool(self._chain) and len(self._chain) == self._unclaimed()

    def asked(self, number: int, dropped_ms: int, now: float) -> None:
        """Our commit for an utterance is sent."""
        self._asked.append(_Asked(number, dropped_ms, now))

    def refused(self, number: int | None, error: str = "") -> None:
        """The vendor did not take a commit (None: the oldest one): there was nothing to commit, or `error`."""
        asked = next((each for each in self._open() if number in (None, each.number)), None)
        if asked is not None:
            asked.error = error
            self._claim(asked, len(self._chain))

    def committed(self, item_id: str, before: str | None, now: float, *, by_vendor: bool = False) -> None:
        """An item was committed, after the item `before`. Raises TooManyItems."""
        item = self._item(item_id)
        item.ours = not by_vendor
        if before and self._seen and before not in self._seen:
            self._early[before] = (item, now)
        else:
            self._link(item, before, now)

    def delta(self, item_id: str, text: str, *, whole: bool = False) -> None:
        """Words of an item; `whole`: all of them so far, not only the newest. Raises TooManyItems."""
        if item_id in self._seen and item_id not in self._items:
            return  # released already
        item = self._item(item_id)
        if not item.settled:
            item.text = text if whole else item.text + text

    def completed(self, item_id: str, text: str) -> None:
        """The text of an item. Raises TooManyItems."""
        if item_id in self._seen and item_id not in self._items:
            return
        item = self._item(item_id)
        item.text, item.settled = text, True

    def failed(self, item_id: str, error: str) -> None:
        """An item has no text, and will have none. Raises TooManyItems."""
        self.completed(item_id, "")
        if (item := self._items.get(item_id)) is not None:
            item.error = error

    def partial(self) -> str:
        """The words so far of what is being said now; nothing while an utterance that is over waits for its items."""
        if any(True for _ in self._open()):
            return ""
        return _joined(item for item in self._items.values() if not item.claimed)

    def tick(self, now: float) -> None:
        """Stop waiting for what should have come by now."""
        for before, (item, since) in list(self._early.items()):
            if now - since >= ORDER_SECONDS:
                del self._early[before]
                self._link(item, None, now)
        if not self.vendor_commits:
            return
        asked = next(self._open(), None)
        if asked is None:
            return
        if asked.theirs_at is not None:
            late = now - asked.theirs_at >= GRACE_SECONDS
        else:  # words without a commit are still to come
            late = now - asked.at >= QUIET_SECONDS and self._unclaimed() == len(self._chain)
        if late:
            self._claim(asked, len(self._chain))

    def released(self) -> Iterator[FinalText]:
        """The utterances that are complete, in order; each is told once."""
        while self._asked:
            asked = self._asked[0]
            if asked.items is None or not all(item.settled for item in asked.items):
                return
            self._asked.popleft()
            for item in asked.items:
                self._items.pop(item.id, None)
            error = asked.error or next((item.error for item in asked.items if item.error), "")
            yield FinalText(_joined(asked.items), asked.number, asked.dropped_ms, error)

    def _open(self) -> Iterator[_Asked]:
        """Utterances that are over and whose items are not known yet."""
        return (asked for asked in self._asked if asked.items is None)

    def _unclaimed(self) -> int:
        return sum(1 for item in self._items.values() if not item.claimed)

    def _item(self, item_id: str) -> _Item:
        item = self._items.get(item_id)
        if item is None:
            if len(self._items) >= MAX_ITEMS:
                raise TooManyItems(f"{MAX_ITEMS} pieces of audio wait for their text")
            item = self._items[item_id] = _Item(item_id)
        return item

    def _link(self, item: _Item, before: str | None, now: float) -> None:
        """Put an item where it belongs in the chain, and behind it the one that waited for it."""
        if item.id in self._seen:
            return  # told twice
        ids = [each.id for each in self._chain]
        place = ids.index(before) + 1 if before in ids else len(ids)
        self._chain.insert(place, item)
        self._seen.append(item.id)
        asked = next(self._open(), None)
        if asked is not None and item.ours:
            self._claim(asked, place + 1)
        elif asked is not None and asked.theirs_at is None:
            asked.theirs_at = now
        follower = self._early.pop(item.id, None)
        if follower is not None:
            self._link(follower[0], item.id, now)

    def _claim(self, asked: _Asked, count: int) -> None:
        """The first `count` items of the chain are this utterance."""
        asked.items, self._chain = self._chain[:count], self._chain[count:]
        for item in asked.items:
            item.claimed = True


def _joined(items: Iterator[_Item] | list[_Item]) -> str:
    return " ".join(text for item in items if (text := item.text.strip()))
