"""What is laid under the file's own settings: shared voices, and the environment of the chosen vendor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from engine.config import environment
from engine.config.bind import Key, Setting
from engine.config.speech import STT_ALIASES

Settings = dict[Key, Setting]


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
    yield from _keys(environment.CARRIERS.get(_chosen(settings, ("provider",)), {}))
    if _chosen(settings, ("tunnel", "provider")) == "ngrok":
        yield from _keys(environment.NGROK)
    if _chosen(settings, ("response", "provider")) == "openai":
        yield ("response", "api_key"), environment.API_KEYS["openai"]
    voices = [("tts",), *((*number, "tts") for number in _numbers_with_voice(settings))]
    for section in (("streaming",), *voices):
        named = _chosen(settings, (*section, "provider"))
        vendor = STT_ALIASES.get(named, named)
        if vendor in environment.API_KEYS:
            yield (*section, "providers", vendor, "api_key"), environment.API_KEYS[vendor]


def _keys(variables: Mapping[str, str]) -> Iterator[tuple[Key, str]]:
    for key, name in variables.items():
        yield tuple(key.split(".")), name


def _chosen(settings: Settings, key: Key) -> str:
    setting = settings.get(key)
    return str(setting.value) if setting is not None else ""


def _numbers_with_voice(settings: Settings) -> list[Key]:
    return sorted({key[:2] for key in settings if len(key) > 3 and key[0] == "numbers" and key[2] == "tts"}, key=str)


def _lay_under(settings: Settings, source: Key, target: Key) -> None:
    for key in [key for key in settings if key[: len(source)] == source]:
        settings.setdefault((*target, *key[len(source) :]), settings[key])
