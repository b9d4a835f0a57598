"""Secrets that travel: 32 random bytes in the URL alphabet; the database has their hash."""

import hashlib
import secrets
from base64 import urlsafe_b64encode

_BYTES = 32
CHARACTERS = 43


def new() -> str:
    """Return a fresh secret of 43 characters."""
    return secrets.token_urlsafe(_BYTES)


def digest(secret: str) -> bytes:
    """Return the SHA-256 under which `secret` is stored."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def text(mac: bytes) -> str:
    """Return `mac` in the URL alphabet, without padding."""
    return urlsafe_b64encode(mac).rstrip(b"=").decode()
