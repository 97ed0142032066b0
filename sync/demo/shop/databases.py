"""The demo's database, where it is not the file that it makes by itself."""

from typing import Any
from urllib.parse import unquote, urlsplit


def postgresql(url: str) -> dict[str, Any]:
    """Django's settings for `postgresql://user:password@host:port/name`."""
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.removeprefix("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
    }
