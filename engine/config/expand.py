"""`${VAR}` in values, and secrets that live in the environment or in files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.config.document import Scalar, Table

MAX_SECRET_BYTES: Final = 64 << 10
_REFERENCE = re.compile(r"\$\$\{|\$\{(?:([A-Za-z_][A-Za-z0-9_]*)\}|)")


class ExpandError(Exception):
    """A reference that leads nowhere. Never holds a value."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Expanded:
    """The text, and the names of the variables that it came from."""

    text: str
    names: tuple[str, ...] = ()


def expand(text: str, env: Mapping[str, str]) -> Expanded:
    """Replace every `${NAME}`; `$${` stands for a literal `${`. Raises ExpandError."""
    names: list[str] = []

    def replacement(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name = match[1]
        if name is None:
            raise ExpandError("`${` is not followed by a name and `}`", "write $${ for the characters themselves")
        if name not in env:
            raise ExpandError(f"the environment variable {name} is not set", f"export {name}, or write the value")
        names.append(name)
        return env[name]

    return Expanded(_REFERENCE.sub(replacement, text), tuple(names))


def secret_reference(table: Table, env: Mapping[str, str], folder: Path) -> Expanded:
    """Read `{file: path}`, or OpenClaw's `{source: env, id: NAME}`. Raises ExpandError."""
    words = {key: entry.value.text for key, entry in table.entries.items() if isinstance(entry.value, Scalar)}
    if set(table.entries) == {"file"} and words.get("file"):
        return Expanded(_read_secret(expand(words["file"], env).text, folder))
    if words.get("source") == "env" and words.get("id") and set(table.entries) <= {"source", "id", "provider"}:
        return expand("${" + words["id"] + "}", env)
    raise ExpandError("a secret is a text, ${VAR} or {file: path}")


def local_path(text: str, folder: Path) -> Path:
    """A path as the file means it: `~` is home, and a relative one starts at the file's own folder."""
    try:
        return folder / Path(text).expanduser()
    except RuntimeError:
        raise ExpandError(f"there is no home folder for {text}") from None


def _read_secret(name: str, folder: Path) -> str:
    path = local_path(name, folder)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SECRET_BYTES + 1)
        text = data.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ExpandError(f"the secret file {path} can not be read: {error.strerror}") from None
    except (UnicodeDecodeError, ValueError):
        raise ExpandError(f"the secret file {path} does not hold text") from None
    if not text or len(data) > MAX_SECRET_BYTES:
        raise ExpandError(f"the secret file {path} is empty or larger than {MAX_SECRET_BYTES >> 10} KiB")
    return text
