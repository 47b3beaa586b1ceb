"""Plivo's webhook signatures: bytes in, a verdict out. Pure, and nothing that a stranger sends makes it raise.

V3 is the base64 of an HMAC-SHA256, keyed with an auth token, over the URL without its query, the parameters, a dot
and the nonce; how the parameters are written differs for GET and POST, with a query and without (`signed_text`).
A header may hold several signatures: X-Plivo-Signature-V3 by the token of the account or subaccount that owns the
call, X-Plivo-Signature-Ma-V3 by the main account's. V2 covers the URL without its query and the nonce, and nothing of
the body: it is taken only where the configuration allows it, and only when there is no V3.

No time is signed. The replay key is over what was signed but for the nonce: a callback that Plivo repeats with a new
nonce is the same callback still. Sources: signature_v3.py of plivo-python 4.63, plivo-go and plivo-node, whose test
vectors all come out; for the upgrade of a media socket, reports of live calls.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import parse_qsl

from engine.carriers.base import Verdict, WebhookRequest
from engine.carriers.urls import DEFAULT_PORTS, shown, take_apart

V3: Final = "x-plivo-signature-v3"
MAIN_V3: Final = "x-plivo-signature-ma-v3"
NONCE_V3: Final = "x-plivo-signature-v3-nonce"
V2: Final = "x-plivo-signature-v2"
NONCE_V2: Final = "x-plivo-signature-v2-nonce"
MAX_FIELDS: Final = 500
"""Parameters of one request; Plivo sends about thirty."""
MAX_SIGNATURES: Final = 8
"""Signatures that one header may hold."""
MAX_EXPLAINED: Final = 8 * 1024
"""Bytes of parameters up to which a refusal is explained: each suspected URL costs another hash of them."""
MAX_SUSPECTS: Final = 40
_SOCKET_SCHEMES: Final = {"ws": ("http", "ws", "https", "wss"), "wss": ("http", "https", "wss", "ws")}
"""An upgrade is seen signed with http:// in place of wss://; the others are accepted too."""
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Tokens:
    """What Plivo may sign with."""

    auth_tokens: tuple[str, ...] = field(default=(), repr=False)
    """Of the account and, for a subaccount, of the main account."""
    allow_v2: bool = False


@dataclass(frozen=True, slots=True)
class _Given:
    """The signatures that came with a request."""

    version: Literal["v3", "v2"]
    signatures: Sequence[bytes]
    nonce: str


class _Refused(Exception):
    """Why a request can not be genuine."""


def verify(request: WebhookRequest, tokens: Tokens, *, upgrade: bool = False) -> Verdict:
    """Check a webhook or, with `upgrade`, the request for a media socket. Fails closed."""
    try:
        given = _given(request.headers, tokens)
        secrets = [token.encode("utf-8", "replace") for token in tokens.auth_tokens if token]
        if not secrets:
            raise _Refused("no auth token is configured, so nothing can be verified: set plivo.auth_token")
        params = () if upgrade else form_pairs(request)
        query_pairs(request.url)  # those of suspects may be too many, the request's own may not
    except _Refused as refused:
        return Verdict(False, str(refused))
    except ValueError:
        return Verdict(False, f"more than {MAX_FIELDS} parameters: not a request of Plivo")
    method = "GET" if upgrade else request.method
    forms = url_forms(request.url, upgrade=upgrade)
    fit = _fitting(forms, method, params, given, secrets)
    if fit is None:
        return _explained(request, forms, method, params, given, secrets, upgrade)
    form, text = fit
    why = "ok" if form == request.url else f"ok, signed as {shown(form)}"
    if given.version == "v2":
        why += ", but only by V2, which is weak: it does not cover the parameters"
    return Verdict(True, why, _replay_key(given, text, form), form, forms, text)


def url_forms(url: str, *, upgrade: bool = False) -> tuple[str, ...]:
    """The spellings of one URL that Plivo may have signed, the likeliest first: the scheme's own port written or
    not and, for a media socket, the schemes by which it may be named."""
    parts = take_apart(url)
    if parts is None:
        return (url,)
    schemes = _SOCKET_SCHEMES.get(parts.scheme, (parts.scheme,)) if upgrade else (parts.scheme,)
    found = []
    for scheme in schemes:
        named = replace(parts, scheme=scheme)
        found.append(str(named))
        if parts.port in ("", DEFAULT_PORTS[parts.scheme]):
            found.append(str(named.with_port("" if parts.port else DEFAULT_PORTS[scheme])))
    return tuple(dict.fromkeys(found))


def form_pairs(request: WebhookRequest) -> list[tuple[str, str]]:
    """The parameters of a request's body, as they are signed and as they are read. Raises ValueError for too many."""
    return [] if request.method == "GET" else _pairs(request.body.decode("utf-8", "replace"))


def query_pairs(url: str) -> list[tuple[str, str]]:
    """The parameters of a URL's query. Raises ValueError for too many."""
    parts = take_apart(url)
    return _pairs(parts.query[1:]) if parts is not None else []


def signed_text(method: str, url: str, params: Pairs, query: Pairs) -> str:
    """What V3 covers, but for the dot and the nonce at the end.

    Names in order, for each its values in order. GET: everything behind a question mark, as k=v&k=v. POST: the query
    so, then a dot if there is one, then the body's names and values without anything between; a body without a query
    has the question mark and no dot.
    """
    parts = take_apart(url)
    base = str(parts.with_query("")) if parts is not None else url
    if method == "GET":
        everything = "&".join(f"{name}={value}" for name, value in sorted([*query, *params]))
        return f"{base}?{everything}" if everything else base
    asked = "&".join(f"{name}={value}" for name, value in sorted(query))
    sent = "".join(name + value for name, value in sorted(params))
    if not query and not params:
        return base
    return f"{base}?{asked}{'.' if query and params else ''}{sent}"


def _pairs(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=MAX_FIELDS)


def _given(headers: Mapping[str, str], tokens: Tokens) -> _Given:
    v3 = ",".join(filter(None, (headers.get(V3, "").strip(), headers.get(MAIN_V3, "").strip())))
    if v3:
        return _Given("v3", _signatures(v3, "V3"), _nonce(headers.get(NONCE_V3, ""), "V3"))
    v2 = headers.get(V2, "").strip()
    if not v2:
        raise _Refused("no signature: X-Plivo-Signature-V3 is missing")
    if not tokens.allow_v2:
        raise _Refused(
            "signed by V2 only, which does not cover the parameters: have Plivo sign by V3, or set "
            "plivo.allow_signature_v2 if it can not"
        )
    return _Given("v2", _signatures(v2, "V2"), _nonce(headers.get(NONCE_V2, ""), "V2"))


def _nonce(text: str, version: str) -> str:
    if not text.strip():
        raise _Refused(f"X-Plivo-Signature-{version}-Nonce is missing")
    return text.strip()


def _signatures(header: str, version: str) -> list[bytes]:
    """Those that are base64; at least one must be."""
    found = []
    for part in header.split(",")[:MAX_SIGNATURES]:
        try:
            found.append(base64.b64decode(part.strip().encode("ascii"), validate=True))
        except (binascii.Error, ValueError):
            continue
    found = [signature for signature in found if signature]
    if not found:
        raise _Refused(f"X-Plivo-Signature-{version} is not base64")
    return found


def _fitting(
    forms: Sequence[str], method: str, params: Pairs, given: _Given, secrets: Sequence[bytes]
) -> tuple[str, str] | None:
    """The form whose signature this is, and what was signed. Each comparison takes the same time."""
    for form in forms:
        try:
            text = _text(form, method, params, given)
        except ValueError:
            continue  # more parameters than Plivo would have signed
        signed = text + given.nonce if given.version == "v2" else f"{text}.{given.nonce}"
        data = signed.encode("utf-8", "replace")
        for secret in secrets:
            digest = hmac.digest(secret, data, "sha256")
            if any([hmac.compare_digest(digest, signature) for signature in given.signatures]):
                return form, text
    return None


def _text(form: str, method: str, params: Pairs, given: _Given) -> str:
    """What must have been signed, but for the nonce."""
    if given.version == "v2":
        parts = take_apart(form)
        return str(parts.with_query("")) if parts is not None else form
    return signed_text(method, form, params, query_pairs(form))


def _replay_key(given: _Given, text: str, form: str) -> str:
    """Over what was authenticated. For V2 that is the nonce."""
    said = f"{form}\n{given.nonce}" if given.version == "v2" else text
    return hashlib.sha256(f"{given.version}\n{said}".encode("utf-8", "replace")).hexdigest()


def _explained(
    request: WebhookRequest,
    forms: Sequence[str],
    method: str,
    params: Pairs,
    given: _Given,
    secrets: Sequence[bytes],
    upgrade: bool,
) -> Verdict:
    """A refusal that says under which other URL the request would have been genuine, if there is one."""
    tried = list(forms)
    if sum(len(name) + len(value) for name, value in params) <= MAX_EXPLAINED:
        for suspect in request.suspects[:MAX_SUSPECTS]:
            others = [form for form in url_forms(suspect, upgrade=upgrade) if form not in tried]
            tried += others
            fit = _fitting(others, method, params, given, secrets)
            if fit is not None:
                return Verdict(False, _advice(fit[0], upgrade), form=fit[0], tried=tuple(tried), signed=fit[1])
    why = (
        f"the signature fits no form of {shown(request.url)}: signed with another auth token (each subaccount has "
        "its own), or for another address"
    )
    return Verdict(False, why, tried=tuple(tried), signed=_text(forms[0], method, params, given))


def _advice(form: str, upgrade: bool) -> str:
    parts = take_apart(form)
    if not upgrade or parts is None:
        return f"the signature fits {shown(form)}: set public_url to that, or correct the address at Plivo"
    origin = f"{parts.host}{':' if parts.port else ''}{parts.port}"
    return f"the signature fits {shown(form)}: set public_url to an address at {origin}"
