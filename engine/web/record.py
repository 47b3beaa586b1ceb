"""One request of a carrier as the desk keeps it, and as it may be shown.

What is kept is what is needed to judge the request again: its bytes, without credentials that no verdict depends on
(those are dropped before anything is stored) and without tokens that open a stream. What is shown has no secret in
it; with `secrets` it has the signature and the query as they came, so that a copy verifies again.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from engine.carriers.base import Verdict
from engine.store import WebhookRow
from engine.web import masking
from engine.web.curl import curl
from engine.web.masking import HIDDEN, Masker

Kind = Literal["webhook", "media socket"]
MAX_HEADERS: Final = 100
MAX_HEADER: Final = 4096
MAX_TARGET: Final = 8192
MAX_STRANGERS_BODY: Final = 16 * 1024
"""Bytes that are kept of a body that did not verify: carriers send less."""
MAX_SIGNED: Final = 16 * 1024
MAX_TRIED: Final = 60
MAX_WORDS: Final = 4096
_MAX_TEXT: Final = 2000


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body, byte for byte: text is Latin-1."""

    method: str
    target: str
    """Path and query."""
    headers: Sequence[tuple[str, str]]
    peer: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """An operator let a request come again."""

    of: int
    by: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One request and what came of it."""

    head: Head
    at: int
    """Epoch ms at which it came."""
    ms: float
    verdict: str
    """ok, refused or replay."""
    why: str
    status: int
    effect: str
    kind: Kind = "webhook"
    body: bytes | None = None
    """None: it was not read."""
    judged: Verdict | None = None
    doubt: str = ""
    type: str = ""
    call_id: str | None = None
    signatures: Sequence[str] = ()
    """Names of the carrier's signature headers."""
    answer: bytes = b""
    answer_type: str = ""
    tokens: Sequence[str] = ()
    """What the answer holds and nobody may see."""
    replayed: Replayed | None = None
    position: int = 0
    """The number of the last event that was stored before it came."""


def to_row(id_: int, seen: Seen, masker: Masker) -> WebhookRow:
    """A request as it is stored."""
    body = seen.body or b""
    kept = body if seen.verdict != "refused" else body[:MAX_STRANGERS_BODY]
    headers, dropped = _kept_headers(seen)
    hidden = Masker(seen.tokens)
    summary = {
        "id": id_,
        "at": seen.at,
        "kind": seen.kind,
        "method": seen.head.method[:20],
        "path": _shown(masking.mask_target(meant(seen.head.target))),
        "peer": seen.head.peer,
        "type": _shown(seen.type),
        "verdict": seen.verdict,
        "why": _shown(seen.why),
        "status": seen.status,
        "ms": round(seen.ms),
        "callId": seen.call_id,
        "effect": _shown(seen.effect),
        "replayed": {"of": seen.replayed.of, "by": seen.replayed.by} if seen.replayed else None,
    }
    judged = seen.judged or Verdict(False, "")
    detail = {
        "target": seen.head.target[:MAX_TARGET],
        "headers": headers,
        "dropped": dropped,
        "signatures": list(seen.signatures),
        "body": base64.b64encode(kept).decode(),
        "bodySize": len(body),
        "bodyRead": seen.body is not None,
        "whole": len(kept) == len(body) and len(headers) == len(seen.head.headers) - len(dropped),
        "signed": _plain(judged.signed[:MAX_SIGNED]),
        "form": _plain(judged.form),
        "tried": [_plain(url) for url in dict.fromkeys(judged.tried)][:MAX_TRIED],
        "doubt": _shown(seen.doubt),
        "answer": {"type": seen.answer_type, "body": hidden.scrub(seen.answer.decode("utf-8", "replace"))},
        "position": seen.position,
    }
    shown = masker.scrub_all(summary)
    words = " ".join(str(value) for value in shown.values() if value is not None)
    said = masker.scrub(masking.mask_body(kept[:MAX_WORDS].decode("utf-8", "replace")))
    return WebhookRow(
        id_,
        seen.at,
        seen.call_id,
        seen.verdict,
        f"{words} {_plain(said)}".lower()[: 2 * MAX_WORDS],
        orjson.dumps(shown).decode(),
        orjson.dumps(detail).decode(),
    )


def _kept_headers(seen: Seen) -> tuple[list[list[str]], list[str]]:
    """Headers without credentials, and the names of those that were dropped."""
    signatures = {name.lower() for name in seen.signatures}
    kept: list[list[str]] = []
    dropped: list[str] = []
    for name, value in seen.head.headers[:MAX_HEADERS]:
        if name.lower() not in signatures and masking.is_secret_name(name) and "signature" not in name.lower():
            dropped.append(name[:100])
        else:
            kept.append([name[:200], value[:MAX_HEADER]])
    return kept, dropped


@dataclass(frozen=True, slots=True)
class Stored:
    """A request as it was read back."""

    summary: Mapping[str, Any]
    detail: Mapping[str, Any]

    @classmethod
    def read(cls, summary: str, detail: str) -> Stored:
        return cls(orjson.loads(summary), orjson.loads(detail))

    @property
    def id(self) -> int:
        return int(self.summary["id"])

    @property
    def head(self) -> Head:
        """Without the credentials that were dropped."""
        headers = [(str(name), str(value)) for name, value in self.detail["headers"]]
        return Head(self.summary["method"], self.detail["target"], headers, self.summary["peer"])

    @property
    def body(self) -> bytes:
        return base64.b64decode(self.detail["body"])

    @property
    def unfit(self) -> str:
        """Why it can not be replayed; nothing for one that can be."""
        if self.summary["kind"] != "webhook":
            return "a media socket belongs to the moment: its token is used up and is not kept"
        if not self.detail["bodyRead"]:
            return "its body was not read, so there is nothing to judge"
        return "" if self.detail["whole"] else "it was too large to be kept whole"


def shown_summary(summary: str, masker: Masker) -> dict[str, Any]:
    """One row of the list."""
    scrubbed: dict[str, Any] = masker.scrub_all(orjson.loads(summary))
    return scrubbed


def shown_whole(stored: Stored, masker: Masker, origin: str, *, secrets: bool = False) -> dict[str, Any]:
    """All that is known of a request. `origin`: where a curl command sends it, http://host:port."""
    head, detail, body = stored.head, stored.detail, stored.body
    text = body.decode("utf-8", "replace")
    if secrets:
        see = Masker()
        headers = [[name, meant(value)] for name, value in head.headers]
        target, said = meant(head.target), text
    else:
        see = masker.also(masking.named_secrets(meant(head.target), text))
        headers = [[name, _shown_header(name, see.scrub(meant(value)), detail)] for name, value in head.headers]
        target, said = masking.mask_target(see.scrub(meant(head.target))), masking.mask_body(see.scrub(text))
    url = str if secrets else masking.mask_url
    sent = [(name, value) for name, value in headers]
    payload = body if secrets else said.encode("utf-8", "replace") if said != text else body
    whole = {
        **stored.summary,
        "target": target,
        "headers": headers + [[name, HIDDEN] for name in detail["dropped"]],
        "body": said,
        "bodySize": detail["bodySize"],
        "bodyRead": detail["bodyRead"],
        "whole": detail["whole"],
        "signed": detail["signed"] if secrets else _masked_urls(detail["signed"], detail["tried"]),
        "form": url(detail["form"]),
        "tried": [{"url": url(tried), "fits": tried == detail["form"]} for tried in detail["tried"]],
        "forwarded": detail["doubt"],
        "answer": detail["answer"],
        "unfit": stored.unfit,
        "secrets": secrets,
    }
    scrubbed: dict[str, Any] = see.scrub_all(whole)
    if detail["bodyRead"] and not detail["whole"]:
        return {**scrubbed, "curl": ""}
    return {**scrubbed, "curl": see.scrub(curl(head.method, origin + target, sent, payload, detail["dropped"]))}


def _masked_urls(text: str, urls: Sequence[str]) -> str:
    """What was signed holds one of the URLs that were tried."""
    for url in sorted(urls, key=len, reverse=True):
        text = text.replace(url, masking.mask_url(url))
    return text


def _shown_header(name: str, value: str, detail: Mapping[str, Any]) -> str:
    if name.lower() in detail["signatures"] or ("signature" in name.lower() and "settings" not in name.lower()):
        return masking.shortened(value)
    return masking.mask_url(value) if "://" in value or value.startswith("/") else value


def meant(text: str) -> str:
    """Latin-1 text as what it most likely is: UTF-8."""
    return text if text.isascii() else text.encode("latin-1", "replace").decode("utf-8", "replace")


def _plain(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _shown(text: str) -> str:
    return _plain(text)[:_MAX_TEXT]
