"""What is laid under the file's own settings: shared voices, and the environment of the chosen vendor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.config.bind import Key, Setting

Settings = dict[Key, Setting]

_CARRIER_ENV: Mapping[str, Mapping[Key, str]] = {
    "twilio": {
        ("twilio", "account_sid"): "TWILIO_ACCOUNT_SID",
        ("twilio", "auth_token"): "TWILIO_AUTH_TOKEN",
        ("from_number",): "TWILIO_FROM_NUMBER",
    },
    "telnyx": {
        ("telnyx", "api_key"): "TELNYX_API_KEY",
        ("telnyx", "connection_id"): "TELNYX_CONNECTION_ID",
        ("telnyx", "public_key"): "TELNYX_PUBLIC_KEY",
    },
    "plivo": {("plivo", "auth_id"): "PLIVO_AUTH_ID", ("plivo", "auth_token"): "PLIVO_AUTH_TOKEN"},
}
_SPEECH_ENV: Mapping[str, str] = {"openai": "OPENAI_API_KEY", "elevenlabs": "ELEVENLABS_API_KEY"}


def merge_voices(settings: Settings) -> None:
    """`tts` is merged over `messages.tts`, and each number's `tts` over the result."""
    _lay_under(settings, ("messages", "tts"), ("tts",))
    for number in _numbers_with_voice(settings):
        _lay_under(settings, ("tts",), (*number, "tts"))


def apply_environment(settings: Settings, env: Mapping[str, str]) -> None:
    """Fill unset values of the selected vendors, and of no other, from the environment."""
    for key, name in _fallbacks(settings):
        if key not in settings and env.get(name):
            settings[key] = Setting(env[name], None, (name,))


def _fallbacks(settings: Settings) -> Iterator[tuple[Key, str]]:
    yield from _CARRIER_ENV.get(_chosen(settings, ("provider",)), {}).items()
    if _chosen(settings, ("tunnel", "provider")) == "ngrok":
        yield ("tunnel", "ngrok_auth_token"), "NGROK_AUTHTOKEN"
        yield ("tunnel", "ngrok_domain"), "NGROK_DOMAIN"
    if _chosen(settings, ("response", "provider")) == "openai":
        yield ("response", "api_key"), "OPENAI_API_KEY"
    voices = [("tts",), *((*number, "tts") for number in _numbers_with_voice(settings))]
    for section in (("streaming",), *voices):
        vendor = _chosen(settings, (*section, "provider"))
        if vendor in _SPEECH_ENV:
            yield (*section, "providers", vendor, "api_key"), _SPEECH_ENV[vendor]


def _chosen(settings: Settings, key: Key) -> str:
    setting = settings.get(key)
    return str(setting.value) if setting is not None else ""


def _numbers_with_voice(settings: Settings) -> list[Key]:
    return sorted({key[:2] for key in settings if len(key) > 3 and key[0] == "numbers" and key[2] == "tts"}, key=str)


def _lay_under(settings: Settings, source: Key, target: Key) -> None:
    for key in [key for key in settings if key[: len(source)] == source]:
        settings.setdefault((*target, *key[len(source) :]), settings[key])
