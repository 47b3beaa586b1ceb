"""Finds, reads and checks the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from engine.config.bind import Binder, Key, Setting, dotted, nested
from engine.config.document import DocumentError, Mark, Table, Tree, parse_document
from engine.config.names import nearest
from engine.config.overlay import apply_environment, choose_stream, leave_out_voices, merge_voices
from engine.config.problems import ConfigError, Problem
from engine.config.rules import contradictions
from engine.config.schema import Config

APP: Final = "voicecall"
CONFIG_ENV: Final = "VOICECALL_CONFIG"
STATE_ENV: Final = "VOICECALL_STATE_DIR"
FILE_NAME: Final = "config.yaml"
DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration, and where each of its values came from."""

    config: Config
    path: Path | None
    """The file; None when there is none and everything is a default."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Dotted key -> `file:LINE`, `file:LINE env NAME`, `env NAME` or `default`."""
    notes: Sequence[Problem] = ()
    """What was tolerated and should be known."""


def find_config(flag: Path | None, env: Mapping[str, str]) -> Path | None:
    """The file to use: the flag, $VOICECALL_CONFIG, ./config.yaml, the user's config folder; None: there is none.

    A file that was named but does not exist is still returned: leaving it out silently would start something else.
    """
    if flag is not None:
        return flag
    if env.get(CONFIG_ENV):
        return Path(env[CONFIG_ENV])
    for path in (Path(FILE_NAME), user_config_dir() / FILE_NAME):
        if path.is_file():
            return path
    return None


def user_config_dir() -> Path:
    """The user's own folder for configuration and themes. Creates nothing."""
    import platformdirs

    return platformdirs.user_config_path(APP)


def default_state_dir(config: Config, env: Mapping[str, str], flag: Path | None = None) -> Path:
    """The state folder: the flag, $VOICECALL_STATE_DIR, `store`, the user's state folder. Creates nothing."""
    if flag is not None:
        return flag.expanduser().absolute()
    if env.get(STATE_ENV):
        return Path(env[STATE_ENV]).expanduser().absolute()
    if config.store is not None:
        return config.store.absolute()
    import platformdirs

    return platformdirs.user_state_path(APP)


def load_config(path: Path | None, env: Mapping[str, str]) -> Loaded:
    """Load `path`, or what `find_config` finds. Raises ConfigError with everything that is wrong."""
    found = find_config(path, env)
    if found is None:
        return parse_config(b"", None, env)
    try:
        data = found.read_bytes()
    except OSError as error:
        hint = "name another file with --config" if path is not None else f"check {CONFIG_ENV}, or use --config"
        raise ConfigError(found, [Problem(0, 0, "", f"can not be read: {error.strerror}", hint)]) from None
    return parse_config(data, found, env)


def parse_config(data: bytes, path: Path | None, env: Mapping[str, str]) -> Loaded:
    """Check one file's content. `path` is for messages, and for what the file names relative to itself."""
    binder = Binder(env, path.absolute().parent if path is not None else Path.cwd())
    try:
        tree = parse_document(data)
    except DocumentError as error:
        raise ConfigError(path, error.problems) from None
    if tree is not None:
        binder.section(Config, unwrap(tree))
    binder.notes += leave_out_voices(binder.settings)
    merge_voices(binder.settings)
    choose_stream(binder.settings)
    apply_environment(binder.settings, env)
    config, faults = _validate(binder)
    if config is None or faults or binder.problems:
        raise ConfigError(path, _without_echoes([*binder.problems, *faults]))
    return Loaded(config, path, _origins(config, binder.settings, path), tuple(binder.notes))


def unwrap(tree: Tree) -> Tree:
    """The config block inside OpenClaw's `plugins.entries.voice-call`, as much of which as was pasted."""
    for name in ("plugins", "entries", "voice-call"):
        tree = _child(tree, name) or tree
    inner = _child(tree, "config")
    if isinstance(inner, Table) and isinstance(tree, Table) and set(tree.entries) <= {"enabled", "config"}:
        enabled = {name: entry for name, entry in tree.entries.items() if name == "enabled"}
        return Table(inner.mark, {**enabled, **inner.entries})
    return tree


def _child(tree: Tree, name: str) -> Tree | None:
    entry = tree.entries.get(name) if isinstance(tree, Table) else None
    return entry.value if entry is not None and isinstance(entry.value, Table) else None


def _validate(binder: Binder) -> tuple[Config | None, list[Problem]]:
    try:
        config = Config.model_validate(nested(binder.settings))
    except ValidationError as error:
        return None, [_problem(binder, item) for item in error.errors(include_input=False, include_url=False)]
    rules = []
    for finding in contradictions(config):
        mark = _mark_of(binder, tuple(finding.key.split(".")))
        rules.append(Problem(mark.line, mark.column, finding.key, finding.message, finding.hint))
    return config, rules


def _problem(binder: Binder, error: Mapping[str, Any]) -> Problem:
    key: Key = tuple(part for part in error["loc"] if part != "[key]")
    message = str(error["msg"]).removeprefix("Value error, ")
    message = message.replace("Input should be", "must be", 1).replace("Field required", "is required", 1)
    setting = binder.settings.get(key)
    if setting is not None and setting.mark is None and setting.env:
        message = f"{message} (from the environment variable {setting.env[0]})"
    mark = _mark_of(binder, key)
    return Problem(mark.line, mark.column, dotted(key), message, _nearest_choice(error, setting))


def _nearest_choice(error: Mapping[str, Any], setting: Setting | None) -> str:
    if error["type"] != "literal_error" or setting is None:
        return ""
    choices = str(error["ctx"]["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
    close = nearest(str(setting.value), choices)
    return f"did you mean {close}?" if close else ""


def _mark_of(binder: Binder, key: Key) -> Mark:
    """Where a key stands, or the nearest one around it."""
    for length in range(len(key), 0, -1):
        if (mark := binder.marks.get(key[:length])) is not None:
            return mark
    return Mark(0, 0)


def _without_echoes(problems: Sequence[Problem]) -> list[Problem]:
    """A key that could not even be read is also missing to the validator: one message is enough."""
    kept: dict[tuple[int, str], Problem] = {}
    for problem in problems:
        kept.setdefault((problem.line, problem.key), problem)
    return list(kept.values())


def _origins(config: Config, settings: Mapping[Key, Setting], path: Path | None) -> dict[str, str]:
    return {dotted(key): _origin(settings.get(key), path) for key, _ in values(config)}


def _origin(setting: Setting | None, path: Path | None) -> str:
    if setting is None or (setting.mark is None and not setting.env):
        return DEFAULT
    place = f"{path}:{setting.mark.line}" if setting.mark is not None else ""
    names = " ".join(f"env {name}" for name in dict.fromkeys(setting.env))
    return " ".join(part for part in (place, names) if part)


def values(section: BaseModel, at: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every single value of a configuration with its path. Secrets stay `SecretStr`."""
    for name in type(section).model_fields:
        yield from _values(getattr(section, name), (*at, name))


def _values(value: Any, at: Key) -> Iterator[tuple[Key, Any]]:
    if isinstance(value, BaseModel):
        yield from values(value, at)
    elif isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _values(item, (*at, name))
    elif isinstance(value, list) and any(isinstance(item, BaseModel) for item in value):
        for index, item in enumerate(value):
            yield from _values(item, (*at, index))
    else:
        yield at, value
