"""The way from a carrier to our public address, without a tunnel on it."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from tests.carriers.far.settings import FarSettings


def real_address(settings: FarSettings, url: str) -> tuple[str, dict[str, str]]:
    """Where a public URL leads, and the headers that a tunnel adds on the way."""
    parts = urlsplit(url)
    secure = parts.scheme in ("https", "wss")
    target = settings.routes.get(f"{'https' if secure else 'http'}://{parts.netloc}")
    if target is None:
        return url, {}
    inner = urlsplit(target)
    scheme = {"http": "ws", "https": "wss"}[inner.scheme] if parts.scheme in ("ws", "wss") else inner.scheme
    forwarded = {"X-Forwarded-Proto": "https" if secure else "http", "X-Forwarded-Host": parts.netloc}
    path = inner.path.rstrip("/") + parts.path
    return urlunsplit((scheme, inner.netloc, path, parts.query, "")), {"Host": parts.netloc, **forwarded}
