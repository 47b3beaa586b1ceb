"""Themes as YAML files: the two that ship, and the operator's own from the config folder.

A file names its colours and the console's own variables (who speaks, how a call stands). What it leaves out has a
default derived from its colours. A file that is wrong is reported once and left out; it never stops the console.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from textual.color import Color, ColorParseError
from textual.theme import Theme

DEFAULT_THEME: Final = "harbour"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The first paint waits for the themes, and the loader in C is ten times quicker."""

VARIABLES: Final[Mapping[str, str]] = {
    "call-live": "$success",
    "call-ringing": "$warning",
    "call-ended": "$secondary",
    "call-failed": "$error",
    "speaker-caller": "$accent",
    "speaker-agent": "$primary",
    "speaker-operator": "$warning",
    "exposure-open": "$warning",
    "exposure-closed": "$success",
    "alarm": "#b3261e",
    "alarm-text": "#ffffff",
    "key": "$accent",
    "rule": "$panel-lighten-2",
    "cursor": "$primary 30%",
    "cursor-blurred": "$primary 15%",
    "stage-0": "$primary",
    "stage-1": "$success",
    "stage-2": "$accent",
    "stage-3": "$warning",
    "stage-4": "$error",
    "stage-5": "$secondary",
}
"""The console's own variables and what they are where a theme does not say: `$call-live` and so on in CSS."""


class Colors(BaseModel):
    """The base colours; only `primary` is needed, Textual derives the others."""

    model_config = ConfigDict(extra="forbid")

    primary: str
    secondary: str | None = None
    accent: str | None = None
    foreground: str | None = None
    background: str | None = None
    surface: str | None = None
    panel: str | None = None
    success: str | None = None
    warning: str | None = None
    error: str | None = None

    @field_validator("*")
    @classmethod
    def _is_colour(cls, value: str | None) -> str | None:
        return value if value is None else _colour(value)


class ThemeFile(BaseModel):
    """One theme file."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    dark: bool = True
    colors: Colors
    variables: dict[str, str] = {}

    @field_validator("variables")
    @classmethod
    def _are_ours(cls, value: dict[str, str]) -> dict[str, str]:
        for name, colour in value.items():
            if name not in VARIABLES:
                raise ValueError(f"{name!r} is not one of {', '.join(sorted(VARIABLES))}")
            _colour(colour)
        return value

    def to_textual(self) -> Theme:
        """The theme as Textual takes it."""
        return Theme(
            name=self.name,
            dark=self.dark,
            variables=dict(self.variables),
            **self.colors.model_dump(exclude_none=True),
        )


def _colour(value: str) -> str:
    try:
        Color.parse(value)
    except ColorParseError as error:
        raise ValueError(f"{value!r} is not a colour: write #rrggbb") from error
    return value


@dataclass(frozen=True, slots=True)
class Themes:
    """What was found: themes by name (a later folder wins), and one sentence per file that was left out."""

    themes: Mapping[str, Theme] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def shipped_folders() -> list[Path]:
    """Where our own themes are: in the wheel inside the package, in a checkout at its root."""
    package = Path(__file__).resolve().parent
    return [folder for folder in (package / "themes", package.parent / "themes") if folder.is_dir()][:1]


def load_themes(folders: Iterable[Path]) -> Themes:
    """Read every `*.yaml` in `folders`. Never raises for what is in them."""
    themes: dict[str, Theme] = {}
    problems: list[str] = []
    for folder in folders:
        for path in sorted(folder.glob("*.yaml")):
            try:
                theme = read_theme(path)
            except (OSError, ValueError) as error:
                problems.append(f"{path.name}: {_sentence(error)}")
            else:
                themes[theme.name] = theme
    return Themes(themes, tuple(problems))


def read_theme(path: Path) -> Theme:
    """One theme file. Raises ValueError (its text names the place) or OSError."""
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}not YAML: {getattr(error, 'problem', None) or 'unreadable'}") from error
    return ThemeFile.model_validate(raw).to_textual()


def _sentence(error: OSError | ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg'].removeprefix('Value error, ')}"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
