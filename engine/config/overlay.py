"""What is laid under the file's own settings: shared voices, and the environment of the chosen vendor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from engine.config import environment
from engine.config.bind import Key, Setting, dotted
from engine.config.problems import Problem
from engine.config.speech import NO_TELEPHONE, STT_ALIASES

Settings = dict[Key, Setting]
_VOICE_KEYS: Final = (("tts", "provider"), ("tts", "fallback"))


def leave_out_voices(settings: Settings) -> Iterator[Problem]:
    """Voices that OpenClaw has and a telephone can not have are as if they were not named, with a note."""
    for key in [key for key in settings if len(key) > 1 and key[-2:] in _VOICE_KEYS]:
        setting = settings[key]
        named = setting.value if isinstance(setting.value, list) else [setting.value]
        kept = [name for name in named if name not in NO_TELEPHONE]
        if len(kept) == len(named):
            continue
        if isinstance(setting.value, list):
            settings[key] = replace(setting, value=kept)
        else:
            del settings[key]
        left_out = ", ".join(str(name) for name in named if name in NO_TELEPHONE)
        line, column = (setting.mark.line, setting.mark.column) if setting.mark is not None else (0, 0)
        yield Problem(line, column, dotted(key), f"ignored: {left_out} has no telephone audio")


def merge_voices(settings: Settings) -> None:
    """`tts` is merged over `messages.tts`, and each number's `tts` over the result."""
    _lay_under(settings, ("messages", "tts"), ("tts",))
    for number in _numbers_with_voice(settings):
        _lay_under(settings, ("tts",), (*number, "tts"))


def choose_stream(settings: Settings) -> None:
    """A model that hears and speaks takes the place of `streaming`, which is on unless it is said."""
    if _is_on(settings, ("realtime", "enabled")):
        settings.setdefault(("streaming", "enabled"), Setting(False))


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
    if _is_on(settings, ("realtime", "enabled")):
        yield ("realtime", "providers", "openai", "api_key"), environment.API_KEYS["openai"]
    voices = [("tts",), *((*number, "tts") for number in _numbers_with_voice(settings))]
    for section in (("streaming",), *voices):
        for named in (_chosen(settings, (*section, "provider")), *_listed(settings, (*section, "fallback"))):
            vendor = STT_ALIASES.get(named, named)
            if vendor in environment.API_KEYS:
                yield (*section, "providers", vendor, "api_key"), environment.API_KEYS[vendor]


def _keys(variables: Mapping[str, str]) -> Iterator[tuple[Key, str]]:
    for key, name in variables.items():
        yield tuple(key.split(".")), name


def _chosen(settings: Settings, key: Key) -> str:
    setting = settings.get(key)
    return str(setting.value) if setting is not None else ""


def _listed(settings: Settings, key: Key) -> list[str]:
    setting = settings.get(key)
    return [str(value) for value in setting.value] if setting is not None and isinstance(setting.value, list) else []


def _is_on(settings: Settings, key: Key) -> bool:
    """Whether a flag is set, in a spelling that validation will accept."""
    return _chosen(settings, key).lower() in ("true", "yes", "on", "y", "t", "1")


def _numbers_with_voice(settings: Settings) -> list[Key]:
    return sorted({key[:2] for key in settings if len(key) > 3 and key[0] == "numbers" and key[2] == "tts"}, key=str)


def _lay_under(settings: Settings, source: Key, target: Key) -> None:
    for key in [key for key in settings if key[: len(source)] == source]:
        settings.setdefault((*target, *key[len(source) :]), settings[key])
