"""A request as a curl command that a POSIX shell runs: the same bytes, whatever they are.

Every word is quoted. What a shell or curl itself would read as something else (a body that begins with @, brackets in
a URL, dots in a path) goes the way on which it is not read.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
"""A header's name or a method (RFC 9110, 5.6.2)."""
_MADE_BY_CURL: Final = frozenset({"content-length", "transfer-encoding", "connection", "expect"})
_ADDED_BY_CURL: Final = ("accept", "user-agent", "content-type")
"""What curl sends by itself unless it is told not to."""
_SAFE_BODY: Final = re.compile(r"[\x20-\x7e]*", re.ASCII)
_SPELLED: Final = re.compile(rb"[A-Za-z0-9 .,:;_/=&+]")


def curl(
    method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes = b"", left_out: Sequence[str] = ()
) -> str:
    """The command. `url` is what arrives, byte for byte; `left_out`: names of headers that are not in it."""
    words = ["curl", "--silent", "--show-error", "--include", "--globoff", "--path-as-is", "--http1.1"]
    words += ["--request", method if _TOKEN.fullmatch(method) else "POST", "--url", _printable(url)]
    for name, value in headers:
        if _TOKEN.fullmatch(name) and name.lower() not in _MADE_BY_CURL:
            words += ["--header", _header(name, value)]
    present = {name.lower() for name, _ in headers}
    for name in _ADDED_BY_CURL:
        if name not in present:
            words += ["--header", f"{name}:"]
    before, data = _data(body, method)
    command = before + " ".join(map(shlex.quote, [*words, *data]))
    names = ", ".join(name for name in left_out if _TOKEN.fullmatch(name))
    return f"{command}\n# left out, because it is not kept: {names}" if names else command


def _header(name: str, value: str) -> str:
    """curl drops a header that has nothing after its colon; a semicolon makes it an empty one."""
    one_line = "".join(char if char.isprintable() else "?" for char in value)
    return f"{name}: {one_line}" if one_line.strip() else f"{name};"


def _data(body: bytes, method: str) -> tuple[str, list[str]]:
    """What comes before the command, and its last words. No argument can hold a NUL, nor can every shell."""
    if not body:
        return "", ["--data-raw", ""] if method == "POST" else []
    text = body.decode("latin-1")
    if _SAFE_BODY.fullmatch(text):
        return "", ["--data-raw", text]
    return f"printf '{_octal(body)}' | ", ["--data-binary", "@-"]


def _octal(body: bytes) -> str:
    """A format for printf(1) that gives these bytes."""
    return "".join(chr(byte) if _SPELLED.fullmatch(bytes([byte])) else f"\\{byte:03o}" for byte in body)


def _printable(url: str) -> str:
    """A URL can hold bytes that no terminal should be given; in a URL they have another spelling."""
    return re.sub(r"[^\x21-\x7e]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), url)
