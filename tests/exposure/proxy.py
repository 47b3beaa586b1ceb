"""A real TLS reverse proxy before the engine: nginx, with certificates that openssl makes for the test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import pytest

NGINX: Final = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
OPENSSL: Final = shutil.which("openssl")
needs_nginx = pytest.mark.skipif(NGINX is None or OPENSSL is None, reason="needs nginx and openssl")

Certificate = Literal["good", "expired", "self-signed", "other-name", "unknown-issuer"]
UPGRADE: Final = (
    "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;"
)
"""What nginx needs to pass WebSockets on."""
PASS: Final = f"location / {{ proxy_pass http://engine; {UPGRADE} proxy_set_header Host $http_host; }}"
"""A proxy in order."""
_FRAME: Final = """
daemon on; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; "" close; }}
    upstream engine {{ server 127.0.0.1:{engine}; }}
    server {{
        listen 127.0.0.1:{tls} ssl; server_name localhost;
        ssl_certificate {folder}/{certificate}.pem; ssl_certificate_key {folder}/{certificate}.key;
        {rules}
    }}
    server {{ listen 127.0.0.1:{plain}; server_name localhost; {plain_rules} }}
}}
"""


@dataclass(frozen=True)
class Ports:
    """Free ports of this machine: the proxy's with TLS and without, the engine's, and one where nobody listens."""

    tls: int
    plain: int
    engine: int
    dead: int

    @property
    def https(self) -> str:
        return f"https://localhost:{self.tls}"

    @property
    def http(self) -> str:
        return f"http://localhost:{self.plain}"


def free_ports() -> Ports:
    """Ports that were free a moment ago."""
    with socket.socket() as a, socket.socket() as b, socket.socket() as c, socket.socket() as d:
        for each in (a, b, c, d):
            each.bind(("127.0.0.1", 0))
        return Ports(*(int(each.getsockname()[1]) for each in (a, b, c, d)))


def make_certificates(folder: Path) -> Path:
    """An authority (its file is returned) and what it, and others, issue."""
    for authority in ("authority", "stranger"):
        _openssl("req", "-x509", *_key(folder, authority), "-days", "30", "-subj", f"/CN={authority}")
    _issue(folder, "good", "localhost", "authority", 30)
    _issue(folder, "expired", "localhost", "authority", -1)
    _issue(folder, "other-name", "calls.example.com", "authority", 30)
    _issue(folder, "unknown-issuer", "localhost", "stranger", 30)
    name = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    _openssl("req", "-x509", *_key(folder, "self-signed"), "-days", "30", *name)
    return folder / "authority.pem"


def _key(folder: Path, name: str) -> list[str]:
    made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    return [*made, "-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem")]


def _issue(folder: Path, name: str, host: str, authority: str, days: int) -> None:
    request, extra = folder / f"{name}.csr", folder / f"{name}.ext"
    extra.write_text(f"subjectAltName=DNS:{host}\n")
    _openssl("req", *_key(folder, name)[:-1], str(request), "-subj", f"/CN={host}")
    signer = ["-CA", str(folder / f"{authority}.pem"), "-CAkey", str(folder / f"{authority}.key"), "-CAcreateserial"]
    ends = ["-days", str(days), "-extfile", str(extra), "-out", str(folder / f"{name}.pem")]
    _openssl("x509", "-req", "-in", str(request), *signer, *ends)


def _openssl(*args: str) -> None:
    assert OPENSSL is not None
    subprocess.run([OPENSSL, *args], check=True, capture_output=True, timeout=30)


@contextmanager
def proxy(
    folder: Path, ports: Ports, rules: str = PASS, certificate: Certificate = "good", plain_rules: str = "return 404;"
) -> Iterator[None]:
    """A running nginx; it listens before this returns. `folder` holds the certificates."""
    assert NGINX is not None
    text = _FRAME.format(
        folder=folder,
        engine=ports.engine,
        tls=ports.tls,
        plain=ports.plain,
        certificate=certificate,
        rules=rules,
        plain_rules=plain_rules,
    )
    conf = folder / "nginx.conf"
    conf.write_text(text)
    # It goes to the background only after its sockets listen.
    started = subprocess.run(
        [NGINX, "-p", str(folder), "-c", str(conf)], capture_output=True, text=True, timeout=20, check=False
    )
    assert started.returncode == 0, started.stderr
    pid = int((folder / "nginx.pid").read_text())
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)
