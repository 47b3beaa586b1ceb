from __future__ import annotations

import pytest

from engine.speech.local_extra import require_moonshine_platform, require_packages
from engine.speech.ports import SpeechUnavailable


def test_each_missing_package_is_named_with_the_command_that_installs_it() -> None:
    packages = {"no_such_ears": "ears==0.1.0", "no_such_mouth": "mouth", "json": "json"}
    with pytest.raises(SpeechUnavailable, match="ears==0.1.0 and mouth, which is not installed") as refused:
        require_packages("the local recogniser", packages)
    assert refused.value.hint == "pip install 'voicecall-console[local]'"


@pytest.mark.parametrize(
    ("system", "machine", "libc", "why"),
    [
        ("linux", "x86_64", ("glibc", "2.31"), "glibc 2.31"),
        ("linux", "x86_64", ("", ""), "another C library"),
        ("linux", "riscv64", ("glibc", "2.36"), "riscv64"),
        ("darwin", "x86_64", ("", ""), "darwin x86_64"),
    ],
)
def test_a_platform_without_a_wheel_is_refused_with_what_was_found(
    system: str, machine: str, libc: tuple[str, str], why: str
) -> None:
    with pytest.raises(SpeechUnavailable, match=why) as refused:
        require_moonshine_platform(system, machine, libc)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("system", "machine", "libc"),
    [("linux", "x86_64", ("glibc", "2.34")), ("linux", "aarch64", ("glibc", "2.40")), ("darwin", "arm64", ("", ""))],
)
def test_platforms_with_a_wheel_are_accepted(system: str, machine: str, libc: tuple[str, str]) -> None:
    require_moonshine_platform(system, machine, libc)
