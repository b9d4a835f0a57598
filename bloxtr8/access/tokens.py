"""Access tokens: JSON web tokens signed with ES256, and the secrets of the web's own MACs.

RFC 7519 (JWT), RFC 7518 (ES256), RFC 7517 (JWK sets). Keys are files of the key directory:
`tokens-<n>.pem` (EC P-256, PKCS 8) and `web-secret.bin` (32 random bytes). The highest number
signs; every key present verifies, so a key rotates by adding the next and removing the old one
24 hours later (`bloxtr8.access.rotation`). Processes look at the directory while they run.
"""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import ECKey, KeySet

from bloxtr8.access.identity import Identity, StaffRole
from bloxtr8.access.sessions import Session
from bloxtr8.clock import Clock
from bloxtr8.config import Settings
from bloxtr8.errors import TokenExpired, Unauthenticated
from bloxtr8.messaging.envelope import is_uuid

AUDIENCE = "bloxtr8-api"
LIFETIME = timedelta(minutes=10)
_ALGORITHMS = ["ES256"]
_TOKEN_CHARACTERS_MAX = 4096
_KEYS_MAX = 10
# A token from a worker whose clock is a little ahead is not refused.
_LEEWAY = timedelta(seconds=5)
# How often a process looks for new keys: all the time, and when a token names an unknown one.
_LOOK_EVERY_S = 10.0
_LOOK_AGAIN_AFTER_S = 1.0
_MAC_FILE = "web-secret.bin"
_SECRET_BYTES = 32

_log = structlog.get_logger(__name__)


class TokenKeys:
    """The keys that sign and verify access tokens, and the secret of MACs.

    With `directory` the keys are what is there: `look` follows changes.
    """

    def __init__(
        self,
        keys: list[ECKey],
        secret: bytes,
        directory: Path | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        assert len(secret) >= _SECRET_BYTES, "a MAC's secret is not guessable"
        self._secret = secret
        self._directory = directory
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._take(keys)

    def _take(self, keys: list[ECKey]) -> None:
        assert 0 < len(keys) <= _KEYS_MAX, "there is at least one key and not many"
        self.signing_key = keys[-1]
        self.key_set = KeySet(list(keys))

    @classmethod
    def load(cls, directory: Path, *, create: bool) -> "TokenKeys":
        """Read the keys from `directory`; with `create`, make missing ones.

        Raises FileNotFoundError when something is missing and `create` is false.
        """
        if create:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not key_files(directory):
                write_key(directory, 1)
            if not (directory / _MAC_FILE).exists():
                _write_once(directory / _MAC_FILE, secrets.token_bytes(_SECRET_BYTES))
        paths = key_files(directory)
        if not paths:
            raise FileNotFoundError(f"no token key in {directory}")
        return cls(_read(paths), (directory / _MAC_FILE).read_bytes(), directory)

    def look(self, *, unknown: bool = False) -> bool:
        """Take over what has changed in the directory; tell whether something had.

        Looks every 10 s, and because of an `unknown` key after one. What cannot be read, or
        no key at all, changes nothing.
        """
        if self._directory is None:
            return False
        now = self._monotonic()
        if now - self._looked_at < (_LOOK_AGAIN_AFTER_S if unknown else _LOOK_EVERY_S):
            return False
        self._looked_at = now
        try:
            paths = key_files(self._directory)
            known = [key.kid for key in self._all()]
            if not 0 < len(paths) <= _KEYS_MAX or [path.stem for path in paths] == known:
                return False
            self._take(_read(paths))
        except (OSError, ValueError, JoseError) as error:
            _log.error("token_keys_unreadable", error=type(error).__name__)
            return False
        return True

    def mac(self, purpose: str, *parts: str) -> bytes:
        """Return HMAC-SHA256 over `purpose` and `parts`, each with its length before it."""
        texts = (purpose, *parts)
        message = b"".join(len(t.encode()).to_bytes(4, "big") + t.encode() for t in texts)
        return hmac.new(self._secret, message, hashlib.sha256).digest()

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JWK set."""
        self.look()
        keys = [{**key.as_dict(private=False), "use": "sig", "alg": "ES256"} for key in self._all()]
        return {"keys": keys}

    def _all(self) -> list[ECKey]:
        return [key for key in self.key_set.keys if isinstance(key, ECKey)]


class AccessTokens:
    """Makes and checks access tokens of one issuer."""

    def __init__(self, keys: TokenKeys, issuer: str, clock: Clock) -> None:
        self.keys = keys
        self._issuer = issuer
        self._clock = clock

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> "AccessTokens":
        keys = TokenKeys.load(settings.keys.directory, create=settings.keys.create)
        return cls(keys, settings.web.public_url, clock)

    def mint(self, session: Session, role: StaffRole | None = None) -> str:
        """Return a token for `session`, valid for 10 minutes and never longer than it."""
        now = self._clock.now()
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": session.user_id,
            "sid": session.id,
            "iat": int(now.timestamp()),
            "exp": int(min(now + LIFETIME, session.expires_at).timestamp()),
            "auth_time": int(session.auth_time.timestamp()),
            "amr": ["discord", "mfa"] if session.mfa else ["discord"],
            "role": role.name if role else None,
        }
        self.keys.look()
        key = self.keys.signing_key
        return jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key, algorithms=_ALGORITHMS)

    def verify(self, token: str) -> Identity:
        """Return who the token speaks for; raises Unauthenticated and TokenExpired."""
        if len(token) > _TOKEN_CHARACTERS_MAX:
            raise Unauthenticated("The access token is not valid.")
        try:
            return self._identity(self._claims(token))
        except (JoseError, ValueError, KeyError, TypeError, OverflowError):
            raise Unauthenticated("The access token is not valid.") from None

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            return jwt.decode(token, self.keys.key_set, algorithms=_ALGORITHMS).claims
        except InvalidKeyIdError:
            # Another process may have signed it with a key that is new.
            if not self.keys.look(unknown=True):
                raise
        return jwt.decode(token, self.keys.key_set, algorithms=_ALGORITHMS).claims

    def _identity(self, claims: dict[str, Any]) -> Identity:
        now = self._clock.now()
        if claims["iss"] != self._issuer or claims["aud"] != AUDIENCE:
            raise Unauthenticated("The access token was made for somebody else.")
        if not (is_uuid(claims["sub"]) and is_uuid(claims["sid"])):
            raise ValueError("ids are UUIDs")
        issued, expires, signed_in = (_time(claims[name]) for name in ("iat", "exp", "auth_time"))
        if issued > now + _LEEWAY:
            raise Unauthenticated("The access token is not valid yet.")
        if now >= expires:
            raise TokenExpired
        role = claims.get("role")
        return Identity(
            user_id=claims["sub"],
            session_id=claims["sid"],
            auth_time=signed_in,
            mfa="mfa" in claims["amr"],
            role=StaffRole[role] if role else None,
            expires_at=expires,
        )

    def session_of(self, token: str) -> str | None:
        """Return the session that a token of ours was made for, also when it has ended."""
        if len(token) > _TOKEN_CHARACTERS_MAX:
            return None
        try:
            claims = self._claims(token)
        except (JoseError, ValueError, KeyError, TypeError):
            return None
        sid = claims.get("sid")
        ours = claims.get("iss") == self._issuer and isinstance(sid, str) and is_uuid(sid)
        return sid if ours else None


def mint_access_token(
    settings: Settings, clock: Clock, session: Session, role: StaffRole | None = None
) -> str:
    """Return an access token for `session` with the keys of `settings`; for demo and tests."""
    return AccessTokens.from_settings(settings, clock).mint(session, role)


def key_files(directory: Path) -> list[Path]:
    """Return the files of the token keys, the oldest first."""
    return sorted(directory.glob("tokens-*.pem"), key=key_number)


def key_number(path: Path) -> int:
    """Return which of the token keys a file is; they count up."""
    return int(path.stem.rpartition("-")[2])


def write_key(directory: Path, number: int) -> Path:
    """Make the token key of that number, unless another process has; return its file."""
    path = directory / f"tokens-{number}.pem"
    _write_once(path, ECKey.generate_key("P-256", private=True).as_pem(private=True))
    return path


def _read(paths: list[Path]) -> list[ECKey]:
    return [ECKey.import_key(path.read_bytes(), {"kid": path.stem}) for path in paths]


def _time(seconds: Any) -> datetime:
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise TypeError("times are whole seconds")
    return datetime.fromtimestamp(seconds, UTC)


def _write_once(path: Path, content: bytes) -> None:
    """Write `path` whole, unless another process was first: then theirs stays."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
