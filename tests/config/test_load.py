"""Files, spellings, secrets and the environment: what comes out of `load_config`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.config import Config, Loaded, default_state_dir, load_config, parse_config, reveal

NO_ENV: Mapping[str, str] = {}


def parse(text: str, env: Mapping[str, str] = NO_ENV, path: Path | None = None) -> Loaded:
    return parse_config(text.encode(), path or Path("config.yaml"), env)


def test_without_a_file_the_simulated_carrier_speaks_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    loaded = load_config(None, NO_ENV)
    config = loaded.config
    assert (config.provider, config.streaming.provider, config.tts.provider) == ("mock", "local", "local")
    assert config.response.provider == "script"
    assert loaded.path is None
    assert set(loaded.origins.values()) == {"default"}


def test_the_named_file_wins_over_the_environment_and_that_over_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, port in (("flag.yaml", 1), ("env.yaml", 2), ("config.yaml", 3)):
        (tmp_path / name).write_text(f"serve: {{port: {port}}}")
    env = {"VOICECALL_CONFIG": "env.yaml"}
    assert load_config(Path("flag.yaml"), env).config.serve.port == 1
    assert load_config(None, env).config.serve.port == 2
    assert load_config(None, {}).config.serve.port == 3


def test_an_openclaw_block_can_be_pasted_with_its_wrapper() -> None:
    loaded = parse("""
    {"plugins": {"entries": {"voice-call": {"enabled": true, "config": {
        "provider": "twilio", "fromNumber": "+15550001234", "inboundPolicy": "allowlist",
        "allowFrom": ["+15550005678"], "agentId": "main", "realtime": {"enabled": false},
        "webhookSecurity": {"trustedProxyIPs": ["10.0.0.1"], "trustForwardingHeaders": true},
        "tunnel": {"provider": "ngrok", "allowNgrokFreeTierLoopbackBypass": true},
        "streaming": {"enabled": true, "sttProvider": "openai-realtime", "openaiApiKey": "sk", "vadThreshold": 0.4},
        "outbound": {"defaultMode": "conversation", "notifyHangupDelaySec": 0}
    }}}}}
    """)
    config = loaded.config
    assert config.from_number == "+15550001234"
    assert config.allow_from == ["+15550005678"]
    assert config.webhook_security.trusted_proxy_ips == ["10.0.0.1"]
    assert config.tunnel.allow_ngrok_free_tier_loopback_bypass
    assert config.streaming.provider == "openai"
    assert reveal(config.streaming.providers.openai.api_key) == "sk"
    assert config.streaming.providers.openai.vad_threshold == 0.4
    assert config.outbound.notify_hangup_delay_sec == 0
    assert {note.key for note in loaded.notes} == {"enabled", "agentId"}


@pytest.mark.parametrize(
    "wrapper", ["{config: %s}", "{enabled: false, config: %s}", "{voice-call: {config: %s}}", "%s"]
)
def test_any_part_of_the_wrapper_will_do(wrapper: str) -> None:
    assert parse(wrapper % "{serve: {port: 9}}").config.serve.port == 9


def test_explicit_zero_and_false_are_kept() -> None:
    config = parse("""
    stale_call_reaper_seconds: 0
    streaming: {enabled: false}
    outbound: {notify_hangup_delay_sec: 0}
    mock: {inbound_every_seconds: 0, seed: 0}
    serve: {port: 0}
    """).config
    assert config.stale_call_reaper_seconds == 0
    assert config.streaming.enabled is False
    assert config.outbound.notify_hangup_delay_sec == 0
    assert config.mock.seed == 0
    assert config.serve.port == 0


def test_a_key_with_nothing_behind_it_is_not_set() -> None:
    assert parse("serve:\ntts: ~\nfrom_number: null\nnumbers:\n  +15550001111:\n").config.serve == Config().serve


def test_numbers_and_modes_need_no_quotes() -> None:
    config = parse("from_number: +15550001234\ntailscale: {mode: off}\nallow_from: [+15550001234]").config
    assert config.from_number == "+15550001234"
    assert config.tailscale.mode == "off"
    assert config.allow_from == ["+15550001234"]


def test_variables_expand_in_any_value() -> None:
    env = {"PORT": "4000", "HOST": "calls.example.com", "ON": "false"}
    loaded = parse(
        "public_url: https://${HOST}/voice/webhook\nserve: {port: '${PORT}'}\n"
        "streaming: {enabled: '${ON}'}\ninbound_greeting: costs $${5} or $5",
        env,
    )
    assert loaded.config.public_url == "https://calls.example.com/voice/webhook"
    assert loaded.config.serve.port == 4000
    assert loaded.config.streaming.enabled is False
    assert loaded.config.inbound_greeting == "costs ${5} or $5"
    assert loaded.origins["serve.port"] == "config.yaml:2 env PORT"


def test_secrets_come_from_files_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    (tmp_path / "config.yaml").write_text("control: {port: 9, token: {file: token}}")
    loaded = load_config(tmp_path / "config.yaml", NO_ENV)
    assert reveal(loaded.config.control.token) == "s3cret"
    assert "s3cret" not in repr(loaded) + str(loaded.config)


def test_openclaw_secret_references_to_the_environment_work() -> None:
    text = "twilio: {authToken: {source: env, provider: default, id: TOKEN}}"
    assert reveal(parse(text, {"TOKEN": "abc"}).config.twilio.auth_token) == "abc"


def test_the_environment_fills_in_for_the_selected_vendors_only() -> None:
    env = {
        "TWILIO_ACCOUNT_SID": "AC11111111111111111111111111111111",
        "TWILIO_AUTH_TOKEN": "t",
        "TWILIO_FROM_NUMBER": "+15550001234",
        "PLIVO_AUTH_ID": "p",
        "OPENAI_API_KEY": "o",
        "ELEVENLABS_API_KEY": "e",
        "NGROK_AUTHTOKEN": "n",
    }
    loaded = parse("provider: twilio\ntts: {provider: openai}\nserve: {port: 1}", env)
    config = loaded.config
    assert config.twilio.account_sid == "AC11111111111111111111111111111111"
    assert config.from_number == "+15550001234"
    assert loaded.origins["twilio.account_sid"] == "env TWILIO_ACCOUNT_SID"
    assert loaded.origins["serve.port"] == "config.yaml:3"
    assert reveal(config.tts.providers.openai.api_key) == "o"
    assert config.plivo.auth_id is None
    assert config.streaming.providers.openai.api_key is None
    assert config.tts.providers.elevenlabs.api_key is None
    assert config.tunnel.ngrok_auth_token is None
    assert config.response.api_key is None


def test_the_environment_fills_in_under_openclaw_s_earlier_name_too() -> None:
    config = parse("streaming: {sttProvider: openai-realtime}", {"OPENAI_API_KEY": "o"}).config
    assert reveal(config.streaming.providers.openai.api_key) == "o"


def test_the_file_comes_before_the_environment() -> None:
    loaded = parse("provider: telnyx\ntelnyx: {connectionId: mine}", {"TELNYX_CONNECTION_ID": "theirs"})
    assert loaded.config.telnyx.connection_id == "mine"


def test_shared_and_per_number_voices_are_merged_key_by_key() -> None:
    loaded = parse(
        """
        messages: {tts: {provider: elevenlabs, elevenlabs: {voiceId: shared, modelId: m1}}}
        tts: {elevenlabs: {voiceId: own, voiceSettings: {similarityBoost: 0}}}
        numbers:
          "+15550001111": {tts: {elevenlabs: {voiceId: route}}}
          "+15550002222": {inboundGreeting: Hello}
        """,
        {"ELEVENLABS_API_KEY": "key"},
    )
    config = loaded.config
    assert config.tts.provider == "elevenlabs"
    voice = config.tts.providers.elevenlabs
    assert (voice.voice_id, voice.model_id, voice.voice_settings.similarity_boost) == ("own", "m1", 0)
    assert loaded.origins["tts.providers.elevenlabs.model_id"] == "config.yaml:2"
    route = config.numbers["+15550001111"].tts
    assert route is not None
    assert route.provider == "elevenlabs"
    assert (route.providers.elevenlabs.voice_id, route.providers.elevenlabs.model_id) == ("route", "m1")
    assert reveal(route.providers.elevenlabs.api_key) == "key"
    assert config.numbers["+15550002222"].tts is None


def test_anchors_and_merge_keys_work() -> None:
    config = parse("""
    messages: {tts: {openai: &o {voice: sol, model: m}}}
    tts: {openai: {<<: *o, voice: luna}}
    """).config
    assert (config.tts.providers.openai.voice, config.tts.providers.openai.model) == ("luna", "m")


def test_the_state_folder_is_the_flag_then_the_environment_then_store_then_the_user(tmp_path: Path) -> None:
    config = parse("store: state", path=tmp_path / "config.yaml").config
    env = {"VOICECALL_STATE_DIR": str(tmp_path / "env")}
    assert default_state_dir(config, env, tmp_path / "flag") == tmp_path / "flag"
    assert default_state_dir(config, env, None) == tmp_path / "env"
    assert default_state_dir(config, {}, None) == tmp_path / "state"
    assert default_state_dir(Config(), {}, None).name == "voicecall"
    assert not any(tmp_path.iterdir())
