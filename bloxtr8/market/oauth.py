"""OAuth 2.0 with a provider: the address people are sent to, and the exchange of their code.

RFC 6749 (authorisation code), RFC 7636 (PKCE, S256), RFC 7009 (revocation), RFC 9207 (issuer).
Authlib writes the requests; they go out through our own client with its time-outs and limits.
"""

from dataclasses import dataclass
from typing import Any, Literal

import structlog
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7009 import prepare_revoke_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from bloxtr8.errors import OauthExchangeFailed
from bloxtr8.outbound import Ask, Outbound, Unreachable, Unreadable

EXCHANGE_S = 5.0
_CODE_CHARACTERS_MAX = 2048

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Client:
    """Our registration at a provider. `auth`: how the secret is shown to it."""

    client_id: str
    client_secret: str
    redirect_uri: str
    auth: Literal["client_secret_basic", "client_secret_post"]


@dataclass(frozen=True, slots=True)
class Endpoints:
    authorize: str
    token: str
    revoke: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider gave for a code. Used once, then revoked; never stored."""

    access_token: str
    refresh_token: str
    id_token: str
    scope: frozenset[str]


def authorize_url(
    client: Client, endpoints: Endpoints, *, state: str, verifier: str, **extra: str
) -> str:
    """Return where the browser goes; `extra` are scope, prompt, nonce."""
    url: str = prepare_grant_uri(
        endpoints.authorize,
        client_id=client.client_id,
        response_type="code",
        redirect_uri=client.redirect_uri,
        state=state,
        code_challenge=create_s256_code_challenge(verifier),
        code_challenge_method="S256",
        **extra,
    )
    return url


async def exchange(
    http: Outbound, client: Client, endpoints: Endpoints, *, code: str, verifier: str
) -> Tokens:
    """Return the tokens for `code`; asked once, because a code works once.

    Raises OauthExchangeFailed.
    """
    if not 0 < len(code) <= _CODE_CHARACTERS_MAX:
        raise OauthExchangeFailed
    form = prepare_token_request(
        "authorization_code", redirect_uri=client.redirect_uri, code=code, code_verifier=verifier
    )
    ask = _authenticated(client, endpoints.token, form)
    try:
        answer = await http.ask(ask, total_s=EXCHANGE_S)
        document = answer.object()
    except (Unreachable, Unreadable) as error:
        _log.warning("oauth_exchange_failed", host=endpoints.token, why=str(error))
        raise OauthExchangeFailed from None
    if answer.status != 200:
        _log.warning("oauth_exchange_refused", host=endpoints.token, status=answer.status)
        raise OauthExchangeFailed
    return _tokens(document)


async def revoke(http: Outbound, client: Client, endpoints: Endpoints, token: str) -> None:
    """Give a token back; a failure is only logged, the token ends by itself."""
    if not token:
        return
    body, headers = prepare_revoke_token_request(token)
    ask = _authenticated(client, endpoints.revoke, body, headers)
    try:
        answer = await http.ask(ask, total_s=EXCHANGE_S)
    except Unreachable as error:
        _log.warning("oauth_revoke_failed", host=endpoints.revoke, why=str(error))
        return
    if answer.status >= 400:
        _log.warning("oauth_revoke_refused", host=endpoints.revoke, status=answer.status)


def _authenticated(
    client: Client, url: str, form: str, headers: dict[str, str] | None = None
) -> Ask:
    auth = ClientAuth(client.client_id, client.client_secret, client.auth)
    url, headers, form = auth.prepare("POST", url, dict(headers or {}), form)
    return Ask("POST", url, headers=headers, form=form)


def _tokens(document: dict[str, Any]) -> Tokens:
    texts = {
        name: document.get(name) or ""
        for name in ("access_token", "refresh_token", "id_token", "scope", "token_type")
    }
    if not all(isinstance(value, str) for value in texts.values()) or not texts["access_token"]:
        raise OauthExchangeFailed
    if texts["token_type"].lower() != "bearer":
        raise OauthExchangeFailed
    return Tokens(
        access_token=texts["access_token"],
        refresh_token=texts["refresh_token"],
        id_token=texts["id_token"],
        scope=frozenset(texts["scope"].split()),
    )
