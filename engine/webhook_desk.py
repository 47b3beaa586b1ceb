"""The webhook desk: requests of the carrier that were kept, and letting one of them come again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from engine.api import Refusal, ReplayInto
from engine.calls import Draft
from engine.sandbox import Sandbox
from engine.store import WebhookQuery
from engine.web.ledger import Ledger
from engine.web.record import Replayed, Stored
from engine.web.webhooks import Came, WebhookPipeline

_NOTES: Final = {
    "replay": "the replay protection holds: these bytes were seen within the last ten minutes, so nothing was done",
    "ok": "these bytes were not known any more, so they counted as new and were acted on",
    "refused": "refused as it would be from the carrier: there is no way around the signature",
}


class WebhookDesk:
    """What an operator can ask about webhooks. Belongs to the engine's loop."""

    def __init__(
        self, ledger: Ledger, pipeline: WebhookPipeline, sandbox: Sandbox, post: Callable[..., None]
    ) -> None:
        self._ledger = ledger
        self._pipeline = pipeline
        self._sandbox = sandbox
        self._post = post

    async def find(self, wanted: WebhookQuery) -> Sequence[Mapping[str, Any]]:
        """Summaries, newest first."""
        return await self._ledger.find(wanted)

    async def show(self, webhook_id: int, secrets: bool) -> Mapping[str, Any]:
        """All that is known of one. Raises Refusal."""
        return await self._ledger.show(webhook_id, secrets=secrets)

    async def replay(self, webhook_id: int, into: ReplayInto, by: str) -> Mapping[str, Any]:
        """Let one come again. Raises Refusal."""
        stored = await self._ledger.stored(webhook_id)
        if stored.unfit:
            raise Refusal("not_supported", f"the webhook {webhook_id} can not be replayed: {stored.unfit}")
        if into == "sandbox":
            return await self._sandbox.replay(stored, self._ledger.masker, self._pipeline.knows)
        return await self._live(stored, by)

    async def _live(self, stored: Stored, by: str) -> Mapping[str, Any]:
        facts = {"action": "replay webhook", "by": by, "webhook": stored.id}
        self._post(Draft("operator.acted", stored.summary["callId"], facts))
        came = await self._pipeline.replay(stored.head, stored.body, Replayed(stored.id, by))
        return self._told(stored, came)

    def _told(self, stored: Stored, came: Came) -> Mapping[str, Any]:
        facts = came.facts
        answer = came.response.body
        result = {
            "into": "live",
            "webhook": stored.id,
            "record": facts.get("record"),
            "verdict": facts["verdict"],
            "why": facts["why"],
            "effect": facts["effect"],
            "callId": facts["matched"],
            "document": {"status": came.response.status, "type": came.response.content_type, "body": ""},
            "note": _NOTES[facts["verdict"]],
        }
        if isinstance(answer, bytes):
            # The token that opens a stream goes to carriers only.
            hidden = self._ledger.masker.also(came.tokens)
            result["document"]["body"] = hidden.scrub(answer.decode("utf-8", "replace"))
        return self._ledger.masker.scrub_all(result)  # type: ignore[no-any-return]


def local_origin(bind: str, port: int) -> str:
    """Where programs of this machine reach our server."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(bind, f"[{bind}]" if ":" in bind else bind)
    return f"http://{host}:{port}"
