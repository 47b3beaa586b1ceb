"""A folder with certificates, whose authority this process trusts; and programs that stand in for tunnels' own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.exposure.agents import behave, fake_ngrok
from tests.exposure.proxy import OPENSSL, make_certificates
from tests.exposure.tailnet import tailnet

__all__ = ["behave", "certificates", "fake_ngrok", "front_folder", "tailnet"]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates, made once."""
    folder = tmp_path_factory.mktemp("certificates")
    if OPENSSL is not None:
        make_certificates(folder)
    return folder


@pytest.fixture
def front_folder(certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A proxy's folder of its own. The authority of its good certificates is trusted, and no other."""
    folder = tmp_path / "front"
    shutil.copytree(certificates, folder)
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "authority.pem"))
    return folder
