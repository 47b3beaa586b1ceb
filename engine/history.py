"""What the stored log tells when no engine runs: calls, events and latencies, read only.

Answers have the shapes of the control door. A state folder without a log is an empty history; nothing is created.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from engine.calls import Call, Event, fold
from engine.calls.latency import report
from engine.store import DATABASE_NAME, LogReader, StoreError, WebhookQuery, open_readonly

if TYPE_CHECKING:
    from engine.config import Config

SEARCHED_CALLS: Final = 1000
"""How many of the newest calls are searched for a carrier's id."""


class History:
    """The stored log of one state folder. Its methods block and raise StoreError."""

    def __init__(self, log: LogReader | None) -> None:
        self._log = log

    @property
    def empty(self) -> bool:
        """Nothing has ever been stored here."""
        return self._log is None or self._log.last_seq == 0

    def call(self, call_id: str) -> Call | None:
        """A call by our id or the carrier's."""
        if self._log is None:
            return None
        found = fold(self._log.read_calls([call_id])).get(call_id)
        if found is not None:
            return found
        recent = fold(self._log.read_calls(self._log.recent_call_ids(SEARCHED_CALLS)))
        return next((call for call in recent.values() if call.provider_call_id == call_id), None)

    def calls(self, last: int = 50) -> list[Call]:
        """The `last` newest calls, newest first."""
        if self._log is None:
            return []
        ids = self._log.recent_call_ids(last)
        calls = fold(self._log.read_calls(ids))
        return [calls[call_id] for call_id in ids if call_id in calls]

    def events(self, last: int, call_id: str | None = None) -> list[Event]:
        """The `last` newest events, in order."""
        return self._log.read_last(last, call_id) if self._log is not None else []

    def of_call(self, call: Call) -> list[Event]:
        """All events of one call, in order."""
        return self._log.read_calls([call.call_id]) if self._log is not None else []

    def around(self, since: int, until: int) -> list[Event]:
        """What belongs to no call and happened between two times (epoch ms), and how we were reached before."""
        return self._log.read_around(since, until) if self._log is not None else []

    def latency(self, last: int) -> Mapping[str, Any]:
        """Per stage: count, extremes, average and percentiles over the last `last` turns."""
        turns = self._log.read_turns(last) if self._log is not None else []
        return report(event.data for event in turns)

    def webhooks(self, wanted: WebhookQuery, config: Config) -> list[dict[str, Any]]:
        """Kept requests that match, newest first."""
        from engine.web.masking import Masker, secrets_of
        from engine.web.record import shown_summary

        masker = Masker(secrets_of(config))
        found = self._log.find_webhooks(wanted) if self._log is not None else []
        return [shown_summary(summary, masker) for _, summary in found]

    def webhook(self, webhook_id: int, config: Config, *, secrets: bool = False) -> dict[str, Any]:
        """All that is known of one kept request. Raises Refusal."""
        from engine.web.ledger import not_found
        from engine.web.masking import Masker, secrets_of
        from engine.web.record import Stored, shown_whole
        from engine.webhook_desk import local_origin

        found = self._log.webhook(webhook_id) if self._log is not None else None
        if found is None:
            raise not_found(webhook_id)
        origin = local_origin(config.serve.bind, config.serve.port)
        return shown_whole(Stored.read(*found), Masker(secrets_of(config)), origin, secrets=secrets)


@contextmanager
def open_history(state_dir: Path) -> Iterator[History]:
    """The history in `state_dir`. Raises StoreError for a log that can not be read."""
    if state_dir.exists() and not state_dir.is_dir():
        raise StoreError(f"{state_dir} is a file, not a state folder.", "Choose another folder with --state-dir.")
    path = state_dir / DATABASE_NAME
    if not path.exists():
        yield History(None)
        return
    with open_readonly(path) as log:
        yield History(log)
