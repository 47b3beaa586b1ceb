"""Everything that is wrong with a file is named with its place and what to do, and nothing secret is repeated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import ConfigError, Problem, load_config, parse_config


def problems(text: str | bytes, env: Mapping[str, str] | None = None) -> list[Problem]:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(ConfigError) as caught:
        parse_config(data, Path("config.yaml"), env or {})
    return caught.value.problems


def only(text: str | bytes, env: Mapping[str, str] | None = None) -> Problem:
    (problem,) = problems(text, env)
    return problem


def test_an_unknown_key_names_its_place_and_the_nearest_key() -> None:
    problem = only("provider: mock\nserve:\n  port: 1\n  bnid: x\n")
    assert (problem.line, problem.column, problem.key) == (4, 3, "serve.bnid")
    assert problem.hint == "did you mean bind?"
    assert problem.describe(Path("config.yaml")) == ("config.yaml:4:3: serve.bnid: unknown key (did you mean bind?)")


@pytest.mark.parametrize(
    ("written", "near"),
    [("fromNumbr", "from_number"), ("inbound-policy", "inbound_policy"), ("Provider", "provider")],
)
def test_other_spellings_get_the_nearest_key_too(written: str, near: str) -> None:
    assert only(f"{written}: x").hint == f"did you mean {near}?"


def test_broken_yaml_names_line_and_column() -> None:
    problem = only("serve:\n  port: [1\n")
    assert problem.line == 3
    assert problem.message.startswith("broken YAML")
    tab = only("serve:\n\tport: 1\n")
    assert (tab.line, tab.column) == (2, 1)
    assert tab.hint == "indent with spaces"


def test_bytes_that_are_not_text_name_their_place() -> None:
    latin = only(b"provider: mock\ninbound_greeting: caf\xe9\n")
    assert (latin.line, latin.column) == (2, 22)
    control = only("provider: mock\ntts: \x00")
    assert control.line == 2


def test_a_key_given_twice_is_an_error_in_one_spelling_and_in_two() -> None:
    same = only("serve:\n  port: 1\n  port: 2\n")
    assert (same.line, "line 2" in same.message) == (3, True)
    other = only("from_number: '+15550001111'\nfromNumber: '+15550002222'\n")
    assert (other.line, other.key, "line 1" in other.message) == (2, "from_number", True)
    short = only("tts:\n  openai: {voice: a}\n  providers: {openai: {voice: b}}\n")
    assert (short.line, short.key) == (3, "tts.providers.openai.voice")


@pytest.mark.parametrize("number", ["5550001234", "+05550001234", "+1 555 000 1234", "+1", "+" + "1" * 16, "+1555x"])
def test_numbers_must_be_e164(number: str) -> None:
    assert "E.164" in only(f"from_number: '{number}'").message
    assert only(f"allow_from: [+15550001234,\n  '{number}']").line == 2
    assert "E.164" in only(f"numbers: {{'{number}': {{}}}}").message


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("provider: twillio", 1, "provider"),
        ("streaming:\n  provider: whisper", 2, "streaming.provider"),
        ("serve:\n  port: 70000", 2, "serve.port"),
        ("serve: {port: -1}", 1, "serve.port"),
        ("max_concurrent_calls: 0", 1, "max_concurrent_calls"),
        ("max_concurrent_calls: yes", 1, "max_concurrent_calls"),
        ("max_duration_seconds: 1.5", 1, "max_duration_seconds"),
        ("max_duration_seconds: 9999999999", 1, "max_duration_seconds"),
        ("ring_timeout_ms: 99999999999999999999999", 1, "ring_timeout_ms"),
        ("max_concurrent_calls: 99999999999999999999999", 1, "max_concurrent_calls"),
        ("serve: 3334", 1, "serve"),
        ("allow_from: '+15550001234'", 1, "allow_from"),
        ("from_number: [a]", 1, "from_number"),
        ("serve: {path: webhook}", 1, "serve.path"),
        ("public_url: calls.example.com", 1, "public_url"),
        ("mock:\n  callers:\n  - {name: Ada}", 3, "mock.callers.0.number"),
        ("twilio: {from: '+15550001234'}", 1, "twilio.from"),
        ("store: !!python/object/apply:os.system [ls]", 1, "store"),
    ],
)
def test_wrong_values_are_refused_at_their_place(text: str, line: int, key: str) -> None:
    assert (line, key) in [(problem.line, problem.key) for problem in problems(text)]


def test_a_wrong_choice_suggests_the_nearest() -> None:
    assert only("provider: twillio").hint == "did you mean twilio?"


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    found = problems("from_number: x\nprovidr: mock\nserve: {port: 99999}\n")
    assert [problem.line for problem in found] == [1, 2, 3]


def test_a_missing_variable_and_a_missing_secret_file_are_named() -> None:
    variable = only("twilio:\n  auth_token: ${NOWHERE}")
    assert (variable.line, "NOWHERE" in variable.message) == (2, True)
    file = only("twilio:\n  auth_token: {file: /nowhere/token}")
    assert (file.line, "/nowhere/token" in file.message) == (2, True)
    assert "followed by a name" in only("inbound_greeting: '${A:-b}'").message


def test_a_wrong_value_from_the_environment_names_the_variable() -> None:
    problem = only("provider: twilio", {"TWILIO_FROM_NUMBER": "12"})
    assert problem.key == "from_number"
    assert "TWILIO_FROM_NUMBER" in problem.message


def test_secrets_never_show_in_messages() -> None:
    text = "control: {bind: 0.0.0.0, port: 1, tokn: hunter2}\n"
    text += "twilio: {authToken: {value: hunter2}, api_base_url: 'http://me:hunter2'}"
    with pytest.raises(ConfigError) as caught:
        parse_config(text.encode(), None, {})
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value.problems)


@pytest.mark.parametrize(
    "text",
    [
        "serve: {bind: 0.0.0.0}",
        "public_url: https://calls.example.com/voice/webhook",
        "tunnel: {provider: ngrok}",
        "tailscale: {mode: serve}",
    ],
)
def test_unsigned_webhooks_need_loopback_and_nothing_public(text: str) -> None:
    """Pain E3."""
    problem = only(f"{text}\nskip_signature_verification: true")
    assert (problem.line, problem.key) == (2, "skip_signature_verification")
    parse_config(b"skip_signature_verification: true\nserve: {bind: localhost}", None, {})


def test_a_control_door_beyond_this_machine_needs_a_token() -> None:
    assert only("control: {bind: 0.0.0.0, port: 4000}").key == "control.bind"
    parse_config(b"control: {bind: 0.0.0.0, port: 4000, token: t}", None, {})
    parse_config(b"control: {port: 4000}", None, {})
    assert only("control: {port: 3334}").key == "control.port"


@pytest.mark.parametrize("path", ["/voice/stream", "/voice/stream/hook"])
def test_the_webhook_may_not_look_like_a_stream(path: str) -> None:
    assert only(f"serve: {{path: {path}}}").key == "streaming.stream_path"


def test_commands_must_be_named_where_they_are_chosen() -> None:
    assert only("response: {provider: command}").key == "response.provider"
    assert only("tunnel: {provider: command}").key == "tunnel.provider"
    assert only("tailscale: {mode: funnel, port: 8080}").key == "tailscale.port"


def test_cycles_and_towers_of_aliases_are_refused() -> None:
    assert "nested too deeply" in only("tts: &a {openai: *a}").message
    tower = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8)
    )
    assert "repeats itself" in only(tower).message


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: can not be read"):
        load_config(tmp_path / "nowhere.yaml", {})
    with pytest.raises(ConfigError, match="can not be read"):
        load_config(None, {"VOICECALL_CONFIG": str(tmp_path)})


@given(st.binary(max_size=200))
def test_any_bytes_are_a_configuration_or_a_clear_refusal(data: bytes) -> None:
    try:
        parse_config(data, Path("config.yaml"), {})
    except ConfigError as error:
        assert error.problems
        assert all(problem.message for problem in error.problems)


_WORDS = st.sampled_from(
    ["provider", "tts", "openai", "numbers", "+15550001111", "serve", "port", "mock", "callers", "allow_from", "file"]
)
_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _WORDS,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(_WORDS, children, max_size=4),
    max_leaves=12,
)


@given(_TREES)
def test_any_tree_is_a_configuration_or_a_clear_refusal(tree: object) -> None:
    import yaml

    try:
        parse_config(yaml.safe_dump(tree).encode(), Path("config.yaml"), {})
    except ConfigError as error:
        assert all(problem.line > 0 for problem in error.problems)


TWILIO = "provider: twilio\ntwilio: {account_sid: %s, auth_token: t%s}\n"
SID = "AC" + "0123456789abcdef" * 2


@pytest.mark.parametrize("wrong", ["nope", "AC123", SID + "0", "SK" + SID[2:], SID[:-1] + "g"])
def test_an_account_sid_is_ac_and_32_hex_digits(wrong: str) -> None:
    assert only(TWILIO % (wrong, "")).key == "twilio.account_sid"
    assert parse_config((TWILIO % (SID, "")).encode(), None, {}).config.twilio.account_sid == SID


def test_a_region_needs_an_edge_because_both_are_in_the_host_name() -> None:
    problem = only(TWILIO % (SID, ", region: ie1"))
    assert problem.key == "twilio.region" and "twilio.edge" in problem.hint
    both = parse_config((TWILIO % (SID, ", region: ie1, edge: dublin")).encode(), None, {}).config
    assert (both.twilio.region, both.twilio.edge) == ("ie1", "dublin")


@pytest.mark.parametrize(
    ("more", "fine"),
    [
        ("public_url: http://calls.example.com/voice/webhook", False),
        ("public_url: https://calls.example.com/voice/webhook", True),
        ("public_url: http://127.0.0.1:3334/voice/webhook", True),
        ("public_url: http://192.168.1.7:3334/voice/webhook", True),
        ("public_url: http://calls.example.com/voice/webhook\nstreaming: {enabled: false}", True),
    ],
)
def test_an_address_without_tls_is_refused_where_a_carrier_would_open_streams_to_it(more: str, fine: bool) -> None:
    text = TWILIO % (SID, "") + more
    if fine:
        assert parse_config(text.encode(), None, {}).config.public_url
    else:
        assert only(text).key == "public_url"
