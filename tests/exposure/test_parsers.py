"""Whatever programs print, it is read or refused in words, and nothing else happens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st

from engine.exposure import tailscale_state as tailscale
from engine.exposure.command import CommandTunnel
from engine.exposure.ngrok_errors import code_of, to_error
from engine.exposure.ngrok_files import read_version
from engine.exposure.port import TunnelError
from engine.exposure.process import Answer, Note
from engine.exposure.redact import Redactor

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=12,
)
known_keys = st.sampled_from(
    ["TCP", "Web", "AllowFunnel", "Handlers", "Self", "DNSName", "BackendState", "a.ts.net:443"]
)
near_misses = st.recursive(
    json_values, lambda inner: st.dictionaries(known_keys | st.text(max_size=5), inner, max_size=4), max_leaves=12
)
texts = st.text(max_size=200)


@given(near_misses, st.integers(-1, 2), texts)
def test_tailscales_answers(value: Any, code: int, err: str) -> None:
    answer = Answer(code, json.dumps(value), err)
    for read in (tailscale.routes, tailscale.node_name):
        try:
            found = read(answer)
        except TunnelError as error:
            assert str(error)
        else:
            assert isinstance(found, tailscale.Routes | str)
            assert found != ""


@given(texts, texts, st.integers(-1, 3))
def test_tailscales_refusals(out: str, err: str, code: int) -> None:
    error = tailscale.refusal("funnel", Answer(code, out, err))
    assert str(error) and len(str(error)) < 400


@given(
    st.sampled_from(["", "https://", "url: https://a.example/", "see http://", "https://[::1]:", "https://a@"]), texts
)
def test_lines_of_a_tunnels_program(start: str, rest: str) -> None:
    tunnel = CommandTunnel("x", None, Note(Path("/nowhere")))
    for base in tunnel._bases(start + rest):
        url = urlsplit(base)
        assert url.scheme in ("http", "https") and url.hostname and "@" not in url.netloc and not base.endswith("/")


@given(texts, st.text(min_size=6, max_size=40))
def test_a_known_secret_is_in_nothing_that_is_shown(text: str, secret: str) -> None:
    assert secret not in Redactor([secret])(f"{text}{secret}{text}".replace("…", "")) or secret in "…" * 50


@given(texts)
def test_ngroks_words(text: str) -> None:
    error = to_error(text)
    assert str(error) and error.hint and len(str(error)) < 500
    assert error.code == code_of(text)
    assert len(read_version(text)) == 2
