"""What ngrok's error codes mean for us and what fixes them. Source: ngrok.com/docs/errors, one page per code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from engine.exposure.port import TunnelError

_CODE: Final = re.compile(r"ERR_NGROK_(\d{1,5})")
_TOKEN: Final = (
    "copy the token again from dashboard.ngrok.com/get-started/your-authtoken into tunnel.ngrok_auth_token or "
    "NGROK_AUTHTOKEN"
)
_UPDATE: Final = "update it: ngrok update, or voicecall expose --mode ngrok --install"
_DOMAINS: Final = "dashboard.ngrok.com/domains lists yours: set tunnel.ngrok_domain to one of them, or remove it"
_PLAN: Final = "see dashboard.ngrok.com/billing, or use tailscale-funnel or a command tunnel"
_SESSIONS: Final = (
    "stop the other agent (dashboard.ngrok.com/agents lists them; `pkill ngrok` here); the free plan allows few at "
    "a time"
)
_EXPLAINED: Final[Mapping[int, tuple[str, str]]] = {
    102: ("the ngrok account is suspended", "write to support@ngrok.com, or use another way to be reached"),
    103: ("the ngrok account is suspended", "write to support@ngrok.com, or use another way to be reached"),
    105: ("the ngrok token is not in the form of an authtoken: an API key is another thing", _TOKEN),
    106: ("the ngrok token is not valid", _TOKEN),
    107: ("the ngrok token is not valid: it was reset, revoked or copied in part", _TOKEN),
    108: ("another ngrok agent uses this account's only sessions", _SESSIONS),
    109: ("the ngrok account can not be used", "see dashboard.ngrok.com"),
    120: ("this ngrok agent is too old", _UPDATE),
    121: ("this ngrok agent is too old", _UPDATE),
    123: ("the ngrok account's e-mail address is not confirmed", "open the link in ngrok's e-mail"),
    313: ("ngrok's plan does not allow a name of one's choice", _DOMAINS),
    314: ("ngrok's plan does not allow a domain of one's own", _DOMAINS),
    319: ("tunnel.ngrok_domain is not reserved in this ngrok account", _DOMAINS),
    320: ("tunnel.ngrok_domain belongs to another ngrok account", _DOMAINS),
    324: ("the ngrok account has as many tunnels as it may", _SESSIONS),
    334: ("tunnel.ngrok_domain is online already, from another agent", _SESSIONS),
    725: ("the ngrok account has used up its traffic of this month", _PLAN),
    726: ("the ngrok account has used up its traffic of this month", _PLAN),
    727: ("the ngrok account has used up its requests of this month", _PLAN),
    734: ("ngrok's plan allows no more requests this minute", _PLAN),
    3200: ("nobody is online at this ngrok address", "the agent has ended, or the name has changed since"),
    4018: ("ngrok wants an account with a confirmed e-mail address and its token", _TOKEN),
    6024: (
        "ngrok's warning page for browsers answered instead of us: only browsers see it, on ngrok's free names",
        "send the header ngrok-skip-browser-warning when you try it out; carriers do not see the page",
    ),
    8012: ("ngrok's agent could not reach our server", "is the engine running, and on serve.port?"),
    9040: ("ngrok does not serve this network's addresses", "try from another network"),
}

FREE_NAMES: Final = (".ngrok-free.app", ".ngrok-free.dev", ".ngrok-free.pizza")


def code_of(text: str) -> str:
    """The ngrok code in a text, ERR_NGROK_107, or ""."""
    found = _CODE.search(text)
    return found[0] if found else ""


def explain(code: str) -> tuple[str, str]:
    """What a code means, and what fixes it; empty for one that is not known here."""
    found = _CODE.fullmatch(code)
    return _EXPLAINED.get(int(found[1]), ("", "")) if found else ("", "")


def to_error(text: str, what: str = "ngrok refuses") -> TunnelError:
    """The error that is told for ngrok's words, which are in `text`; secrets are out of it already."""
    code = code_of(text)
    meaning, fix = explain(code)
    said = " ".join(text.replace("\\r", " ").replace("\\n", " ").split())
    if meaning:
        return TunnelError(f"{meaning} ({code})", fix, code=code)
    if code:
        return TunnelError(f"{what}: {said[:300]}", f"see ngrok.com/docs/errors/{code.lower()}", code=code)
    if "no such host" in said or "i/o timeout" in said or "connection refused" in said:
        return TunnelError(
            f"ngrok's servers can not be reached: {said[:200]}",
            "is this machine online, and does its firewall let the agent out on port 443?",
        )
    return TunnelError(f"{what}: {said[:300]}" if said else f"{what} and does not say why", "see voicecall.log")


def note_on(host: str, *, chosen: bool) -> str:
    """What is particular about this name: the free plan's warning page, and names that do not last."""
    notes = []
    if host.endswith(FREE_NAMES):
        notes.append("browsers see ngrok's warning page on this free name first, carriers do not")
    if not chosen:
        notes.append(
            "the name may be another one next time: set tunnel.ngrok_domain, or tunnel.update_carrier_number"
        )
    return "; ".join(notes)
