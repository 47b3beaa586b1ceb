"""Who answered instead of us: what a reply says that no request of ours led to. Pure.

Sources: nginx's and Cloudflare's error pages, ngrok's list of error codes (ngrok.com/docs/errors).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Words = tuple[str, str, str]
"""Message, fix, and the slug of the cause."""
OWN_REFUSAL: Final = "no signature header: not from the carrier"
"""How a voicecall engine refuses what it does not know."""
_OTHER_REFUSALS: Final = ("signature", "the request is not signed")
_NGROK: Final[Mapping[str, Words]] = {
    "ERR_NGROK_6024": (
        "ngrok's warning page answers instead of the engine: the free tier shows it to browsers",
        "carriers get past it; if yours does not, use a paid plan or another tunnel",
        "interstitial",
    ),
    "ERR_NGROK_3200": (
        "ngrok says that the tunnel is not online (ERR_NGROK_3200)",
        "start it again; the free tier may have given it another name meanwhile",
        "tunnel_offline",
    ),
    "ERR_NGROK_3004": (
        "ngrok got no proper answer from this machine (ERR_NGROK_3004)",
        "let the tunnel lead to the engine's port, by http",
        "tunnel_upstream",
    ),
    "ERR_NGROK_8012": (
        "ngrok is up, but does not reach the engine (ERR_NGROK_8012)",
        "let the tunnel lead to the engine's port",
        "tunnel_upstream",
    ),
    "ERR_NGROK_725": ("ngrok's limit of traffic is used up (ERR_NGROK_725)", "wait, or use a paid plan", "limit"),
    "ERR_NGROK_727": ("ngrok's limit of requests is used up (ERR_NGROK_727)", "wait, or use a paid plan", "limit"),
}
_CLOUDFLARE: Final = {520, 521, 522, 523, 524, 525, 526, 530}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Header names are lower case; `body` is its beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    proved: bool = False
    """It holds what only this engine can know."""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def stranger(answer: Answer | None, why: str, origin: str, path: str, size: int) -> Words:
    """A request for `path` with `size` bytes of body did not reach `origin`; this is what came back instead."""
    if answer is None:
        message = f"no answer from there ({why}), and nothing reached the engine"
        return message, f"does the proxy or tunnel lead to {origin}?", "no_answer"
    if (words := _ngrok(answer)) is not None:
        return words
    return _by_status(answer, origin, path, size)


def _ngrok(answer: Answer) -> Words | None:
    found = re.search(r"ERR_NGROK_[0-9]+", answer.headers.get("ngrok-error-code", "") or answer.text)
    if found is None:
        return None
    code = found[0]
    return _NGROK.get(
        code, (f"ngrok answers with {code}", f"see https://ngrok.com/docs/errors/{code.lower()}", "ngrok")
    )


def _by_status(answer: Answer, origin: str, path: str, size: int) -> Words:
    status, who = answer.status, _who(answer)
    if 300 <= status < 400:
        return _redirect(answer)
    if status == 400 and "HTTPS port" in answer.text:
        message = "wrong scheme: public_url says http, and TLS is spoken there"
        return message, "write https:// in public_url", "scheme"
    if status in (502, 503, 504):
        message = f"{who} answers {status}: it is up, but does not reach the engine"
        return message, f"let it lead to {origin}, by http", "bad_gateway"
    if status in _CLOUDFLARE:
        message = f"Cloudflare answers {status}: it does not reach this machine"
        return message, f"is the tunnel up, and does it lead to {origin}?", "bad_gateway"
    if status == 413:
        message = f"{who} refuses a body of {size} bytes with 413: webhooks would be lost"
        return message, "let the proxy take bodies of 64 kB (nginx: client_max_body_size 64k)", "body_limit"
    if status in (401, 403, 407, 429) and not _is_engine(answer):
        message = f"{who} answers {status}: it wants something that carriers do not send"
        return message, f"let {path} through without a login, a challenge or a limit", "forbidden"
    if _is_engine(answer):
        message = "another voicecall engine answers at this address, not this one"
        return message, f"stop the other one, or let the address lead to {origin}", "other_engine"
    if status == 404:
        message = f"{who} answers 404: it does not pass {path} on to the engine"
        return message, f"let the proxy pass {path} on to {origin}; or is another program on that port?", "not_found"
    if status == 405:
        message = f"{who} answers 405: another program is at this address, and takes no POST"
        return message, f"let the address lead to {origin}", "other_program"
    message = f"another program answers at this address: {who}, with {status}{_title(answer)}"
    return message, f"let the address lead to {origin}, or set public_url to where the engine is", "other_program"


def _redirect(answer: Answer) -> Words:
    where = answer.headers.get("location", "")
    shown = "".join(char for char in where.partition("?")[0] if char.isprintable())[:120]
    message = (
        f"it redirects ({answer.status}) to {shown or 'nowhere'}: a POST does not survive that, nor its signature"
    )
    if where.lower().startswith("https://"):
        return message, "set public_url to the https:// address itself", "redirect"
    return message, "set public_url to the address that it leads to", "redirect"


def _is_engine(answer: Answer) -> bool:
    if answer.headers.get("content-type", "").partition(";")[0] != "text/plain":
        return False
    return answer.status == 401 and any(text in answer.text for text in (OWN_REFUSAL, *_OTHER_REFUSALS))


def _who(answer: Answer) -> str:
    """The program that names itself in the headers."""
    name = re.match(r"[\w./ -]{1,40}", answer.headers.get("server", ""))
    return name[0].strip() if name is not None and name[0].strip() else "something"


def _title(answer: Answer) -> str:
    found = re.search(r"<title>([^<]{1,80})", answer.text, re.IGNORECASE)
    said = "".join(char for char in found[1] if char.isprintable()).strip() if found is not None else ""
    return f" ({said})" if said else ""
