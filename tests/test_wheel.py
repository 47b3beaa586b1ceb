"""The wheel holds everything that runs: built from this tree and used from an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built wheel, unpacked as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    site = folder / "site"
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    return site


def _run(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "console.cli", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site), "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_wheel_carries_styles_themes_and_the_example(unpacked: Path) -> None:
    names = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert {"console/themes/harbour.yaml", "console/themes/paper.yaml", "engine/config.example.yaml"} <= names
    styles = {str(path.relative_to(ROOT)) for path in (ROOT / "console").rglob("*.tcss")}
    assert styles and styles <= names
    assert not any(name.startswith(("tests/", "bench/")) for name in names)


def test_a_demonstration_runs_from_the_wheel_in_an_empty_folder(unpacked: Path, tmp_path: Path) -> None:
    done = _run(unpacked, tmp_path, "demo", "--headless", "--for", "6", "--calls", "2")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["calls"] >= 1
    assert summary["frames"]["sent"] > 0


def test_the_modules_of_the_wheel_are_the_ones_that_ran(unpacked: Path, tmp_path: Path) -> None:
    code = "import console.theming, engine.config; print(console.theming.__file__, engine.config.__file__)"
    shown = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert all(Path(path).is_relative_to(unpacked) for path in shown)
