"""Twilio's webhook signatures: bytes in, a verdict out. Pure, and nothing that a stranger sends makes it raise.

X-Twilio-Signature is the base64 of an HMAC-SHA1, keyed with the account's auth token, over the URL followed by every
form parameter: names sorted, and for each name its distinct values sorted, name and value without anything between.
A body that is no form is not in there; the query then has its SHA-256 as bodySHA256. Since 2026 the header
X-Twilio-Webhooks-Signature-Settings (key=…,algorithm=HMAC_SHA256) says that a shared key signed instead.
Sources: the validators of twilio-python 9.13 and twilio-node, and Twilio's page on webhook security.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import parse_qsl

from engine.carriers.base import Verdict, WebhookRequest
from engine.carriers.urls import DEFAULT_PORTS, Url, shown, take_apart

SIGNATURE: Final = "x-twilio-signature"
SETTINGS: Final = "x-twilio-webhooks-signature-settings"
MAX_FIELDS: Final = 500
"""Parameters of one form; Twilio sends about thirty."""
MAX_EXPLAINED: Final = 8 * 1024
"""Bytes of a body up to which a refusal is explained: each suspected URL costs another hash of it."""
MAX_SUSPECTS: Final = 40
_FormPairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """What Twilio may sign with."""

    auth_tokens: tuple[str, ...] = field(default=(), repr=False)
    """The account's primary token and, while tokens are rotated, its secondary one."""
    shared_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Key id -> secret."""


@dataclass(frozen=True, slots=True)
class _Signer:
    """The keys and the algorithm of one request."""

    digest: Literal["sha1", "sha256"]
    secrets: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class _Content:
    """What is signed beside the URL."""

    suffix: bytes
    """The form's parameters, canonical."""
    raw: bytes | None = None
    """A body that is covered by its hash in the query instead."""

    def signed(self, form: str) -> str:
        """All of it, for people."""
        return form + self.suffix.decode("utf-8", "replace")


class _Refused(Exception):
    """Why a request can not be genuine."""


def verify(request: WebhookRequest, keys: SigningKeys, *, upgrade: bool = False) -> Verdict:
    """Check a webhook or, with `upgrade`, the request for a media socket. Fails closed."""
    try:
        given = _given(request.headers.get(SIGNATURE, ""))
        signer = _signer(request.headers.get(SETTINGS, ""), keys)
        content = _content(request)
    except _Refused as refused:
        return Verdict(False, str(refused))
    forms = url_forms(request.url, upgrade=upgrade)
    form = _fitting(forms, content, signer, given)
    if form is None:
        return _explained(request, forms, content, signer, given, upgrade)
    if content.raw is not None and not _body_fits(form, content.raw):
        why = "the body is not the one that was signed: bodySHA256 is of another"
        return Verdict(False, why, tried=forms, signed=content.signed(form))
    why = "ok" if form == request.url else f"ok, signed as {shown(form)}"
    return Verdict(True, why, _replay_key(form, content, given), form, forms, content.signed(form))


def url_forms(url: str, *, upgrade: bool = False) -> tuple[str, ...]:
    """The spellings of one URL that Twilio may have signed, the given one first.

    Its own systems do not agree on ports: with an explicit port and without it, without a port and with the
    scheme's own. A quote in the query goes over the wire as %27. An upgrade may be signed with a slash at the end.
    """
    parts = take_apart(url)
    if parts is None:
        return (url,)
    return tuple(dict.fromkeys([str(form) for quoted in _quotes(parts) for form in _places(quoted, upgrade)]))


def form_pairs(body: bytes) -> list[tuple[str, str]]:
    """The parameters of a form body, as they are signed and as they are read. Raises ValueError for too many."""
    text = body.decode("utf-8", "replace")
    return parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=MAX_FIELDS)


def _quotes(url: Url) -> Iterator[Url]:
    yield url
    for one, other in (("'", "%27"), ("%27", "'")):
        if one in url.query:
            yield url.with_query(url.query.replace(one, other))


def _places(url: Url, upgrade: bool) -> Iterator[Url]:
    other_port = url.with_port("" if url.port else DEFAULT_PORTS[url.scheme])
    for form in (url, other_port):
        yield form
        if upgrade:
            yield replace(form, path=form.path[:-1] if form.path.endswith("/") else form.path + "/")


def _given(header: str) -> bytes:
    """The signature that came with the request."""
    if not header.strip():
        raise _Refused("no signature: X-Twilio-Signature is missing")
    try:
        return base64.b64decode(header.strip().encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise _Refused("X-Twilio-Signature is not base64") from None


def _signer(settings: str, keys: SigningKeys) -> _Signer:
    """Whose signature it must be. The header may only choose among keys that are configured."""
    chosen = _settings(settings)
    algorithm, key = chosen.get("algorithm", "HMAC_SHA1").upper(), chosen.get("key", "")
    if algorithm == "HMAC_SHA1" and not key:
        secrets = [token.encode("utf-8", "replace") for token in keys.auth_tokens if token]
        if not secrets:
            raise _Refused("no auth token is configured, so nothing can be verified: set twilio.auth_token")
        return _Signer("sha1", secrets)
    if algorithm != "HMAC_SHA256":
        raise _Refused(f"signed with {_word(algorithm)}{' and a shared key' if key else ''}, which is not known here")
    if not keys.shared_keys.get(key):
        name = f"the shared key {_word(key)}" if key else "a shared key without an id"
        raise _Refused(f"signed with {name}: add it to twilio.webhook_signing_keys if it is yours")
    return _Signer("sha256", [keys.shared_keys[key].encode("utf-8", "replace")])


def _settings(header: str) -> Mapping[str, str]:
    """`key=…,algorithm=…`, in any order; what stands there twice is refused."""
    found: dict[str, str] = {}
    for part in header.split(","):
        name, _, value = (text.strip() for text in part.partition("="))
        if name in ("key", "algorithm") and value:
            if name in found:
                raise _Refused(f"X-Twilio-Webhooks-Signature-Settings names {name} twice")
            found[name] = value
    return found


def _content(request: WebhookRequest) -> _Content:
    if "bodySHA256" in _query(request.url):
        return _Content(b"", request.body)
    try:
        pairs = form_pairs(request.body)
    except ValueError:
        raise _Refused(f"the body has more than {MAX_FIELDS} parameters: not a form of Twilio") from None
    if pairs and "json" in request.headers.get("content-type", "").lower():
        raise _Refused("a body of JSON is only covered by bodySHA256 in the query, and that is missing")
    return _Content(_canonical(pairs))


def _canonical(pairs: _FormPairs) -> bytes:
    """Names in order, and for each its distinct values in order; a value may be empty."""
    return "".join(name + value for name, value in sorted(set(pairs))).encode("utf-8", "replace")


def _query(url: str) -> Mapping[str, str]:
    """The first value of every name in a URL's query."""
    parts = take_apart(url)
    if parts is None:
        return {}
    try:
        pairs = parse_qsl(parts.query[1:], keep_blank_values=True, errors="replace", max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}
    return dict(reversed(pairs))


def _body_fits(url: str, body: bytes) -> bool:
    """Whether the query has the hash of `body`. Nothing at all counts as {} for Twilio's own middleware."""
    expected = _query(url).get("bodySHA256", "").encode("utf-8", "replace")
    bodies = (body,) if body else (b"", b"{}")
    return any([hmac.compare_digest(hashlib.sha256(each).hexdigest().encode(), expected) for each in bodies])


def _fitting(forms: Sequence[str], content: _Content, signer: _Signer, given: bytes) -> str | None:
    """The form whose signature this is. Each comparison takes the same time, whatever was sent."""
    for form in forms:
        data = form.encode("utf-8", "replace") + content.suffix
        for secret in signer.secrets:
            if hmac.compare_digest(hmac.digest(secret, data, signer.digest), given):
                return form
    return None


def _replay_key(form: str, content: _Content, given: bytes) -> str:
    """Over the very bytes that were authenticated.

    Not over names and values: nothing stands between them in what is signed, so moving a letter from a name to its
    value gives another form with the same signature. And not over the header: base64 has several spellings.
    """
    signed = form.encode("utf-8", "replace") + content.suffix
    parts = [hashlib.sha256(part).digest() for part in (signed, content.raw or b"", given)]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _explained(
    request: WebhookRequest,
    forms: Sequence[str],
    content: _Content,
    signer: _Signer,
    given: bytes,
    upgrade: bool,
) -> Verdict:
    """A refusal that says under which other URL the request would have been genuine, if there is one."""
    tried = list(forms)
    if len(content.suffix) <= MAX_EXPLAINED:
        for suspect in request.suspects[:MAX_SUSPECTS]:
            others = [form for form in url_forms(suspect, upgrade=upgrade) if form not in tried]
            tried += others
            form = _fitting(others, content, signer, given)
            if form is not None:
                advice = _advice(form, upgrade)
                return Verdict(False, advice, form=form, tried=tuple(tried), signed=content.signed(form))
    why = (
        f"the signature fits no form of {shown(request.url)}: signed with another auth token (each subaccount has "
        "its own), or for another address"
    )
    return Verdict(False, why, tried=tuple(tried), signed=content.signed(forms[0]))


def _advice(form: str, upgrade: bool) -> str:
    parts = take_apart(form)
    if not upgrade or parts is None:
        return f"the signature fits {shown(form)}: set public_url to that, or correct the address at Twilio"
    origin = replace(parts, scheme="https" if parts.scheme == "wss" else "http", path="", query="")
    return f"the signature fits {shown(form)}: set public_url to an address that begins with {shown(str(origin))}/"


def _word(text: str) -> str:
    """A stranger's word, fit for a sentence."""
    plain = "".join(letter for letter in text if letter.isascii() and (letter.isalnum() or letter in "_-."))
    return plain[:64] or "something unreadable"
